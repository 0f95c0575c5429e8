"""``map adt`` over what people have: directories, batches, files that are none; and its report."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from fhirgw.cli import app, map_adt
from fhirgw.mappers.adt import map_message as mapped

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


@pytest.fixture
def many(tmp_path):
    """More messages than one process is given, every eleventh of them refused."""
    count = 5 * map_adt._MESSAGES // 2
    path = tmp_path / "many.hl7"
    path.write_bytes(b"".join(REFUSED if number % 11 == 7 else MEMBER for number in range(count)))
    return path


def test_many_messages_come_back_in_their_order_from_all_cores(run, many, tmp_path, monkeypatch):
    monkeypatch.setattr(map_adt.os, "sched_getaffinity", lambda _: {0, 1})
    report = tmp_path / "report.json"
    spread = run(many, "--report", report)
    assert spread.exit_code == 1
    told = orjson.loads(report.read_bytes())["messages"]
    assert [one["number"] for one in told] == list(range(1, len(told) + 1))
    assert all((one["outcome"] == "refused") == (at % 11 == 7) for at, one in enumerate(told))
    monkeypatch.setattr(map_adt.os, "sched_getaffinity", lambda _: {0})
    alone = run(many)
    assert (alone.stdout, alone.stderr) == (spread.stdout, spread.stderr)


def test_a_chunk_ends_with_the_bytes_that_may_be_held():
    big = [map_adt.Given("one", number, b"x" * map_adt._BLOCK) for number in range(3)]
    small = [map_adt.Given("two", number, b"x") for number in range(map_adt._MESSAGES + 1)]
    sizes = [sum(len(one.raw) for one in chunk) for chunk in map_adt._chunks([*big, *small])]
    assert max(sizes) <= 2 * map_adt._BLOCK
    assert sum(sizes) == sum(len(one.raw) for one in [*big, *small])


def test_a_bundle_that_is_not_valid_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(map_adt, "map_message", lambda *given: mapped(*given) | {"type": "no such type"})
    path = FIXTURES / "A01/member.hl7"
    assert run(path).exit_code == 0
    done = run(path, "--validate")
    assert (done.exit_code, lines(done)) == (1, [])
    assert "code-invalid" in done.stderr


def test_every_fixture_that_is_mapped_is_valid(run):
    done, held = run(FIXTURES), run(FIXTURES, "--validate")
    assert lines(held) == lines(done)


def test_the_command_loads_neither_the_gateway_nor_its_database(tmp_path):
    said = (
        f"import sys; sys.argv = ['fhirgw', 'map', 'adt', {str(FIXTURES / 'A01/member.hl7')!r}]\n"
        "from fhirgw.cli import main\n"
        "try: main()\n"
        "finally: print(*sorted({'sqlalchemy', 'fastapi', 'fhirgw.app', 'fhirgw.store'} & {*sys.modules}))"
    )
    environment = {"FHIRGW_DATA_DIR": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, env=environment, check=False)
    assert done.stdout.splitlines()[1:] == [b""], done.stderr
