"""The inventory page: every model path, FHIR element and test that it names is there."""

import ast
import json
import re
import typing
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from fhirgw.icm.model import Case
from fhirgw.profiles import definitions
from fhirgw.programs import Program

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "icm-inventory.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if re.match(r"\| 1\.", line)
]
CODE = re.compile(r"`([^`]+)`")


def named(column):
    """(row, name) of everything that a column names."""
    return [(row[0], name) for row in ROWS for name in CODE.findall(row[column])]


def _direct(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {one for inner in typing.get_args(annotation) for one in _direct(inner)}


def is_model_path(path):
    """Whether there is such a field, through lists and choices, of a case or of a programme."""
    kinds = {Program} if path.startswith("Program.") else {Case}
    for name in path.removeprefix("Program.").split("."):
        fields = [kind.model_fields[name].annotation for kind in kinds if name in kind.model_fields]
        if not fields:
            return False
        kinds = set().union(*map(_direct, fields))
    return True


def is_element(path):
    """Whether R4 has this element of this resource."""
    kind, *names = path.split(".")
    place = kind
    for name in names:
        found = next((one for one in definitions.node(place) if one.name == name), None)
        if found is None:
            return False
        place = found.types[0].code.removeprefix("#") if found.types else ""
    return bool(names)


@cache
def functions_of(path):
    source = ROOT / path
    if not source.exists():
        return frozenset()
    tree = ast.parse(source.read_text("utf-8"))
    return frozenset(one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_row_has_five_cells_and_is_there_once():
    assert {len(row) for row in ROWS} == {5}
    assert len({row[0] for row in ROWS}) == len(ROWS) > 150


def test_a_row_is_filled_whole_or_outside():
    for row in ROWS:
        outside = row[2].startswith("Outside: ") and row[3] == row[4] == ""
        assert outside or all(CODE.search(cell) for cell in row[2:]), row[0]


def test_every_model_path_is_a_field():
    assert [(row, path) for row, path in named(2) if not is_model_path(path)] == []


def test_every_element_is_of_r4():
    assert [(row, path) for row, path in named(3) if not is_element(path)] == []


def test_every_test_is_there():
    missing = [
        (row, test)
        for row, test in named(4)
        if test.rpartition("::")[2] not in functions_of(test.partition("::")[0])
    ]
    assert missing == []


PROGRAMMES = {"1.1": "ct-bhp", "1.2": "husky", "1.3": "ne-peer", "1.4": "bc-icmt", "1.5": "ccbh-peer"}


def paths(value, path=()):
    """Every path that a case states, lists passed through."""
    if isinstance(value, list):
        for inner in value:
            yield from paths(inner, path)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield ".".join((*path, name))
            yield from paths(inner, (*path, name))


@pytest.mark.parametrize("chapter", PROGRAMMES)
def test_every_row_of_a_programme_is_in_a_case_of_it(chapter):
    files = [file for file in (ROOT / "fixtures" / "icm").glob("*.json") if not file.name.endswith(".fhir.json")]
    cases = [json.loads(file.read_text("utf-8")) for file in files]
    stated = [case for case in cases if case["program"] == PROGRAMMES[chapter]]
    touched = {path for case in stated for path in paths(case)}
    rows = [(row, path) for row, path in named(2) if row.startswith(f"{chapter}.")]
    assert [(row, path) for row, path in rows if path not in touched and not path.startswith("Program.")] == []


@pytest.mark.parametrize("path", ["member.nose", "nothing", "Program.nothing"])
def test_a_path_that_is_not_there_is_found_out(path):
    assert not is_model_path(path)


@pytest.mark.parametrize("path", ["Consent.nothing", "Patient"])
def test_an_element_that_is_not_there_is_found_out(path):
    assert not is_element(path)
