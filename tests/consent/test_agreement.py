"""decide, the compiled predicate and the naive reference say the same of everything."""

from drawn_consents import emergencies, joined_policies, ordinary, policies, requests, settings
from hypothesis import HealthCheck, event, given
from hypothesis import settings as hypothesis_settings
from three_readings import readings

often = hypothesis_settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


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
@given(request=emergencies, policy=policies, switches=settings)
def test_three_readings_agree_in_an_emergency(request, policy, switches):
    """Stage 4: what the claim needs, and what it never lifts."""
    agree(request, policy, switches)


def agree(request, policy, switches):
    for said in readings(request, policy, switches):
        event(f"{said.decided} {said.reason}")
        assert said.agree, said.asked
