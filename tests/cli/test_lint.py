"""``fhirgw lint``: what people see, what machines get, and that nobody's data is in either unless asked for."""

import orjson
import pytest
from typer.testing import CliRunner

from fhirgw.cli import app

MSH = "MSH|^~\\&|A|ELMHOSP|G|I|20260401080000||ADT^A08|{}|P|2.5.1\r"
PID = "PID|1||990017^^^&1.2.3&ISO^MR||QUILLFEATHER^ELENA\r"


def message(control):
    return MSH.format(control) + "EVN||20260401\r" + PID + "PV1|1|I\rZPV|QUILLFEATHER\r"


@pytest.fixture
def lint(tmp_path, monkeypatch):
    monkeypatch.setenv("FHIRGW_DATA_DIR", str(tmp_path / "data"))

    def run(raw, *options):
        path = tmp_path / "feed.hl7"
        path.write_bytes(raw)
        done = CliRunner().invoke(app, ["lint", *options, str(path)])
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return done.exit_code, [orjson.loads(line) for line in done.stdout.splitlines()], done.stderr

    return run


def test_a_conformant_message_is_explained_to_people_and_says_nothing_to_machines(lint):
    code, lines, told = lint(message(1).encode())
    assert (code, lines) == (0, [])
    assert "PID-5" in told
    assert "Patient name" in told
    assert "QUILLFEATHER" not in told


def test_what_is_wrong_is_a_line_for_machines_with_place_code_text_and_advice(lint):
    code, lines, told = lint(message(1).replace("PV1|1|I", "PV1|1|").encode())
    assert code == 1
    (line,) = (line for line in lines if line["location"] == "PV1-2")
    assert line["weight"] == "refused"
    assert line.keys() == {"file", "message", "location", "code", "text", "weight", "do"}
    assert line["text"] in told


def test_json_is_one_line_a_message_and_no_tables(lint):
    code, (line,), told = lint(message(1).encode(), "--json")
    assert (code, told, line["violations"], line["trigger"]) == (0, "", [], "A08")
    (pid,) = (one for one in line["segments"] if one["segment"] == "PID")
    (name,) = (one for one in pid["fields"] if one["field"] == "PID-5")
    assert name["name"] == "Patient name"
    assert (name["valued"], name["read"], "value" in name) == (True, True, False)
    assert "QUILLFEATHER" not in str(line)


def test_values_are_shown_when_they_are_asked_for(lint):
    assert "QUILLFEATHER" in lint(message(1).encode(), "--values")[2]
    assert "QUILLFEATHER^ELENA" in str(lint(message(1).encode(), "--json", "--values")[1])


@pytest.mark.parametrize(
    "raw",
    [
        (message(1) + message(2) + message(3)).encode(),
        ("FHS|^~\\&|\rBHS|^~\\&|\r" + message(1) + message(2) + message(3) + "BTS|3\rFTS|1\r").encode(),
        b"".join(b"\x0b" + message(number).encode() + b"\x1c\r" for number in (1, 2, 3)),
        (message(1) + message(2) + message(3)).replace("\r", "\n").encode(),
    ],
)
def test_the_messages_of_a_batch_a_concatenation_or_a_capture_are_explained_one_by_one(lint, raw):
    _, lines, _ = lint(raw, "--json")
    assert [line["message"] for line in lines] == [1, 2, 3]
    assert all(line["segments"][0]["segment"] == "MSH" for line in lines)


@pytest.mark.parametrize(
    "raw", [b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", b"MSH", b"\xff\xfe\xff", b"BHS|^~\\&|\r", b"[red]"]
)
def test_what_is_no_message_is_told_so(lint, raw):
    code, lines, told = lint(raw)
    assert code == 1
    assert lines
    assert "refused" in told
