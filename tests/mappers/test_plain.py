"""Law: what is plainly sound, ``extract`` takes as well."""

import sys
from pathlib import Path

import pytest

from fhirgw.errors import GatewayError
from fhirgw.intake import _unmapped
from fhirgw.mappers.adt import MapContext
from fhirgw.mappers.plain import is_plainly_sound
from fhirgw.settings import Sender
from fhirgw.v2.codec import header, parse

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "bench"))

from feed import visits
from mutate import CORPUS, mutated

SENDERS = (
    Sender(),
    Sender(default_authority="http://example.org/mrn"),
    Sender(codes={"0004": {"XI": "I", "I": "?"}}),
)


def verdicts(raw):
    """(plainly sound, what refuses it) for each sender; nothing for what cannot be read."""
    for sender in SENDERS:
        context = MapContext("elm", sender, b"k")
        try:
            message = parse(raw)
        except GatewayError:
            continue
        yield is_plainly_sound(message, context), _unmapped(message, context)


def test_what_is_plainly_sound_is_refused_by_nothing():
    seen = [verdict for raw in CORPUS for verdict in verdicts(raw)]
    seen += [verdict for number in range(2000) for verdict in verdicts(mutated(5, number)[0])]
    assert not [errors for plain, errors in seen if plain and errors]
    assert sum(plain for plain, _ in seen) > 100


def test_an_ordinary_feed_is_plainly_sound():
    for raw in visits(3, 9):
        assert is_plainly_sound(parse(raw), MapContext("elm", Sender(), b"k"))


BASE = "MSH|^~\\&|A|F|G|I|20260401080000||ADT^A01|C1|P|2.5.1\rEVN||20260401\rPID|||1^^^MRN\rPV1||I\r"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("PV1||I\r", "PV1||I\rPID|||2^^^MRN\r"),
        ("PV1||I\r", "PV1||I\rPV1||I\r"),
        ("ADT^A01", "ADT^A99"),
        ("ADT^A01", "ADT"),
        ("ADT^A01", "ORU^A01"),
        ("20260401080000", "20260401250000"),
        ("20260401080000", "20260401080060"),
        ("||20260401\r", "||20261301\r"),
        ("||20260401\r", "||2026040\r"),
        ("||20260401\r", "||20260401||||20260230\r"),
        ("1^^^MRN", "1"),
        ("1^^^MRN", '""^^^MRN'),
        ("1^^^MRN", '1^^^""'),
        ("1^^^MRN", "^^^MRN"),
        ("1^^^MRN", "1^^^MRN^^^2026-01-01"),
        ("PID|||", "PD1|||"),
        ("PV1||I", "PV1||?"),
        ("PV1||I", "PV1||"),
        ("PV1||I\r", ""),
    ],
)
def test_what_is_refused_is_not_plainly_sound(old, new):
    assert is_plainly_sound(parse(BASE.encode()), MapContext("elm", Sender(), b"k"))
    message = parse(BASE.replace(old, new, 1).encode())
    context = MapContext("elm", Sender(), b"k")
    assert _unmapped(message, context)
    assert not is_plainly_sound(message, context)


@pytest.mark.parametrize("lead", [b"", b"\n", b"\0", b" "])
def test_the_header_alone_is_that_of_the_whole(lead):
    for raw in (*CORPUS, *visits(1, 3), BASE.encode()):
        if raw[:3] == b"MSH":
            assert header(lead + raw).header.raw == parse(raw, charset="8859/1").header.raw
