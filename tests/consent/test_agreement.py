"""decide, the compiled predicate and the naive reference say the same of everything."""

import os
from collections import Counter

import pytest
import reference
from consent_cases import (
    RECORD,
    WORLD,
    emergencies,
    joined_policies,
    labels,
    ordinary,
    policies,
    requests,
    settings,
)
from hypothesis import HealthCheck, Phase, event, given
from hypothesis import settings as hypothesis_settings

from fhirgw.consent.compile import compile_visibility
from fhirgw.consent.decide import Case
from fhirgw.consent.predicate import Facts, holds

LABELLED = (
    ((), 3), ((), 4), ((), 5), (("SUD",), 4), (("OPIOIDUD",), 5), (("BH",), 4), (("MH",), 4), (("PSY",), 4),
    (("PSYTHPN",), 4), (("HIV",), 4), (("STD",), 4), (("SDV",), 4), (("VIO",), 4), (("EMOTDIS", "HIV"), 5),
)  # fmt: skip
FACTS = [(RECORD[0], *one) for one in LABELLED] + [(one, (), 3) for one in RECORD[1:]]
"""One resource with every combination of labels, and every resource with none."""


often = hypothesis_settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@often
@given(request=requests, policy=policies(), switches=settings)
def test_three_readings_agree(request, policy, switches):
    """Decide PERMIT <=> the compiled predicate holds <=> the reference permits."""
    agree(request, policy, switches)


@often
@given(request=ordinary, policy=joined_policies(), switches=settings)
def test_three_readings_agree_about_two_records_of_one_person(request, policy, switches):
    """Leak 49: what was signed under a record that was merged or linked."""
    agree(request, policy, switches)


@often
@given(request=emergencies, policy=policies(), switches=settings)
def test_three_readings_agree_in_an_emergency(request, policy, switches):
    """Stage 4: what the claim needs, and what it never lifts."""
    agree(request, policy, switches)


@pytest.mark.slow
def test_three_readings_agree_about_very_many_policies():
    """``CONSENT_EXAMPLES=1000000 pytest -m slow tests/consent`` judges so many random policies, once.

    Each is asked about every resource of FACTS: as many decisions again as there are facts.
    """
    many = hypothesis_settings(
        max_examples=int(os.environ.get("CONSENT_EXAMPLES", "2000")), deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate,),
    )  # fmt: skip
    judged = Counter()

    @many
    @given(request=requests | ordinary | emergencies, policy=policies() | joined_policies(), switches=settings)
    def holds(request, policy, switches):
        judged.update(agree(request, policy, switches))

    holds()
    print(dict(judged))  # noqa: T201 - how many of what were judged is what the run is for
    assert judged["PERMIT"] > judged.total() // 50


def agree(request, policy, switches):
    """What was decided, of every fact."""
    effects = []
    case = Case(request, policy, switches)
    visibility = compile_visibility(request, [policy], switches, revision=1)
    for resource, codes, conf in FACTS:
        labelled = labels(*codes, conf=conf, of=resource, held=policy)
        decision = case.decide(resource, labelled)
        facts = Facts(resource["resourceType"], labelled.labels, labelled.conf)
        compiled = holds(visibility.predicate_for("p"), facts)
        expected = reference.effect_of(request, policy, switches, resource, set(codes), labelled.conf, WORLD)
        event(f"{decision.effect} {decision.reason}")
        assert (decision.effect, compiled) == (expected, expected == "PERMIT"), (resource, codes, conf)
        effects.append(decision.effect)
    return effects
