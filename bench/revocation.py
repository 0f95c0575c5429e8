"""From the commit of a revocation to the last byte: ``python bench/revocation.py``.

A gateway serves over real sockets. A member releases much to a practice, which opens pages, begins long answers
that it reads slowly, and has a thousand notifications queued; then the member revokes. Reported: what each of them
still gets after the commit, and how long after it the last byte of it comes.
"""

import argparse
import asyncio
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import structlog
import uvicorn
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).parent))
from ports import held
from practice import CLEARED, Json, label, release

from fhirgw import app
from fhirgw.api import create_api
from fhirgw.doors import HttpDoor
from fhirgw.send import Credentials, token
from fhirgw.settings import Settings
from fhirgw.store import clients, outbox, policy, repository
from fhirgw.store.clients import Client
from fhirgw.store.database import Transaction, migrate
from fhirgw.store.schema import outbox as outbox_table

LONG = "A goal of the member, in many words. " * 800
GOALS = 200
SMALL = 16 * 1024
"""Receive buffer of a slow reader, so that the kernel holds little of an answer."""


class Partner(ThreadingHTTPServer):
    """Takes notifications, and notes when."""

    daemon_threads = True

    def __init__(self) -> None:
        self.times: list[float] = []
        super().__init__(("127.0.0.1", 0), _Taken)


class _Taken(BaseHTTPRequestHandler):
    server: Partner

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.times.append(time.perf_counter())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def goal(number: int) -> Json:
    text = {"text": LONG}
    about = {"resourceType": "Goal", "id": f"g{number}", "meta": CLEARED, "lifecycleStatus": "active"}
    return about | {"description": text, "subject": {"reference": "Patient/p0"}}


def visit(number: int) -> Json:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    about = {"resourceType": "Encounter", "id": f"e{number}", "meta": CLEARED, "status": "in-progress"}
    return about | {
        "class": kind,
        "subject": {"reference": "Patient/p0"},
        "period": {"start": "2026-03-09T08:00:00Z"},
    }


def stored(gateway: app.Gateway, key: ECKey, endpoint: str, notices: int) -> None:
    """The member, the practice, and what is queued for it."""
    jwks = orjson.dumps(KeySet([key]).as_dict(private=False)).decode()

    def unit(tx: Transaction) -> None:
        repository.put(tx, {"resourceType": "Organization", "id": "elm", "name": "Elm"}, standing="registry")
        policy.enrol(tx, "p0", "bench", "active")
        for one in (
            {"resourceType": "Patient", "id": "p0"},
            release("p0", "c0", label("N")),
            *map(goal, range(GOALS)),
        ):
            repository.put(tx, one)
        clients.register(tx, Client("elm", "Elm", "elm", jwks, ("system/*.rs",), ("TREAT",), None, endpoint))

    gateway.database.write_sync(unit)
    queued: list[Json] = []
    for start in range(0, notices, 200):
        visits = [visit(number) for number in range(start, start + 200)]
        gateway.database.write_sync(partial(repository.put_all, resources=visits))
        queued += [
            {"created_at": 0, "patient": "p0", "focus": f"Encounter/{one['id']}", "code": "notification-admit",
             "key": "IMP", "nth": 0, "client": "elm", "state": "due", "attempts": 0, "due_at": 0,
             "ended_at": None, "error": None}
            for one in visits
        ]  # fmt: skip
    gateway.database.write_sync(lambda tx: tx.connection.execute(insert(outbox_table), queued) and None)


class Reader:
    """Reads a long answer slowly: a little before the revocation, all that still comes after it."""

    def __init__(self, port: int, path: str, bearer: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        self._socket.connect(("127.0.0.1", port))
        lines = (f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {bearer}", "Connection: close", "", "")
        self._socket.sendall("\r\n".join(lines).encode())
        self._first = self._socket.recv(SMALL)
        head, _, body = self._first.partition(b"\r\n\r\n")
        (length,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        self.length, self.before, self.after, self.last = int(length.split(b":")[1]), len(body), 0, 0.0

    def drain(self) -> None:
        try:
            while piece := self._socket.recv(1 << 20):
                self.after += len(piece)
                self.last = time.perf_counter()
        except ConnectionResetError:
            pass
        self._socket.close()


async def get(base: str, bearer: str, path: str) -> Json:
    """The JSON of a path or link."""
    import httpx  # noqa: PLC0415 - a partner's client, which the gateway does not have

    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        url = path if "://" in path else base + path
        answer: Json = (await http.get(url, headers={"Authorization": f"Bearer {bearer}"})).json()
        return answer


def states(gateway: app.Gateway) -> dict[str, int]:
    with gateway.database.read() as connection:
        return outbox.counts(connection)


async def measured(folder: Path, readers: int, pages: int, notices: int) -> None:
    partner = Partner()
    port = held(partner)
    settings = Settings(data_dir=folder, http_port=port, base_url=f"http://127.0.0.1:{port}")
    migrate(settings.database)
    gateway = app.build(settings)
    threading.Thread(target=partner.serve_forever, daemon=True).start()
    key = ECKey.generate_key("P-384", private=True, auto_kid=True)
    stored(gateway, key, f"http://127.0.0.1:{partner.server_port}/", notices)
    api = create_api(
        gateway.share, gateway.ingest, gateway.database, settings, gateway.keys, app.now, app.new_id,
        feeds=HttpDoor(gateway.doors),
    )  # fmt: skip
    server = uvicorn.Server(uvicorn.Config(api, host="127.0.0.1", port=port, log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    credentials = Credentials("elm", orjson.dumps(key.as_dict(private=True)).decode())
    bearer = await asyncio.to_thread(
        token, settings.base, credentials, now=int(time.time()), jti=os.urandom(8).hex()
    )
    links = []
    for _ in range(pages):
        first = await get(settings.base, bearer, "/Goal?_count=1")
        links += [one["url"] for one in first["link"] if one["relation"] == "next"]
    path = f"/fhir/Goal?_count={GOALS}"
    apart = partial(
        asyncio.get_running_loop().run_in_executor, ThreadPoolExecutor(readers + 1)
    )  # not the gateway's
    open_ = await asyncio.gather(*(apart(Reader, port, path, bearer) for _ in range(readers)))
    delivering = asyncio.create_task(gateway.notifier.deliver())
    while len(partner.times) < min(50, notices // 4):
        await asyncio.sleep(0.001)
    ended = await gateway.ingest.resources.revoke("p0", frozenset({"Organization/elm"}), written=False)
    commit = time.perf_counter()
    assert ended == ["Consent/c0"]
    draining = [apart(one.drain) for one in open_]
    totals = [(await get(settings.base, bearer, link)).get("total") for link in links]
    answered = time.perf_counter()
    await asyncio.gather(*draining)
    while (left := states(gateway)).get("due"):
        await asyncio.sleep(0.05)
    delivering.cancel()
    report(open_, totals, answered - commit, partner.times, commit, left)
    server.should_exit = True
    await serving
    partner.shutdown()
    gateway.database.close()


def report(
    readers: Sequence[Reader],
    totals: Sequence[int | None],
    pages: float,
    times: Sequence[float],
    commit: float,
    ended: dict[str, int],
) -> None:
    length, shown = readers[0].length, sum(map(bool, totals))
    after = sorted(one.after for one in readers)
    whole = sum(one.before + one.after >= one.length for one in readers)
    last = max((one.last - commit for one in readers if one.after), default=0.0) * 1000
    late = [(one - commit) * 1000 for one in times if one > commit]
    print(f"open pages: {len(totals)} next links after the commit, {shown} of them show anything; all answered in")
    print(f"  {pages * 1000:.0f} ms")
    print(f"long answers: {len(readers)} of {length:,} bytes, {whole} came whole; after the commit a median of")
    print(f"  {after[len(after) // 2]:,} bytes (most {after[-1]:,}), the last of them {last:.0f} ms after it")
    print(f"notifications: {len(times) - len(late)} before the commit, {len(late)} after it (the last")
    print(f"  {max(late, default=0):.0f} ms after); what became of all: {ended}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=10, help="long answers that are open")
    parser.add_argument("--pages", type=int, default=20, help="page links that are open")
    parser.add_argument("--notices", type=int, default=1_000, help="notifications that are queued")
    asked = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measured(Path(folder), asked.readers, asked.pages, asked.notices))


if __name__ == "__main__":
    main()
