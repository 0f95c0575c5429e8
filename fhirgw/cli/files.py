"""Commands over files, without a store: validate, sf12."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from fhirgw.cli.terminal import emit, read, read_json
from fhirgw.consent.model import Json
from fhirgw.errors import InvalidElement
from fhirgw.icm import sf12
from fhirgw.icm.model import Case
from fhirgw.icm.statements import read_case
from fhirgw.icm.trend import changes
from fhirgw.profiles.validation import problems

Files = Annotated[list[Path], typer.Argument(help="Files; - is stdin.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(validate)
    app.command(name="sf12")(sf12_command)


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
