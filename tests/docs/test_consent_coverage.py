"""docs/consent-coverage.md: every sentence has its code and its test, or says that it is open."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs/consent-coverage.md").read_text("utf-8").splitlines()
    if re.match(r"\| \d", line)
]
TESTS = {path.name: path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")}


def code(named: str) -> str:
    """The text of a module of ``consent/``, else of one given from the top."""
    inside = ROOT / "fhirgw/consent" / named
    return (inside if inside.exists() else ROOT / "fhirgw" / named).read_text("utf-8")


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_a_row_names_exists(row):
    _, _, where, tests = row
    if where.startswith("**Open**"):
        assert tests == "none"
        return
    for part in where.split("; "):
        quoted = re.findall(r"`([^`]+)`", part)
        module, _, first = quoted[0].partition(": ")
        for name in [first, *quoted[1:]]:
            assert re.search(rf"(def|class) {name}\b", code(module)), (module, name)
    for test in re.findall(r"`([^`]+)`", tests):
        file, _, name = test.partition("::")
        assert f"def {name}(" in TESTS[file] if name else file in TESTS, test
    assert "`" in tests


def test_every_rule_of_the_specification_has_a_row():
    """Numbered as the specification numbers them, letters where one number holds several rules."""
    wanted = {f"2.4.{number}" for number in range(1, 9)} | {f"2.5.{number}" for number in (1, 2, 4, 5)}
    wanted |= {f"2.5.3{letter}" for letter in "abcdefghij"} | {f"2.7.{number}" for number in range(1, 9)}
    wanted |= {f"2.8.{letter}" for letter in "abcdefgh"}
    assert wanted <= {row[0] for row in ROWS}
