"""``map adt``: messages, batches and directories of them to Bundles, and a report of what became of each field.

A few messages are mapped here; of more than that the rest goes to a process for each core, in chunks that come back
in their order. However much there is, so many chunks are held at once.
"""

import gc
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from fhirgw.cli.terminal import people
from fhirgw.errors import InvalidElement, MalformedMessage, TooLarge
from fhirgw.mappers.adt import map_message, read
from fhirgw.mappers.report import report as report_of
from fhirgw.mappers.report import summary
from fhirgw.outcome import operation_outcome
from fhirgw.profiles.validation import require_valid
from fhirgw.settings import Senders, Settings
from fhirgw.v2.batch import Splitter

Json = dict[str, Any]

_LOOKS_LIKE_V2 = (b"MSH", b"FHS", b"BHS", "MSH".encode("utf-16-le"), "MSH".encode("utf-16-be"))
_TOP = 256
_BLOCK = 1 << 20
_MESSAGES = 128
"""A chunk has so many messages, or one more than ``_BLOCK`` bytes of them; the first is mapped in this process."""

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


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("adt")(map_adt)


def map_adt(paths: Paths, report: Report = None, validate: Validate = False) -> None:
    """Map HL7 v2 ADT messages, each alone. Example: fhirgw map adt fixtures/v2/A01/member.hl7

    A file may be a batch; of a directory every file that holds HL7 v2 is taken. With --report FILE.json, FILE.json
    names what is mapped and what is not of every message.
    """
    settings = Settings()
    mapper = Mapper(_senders(settings), settings.keys().ids, report is not None, validate)
    freeze()
    source = Source(settings.max_message_bytes)
    reports: list[Json] = []
    failed = False
    for mapped in _mapped(mapper, _chunks(source.messages(paths))):
        failed |= _tell(mapped, reports)
    if report is not None:
        told = {"summary": summary(reports), "skipped": source.skipped, "messages": reports}
        report.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    raise typer.Exit(code=int(failed))


def freeze() -> None:
    """What is loaded stays, and Bundles are trees: the cycle collector has little to look for."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _senders(settings: Settings) -> Senders:
    try:
        return settings.senders()
    except (OSError, ValueError) as error:
        raise InvalidElement(f"The senders file cannot be read: {error}", location="senders") from None


@dataclass(frozen=True, slots=True)
class Given:
    """One message of a file: its bytes, or why there are none."""

    path: str
    number: int
    raw: bytes = b""
    problem: Exception | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of one: the Bundle as a line, or an OperationOutcome; and the report, where one is wanted."""

    bundle: bytes = b""
    outcome: Json | None = None
    report: Json | None = None


Chunk = list[Given]


@dataclass(slots=True)
class Source:
    """Cuts files into messages; ``skipped`` gathers the files of directories that hold none."""

    max_bytes: int
    skipped: list[str] = field(default_factory=list)

    def messages(self, paths: Iterable[Path]) -> Iterator[Given]:
        """Every message of every file, in order."""
        for path in paths:
            for file in self._files(path):
                yield from self._file(file)

    def _files(self, path: Path) -> Iterator[Path]:
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
                self.skipped.append(str(file))

    def _file(self, path: Path) -> Iterator[Given]:
        splitter, number, name = Splitter(self.max_bytes), 0, str(path)
        try:
            for block in _blocks(path):
                for cut in splitter.feed(block) if block else splitter.finish():
                    if cut.name not in ("MSH", ""):
                        continue  # a header or trailer of the batch
                    number += 1
                    if cut.truncated:
                        problem: Exception = TooLarge("The message is larger than this gateway takes.")
                        yield Given(name, number, problem=problem)
                    elif not cut.name:
                        yield Given(name, number, problem=MalformedMessage("This is no HL7 v2 message."))
                    else:
                        yield Given(name, number, cut.raw)
        except OSError as error:
            yield Given(name, number, problem=InvalidElement(f"{path}: {error.strerror}"))
        else:
            if not number:
                yield Given(name, 0, problem=MalformedMessage("There is no message in this file."))


def _blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file (``-`` is stdin), a block at a time; an empty one at the end."""
    if str(path) == "-":
        while block := sys.stdin.buffer.read(_BLOCK):
            yield block
    else:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
    yield b""


@dataclass(frozen=True, slots=True)
class Mapper:
    """Maps one message after another; a failure is told, and the next goes on."""

    senders: Senders
    id_key: bytes
    reporting: bool
    validating: bool

    def each(self, chunk: Chunk) -> list[Mapped]:
        """What became of each message, in order."""
        return [self._one(given) for given in chunk]

    def _one(self, given: Given) -> Mapped:
        told: Json | None = None
        try:
            if given.problem:
                raise given.problem  # noqa: TRY301 - told as all others are
            message, context = read(given.raw, self.senders, self.id_key)
            if not self.reporting:
                bundle: Json | None = map_message(message, context)
            else:
                bundle, told, problems = report_of(message, context)
                if bundle is None:
                    return _refused(given, problems, told)
            if self.validating and bundle is not None:
                require_valid(bundle)
            return Mapped(orjson.dumps(bundle), report=told and _placed(given, told))
        except ExceptionGroup as group:
            return _refused(given, list(group.exceptions), self._unreadable(group.exceptions, told))
        except Exception as error:  # noqa: BLE001 - one message of many: the rest are mapped
            return _refused(given, [error], self._unreadable([error], told))

    def _unreadable(self, errors: Iterable[Exception], told: Json | None) -> Json | None:
        """The report of a message that has none, or of one whose Bundle is not valid."""
        if not self.reporting:
            return None
        problems = [
            {"location": getattr(one, "location", None), "text": getattr(one, "text", type(one).__name__)}
            for one in errors
        ]
        return {**(told or {}), "outcome": "invalid" if told else "unreadable", "problems": problems}


def _refused(given: Given, errors: Iterable[Exception], told: Json | None) -> Mapped:
    outcome = operation_outcome(list(errors))
    outcome["issue"][0]["details"] = {"text": given.path}
    return Mapped(outcome=outcome, report=told and _placed(given, told))


def _placed(given: Given, told: Json) -> Json:
    return {"file": given.path, "number": given.number, **told}


def _chunks(messages: Iterable[Given]) -> Iterator[Chunk]:
    chunk: Chunk = []
    size = 0
    for given in messages:
        chunk.append(given)
        size += len(given.raw)
        if len(chunk) == _MESSAGES or size > _BLOCK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _mapped(mapper: Mapper, chunks: Iterator[Chunk]) -> Iterator[list[Mapped]]:
    """The chunks, mapped, in their order: the first one here, the rest by a process for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for first in chunks:
        yield mapper.each(first)
        break
    second = next(chunks, None)
    if second is None or cores < 2:
        rest = chunks if second is None else _before(second, chunks)
        yield from map(mapper.each, rest)
        return
    with ProcessPoolExecutor(cores, initializer=_start, initargs=(mapper,)) as pool:
        waiting: deque[Future[list[Mapped]]] = deque()
        try:
            for chunk in _before(second, chunks):
                waiting.append(pool.submit(_work, chunk))
                if len(waiting) > 2 * cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _before(first: Chunk, rest: Iterable[Chunk]) -> Iterator[Chunk]:
    yield first
    yield from rest


_OWN: list[Mapper] = []
"""The mapper of a process that is started for chunks."""


def _start(mapper: Mapper) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it ends it
    _OWN[:] = [mapper]


def _work(chunk: Chunk) -> list[Mapped]:
    return _OWN[0].each(chunk)


def _tell(chunk: list[Mapped], reports: list[Json]) -> bool:
    """Bundles to stdout, OperationOutcomes to stderr, each a line; whether there was one of those."""
    for one in chunk:
        if one.report is not None:
            reports.append(one.report)
        if one.outcome is None:
            sys.stdout.buffer.write(one.bundle + b"\n")
        else:
            people.print_json(data=one.outcome, indent=None)
    sys.stdout.buffer.flush()
    return any(one.outcome is not None for one in chunk)
