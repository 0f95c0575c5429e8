"""The JSON contract of ``consent decide`` (DESIGN §9)."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from consent_cases import roi

from fhirgw.consent.wire import answer_line, decide_case
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


def test_a_line_answers_with_the_decision():
    answer = answer_line(json.dumps(CASE), 1)
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
    assert decide_case(case).effect == effect


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
    ],
)  # fmt: skip
def test_bad_input_is_told_with_its_place(change, location):
    with pytest.raises(GatewayError) as raised:
        decide_case(CASE | change)
    assert raised.value.location == location
    denied = answer_line(json.dumps(CASE | change), 3)
    assert (denied["effect"], denied["error"]["location"]) == ("DENY", location)


def test_a_line_that_is_no_json_is_denied():
    assert answer_line("{", 7)["error"]["location"] == "line 7"


def test_the_clock_is_used_where_no_instant_is_stated():
    case = CASE | {"request": {key: value for key, value in CASE["request"].items() if key != "at"}}
    assert decide_case(case, now=datetime(2026, 6, 15, tzinfo=UTC)).effect == "PERMIT"
    assert decide_case(case, now=datetime(2027, 6, 15, tzinfo=UTC)).effect == "DENY"


def test_an_actor_nobody_can_resolve_leaves_a_deny_standing():
    deny = roi(to="Organization/elsewhere", type="deny") | {"id": "d"}
    case = CASE | {"consents": [roi(), deny], "settings": {}}
    assert decide_case(case).effect == "DENY"
    known = [*CASE["supporting"], {"resourceType": "Organization", "id": "elsewhere"}]
    assert decide_case(case | {"supporting": known}).effect == "PERMIT"


def test_labels_computed_from_codes_count_with_those_stated():
    coded = CONDITION | {"code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20"}]}}
    assert decide_case(CASE | {"resource": coded}).effect == "DENY"


def test_the_fixture_cases_decide_as_their_names_say():
    """``fixtures/consent/cases.ndjson`` is what the documentation feeds to ``consent decide --batch``."""
    path = Path(__file__).parents[2] / "fixtures" / "consent" / "cases.ndjson"
    answers = [answer_line(line, number) for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)]
    assert {answer["id"]: (answer["effect"], answer["reason_code"]) for answer in answers} == {
        "permitted": ("PERMIT", "permitted"),
        "sud-not-named": ("DENY", "no-permit"),
        "sud-named": ("PERMIT", "permitted"),
        "revoked": ("DENY", "no-permit"),
        "residual-exception": ("DENY", "denied"),
        "named-person-refused": ("DENY", "named-person-refusal"),
        "two-purposes": ("DENY", "bad-input"),
    }
