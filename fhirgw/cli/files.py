"""Commands over files, without a store: map, lint, validate, send, sf12."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import orjson
import typer
from rich.progress import track

from fhirgw.app import SendersFile, load_programs
from fhirgw.cli.terminal import emit, people, read, read_json
from fhirgw.consent.model import Json
from fhirgw.errors import GatewayError, InvalidElement, MalformedMessage, MissingElement
from fhirgw.icm import sf12
from fhirgw.icm.model import Case
from fhirgw.intake import read as read_message
from fhirgw.mappers.adt import map_message
from fhirgw.mappers.icm import case_bundle
from fhirgw.outcome import operation_outcome
from fhirgw.profiles.validation import problems
from fhirgw.settings import Settings
from fhirgw.v2 import conformance
from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import Segment, parse

Files = Annotated[list[Path], typer.Argument(help="Files; - is stdin.", show_default=False)]
mapping = typer.Typer(help="Map files to FHIR transaction Bundles, one line each on stdout.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(mapping, name="map")
    app.command()(lint)
    app.command()(validate)
    app.command()(send)
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


@mapping.command("adt")
def map_adt(files: Files) -> None:
    """Map HL7 v2 ADT messages, each alone. Example: fhirgw map adt fixtures/v2/A01/member.hl7"""
    settings = Settings()
    senders, key = SendersFile(settings)(), settings.keys().ids
    _map(files, lambda raw: map_message(*read_message(raw, senders, key)))


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


def read_case(raw: bytes) -> Case:
    """An ICM case from its JSON.

    Raises:
        ExceptionGroup: Everything that is wrong with it, each at its place, without its values.
    """
    try:
        return Case.model_validate_json(raw)
    except ValueError as error:
        raise _case_errors(error) from None


def _case_errors(error: ValueError) -> ExceptionGroup[GatewayError]:
    """Pydantic's findings as ours: it would quote the values."""
    found: list[GatewayError] = []
    for one in getattr(error, "errors", list)():
        location = ".".join(str(part) for part in one["loc"]) or "case"
        kind = {"missing": MissingElement, "json_invalid": MalformedMessage}.get(one["type"], InvalidElement)
        found.append(kind(one["msg"].removeprefix("Value error, "), location=location))
    return ExceptionGroup("case", found or [MalformedMessage("The case cannot be read.")])


def lint(files: Files) -> None:
    """Check HL7 v2 messages for conformance. Example: fhirgw lint fixtures/v2/A01/member.hl7"""
    failed = False
    for path in files:
        for error in conformance.lint(read(path)):
            failed = True
            emit({"file": str(path), "location": error.location, "code": error.err, "text": error.text})
    raise typer.Exit(code=int(failed))


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


def send(
    files: Files,
    to: Annotated[str, typer.Option(help="Where to: mllp://host:port", show_default=False)],
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an ACK.")] = 30.0,
) -> None:
    """Send HL7 v2 files over MLLP and print the ACKs.

    Example: fhirgw send fixtures/v2/A01/member.hl7 --to mllp://127.0.0.1:2575
    """
    url = urlsplit(to)
    if url.scheme != "mllp" or not url.hostname or not url.port:
        raise InvalidElement("Where to send is written mllp://host:port", location="--to")
    codes = asyncio.run(_send(files, url.hostname, url.port, timeout))
    raise typer.Exit(code=int(any(code not in ("AA", "CA") for code in codes)))


async def _send(files: list[Path], host: str, port: int, timeout: float) -> list[str]:  # noqa: ASYNC109 - per ACK
    codes = []
    try:
        async with MllpClient(host, port, timeout=timeout) as client:
            for path in track(files, console=people, disable=len(files) < 10, description="sending"):
                ack = await client.send(read(path))
                message = parse(ack)
                msa = message.first("MSA")
                code = (msa.get(1) if msa else None) or ""
                codes.append(code)
                emit({"file": str(path), "ack": code, "errors": [error_told(err) for err in message.all("ERR")]})
    except OSError as error:
        raise InvalidElement(f"{host}:{port}: {error.strerror or error}", location="--to") from None
    return codes


def error_told(err: Segment) -> Json:
    """What an ERR segment says: ERR-2 as ``PID-3.1``, ERR-3, ERR-8."""
    segment, _, field, _, component, _ = (err.get(2, part) for part in range(1, 7))
    location = f"{segment}-{field}" if segment and field else segment
    if location and component:
        location = f"{location}.{component}"
    return {"location": location, "code": err.get(3), "text": err.get(8) or err.get(3, 2)}


def sf12_command(
    file: Annotated[Path, typer.Argument(help='Answers by mnemonic: {"GH1": 1, "PF02": 3, …}; - is stdin.')],
) -> None:
    """Score an SF-12 (version 1). Example: fhirgw sf12 answers.json

    Numbers only: a site needs its own licence for the form.
    """
    answers = read_json(file)
    if not isinstance(answers, dict):
        raise InvalidElement("The answers are a JSON object, mnemonic to number.")
    scores = sf12.score(answers)
    emit({"pcs12": scores.pcs12, "mcs12": scores.mcs12})
