"""Patients of one pattern are decided alike, whoever asks; members who signed the same form have one pattern."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
from consent_cases import ACT, actor, policy, purpose, refusal, roi, types
from drawn_consents import any_policy, any_request, ordinary_request
from example_counts import examples
from hypothesis import HealthCheck, event, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fhirgw.consent.compile import compile_case
from fhirgw.consent.decide import Case
from fhirgw.consent.model import ConsentSettings
from fhirgw.consent.pattern import phases
from fhirgw.consent.predicate import Facts, holds
from fhirgw.consent.standing import SUPERSEDES
from fhirgw.consent.vocabulary import BITS, MARK_BITS
from fhirgw.settings import ZONE

MASKS = (0, BITS["SUD"], BITS["HIV"], BITS["PSYTHPN"], MARK_BITS[0], MARK_BITS[1], MARK_BITS[0] | BITS["SUD"])
GRID = [Facts(*one) for one in product(("Condition", "Goal", "AuditEvent"), MASKS, (3, 4, 5))]
DAYS = [datetime(2026, *day, tzinfo=UTC) for day in ((1, 1), (2, 1), (6, 14), (6, 15), (6, 16), (12, 31))]
VALUES = (
    "2026-01-02", "2026-06-15", "2026-06-14", "2027-01-01", "permit", "deny", "inactive", "TREAT", "R", [], {},
    True, "Organization/b", {"reference": "RelatedPerson/x"}, {"reference": "Patient/z"},
)  # fmt: skip


def pattern_of(held, at):
    states = [one.status for one in held.enrolments or ()]
    found = phases(held.patient, held.consents, states, others=bool(held.others), zone=ZONE)
    [now] = [
        one.pattern
        for one in found
        if (one.since is None or one.since <= at) and (one.until is None or at < one.until)
    ]
    return now


def meaning(held, request):
    predicate = compile_case(Case(request, replace(held, enrolments=held.enrolments or ()), ConsentSettings()))
    return [holds(predicate, facts) for facts in GRID]


def another(held, random):
    """The same of somebody else, signed on other days; and now and then with anything else changed."""
    consents = [deepcopy(one) for one in held.consents]
    for number, one in enumerate(consents):
        other = {"reference": "Patient/z", "display": "Zoe Sample"}
        if one.get("patient", {}).get("reference") == "Patient/p":
            one["patient"] = other
        if one.get("performer") == [{"reference": "Patient/p"}]:
            one["performer"] = [other]
        one |= {"id": f"z{9 - number}", "meta": {"versionId": "7"}, "identifier": [{"value": f"{number}"}]}
        for link in one.get("extension", ()):
            at = [each["id"] for each in held.consents].index(link["valueReference"]["reference"].split("/")[1])
            link["valueReference"] = {"reference": f"Consent/z{9 - at}"}
        one["dateTime"] = random.choice((one.get("dateTime"), "2026-01-01", "2025-12-24"))
        if random.random() < 0.3:
            one["sourceReference"] = {"reference": "DocumentReference/z"}
        if random.random() < 0.4:
            change(one, random)
    return replace(held, patient="z", consents=tuple(consents))


def change(element, random):
    """Something, at any depth, is gone or says something else."""
    while True:
        key = random.choice(sorted(element) if isinstance(element, dict) else range(len(element)))
        if not isinstance(element[key], dict | list) or not element[key] or random.random() < 0.2:
            break
        element = element[key]
    if random.random() < 0.3:
        del element[key]
    else:
        element[key] = random.choice(VALUES)


def follow(held, random):
    """The last of the Consents supersedes one of the others, if it was signed later."""
    named = {"reference": f"Consent/{random.choice(held.consents)['id']}"}
    last = held.consents[-1] | {
        "extension": [{"url": SUPERSEDES, "valueReference": named}],
        "dateTime": "2026-03-01",
    }
    return replace(held, consents=(*held.consents[:-1], last))


@hypothesis_settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=True))
def test_patients_of_one_pattern_are_decided_alike(random):
    held = any_policy(random)
    held = follow(held, random) if random.random() < 0.3 else held
    other = another(held, random)
    for at in DAYS:
        same = pattern_of(held, at) == pattern_of(other, at)
        event("same" if same else "another")
        if same:
            for asked in (ordinary_request(random), any_request(random)):
                assert meaning(held, replace(asked, at=at)) == meaning(other, replace(asked, at=at))


def signed(day, end, **changes):
    whose = {"reference": f"Patient/{changes.pop('patient', 'p')}"}
    made = roi("R", period={"start": day, "end": end}) | {"dateTime": day, "patient": whose, "performer": [whose]}
    return made | changes


def test_members_who_signed_the_same_form_have_one_pattern():
    """On whatever day, and whoever keeps the paper."""
    one = policy(signed("2026-01-01", "2026-12-31"), refusal("named-person-refusal", "Practitioner/bob"))
    paper = {"sourceReference": {"reference": "DocumentReference/z"}, "id": "z", "text": {"status": "empty"}}
    whose = {"reference": "Patient/z"}
    again = refusal("named-person-refusal", "Practitioner/bob", id="a", patient=whose, performer=[whose])
    two = replace(policy(again, signed("2026-02-01", "2027-01-31", patient="z", **paper)), patient="z")
    at = datetime(2026, 6, 1, tzinfo=UTC)
    assert pattern_of(one, at) == pattern_of(two, at)
    assert pattern_of(one, datetime(2026, 1, 2, tzinfo=UTC)) != pattern_of(two, datetime(2026, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "inactive"}, {"sourceReference": {}},
        {"policyRule": {"coding": [{"system": ACT, "code": "OPTOUT"}]}},
        {"provision": roi("R")["provision"] | {"actor": [actor("Organization/b")]}},
        {"provision": roi("R")["provision"] | {"class": types("Goal")}},
        {"provision": roi("R")["provision"] | {"purpose": purpose("HPAYMT")}},
        {"provision": roi("R")["provision"] | {"period": {"start": "2026-01-01"}}},
        {"provision": roi("R")["provision"] | {"provision": [{"type": "deny", "class": types("Goal")}]}},
        {"performer": [{"reference": "RelatedPerson/x"}]}, {"patient": {"identifier": {"value": "1"}}},
        {"verification": [{"verified": False}]}, {"dateTime": "2026-07-01"}, {"modifierExtension": [{"url": "x"}]},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_what_decides_otherwise_is_another_pattern(changes):
    at = datetime(2026, 6, 1, tzinfo=UTC)
    assert pattern_of(policy(roi("R")), at) != pattern_of(policy(roi("R") | changes), at)


def test_what_could_be_read_otherwise_of_another_patient_is_a_pattern_of_its_own():
    at = datetime(2026, 6, 1, tzinfo=UTC)
    for changes in ({"performer": [{"reference": "RelatedPerson/x"}]}, {"patient": {"identifier": {"value": "1"}}}):
        held = policy(roi("R") | changes)
        assert pattern_of(held, at) != pattern_of(replace(held, patient="z"), at)
