"""What fhirgw does in a second, in one run on this machine: ``python bench/run.py`` (or ``make bench``).

Parsing is measured alone; the edges over real sockets of a gateway in a process of its own; reads and searches
through ``Share.release`` with a durable account of each, by a practice (consent) and by the programme's own system
(no filter), so that their ratio is the price of consent.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parent))
from feed import ROOT, SENDERS, cases, visits
from figures import machine
from kill import FHIRGW, Victim, drained

from fhirgw.app import build
from fhirgw.asks import Ask, Read, Requester, Search
from fhirgw.icm.statements import read_case
from fhirgw.ingest import register_organization
from fhirgw.settings import Settings
from fhirgw.share import Share
from fhirgw.store import identity
from fhirgw.store.database import migrate
from fhirgw.v2 import conformance
from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import parse

Figures = dict[str, float | str]
PEOPLE = 100
READS = (("PID", 3), ("PID", 5), ("PID", 7), ("PID", 8), ("PID", 11), ("PV1", 2), ("PV1", 3), ("PV1", 19))


def microseconds(work: Callable[[], object], repeat: int) -> float:
    started = time.perf_counter()
    for _ in range(repeat):
        work()
    return (time.perf_counter() - started) / repeat * 1e6


def parsing(feed: Sequence[bytes]) -> Figures:
    raw = feed[0]

    def own() -> None:
        message = parse(raw)
        for _ in range(5):
            for segment, field in READS:
                found = message.first(segment)
                assert found
                found.get(field)

    return {
        "v2 parse and 40 field reads, own codec, µs": round(microseconds(own, 2000), 1),
        "v2 parse and validate, hl7apy, µs": round(microseconds(lambda: conformance.lint(raw), 10), 1),
    }


async def acknowledged(port: int, feed: Sequence[bytes], connections: int) -> float:
    """Messages per second until each has its ACK."""

    async def one(part: Sequence[bytes]) -> None:
        async with MllpClient("127.0.0.1", port) as client:
            for raw in part:
                ack = await client.send(raw)
                assert b"MSA|AA" in ack, ack

    started = time.perf_counter()
    await asyncio.gather(*(one(feed[number::connections]) for number in range(connections)))
    return len(feed) / (time.perf_counter() - started)


async def edge(folder: Path, feed: Sequence[bytes], connections: int) -> Figures:
    """ACKs per second, and messages per second until the last one is processed."""
    victim = Victim(folder / f"edge{connections}")
    victim.prepare(PEOPLE)
    victim.start()
    try:
        await victim.listening()
        started = time.perf_counter()
        rate = await acknowledged(victim.port, feed, connections)
        await drained(victim.data / "fhirgw.db")
        processed = len(feed) / (time.perf_counter() - started)
    finally:
        victim.process.terminate()
        victim.process.wait()
    return {
        f"messages/s to durable ACK, {connections} connections": round(rate),
        f"messages/s fully processed, {connections} connections": round(processed),
    }


async def per_second(share: Share, requester: Requester, asks: Sequence[Ask], tasks: int = 16) -> float:
    """Answers per second with several requests under way."""
    queue = list(asks)

    async def worker() -> None:
        while queue:
            await share.release(requester, queue.pop())

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(tasks)))
    return len(asks) / (time.perf_counter() - started)


async def sharing(folder: Path) -> Figures:
    settings = Settings(data_dir=folder / "share")
    settings.data_dir.mkdir()
    (settings.data_dir / "senders.toml").write_text(SENDERS)
    migrate(settings.database)
    gateway = build(settings)
    for case in [*cases(PEOPLE), (ROOT / "fixtures/icm/ct-bhp.json").read_bytes()]:
        await gateway.ingest.cases.store(read_case(case))
    elm = ("http://hl7.org/fhir/sid/us-npi", "1234567893")
    organization = gateway.database.write_sync(
        lambda tx: register_organization(tx, gateway.keys.ids, *elm, "Elm Street Family Practice")
    )
    with gateway.database.read() as connection:
        alma = identity.find(connection, [("http://fhirgw.org/fhir/sid/ct-medicaid", "CT-TEST-0001")]).pop()
    practice = Requester("elm", organization, "TREAT", ("system/*.rs",), None, "bench")
    staff = Requester("icm", organization, "COC", ("system/*.rs",), frozenset({"*"}), "bench")
    plans = Search("CarePlan", (("patient", alma), ("_include", "CarePlan:goal")))
    figures: Figures = {}
    measured: dict[str, list[Ask]] = {"reads": [Read("Patient", alma)] * 2000, "searches": [plans] * 500}
    for name, asks in measured.items():
        rates = {}
        for who, requester in (("consent", practice), ("no filter", staff)):
            await per_second(gateway.share, requester, asks[:50])
            rates[who] = await per_second(gateway.share, requester, asks)
            figures[f"{name}/s, {who}"] = round(rates[who])
        figures[f"{name}: consent to no filter"] = round(rates["consent"] / rates["no filter"], 2)
    gateway.database.close()
    return figures


async def everything() -> Figures:
    feed = visits(PEOPLE, 3000)
    figures: Figures = {"machine": machine()}
    figures |= parsing(feed)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for connections in (1, 16):
            figures |= await edge(folder, feed, connections)
        figures |= await sharing(folder)
    return figures


def main() -> None:
    print(orjson.dumps(asyncio.run(everything()), option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    assert subprocess.run([str(FHIRGW), "--help"], capture_output=True, check=False).returncode == 0
    main()
