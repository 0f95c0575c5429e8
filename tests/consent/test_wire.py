"""The JSON contract of ``consent decide`` (DESIGN §9)."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from consent_cases import roi

from fhirgw.consent.cases import Cases
from fhirgw.errors import GatewayError

CONDITION = {
    "resourceType": "Condition", "id": "x", "subject": {"reference": "Patient/p"},
    "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}]},
    "code": {"text": "diabetes"},
}  # fmt: skip
CASE = {
    "id": "case-1",
    "request": {
        "recipient": {"identifiers": [{"system": "npi", "value": "A"}], "references": [], "roles": []},
        "purpose": "TREAT", "action": "disclose", "channel": "api", "at": "2026-06-15T12:00:00Z", "emergency": None,
    },
    "resource": CONDITION,
    "consents": [roi()],
    "supporting": [
        {"resourceType": "Organization", "id": "a", "partOf": {"reference": "Organization/top"},
         "identifier": [{"system": "npi", "value": "A"}]},
        {"resourceType": "Organization", "id": "top"},
        {"resourceType": "Practitioner", "id": "bob", "identifier": [{"system": "npi", "value": "bob"}]},
        {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/bob"},
         "organization": {"reference": "Organization/a"}},
    ],
    "settings": {},
}  # fmt: skip


AGREEMENT = {
    "name": "state audit", "recipient": {"identifiers": [{"system": "npi", "value": "A"}]}, "purposes": ["HOPERAT"],
    "classes": ["Condition"], "securityLabels": ["R", "SUD"],
    "period": {"start": "2026-01-01", "end": "2026-12-31"},
}  # fmt: skip


def test_a_line_answers_with_the_decision():
    answer = Cases().answer(json.dumps(CASE), 1)
    assert (answer["id"], answer["effect"]) == ("case-1", "PERMIT")
    assert answer["rules"] == [{"consentId": "c1", "versionId": "1", "path": "provision"}]
    assert answer["decided_at"] == "2026-06-15T12:00:00Z"
    assert list(answer) == [
        "id", "effect", "stage", "reason_code", "rules", "considered", "redactions", "obligations", "revision",
        "label_table", "decided_at", "expires_at", "external",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("to", "recipient", "effect"),
    [
        ("Organization/top", {"identifiers": [{"system": "npi", "value": "A"}]}, "PERMIT"),
        ("Organization/a", {"references": ["Organization/top"]}, "DENY"),
        ("Organization/a", {"references": ["Practitioner/bob"]}, "PERMIT"),
        ("PractitionerRole/r", {"references": ["Practitioner/bob"]}, "PERMIT"),
        ("Practitioner/bob", {"references": ["Organization/a"]}, "DENY"),
        ("Organization/a", None, "DENY"),
    ],
)
def test_the_recipient_is_closed_over_supporting_resources(to, recipient, effect):
    case = CASE | {"consents": [roi(to=to)], "request": CASE["request"] | {"recipient": recipient}}
    assert Cases().decide(case).effect == effect


@pytest.mark.parametrize(
    ("change", "location"),
    [
        ({"request": None}, "request"),
        ({"request": CASE["request"] | {"purpose": ["TREAT", "HPAYMT"]}}, "request.purpose"),
        ({"request": CASE["request"] | {"at": "2026-06-15"}}, "request.at"),
        ({"request": CASE["request"] | {"at": None}}, "request.at"),
        ({"request": CASE["request"] | {"recipient": {"identifiers": [{"system": "x"}]}}},
         "request.recipient.identifiers[0].value"),
        ({"resource": {"id": "x"}}, "resource.resourceType"),
        ({"consents": {}}, "consents"),
        ({"settings": {"require_nothing": True}}, "settings.require_nothing"),
        ({"settings": {"zone": "Mars/Olympus"}}, "settings.zone"),
        ({"settings": {"break_glass_minutes": 0}}, "settings.break_glass_minutes"),
        ({"settings": {"disclosers": {"identifiers": [{}]}}}, "settings.disclosers.identifiers[0].value"),
        ({"settings": {"agreements": [{}]}}, "settings.agreements[0].recipient"),
        ({"settings": {"agreements": [AGREEMENT | {"purposes": []}]}}, "settings.agreements[0].purposes"),
        ({"settings": {"agreements": [AGREEMENT | {"classes": ["Thing"]}]}}, "settings.agreements[0].classes"),
        ({"settings": {"agreements": [AGREEMENT | {"period": {"start": "2026"}}]}},
         "settings.agreements[0].period"),
    ],
)  # fmt: skip
def test_bad_input_is_told_with_its_place(change, location):
    with pytest.raises(GatewayError) as raised:
        Cases().decide(CASE | change)
    assert raised.value.location == location
    denied = Cases().answer(json.dumps(CASE | change), 3)
    assert (denied["effect"], denied["error"]["location"]) == ("DENY", location)


def test_agreements_and_emergencies_are_stated_in_the_case():
    audited = CASE["request"] | {"purpose": "HOPERAT"}
    case = CASE | {"consents": [], "request": audited, "settings": {"agreements": [AGREEMENT]}}
    assert Cases().decide(case).reason == "required-by-law,state audit"
    assert Cases().decide(case | {"settings": {}}).effect == "DENY"
    who = CASE["request"]["recipient"] | {"roles": [{"code": "medical-personnel"}]}
    claim = {"patient": "Patient/p", "person": "Dr. Ada Moss", "affiliation": "Elm", "reason": "unconscious"}
    urgent = CASE["request"] | {"purpose": "ETREAT", "recipient": who, "emergency": claim}
    assert Cases().decide(CASE | {"consents": [], "request": urgent}).reason == "emergency"


def test_what_cases_have_in_common_is_read_once_and_changes_no_answer():
    """In any order, with any memory: each case is answered as if it were alone."""
    path = Path(__file__).parents[2] / "fixtures" / "consent" / "cases.ndjson"
    lines = path.read_text("utf-8").splitlines()
    alone = [Cases().answer(line, 1) for line in lines]
    together, forgetful = Cases(), Cases(kept=1)
    for number in (*range(len(lines)), *reversed(range(len(lines)))):
        assert together.answer(lines[number], 1) == forgetful.answer(lines[number], 1) == alone[number]


def test_a_patient_is_known_by_identifier():
    """As HL7 FAST has it: patient and performer without a literal reference."""
    identifier = {"system": "http://example.org/mrn", "value": "M1"}
    by_name = roi() | {"patient": {"identifier": identifier}, "performer": [{"identifier": identifier}]}
    person = {"resourceType": "Patient", "id": "p", "identifier": [identifier]}
    case = CASE | {"consents": [by_name]}
    assert Cases().decide(case).effect == "DENY"
    assert Cases().decide(case | {"supporting": [*CASE["supporting"], person]}).effect == "PERMIT"
    assert Cases().decide(case | {"resource": person | {"address": []}}).effect == "PERMIT"
    assert Cases().decide(case | {"resource": None, "supporting": [*CASE["supporting"], person]}).effect == "PERMIT"


def test_a_line_that_is_no_json_is_denied():
    assert Cases().answer("{", 7)["error"]["location"] == "line 7"


def test_the_clock_is_used_where_no_instant_is_stated():
    case = CASE | {"request": {key: value for key, value in CASE["request"].items() if key != "at"}}
    assert Cases(datetime(2026, 6, 15, tzinfo=UTC)).decide(case).effect == "PERMIT"
    assert Cases(datetime(2027, 6, 15, tzinfo=UTC)).decide(case).effect == "DENY"


def test_an_actor_nobody_can_resolve_leaves_a_deny_standing():
    deny = roi(to="Organization/elsewhere", type="deny") | {"id": "d"}
    case = CASE | {"consents": [roi(), deny], "settings": {}}
    assert Cases().decide(case).effect == "DENY"
    known = [*CASE["supporting"], {"resourceType": "Organization", "id": "elsewhere"}]
    assert Cases().decide(case | {"supporting": known}).effect == "PERMIT"


def test_labels_computed_from_codes_count_with_those_stated():
    coded = CONDITION | {"code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20"}]}}
    assert Cases().decide(CASE | {"resource": coded}).effect == "DENY"


def test_the_fixture_cases_decide_as_their_names_say():
    """``fixtures/consent/cases.ndjson`` is what the documentation feeds to ``consent decide --batch``."""
    path = Path(__file__).parents[2] / "fixtures" / "consent" / "cases.ndjson"
    answers = [Cases().answer(line, number) for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)]
    assert {answer["id"]: (answer["effect"], answer["reason_code"]) for answer in answers} == {
        "permitted": ("PERMIT", "permitted"),
        "sud-not-named": ("DENY", "no-permit"),
        "sud-named": ("PERMIT", "permitted"),
        "revoked": ("DENY", "no-permit"),
        "residual-exception": ("DENY", "denied"),
        "named-person-refused": ("DENY", "named-person-refusal"),
        "two-purposes": ("DENY", "bad-input"),
    }
