"""kill -9 during a feed, and then count: every message that got AA is there once, and is one Encounter per visit.

``python bench/kill.py --messages 5000 --kills 20 --connections 8`` prints the counts as JSON.
"""

import argparse
import asyncio
import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parent))
from feed import SENDERS, cases, visits
from ports import held

from fhirgw.v2.framing import frame

FHIRGW = Path(sys.executable).parent / "fhirgw"


@dataclass
class Victim:
    """The gateway process that is killed and started again."""

    data: Path
    port: int = field(init=False)
    http: int = field(init=False)
    running: subprocess.Popen[bytes] | None = None
    kills: int = 0

    def __post_init__(self) -> None:
        self.port, self.http = held(self), held(self)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "FHIRGW_DATA_DIR": str(self.data),
            "FHIRGW_MLLP_PORT": str(self.port),
            "FHIRGW_HTTP_PORT": str(self.http),
        }

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self.running, "it was not started"
        return self.running

    def start(self) -> None:
        self.running = subprocess.Popen(
            [str(FHIRGW), "serve"], env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self.end()
        self.kills += 1
        self.start()

    def end(self) -> None:
        """For good, and without a word."""
        self.process.kill()
        self.process.wait()

    async def listening(self) -> None:
        """Wait until it takes connections."""
        while True:
            assert self.process.poll() is None, "it has ended"
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", self.port))[1].close()
                return
            await asyncio.sleep(0.05)

    def prepare(self, people: int) -> None:
        self.data.mkdir(parents=True)
        (self.data / "senders.toml").write_text(SENDERS)
        folder = self.data / "cases"
        folder.mkdir()
        for number, case in enumerate(cases(people)):
            (folder / f"{number:05d}.json").write_bytes(case)
        subprocess.run(
            [str(FHIRGW), "import", *map(str, sorted(folder.iterdir()))],
            env=self.environment(),
            check=True,
            capture_output=True,
        )


async def hospital(
    victim: Victim, queue: asyncio.Queue[bytes], acked: list[bytes], done: Callable[[], None]
) -> None:
    """One connection: send, wait for the ACK, and send again what got none, as an interface engine does."""
    while True:
        try:
            raw = queue.get_nowait()
        except asyncio.QueueEmpty:
            return
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                reader, writer = await asyncio.open_connection("127.0.0.1", victim.port)
                try:
                    while True:
                        writer.write(frame(raw))
                        ack = await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 20)
                        code = ack.split(b"MSA|")[1][:2]
                        if code == b"AA":
                            acked.append(raw)
                            done()
                            raw = queue.get_nowait()
                        elif code != b"AR":
                            raise AssertionError(ack)
                except asyncio.QueueEmpty:
                    return
                finally:
                    writer.close()
            await asyncio.sleep(0.02)


async def assault(victim: Victim, feed: Sequence[bytes], kills: int, connections: int, seed: int) -> list[bytes]:
    """Feed over several connections while the process is killed at random points of the feed."""
    chance = random.Random(seed)
    points = sorted(chance.sample(range(len(feed) // 50, len(feed)), kills))
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    for raw in feed:
        queue.put_nowait(raw)
    acked: list[bytes] = []

    def done() -> None:
        if points and len(acked) >= points[0]:
            points.pop(0)
            victim.kill()

    await asyncio.gather(*(hospital(victim, queue, acked, done) for _ in range(connections)))
    return acked


def due(database: Path) -> int:
    """How many acknowledged messages wait to be processed."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        ((rows,),) = connection.execute("SELECT count(*) FROM journal WHERE state = 'received'").fetchall()
    return int(rows)


async def drained(database: Path) -> None:
    """Until nothing acknowledged is due any more."""
    while due(database):
        await asyncio.sleep(0.02)


def count(database: Path, feed: Sequence[bytes], acked: Sequence[bytes]) -> dict[str, object]:
    """What the store holds, against what the hospital was told."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT raw, state FROM journal WHERE ack_code = 'AA'").fetchall()
        [[encounters]] = connection.execute(
            "SELECT count(*) FROM resource WHERE type = 'Encounter' AND NOT deleted"
        ).fetchall()
        bodies = connection.execute("SELECT body FROM resource WHERE type = 'Encounter' AND NOT deleted").fetchall()
        [[check]] = connection.execute("PRAGMA integrity_check").fetchall()
    kept = [raw for raw, _ in rows]
    statuses = Counter(orjson.loads(body)["status"] for (body,) in bodies)
    return {
        "messages": len(feed),
        "acknowledged AA": len(acked),
        "acknowledged and not in the journal": len(set(acked) - set(kept)),
        "in the journal more than once": len(kept) - len(set(kept)),
        "not processed": sum(state != "processed" for _, state in rows),
        "visits": len({raw.split(b"PV1|")[1].split(b"^VN")[0].split(b"|")[-1] for raw in feed}),
        "encounters": encounters,
        "encounter status": dict(statuses),
        "integrity": check,
    }


async def run(messages: int, kills: int, connections: int, people: int, seed: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        victim = Victim(Path(folder) / "data")
        victim.prepare(people)
        victim.start()
        feed = visits(people, messages)
        try:
            acked = await assault(victim, feed, kills, connections, seed)
            await drained(victim.data / "fhirgw.db")
        finally:
            victim.end()
        return {"kills": victim.kills, **count(victim.data / "fhirgw.db", feed, acked)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=5000)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--connections", type=int, default=8)
    options.add_argument("--people", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    counts = asyncio.run(run(given.messages, given.kills, given.connections, given.people, given.seed))
    print(orjson.dumps(counts, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
