"""Values and codes of the clinical segments: observations, notes, procedures, diagnoses, allergies."""

import pytest
from adt_of_segments import CONTEXT, EVN, MSH, PID, PV1, WHOLE, all_of, mapped, only, segment

from fhirgw.mappers.adt import extract
from fhirgw.profiles.validation import require_valid
from fhirgw.v2.codec import parse

# Observations -----------------------------------------------------------------------------------------------------


def digits(number):
    url = "http://hl7.org/fhir/StructureDefinition/quantity-precision"
    return {"extension": [{"url": url, "valueInteger": number}]}


@pytest.mark.parametrize(
    ("kind", "value", "unit", "expected"),
    [
        ("NM", "82", "kg^kilo^UCUM", {"valueQuantity": {"value": 82, "unit": "kilo", "code": "kg"}}),
        ("NM", "-1.5", "", {"valueQuantity": {"value": -1.5}}),
        ("NM", "72.50", "", {"valueQuantity": {"value": 72.5, "_value": digits(2)}}),
        ("NM", "72.", "", {"valueQuantity": {"value": 72}}),
        (
            "SN",
            "^1.0^-^3.10",
            "",
            {"valueRange": {"low": {"value": 1.0}, "high": {"value": 3.1, "_value": digits(2)}}},
        ),
        ("NM", "82", "stones", {"valueQuantity": {"value": 82, "unit": "stones"}}),
        ("NM", "about 80", "", {"valueString": "about 80"}),
        ("SN", ">^100", "", {"valueQuantity": {"value": 100, "comparator": ">"}}),
        ("SN", "=^100", "", {"valueQuantity": {"value": 100}}),
        ("SN", "^1^:^128", "", {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}),
        ("SN", "^1^-^3", "", {"valueRange": {"low": {"value": 1}, "high": {"value": 3}}}),
        ("SN", "<>^3", "", {"valueString": "<>^3"}),
        ("SN", "^2^+", "", {"valueString": "^2^+"}),
        ("NR", "1^3", "", {"valueRange": {"low": {"value": 1}, "high": {"value": 3}}}),
        ("ST", "a^b", "", {"valueString": "a^b"}),
        ("TX", "one~two", "", {"valueString": "one\ntwo"}),
        ("FT", "one\\.br\\two", "", {"valueString": "one\ntwo"}),
        ("", "plain", "", {"valueString": "plain"}),
        ("XPN", "DEMO^DORA", "", {"valueString": "DEMO^DORA"}),
        ("CX", "12^^^ELM", "", {"valueString": "12^^^ELM"}),
        ("CWE", "266919005^Never^SCT", "", {"valueCodeableConcept": {"code": "266919005", "display": "Never"}}),
        ("DT", "202605", "", {"valueDateTime": "2026-05"}),
        ("TS", "20260502080000-0400", "", {"valueDateTime": "2026-05-02T08:00:00-04:00"}),
        ("DTM", "yesterday", "", {"valueString": "yesterday"}),
        ("TM", "0730", "", {"valueTime": "07:30:00"}),
        ("TM", "0730-0400", "", {"valueTime": "07:30:00"}),
        ("TM", "2561", "", {"valueString": "2561"}),
        ("DR", "20260501^20260502", "", {"valuePeriod": {"start": "2026-05-01", "end": "2026-05-02"}}),
        ("ED", "ELM^TX^plain^Base64^SGk=", "", {"valueAttachment": {"contentType": "text/plain", "data": "SGk="}}),
        ("ED", "ELM^TX^plain^A^Hi", "", {"valueString": "ELM^TX^plain^A^Hi"}),
        ("RP", "https://img.example.org/1^^IM^jpeg", "", {"valueAttachment": {"contentType": "image/jpeg"}}),
        ("RP", "file 12", "", {"valueString": "file 12"}),
    ],
)
def test_an_observed_value_is_of_its_type_or_in_its_words(kind, value, unit, expected):
    said = only("Observation", segment("OBX", {2: kind, 3: "FALL^Fall risk^99E", 5: value, 6: unit, 11: "F"}))
    name, shape = next(iter(expected.items()))
    found = (said["extension"][0] if name == "valueAttachment" else said)[name]
    if name == "valueCodeableConcept":
        found = found["coding"][0]
    assert found == shape if not isinstance(shape, dict) else shape.items() <= found.items()


@pytest.mark.parametrize(
    ("code", "status", "absent"),
    [
        ("F", "final", "unknown"),
        ("C", "corrected", "unknown"),
        ("W", "entered-in-error", "unknown"),
        ("X", "cancelled", "unknown"),
        ("N", "final", "not-asked"),
        ("I", "registered", "temp-unknown"),
        ("?", "unknown", "unknown"),
        ("", "unknown", "unknown"),
    ],
)
def test_a_status_says_why_there_is_no_value(code, status, absent):
    said = only("Observation", segment("OBX", {2: "NM", 3: "8302-2^Height^LN", 11: code}))
    assert said["status"] == status
    assert said["dataAbsentReason"]["coding"][0]["code"] == absent


def test_several_values_of_one_question_are_components():
    said = only("Observation", segment("OBX", {2: "CE", 3: "DIET^Diet^99E", 5: "A^Salt^99E~B^Sugar^99E", 11: "F"}))
    assert [one["valueCodeableConcept"]["coding"][0]["code"] for one in said["component"]] == ["A", "B"]


def test_equal_questions_in_one_message_are_observations_of_their_own():
    asked = [segment("OBX", {2: "ST", 3: "NOTE^Note^99E", 5: words, 11: "F"}) for words in ("one", "two", "two")]
    assert [one["valueString"] for one in all_of("Observation", *asked)] == ["one", "two", "two"]
    assert len({one["id"] for one in all_of("Observation", *asked)}) == 3


def test_what_is_an_element_of_the_patient_is_no_observation():
    assert not all_of("Observation", segment("OBX", {2: "CE", 3: "76689-9^Birth sex^LN", 5: "F", 11: "F"}))


def test_a_disability_of_somebody_else_is_not_the_patients():
    assert not all_of("Observation", segment("DB1", {2: "GT", 4: "Y"}))
    assert only("Observation", segment("DB1", {2: "PT", 4: "N"}))["valueBoolean"] is False


def test_a_note_belongs_to_the_segment_it_follows():
    note = segment("NTE", {3: "Words"})
    diagnosed, allergic = segment("DG1", {3: "I10^x^I10C"}), segment("AL1", {3: "7980^Penicillin^RXNORM"})
    assert only("Condition", diagnosed, note, allergic)["note"] == [{"text": "Words"}]
    assert only("AllergyIntolerance", diagnosed, allergic, note)["note"] == [{"text": "Words"}]


def test_a_note_that_no_resource_can_hold_is_named_to_the_operator():
    assert not [
        e for e in mapped(MSH, EVN, PID, segment("NTE", {3: "Words"}), PV1)["entry"] if "note" in e["resource"]
    ]


# Procedures and allergies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "status"), [("20260501", "completed"), ("20260601", "preparation"), ("", "unknown")]
)
def test_a_procedure_after_the_last_message_has_not_been_done(when, status):
    assert only("Procedure", segment("PR1", {3: "93306^Echo^C4", 5: when}))["status"] == status


def test_a_modified_code_stands_beside_the_code_that_labels_are_computed_from():
    said = only("Procedure", segment("PR1", {3: "93306^Echo^C4", 16: "26~TC"}))
    assert [coding["code"] for coding in said["code"]["coding"]] == ["93306", "93306:26:TC"]


@pytest.mark.parametrize(
    ("minutes", "element"), [("45", "performedPeriod"), ("", "performedDateTime"), ("long", "performedDateTime")]
)
def test_minutes_make_a_period(minutes, element):
    said = only("Procedure", segment("PR1", {3: "93306^Echo^C4", 5: "202605012330-0400", 7: minutes}))
    assert element in said
    assert said.get("performedPeriod", {}).get("end", "2026-05-02T00:15:00-04:00") == "2026-05-02T00:15:00-04:00"


@pytest.mark.parametrize(
    ("severity", "reaction", "expected"),
    [
        ("SV", "", {"criticality": "high"}),
        ("MI", "", {"criticality": "low"}),
        ("MO", "", {}),
        ("SV", "Rash", {"reaction": [{"manifestation": [{"text": "Rash"}], "severity": "severe"}]}),
        ("U", "Rash", {"reaction": [{"manifestation": [{"text": "Rash"}]}]}),
    ],
)
def test_a_severity_is_of_the_reaction_where_there_is_one(severity, reaction, expected):
    said = only("AllergyIntolerance", segment("AL1", {3: "7980^Penicillin^RXNORM", 4: severity, 5: reaction}))
    assert {name: said[name] for name in ("criticality", "reaction") if name in said} == expected


@pytest.mark.parametrize(
    ("action", "status", "clinical", "verification"),
    [
        ("A", "", "active", None),
        ("D", "", "inactive", None),
        ("U", "C", "active", "confirmed"),
        ("U", "I", "inactive", "confirmed"),
        ("U", "S", "active", "unconfirmed"),
        ("D", "E", None, "entered-in-error"),
    ],
)
def test_an_allergy_has_the_status_that_the_sender_gives_it(action, status, clinical, verification):
    said = only(
        "AllergyIntolerance", segment("IAM", {3: "7980^Penicillin^RXNORM", 6: action, 7: "A-1", 17: status})
    )
    found = [said.get(name, {"coding": [{"code": None}]})["coding"][0]["code"] for name in ("clinicalStatus",)]
    found.append(said.get("verificationStatus", {"coding": [{"code": None}]})["coding"][0]["code"])
    assert found == [clinical, verification]


def test_the_facts_of_an_event_come_back_from_the_journal_as_they_were():
    event = extract(parse("\r".join([MSH, EVN, PID, PV1, segment("OBX", WHOLE["OBX"])]).encode() + b"\r"), CONTEXT)
    assert type(event).from_json(event.to_json()) == event


def test_an_organization_is_of_no_home_whatever_its_address_says():
    """org-2, org-3: found by a million mutated messages; the code that was sent stays beside the use."""
    insurer = "IN1|1|HMO^Plan H|INS-1|EXAMPLE PLAN|1 EXAMPLE ST^^HARTFORD^CT^06101^^H||^PRN^PH^^^860^5550100"
    told = {
        2: "NM",
        3: "8867-4^Heart rate^LN",
        5: "72",
        11: "F",
        23: "NORTH LAB",
        24: "2 EXAMPLE ST^^HARTFORD^^^^H",
    }
    value = segment("OBX", told)
    organizations = {one["name"]: one for one in all_of("Organization", insurer, value) if "address" in one}
    plan, laboratory = organizations["EXAMPLE PLAN"], organizations["NORTH LAB"]
    for one in (plan["address"][0], plan["telecom"][0], laboratory["address"][0]):
        assert "use" not in one
        assert one["_use"]["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] in {"H", "PRN"}
    for one in (plan, laboratory):
        require_valid({**one, "id": "x"})
