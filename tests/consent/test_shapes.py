"""Consents as others write them, each with its answer: IHE PCF, US R4 opt-in and opt-out, HL7 FAST, Gravity.

``fixtures/consent/shapes.ndjson`` holds whole cases of ``consent decide``, each with what is ``expected``.
"""

import json
from pathlib import Path

import pytest
from example_counts import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirgw.consent.cases import Cases

SHAPES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "fixtures/consent/shapes.ndjson").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("case", SHAPES, ids=[case["id"] for case in SHAPES])
def test_a_foreign_shape_is_read_by_the_specification(case):
    answer = Cases().answer(json.dumps(case), 1)
    assert {name: answer[name] for name in case["expected"]} == case["expected"]


JUNK = (
    None,
    True,
    0,
    "",
    " ",
    "2026",
    "#x",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"reference": 5},
    {"coding": [{"system": 5}]},
)


def places(value, path=()):
    """Every place in a case, deepest first."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inside:
        yield from places(part, (*path, name))
        yield (*path, name)


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(SHAPES), st.lists(st.tuples(st.floats(0, 1), st.sampled_from(JUNK)), min_size=1, max_size=3))
def test_whatever_a_case_says_gets_an_answer(case, changes):
    """The decision is total: what cannot be read is denied or told with its place, and nothing else happens."""
    broken = json.loads(json.dumps(case))
    for where, junk in changes:
        found = list(places(broken))
        *path, last = found[int(where * (len(found) - 1))]
        holder = broken
        for name in path:
            holder = holder[name]
        holder[last] = json.loads(json.dumps(junk))
    answer = Cases().answer(json.dumps(broken), 1)
    assert answer["effect"] in {"PERMIT", "DENY"}
    assert "error" not in answer or answer["effect"] == "DENY"
