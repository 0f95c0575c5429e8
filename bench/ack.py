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
from itertools import count
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parent))
from feed import SENDERS, message
from kill import Victim

from fhirgw.v2.framing import frame

PEOPLE = 500
EVENTS = ("A01", "A08", "A03")
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process):
    """User and system time of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Hospital(asyncio.Protocol):
    """One connection: sends, waits for the ACK, sends the next."""

    def __init__(self, frames, seconds, accepted):
        self.frames = iter(frames)
        self.seconds = seconds
        self.accepted = accepted
        self.ended = asyncio.get_running_loop().create_future()
        self.received = b""

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        following = next(self.frames, None)
        if following is None:
            self.transport.close()
            return
        self.began = time.perf_counter()
        self.transport.write(following)

    def data_received(self, received):
        self.received += received
        if self.received.endswith(b"\x1c\r"):
            self.seconds.append(time.perf_counter() - self.began)
            code, control = self.received.partition(b"MSA|")[2].split(b"\r")[0].split(b"|")[:2]
            assert code == b"AA", self.received
            self.accepted.append(control.decode())
            self.received = b""
            self.send()

    def connection_lost(self, error):
        self.ended.set_result(error)


async def run(victim, connections, messages, numbers):
    parts = [[] for _ in range(connections)]
    for at in range(messages):
        number = next(numbers)
        visit, step = divmod(number, 3)
        raw = message(visit % PEOPLE, visit // PEOPLE, EVENTS[step], f"ACK{number:08d}")
        parts[at % connections].append(frame(raw))
    seconds, accepted = [], []
    loop = asyncio.get_running_loop()
    process = victim.process.pid
    used, began = cpu_seconds(process), time.perf_counter()
    mine = time.process_time()
    made = [
        await loop.create_connection(lambda part=part: Hospital(part, seconds, accepted), "127.0.0.1", victim.port)
        for part in parts
    ]
    await asyncio.gather(*(hospital.ended for _, hospital in made))
    wall, used, mine = time.perf_counter() - began, cpu_seconds(process) - used, time.process_time() - mine
    seconds.sort()
    return accepted, {
        "connections": connections,
        "ACKs": len(accepted),
        "ACKs a second": round(len(accepted) / wall),
        "p50 ms": round(seconds[len(seconds) // 2] * 1000, 2),
        "p99 ms": round(seconds[len(seconds) * 99 // 100] * 1000, 2),
        "gateway CPU µs a message": round(used / len(accepted) * 1e6),
        "client CPU µs a message": round(mine / len(accepted) * 1e6),
        "load average": os.getloadavg()[0],
    }


async def listening(victim):
    """Wait until the gateway takes connections."""
    while True:
        assert victim.process.poll() is None
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", victim.port)
            writer.close()
            return
        await asyncio.sleep(0.05)


def kept(database):
    """Control ids of the journal's accepted rows."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT control_id FROM journal WHERE ack_code = 'AA'").fetchall()
    return {control for (control,) in rows}


async def main(arguments):
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        (data / "senders.toml").write_text(SENDERS)
        victim, numbers, accepted = Victim(data), count(), []
        victim.start()
        try:
            await listening(victim)
            for connections in arguments.connections:
                known, figures = await run(victim, connections, arguments.messages, numbers)
                accepted += known
                sys.stdout.write(orjson.dumps(figures).decode() + "\n")
        finally:
            victim.process.kill()
            victim.process.wait()
        lost = set(accepted) - kept(data / "fhirgw.db")
        sys.stdout.write(orjson.dumps({"AA": len(accepted), "AA without a journal row": len(lost)}).decode() + "\n")
        sys.exit(bool(lost))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 1])
    parser.add_argument("--messages", type=int, default=5000)
    asyncio.run(main(parser.parse_args()))
