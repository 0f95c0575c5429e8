"""fhirgw mirror: how the upstream server stands, what it holds otherwise, and how that is mended."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
import structlog
from composed_gateway import ALMA
from mirrored_gateway import add, in_step, mirrored, plain, require_in_step, revoke
from typer.testing import CliRunner

from fhirgw.cli import app
from fhirgw.errors import GatewayError


@pytest.fixture
def fhirgw(whole, upstream, monkeypatch):
    """Run a command over the same store: its exit code and its lines."""
    monkeypatch.setenv("FHIRGW_DATA_DIR", str(whole.gateway.settings.data_dir))
    monkeypatch.setenv("FHIRGW_UPSTREAM", upstream.base)
    monkeypatch.setenv("FHIRGW_UPSTREAM_CLIENT", "upstream")
    monkeypatch.setenv("FHIRGW_UPSTREAM_TOKEN", "a-token")

    def run(*words):
        with ThreadPoolExecutor(1) as elsewhere:  # a command has an event loop of its own
            done = elsewhere.submit(CliRunner().invoke, app, ["mirror", *words]).result()
        if done.exception and not isinstance(done.exception, (SystemExit, GatewayError)):
            raise done.exception
        return done.exit_code, [orjson.loads(line) for line in done.stdout.splitlines()]

    yield run
    structlog.reset_defaults()


async def test_what_is_there_otherwise_is_found_and_mended(whole, upstream, fhirgw):
    mirror = mirrored(whole, upstream)
    add(whole, plain(whole, "missing"), plain(whole, "changed"), plain(whole, "left"))
    await in_step(mirror)
    left = upstream.current["Condition/left"]
    add(whole, plain(whole, "left", "F11.20"))
    await in_step(mirror)
    assert fhirgw("compare") == (0, [])
    upstream.put(left)
    upstream.put({**upstream.current["Condition/changed"], "onsetDateTime": "1999"})
    upstream.delete("Condition/missing")
    told = [("Condition/changed", "changed"), ("Condition/left", "left"), ("Condition/missing", "missing")]
    code, lines = fhirgw("compare")
    assert (code, [(one["resource"], one["is"]) for one in lines]) == (1, told)
    code, lines = fhirgw("repair")
    assert (code, [(one["resource"], one["is"]) for one in lines]) == (0, told)
    assert fhirgw("compare") == (0, [])
    await require_in_step(whole, mirror, upstream)


async def test_an_operator_sees_how_it_stands(whole, upstream, fhirgw):
    mirror = mirrored(whole, upstream)
    add(whole, plain(whole, "bad"))
    upstream.fault = lambda _method, _path, body: 422 if b"Condition/bad" in body else None
    await in_step(mirror)
    code, (status, stuck) = fhirgw("status")
    assert code == 0
    shown = {name: status[name] for name in ("client", "registered", "inside", "down", "waiting", "refused")}
    expected = {"client": "upstream", "registered": True, "inside": False, "down": False}
    assert shown == expected | {"waiting": 1, "refused": 1}
    assert stuck["patient"] == whole.patient(ALMA)
    assert (stuck["error"], stuck["attempts"]) == ("HTTP 422 exception", 1)
    upstream.fault = lambda *_: None
    assert fhirgw("retry", whole.patient(ALMA)) == (0, [{"members": 1}])
    whole.clock.tick(days=400)  # the command has the clock of the machine
    await in_step(mirror)
    code, (status,) = fhirgw("status")
    assert (status["waiting"], status["refused"]) == (0, 0)
    assert status["resources"] == len(upstream.current)


async def test_after_a_revocation_it_is_said_what_is_left_in_history(whole, upstream, fhirgw):
    mirror = mirrored(whole, upstream)
    await in_step(mirror)
    there = len(upstream.current)
    await revoke(whole, mirror)
    await in_step(mirror)
    _, (status,) = fhirgw("status")
    assert (status["resources"], status["history_left"]) == (0, there)


async def test_a_repair_of_a_server_that_is_down_says_so(whole, upstream, fhirgw):
    await in_step(mirrored(whole, upstream))
    upstream.fault = lambda *_: 503
    code, lines = fhirgw("repair")
    assert (code, lines) == (1, [])


def test_without_an_upstream_server_there_is_nothing_to_tell(fhirgw, monkeypatch):
    monkeypatch.delenv("FHIRGW_UPSTREAM")
    code, lines = fhirgw("status")
    assert (code, lines) == (1, [])
