"""Every field of the visit's and the clinical segments makes something, or is named as left."""

import orjson
import pytest
from adt_of_segments import EVN, MSH, PID, PV1, WHOLE, mapped, segment
from example_counts import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirgw.errors import GatewayError
from fhirgw.mappers.segments.allergy import AL1_LEFT, IAM_LEFT
from fhirgw.mappers.segments.diagnosis import DG1_LEFT, DRG_LEFT
from fhirgw.mappers.segments.observation import DB1_LEFT, OBX_LEFT
from fhirgw.mappers.segments.occurrence import NTE_LEFT
from fhirgw.mappers.segments.procedure import PR1_LEFT
from fhirgw.mappers.segments.visit import PV1_LEFT, PV2_LEFT
from fhirgw.profiles.validation import require_valid

BESIDE = {
    ("OBX", 32): {5: "", 32: "refused^Refused^99E"},
    ("IAM", 10): {3: "", 27: "", 10: "LATEX^Latex^99E"},
    ("IAM", 12): {11: "", 12: "as a child"},
    ("IAM", 18): {14: "", 15: "", 18: "D-10^DEMO^DIG"},
    ("IAM", 24): {13: "", 24: "20190502"},
    ("NTE", 9): {3: "", 9: "C1^Coded words^99E"},
    ("IAM", 14): {15: "SPO"},
    ("OBX", 31): {31: "D"},
    ("DG1", 21): {21: "D"},
    ("PR1", 20): {20: "D"},
    ("DG1", 2): {2: "I9C", 3: "427.31^Atrial fibrillation"},
    ("DB1", 2): {2: "PT"},
    ("PV1", 42): {45: ""},
}
"""Fields that are read where another one is empty, with what they need."""
LEFT = {
    "EVN": {}, "PV1": PV1_LEFT, "PV2": PV2_LEFT, "DB1": DB1_LEFT, "OBX": OBX_LEFT, "AL1": AL1_LEFT,
    "IAM": IAM_LEFT, "DG1": DG1_LEFT, "DRG": DRG_LEFT, "PR1": PR1_LEFT, "NTE": NTE_LEFT,
}  # fmt: skip
LAST = {"EVN": 7, "PV1": 54, "PV2": 50, "DB1": 8, "OBX": 33, "AL1": 6, "IAM": 30, "DG1": 26, "DRG": 33, "PR1": 25}
LAST |= {"NTE": 9}
"""Number of the last field in v2.8.2 (NTE-9: v2.9)."""


TRIGGERS = {"EVN": "A14", "PV1": "A03"}
"""Events that need the segment whole: EVN-3 plans, PV1-36 ends a visit."""


def alone(name: str, fields: dict[int, str], trigger: str | None = None) -> bytes:
    """What a message says, of this segment and what it must have beside it."""
    host = segment("DG1", {3: "I10^Hypertension^I10C", 6: "F"})
    trigger = trigger or TRIGGERS.get(name, "A01")
    lines = {
        "MSH": MSH.replace("A01^ADT_A01", trigger),
        "EVN": EVN.replace("A01", trigger),
        "PID": PID,
        "PV1": PV1,
    }
    text = segment(name, fields)
    if name in lines:
        lines[name] = text
    after = [host, text] if name == "NTE" else [] if name in lines else [text]
    bundle = mapped(*lines.values(), *after)
    return orjson.dumps(bundle["entry"], option=orjson.OPT_SORT_KEYS)


NEEDED = {("EVN", 1), ("PV1", 2)}
"""MSH-9.2 repeats EVN-1; without PV1-2 there is no visit: tests of their own."""
MAPPED = [
    (name, number)
    for name in LEFT
    for number in range(1, LAST[name] + 1)
    if number not in LEFT[name] and (name, number) not in NEEDED
]


@pytest.mark.parametrize(("name", "number"), MAPPED, ids=[f"{name}-{number}" for name, number in MAPPED])
def test_a_field_that_is_not_named_as_left_makes_something(name, number):
    """Without it (DB1-2: with another value), something else comes out."""
    fields = WHOLE[name] | BESIDE.get((name, number), {})
    trigger = "A15" if (name, number) == ("PV1", 42) else None  # a pending transfer is a plan
    changed = {number: "IN" if (name, number) == ("DB1", 2) else ""}
    assert fields[number]
    assert alone(name, fields, trigger) != alone(name, fields | changed, trigger)


LEFT_FIELDS = [(name, number) for name, left in LEFT.items() for number in left]


@pytest.mark.parametrize(("name", "number"), LEFT_FIELDS, ids=[f"{name}-{number}" for name, number in LEFT_FIELDS])
def test_a_field_that_is_named_as_left_makes_nothing(name, number):
    """With it, nothing else comes out; and its reason is told."""
    assert LEFT[name][number]
    assert alone(name, WHOLE[name]) == alone(name, WHOLE[name] | {number: "20260501"})


ODD = st.sampled_from([
    "", '""', "A", "Y", "D", "1", "-1", "1E5", "^", "^^", "~", "&", "A~B", "A&B^C", "^words", "^^words", "x", "SEL",
    "20260502", "<^5", "^1^/^0", "F10.20^x^I10C", "a^b^http://x y", "a^TX^b^Base64^##", "  ", "9" * 21, "\\F\\",
    "\u0663",
])  # fmt: skip
"""Field contents that have broken mappers."""


@settings(max_examples=examples(100))
@given(st.data())
def test_whatever_stands_in_a_field_makes_valid_resources_or_a_located_problem(data):
    name = data.draw(st.sampled_from(sorted(WHOLE)))
    fields = WHOLE[name] | data.draw(st.dictionaries(st.integers(1, LAST[name]), ODD, max_size=6))
    lines = {"MSH": MSH, "EVN": EVN, "PID": PID, "PV1": PV1}
    lines[name] = segment(name, fields)
    problems: tuple[Exception, ...] = ()
    bundle: dict = {"entry": []}
    try:
        bundle = mapped(*lines.values())
    except ExceptionGroup as refused:
        problems = refused.exceptions
    assert all(isinstance(one, GatewayError) and one.location for one in problems)
    for entry in bundle["entry"]:
        require_valid(entry["resource"])
