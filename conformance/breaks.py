"""HAPI broken on purpose, through a proxy: the harness reports it, and removes what it wrote.

Run by ``conformance/run.py``, which has started HAPI. Each test puts a real HTTP proxy between the harness and the
server, and lets it refuse, fall silent or answer wrongly.
"""

import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import hapi

from fhirgw import harness
from fhirgw.configuration import load_programs
from fhirgw.harness.report import Report
from fhirgw.harness.result import Result
from fhirgw.harness.synthetic import RUN, Run, Sample, samples
from fhirgw.harness.target import Target

SERVER = hapi.base(hapi.PORT)
PROCESS = secrets.token_hex(4)
UNHEARD = -1
HOP = {"connection", "content-length", "transfer-encoding", "keep-alive", "host"}


class Proxy:
    """What stands between, and how it misbehaves.

    Attributes:
        base: The base URL of the server, seen through it.
        asked: How many requests came.
        fault: Gets the number and method of a request: a status to answer with instead; 0: hang up; -1: pass on,
            then hang up; None: pass on.
        spoil: What becomes of the bytes of an answer.
    """

    def __init__(self) -> None:
        self.base = ""
        self.asked = 0
        self.fault: Callable[[int, str], int | None] = lambda _number, _method: None
        self.spoil: Callable[[bytes], bytes] = lambda content: content


@contextmanager
def proxied() -> Iterator[Proxy]:
    """A proxy in front of HAPI."""
    proxy = Proxy()
    client = httpx.Client(timeout=300, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            proxy.asked += 1
            fault = proxy.fault(proxy.asked, self.command)
            if fault == 0:
                self.close_connection = True
            elif fault not in (None, UNHEARD):
                self.reply(fault, {"Retry-After": "0"}, b"")
            else:
                kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
                answer = client.request(self.command, f"{SERVER.removesuffix('/fhir')}{self.path}",
                                        headers=kept | {"Host": self.headers["Host"]}, content=content)  # fmt: skip
                if fault == UNHEARD:
                    self.close_connection = True
                    return
                self.reply(answer.status_code, dict(answer.headers), proxy.spoil(answer.content))

        do_GET = do_POST = do_PUT = do_DELETE = pass_on

        def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in HOP | {"content-encoding"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    proxy.base = f"http://127.0.0.1:{server.server_address[1]}/fhir"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        client.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with proxied() as between:
        yield between


def tagged(name: str) -> str:
    """The tag of a run that this process alone makes: HAPI keeps the history of what was deleted."""
    return f"{name}-{PROCESS}"


def sent(name: str) -> tuple[Run, list[Sample]]:
    """Two samples of a run."""
    run = Run(tagged(name), tagged(name).encode())
    found = samples(run, "small", load_programs(None))
    return run, [one for one in found if one.name in ("ct-bhp", "ne-peer")]


def tried(base: str, name: str, folder: Path, change: Callable[[Sample], Sample] = lambda one: one) -> Report:
    run, found = sent(name)
    target = Target(base, sleep=lambda seconds: time.sleep(min(seconds, 0.5)))
    report = harness.run(target, run, [change(one) for one in found], harness.Options(folder, "small"))
    target.close()
    return report


def left(name: str) -> int:
    """How much of a run is on the server."""
    with httpx.Client(timeout=300, trust_env=False) as client:
        counts = [
            client.get(
                f"{SERVER}/{kind}",
                params={"_tag": f"{RUN}|{tagged(name)}", "_summary": "count"},
                headers={"Cache-Control": "no-cache"},
            ).json()["total"]
            for kind in ("Patient", "CarePlan", "Provenance", "Observation", "StructureDefinition")
        ]
    return sum(counts)


def step(report: Report, capability: str, subject: str = "") -> Result:
    (found,) = [one for one in report.results if (one.capability, one.subject) == (capability, subject)]
    return found


def test_a_resource_against_its_profile_is_reported(tmp_path: Path) -> None:
    def wrong(sample: Sample) -> Sample:
        entries = [
            {**entry, "resource": {**entry["resource"], "gender": "unheard-of"}}
            if entry["resource"]["resourceType"] == "Patient"
            else entry
            for entry in sample.bundle["entry"]
        ]
        return Sample(sample.name, {**sample.bundle, "entry": entries})

    report = tried(SERVER, "wrong", tmp_path, wrong)
    assert step(report, "validate", "ct-bhp").status == "failed"
    assert any("gender" in note for note in step(report, "validate", "ct-bhp").notes)
    assert step(report, "clean up").status == "passed", step(report, "clean up").notes
    assert left("wrong") == 0


def test_what_comes_back_otherwise_is_named(proxy: Proxy, tmp_path: Path) -> None:
    proxy.spoil = lambda content: content.replace(b'"Testperson"', b'"Otherperson"')
    report = tried(proxy.base, "spoiled", tmp_path)
    differences = [(one.path, one.kind) for one in step(report, "read back", "ct-bhp").differences]
    assert ("Patient.name[0].family", "changed") in differences
    assert left("spoiled") == 0


def test_a_busy_server_is_obeyed(proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault = lambda number, _method: 429 if number % 7 == 0 else None
    report = tried(proxy.base, "busy", tmp_path)
    assert [(one.capability, one.notes) for one in report.results if one.status == "failed"] == []
    assert left("busy") == 0


def test_a_server_that_goes_down_half_way_is_cleaned_by_the_next_run(proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault = lambda number, _method: 0 if number > 60 else None
    report = tried(proxy.base, "down", tmp_path)
    assert step(report, "clean up").status == "failed"
    assert left("down") > 0
    proxy.fault = lambda _number, _method: None
    tried(proxy.base, "next", tmp_path)
    assert left("down") == left("next") == 0
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_answers_something_else_is_reported_and_cleaned(proxy: Proxy, tmp_path: Path) -> None:
    proxy.spoil = lambda content: b"{}" if b'"searchset"' in content else content
    report = tried(proxy.base, "odd", tmp_path)
    assert step(report, "search", "GET CarePlan status=active&_count=50").status == "failed"
    assert orjson.loads(orjson.dumps(report.summary()))["failed"] > 0
    proxy.spoil = lambda content: content
    target = Target(proxy.base, sleep=lambda seconds: time.sleep(min(seconds, 0.5)))
    for journal in tmp_path.glob("*.ndjson"):
        harness.clean(target, harness.Written.read(journal))
    target.close()
    assert left("odd") == 0
