"""Stages 2, 4 and 5: what no release lifts, and what permits without one (consent specification §2.7)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from consent_cases import (
    AT,
    AUDIT,
    CLAIM,
    ORGANIZATION_A,
    PERSONNEL,
    RECORD,
    actor,
    consent,
    labels,
    policy,
    purpose,
    refusal,
    request,
    roi,
)  # fmt: skip

from fhirgw.consent.decide import decide
from fhirgw.consent.model import ConsentSettings, Enrolment, Recipient

X = RECORD[0]
CLINICIAN = Recipient(ORGANIZATION_A, PERSONNEL)
ALICE = Recipient(ORGANIZATION_A | {"Practitioner/alice"}, PERSONNEL, person=True)
BOB = Recipient(ORGANIZATION_A | {"Practitioner/bob"}, PERSONNEL, person=True)
NEVER_BOB = consent({"type": "deny", "actor": [actor("Practitioner/bob")]}, name="bob")


def in_emergency(*consents, of=("SUD",), settings=None, enrolments=None, **changes):
    asked = request(**{"recipient": CLINICIAN, "purpose": "ETREAT", "emergency": CLAIM} | changes)
    held = policy(*consents, enrolments=enrolments)
    return decide(asked, X, labels(*of), held, settings or ConsentSettings())


def test_an_emergency_permits_what_no_release_does():
    """Everything, for an hour, accounted for and told: 42 CFR 2.51."""
    decision = in_emergency(consent({"type": "deny"}), enrolments=(Enrolment("ICM", "opted-out"),))
    assert (decision.effect, decision.stage, decision.reason) == ("PERMIT", 4, "emergency")
    assert {"AOD", "ALERT", "NOTICE(part2-short)"} <= set(decision.obligations)
    assert "SCOPE_STATEMENT" not in decision.obligations  # there is no consent whose scope it could state
    assert decision.expires_at == AT + timedelta(minutes=60)


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"purpose": "TREAT"}, "purpose"),
        ({"recipient": Recipient(ORGANIZATION_A)}, "medical-personnel"),
        ({"recipient": Recipient(ORGANIZATION_A, PERSONNEL | {"agency"})}, "medical-personnel"),
        ({"channel": "push"}, "channel"),
        ({"channel": "bulk"}, "channel"),
        ({"emergency": CLAIM | {"patient": "Patient/q"}}, "patient"),
        ({"emergency": {"patient": "Patient/p"}}, "person,affiliation,reason"),
        ({"emergency": CLAIM | {"reason": "  "}}, "reason"),
        ({"emergency": CLAIM | {"since": "2026-06-15T10:00:00Z"}}, "time"),
        ({"emergency": CLAIM | {"since": "2026-06-15T13:00:00Z"}}, "time"),
        ({"emergency": CLAIM | {"since": "yesterday"}}, "time"),
    ],
)
def test_a_claim_that_lacks_something_permits_nothing(changes, lacks):
    decision = in_emergency(**changes)
    assert decision.effect == "DENY"
    assert ("emergency", lacks) in decision.considered


def test_how_long_it_lasts_is_a_setting():
    since = {"emergency": CLAIM | {"since": "2026-06-15T11:30:00Z"}}
    assert in_emergency(**since).effect == "PERMIT"
    assert in_emergency(**since, settings=ConsentSettings(break_glass_minutes=30)).effect == "DENY"


@pytest.mark.parametrize("kind", ["named-person-refusal", "dv-safety-list"])
def test_no_emergency_lifts_a_refusal(kind):
    listed = refusal(kind, "Practitioner/bob")
    assert in_emergency(listed, recipient=BOB).stage == 3
    assert in_emergency(listed, recipient=ALICE).effect == "PERMIT"
    assert in_emergency(listed).effect == "DENY"  # a system asks: it may be Bob


def test_a_person_denied_by_a_release_is_refused():
    """Never Dr Bob: wherever it stands, it is a refusal by the patient."""
    nested = roi(provision=[{"type": "deny", "actor": [actor("Practitioner/bob")]}])
    for held in (NEVER_BOB, nested, nested | {"status": "inactive"}):
        decision = in_emergency(held, recipient=BOB)
        assert decision.effect == "DENY"
        assert ("emergency", "refused") in decision.considered
        assert in_emergency(held, recipient=ALICE).effect == "PERMIT"
    assert in_emergency(consent({"type": "deny", "actor": [actor("Organization/a")]})).effect == "PERMIT"


@pytest.mark.parametrize("of", ["PSYTHPN", "UNREADABLE"])
def test_no_emergency_opens_psychotherapy_notes_or_what_nobody_could_read(of):
    assert in_emergency(of=(of,)).effect == "DENY"


def test_what_is_never_released_is_not_released_in_an_emergency():
    held, asked = policy(), request(recipient=CLINICIAN, purpose="ETREAT", emergency=CLAIM)
    assert decide(asked, {"resourceType": "AuditEvent"}, labels(), held, ConsentSettings()).stage == 1


# -- required by law --------------------------------------------------------------------------------------------

AGREED = ConsentSettings(agreements=(AUDIT,))


def under_agreement(*consents, of=(), settings=AGREED, resource=X, **changes):
    asked = request(**{"purpose": "HOPERAT"} | changes)
    return decide(asked, resource, labels(*of), policy(*consents), settings)


def test_an_agreement_permits_within_its_scope():
    """42 CFR 2.53: the named requester, for the purpose, in the time, of the types and labels that it states."""
    decision = under_agreement(of=("SUD",))
    assert (decision.effect, decision.stage, decision.reason) == ("PERMIT", 5, "required-by-law,audit")
    assert "AOD" in decision.obligations
    assert decision.expires_at == AUDIT.period[1]
    assert under_agreement(purpose="CAREMGT").effect == "PERMIT"
    assert under_agreement(of=("HIV",)).effect == "DENY"
    assert under_agreement(resource=RECORD[2]).effect == "DENY"
    assert under_agreement(purpose="TREAT").effect == "DENY"
    assert under_agreement(purpose="HLEGAL").effect == "DENY"
    assert under_agreement(recipient=Recipient(frozenset({"npi|B"}))).effect == "DENY"
    assert under_agreement(recipient=Recipient(frozenset())).effect == "DENY"
    assert under_agreement(at=AT.replace(year=2027)).effect == "DENY"
    assert under_agreement(settings=ConsentSettings()).effect == "DENY"


def test_a_decision_ends_when_an_agreement_begins():
    before = under_agreement(at=AT.replace(year=2025))
    assert (before.effect, before.expires_at) == ("DENY", AUDIT.period[0])


def test_no_agreement_lifts_a_refusal():
    assert under_agreement(refusal("named-person-refusal", "Practitioner/bob")).stage == 3
    assert under_agreement(consent({"type": "deny"})).effect == "PERMIT"


# -- hard stops -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "of", "effect"),
    [
        (("PSYTHPN", "SUD"), ("PSYTHPN", "SUD"), "PERMIT"),
        (("PSYTHPN", "ETH"), ("PSYTHPN", "OPIOIDUD"), "PERMIT"),
        (("PSYTHPN", "SUD"), ("PSYTHPN",), "DENY"),
        (("PSYTHPN", "SUD"), ("SUD",), "PERMIT"),
        (("PSYTHPN", "SUD", "HIV"), ("PSYTHPN", "SUD"), "DENY"),
        (("PSYTHPN", "PSY"), ("PSYTHPN", "SUD"), "DENY"),
    ],
)
def test_notes_of_sud_counseling_need_a_consent_of_their_own(listed, of, effect):
    """42 CFR 2.31(b)."""
    held = policy(roi("R", *listed))
    assert decide(request(), X, labels(*of), held, ConsentSettings()).effect == effect


@pytest.mark.parametrize("code", ["HLEGAL", "HRESCH", "HMARKT"])
def test_some_purposes_need_an_authorization_that_names_them(code):
    general, named = roi(purpose=purpose("PurposeOfUse")), roi(purpose=purpose(code))
    for held, effect in ((general, "DENY"), (named, "PERMIT")):
        decision = decide(request(purpose=code), X, labels(), policy(held), ConsentSettings())
        assert (decision.effect, decision.stage) == (effect, 7 if effect == "PERMIT" else 2)


def test_a_person_on_the_safety_list_signs_nothing():
    """By whatever name the list and the form know them."""
    signed = roi() | {"performer": [{"reference": "RelatedPerson/g"}]}
    held = policy(signed, authorities={"RelatedPerson/g": (None, None)})
    assert decide(request(), X, labels(), held, ConsentSettings()).effect == "PERMIT"
    known = {"RelatedPerson/g": frozenset({"RelatedPerson/g", "tel|1"})}
    by_number = refusal("dv-safety-list", "RelatedPerson/g", id="dv")
    by_number["provision"]["actor"][0]["reference"] = {"identifier": {"system": "tel", "value": "1"}}
    listed = replace(held, consents=(signed, by_number), actors=dict(held.actors) | known)
    decision = decide(request(), X, labels(), listed, ConsentSettings())
    assert "performer" in dict(decision.considered)["c1"]
