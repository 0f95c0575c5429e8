"""Rules about content, sentence by sentence of the consent specification, §2.5 step 3: code, class, data, dates."""

import pytest
from consent_cases import (
    AT,
    ICD,
    KNOWN,
    LOINC,
    ORGANIZATION_A,
    PROFILE,
    RECORD,
    actor,
    concept,
    consent,
    datum,
    labels,
    policy,
    ref,
    request,
    roi,
    types,
)  # fmt: skip

from fhirgw.consent.compile import compile_visibility
from fhirgw.consent.content import Content
from fhirgw.consent.criteria import Surroundings
from fhirgw.consent.decide import decide
from fhirgw.consent.labels import LabelContext, label
from fhirgw.consent.marks import NO_MARKS, marks_of, of_consents
from fhirgw.consent.model import ConsentSettings, Recipient
from fhirgw.consent.redact import redact
from fhirgw.consent.vocabulary import MARK_BITS

X, Y, OBSERVATION, PLAN, DOCUMENT, ENCOUNTER, GOAL, *_ = RECORD
WORDS = {"resourceType": "Condition", "id": "w", "code": {"text": "sugar"}}
NOBODY = Surroundings(lambda _: None, lambda _: None)


def is_said(effect, resource, *, known=KNOWN, cleared=True, **dimensions):
    """Whether the one rule of a Consent permits, or hides, the resource."""
    rule = {"type": effect, **dimensions}
    marks = of_consents([consent(rule)])
    content = Content(resource, cleared=cleared)
    mark = marks_of(marks, content, content, known)
    return bool(mark) if effect == "permit" else not mark


CASES = [
    ("a listed code", {"code": [concept(ICD, "E11.9")]}, X, "YES"),
    ("dots, case and blanks do not count in ICD", {"code": [concept(ICD, "e119 ")]}, X, "YES"),
    ("icd-10 is icd-10-cm", {"code": [concept(ICD, "E11.9")]}, Y, "YES"),
    ("a slash at the end of a system does not count", {"code": [concept("http://loinc.org/", "4548-4")]},
     OBSERVATION, "YES"),
    ("one of several codes", {"code": [concept(LOINC, "1-1"), concept(LOINC, "4548-4")]}, OBSERVATION, "YES"),
    ("another code", {"code": [concept(ICD, "E11.8")]}, X, "NO"),
    ("the same code of another system", {"code": [concept(LOINC, "E11.9")]}, X, "NO"),
    ("a code without its system", {"code": [concept(ICD, "E11.9")]},
     X | {"code": {"coding": [{"code": "E11.9"}]}}, "MAYBE"),
    ("a code anywhere in the resource", {"code": [concept(ICD, "I10")]},
     X | {"evidence": [{"code": [concept(ICD, "I10")]}]}, "YES"),
    ("a resource type", {"class": [*types("Goal"), {"system": "urn:ietf:rfc:3986", "code": PROFILE}]}, GOAL, "YES"),
    ("a profile", {"class": [{"system": "urn:ietf:rfc:3986", "code": PROFILE}]}, PLAN, "YES"),
    ("a profile of some version", {"class": [{"system": "urn:ietf:rfc:3986", "code": PROFILE}]},
     PLAN | {"meta": {"profile": [f"{PROFILE}|6.1.0"]}}, "YES"),
    ("another profile", {"class": [{"system": "urn:ietf:rfc:3986", "code": "http://example.org/p"}]}, PLAN, "NO"),
    ("a media type", {"class": [{"system": "urn:ietf:bcp:13", "code": "application/pdf"}]}, DOCUMENT, "YES"),
    ("a document type", {"class": [{"system": LOINC, "code": "34133-9"}]}, DOCUMENT, "YES"),
    ("the code of what is no document", {"class": [{"system": LOINC, "code": "4548-4"}]}, OBSERVATION, "NO"),
    ("this resource", {"data": [datum("instance", "Condition/x")]}, X, "YES"),
    ("another resource", {"data": [datum("instance", "Condition/x")]}, Y, "NO"),
    ("perhaps this one, on another server", {"data": [datum("instance", "https://a.example/Condition/x")]},
     X, "MAYBE"),
    ("what it refers to is related", {"data": [datum("related", "Encounter/e")]}, Y, "YES"),
    ("what refers to it is related", {"data": [datum("related", "Encounter/e")]}, X, "YES"),
    ("it is related to itself", {"data": [datum("related", "Encounter/e")]}, ENCOUNTER, "YES"),
    ("a stranger is not related", {"data": [datum("related", "Encounter/e")]}, GOAL, "NO"),
    ("what refers to it depends on it", {"data": [datum("dependents", "Condition/x")]}, PLAN, "YES"),
    ("what it refers to does not", {"data": [datum("dependents", "Encounter/e")]}, Y, "NO"),
    ("whether it depends on itself is disputed", {"data": [datum("dependents", "Condition/x")]}, X, "MAYBE"),
    ("its author", {"data": [datum("authoredby", "Practitioner/bob")]}, X, "YES"),
    ("its author by identifier", {"data": [datum("authoredby", "Practitioner/bob")]}, OBSERVATION, "YES"),
    ("its author in a role", {"data": [datum("authoredby", "Practitioner/bob")]}, Y, "YES"),
    ("its author's organization, in that role", {"data": [datum("authoredby", "Organization/b")]}, Y, "YES"),
    ("another author", {"data": [datum("authoredby", "Organization/a")]}, X, "NO"),
    ("no author is recorded", {"data": [datum("authoredby", "Practitioner/bob")]}, GOAL, "MAYBE"),
    ("an author nobody can resolve", {"data": [datum("authoredby", "Practitioner/bob")]}, PLAN, "MAYBE"),
    ("within the period", {"dataPeriod": {"start": "2026-02", "end": "2026-05"}}, OBSERVATION, "YES"),
    ("the whole last day counts", {"dataPeriod": {"start": "2026-03-01", "end": "2026-03-01"}}, X, "YES"),
    ("before the period", {"dataPeriod": {"start": "2026-04-01"}}, X, "NO"),
    ("after the period", {"dataPeriod": {"end": "2026-02-28"}}, X, "NO"),
    ("recorded, where no onset is known", {"dataPeriod": {"start": "2025", "end": "2025"}}, Y, "YES"),
    ("no date", {"dataPeriod": {"start": "2025"}}, PLAN, "MAYBE"),
    ("a date nobody can read", {"dataPeriod": {"start": "2025"}}, X | {"onsetDateTime": "spring"}, "MAYBE"),
    ("an onset that is an age", {"dataPeriod": {"start": "2025"}},
     WORDS | {"onsetAge": {"value": 40}, "recordedDate": "2026"}, "MAYBE"),
    ("all dimensions hold", {"code": [concept(ICD, "E11.9")], "dataPeriod": {"start": "2026"}}, X, "YES"),
    ("one dimension does not", {"code": [concept(ICD, "E11.9")], "dataPeriod": {"end": "2025"}}, X, "NO"),
    ("one is unknown", {"code": [concept(ICD, "E11.9")], "data": [datum("authoredby", "Practitioner/zoe")]},
     X, "MAYBE"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dimensions", "resource", "truth"), [one[1:] for one in CASES], ids=[one[0] for one in CASES]
)
def test_a_permit_needs_certainty_and_a_deny_does_not(dimensions, resource, truth):
    assert is_said("permit", resource, **dimensions) == (truth == "YES")
    assert is_said("deny", resource, **dimensions) == (truth != "NO")


def test_an_overlap_is_enough_for_a_deny_and_not_for_a_permit():
    period = {"dataPeriod": {"start": "2026-04-01"}}
    assert not is_said("permit", OBSERVATION, **period)
    assert is_said("deny", OBSERVATION, **period)


def test_a_stay_that_has_not_ended_reaches_beyond_every_end():
    ended, endless = {"dataPeriod": {"start": "2026", "end": "2030"}}, {"dataPeriod": {"start": "2026"}}
    assert not is_said("permit", ENCOUNTER, **ended)
    assert is_said("permit", ENCOUNTER, **endless)
    assert is_said("deny", ENCOUNTER, dataPeriod={"start": "2029"})


def test_words_that_nobody_reviewed_may_mean_any_code():
    listed = {"code": [concept(ICD, "E11.9")]}
    assert is_said("deny", WORDS, cleared=False, **listed)
    assert not is_said("deny", WORDS, **listed)
    assert not is_said("permit", WORDS, cleared=False, **listed)


def test_what_is_not_at_hand_may_refer_to_it():
    related = {"data": [datum("related", "Encounter/e")]}
    assert is_said("deny", GOAL, known=NOBODY, **related)
    assert not is_said("permit", Y, known=NOBODY, **related)


def test_timings_events_and_bounds_are_dates():
    asked = {"dataPeriod": {"start": "2026", "end": "2026"}}
    events = {"resourceType": "Observation", "effectiveTiming": {"event": ["2026-01-02", "2026-02-03"]}}
    bounds = {"resourceType": "Observation", "effectiveTiming": {"repeat": {"boundsPeriod": {"start": "2025"}}}}
    assert is_said("permit", events, **asked)
    assert not is_said("permit", bounds, **asked)
    assert is_said("deny", bounds, **asked)
    assert is_said("deny", {"resourceType": "Observation", "effectiveTiming": {"code": {"text": "BID"}}}, **asked)


def test_a_datum_may_name_by_identifier():
    named = {"meaning": "instance", "reference": {"type": "Condition", "identifier": {"system": "s", "value": "1"}}}
    own = X | {"identifier": [{"system": "s", "value": "1"}]}
    other = X | {"identifier": [{"system": "s", "value": "2"}]}
    assert [is_said("permit", one, data=[named]) for one in (own, other, X)] == [True, False, False]
    assert [is_said("deny", one, data=[named]) for one in (own, other, X, GOAL)] == [True, False, True, False]
    refers = GOAL | {"addresses": [{"identifier": {"system": "s", "value": "1"}}]}
    assert is_said("permit", refers, data=[named | {"meaning": "dependents"}])
    assert is_said("deny", GOAL, data=[named | {"meaning": "dependents"}])


def test_what_was_never_marked_is_closed():
    """A mark opens: labels without marks are released by no rule about content, and hidden by every such deny."""
    only = roi(code=[concept(ICD, "E11.9")])
    but = roi(provision=[{"type": "deny", "code": [concept(ICD, "I10")]}])
    for held in (policy(only), policy(but)):
        asked = (X, labels(of=X, held=held)), (X, labels())
        found = [decide(request(), one, said, held, ConsentSettings()).effect for one, said in asked]
        assert found == ["PERMIT", "DENY"]


def test_more_rules_than_bits_are_not_enforceable():
    """A permit without a place never fires, a deny without one always does."""
    codes = [concept(ICD, f"E11.{number}") for number in range(len(MARK_BITS) + 1)]
    permits = policy(*(roi(code=[code]) | {"id": f"c{at}"} for at, code in enumerate(codes)))
    denies = policy(roi(provision=[{"type": "deny", "code": [code]} for code in codes]))
    effects = []
    for at in range(len(codes)):
        one = X | {"code": codes[at]}
        effects.append(decide(request(), one, labels(of=one, held=permits), permits, ConsentSettings()).effect)
    assert sorted(effects) == ["DENY"] + ["PERMIT"] * len(MARK_BITS)
    harmless = X | {"code": concept(ICD, "I10")}
    assert decide(request(), harmless, labels(of=harmless, held=denies), denies, ConsentSettings()).effect == "DENY"


def test_a_permit_is_judged_by_what_is_always_shown():
    """A coding that may stay hidden releases nothing: else what is shown would tell of it (§2.8)."""
    sud = concept(ICD, "F11.20")
    plan = {"resourceType": "Encounter", "id": "e", "status": "finished", "subject": ref("Patient/p"),
            "class": {"code": "IMP"}, "reasonCode": [sud]}  # fmt: skip
    marks = of_consents([roi("R", "SUD", code=[sud])])
    assert label(plan, LabelContext({}.get, marks=marks)).labels == 0
    assert label(plan | {"type": [sud]}, LabelContext({}.get, marks=marks)).labels & MARK_BITS[0]
    denied = of_consents([roi("R", "SUD", type="deny", code=[sud])])
    assert not label(plan, LabelContext({}.get, marks=denied)).labels & MARK_BITS[0]


def test_a_reference_to_what_content_hides_goes():
    """The target is judged by its own marks; they are not those of the part that refers to it."""
    held = policy(roi(provision=[{"type": "deny", "data": [datum("instance", "Condition/x")]}]))
    marks = of_consents(held.consents)
    conditions = [{"resourceType": "Condition", "id": name, "code": Y["code"]} for name in ("x", "z")]
    targets = {f"Condition/{one['id']}": label(one, LabelContext({}.get, marks=marks)) for one in conditions}
    plan = {"resourceType": "CarePlan", "id": "k", "status": "active", "intent": "plan",
            "subject": ref("Patient/p"), "addresses": [ref("Condition/x"), ref("Condition/z")]}  # fmt: skip
    found = label(plan, LabelContext(lambda name: (targets[name].labels, targets[name].conf), marks=marks))
    visible = compile_visibility(request(), [held], ConsentSettings(), revision=1).predicate_for("p")
    released = redact(plan, found, visible)
    assert released["addresses"] == [ref("Condition/z")]


# -- teams -----------------------------------------------------------------------------------------------------

BOB = Recipient(ORGANIZATION_A | {"Practitioner/bob"}, person=True)
ALICE = Recipient(frozenset({"Organization/z", "Practitioner/alice"}), person=True)
TEAMS = [
    ("CareTeam/t", Recipient(ORGANIZATION_A), "YES"),  # until the end of the day of the request
    ("CareTeam/t", BOB, "YES"),
    ("CareTeam/t", ALICE, "NO"),
    ("CareTeam/t", Recipient(frozenset({"CareTeam/t"})), "YES"),
    ("CareTeam/over", Recipient(ORGANIZATION_A), "NO"),
    ("CareTeam/inactive", Recipient(ORGANIZATION_A), "NO"),
    ("CareTeam/suspended", Recipient(ORGANIZATION_A), "MAYBE"),
    ("CareTeam/unknown", Recipient(ORGANIZATION_A), "MAYBE"),
    ("CareTeam/loop", BOB, "YES"),
    ("CareTeam/loop", ALICE, "NO"),
    ("Group/g", Recipient(frozenset({"Organization/b"})), "MAYBE"),  # a person of theirs may be in it
    ("Group/g", Recipient(frozenset({"Organization/b", "Practitioner/alice"}), person=True), "NO"),
]


@pytest.mark.parametrize(("team", "who", "truth"), TEAMS)
def test_a_team_is_whoever_is_in_it_now(team, who, truth):
    permits = policy(roi(to=team))
    assert (decide(request(recipient=who), X, labels(), permits, ConsentSettings()).effect == "PERMIT") == (
        truth == "YES"
    )
    refuses = policy(roi(actor=None), consent({"type": "deny", "actor": [actor(team)]}, name="d"))
    refuses.consents[0]["provision"].pop("actor")
    assert (decide(request(recipient=who), X, labels(), refuses, ConsentSettings()).effect == "DENY") == (
        truth != "NO"
    )


def test_a_decision_ends_with_a_membership():
    held = policy(roi(to="CareTeam/t"))
    decision = decide(request(), X, labels(), held, ConsentSettings())
    assert decision.expires_at.isoformat() == "2026-06-16T04:00:00+00:00"
    later = request(at=AT.replace(day=16))
    assert decide(later, X, labels(), held, ConsentSettings()).effect == "DENY"


def test_a_consent_about_content_describes_the_information():
    """42 CFR 2.31(a)(3): what is released is described by codes as well as by labels."""
    held = policy(roi(code=[concept(ICD, "E11.9")]) | {"policy": None})
    del held.consents[0]["provision"]["securityLabel"]
    settings = ConsentSettings(require_explicit_sensitive=False)
    assert decide(request(), X, labels("SUD", of=X, held=held), held, settings).effect == "PERMIT"


def test_no_marks_mark_nothing():
    content = Content(X, cleared=True)
    assert marks_of(NO_MARKS, content, content, KNOWN) == 0
