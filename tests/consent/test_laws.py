"""The laws of the consent specification, §2.8."""

import json
from dataclasses import replace

from consent_cases import (
    ICD,
    RECORD,
    actor,
    concept,
    consent,
    datum,
    labels,
    policy,
    request,
    roi,
    security,
)
from drawn_consents import joined_policies, policies, requests, settings
from example_counts import examples
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fhirgw.consent.compile import compile_visibility
from fhirgw.consent.decide import Case
from fhirgw.consent.labels import LabelContext, label
from fhirgw.consent.model import ConsentSettings, Recipient
from fhirgw.consent.predicate import Facts
from fhirgw.consent.redact import redact
from fhirgw.consent.vocabulary import BITS

few = hypothesis_settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
LABELLED = [
    (RECORD[0], codes) for codes in (("SUD",), ("OPIOIDUD",), ("HIV",), ("MH",), ("PSY", "SDV"), ("PSYTHPN",))
]
ASKED = [*LABELLED, *((one, ()) for one in RECORD)]
"""One resource with labels, and each without."""


def facts_of(held, switches, asked=ASKED):
    """With the marks that the rules of this policy give each."""
    zone = switches.zone
    labelled = [(one["resourceType"], labels(*codes, of=one, held=held, zone=zone)) for one, codes in asked]
    return [Facts(kind, said.labels, said.conf) for kind, said in labelled]


def permitted(request, held, switches, asked=ASKED):
    case = Case(request, held, switches)
    return [case.permits(facts) for facts in facts_of(held, switches, asked)]


def opened(before, after):
    return any(now and not then for then, now in zip(before, after, strict=True))


@few
@given(requests, policies, settings, st.randoms(use_true_random=False))
def test_order_of_consents_and_of_siblings_never_matters(request, held, switches, random):
    """Law (a)."""
    consents = json.loads(json.dumps(held.consents))

    def shuffle(provision):
        children = provision.get("provision", [])
        random.shuffle(children)
        for child in children:
            shuffle(child)

    for each in consents:
        shuffle(each["provision"])
    random.shuffle(consents)
    assert permitted(request, replace(held, consents=tuple(consents)), switches) == permitted(
        request, held, switches
    )


denies = st.sampled_from(
    [
        {"type": "deny"},
        {"type": "deny", "actor": [actor("Organization/a")]},
        {"type": "deny", "actor": [actor("Practitioner/bob")]},
        {"type": "deny", "securityLabel": security("SUD")},
        {"type": "deny", "code": [concept(ICD, "E11.9")]},
        {"type": "deny", "data": [datum("related", "Encounter/e")], "dataPeriod": {"start": "2026-01-01"}},
        {"type": "deny", "securityLabel": [{"system": "http://example.org/local", "code": "X"}]},
    ]
)


@few
@given(requests, policies, settings, denies)
def test_adding_a_deny_never_opens(request, held, switches, deny):
    """Law (b), for a Consent of its own and for an exception within another."""
    before = permitted(request, held, switches)
    alone = replace(held, consents=(*held.consents, consent(deny, name="new")))
    assert not opened(before, permitted(request, alone, switches))
    for at, each in enumerate(held.consents):
        provision = each["provision"]
        within = each | {"provision": provision | {"provision": [*provision.get("provision", []), deny]}}
        consents = (*held.consents[:at], within, *held.consents[at + 1 :])
        assert not opened(before, permitted(request, replace(held, consents=consents), switches))


@few
@given(requests, joined_policies, settings)
def test_what_another_record_of_the_patient_says_never_opens(request, held, switches):
    """Leak 49: of a record that was merged or linked, refusals count and permissions do not."""
    own = replace(held, consents=held.consents[:-1], others=frozenset())
    assert not opened(permitted(request, own, switches), permitted(request, held, switches))


@few
@given(requests, policies, settings)
def test_making_a_fact_unknown_never_opens(request, held, switches):
    """Law (c): recipient, person, purpose, actor look-ups, affiliations, and labels that could not be read."""
    before = permitted(request, held, switches)
    unknowns = [
        (replace(request, recipient=Recipient(frozenset())), held),
        (replace(request, recipient=replace(request.recipient, person=None)), held),
        (replace(request, purpose="?"), held),
        (request, replace(held, actors={})),
        (request, replace(held, affiliations={})),
    ]
    for asked, known in unknowns:
        assert not opened(before, permitted(asked, known, switches))
    for hidden in ({"recorder", "asserter", "performer", "author"}, {"onsetDateTime", "recordedDate", "date"}):
        less = [({name: one[name] for name in one if name not in hidden}, codes) for one, codes in ASKED]
        assert not opened(before, permitted(request, held, switches, less))
    unreadable = Facts("Condition", BITS["UNREADABLE"], 5)
    assert not Case(request, held, switches).permits(unreadable)


def is_permit_rooted(consent):
    """Whether its root says permit and nothing else: one that says OPTOUT as well is a refusal, which may end."""
    return consent["provision"]["type"] == "permit" and "OPTOUT" not in json.dumps(consent.get("policyRule"))


@few
@given(requests, policies, settings)
def test_ending_a_permit_rooted_roi_never_opens(request, held, switches):
    """Law (d): revoked or expired, its exceptions remain."""
    before = permitted(request, held, switches)
    for at, each in enumerate(held.consents):
        if not is_permit_rooted(each) or each.get("status") != "active":
            continue
        revoked = each | {"status": "inactive"}
        expired = each | {"provision": each["provision"] | {"period": {"start": "2025-01-01", "end": "2026-06-14"}}}
        for ended in (revoked, expired):
            consents = (*held.consents[:at], ended, *held.consents[at + 1 :])
            assert not opened(before, permitted(request, replace(held, consents=consents), switches))


@few
@given(requests, policies, settings)
def test_raising_confidentiality_never_opens(request, held, switches):
    """Law (e)."""
    case = Case(request, held, switches)
    for facts in facts_of(held, switches):
        allowed = [case.permits(replace(facts, conf=level)) for level in range(6)]
        assert allowed == sorted(allowed, reverse=True)


PLAN = {
    "resourceType": "CarePlan",
    "id": "plan",
    "meta": {"versionId": "3", "tag": [{"system": "x", "code": "y"}]},
    "text": {"status": "generated", "div": "<div>all of it</div>"},
    "contained": [
        {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"},
         "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20"}]}},
        {"resourceType": "Goal", "id": "g", "lifecycleStatus": "active", "subject": {"reference": "Patient/p"},
         "description": {"text": "walk"}},
    ],
    "status": "active",
    "intent": "plan",
    "subject": {"reference": "Patient/p"},
    "category": [{"coding": [{"code": "assess-plan"}]}],
    "addresses": [{"reference": "#c"}, {"reference": "Condition/diabetes"}, {"reference": "Condition/hiv"}],
    "goal": [{"reference": "Goal/sober", "display": "stop using"}, {"reference": "#g"}],
    "note": [{"text": "fentanyl"}],
    "_title": {"extension": [{"url": "http://example.org/x", "valueString": "words"}]},
}  # fmt: skip
TARGETS = {"Condition/diabetes": (0, 3), "Condition/hiv": (BITS["HIV"], 4), "Goal/sober": (BITS["SUD"], 4)}


@few
@given(st.sets(st.sampled_from(["N", "R", "SUD", "HIV", "PSY", "SDV", "STD", "BH"]), min_size=1), st.booleans())
def test_redaction_is_a_fixpoint_and_leaves_no_marker(codes, cleared):
    """Law (g): redacting the redacted changes nothing, and nothing of what is hidden remains."""
    context = LabelContext(TARGETS.get, text_cleared=cleared)
    held = policy(roi(*codes))
    visibility = compile_visibility(request(), [held], ConsentSettings(), revision=1)
    predicate = visibility.predicate_for("p")
    once = redact(PLAN, label(PLAN, context), predicate)
    assert (once is not None) == bool(codes & {"N", "R"})  # sensitivity alone does not release the plan itself
    if once is None:
        return
    again = label(once, context)
    assert redact(once, again, predicate) == once
    text = json.dumps(once)
    assert not {"masked", "redacted", "REDACTED", "div", "meta"} & set(text.split('"'))
    assert ("Goal/sober" in text) == ("stop using" in text) == ({"SUD", "R"} <= codes)
    assert ("F11.20" in text) == ("#c" in text) == ({"SUD", "R"} <= codes)
    assert ("Condition/hiv" in text) == ({"HIV", "R"} <= codes)
    assert ("fentanyl" in text) == cleared
    assert len(once["addresses"]) == 1 + ("#c" in text) + ("Condition/hiv" in text)


def test_labels_helper_agrees_with_the_vocabulary():
    """The makers of this suite write the same masks as the labeller."""
    assert labels("SUD").labels == BITS["SUD"]
