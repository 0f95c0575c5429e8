"""Stage 8: the minimum necessary narrows what was permitted, and nothing else (specification §2.7 row 8)."""

import pytest
import reference
from consent_cases import LEAST, ORGANIZATION_A, RECORD, labels, policy, request, roi
from drawn_consents import settings
from example_counts import examples
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fhirgw.consent.decide import Case, decide
from fhirgw.consent.minimum import narrowing, read_profiles, shipped
from fhirgw.consent.model import ConsentSettings, Recipient
from fhirgw.consent.predicate import ALWAYS
from fhirgw.consent.redact import redact
from fhirgw.errors import InvalidElement

PAYER = Recipient(ORGANIZATION_A, frozenset({"payer"}))
BOTH = Recipient(ORGANIZATION_A, frozenset({"payer", "agency"}))
PRACTICE = Recipient(ORGANIZATION_A, frozenset({"covered-entity"}))
NARROW = ConsentSettings(minimum=LEAST)
CONDITION = RECORD[0]


def test_a_type_that_is_not_needed_is_not_given():
    goal = {"resourceType": "CarePlan", "id": "k", "subject": {"reference": "Patient/p"}}
    said = decide(request(recipient=PAYER), goal, labels(), policy(roi()), NARROW)
    assert (said.effect, said.stage, said.reason) == ("DENY", 8, "minimum-necessary")
    assert decide(request(recipient=PRACTICE), goal, labels(), policy(roi()), NARROW).effect == "PERMIT"
    assert decide(request(recipient=PAYER), goal, labels(), policy(roi()), ConsentSettings()).effect == "PERMIT"


def test_a_recipient_of_no_known_class_is_narrowed_by_every_profile():
    assert narrowing(request(), LEAST) == narrowing(request(recipient=BOTH), LEAST)
    assert narrowing(request(recipient=PRACTICE), LEAST) is None


def test_a_profile_permits_nothing():
    said = decide(request(recipient=PAYER), CONDITION, labels(), policy(), NARROW)
    assert (said.effect, said.reason) == ("DENY", "no-permit")


def test_what_was_narrowed_is_told_to_the_ledger():
    said = decide(request(recipient=PAYER), CONDITION, labels(), policy(roi()), NARROW)
    assert "MINIMUM(a)" in said.obligations


def test_of_two_profiles_what_both_keep_is_given():
    profile = narrowing(request(recipient=BOTH), LEAST)
    assert profile.types == {"Condition", "Encounter"}
    assert profile.stems("Condition") == {"subject"}
    assert profile.stems("Encounter") is None


@hypothesis_settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    who=st.sampled_from([PAYER, BOTH, PRACTICE, Recipient(ORGANIZATION_A)]),
    switches=settings,
    one=st.sampled_from(RECORD),
)
def test_what_is_left_is_what_the_reference_leaves(who, switches, one):
    asked = request(recipient=who)
    case = Case(asked, policy(), switches)
    expected = reference.needed(asked, switches, one)
    if expected:
        left = redact(one, labels(of=one), ALWAYS, case.profile)
        wanted = {name: value for name, value in expected.items() if name not in {"meta", "text"}}
        assert left == wanted
        again = redact(left, labels(of=left), ALWAYS, case.profile)
        assert again == left


@pytest.mark.parametrize("code", ["TREAT", "COC", "ETREAT", "BTG", "PATRQT"])
def test_treatment_and_the_members_own_access_have_no_profile(code):
    """45 CFR 164.502(b)(2)."""
    everyone = Recipient(ORGANIZATION_A, frozenset({"payer", "agency", "state-agency", "covered-entity"}))
    assert narrowing(request(recipient=everyone, purpose=code), shipped()) is None


def test_what_ships_is_for_payers_and_agencies():
    for code in ("HPAYMT", "HOPERAT", "CAREMGT"):
        profile = narrowing(request(recipient=PAYER, purpose=code), shipped())
        assert profile is not None
        assert ("name" in profile.stems("Patient")) is (code == "HPAYMT")


GOOD = {
    "name": "x",
    "source": "45 CFR",
    "classes": ["payer"],
    "purposes": ["HPAYMT"],
    "types": {"Patient": ["name"]},
}


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""}, {"source": ""}, {"classes": []}, {"classes": ["friend"]}, {"purposes": ["WHATEVER"]},
        {"purposes": "HPAYMT"}, {"types": {"Nonsense": "*"}}, {"types": ["Patient"]},
        {"types": {"Patient": "name"}}, {"types": {"Goal": ["subject"]}}, {"types": {"Basic": ["code"]}},
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_kept_to_is_refused(change):
    assert read_profiles([GOOD], "profile")
    with pytest.raises(InvalidElement):
        read_profiles([GOOD | change], "profile")
