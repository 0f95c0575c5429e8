"""Mutated messages and byte streams against the codec, the mapper, and a whole gateway over real sockets.

``python bench/fuzz.py --messages 100000 --seed 1`` counts the outcomes and prints every failure with what
reproduces it (``--seed 1 --only 4711``). Each process fuzzes with a seed of its own: ``--processes 2`` takes two.

What is held:

- ``parse`` gives a message that encodes to the same bytes, or a GatewayError; every field of it can be read.
- ``map_message`` gives a Bundle whose every resource is valid, or GatewayErrors.
- Every complete frame that anybody can be told of gets exactly one ACK, in order, with its control id; a positive
  ACK means a journal row; nothing escapes from server, intake and processing.
"""

import argparse
import asyncio
import multiprocessing
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import orjson
import structlog

sys.path.insert(0, str(Path(__file__).parent))
from mutate import CORPUS, mutated, set_msh

from fhirgw.app import build, running
from fhirgw.demo import CASES, SENDERS
from fhirgw.errors import GatewayError
from fhirgw.icm.statements import read_case
from fhirgw.mappers.adt import map_message, read
from fhirgw.profiles.validation import problems
from fhirgw.settings import Sender, Senders, Settings
from fhirgw.store.database import migrate
from fhirgw.v2.codec import Message, encode, header, parse
from fhirgw.v2.framing import Deframer, Frame, frame

ROOT = Path(__file__).parent.parent
CONNECTIONS = 24
BATCH = 25
PER_STORE = 800  # the fixtures are about few people: a fold is over all that is known of one
MEMORY = Path("/dev/shm")  # where there is one: what a disk keeps is bench/kill.py's question
SCRATCH = str(MEMORY) if MEMORY.is_dir() else None
POSITIVE = (b"AA", b"CA")
SENDER = Sender(
    default_authority="http://fhirgw.org/fhir/sid/fuzz", z={"ZPD-1": "PD1-4", "ZPV-1": "Encounter urn:x:y"}
)
Acked = set[tuple[int, bytes, bytes]]
"""Positive answers: the first number of the batch, the control id, the answer."""
ESCAPED = frozenset(
    {"mllp receive failed", "extraction failed", "not kept", "ack state not kept", "processing failed"}
)
"""Log events that tell of an exception where none should be."""


class Fuzz:
    """One process's counts and failures."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def fail(self, number: int, what: str) -> None:
        self.failures.append(f"--seed {self.seed} --only {number}: {what}")

    # --- pure ---

    def pure(self, number: int, raw: bytes) -> None:
        try:
            header(raw)
            self.codec(number, raw)
            self.mapper(number, raw)
        except Exception as error:  # noqa: BLE001 - that none gets here is what is tested
            self.fail(number, f"{type(error).__name__} escaped: {error!s:.100}")

    def codec(self, number: int, raw: bytes) -> None:
        try:
            message = parse(raw)
        except GatewayError as error:
            self.counts[f"codec: refused {error.location} {error.err}"] += 1
            return
        self.counts["codec: read"] += 1
        if encode(message) != raw:
            self.fail(number, "encodes to other bytes")
        for segment in message.segments:
            for field in range(min(len(segment), 60) + 2):
                segment.get(field, 1 + field % 3, 1 + field % 2)
                for element in segment.repetitions(field)[:5]:
                    element.text  # noqa: B018 - read to be decoded

    def mapper(self, number: int, raw: bytes) -> None:
        try:
            bundle = map_message(*read(raw, Senders(default=SENDER), b"fuzz"))
        except GatewayError:
            return
        except ExceptionGroup as group:
            kinds = sorted({error.err if isinstance(error, GatewayError) else "?" for error in group.exceptions})
            self.counts[f"mapper: refused {' '.join(kinds)}"] += 1
            if "?" in kinds:
                self.fail(number, f"{group.exceptions!r:.200} escaped")
            return
        self.counts["mapper: mapped"] += 1
        for entry in bundle["entry"]:
            found = problems(entry["resource"])
            if found:
                self.fail(number, f"invalid {found[0].expression}: {found[0].text}")
        orjson.dumps(bundle)

    # --- the gateway ---

    def gateway(self, template: Path, numbers: Sequence[int]) -> None:
        """These messages through one store that then is thrown away."""
        with tempfile.TemporaryDirectory(prefix="fhirgw-fuzz-", dir=SCRATCH) as folder:
            data = Path(folder) / "data"
            shutil.copytree(template, data)
            acked = asyncio.run(self.serve(data, numbers))
            self.settle(data, acked)

    async def serve(self, data: Path, numbers: Sequence[int]) -> Acked:
        escaped: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context["message"]))
        gateway = build(Settings(data_dir=data, mllp_port=0, max_message_bytes=50_000, http_port=0))
        acked: Acked = set()
        try:
            async with running(gateway) as server:
                parts = [numbers[start::CONNECTIONS] for start in range(CONNECTIONS)]
                await asyncio.gather(*(self.peer(server.port, part, acked) for part in parts if part))
        finally:
            gateway.database.close()
        for what in escaped:
            self.fail(numbers[0], f"in the loop: {what}")
        return acked

    async def peer(self, port: int, numbers: Sequence[int], acked: Acked) -> None:
        """A hospital on one connection: batches of frames, each ended by a message that is good."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        deframer = Deframer(1 << 24)
        late: set[bytes] = set()
        try:
            for start in range(0, len(numbers), BATCH):
                batch = numbers[start : start + BATCH]
                sent = [mutated(self.seed, number)[0] for number in batch]
                last = f"E{self.seed}-{batch[0]}".encode()
                rng = random.Random(f"{self.seed}:{batch[0]}:stream")
                exact = rng.random() < 0.6
                if exact:
                    sent = [raw for raw in sent if _plain(raw)]
                    stream = b"".join(_framed(rng, raw) for raw in sent)
                else:
                    stream = b"".join(_wild(rng, raw) for raw in sent) + b"\x1c\r"
                stream += frame(set_msh(_GOOD, 10, last))
                await _cut(rng, writer, stream)
                answers = await _until(reader, deframer, last)
                if answers is None:
                    self.fail(batch[0], "the connection was closed")
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    deframer = Deframer(1 << 24)
                    continue
                self.answered(batch, sent if exact else None, answers, acked, late)
                if not exact:
                    late |= {_control(top) for raw in sent if (top := header(raw))}
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def answered(
        self,
        batch: Sequence[int],
        sent: Sequence[bytes] | None,
        answers: Sequence[bytes],
        acked: Acked,
        late: set[bytes],
    ) -> None:
        """Hold the answers to what was sent, and remember what was promised.

        Args:
            batch: Numbers of the messages.
            sent: The frames to be counted; None for a stream in which they cannot be.
            answers: What came before the answer to the message at the end.
            acked: Positive answers are added to it.
            late: Control ids of earlier frames, whose application ACK may still have followed (enhanced mode).
        """
        for answer in answers:
            for code, control in _verdicts(answer):
                self.counts[f"mllp: {code.decode('latin-1')}"] += 1
                if code in POSITIVE:
                    acked.add((batch[0], control, answer))
        if sent is None:
            self.counts["mllp: streams without exact count"] += 1
            return
        owed = [_control(top) for raw in sent if (top := header(raw)) and _answerable(top)]
        told = [control for answer in answers for _, control in _verdicts(answer)]
        told = [control for control in told if control in owed or control not in late]
        self.counts["mllp: frames counted exactly"] += len(sent)
        if owed != told:
            at = next((at for at, pair in enumerate(zip(owed, told, strict=False)) if pair[0] != pair[1]), None)
            self.fail(batch[0], f"{len(owed)} ACKs owed, {len(told)} given; first difference at {at}")

    def settle(self, data: Path, acked: Acked) -> None:
        """A positive ACK means a journal row; every row came to an end, and none to an exception of ours."""
        with closing(sqlite3.connect(data / "fhirgw.db")) as connection:
            wanted = "SELECT control_id, ack, state, error_code, error_location FROM journal"
            rows = connection.execute(wanted).fetchall()
        taken = [(control, ack) for control, ack, state, *_ in rows if state != "rejected"]
        kept = {_bytes(control) for control, _ in taken}  # an application ACK, or one in a batch, is not in the row
        answers = {ack for _, ack in taken}
        for batch, control, answer in acked:
            if control not in kept and answer not in answers:
                self.fail(batch, f"a positive ACK without a journal row: {answer!r:.300}")
        for *_, state, code, location in rows:
            reason = f" {location} {code}" if state == "parked" else ""
            self.counts[f"journal: {state}{reason}"] += 1
            if state == "received":
                self.fail(0, "a row was never processed")

    def log(self, _: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.ProcessorReturnValue:
        """Count what the gateway logs of errors."""
        if event["event"] in ESCAPED:
            self.fail(0, f"{event['event']}: {event.get('error')}")
        if event["event"] == "message parked" and event.get("error") not in _KNOWN:
            self.fail(0, f"processing failed: {event.get('error')} (journal row {event.get('row')})")
        raise structlog.DropEvent


_GOOD = next(raw for raw in CORPUS if b"ELMHOSP" in raw and b"ADT^A08" in raw)
_KNOWN = frozenset(kind.__name__ for kind in GatewayError.__subclasses__())


def _plain(raw: bytes) -> bool:
    """Content that can be counted exactly: whole in one frame, one message, original mode."""
    top = header(raw)
    if (
        any(byte in raw for byte in (b"\x0b", b"\x1c", b"FHS", b"BHS"))
        or raw.count(b"MSH") > 1
        or len(raw) > 50_000
    ):
        return False
    return b"M\0S\0" not in raw and (top is None or not (top.header.get(15) or top.header.get(16)))


def _answerable(top: Message) -> bool:
    return top.header.get(9) != "ACK"


def _control(top: Message) -> bytes:
    return top.header.field(10).encode(top.codec, "replace").strip()


def _bytes(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "replace").strip()


def _framed(rng: random.Random, raw: bytes) -> bytes:
    """A frame as real peers send it."""
    between = rng.choice((b"", b"", b"\r\n", b"\0\0", b"\n"))
    start = b"\x0b" * rng.choice((1, 1, 1, 2))
    return between + start + raw + rng.choice((b"\x1c\r", b"\x1c\r", b"\x1c\r\n", b"\x1c\r\x1c\r"))


def _wild(rng: random.Random, raw: bytes) -> bytes:
    """A frame as nobody should send it."""
    kind = rng.randrange(8)
    if kind == 0:
        return raw[:2000]
    if kind == 1:
        return b"\x0b" + raw
    if kind == 2:
        return raw[:2000] + b"\x1c\r"
    if kind == 3:
        at = rng.randrange(len(raw) + 1)
        return frame(raw[:at] + rng.choice((b"\x1c", b"\x0b", b"\x1c\r", b"\x0bMSH|")) + raw[at:])
    if kind == 4:
        return b"\x0b\x0b" + raw + b"\x1c"
    if kind == 5:
        return rng.randbytes(rng.randrange(30)) + frame(raw)
    return frame(raw)


async def _cut(rng: random.Random, writer: asyncio.StreamWriter, stream: bytes) -> None:
    """Send the stream in pieces of any size."""
    at = 0
    while at < len(stream):
        size = rng.choice((1, 7, 500, 20_000, 100_000))
        writer.write(stream[at : at + size])
        at += size
        with suppress(OSError):
            await writer.drain()


async def _until(reader: asyncio.StreamReader, deframer: Deframer, last: bytes) -> list[bytes] | None:
    """The answers before the one to the last message; None when the connection ends first."""
    answers: list[bytes] = []
    while True:
        try:
            async with asyncio.timeout(60):
                received = await reader.read(65_536)
        except OSError:
            return None
        if not received:
            return None
        for event in deframer.feed(received):
            if not isinstance(event, Frame):
                answers.append(b"")
            elif (b"|" + last) in event.content:
                return answers
            else:
                answers.append(event.content)


def _verdicts(answer: bytes) -> Iterator[tuple[bytes, bytes]]:
    """MSA-1 and MSA-2 of each MSA in an answer, in whatever units it is written."""
    wide = answer[:4].count(0) >= 2 or answer[:2] in (b"\xff\xfe", b"\xfe\xff")
    lines = (answer.replace(b"\0", b"") if wide else answer).split(b"\r")
    for line in lines:
        if line[:3] == b"MSA":
            fields = [*line.split(line[3:4]), b"", b""]
            yield fields[1], fields[2].strip()


def _template(folder: Path) -> Path:
    """The demo's people, so that some of the messages are about somebody."""
    folder.mkdir()
    (folder / "senders.toml").write_text(SENDERS + '\n[default]\ndefault_authority = "urn:oid:1.2.3"\n', "utf-8")
    settings = Settings(data_dir=folder)
    migrate(settings.database)
    asyncio.run(_people(settings))
    return folder


async def _people(settings: Settings) -> None:
    gateway = build(settings)
    for name in CASES:
        await gateway.ingest.cases.store(read_case((ROOT / "fixtures" / "icm" / name).read_bytes()))
    gateway.database.close()


def fuzz(seed: int, first: int, messages: int, *, edge: bool = True) -> tuple[Counter[str], list[str]]:
    """Fuzz with messages ``first`` to ``first + messages`` of a seed."""
    one = Fuzz(seed)
    structlog.configure(processors=[one.log])
    for number in range(first, first + messages):
        one.pure(number, mutated(seed, number)[0])
    if edge:
        with tempfile.TemporaryDirectory(prefix="fhirgw-fuzz-", dir=SCRATCH) as folder:
            template = _template(Path(folder) / "template")
            for start in range(first, first + messages, PER_STORE):
                one.gateway(template, range(start, min(start + PER_STORE, first + messages)))
    return one.counts, one.failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="seeds from --seed on, one a process")
    parser.add_argument("--only", type=int, help="this message alone, shown")
    parser.add_argument("--pure", action="store_true", help="codec and mapper, no gateway")
    given = parser.parse_args()
    if given.only is not None:
        raw, mutations = mutated(given.seed, given.only)
        print(mutations, raw)
    first, each = (given.only, 1) if given.only is not None else (0, -(-given.messages // given.processes))
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        jobs = [
            pool.apply_async(fuzz, (given.seed + at, first, each), {"edge": not given.pure})
            for at in range(given.processes)
        ]
        results = [job.get() for job in jobs]
    counts = sum((counts for counts, _ in results), Counter())
    failures = [failure for _, some in results for failure in some]
    for name, count in sorted(counts.items()):
        print(f"{count:>9}  {name}")
    seconds = time.monotonic() - started
    print(f"{each * given.processes} messages in {seconds:.0f} s, {len(failures)} failures")
    for failure in failures[:50]:
        print(failure)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
