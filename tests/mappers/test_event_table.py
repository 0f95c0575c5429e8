"""The event table: every trigger event, what it does to the visit, and what its fixtures say."""

from pathlib import Path

import orjson
import pytest
from visit_events import DISCHARGE, KEY, at, encounter, event, folded

from fhirgw.mappers.adt import EVENTS, extract_all
from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.person import fold_person
from fhirgw.mappers.trigger_events import Effect, Identity
from fhirgw.mappers.visit import fold_visit
from fhirgw.profiles.validation import require_valid
from fhirgw.r4 import validate
from fhirgw.v2.codec import parse
from fhirgw.v2.structures import structure_of

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v2"
LISTED = [
    *(f"A{n:02}" for n in (*range(1, 18), *range(21, 32), *range(34, 52), 54, 55, 60, 61, 62)),
]
ADMIT = event("A01", at(5), admitted=at(5))


def test_every_event_that_hospitals_send_is_in_the_table():
    assert set(LISTED) <= set(EVENTS)
    assert not {"A18", "A19", "A20", "A56", "A57", "A58", "A59"} & set(EVENTS)


@pytest.mark.parametrize("trigger", EVENTS)
def test_the_structure_is_the_standards(trigger):
    assert EVENTS[trigger].structure == structure_of(trigger)


@pytest.mark.parametrize("trigger", EVENTS)
def test_a_cancel_names_what_it_undoes_and_comes_after_it(trigger):
    semantics = EVENTS[trigger]
    assert bool(semantics.undoes) == (semantics.effect is Effect.CANCEL)
    assert all(EVENTS[undone].rank < semantics.rank for undone in semantics.undoes)


@pytest.mark.parametrize("trigger", EVENTS)
def test_every_event_has_three_messages_and_every_golden_is_valid(trigger):
    goldens = [orjson.loads(path.read_bytes()) for path in sorted((FIXTURES / trigger).glob("*.json"))]
    bundles = [one for one in goldens if one["resourceType"] == "Bundle"]
    assert len(bundles) >= 3
    for bundle in bundles:
        for entry in bundle["entry"]:
            validate(entry["resource"])
            require_valid(entry["resource"])


def status(*events):
    return encounter(*events)["status"]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (["A05"], "planned"),
        (["A14"], "planned"),
        (["A05", "A38"], "cancelled"),
        (["A14", "A27"], "cancelled"),
        (["A05", "A01"], "in-progress"),
        (["A05", "A01", "A11"], "planned"),
        (["A04", "A06"], "in-progress"),
        (["A01", "A07"], "in-progress"),
        (["A02"], "in-progress"),
        (["A01", "A21"], "onleave"),
        (["A01", "A21", "A22"], "in-progress"),
        (["A01", "A21", "A52"], "in-progress"),
        (["A01", "A21", "A22", "A53"], "onleave"),
        (["A01", "A03", "A13", "A03"], "finished"),
        (["A01", "A16", "A25"], "in-progress"),
        (["A01", "A23"], "entered-in-error"),
        (["A01", "A23", "A01"], "in-progress"),
        (["A01", "A40"], "in-progress"),
        (["A54"], "unknown"),
    ],
)
def test_the_status_of_a_history(history, expected):
    events = [event(trigger, at(5 + number)) for number, trigger in enumerate(history)]
    assert status(*events) == expected
    assert status(*events[::-1], *events) == expected


def places(*events):
    return [
        (one["status"], one["location"]["reference"], one.get("period", {}))
        for one in encounter(*events)["location"]
    ]


def test_a_transfer_moves_and_its_cancel_moves_back():
    moved = event("A02", at(6), bed="B")
    assert [one[0] for one in places(ADMIT, moved)] == ["completed", "active"]
    back = event("A12", at(6), at(7), bed="A")
    assert places(ADMIT, moved, back) == places(ADMIT)


def test_a_change_of_class_is_kept():
    emergency = event("A04", at(4), patient_class="E")
    visit = encounter(emergency, event("A06", at(5)))
    assert visit["class"]["code"] == "IMP"
    (before,) = visit["classHistory"]
    assert before["class"]["code"] == "EMER"
    assert before["period"] == {"start": "2026-03-04T12:00:00-05:00", "end": "2026-03-05T12:00:00-05:00"}
    assert (
        encounter(emergency, event("A06", at(5)), event("A07", at(6), patient_class="O"))["class"]["code"] == "AMB"
    )


def raw(trigger, day, *, pv1=None, pv1_fields=(), person="MRN-1^^^ELMHOSP^MR"):
    fields = ["PV1", "1", "I", "4E^412^A^ELMHOSP", *[""] * 60]
    fields[19] = "V-1"
    for number, text in dict(pv1_fields).items():
        fields[number] = text
    lines = [
        f"MSH|^~\\&|ADTSYS|ELMHOSP|||{at(day)}||ADT^{trigger}|{trigger}-{day}|P|2.5.1",
        f"EVN|{trigger}|{at(day)}",
        f"PID|1||{person}||TESTPERSON^ALMA||19840302",
        pv1 if pv1 is not None else "|".join(fields).rstrip("|"),
    ]
    return [line for line in lines if line]


def told(lines, context) -> list[AdtEvent]:
    return extract_all(parse("\r".join(lines).encode() + b"\r"), context)


def test_a_planned_transfer_is_a_planned_place_until_it_happens_or_is_given_up(context):
    (plan,) = told(raw("A15", 6, pv1_fields={42: "ICU^1^1^ELMHOSP"}), context)
    (moved,) = told(raw("A02", 7, pv1_fields={3: "ICU^1^1^ELMHOSP"}), context)
    (admitted,) = told(raw("A01", 5), context)
    assert [one[0] for one in places(admitted, plan)] == ["active", "planned"]
    assert [one[0] for one in places(admitted, plan, moved)] == ["completed", "active"]
    (given_up,) = told(raw("A26", 7), context)
    assert [one[0] for one in places(admitted, plan, given_up)] == ["active"]


def test_a_bed_is_reserved_while_its_patient_is_elsewhere(context):
    (admitted,) = told(raw("A01", 5), context)
    (gone,) = told(raw("A09", 6, pv1_fields={11: "XRAY^R2^^ELMHOSP"}), context)
    (back,) = told(raw("A10", 7), context)
    assert [one[0] for one in places(admitted, gone)] == ["reserved", "active"]
    assert [one[0] for one in places(admitted, gone, back)] == ["active", "completed"]
    assert [one[0] for one in places(ADMIT, event("A21", at(6)))] == ["reserved"]


def test_a_new_attending_doctor_follows_the_old_one(context):
    (admitted,) = told(raw("A01", 5, pv1_fields={7: "7^DEMO^DORA"}), context)
    (changed,) = told(raw("A54", 6, pv1_fields={7: "8^RELIEF^ROSA"}), context)
    first, then = (one for one in encounter(admitted, changed)["participant"])
    assert first["period"]["end"] == then["period"]["start"] == "2026-03-06T12:00:00-05:00"
    (undone,) = told(raw("A55", 7, pv1_fields={7: "7^DEMO^DORA"}), context)
    assert encounter(admitted, changed, undone)["participant"] == encounter(admitted)["participant"]


def test_two_patients_exchange_beds(context):
    lines = raw("A17", 6)
    second = raw("A17", 6, person="MRN-2^^^ELMHOSP^MR", pv1_fields={3: "4E^413^B^ELMHOSP", 19: "V-2"})[2:]
    one, other = told([*lines, *second], context)
    assert [visit.visit[1] for visit in (one, other)] == ["V-1", "V-2"]
    assert one.digest != other.digest
    assert one.identifiers != other.identifiers


@pytest.mark.parametrize(
    ("trigger", "identity"),
    [("A40", Identity.MERGE), ("A47", Identity.MERGE), ("A43", Identity.MOVE)],
)
def test_the_earlier_record_is_of_the_same_authority(trigger, identity, context):
    """A40: "of the same identifier type" as PID-3; many senders leave the authority of MRG-1 out."""
    lines = [*raw(trigger, 6, pv1="")[:3], "MRG|77~78^^^OTHER"]
    (one,) = told(lines, context)
    system = "http://fhirgw.org/fhir/sid/elm/"
    assert one.identity is identity
    assert [pair[:2] for pair in one.others] == [(system + "ELMHOSP", "77"), (system + "OTHER", "78")]


def test_several_earlier_records_and_several_people_are_facts_of_their_own(context):
    head, evn, pid = raw("A40", 6, pv1="")[:3]
    two = pid.replace("MRN-1", "MRN-2")
    found = told([head, evn, pid, "PD1", "MRG|77", "MRG|78", two, "MRG|79"], context)
    assert [(one.identifiers[0][1], one.others[0][1]) for one in found] == [
        ("MRN-1", "77"),
        ("MRN-1", "78"),
        ("MRN-2", "79"),
    ]


@pytest.mark.parametrize(
    ("trigger", "lines", "location"),
    [
        ("A40", [], "MRG"),
        ("A40", ["MRG|"], "MRG-1"),
        ("A41", ["MRG|77"], "MRG-3"),
        ("A42", ["MRG|77||||V-2", "PV1|1|I"], "PV1-19"),
        ("A50", ["MRG|77||||V-2"], "PV1"),
        ("A45", ["MRG|77", "PV1|1|I||||||||||||||||V-1"], "MRG-5"),
        ("A24", [], "PID[2]"),
    ],
)
def test_what_an_event_needs_is_said(trigger, lines, location, context):
    with pytest.raises(ExceptionGroup) as refused:
        told([*raw(trigger, 6, pv1="")[:3], *lines], context)
    assert location in [one.location for one in refused.value.exceptions]


def test_a_merged_visit_has_its_present_number_and_its_old_one(context):
    first = told(raw("A01", 5, pv1_fields={19: "V-9"}), context)
    merge = told(
        [*raw("A42", 6, pv1="")[:3], "MRG|77||||V-9", "PV1||||||||||||||||||| V-1".replace(" ", "")], context
    )
    assert merge[0].succeeds == ((first[0].visit, merge[0].visit),)
    resources = fold_visit([*first, *merge], "alma", KEY, merge[0].visit)
    (visit,) = [one for one in resources if one["resourceType"] == "Encounter"]
    assert [(one["value"], one.get("use")) for one in visit["identifier"]] == [("V-1", None), ("V-9", "old")]


def test_what_is_deleted_of_a_person_is_no_longer_said_of_them(context):
    (known,) = told(raw("A28", 5, pv1=""), context)
    (gone,) = told(
        [line.replace("TESTPERSON^ALMA||19840302", "TESTPERSON^ALMA") for line in raw("A29", 6, pv1="")], context
    )
    assert "birthDate" in fold_person([known])
    assert "birthDate" not in fold_person([gone, known])


def test_what_a_deleted_visit_was_about_is_an_error_too():
    made = folded(event("A01", at(5), diagnoses="F33.1:A"), event("A23", at(6)))
    (visit,) = [one for one in made if one["resourceType"] == "Encounter"]
    assert "diagnosis" not in visit
    for one in made:
        if one["resourceType"] == "Condition":
            assert one["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    assert DISCHARGE.effect is Effect.CLOSE
