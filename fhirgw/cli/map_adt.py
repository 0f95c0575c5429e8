"""``map adt``: messages, batches and directories of them to Bundles, and a report of what became of each field."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import orjson
import typer

from fhirgw.app import SendersFile
from fhirgw.cli.terminal import emit, people, read
from fhirgw.consent.model import Json
from fhirgw.errors import InvalidElement, MalformedMessage, TooLarge
from fhirgw.intake import read as read_message
from fhirgw.mappers.adt import map_message
from fhirgw.mappers.event import MapContext
from fhirgw.mappers.report import report, summary
from fhirgw.outcome import operation_outcome
from fhirgw.profiles.validation import require_valid
from fhirgw.settings import Senders, Settings
from fhirgw.v2.batch import Splitter
from fhirgw.v2.codec import Message

_LOOKS_LIKE_V2 = (b"MSH", b"FHS", b"BHS", "MSH".encode("utf-16-le"), "MSH".encode("utf-16-be"))
_TOP = 256

Paths = Annotated[list[Path], typer.Argument(help="Files or directories; - is stdin.", show_default=False)]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report", help="Write here, as JSON, what became of each segment and field.", show_default=False
    ),
]


Validate = Annotated[
    bool, typer.Option("--validate/--no-validate", help="Hold each Bundle to FHIR R4 before it is written.")
]


def map_adt(paths: Paths, report: Report = None, validate: Validate = False) -> None:
    """Map HL7 v2 ADT messages, each alone. Example: fhirgw map adt fixtures/v2/A01/member.hl7

    A file may be a batch; of a directory every file that holds HL7 v2 is taken. With --report FILE.json, FILE.json
    names what is mapped and what is not of every message.
    """
    settings = Settings()
    mapper = _Mapper(
        SendersFile(settings)(), settings.keys().ids, settings.max_message_bytes, report is not None, validate
    )
    for path in paths:
        for file in _files(path, mapper):
            mapper.file(file)
    if report is not None:
        told = {"summary": summary(mapper.reports), "skipped": mapper.skipped, "messages": mapper.reports}
        report.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    raise typer.Exit(code=int(mapper.failed))


class _Mapper:
    """Maps one message after another; a failure is told, and the next goes on."""

    def __init__(self, senders: Senders, id_key: bytes, max_bytes: int, reporting: bool, validating: bool) -> None:
        self._senders = senders
        self._id_key = id_key
        self._max_bytes = max_bytes
        self._reporting = reporting
        self._validating = validating
        self.reports: list[Json] = []
        self.skipped: list[str] = []
        self.failed = False

    def file(self, path: Path) -> None:
        """Every message of a file."""
        try:
            raw = read(path)
        except InvalidElement as error:
            self._fail(path, 0, [error])
            return
        splitter = Splitter(self._max_bytes)
        number = 0
        for cut in (*splitter.feed(raw), *splitter.finish()):
            if cut.name not in ("MSH", ""):
                continue  # a header or trailer of the batch
            number += 1
            if cut.truncated:
                self._fail(path, number, [TooLarge("The message is larger than this gateway takes.")])
            elif not cut.name:
                self._fail(path, number, [MalformedMessage("This is no HL7 v2 message.")])
            else:
                self._one(path, number, cut.raw)
        if not number:
            self._fail(path, 0, [MalformedMessage("There is no message in this file.")])

    def _one(self, path: Path, number: int, raw: bytes) -> None:
        try:
            message, context = read_message(raw, self._senders, self._id_key)
            if self._reporting:
                self._with_report(path, number, message, context)
            else:
                self._emit(map_message(message, context))
        except ExceptionGroup as group:
            self._fail(path, number, list(group.exceptions))
        except Exception as error:  # noqa: BLE001 - one message of many: the rest are mapped
            self._fail(path, number, [error])

    def _with_report(self, path: Path, number: int, message: Message, context: MapContext) -> None:
        bundle, told, problems = report(message, context)
        self.reports.append({"file": str(path), "number": number, **told})
        if bundle is not None:
            self._emit(bundle)
        else:
            self._tell(path, problems)

    def _emit(self, bundle: Json) -> None:
        if self._validating:
            require_valid(bundle)
        emit(bundle)

    def _fail(self, path: Path, number: int, errors: list[Exception]) -> None:
        if self._reporting:
            problems = [
                {"location": getattr(one, "location", None), "text": getattr(one, "text", type(one).__name__)}
                for one in errors
            ]
            told = {"file": str(path), "number": number, "outcome": "unreadable", "problems": problems}
            self.reports.append(told)
        self._tell(path, errors)

    def _tell(self, path: Path, errors: Iterable[Exception]) -> None:
        """An OperationOutcome line on stderr, naming the file."""
        self.failed = True
        outcome = operation_outcome(list(errors))
        outcome["issue"][0]["details"] = {"text": str(path)}
        people.print_json(data=outcome, indent=None)


def _files(path: Path, mapper: _Mapper) -> Iterator[Path]:
    """The file itself; of a directory its files that begin as HL7 v2 does, in the order of their names."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*")):
        if not file.is_file():
            continue
        with file.open("rb") as opened:
            top = opened.read(_TOP)
        if any(mark in top for mark in _LOOKS_LIKE_V2):
            yield file
        else:
            mapper.skipped.append(str(file))
