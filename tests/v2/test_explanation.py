"""A message explained: every segment and field named, what is read told from what is not, no value unless asked."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirgw.intake import refusals
from fhirgw.mappers.adt import read
from fhirgw.settings import Sender, Senders
from fhirgw.v2.codec import parse
from fhirgw.v2.conformance import fields_of
from fhirgw.v2.explanation import Weight, explain

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v2"
ALL = sorted(FIXTURES.glob("**/*.hl7"))
MEMBER = (FIXTURES / "A01" / "member.hl7").read_bytes()
SENDERS = Senders(default=Sender(default_authority="urn:oid:1.2.3", z={"ZPV-2": "PV1-44"}))


def explained(raw):
    return explain(raw, lambda one: read(one, SENDERS, b"k"), refusals)


def fields(found, segment):
    (one,) = (one for one in found.segments if one.name == segment)
    return {field.number: field for field in one.fields}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(FIXTURES).as_posix())
def test_every_segment_of_every_fixture_is_explained_in_its_order(path):
    raw = path.read_bytes()
    found = explained(raw)
    assert [one.name for one in found.segments] == [one.name for one in parse(raw).segments]
    assert all(finding.error.text and finding.advice for finding in found.findings)


def test_a_field_has_the_standards_name_type_and_place():
    found = explained(MEMBER)
    name = fields(found, "PID")[5]
    assert (name.name, name.kind, name.required, name.valued, name.read) == (
        "Patient name",
        "XPN",
        True,
        True,
        True,
    )
    assert (found.trigger, found.structure, found.version, found.sender) == ("A01", "ADT_A01", "2.5.1", "default")


def test_what_the_gateway_reads_is_told_from_what_it_does_not():
    raw = MEMBER.replace(b"PV1|1|", b"ZPV|1|20260401|x\rPV1|1|")
    found = explained(raw)
    assert {number: field.read for number, field in fields(found, "ZPV").items()} == {1: False, 2: True, 3: False}
    assert not fields(found, "PV1")[1].read
    assert fields(found, "PV1")[2].read
    assert fields(found, "MSH")[18].read


def test_values_are_nowhere_but_in_the_fields_own_value():
    found = explained(MEMBER)
    assert "QUILL" not in repr(found)
    assert fields(found, "PID")[7].value == parse(MEMBER).first("PID").field(7)


@pytest.mark.parametrize(
    ("change", "location", "weight"),
    [
        ((b"|P|2.5.1", b"|X|2.5.1"), "MSH-11", Weight.REFUSED),
        ((b"MSH|^~\\&|", b"MSH|^~\\&\\&|"), "MSH-2", Weight.REFUSED),
        ((b"PV1|1|I|", b"PV1|1||"), "PV1-2", Weight.REFUSED),
        ((b"EVN|A01|", b"EVX|A01|"), "EVX", Weight.TAKEN),
    ],
)
def test_a_finding_says_what_the_gateway_does_about_it(change, location, weight):
    assert change[0] in MEMBER
    found = explained(MEMBER.replace(*change))
    assert (location, weight) in [(finding.error.location, finding.weight) for finding in found.findings]


def test_each_thing_is_found_once_under_its_gravest_weight():
    found = explained(MEMBER.replace(b"PV1|1|I|", b"PV1|1||"))
    places = [(finding.error.location, finding.error.err) for finding in found.findings]
    assert len(places) == len(set(places))


def test_a_message_that_cannot_be_read_is_a_finding_with_advice():
    found = explained(b"MSH|^~\\&|" + b"|" * 15 + b"UNICODE UTF-8\rPID|\xe9")
    assert found.segments == ()
    assert [(one.error.location, one.weight, one.advice) for one in found.findings] == [
        ("MSH-18", Weight.REFUSED, "Correct MSH-18, or register the sender's charset.")
    ]


def test_a_failure_of_ours_is_a_finding(monkeypatch):
    monkeypatch.setattr("fhirgw.v2.explanation.extract", lambda *_: 1 / 0)
    assert any("ZeroDivisionError" in one.error.text for one in explained(MEMBER).findings)


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_no_message_however_damaged_ends_the_explanation(seed, times):
    rng = random.Random(seed)
    raw = bytearray(rng.choice(ALL).read_bytes())
    for _ in range(times):
        raw[rng.randrange(3, len(raw))] = rng.choice(b"|^~\\&\r\n\x00AZ09\xff")
    explained(bytes(raw))


def test_a_segment_that_nobody_knows_has_its_fields_all_the_same():
    assert fields_of("ZZZ", "2.5.1") == ()
    found = explained(MEMBER + b"ZZZ|a||c\r")
    assert [(number, one.valued) for number, one in fields(found, "ZZZ").items()] == [
        (1, True),
        (2, False),
        (3, True),
    ]


def test_fields_are_those_of_the_version():
    assert fields_of("PID", "2.1")[3 - 1].name == "Patient id internal id"
    assert fields_of("PID", "9.9") == fields_of("PID", "2.5.1")
    assert fields_of("PRT", "2.4") == ()
