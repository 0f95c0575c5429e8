"""docs/leaks.md: all fifty rows of the catalogue, each with a test that exists or a decision that says why not."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs/leaks.md").read_text("utf-8").splitlines()
    if re.match(r"\| \d", line)
]


def test_every_row_of_the_catalogue_is_there_once():
    assert [int(row[0]) for row in ROWS] == list(range(1, 51))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_a_test_that_exists_or_a_decision(row):
    _, _, where = row
    named = [one for one in re.findall(r"`([^`]+)`", where) if one.startswith(("tests/", "bench/"))]
    decided = re.findall(r"\]\((decisions/[^)]+)\)", where)
    assert named or decided or re.search(r"\btwin\b", where)
    for one in named:
        file, _, name = one.partition("::")
        text = (ROOT / file).read_text("utf-8")
        assert not name or re.search(rf"def {name}\(", text), one
    for one in decided:
        assert (ROOT / "docs" / one).is_file(), one


def test_what_twin_stands_for_exists():
    text = (ROOT / "docs/leaks.md").read_text("utf-8")
    (file, name) = re.search(r"\*\*twin\*\* is `([^:`]+)::(\w+)`", text).groups()
    assert f"def {name}(" in (ROOT / file).read_text("utf-8")
