"""What is apart from any visit: relatives, cover, accounts, roles, death; one sender's events, in any order."""

import orjson
import pytest
from example_counts import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirgw.mappers.adt import AdtEvent, extract, extract_all, new_reading
from fhirgw.mappers.event import MapContext
from fhirgw.mappers.person import fold_person, merge_patient
from fhirgw.mappers.record import fold_record
from fhirgw.mappers.segments.reading import Reading
from fhirgw.mappers.visit import fold_visit
from fhirgw.profiles.validation import problems
from fhirgw.settings import Sender
from fhirgw.v2.codec import parse

CONTEXT = MapContext("elm", Sender(facility="ELMHOSP", default_authority="urn:x:default"), b"test")
SAID = "|".join
RESTRICTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}


def seg(name: str, **fields: str) -> str:
    """A segment from numbered fields: ``seg("PID", f3="7")``."""
    numbered = {int(key[1:]): value for key, value in fields.items()}
    return SAID([name, *(numbered.get(number, "") for number in range(1, max(numbered) + 1))])


def event(day: int, *others: str, trigger: str = "A08", pid: str = "PID|1||7||DOE^JANE") -> AdtEvent:
    lines = [f"MSH|^~\\&|ADTSYS|ELMHOSP|||202603{day:02}120000-0500||ADT^{trigger}|{day}|P|2.5.1", pid, *others]
    return extract(parse("\r".join(lines).encode() + b"\r"), CONTEXT)


def record(*events: AdtEvent) -> dict[str, list[dict]]:
    """The resources by type, each of them valid."""
    made: dict[str, list[dict]] = {}
    for resource in fold_record(events, "p", b"test"):
        assert problems(resource) == [], resource
        made.setdefault(resource["resourceType"], []).append(resource)
    return made


BEA = "NK1|1|DOE^BEA|SPO||860-1"
CARL = "NK1|1|DOE^CARL|BRO||860-2"
HMO = seg("IN1", f1="1", f2="HMO^Plan H", f3="INS-1", f4="EXAMPLE PLAN", f17="SEL", f22="1", f36="POL-1")
PPO = seg(
    "IN1", f1="2", f2="PPO^Plan P", f3="INS-2", f4="EXAMPLE WORKS", f16="DOE^BEA", f17="SPO", f22="2", f36="POL-2"
)
GUARANTOR = seg("GT1", f1="1", f3="DOE^BEA", f11="SPO")
ACCOUNTED = seg("PID", f3="7", f5="DOE^JANE", f18="ACC-1")
NURSE = "ROL|R-1|AD|FHCP|12^HELPER^HANNE^^^^^^REG"
DEATH = seg("PDA", f1="I219^Infarction^I10", f6="Y")


def test_a_later_list_replaces_and_what_it_leaves_out_has_ended():
    """Snapshot (v2.5.1 ch. 2.10.4): nothing is only no longer written."""
    made = record(event(1, BEA, HMO, PPO), event(2, CARL, PPO))
    assert {one["name"][0]["given"][0]: one["active"] for one in made["RelatedPerson"]} == {
        "BEA": True,  # no longer next of kin, but the subscriber of a plan that stands
        "CARL": True,
    }
    assert {one["subscriberId"]: one["status"] for one in made["Coverage"]} == {
        "POL-1": "cancelled",
        "POL-2": "active",
    }
    made = record(event(1, BEA), event(2, CARL))
    assert [one["active"] for one in made["RelatedPerson"]] == [False, True]


def test_a_message_without_the_segment_leaves_the_list():
    made = record(event(1, BEA, HMO), event(2))
    assert made["RelatedPerson"][0]["active"]
    assert made["Coverage"][0]["status"] == "active"
    assert fold_person([event(1, BEA), event(2)])["contact"]


@pytest.mark.parametrize("taken_back", ['NK1|1|""', 'NK1|""', 'NK1|1|""|""'])
def test_null_takes_the_list_back(taken_back):
    """v2.5.1 ch. 2.10.4.1."""
    events = [event(1, BEA), event(2, taken_back)]
    assert [one["active"] for one in record(*events)["RelatedPerson"]] == [False]
    assert "contact" not in fold_person(events)


def test_a_segment_that_says_nothing_takes_nothing_back():
    assert fold_person([event(1, BEA), event(2, "NK1|1|^")])["contact"]


def test_an_action_code_takes_out_one():
    """IN1-55 (table 0206), ROL-2 (table 0287): the others of the list stay."""
    gone = HMO + "|" * (55 - HMO.count("|")) + "D"
    made = record(event(1, HMO, PPO), event(2, gone))
    assert {one["subscriberId"]: one["status"] for one in made["Coverage"]} == {
        "POL-1": "cancelled",
        "POL-2": "active",
    }
    left = record(event(1, NURSE), event(2, NURSE.replace("|AD|", "|DE|")))["CareTeam"]
    assert [(one["status"], one.get("participant")) for one in left] == [("inactive", None)]


def test_deleted_information_ends_everything():
    """A29."""
    events = [event(1, NURSE, BEA, HMO), event(2, trigger="A29")]
    made = record(*events)
    assert [one["active"] for one in made["RelatedPerson"]] == [False]
    assert [one["status"] for one in made["Coverage"]] == ["cancelled"]
    assert [one["status"] for one in made["CareTeam"]] == ["inactive"]


def test_one_name_is_one_person():
    """Next of kin, guarantor and subscriber in one RelatedPerson, which the account and the plan refer to."""
    made = record(event(1, BEA, GUARANTOR, PPO, pid=ACCOUNTED))
    (bea,) = made["RelatedPerson"]
    reference = {"reference": f"RelatedPerson/{bea['id']}"}
    assert made["Coverage"][0]["subscriber"] == reference
    assert made["Account"][0]["guarantor"] == [{"party": reference}]
    assert [one["coding"][0]["code"] for one in bea["relationship"]] == ["SPS", "GUAR"]


def test_two_of_one_name_are_told_apart_by_their_place():
    """In a list of contacts both stand; as a person of the record they are one."""
    patient = fold_person([event(1, BEA, BEA.replace("860-1", "860-9"))])
    assert [one["telecom"][0]["value"] for one in patient["contact"]] == ["860-1", "860-9"]


@pytest.mark.parametrize(
    ("in1", "in2", "expected"),
    [("SEL", "", "self"), ("MTH", "", "child"), ("CHD", "", "parent"), ("SPO", "", "spouse"), ("GRD", "", "other"),
     ("MTH", "SEL", "self"), ("", "CHD", "child"), ("", "", None)],
)  # fmt: skip
def test_the_relationship_is_the_members_to_the_insured(in1, in2, expected):
    """IN1-17 says it the other way round; IN2-72 says it so, and wins."""
    lines = [seg("IN1", f2="X", f4="EXAMPLE PLAN", f16="ROE^ANN", f17=in1, f36="1")]
    lines += [seg("IN2", f72=in2)] if in2 else []
    (coverage,) = record(event(1, *lines))["Coverage"]
    assert coverage["relationship"].get("coding", [{}])[0].get("code") == expected


def test_what_an_insurance_names_nothing_by_is_no_cover():
    assert "Coverage" not in record(event(1, seg("IN1", f1="1", f12="20260101")))


def test_a_payor_without_name_or_number_is_unknown():
    """At least one payor; an Organization has a name or an identifier (org-1)."""
    (coverage,) = record(event(1, seg("IN1", f5="1 SAMPLE ST", f36="POL-1")))["Coverage"]
    assert coverage["payor"][0]["extension"][0]["valueCode"] == "unknown"


def test_an_organization_guarantees():
    (account,) = record(event(1, seg("GT1", f21="EXAMPLE WORKS LTD"), pid=ACCOUNTED))["Account"]
    assert account["guarantor"][0]["party"]["reference"].startswith("Organization/")


def test_the_person_guarantees_for_themself():
    made = record(event(1, seg("GT1", f3="DOE^JANE", f11="SEL"), pid=ACCOUNTED))
    assert made["Account"][0]["guarantor"] == [{"party": {"reference": "Patient/p"}}]
    assert "RelatedPerson" not in made


def test_a_broken_date_of_somebody_else_refuses_no_message():
    """It is left out, and named in the report; of the person it is an error."""
    (relative,) = record(event(1, seg("NK1", f2="DOE^BEA", f3="SPO", f16="soon")))["RelatedPerson"]
    assert "birthDate" not in relative
    with pytest.raises(ExceptionGroup):
        event(1, pid=seg("PID", f3="7", f5="DOE", f7="soon"))


def test_restrictions_of_senders_are_united_and_raise_only():
    """ARV, PD1-12; what one sender restricts no other one opens."""
    arv = "ARV|1|A|PSY^Psychiatric^HL70717"
    restricted = fold_person([event(1, seg("PD1", f12="Y"), arv, HMO)])
    assert [one["code"] for one in restricted["meta"]["security"]] == ["R", "PSY"]
    open_one = {"resourceType": "Patient", "meta": {"tag": [{"code": "x"}], "security": [{"code": "SUD"}]}}
    merged = merge_patient("p", {"elm": restricted, "icm": open_one})
    assert [one["code"] for one in merged["meta"]["security"]] == ["SUD", "R", "PSY"]
    assert merged["meta"]["tag"] == [{"code": "x"}]
    (coverage,) = record(event(1, arv, HMO))["Coverage"]
    assert [one["code"] for one in coverage["meta"]["security"]] == ["R", "PSY"]


@pytest.mark.parametrize("lifted", ["ARV|1|D|PSY", "ARV|1|A|NO", "ARV|1|A|OI"])
def test_a_sender_takes_its_own_restriction_back(lifted):
    events = [event(1, "ARV|1|A|SMD"), event(2), event(3, lifted)]
    assert fold_person(events[:2])["meta"]["security"]
    assert "meta" not in fold_person(events)


def test_an_unknown_restriction_restricts():
    (label,) = fold_person([event(1, "ARV|1|A|ZZZ")])["meta"]["security"]
    assert label.items() >= RESTRICTED.items()


def test_a_restriction_after_the_visit_is_the_visits():
    told = event(1, "PV1|1|O|||||||||||||||||V-1", "ARV|1|A|HIV")
    (encounter,) = [one for one in fold_visit([told], "p", b"test") if one["resourceType"] == "Encounter"]
    assert [one["code"] for one in encounter["meta"]["security"]] == ["R", "HIV"]
    assert "meta" not in fold_person([told])


def test_roles_of_a_visit_take_part_in_it_and_those_of_a_person_in_their_care():
    told = event(1, NURSE, "PV1|1|O|||||||||||||||||V-1", "ROL|R-2|AD|AT|13^DEMO^DORA^^^^^^REG", "GT1", NURSE)
    (encounter,) = [one for one in fold_visit([told], "p", b"test") if one["resourceType"] == "Encounter"]
    assert [one["type"][0]["coding"][0]["code"] for one in encounter["participant"]] == ["ATND"]
    (team,) = record(told)["CareTeam"]
    assert len(team["participant"]) == 1


def test_a_primary_care_provider_is_the_general_practitioner_once():
    doctor = "12^EXAMPLE^PERLA^^^^^^REG"
    patient = fold_person([event(1, seg("PD1", f4=doctor), f"ROL||AD|PP|{doctor}", f"PRT||AD||PP|{doctor}")])
    assert [one["display"] for one in patient["generalPractitioner"]] == ["PERLA EXAMPLE"]


def test_death():
    """PDA alone says that somebody died; a cause that a later message leaves out was an error."""
    events = [event(1, DEATH), event(2, seg("PDA", f1="J189^Pneumonia^I10", f6="N"))]
    assert fold_person(events)["deceasedBoolean"] is True
    causes = {
        one["valueCodeableConcept"]["coding"][0]["code"]: one["status"]
        for one in record(*events)["Observation"]
        if "valueCodeableConcept" in one
    }
    assert causes == {"I21.9": "entered-in-error", "J18.9": "final"}
    assert [one["valueBoolean"] for one in record(*events)["Observation"] if "valueBoolean" in one] == [False]


def test_identities_of_relatives_are_no_patients():
    """A relative's number without an authority is never one of the patients' default authority."""
    told = event(1, seg("NK1", f2="DOE^BEA", f33="7"), pid=seg("PID", f3="7", f5="DOE", f21="8"))
    systems = {one["identifier"][0]["system"] for one in record(told)["RelatedPerson"]}
    assert systems == {"http://fhirgw.org/fhir/sid/elm/ELMHOSP/nk1", "http://fhirgw.org/fhir/sid/elm/ELMHOSP/pid"}


def test_unknown_codes_are_collected():
    """(field, table, code), for the operator; the sender's coding is kept."""
    raw = (
        "MSH|^~\\&|A|ELMHOSP|||20260301||ADT^A08|1|P|2.5.1\r"
        + seg("PID", f3="7", f5="DOE^^^^^^QQ", f16="ZZ")
        + "\r"
    )
    message = parse(raw.encode())
    reading: Reading = new_reading(message, CONTEXT)
    extract_all(message, CONTEXT, reading)
    assert reading.codes == [("PID-5", "0200", "QQ"), ("PID-16", "0002", "ZZ")]


_LINES = st.lists(
    st.sampled_from([BEA, CARL, 'NK1|1|""', HMO, PPO, GUARANTOR, NURSE, DEATH, "ARV|1|A|SMD", seg("PD1", f7="Y")]),
    max_size=5,
)
_TRIGGERS = st.sampled_from(["A08", "A08", "A08", "A31", "A29"])


@settings(max_examples=examples(120), deadline=None)
@given(data=st.data())
def test_the_same_events_in_any_order_and_number_give_the_same_bytes(data):
    told = data.draw(
        st.lists(st.tuples(_LINES, _TRIGGERS, st.sampled_from([ACCOUNTED, "PID|1||7||DOE"])), max_size=5)
    )
    events = [event(day + 1, *lines, trigger=trigger, pid=pid) for day, (lines, trigger, pid) in enumerate(told)]
    shuffled = data.draw(
        st.permutations([*events, *data.draw(st.lists(st.sampled_from(events or [None]), max_size=3))])
    )
    again = [AdtEvent.from_json(one.to_json()) for one in shuffled if one is not None]
    assert [orjson.dumps(one, option=orjson.OPT_SORT_KEYS) for one in fold_record(again, "p", b"test")] == [
        orjson.dumps(one, option=orjson.OPT_SORT_KEYS) for one in fold_record(events, "p", b"test")
    ]
    assert fold_person(again) == fold_person(events)
    for resource in fold_record(events, "p", b"test"):
        assert problems(resource) == []
    ids = [(one["resourceType"], one["id"]) for one in fold_record(events, "p", b"test")]
    assert len(ids) == len(set(ids))
