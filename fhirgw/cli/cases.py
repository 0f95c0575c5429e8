"""``fhirgw import``: what a system states of its cases, HL7 v2 messages, or a FHIR server, into the store."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import Progress

from fhirgw.app import Gateway
from fhirgw.cli.feeds import import_v2
from fhirgw.cli.pull import import_fhir, tell_refused
from fhirgw.cli.terminal import emit, fail, local, people
from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.icm.model import Case
from fhirgw.icm.statements import Stated, columns, rows, stated

BAR_FROM = 1 << 20
"""Bytes from which on people are shown how far it is."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="import")(import_)


def import_(
    files: Annotated[list[Path] | None, typer.Argument(help="Files.", show_default=False)] = None,
    v2: Annotated[bool, typer.Option("--v2", help="They hold HL7 v2 messages or batches, of any size.")] = False,
    answer: Annotated[Path | None, typer.Option(help="With --v2: where the batch answers go.")] = None,
    table: Annotated[str | None, typer.Option(help="Which table a CSV file is; default: its name.")] = None,
    template: Annotated[str | None, typer.Option(help="Print the columns of a table: cases, contacts, …")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a case.")] = False,
    fhir: Annotated[str | None, typer.Option(help="Base URL of a FHIR server to import from.")] = None,
    since: Annotated[
        str | None, typer.Option(help="With --fhir: from this instant; default: the last time.")
    ] = None,
    refused: Annotated[
        bool, typer.Option("--refused", help="With --fhir: only list what was refused, and why.")
    ] = False,
) -> None:
    """Import cases, or records of them, each whole or not at all; or HL7 v2 messages, as if they were received.

    With --fhir, the resources of a FHIR server: what changed there since the last time, and what was deleted.

    JSON holds one case, NDJSON one in each line, CSV a table (cases.csv, contacts.csv, care_plan.goals.csv).
    Importing again stores nothing twice: run it again after it was interrupted.

    Example: fhirgw import fixtures/icm/ct-bhp.json
    """
    if template:
        print(",".join(columns(template)))
        return
    if schema:
        emit(Case.model_json_schema())
        return
    if fhir:
        if refused:
            tell_refused(fhir)
        import_fhir(fhir, since)
    if not files:
        raise InvalidElement("Name the files to import.", location="FILES")
    if v2:
        import_v2(files, answer)
    with local() as gateway, Progress(console=people, transient=True, disable=not people.is_terminal) as progress:
        failed = [_import(gateway, path, table, progress) for path in files]
    raise typer.Exit(code=int(any(failed)))


def _import(gateway: Gateway, path: Path, table: str | None, progress: Progress) -> bool:
    """Import one file; whether anything of it was refused."""
    piped = str(path) == "-"
    try:
        file = sys.stdin.buffer if piped else path.open("rb")
        size = 0 if piped else path.stat().st_size
    except OSError as error:
        return bool(fail(InvalidElement(f"{path}: {error.strerror}")))
    task = progress.add_task(path.name, total=size, visible=size >= BAR_FROM)

    async def take() -> bool:
        failed = False
        for number, one in enumerate(_statements(file, path, table), 1):
            if size >= BAR_FROM:
                progress.update(task, completed=file.tell())
            errors = await _taken(gateway, one, {"file": str(path), "number": number})
            if errors:
                failed = True
                people.print(f"{path}, {number}:")
                for each in errors:
                    fail(each)
        return failed

    with file:
        return asyncio.run(take())


async def _taken(gateway: Gateway, one: Stated, where: dict[str, str | int]) -> Sequence[Exception]:
    """Take one statement, and say so; what is wrong with it."""
    if isinstance(one, ExceptionGroup):
        return one.exceptions
    try:
        emit({**where, "case": one.key, "stored": await gateway.ingest.cases.take(one)})
    except ExceptionGroup as group:
        return group.exceptions
    except GatewayError as error:
        return [error]
    return []


def _statements(file: BinaryIO, path: Path, table: str | None) -> Iterator[Stated]:
    """What a file states, one after the other; no more of it is held."""
    if path.suffix == ".csv" or table:
        yield from rows(table or path.stem, _text(file))
    elif path.suffix == ".ndjson":
        yield from (stated(line) for line in file if line.strip())
    else:
        yield stated(file.read())


def _text(file: BinaryIO) -> Iterator[str]:
    """By the line, so that the file's place is known."""
    for line in file:
        try:
            yield line.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InvalidElement("A table is in UTF-8.") from None
