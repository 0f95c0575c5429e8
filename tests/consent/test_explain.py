"""What the privacy officer is told agrees with what is decided, and says what a change would do."""

from dataclasses import replace

import pytest
from consent_cases import (
    AT,
    CATEGORY,
    actor,
    concept,
    consent,
    labels,
    policy,
    purpose,
    refusal,
    request,
    roi,
    security,
)

from fhirgw.consent.decide import decide
from fhirgw.consent.explain import Asker, explain
from fhirgw.consent.model import ConsentSettings, Enrolment

SETTINGS = ConsentSettings()
CONDITION = {"resourceType": "Condition", "id": "x", "subject": {"reference": "Patient/p"}}
OTHER = {"resourceType": "Condition", "id": "y", "subject": {"reference": "Patient/p"}}
RECORD = [(CONDITION, labels()), (OTHER, labels("SUD"))]
ELM = Asker("elm", "Elm Street", request())


def explained(*consents, record=RECORD, askers=(ELM,), held=None):
    return explain(askers, held or policy(*consents), record, SETTINGS, AT)


def test_every_recipient_is_told_with_what_it_may_see_and_why():
    view = explained(roi()).views[0]
    assert (view.client, view.purpose, view.objection, view.seen) == ("elm", "TREAT", None, 1)
    seen, hidden = view.decided
    assert (seen.effect, seen.resources, [rule.consent for rule in seen.rules]) == (
        "PERMIT",
        ("Condition/x",),
        ["c1"],
    )
    assert (hidden.effect, hidden.resources, hidden.reason) == ("DENY", ("Condition/y",), "no-permit")
    assert hidden.labels == ("SUD",)


def test_the_explanation_is_the_decision():
    held = policy(roi("R", "SUD"))
    told = {name: one.effect for one in explained(held=held).views[0].decided for name in one.resources}
    for resource, carried in RECORD:
        decision = decide(request(), resource, carried, held, SETTINGS)
        assert told[f"Condition/{resource['id']}"] == decision.effect


def test_what_the_end_of_a_release_would_close_is_told_for_each_recipient():
    hers, _ = explained(roi(), roi() | {"id": "old", "status": "inactive"}).consents
    [change] = hers.if_revoked
    assert (change.client, change.closes, change.opens) == ("elm", ("Condition/x",), ())


def test_a_release_that_another_repeats_would_change_nothing():
    first, second = explained(roi(), roi() | {"id": "c2"}).consents
    assert (first.if_revoked, second.if_revoked) == ((), ())


def test_what_the_end_of_a_refusal_would_open_is_told():
    said = explained(roi(), refusal("named-person-refusal", "Organization/a"))
    no = next(one for one in said.consents if one.id == "refusal")
    assert (no.kind, no.in_force, no.why_not) == ("named-person-refusal", True, ())
    assert [change.opens for change in no.if_revoked] == [("Condition/x",)]


@pytest.mark.parametrize(
    "lacking",
    [{"status": "draft"}, {"status": "proposed", "sourceReference": None}, {"sourceReference": None}],
)
def test_what_a_signature_would_open_is_told(lacking):
    [draft] = explained(consent(roi()["provision"], **lacking)).consents
    assert not draft.in_force
    assert [change.opens for change in draft.if_signed] == [("Condition/x",)]


def test_a_signature_is_not_offered_where_more_is_missing():
    ended = roi(period={"start": "2020", "end": "2021"}) | {"sourceReference": None}
    [old] = explained(ended).consents
    assert (old.why_not, old.if_signed) == (("period", "signature"), ())


def test_a_consent_that_releases_nothing_is_no_release():
    [said] = explained(consent({"type": "permit"}, category=[concept(CATEGORY, "opt-in")])).consents
    assert (said.kind, said.in_force, said.findings) == ("other", False, ())


def test_why_nobody_sees_anything_is_the_enrolment():
    gone = replace(policy(roi()), enrolments=(Enrolment("ct-bhp", "opted-out"),))
    said = explained(held=gone)
    assert said.views[0].objection == "opted-out"
    assert said.enrolments == (("ct-bhp", "opted-out"),)
    assert {one.reason for one in said.views[0].decided} == {"opted-out"}


EXCEPTION = [{"type": "deny", "actor": [actor("Organization/a")], "securityLabel": security("SUD")}]
TASK = {
    "resourceType": "Task", "id": "t", "status": "requested", "authoredOn": "2026-06-14",
    "code": concept("http://fhirgw.org/fhir/CodeSystem/icm-task", "emergency-review"),
    "input": [{"type": {"text": name}, "valueString": said} for name, said in (
        ("person", "Dr Ada Testcase"), ("affiliation", "Elm Hospital"), ("reason", "found unconscious"))],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "of", "consents", "record"),
    [
        ("expiring", "Consent/c1", [roi(period={"start": "2026-01-01", "end": "2026-07-01"})], ()),
        ("residual", "Consent/c1", [roi(provision=EXCEPTION) | {"status": "inactive"}], ()),
        ("unenforceable", "Consent/c1", [roi() | {"modifierExtension": [{"url": "x"}]}], ()),
        ("shadowed", "Consent/c1", [roi(), roi(type="deny") | {"id": "c2"}], ()),
        ("break-glass", "Task/t", [], [(TASK, labels())]),
    ],
)
def test_what_a_person_has_to_settle_is_listed(kind, of, consents, record):
    duties = explained(*consents, record=record).duties
    assert (kind, of) in {(duty.kind, duty.of) for duty in duties}


def test_emergency_access_says_who_claimed_it_of_which_facility_and_why_until_it_is_reviewed():
    [duty] = explained(record=[(TASK, labels())]).duties
    assert duty.text == "2026-06-14, Dr Ada Testcase, Elm Hospital, found unconscious"
    assert explained(record=[(TASK | {"status": "completed"}, labels())]).duties == ()


def test_a_recipient_is_judged_for_each_of_its_purposes():
    asker = replace(ELM, request=request(purpose="HPAYMT"))
    said = explained(roi(purpose=purpose("TREAT")), askers=(ELM, asker))
    assert [(view.purpose, view.seen) for view in said.views] == [("TREAT", 1), ("HPAYMT", 0)]
