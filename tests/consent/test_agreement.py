"""decide, the compiled predicate and the naive reference say the same of everything."""

from consent_cases import policy, request, roi
from drawn_consents import emergencies, joined_policies, ordinary, policies, requests, settings, successions
from example_counts import examples
from hypothesis import HealthCheck, event, given
from hypothesis import settings as hypothesis_settings
from three_readings import readings

from fhirgw.consent.model import ConsentSettings

often = hypothesis_settings(max_examples=examples(120), deadline=None, suppress_health_check=list(HealthCheck))


@often
@given(request=requests, policy=policies, switches=settings)
def test_three_readings_agree(request, policy, switches):
    """Decide PERMIT <=> the compiled predicate holds <=> the reference permits."""
    agree(request, policy, switches)


@often
@given(request=ordinary, policy=joined_policies, switches=settings)
def test_three_readings_agree_about_two_records_of_one_person(request, policy, switches):
    """Leak 49: what was signed under a record that was merged or linked."""
    agree(request, policy, switches)


@often
@given(request=ordinary, policy=successions, switches=settings)
def test_three_readings_agree_about_what_took_the_place_of_what(request, policy, switches):
    """§2.4 no. 3 and 6: the last day in the Consent's zone; exceptions that a later release settles."""
    agree(request, policy, switches)


@often
@given(request=emergencies, policy=policies, switches=settings)
def test_three_readings_agree_in_an_emergency(request, policy, switches):
    """Stage 4: what the claim needs, and what it never lifts."""
    agree(request, policy, switches)


def test_an_empty_element_states_nothing():
    """Found by a million policies: an empty period leaves that of the provision above, which is over."""
    over = {"type": "permit", "period": {"end": "2026-06-14"}, "provision": [{"type": "permit", "period": {}}]}
    held = policy(roi("R") | {"provision": roi("R")["provision"] | {"type": "deny", "provision": [over]}})
    said = list(readings(request(), held, ConsentSettings()))
    assert {(one.decided, one.agree) for one in said} == {("DENY", True)}


def agree(request, policy, switches):
    for said in readings(request, policy, switches):
        event(f"{said.decided} {said.reason}")
        assert said.agree, said.asked
