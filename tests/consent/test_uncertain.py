"""What a Consent says in a way that can be read in two: its permits do not reach that far, its denies do (§0.4)."""

from datetime import UTC

import pytest
from consent_cases import (
    ACT,
    ICD,
    LOINC,
    ORGANIZATION_A,
    PARTICIPATION,
    PERSONNEL,
    PROFILE,
    RECORD,
    concept,
    consent,
    labels,
    policy,
    ref,
    request,
    roi,
    types,
)

from fhirgw.consent.closure import authority
from fhirgw.consent.content import Content
from fhirgw.consent.criteria import ALONE, Criteria, matches, read_codes
from fhirgw.consent.decide import decide
from fhirgw.consent.model import ConsentSettings, Recipient

SYSTEM = Recipient(ORGANIZATION_A)
ALICE = Recipient(ORGANIZATION_A | {"Practitioner/alice", "npi|alice"}, PERSONNEL, person=True)
CONDITION, CARE_PLAN, DOCUMENT = RECORD[0], RECORD[3], RECORD[4]
TEXT = DOCUMENT | {"content": [{"attachment": {"contentType": "text/plain; charset=UTF-8"}}]}
ABSENT = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
}


def effect(*consents, of=CONDITION, recipient=SYSTEM):
    held = policy(*consents)
    return decide(request(recipient=recipient), of, labels(of=of, held=held), held, ConsentSettings()).effect


def by_identifier(system, value, **more):
    role = {"coding": [{"system": PARTICIPATION, "code": "IRCP"}]}
    return {"actor": [{"role": role, "reference": {"identifier": {"system": system, "value": value}} | more}]}


def opt(code, system=ACT):
    return {"policyRule": {"coding": [{"system": system, "code": code}]}}


@pytest.mark.parametrize(
    ("never", "recipient", "said"),
    [
        (by_identifier("ein", "12-3", type="Organization"), SYSTEM, "DENY"),  # it may be theirs
        (by_identifier("npi", "Z", type="Organization"), SYSTEM, "PERMIT"),  # theirs is another
        (by_identifier("npi", "B"), SYSTEM, "PERMIT"),  # of an organization that is known
        (by_identifier("npi", "Z"), SYSTEM, "DENY"),  # it may be a person's, who works there
        (by_identifier("npi", "bob"), SYSTEM, "DENY"),
        (by_identifier("npi", "bob"), ALICE, "PERMIT"),
        (by_identifier("licence", "7"), ALICE, "DENY"),
        (by_identifier("licence", "7", type="Practitioner"), ALICE, "DENY"),
    ],
)  # fmt: skip
def test_who_cannot_be_told_apart_from_who_is_refused_is_refused(never, recipient, said):
    assert effect(roi(), consent({"type": "deny"} | never, name="d"), recipient=recipient) == said


def test_a_device_that_is_known_may_be_what_asks():
    never = consent({"type": "deny", "actor": [{"role": concept(PARTICIPATION, "IRCP"),
                                                "reference": {"reference": "Device/x"}}]}, name="d")  # fmt: skip
    held = policy(roi(), never)
    held.actors["Device/x"] = frozenset({"Device/x"})
    assert decide(request(), CONDITION, labels(), held, ConsentSettings()).effect == "DENY"


@pytest.mark.parametrize(
    ("stated", "of"),
    [
        ({"period": {"start": "2026-12-01", "end": "2026-01-01"}}, CONDITION),
        ({"period": {"end": "2026-01-01", "until": "2027-01-01"}}, CONDITION),
        ({"code": [concept(ICD, "E11")]}, CONDITION),
        ({"code": [concept(ICD, "E11.95")]}, CONDITION),
        ({"class": [{"system": "urn:ietf:rfc:3986", "code": f"{PROFILE}|6.1.0"}]}, CARE_PLAN),
        ({"class": [{"system": "urn:ietf:bcp:13", "code": "text/plain"}]}, TEXT),
        ({"class": [{"system": "urn:ietf:bcp:13", "code": "Application/PDF"}]}, DOCUMENT),
    ],
)
def test_a_deny_reaches_what_it_may_mean(stated, of):
    assert effect(roi(), of=of) == "PERMIT"
    assert effect(roi(), consent({"type": "deny"} | stated, name="d"), of=of) == "DENY"


@pytest.mark.parametrize(
    "changes",
    [
        {"provision": {"period": {"start": "2026-01-01", "_end": ABSENT}}},
        {"provision": {"period": {"start": "2026-01-01", "until": "2026-12-31"}}},
        {"provision": {"period": {"start": "2026-12-31", "end": "2026-01-01"}}},
        {"provision": {"code": [concept(ICD, "E11")]}},
        {"sourceReference": {"reference": "#form"}},
        {"sourceReference": {"display": "in the cabinet"}},
        {"sourceReference": None, "sourceAttachment": {"hash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk="}},
        {"contained": [{"resourceType": "Organization", "id": "o", "identifier": [{"system": "npi", "value": "A"}],
                        "modifierExtension": [{"url": "http://example.org/not"}]}],
         "provision": {"actor": [{"role": concept(PARTICIPATION, "IRCP"), "reference": {"reference": "#o"}}]}},
        opt("OPTOUTE"), opt("EMRGONLY"), opt("OPTOUT", "http://example.org/local"), opt("OPTIN", ""),
    ],
)  # fmt: skip
def test_a_permit_reaches_no_further_than_it_certainly_says(changes):
    made = roi(**changes.get("provision", {}))
    changed = {name: value for name, value in changes.items() if name != "provision"}
    whole = {name: value for name, value in (made | changed).items() if value is not None}
    assert effect(roi()) == "PERMIT"
    assert effect(whole) == "DENY"


def test_a_senders_own_code_may_be_the_one_that_is_denied():
    """Until a person has reviewed it, nobody can say what it stands for."""
    asked = Criteria(read_codes([concept(LOINC, "4548-4")]), None, None, None, UTC)
    local = CONDITION | {"code": concept("urn:oid:1.2.3", "SUGAR")}
    for cleared, said in ((False, None), (True, False)):
        assert matches(asked, "deny", Content(local, cleared=cleared), ALONE) is said
    assert matches(asked, "deny", Content(CONDITION, cleared=False), ALONE) is False


@pytest.mark.parametrize(
    ("code", "signs"), [("GUARD", True), ("HPOWATT", True), ("GUADLTM", False), ("SPOWATT", False), ("PRN", False)]
)
def test_a_substitutes_authority_is_one_that_extends_to_records(code, signs):
    related = {"resourceType": "RelatedPerson", "patient": ref("Patient/p"), "relationship": [concept("v3", code)]}
    assert (authority(related, "p", UTC) is not None) == signs


def test_a_permit_may_name_by_identifier_alone():
    assert effect(roi(**by_identifier("npi", "A"))) == "PERMIT"
    assert effect(roi(**by_identifier("npi", "A"), **{"class": types("Goal")})) == "DENY"
