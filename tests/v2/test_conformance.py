"""Conformance by hl7apy, and our codec held to it: on every fixture both read the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hl7apy.exceptions import ParserError
from hl7apy.parser import parse_message

from fhirgw.v2 import conformance
from fhirgw.v2.codec import Segment, parse
from fhirgw.v2.conformance import _canonical, lint

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v2"
ALL = sorted(FIXTURES.glob("**/*.hl7"))
GOOD = (FIXTURES / "dialects" / "utf-8.hl7").read_bytes()


def ours(segment: Segment) -> list[list[str]]:
    """Per field, the repetitions as written."""
    return [[one.raw for one in segment.repetitions(number)] for number in range(1, len(segment) + 1)]


def theirs(segment) -> Iterator[list[str]]:
    """The same, from hl7apy's tree."""
    for number in range(1, 200):
        name = f"{segment.name.lower()}_{number}"
        try:
            yield [field.value for field in getattr(segment, name)]
        except Exception:  # noqa: BLE001 - hl7apy has no field of that number
            yield []


def trimmed(fields):
    """Without what is empty at the end; hl7apy escapes the escape character of a sequence it does not know."""
    fields = [
        [one.replace("\\E\\", "\\").rstrip("^&") for one in field] if field != [""] else [] for field in fields
    ]
    while fields and not fields[-1]:
        fields.pop()
    return fields


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(FIXTURES).as_posix())
def test_hl7apy_reads_the_same_segments_fields_and_repetitions(path):
    message = parse(path.read_bytes())
    version, structure = message.header.get(12), message.header.get(9, 3) or "ADT_A01"
    version = conformance._HL7APY_VERSIONS.get(version, version)
    text = _canonical(message, "A01", structure, version, frozenset())
    parsed = parse_message(text, find_groups=False)
    assert [one.name for one in parsed.children] == [one.name for one in message.segments]
    for mine, other in zip(message.segments[1:], parsed.children[1:], strict=True):
        withdrawn = mine.name == "EVN" and version >= "2.7"  # hl7apy has no name for EVN-1 then
        if mine.name[0] != "Z" and not withdrawn:  # hl7apy trims the components of a segment it does not know
            known = len(conformance.fields_of(mine.name, version))
            read = [trimmed(fields[:known]) for fields in (ours(mine), list(theirs(other)))]
            if version == "2.6":  # hl7apy moves XTN.1, which v2.6 withdrew, behind the others
                read = [[[sorted(one.split("^")) for one in field] for field in fields] for fields in read]
                read = [[[list(filter(None, one)) for one in field] for field in fields] for fields in read]
            assert read[0] == read[1], mine.name


DEVIATIONS = {
    "formatted-text": ["NTE"],
    "no-evn": ["EVN"],
    "version-2.1": ["PID-3", "PID-3", "NK1", "DG1-2"],
    "version-2.2": ["DG1-2"],
    **dict.fromkeys(("version-2.7", "version-2.7.1", "truncation-character"), ("EVN-1",)),
    **dict.fromkeys(("version-2.8", "version-2.8.1", "version-2.8.2"), ("EVN",)),
}
"""What a version withdrew or did not have yet, and what the fixture is about."""


@pytest.mark.parametrize("path", sorted((FIXTURES / "dialects").glob("*.hl7")), ids=lambda path: path.stem)
def test_a_dialect_is_conformant_but_for_what_its_version_withdrew(path):
    assert [error.location for error in lint(path.read_bytes())] == list(DEVIATIONS.get(path.stem, ()))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ((b"PID|", b"PIX|"), [("PIX", "100"), ("PID", "101")]),
        ((b"||990017^^^MERCY^MR~12345^^^STATE^MA||", b"||||"), [("PID-3", "101")]),
        ((b"|F|", b"|SECRET|"), [("PID-8", "103")]),
        ((b"PV1|1|I|", b"PV1|1||"), [("PV1-2", "101")]),
        ((b"ADT^A08^ADT_A01", b"ADT^A08"), []),
        ((b"ADT^A08^ADT_A01", b"ADT^A99"), [("MSH-9.2", "201")]),
        ((b"ADT^A08^ADT_A01", b"ADT^A03^NONSENSE"), []),
        ((b"|P|2.5.1|", b"|P|9|"), [("MSH-12", "203")]),
        ((b"|P|2.5.1|", b"|P|2.7.1|"), [("EVN-1", "102")]),
        ((b"MSH|", b"MSX|"), [("MSH", "100")]),
        ((b"|F|", b"|F~M|"), [("PID-8", "102")]),
        ((b"|F|||", b"|F||2106-3^White^CDCREC~X^^99ELM|"), []),
        ((b"\rPV1|", b"\rPD1||||1234567893^DEMO^DORA\rPV1|"), []),
    ],
)
def test_lint_says_where_and_what_and_never_a_value(change, found):
    errors = lint(GOOD.replace(*change))
    assert [(error.location, error.err) for error in errors] == found
    assert not any(secret in str(vars(error)) for error in errors for secret in ("SECRET", "990017", "MUÑOZ"))


def test_a_segment_out_of_place_is_named():
    assert [(e.location, e.err) for e in lint(GOOD + b"MRG|1\r")] == [("MRG", "100")]


def test_an_error_inside_hl7apy_is_one_line_for_people(monkeypatch):
    def failing(text, **_):
        raise ParserError(text)

    monkeypatch.setattr(conformance, "parse_message", failing)
    assert [vars(error)["text"] for error in lint(GOOD)] == ["hl7apy cannot read the message (ParserError)."]


def test_fields_beyond_the_standard_are_reported_without_their_content():
    errors = lint(GOOD.replace(b"\rPID|", b"\rPID|" + b"SECRET|" * 60))
    assert errors
    assert "SECRET" not in str([vars(error) for error in errors])
