"""Consents as others write them, each with its answer: IHE PCF, US R4 opt-in and opt-out, HL7 FAST, Gravity.

``fixtures/consent/shapes.ndjson`` holds whole cases of ``consent decide``, each with what is ``expected``.
"""

import json
from pathlib import Path

import pytest

from fhirgw.consent.cases import Cases

SHAPES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "fixtures/consent/shapes.ndjson").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("case", SHAPES, ids=[case["id"] for case in SHAPES])
def test_a_foreign_shape_is_read_by_the_specification(case):
    answer = Cases().answer(json.dumps(case), 1)
    assert {name: answer[name] for name in case["expected"]} == case["expected"]
