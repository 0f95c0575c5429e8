"""``map adt`` over what people have: directories, batches, files that are none; and its report."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from fhirgw.cli import app

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v2"
MEMBER = (FIXTURES / "A01/member.hl7").read_bytes()
REFUSED = (FIXTURES / "A01/no-patient.hl7").read_bytes()


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("FHIRGW_DATA_DIR", str(tmp_path / "data"))

    def invoke(*words):
        return CliRunner().invoke(app, ["map", "adt", *map(str, words)])

    return invoke


def lines(done):
    return [orjson.loads(line) for line in done.stdout.splitlines() if line.startswith('{"resourceType":"Bundle"')]


def test_every_message_of_a_batch_and_of_a_directory_is_mapped(run, tmp_path):
    feed = tmp_path / "feed"
    (feed / "inner").mkdir(parents=True)
    (feed / "a.hl7").write_bytes(MEMBER)
    (feed / "inner" / "batch.txt").write_bytes(b"FHS|^~\\&\rBHS|^~\\&\r" + MEMBER + MEMBER + b"BTS|2\rFTS|1\r")
    (feed / "notes.md").write_text("nothing of that kind")
    report = tmp_path / "report.json"
    done = run(feed, "--report", report)
    assert done.exit_code == 0
    told = orjson.loads(report.read_bytes())
    assert len(lines(done)) == len(told["messages"]) == 3
    assert [Path(name).name for name in told["skipped"]] == ["notes.md"]
    assert [(Path(one["file"]).name, one["number"]) for one in told["messages"]] == [
        ("a.hl7", 1), ("batch.txt", 1), ("batch.txt", 2),
    ]  # fmt: skip


def test_the_report_changes_no_bundle(run, tmp_path):
    path = FIXTURES / "A01/people-and-money.hl7"
    assert lines(run(path)) == lines(run(path, "--report", tmp_path / "report.json"))


def test_a_bad_message_spoils_only_itself_and_is_in_the_report(run, tmp_path):
    mixed, junk, empty = tmp_path / "mixed.hl7", tmp_path / "junk.hl7", tmp_path / "empty.hl7"
    mixed.write_bytes(MEMBER + REFUSED + MEMBER)
    junk.write_bytes(b"PID|1||7\r")
    empty.write_bytes(b"")
    report = tmp_path / "report.json"
    done = run(mixed, junk, empty, tmp_path / "nowhere.hl7", "--report", report)
    assert done.exit_code == 1
    told = orjson.loads(report.read_bytes())
    assert [one["outcome"] for one in told["messages"]] == ["mapped", "refused", "mapped", *["unreadable"] * 3]
    assert told["summary"]["outcomes"] == {"mapped": 2, "refused": 1, "unreadable": 3}
    assert all(one["problems"] for one in told["messages"] if one["outcome"] != "mapped")
    assert len(lines(done)) == 2


def test_every_segment_of_every_fixture_is_mapped_or_named(run, tmp_path):
    report = tmp_path / "report.json"
    run(FIXTURES, "--report", report)
    told = orjson.loads(report.read_bytes())
    assert len(told["messages"]) > 50
    assert "unreadable" not in {one["outcome"] for one in told["messages"] if "dialects" not in one["file"]}
    for one in told["messages"]:
        for segment in one.get("segments", ()):
            assert segment["mapped"] or segment["unmapped"]
            assert all(segment["unmapped"].values())
