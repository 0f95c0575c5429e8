"""The harness as a process: it cleans up when it is ended, and says first what cannot be meant."""

import signal
import subprocess
import threading
from pathlib import Path

import orjson
import pytest
from gateway_process import FHIRGW, ROOT
from patience import PATIENCE
from typed_command import typed
from typer.testing import CliRunner

from fhirgw.cli import app
from fhirgw.errors import InvalidElement


def command(plain, folder, *arguments):
    return subprocess.Popen(
        [str(FHIRGW), "harness", *arguments],
        cwd=ROOT,
        env={"FHIRGW_DATA_DIR": str(folder), "FHIRGW_DATABASE_URL": "nothing://", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def held_at(plain, requests):
    """Make the server hold an answer back; set when that many requests were made."""
    reached, go_on = threading.Event(), threading.Event()

    def hold(_method, _path):
        if len(plain.asked) == requests:
            reached.set()
            go_on.wait(PATIENCE)

    plain.fault = hold
    return reached, go_on


def test_a_run_that_is_terminated_cleans_up(plain, tmp_path):
    reached, go_on = held_at(plain, 80)
    process = command(plain, tmp_path, "--target", plain.base, "--amount", "small")
    assert reached.wait(PATIENCE)
    process.send_signal(signal.SIGTERM)
    go_on.set()
    told, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert orjson.loads(told)["passed"] > 0
    assert list(plain.resources) == ["Patient/foreign"]


def test_after_a_crash_the_journal_tells_what_to_remove_and_no_store_was_opened(plain, tmp_path):
    reached, go_on = held_at(plain, 80)
    process = command(plain, tmp_path, "--target", plain.base, "--amount", "small")
    assert reached.wait(PATIENCE)
    process.kill()
    process.communicate(timeout=PATIENCE)
    go_on.set()
    assert len(plain.resources) > 50
    (journal,) = (tmp_path / "harness").glob("*.ndjson")
    plain.fault = lambda _method, _path: None
    cleaning = typed("harness", "--clean", str(journal), data=tmp_path, FHIRGW_DATABASE_URL="nothing://")
    assert cleaning.returncode == 0, cleaning.stderr
    assert orjson.loads(cleaning.stdout)["left"] == []
    assert list(plain.resources) == ["Patient/foreign"]
    assert [path.name for path in Path(tmp_path).iterdir()] == ["harness"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--target", "http://elsewhere.example/fhir", "--token", "t"], "over https only"),
        (["--report", "report.pdf"], ".html, .json, .xml"),
        (["--client", "elm"], "--client with --key"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(arguments, told):
    refused = CliRunner().invoke(app, ["harness", *arguments])
    assert isinstance(refused.exception, InvalidElement)
    assert told in refused.exception.text
