"""Stages 0 to 7, case by case: each row is a sentence of the consent specification."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from consent_cases import (
    ACT,
    AT,
    CATEGORY,
    ORGANIZATION_A,
    actor,
    consent,
    labels,
    policy,
    purpose,
    refusal,
    request,
    roi,
    security,
    types,
)  # fmt: skip

from fhirgw.consent.decide import Case, decide, decide_by
from fhirgw.consent.model import ConsentSettings, Enrolment, Recipient
from fhirgw.consent.rules import actor_tokens, read

CONDITION = {"resourceType": "Condition", "id": "x", "subject": {"reference": "Patient/p"}}
SETTINGS = ConsentSettings()


def asked(*consents, of=(), settings=SETTINGS, held=None, conf=None, **changes):
    held = held or policy(*consents)
    return decide(request(**changes), CONDITION, labels(*of, conf=conf), held, settings)


def permit(**changes):
    """An ROI with the provision's dimensions replaced; None takes one out."""
    made = roi("N", "R")
    provision = {name: value for name, value in (made["provision"] | changes).items() if value is not None}
    return made | {"provision": provision}


WHOLE = roi("R", "SUD")
NESTED_SUD = permit(
    securityLabel=security("R", "SUD", "HIV"), provision=[{"type": "deny", "securityLabel": security("HIV")}]
)

CASES = [
    ("nothing matches: deny", [], (), {}, "DENY"),
    ("an ROI in force permits", [roi()], (), {}, "PERMIT"),
    ("a kind of the purpose is the purpose", [roi()], (), {"purpose": "COC"}, "PERMIT"),
    ("a break-glass purpose never yields less than treatment", [roi()], (), {"purpose": "BTG"}, "PERMIT"),
    ("another purpose is not", [roi()], (), {"purpose": "HPAYMT"}, "DENY"),
    ("confidentiality is ordered", [roi("N")], ("MH",), {}, "DENY"),
    ("an explicit-only category must be named", [roi("R")], ("SUD",), {}, "DENY"),
    ("an explicit-only category named is released", [WHOLE], ("OPIOIDUD",), {}, "PERMIT"),
    ("ETH is SUD", [roi("R", "ETH")], ("SUD",), {}, "PERMIT"),
    ("a permit covers all labels", [WHOLE], ("SUD", "HIV"), {}, "DENY"),
    ("BH reaches PSY", [roi("R", "BH")], ("PSY",), {}, "PERMIT"),
    ("BH never reaches psychotherapy notes", [roi("R", "BH")], ("PSYTHPN",), {}, "DENY"),
    ("psychotherapy notes by their own consent", [roi("R", "PSYTHPN", "PSY")], ("PSYTHPN",), {}, "PERMIT"),
    ("psychotherapy notes by no combined consent", [roi("R", "PSYTHPN", "SUD")], ("PSYTHPN",), {}, "DENY"),
    ("a nested deny needs only one label", [NESTED_SUD], ("SUD", "HIV"), {}, "DENY"),
    ("outside the exception the parent permits", [NESTED_SUD], ("SUD",), {}, "PERMIT"),
    ("a deny wins over another permit", [roi(), consent({"type": "deny"}, name="d")], (), {}, "DENY"),
    (
        "an oral, unsigned refusal counts",
        [roi(), consent({"type": "deny"}, name="d", sourceReference=None, performer=None)],
        (),
        {},
        "DENY",
    ),
    (
        "a withdrawn root deny does not",
        [roi(), consent({"type": "deny"}, name="d", status="inactive")],
        (),
        {},
        "PERMIT",
    ),
    ("revoked", [roi() | {"status": "inactive"}], (), {}, "DENY"),
    ("unsigned", [consent(roi()["provision"], sourceReference=None)], (), {}, "DENY"),
    (
        "verified with whom and when",
        [
            consent(
                roi()["provision"],
                sourceReference=None,
                verification=[
                    {"verified": True, "verifiedWith": {"display": "her"}, "verificationDate": "2026-01-02"}
                ],
            )
        ],
        (),
        {},
        "PERMIT",
    ),
    (
        "verified, and not with whom",
        [consent(roi()["provision"], sourceReference=None, verification=[{"verified": True}])],
        (),
        {},
        "DENY",
    ),
    ("verified false", [roi() | {"verification": [{"verified": False}]}], (), {}, "DENY"),
    (
        "signed by somebody without authority",
        [roi() | {"performer": [{"reference": "RelatedPerson/x"}]}],
        (),
        {},
        "DENY",
    ),
    ("signed later", [roi() | {"dateTime": "2026-07-01"}], (), {}, "DENY"),
    ("another patient's", [roi() | {"patient": {"reference": "Patient/q"}}], (), {}, "DENY"),
    ("the whole last day counts", [permit(period={"end": "2026-06-15"})], (), {}, "PERMIT"),
    ("the day after does not", [permit(period={"end": "2026-06-14"})], (), {}, "DENY"),
    ("another class", [permit(**{"class": types("Goal")})], (), {}, "DENY"),
    ("the class asked for", [permit(**{"class": types("Condition", "Goal")})], (), {}, "PERMIT"),
    (
        "OPTIN is a base",
        [
            consent(
                {"period": {"end": "2027"}, "purpose": purpose("TREAT")},
                policyRule={"coding": [{"system": ACT, "code": "OPTIN"}]},
            )
        ],
        (),
        {},
        "PERMIT",
    ),
    (
        "base and root that differ",
        [roi() | {"policyRule": {"coding": [{"system": ACT, "code": "OPTOUT"}]}}],
        (),
        {},
        "DENY",
    ),
    ("no end, for treatment alone", [permit(period={"start": "2026-01-01"})], (), {}, "PERMIT"),
    (
        "no end, for other purposes too",
        [permit(period={"start": "2026"}, purpose=purpose("TREAT", "PATRQT"))],
        (),
        {},
        "DENY",
    ),
    ("marketing needs to be named", [permit(purpose=purpose("PurposeOfUse"))], (), {"purpose": "HMARKT"}, "DENY"),
    ("no discloser: no Part 2 data", [consent(WHOLE["provision"], organization=None)], ("SUD",), {}, "DENY"),
    ("no discloser: other data", [consent(roi()["provision"], organization=None)], (), {}, "PERMIT"),
    ("unknown requester", [roi()], (), {"recipient": Recipient(frozenset())}, "DENY"),
    ("an emergency claim yields nothing more", [], (), {"emergency": {"reason": "x"}, "purpose": "ETREAT"}, "DENY"),
    ("what was not readable is not releasable", [roi("V", "SUD")], ("UNREADABLE",), {}, "DENY"),
]


@pytest.mark.parametrize(
    ("consents", "of", "changes", "effect"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_case(consents, of, changes, effect):
    assert asked(*consents, of=of, **changes).effect == effect


def test_residual_exception_outlives_its_consent():
    """Ending an ROI with exceptions must not open what a second ROI would release."""
    ended = NESTED_SUD | {"id": "old", "status": "inactive"}
    second = permit(securityLabel=security("R", "HIV")) | {"id": "new"}
    decision = asked(ended, second, of=("HIV",))
    assert (decision.effect, decision.rules[0].consent) == ("DENY", "old")
    later = second | {
        "dateTime": "2026-02-01",
        "extension": [
            {
                "url": "http://fhirgw.org/fhir/StructureDefinition/consent-supersedes",
                "valueReference": {"reference": "Consent/old"},
            }
        ],
    }
    assert asked(ended, later, of=("HIV",)).effect == "PERMIT"


@pytest.mark.parametrize(
    "broken",
    [
        {"code": {"coding": [{"code": "x"}]}},
        {"code": [{"coding": [{"system": "http://example.org/codes", "code": "x"}]}]},
        {"code": [{"coding": [{"system": "http://terminology.hl7.org/ValueSet/v3-x", "code": "x"}]}]},
        {"code": [{"coding": [{"system": "http://snomed.info/sct", "code": "1.09399E+16"}]}]},
        {"code": [{"text": "diabetes"}]},
        {"data": [{"meaning": "mentions", "reference": {"reference": "Condition/x"}}]},
        {"data": [{"meaning": "instance", "reference": {"display": "the one of last week"}}]},
        {"dataPeriod": {"start": "last week"}},
        {"class": [{"system": "http://loinc.org"}]},
        {"class": [{"system": "http://hl7.org/fhir/consentcontentclass", "code": "Condition"}]},
        {"actor": [{"reference": {"display": "whoever asks"}}]},
        {"modifierExtension": [{"url": "http://example.org/unless"}]},
        {"purpose": [{"system": "http://terminology.hl7.org/ValueSet/v3-PurposeOfUse", "code": "TREAT"}]},
        {"securityLabel": [{"system": "http://example.org/local", "code": "SUD"}]},
        {"unless": True},
    ],
)
def test_unenforceable_permits_never_fire_and_denies_do(broken):
    assert asked(permit(**broken)).effect == "DENY"
    assert asked(roi(), consent({"type": "deny"} | broken, name="d")).effect == "DENY"
    assert read(permit(**broken)).problems


@pytest.mark.parametrize("kind", ["named-person-refusal", "dv-safety-list"])
@pytest.mark.parametrize(
    ("recipient", "affiliations", "effect"),
    [
        (Recipient(ORGANIZATION_A), {}, "DENY"),
        (Recipient(ORGANIZATION_A), {"Practitioner/bob": ORGANIZATION_A}, "DENY"),
        (Recipient(ORGANIZATION_A), {"Practitioner/bob": frozenset({"Organization/b"})}, "PERMIT"),
        (Recipient(ORGANIZATION_A | {"Practitioner/bob"}, person=True), {}, "DENY"),
        (Recipient(ORGANIZATION_A | {"Practitioner/alice"}, person=True), {}, "PERMIT"),
    ],
)
def test_a_refused_person(kind, recipient, affiliations, effect):
    held = policy(roi(), refusal(kind, "Practitioner/bob"), affiliations=affiliations)
    decision = asked(held=held, recipient=recipient)
    assert decision.effect == effect
    assert (decision.stage == 3) == (effect == "DENY")


@pytest.mark.parametrize(
    ("states", "effect"),
    [
        (None, "PERMIT"),
        (["active"], "PERMIT"),
        (["finished"], "PERMIT"),
        (["candidate"], "DENY"),
        ([], "DENY"),
        (["active", "opted-out"], "DENY"),
    ],
)
def test_enrolment_is_a_precondition(states, effect):
    enrolments = None if states is None else tuple(Enrolment("ICM", state) for state in states)
    assert asked(held=policy(roi(), enrolments=enrolments)).effect == effect


def test_a_permit_for_a_person_is_none_for_the_organization():
    held = policy(roi(to="Practitioner/bob"), affiliations={"Practitioner/bob": ORGANIZATION_A})
    assert asked(held=held).effect == "DENY"
    assert asked(held=held, recipient=Recipient(frozenset({"npi|bob"}), person=True)).effect == "PERMIT"


def test_a_substitute_signs_with_recorded_authority_only():
    signed = roi() | {"performer": [{"reference": "RelatedPerson/g"}]}
    authorities = {"RelatedPerson/g": (datetime(2025, 1, 1, tzinfo=UTC), None)}
    held = policy(signed, authorities=authorities)
    assert asked(held=held).effect == "PERMIT"
    listed = refusal("dv-safety-list", "RelatedPerson/g", id="dv")
    known = {"RelatedPerson/g": frozenset()}
    assert asked(held=replace(held, consents=(signed, listed), affiliations=known)).effect == "DENY"


def test_every_patient_must_permit():
    resource = CONDITION | {"member": [{"entity": {"reference": "Patient/q"}}]}
    cases, of_q = {"p": Case(request(), policy(roi()), SETTINGS)}, {"reference": "Patient/q"}
    assert decide_by(cases.get, resource, labels(), AT).effect == "DENY"
    held = replace(policy(roi() | {"patient": of_q, "performer": [of_q]}), patient="q")
    cases["q"] = Case(request(), held, SETTINGS)
    assert decide_by(cases.get, resource, labels(), AT).effect == "PERMIT"
    assert decide_by(cases.get, {"resourceType": "Condition"}, labels(), AT).effect == "DENY"


def test_obligations_follow_part_2_data():
    released = asked(WHOLE, of=("SUD",))
    assert released.obligations == ("NOTICE(part2-short)", "SCOPE_STATEMENT", "AOD", "NORDSCLCD")
    covered = Recipient(ORGANIZATION_A, frozenset({"covered-entity"}))
    assert "NORDSCLCD" not in asked(WHOLE, of=("SUD",), recipient=covered).obligations
    assert asked(WHOLE).obligations == ()
    assert released.expires_at == datetime(2027, 1, 1, 5, tzinfo=UTC)


def test_actor_tokens_name_everybody_a_permit_may_name():
    both = permit(
        provision=[{"type": "permit", "actor": [{"reference": {"identifier": {"system": "npi", "value": "B"}}}]}]
    )
    assert actor_tokens(both) == {"Organization/a", "npi|B"}
    assert actor_tokens(permit(actor=None)) == {"*"}
    assert actor_tokens(consent({"type": "deny", "actor": [actor("Organization/b")]})) == frozenset()


def test_a_deeper_rule_overrides_its_own_ancestors_only():
    except_for_us = consent({"type": "deny", "provision": [roi()["provision"]]})
    assert asked(except_for_us).effect == "PERMIT"
    assert asked(except_for_us, consent({"type": "deny"}, name="d")).effect == "DENY"
    never_sud = permit(
        securityLabel=security("R", "SUD"), provision=[{"type": "deny", "securityLabel": security("SUD")}]
    )
    for_us = never_sud["provision"]["provision"][0] | {
        "provision": [permit(securityLabel=security("R", "SUD"))["provision"]]
    }
    released = never_sud | {"provision": never_sud["provision"] | {"provision": [for_us]}}
    assert asked(never_sud, of=("SUD",)).effect == "DENY"
    assert asked(released, of=("SUD",)).effect == "PERMIT"


def test_a_nested_deny_that_names_an_actor_stands_alone():
    """A refusal of B is not limited to the purpose of its parent; an exception that names nobody is."""
    never_b = permit(purpose=purpose("HPAYMT"), provision=[{"type": "deny", "actor": [actor("Organization/b")]}])
    ours = roi(to="Organization/b") | {"id": "b"}
    as_b = {"recipient": Recipient(frozenset({"Organization/b"}))}
    assert asked(ours, **as_b).effect == "PERMIT"
    assert asked(ours, never_b, **as_b).effect == "DENY"
    local = permit(provision=[{"type": "deny", "securityLabel": security("N")}])
    assert asked(ours, local, **as_b).effect == "PERMIT"


@pytest.mark.parametrize(
    ("us", "permitted", "denied"),
    [(set(), False, True), ({"npi|A"}, True, True), ({"npi|B"}, False, False)],
)
def test_a_custodian_says_whose_disclosures_are_meant(us, permitted, denied):
    """Not known who discloses: a permit of theirs never counts, and a deny always does."""
    ours = [actor("Organization/b"), actor("Organization/a", role="CST")]
    settings = ConsentSettings(disclosers=frozenset(us))
    as_b = {"recipient": Recipient(frozenset({"Organization/b"})), "settings": settings}
    assert (asked(permit(actor=ours), **as_b).effect == "PERMIT") == permitted
    never = consent({"type": "deny", "actor": ours}, name="d")
    assert (asked(roi(to="Organization/b"), never, **as_b).effect == "DENY") == denied


def test_an_opt_in_to_treatment_names_nobody():
    scope = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "treatment"}]}
    assert actor_tokens(permit(actor=None) | {"scope": scope}) == frozenset()
    assert asked(permit(actor=None) | {"scope": scope}).effect == "DENY"


def test_an_expiry_event_is_an_expiry():
    event = {
        "url": "http://fhirgw.org/fhir/StructureDefinition/icm-consent-expiry-event",
        "valueString": "end of care",
    }
    endless = permit(period={"start": "2026"}, purpose=purpose("TREAT", "PATRQT"))
    assert asked(endless | {"extension": [event]}).effect == "PERMIT"


def test_category_is_asked_for():
    other = consent(roi()["provision"], category=[{"coding": [{"system": CATEGORY, "code": "other"}]}])
    assert asked(other).considered == (("c1", "category"),)
    assert asked(other, settings=ConsentSettings(any_category=True)).effect == "PERMIT"
    assert (
        asked(other, settings=ConsentSettings(roi_categories=frozenset({f"{CATEGORY}|other"}))).effect == "PERMIT"
    )
