"""Commands over files, without a store: map, lint, validate, sf12."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import orjson
import typer

from fhirgw.app import load_programs
from fhirgw.cli.lint import lint
from fhirgw.cli.map_adt import map_adt
from fhirgw.cli.terminal import emit, people, read, read_json
from fhirgw.consent.model import Json
from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.icm import sf12
from fhirgw.icm.model import Case
from fhirgw.icm.statements import read_case
from fhirgw.icm.trend import changes
from fhirgw.mappers.icm import case_bundle
from fhirgw.outcome import operation_outcome
from fhirgw.profiles.validation import problems
from fhirgw.settings import Settings

Files = Annotated[list[Path], typer.Argument(help="Files; - is stdin.", show_default=False)]
mapping = typer.Typer(help="Map files to FHIR transaction Bundles, one line each on stdout.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(mapping, name="map")
    app.command()(lint)
    app.command()(validate)
    app.command(name="sf12")(sf12_command)


def _problems(step: Callable[[], object]) -> list[Exception]:
    try:
        step()
    except ExceptionGroup as group:
        return list(group.exceptions)
    except GatewayError as error:
        return [error]
    return []


def _report(path: Path, errors: Iterable[Exception]) -> None:
    """An OperationOutcome line on stderr, naming the file."""
    outcome = operation_outcome(list(errors))
    outcome["issue"][0]["details"] = {"text": str(path)}
    people.print_json(data=outcome, indent=None)


def _map(files: list[Path], one: Callable[[bytes], Json]) -> None:
    """Map each file; a failure is reported and the next goes on."""
    failed = False
    for path in files:

        def step(path: Path = path) -> None:
            emit(one(read(path)))

        errors = _problems(step)
        if errors:
            failed = True
            _report(path, errors)
    raise typer.Exit(code=int(failed))


mapping.command("adt")(map_adt)


@mapping.command("icm")
def map_icm(files: Files) -> None:
    """Map ICM cases (JSON). Example: fhirgw map icm fixtures/icm/ct-bhp.json"""
    settings = Settings()
    programs, key = load_programs(settings.programs_dir), settings.keys().ids

    def one(raw: bytes) -> Json:
        case = read_case(raw)
        if case.program not in programs:
            raise InvalidElement("There is no such programme here.", location="program")
        return case_bundle(case, programs[case.program], key)

    _map(files, one)


def validate(files: Files) -> None:
    """Validate FHIR resources (JSON, or NDJSON) against R4. Example: fhirgw validate resource.json"""
    failed = False
    for path in files:
        for resource in _resources(path):
            for problem in problems(resource):
                failed = True
                emit(
                    {
                        "file": str(path),
                        "expression": problem.expression,
                        "code": problem.issue,
                        "text": problem.text,
                    }
                )
    raise typer.Exit(code=int(failed))


def _resources(path: Path) -> list[Json]:
    if path.suffix == ".ndjson":
        return [orjson.loads(line) for line in read(path).splitlines() if line.strip()]
    resource: Json = read_json(path)
    return [resource]


def sf12_command(
    file: Annotated[
        Path, typer.Argument(help='Answers by mnemonic: {"GH1": 1, "PF02": 3, …}; or a case, for all of its SF-12.')
    ],
) -> None:
    """Score an SF-12 (version 1), or all those of a case, with their change. Example: fhirgw sf12 answers.json

    Numbers only: a site needs its own licence for the form.
    """
    answers = read_json(file)
    if not isinstance(answers, dict):
        raise InvalidElement("The answers are a JSON object, mnemonic to number.")
    if "program" in answers:
        _emit_trend(read_case(orjson.dumps(answers)))
        return
    scores = sf12.score(answers)
    emit({"pcs12": scores.pcs12, "mcs12": scores.mcs12})


def _emit_trend(case: Case) -> None:
    """A line for each SF-12 of a case, in time, with its change from the one before."""
    scored = sorted((one.taken_at, sf12.score(one.answers)) for one in case.sf12)
    moves = {
        "pcs12": changes((at, scores.pcs12) for at, scores in scored),
        "mcs12": changes((at, scores.mcs12) for at, scores in scored),
    }
    for at, scores in scored:
        since = {f"{name}_change": change[at].by for name, change in moves.items() if at in change}
        emit({"taken_at": at.isoformat(), "pcs12": scores.pcs12, "mcs12": scores.mcs12, **since})
