"""How many durable ACKs a second, on how many connections: ``python bench/ack.py --connections 16 1``.

A gateway in a process of its own, and a hospital that sends on each connection, waits for the ACK, and sends the
next message. Processing follows the ACKs, as it would. Afterwards every AA must have its row in the journal.
"""

import argparse
import asyncio
import contextlib
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import orjson
import uvloop

sys.path.insert(0, str(Path(__file__).parent))
from feed import SENDERS, hospital
from figures import p50_p99
from kill import Victim

from fhirgw.v2.framing import frame

PEOPLE = 500
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Hospital(asyncio.Protocol):
    """One connection: sends, waits for the ACK, sends the next; without a task and without parsing."""

    def __init__(self, feed: Sequence[tuple[bytes, bytes]], seconds: list[float]) -> None:
        self.feed = iter(feed)
        self.seconds = seconds
        self.accepted = 0
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.send()

    def send(self) -> None:
        following, self.expected = next(self.feed, (None, b""))
        if following is None:
            self.transport.close()
            return
        self.began = time.perf_counter()
        self.transport.write(following)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"\x1c\r"):
            self.seconds.append(time.perf_counter() - self.began)
            assert self.expected in self.received, self.received
            self.accepted += 1
            self.received = b""
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


def feeds(messages: int, connections: int, mark: str) -> tuple[list[list[tuple[bytes, bytes]]], list[str]]:
    """For each connection its frames, each with the MSA that its ACK has to have, and all control ids."""
    parts: list[list[tuple[bytes, bytes]]] = [[] for _ in range(connections)]
    controls = []
    for number, made in enumerate(hospital(PEOPLE, messages)):
        control = f"{mark}{number:07d}"
        raw = made.replace(f"|H{number:07d}|".encode(), f"|{control}|".encode(), 1)
        original = raw.replace(b"|2.5.1|||AL|NE\r", b"|2.5.1\r", 1)  # original mode: AA
        parts[number % connections].append((frame(original), f"\rMSA|AA|{control}\r".encode()))
        controls.append(control)
    return parts, controls


async def run(victim: Victim, connections: int, messages: int, mark: str) -> tuple[list[str], dict[str, float]]:
    parts, controls = feeds(messages, connections, mark)
    seconds: list[float] = []
    loop = asyncio.get_running_loop()
    process = victim.process.pid
    used, began = cpu_seconds(process), time.perf_counter()
    mine = time.process_time()
    made = [
        await loop.create_connection(partial(Hospital, part, seconds), "127.0.0.1", victim.port) for part in parts
    ]
    await asyncio.gather(*(hospital.ended for _, hospital in made))
    wall, used, mine = time.perf_counter() - began, cpu_seconds(process) - used, time.process_time() - mine
    p50, p99 = p50_p99(seconds)
    accepted = sum(hospital.accepted for _, hospital in made)
    assert accepted == messages, accepted
    return controls, {
        "connections": connections,
        "ACKs": accepted,
        "ACKs a second": round(accepted / wall),
        "p50 ms": round(p50 * 1000, 2),
        "p99 ms": round(p99 * 1000, 2),
        "gateway CPU µs a message": round(used / accepted * 1e6),
        "client CPU µs a message": round(mine / accepted * 1e6),
        "load average": os.getloadavg()[0],
    }


def kept(database: Path) -> set[str]:
    """Control ids of the journal's accepted rows."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT control_id FROM journal WHERE ack_code = 'AA'").fetchall()
    return {control for (control,) in rows}


async def main(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        (data / "senders.toml").write_text(SENDERS)
        victim = Victim(data)
        accepted: list[str] = []
        victim.start()
        try:
            await victim.listening()
            for turn, connections in enumerate(arguments.connections):
                known, figures = await run(victim, connections, arguments.messages, f"ACK{turn}")
                accepted += known
                sys.stdout.write(orjson.dumps(figures).decode() + "\n")
        finally:
            victim.end()
        lost = set(accepted) - kept(data / "fhirgw.db")
        sys.stdout.write(orjson.dumps({"AA": len(accepted), "AA without a journal row": len(lost)}).decode() + "\n")
        sys.exit(bool(lost))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 1])
    parser.add_argument("--messages", type=int, default=5000)
    uvloop.run(main(parser.parse_args()))
