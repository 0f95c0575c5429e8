"""``fhirgw sf12``: one answer set, or all those of a case with their change."""

from pathlib import Path

import orjson
from typer.testing import CliRunner

from fhirgw.cli import app

FIXTURES = Path(__file__).parents[2] / "fixtures" / "icm"


def told(*words):
    done = CliRunner().invoke(app, ["sf12", *words])
    assert done.exit_code == 0, done.output
    return [orjson.loads(line) for line in done.stdout.splitlines()]


def test_a_case_gives_a_line_for_each_of_its_answer_sets_with_the_change_since_the_one_before():
    first, second, third = told(str(FIXTURES / "ct-bhp-year.json"))
    assert first.keys() == {"taken_at", "pcs12", "mcs12"}
    assert (second["pcs12_change"], second["mcs12_change"]) == (14.7818, 3.30724)
    assert third["mcs12"] == 57.82711


def test_an_answer_set_gives_its_scores(tmp_path):
    case = orjson.loads((FIXTURES / "ct-bhp-year.json").read_bytes())
    answers = tmp_path / "answers.json"
    answers.write_bytes(orjson.dumps(case["sf12"][0]["answers"]))
    assert told(str(answers)) == [{"pcs12": 33.82458, "mcs12": 30.27053}]
