"""Codes, staff and places are read once for a sender; nobody changes what is remembered; nothing else is kept."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from fhirgw.errors import GatewayError
from fhirgw.mappers import beside
from fhirgw.mappers.adt import extract_all, map_message, new_reading
from fhirgw.mappers.segments import reading as memory
from fhirgw.settings import Sender
from fhirgw.v2.codec import parse

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v2"
MESSAGES = [path.read_bytes() for path in sorted(FIXTURES.rglob("*.hl7"))]
BUSY = (FIXTURES / "A01/people-and-money.hl7").read_bytes()


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(memory, "_KNOWN", {})


def mapped(raw: bytes, context) -> bytes | None:
    try:
        return orjson.dumps(map_message(parse(raw), context))
    except (ExceptionGroup, GatewayError):
        return None


def parses(raw: bytes) -> bool:
    try:
        return parse(raw) is not None
    except GatewayError:
        return False


def kept() -> dict:
    return {
        (key, text): orjson.dumps(value)
        for key, (_, _, known) in memory._KNOWN.items()
        for (_, text), value in known.items()
    }


def test_a_message_maps_the_same_whatever_came_before_it(context):
    alone = []
    for raw in MESSAGES:
        memory._KNOWN.clear()
        alone.append(mapped(raw, context))
    assert [mapped(raw, context) for raw in reversed(MESSAGES)][::-1] == alone
    assert [mapped(raw, context) for raw in MESSAGES] == alone


def test_a_segment_says_the_same_whatever_messages_it_was_read_with(context):
    """Twice each, other settings of the sender in between; IN2 and NTE add to a fact that was read before."""

    def told(raw: bytes, alike: memory.Alike | None, of=context) -> list[object]:
        message = parse(raw)
        reading = new_reading(message, of, alike)
        try:
            events = [event.to_json() for event in extract_all(message, of, reading)]
        except ExceptionGroup as group:
            events = [str(problem).encode() for problem in group.exceptions]
        return [events, reading.codes, len(reading.silent), len(reading.further)]

    alike = memory.Alike()
    other = replace(context, sender=context.sender.model_copy(update={"codes": {"0063": {"SPO": "CHD"}}}))
    messages = [raw for raw in MESSAGES if parses(raw)]
    assert len(messages) > 20
    for raw in [*messages, *messages]:
        assert told(raw, alike) == told(raw, None)
        assert told(raw, alike, other) == told(raw, None, other)
    for raw in [*messages, *messages]:
        assert told(raw, alike) == told(raw, None)


def test_what_is_remembered_is_never_changed(context):
    for raw in MESSAGES:
        mapped(raw, context)
    before = kept()
    assert before
    for raw in MESSAGES:
        mapped(raw, context)
    assert {name: one for name, one in kept().items() if name in before} == before


def test_nothing_of_a_patient_or_a_relative_is_remembered(context):
    mapped(BUSY, context)
    texts = b"".join(kept().values()).decode() + "".join(text for _, text in kept())
    for word in ("PLACEHOLDER", "GRETA", "RUDI", "MRN-3001", "19700515", "POL-3001"):
        assert word in BUSY.decode()
        assert word not in texts


def test_another_registration_of_a_sender_is_another_memory(context):
    def disposition(sender: Sender) -> bytes | None:
        return mapped(BUSY.replace(b"|SPO|", b"|WIFE|"), replace(context, sender=sender))

    plain = disposition(context.sender)
    assert disposition(context.sender.model_copy(update={"codes": {"0063": {"WIFE": "SPO"}}})) != plain
    assert disposition(context.sender) == plain


def test_the_memory_of_a_sender_and_that_of_all_are_bounded(context):
    for number in range(3 * memory._SENDERS):
        mapped(BUSY.replace(b"ELMHOSP", b"ELM%d" % number), context)
    assert len(memory._KNOWN) <= memory._SENDERS
    reading = new_reading(parse(BUSY), context)
    read = memory.remembered(lambda *_: {"a": 1})
    for number in range(memory._MANY + 10):
        read(parse(BUSY).header.with_field(3, f"APP{number}"), 3, reading)
    assert len(reading.known) <= memory._MANY + 1


def test_another_object_is_never_taken_for_one_that_is_gone_and_what_is_held_is_bounded(monkeypatch):
    monkeypatch.setattr(beside, "_OBJECTS", 16)
    monkeypatch.setattr(beside, "_SAME", {})

    def refer(number: int) -> str:
        system = "https://invented.example/wards"
        ward = {"resourceType": "Location", "identifier": [{"system": system, "value": f"W{number}"}]}
        return beside.Beside(b"test").refer(ward)["reference"]

    first = [refer(number) for number in range(100)]  # each gone when the next is made
    assert len(set(first)) == 100
    assert [refer(number) for number in range(100)] == first
    assert len(beside._SAME) <= 16
