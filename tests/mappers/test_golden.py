"""Every fixture message maps to its golden Bundle, or to its golden OperationOutcome."""

from pathlib import Path

import pytest

from fhirgw.errors import GatewayError
from fhirgw.mappers.adt import EVENTS, extract, map_message
from fhirgw.outcome import operation_outcome
from fhirgw.r4 import validate
from fhirgw.settings import Sender
from fhirgw.v2.codec import parse

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v2"
MESSAGES = sorted(FIXTURES.glob("A??/*.hl7"))


def outcome(problems: ExceptionGroup) -> dict:
    """The problems as the HTTP edge would show them."""
    assert all(isinstance(problem, GatewayError) for problem in problems.exceptions)
    return operation_outcome(problems.exceptions)


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_message_maps_to_its_golden_and_every_resource_is_r4(path, context, golden):
    message = parse(path.read_bytes())
    try:
        mapped = map_message(message, context)
    except ExceptionGroup as problems:
        mapped = outcome(problems)
    validate(mapped)
    for entry in mapped.get("entry", ()):
        validate(entry["resource"])
    golden(path.with_suffix(".json"), mapped)


def test_every_event_we_take_has_a_fixture():
    assert set(EVENTS) <= {path.parent.name for path in MESSAGES}


def test_a_registered_class_code_lets_the_parked_message_through(context):
    """The operator adds what the sender's code means; the same bytes then say so."""
    message = parse((FIXTURES / "A01/unmapped-class.hl7").read_bytes())
    with pytest.raises(ExceptionGroup) as refused:
        extract(message, context)
    assert [(type(e).__name__, e.location) for e in refused.value.exceptions] == [("UnmappedCode", "PV1-2")]
    sender = context.sender.model_copy(update={"codes": {"0004": {"XI": "I"}}})
    mapped = extract(message, type(context)(context.name, sender, context.id_key))
    assert mapped.encounter["class"]["coding"]["code"] == "IMP"


def test_no_problem_holds_a_value_of_the_message(context):
    """Errors go to logs and to the sender's screens."""
    for path in MESSAGES:
        raw = path.read_bytes()
        try:
            extract(parse(raw), context)
        except ExceptionGroup as problems:
            for problem in problems.exceptions:
                for word in ("PLACEHOLDER", "FENN", "19951399", "XI", "MRN"):
                    assert word not in problem.text


def test_times_without_an_offset_are_the_senders_own(context):
    """Never silently UTC."""
    message = parse((FIXTURES / "A01/no-visit-number.hl7").read_bytes())
    tokyo = type(context)("elm", Sender(facility="ELMHOSP", zone="Asia/Tokyo"), b"test")
    assert extract(message, context).encounter["period.start"] == "2026-04-14T09:15:00-04:00"
    assert extract(message, tokyo).encounter["period.start"] == "2026-04-14T09:15:00+09:00"
