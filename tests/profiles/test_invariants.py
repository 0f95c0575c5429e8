"""Every invariant is told when it is broken and silent when it is kept."""

import pytest

from fhirgw.profiles import invariants
from fhirgw.profiles.validation import problems

UCUM = {"system": "http://unitsofmeasure.org"}
CODE = {"code": [{"text": "x"}]}
TEXT = {"text": "x"}
PATIENT = {"reference": "Patient/p"}
START, END = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"

DATA_TYPES = [
    # key, extension value of this type, broken, kept
    ("per-1", "Period", {"start": "2026-02", "end": "2026-01"}, {"start": "2026-01-31", "end": "2026-01"}),
    ("rng-2", "Range", {"low": {"value": 2}, "high": {"value": 1}}, {"low": {"value": 1}, "high": {"value": 1}}),
    ("rat-1", "Ratio", {"numerator": {"value": 1}}, {"numerator": {"value": 1}, "denominator": {"value": 1}}),
    ("qty-3", "Quantity", {"value": 1, "code": "kg"}, {"value": 1, "unit": "kg"}),
    ("age-1", "Age", {"value": 0, "code": "a", **UCUM}, {"value": 1, "code": "a", **UCUM}),
    ("cnt-3", "Count", {"value": 1.5, "code": "1", **UCUM}, {"value": 1, "code": "1", **UCUM}),
    ("dis-1", "Distance", {"value": 1}, {"value": 1, "code": "m", **UCUM}),
    ("drt-1", "Duration", {"code": "d", **UCUM}, {"value": 1, "code": "d", **UCUM}),
    ("cpt-2", "ContactPoint", {"value": "1"}, {"value": "1", "system": "phone"}),
    ("att-1", "Attachment", {"data": "AAAA"}, {"data": "AAAA", "contentType": "text/plain"}),
    ("exp-1", "Expression", {"language": "text/cql"}, {"language": "text/cql", "expression": "x"}),
]

TIMINGS = [
    ("tim-1", {"duration": 1}, {"duration": 1, "durationUnit": "h"}),
    ("tim-2", {"period": 1}, {"period": 1, "periodUnit": "wk"}),
    ("tim-4", {"duration": -1, "durationUnit": "h"}, {"duration": 0, "durationUnit": "h"}),
    ("tim-5", {"period": -1, "periodUnit": "h"}, {"period": 0, "periodUnit": "h"}),
    ("tim-6", {"periodMax": 1}, {"periodMax": 1, "period": 1, "periodUnit": "h"}),
    ("tim-7", {"durationMax": 1}, {"durationMax": 1, "duration": 1, "durationUnit": "h"}),
    ("tim-8", {"countMax": 1}, {"countMax": 1, "count": 1}),
    ("tim-9", {"offset": 1, "when": ["C"]}, {"offset": 1, "when": ["HS"]}),
    ("tim-10", {"timeOfDay": ["08:00:00"], "when": ["HS"]}, {"timeOfDay": ["08:00:00"]}),
]

STRING = {"valueString": "x"}
CHOICE = {"type": "choice", "answerOption": [STRING]}
WHEN = {"question": "0", "operator": "=", "answerString": "x"}
EXISTS = {"question": "0", "operator": "exists"}

QUESTIONS = [
    ("que-1", {"type": "group"}, {"type": "group", "item": [{"linkId": "2", "type": "display"}]}),
    ("que-2", {"type": "group", "item": [{"linkId": "1", "type": "display"}]}, {"type": "string"}),
    ("que-3", {"type": "display", "code": [{"code": "x"}]}, {"type": "string", "code": [{"code": "x"}]}),
    ("que-4", {**CHOICE, "answerValueSet": "x"}, CHOICE),
    ("que-5", {"type": "boolean", "answerOption": [STRING]}, CHOICE),
    ("que-5", {"type": "boolean", "answerValueSet": "x"}, {"type": "open-choice", "answerValueSet": "x"}),
    ("que-6", {"type": "display", "required": True}, {"type": "string", "required": True}),
    ("que-6", {"type": "display", "repeats": True}, {"type": "string", "repeats": True}),
    (
        "que-7",
        {"enableWhen": [{**EXISTS, "answerString": "x"}]},
        {"enableWhen": [{**EXISTS, "answerBoolean": True}]},
    ),
    ("que-8", {"type": "display", "initial": [STRING]}, {"type": "string", "initial": [STRING]}),
    ("que-9", {"type": "display", "readOnly": True}, {"type": "string", "readOnly": True}),
    ("que-10", {"type": "date", "maxLength": 1}, {"type": "string", "maxLength": 1}),
    ("que-11", {**CHOICE, "initial": [STRING]}, CHOICE),
    ("que-12", {"enableWhen": [WHEN] * 3}, {"enableWhen": [WHEN] * 3, "enableBehavior": "any"}),
    ("que-13", {"initial": [STRING] * 2}, {"initial": [STRING] * 2, "repeats": True}),
]


def coded(system, code):
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


ACTIVE_ALLERGY = {"clinicalStatus": coded("allergyintolerance-clinical", "active")}
FALSE_ALLERGY = {"verificationStatus": coded("allergyintolerance-verification", "entered-in-error")}
ACTIVE_CONDITION = {"clinicalStatus": coded("condition-clinical", "active")}
RESOLVED_CONDITION = {"clinicalStatus": coded("condition-clinical", "resolved")}
FALSE_CONDITION = {"verificationStatus": coded("condition-ver-status", "entered-in-error")}
BY_REFERENCE = {"reference": {"reference": "Task/t"}}
OBSERVED = {"coding": [{"system": "s", "code": "c"}]}
ON_BEHALF = {"onBehalfOf": {"reference": "Organization/o"}}
BASIC = {"resource": {"resourceType": "Basic", "code": TEXT}}
REQUEST = {"request": {"method": "GET", "url": "x"}}
COLLECTION = {"type": "collection", "entry": [BASIC]}
NUMBERED = {"name": "x", "type": "token"}
RULE = {"policyRule": TEXT}
OBSERVER = {"observer": {"display": "x"}}


def section(**section):
    return {"section": [{"title": "x", **section}]}


def rest(*resources):
    return {"rest": [{"mode": "server", "resource": list(resources)}]}


BASES = {
    "AllergyIntolerance": {"patient": PATIENT},
    "Appointment": {"status": "proposed", "participant": [{"status": "accepted", "type": [TEXT]}]},
    "AuditEvent": {"type": {"code": "x"}, "recorded": START, "agent": [{"requestor": True}], "source": OBSERVER},
    "CapabilityStatement": {"status": "active", "date": "2026", "fhirVersion": "4.0.1", "format": ["json"]},
    "CarePlan": {"status": "active", "intent": "plan", "subject": PATIENT},
    "Composition": {"status": "final", "type": TEXT, "date": "2026", "author": [PATIENT], "title": "x"},
    "Condition": {"subject": PATIENT},
    "Consent": {"status": "active", "scope": TEXT, "category": [TEXT]},
    "Goal": {"lifecycleStatus": "active", "description": TEXT, "subject": PATIENT},
    "Group": {"type": "person", "member": [{"entity": PATIENT}]},
    "List": {"status": "current"},
    "MeasureReport": {"status": "complete", "measure": "x", "period": {"start": "2026"}},
    "Observation": {"status": "final", "code": OBSERVED},
    "QuestionnaireResponse": {"status": "completed"},
    "RiskAssessment": {"status": "final", "subject": PATIENT},
    "ServiceRequest": {"status": "active", "intent": "order", "subject": PATIENT},
    "Task": {"status": "requested", "intent": "order"},
}  # fmt: skip
INSTANCE = {"kind": "instance", "implementation": {"description": "x"}, **rest()}
del INSTANCE["rest"][0]["resource"]

RESOURCES = [
    # key, resource type, broken, kept: added to BASES
    ("pat-1", "Patient", {"contact": [{"gender": "female"}]}, {"contact": [{"name": TEXT}]}),
    ("org-1", "Organization", {"active": True}, {"name": "x"}),
    (
        "org-2",
        "Organization",
        {"name": "x", "address": [{"use": "home"}]},
        {"name": "x", "address": [{"use": "work"}]},
    ),
    (
        "org-3",
        "Organization",
        {"name": "x", "telecom": [{"use": "home"}]},
        {"name": "x", "telecom": [{"use": "work"}]},
    ),
    ("grp-1", "Group", {"actual": False}, {"actual": True}),
    ("ait-1", "AllergyIntolerance", {}, ACTIVE_ALLERGY),
    ("ait-2", "AllergyIntolerance", {**ACTIVE_ALLERGY, **FALSE_ALLERGY}, FALSE_ALLERGY),
    ("con-1", "Condition", {"stage": [{"type": TEXT}]}, {"stage": [{"summary": TEXT}]}),
    ("con-2", "Condition", {"evidence": [{"id": "x"}]}, {"evidence": [CODE]}),
    ("con-4", "Condition", {"abatementString": "x"}, {"abatementString": "x", **RESOLVED_CONDITION}),
    ("con-5", "Condition", {**ACTIVE_CONDITION, **FALSE_CONDITION}, FALSE_CONDITION),
    ("obs-3", "Observation", {"referenceRange": [{"type": TEXT}]}, {"referenceRange": [TEXT]}),
    ("obs-6", "Observation", {"valueBoolean": True, "dataAbsentReason": TEXT}, {"dataAbsentReason": TEXT}),
    (
        "obs-7",
        "Observation",
        {"valueBoolean": True, "component": [{"code": OBSERVED}]},
        {"component": [{"code": OBSERVED}]},
    ),
    (
        "ras-2",
        "RiskAssessment",
        {"prediction": [{"probabilityDecimal": 101}]},
        {"prediction": [{"probabilityDecimal": 1}]},
    ),
    (
        "cpl-3",
        "CarePlan",
        {"activity": [{**BY_REFERENCE, "detail": {"status": "unknown"}}]},
        {"activity": [BY_REFERENCE]},
    ),
    (
        "ctm-1",
        "CareTeam",
        {"participant": [{"member": PATIENT, **ON_BEHALF}]},
        {"participant": [{"member": {"reference": "Practitioner/p"}, **ON_BEHALF}]},
    ),
    ("gol-1", "Goal", {"target": [{"detailString": "x"}]}, {"target": [{"detailString": "x", "measure": TEXT}]}),
    ("prr-1", "ServiceRequest", {"orderDetail": [TEXT]}, {"orderDetail": [TEXT], "code": TEXT}),
    (
        "inv-1",
        "Task",
        {"authoredOn": "2026-02", "lastModified": "2026-01"},
        {"authoredOn": "2026-01", "lastModified": "2026-01"},
    ),
    ("app-1", "Appointment", {"participant": [{"status": "accepted"}]}, {}),
    ("app-2", "Appointment", {"start": START}, {"start": START, "end": END}),
    ("app-3", "Appointment", {"status": "booked"}, {"status": "booked", "start": START, "end": END}),
    ("app-4", "Appointment", {"cancelationReason": TEXT}, {"cancelationReason": TEXT, "status": "cancelled"}),
    ("ppc-1", "Consent", {}, RULE),
    (
        "lst-1",
        "List",
        {"mode": "working", "emptyReason": TEXT, "entry": [{"item": PATIENT}]},
        {"mode": "working", "emptyReason": TEXT},
    ),
    (
        "lst-2",
        "List",
        {"mode": "working", "entry": [{"item": PATIENT, "deleted": True}]},
        {"mode": "changes", "entry": [{"item": PATIENT, "deleted": True}]},
    ),
    (
        "lst-3",
        "List",
        {"mode": "changes", "entry": [{"item": PATIENT, "date": "2026"}]},
        {"mode": "working", "entry": [{"item": PATIENT, "date": "2026"}]},
    ),
    ("cmp-1", "Composition", section(), section(entry=[PATIENT])),
    ("cmp-2", "Composition", section(entry=[PATIENT], emptyReason=TEXT), section(entry=[PATIENT])),
    ("sev-1", "AuditEvent", {"entity": [{"name": "x", "query": "AAAA"}]}, {"entity": [{"query": "AAAA"}]}),
    (
        "qrs-1",
        "QuestionnaireResponse",
        {"item": [{"linkId": "1", "answer": [STRING], "item": [{"linkId": "2"}]}]},
        {"item": [{"linkId": "1", "answer": [STRING]}]},
    ),
    (
        "mrp-1",
        "MeasureReport",
        {"type": "data-collection", "group": [{"code": TEXT}]},
        {"type": "summary", "group": [{"code": TEXT}]},
    ),
    (
        "inv-1",
        "Parameters",
        {"parameter": [{"name": "x", **STRING, "part": [{"name": "y", **STRING}]}]},
        {"parameter": [{"name": "x", **BASIC}]},
    ),
    ("bdl-1", "Bundle", {"type": "collection", "total": 1}, {"type": "searchset", "total": 1}),
    (
        "bdl-2",
        "Bundle",
        {"type": "collection", "entry": [{**BASIC, "search": {"mode": "match"}}]},
        {"type": "searchset", "entry": [{**BASIC, "search": {"mode": "match"}}]},
    ),
    (
        "bdl-3",
        "Bundle",
        {"type": "transaction", "entry": [BASIC]},
        {"type": "transaction", "entry": [{**BASIC, **REQUEST}]},
    ),
    (
        "bdl-4",
        "Bundle",
        {"type": "batch-response", "entry": [BASIC]},
        {"type": "batch-response", "entry": [{"response": {"status": "200"}}]},
    ),
    ("bdl-5", "Bundle", {"type": "collection", "entry": [{"fullUrl": "urn:x"}]}, COLLECTION),
    (
        "bdl-7",
        "Bundle",
        {"type": "collection", "entry": [{**BASIC, "fullUrl": "urn:x"}] * 2},
        {"type": "collection", "entry": [{**BASIC, "fullUrl": "urn:x"}]},
    ),
    (
        "bdl-8",
        "Bundle",
        {"type": "collection", "entry": [{**BASIC, "fullUrl": "http://x/Basic/1/_history/1"}]},
        COLLECTION,
    ),
    ("bdl-9", "Bundle", {"type": "document"}, COLLECTION),
    ("bdl-10", "Bundle", {"type": "document"}, COLLECTION),
    ("bdl-11", "Bundle", {"type": "document", "entry": [BASIC]}, COLLECTION),
    ("bdl-12", "Bundle", {"type": "message", "entry": [BASIC]}, COLLECTION),
    ("cpb-1", "CapabilityStatement", {"kind": "instance", "implementation": {"description": "x"}}, INSTANCE),
    ("cpb-2", "CapabilityStatement", {"kind": "requirements", **rest({"type": "Goal"})}, INSTANCE),
    (
        "cpb-9",
        "CapabilityStatement",
        {**INSTANCE, **rest({"type": "Goal"}, {"type": "Goal"})},
        {**INSTANCE, **rest({"type": "Goal"})},
    ),
    (
        "cpb-12",
        "CapabilityStatement",
        {**INSTANCE, **rest({"type": "Goal", "searchParam": [NUMBERED] * 2})},
        {**INSTANCE, **rest({"type": "Goal", "searchParam": [NUMBERED]})},
    ),
    ("cpb-14", "CapabilityStatement", {"kind": "instance", "description": "x", **rest({"type": "Goal"})}, INSTANCE),
    ("cpb-15", "CapabilityStatement", {**INSTANCE, "kind": "capability"}, INSTANCE),
    ("cpb-16", "CapabilityStatement", {**INSTANCE, "kind": "requirements"}, INSTANCE),
]


def resource(kind, content):
    return {"resourceType": kind, **BASES.get(kind, {}), **content}


def valued(kind, value):
    return resource("Basic", {"code": TEXT, "extension": [{"url": "http://example.org/e", f"value{kind}": value}]})


def questionnaire(item):
    return resource("Questionnaire", {"status": "active", "item": [{"linkId": "1", "type": "string", **item}]})


CASES = [
    *((key, valued(kind, broken), valued(kind, kept)) for key, kind, broken, kept in DATA_TYPES),
    *(
        (key, valued("Timing", {"repeat": broken}), valued("Timing", {"repeat": kept}))
        for key, broken, kept in TIMINGS
    ),
    *((key, questionnaire(broken), questionnaire(kept)) for key, broken, kept in QUESTIONS),
    *((key, resource(kind, broken), resource(kind, kept)) for key, kind, broken, kept in RESOURCES),
    ("ext-1", resource("Basic", {"code": TEXT, "extension": [{"url": "x"}]}), valued("Code", "x")),
]


@pytest.mark.parametrize(("key", "broken", "kept"), CASES)
def test_an_invariant_is_told_when_broken_and_silent_when_kept(key, broken, kept):
    assert f"({key})" in " ".join(problem.text for problem in problems(broken))
    assert problems(kept) == []


def test_every_invariant_is_broken_here():
    assert {key for key, _, _ in CASES} == invariants.keys()
