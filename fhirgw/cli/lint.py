"""``fhirgw lint``: messages explained, to people as tables, to machines as JSON lines."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from fhirgw.cli.terminal import emit, people, read
from fhirgw.configuration import SendersFile
from fhirgw.intake import refusals
from fhirgw.mappers.adt import read as read_message
from fhirgw.settings import Settings
from fhirgw.v2.batch import Splitter
from fhirgw.v2.explanation import Explained, ExplainedSegment, Finding, Weight, explain

_COLOURS = {Weight.REFUSED: "red", Weight.PARKED: "magenta", Weight.TAKEN: "yellow"}
_VERDICTS = {
    Weight.REFUSED: "the gateway refuses it",
    Weight.PARKED: "the gateway takes it and cannot process it",
    Weight.TAKEN: "the gateway takes it",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(lint)


def lint(
    files: Annotated[list[Path], typer.Argument(help="Files; - is stdin.", show_default=False)],
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything as JSON on stdout, one line a message, and no tables.")
    ] = False,
    values: Annotated[bool, typer.Option(help="Show what stands in the fields: data of people.")] = False,
) -> None:
    """Explain HL7 v2 messages segment by segment, and check them. Example: fhirgw lint fixtures/v2/A01/member.hl7

    Files may be batches or messages one after the other. For each field: what the standard calls it, whether
    something stands in it, whether the gateway reads it; then what is wrong, and what to do about it. Where stdout
    is no terminal, it gets a JSON line for each thing that is wrong.
    """
    settings = Settings()
    senders, failed = SendersFile(settings)(), False
    for path in files:
        for number, raw in enumerate(_messages(read(path)), 1):
            explained = explain(raw, partial(read_message, senders=senders, id_key=settings.keys().ids), refusals)
            failed = failed or bool(explained.findings)
            place = {"file": str(path), "message": number}
            if as_json:
                emit(place | _as_json(explained, values=values))
            else:
                tell(explained, f"{path}, message {number}", place, values=values)
    raise typer.Exit(code=int(failed))


def tell(explained: Explained, title: str, place: dict[str, Any], *, values: bool) -> None:
    """Explain a message to people; where stdout is no terminal, a JSON line there for each thing that is wrong."""
    _tell(explained, title, values=values)
    if not sys.stdout.isatty():
        for finding in explained.findings:
            emit(place | _finding(finding))


def _messages(raw: bytes) -> Iterator[bytes]:
    """The messages of a file; what is none is explained as what it is."""
    splitter = Splitter(len(raw) + 1)
    found = False
    for cut in (*splitter.feed(raw), *splitter.finish()):
        if cut.name in ("MSH", ""):
            found = True
            yield cut.raw
    if not found:
        yield raw


def _as_json(explained: Explained, *, values: bool) -> dict[str, Any]:
    return {
        "trigger": explained.trigger,
        "structure": explained.structure,
        "version": explained.version,
        "sender": explained.sender,
        "verdict": _weight(explained),
        "segments": [_segment(one, values=values) for one in explained.segments],
        "violations": [_finding(one) for one in explained.findings],
    }


def _weight(explained: Explained) -> Weight:
    weights = {finding.weight for finding in explained.findings}
    return next((weight for weight in Weight if weight in weights), Weight.TAKEN)


def _segment(segment: ExplainedSegment, *, values: bool) -> dict[str, Any]:
    fields = [
        {
            "field": f"{segment.name}-{one.number}",
            "name": one.name,
            "type": one.kind,
            "required": one.required,
            "valued": one.valued,
            "read": one.read,
        }
        | ({"value": one.value} if values else {})
        for one in segment.fields
    ]
    return {"segment": segment.name, "occurrence": segment.occurrence, "title": segment.title, "fields": fields}


def _finding(finding: Finding) -> dict[str, Any]:
    error = finding.error
    found = {"location": error.location, "code": error.err, "text": error.text}
    return found | {"weight": finding.weight, "do": finding.advice}


def _tell(explained: Explained, place: str, *, values: bool) -> None:
    """The tables of one message: fields that something stands in, or that are required; then the findings."""
    weight = _weight(explained)
    what = f"{explained.trigger or 'no event'} ({explained.structure or 'no structure'}) {explained.version}"
    people.print(
        f"\n[bold]{escape(place)}[/bold]: {what}: [{_COLOURS[weight]}]{_VERDICTS[weight]}[/]", soft_wrap=True
    )
    for segment in explained.segments:
        people.print(_table(segment, values=values))
    for finding in explained.findings:
        where = f"{finding.error.location}: " if finding.error.location else ""
        people.print(
            f"[{_COLOURS[finding.weight]}]{finding.weight}[/] {escape(where + finding.error.text)}", soft_wrap=True
        )
        people.print(f"        {escape(finding.advice)}", style="dim", soft_wrap=True)


def _table(segment: ExplainedSegment, *, values: bool) -> Table:
    count = f" {segment.occurrence}" if segment.occurrence > 1 else ""
    title = f"{segment.name}{count}  {segment.title}"
    table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False, header_style="dim")
    for column in ("field", "name", "type", "", "gateway", *(["value"] if values else [])):
        table.add_column(column)
    for one in segment.fields:
        if one.valued or one.required:
            there = "valued" if one.valued else "[red]empty[/red]"
            row = [
                f"{segment.name}-{one.number}",
                escape(one.name),
                one.kind,
                there,
                "reads it" if one.read else "-",
            ]
            table.add_row(*row, *([escape(one.value)] if values else []))
    return table
