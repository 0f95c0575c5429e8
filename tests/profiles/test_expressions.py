"""The compiler of search expressions against fhirpathpy, an independent FHIRPath engine."""

import json
import re
from functools import cache

import pytest
from fhirpathpy import compile as compile_fhirpath
from fhirpathpy.models import models

from fhirgw.profiles import search
from fhirgw.profiles.expressions import UnsupportedExpression, compile_expression, evaluate, flag_path, literal

CONCEPT = {"coding": [{"system": "urn:c", "code": "x", "display": "X"}], "text": "an x"}
PATIENT = {"reference": "Patient/p"}
PERIOD = {"start": "2026-01-01", "end": "2026-02-01"}
IS_SUBJECT = "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject"

SAMPLES = [
    {"resourceType": "Patient", "id": "p",
     "meta": {"profile": ["http://x"], "tag": [{"code": "t"}], "source": "urn:s"},
     "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-extensions-Patient-mothersMaidenName",
                    "valueString": "Doe"}, {"url": "urn:other", "valueString": "no"}],
     "name": [{"family": "A", "given": ["B"]}], "deceasedDateTime": "2026", "birthDate": "1970-01-01",
     "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "a@b.example"}],
     "generalPractitioner": [{"reference": "Practitioner/g"}], "link": [{"other": PATIENT, "type": "seealso"}]},
    {"resourceType": "CarePlan", "category": [CONCEPT], "subject": PATIENT, "period": PERIOD,
     "goal": [{"reference": "Goal/1"}], "instantiatesUri": ["urn:u"], "instantiatesCanonical": ["http://x|1"],
     "activity": [{"reference": {"reference": "Task/t"}},
                  {"detail": {"code": CONCEPT, "scheduledPeriod": PERIOD, "performer": [PATIENT]}},
                  {"detail": {"scheduledTiming": {"event": ["2026"]}, "productCodeableConcept": CONCEPT}}]},
    {"resourceType": "CarePlan", "subject": {"reference": "https://x.example/fhir/Group/g/_history/2"}},
    {"resourceType": "Condition", "subject": {"type": "Patient", "display": "P"}, "onsetPeriod": PERIOD,
     "abatementString": "late", "evidence": [{"code": [CONCEPT], "detail": [PATIENT]}]},
    {"resourceType": "Condition", "subject": PATIENT, "onsetDateTime": "2026-01-01", "abatementDateTime": "2026"},
    {"resourceType": "Observation", "status": "final", "code": CONCEPT, "valueCodeableConcept": CONCEPT,
     "effectiveInstant": "2026-01-01T00:00:00Z", "subject": PATIENT,
     "component": [{"code": {"text": "c"}, "valueCodeableConcept": {"text": "v"}}]},
    {"resourceType": "Observation", "valueString": "words", "effectivePeriod": PERIOD, "performer": [PATIENT],
     "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene",
                    "valueCodeableConcept": CONCEPT}]},
    {"resourceType": "Encounter", "class": {"code": "IMP"}, "subject": PATIENT, "period": PERIOD,
     "participant": [{"individual": {"reference": "Practitioner/d"}}, {"individual": {"reference": "Person/r"}}],
     "location": [{"location": {"reference": "Location/l"}, "period": PERIOD}]},
    {"resourceType": "Appointment", "participant": [{"actor": PATIENT}, {"actor": {"reference": "Location/l"}}]},
    {"resourceType": "Goal", "subject": PATIENT, "startDate": "2026", "target": [{"dueDate": "2026-02"}]},
    {"resourceType": "QuestionnaireResponse", "questionnaire": "http://q|1", "item": [
        {"linkId": "1", "extension": [{"url": IS_SUBJECT, "valueBoolean": True}],
         "answer": [{"valueReference": PATIENT}, {"valueString": "no"}]},
        {"linkId": "2", "answer": [{"valueReference": PATIENT}]}]},
    {"resourceType": "MedicationRequest", "medicationReference": {"reference": "Medication/m"}, "subject": PATIENT},
    {"resourceType": "MedicationRequest", "medicationCodeableConcept": CONCEPT, "subject": PATIENT},
    {"resourceType": "Task", "for": PATIENT, "focus": {"reference": "CarePlan/1"}, "executionPeriod": PERIOD},
    {"resourceType": "Provenance", "target": [{"reference": "CarePlan/1"}, PATIENT], "occurredDateTime": "2026",
     "agent": [{"who": {"reference": "Organization/o"}}]},
    {"resourceType": "AuditEvent", "agent": [{"who": PATIENT}, {"who": {"reference": "Device/d"}}],
     "entity": [{"what": {"reference": "CarePlan/1"}}, {"what": PATIENT}]},
    {"resourceType": "Consent", "patient": PATIENT, "sourceReference": {"reference": "DocumentReference/d"},
     "provision": {"period": PERIOD, "actor": [{"reference": PATIENT}], "data": [{"reference": PATIENT}],
                   "provision": [{"purpose": [{"code": "TREAT"}]}]}},
    {"resourceType": "PlanDefinition", "effectivePeriod": PERIOD, "relatedArtifact": [
        {"type": "depends-on", "resource": "http://a"}, {"type": "composed-of", "resource": "http://b"}]},
    {"resourceType": "Bundle", "type": "document", "entry": [
        {"resource": {"resourceType": "Composition", "id": "c"}}, {"resource": {"resourceType": "Basic"}}]},
]  # fmt: skip


def published(expression):
    """The same question to an engine that cannot resolve: ``resolve() is T`` reads the reference's own words."""
    expression = re.sub(r"\(([^()]+) as (\w+)\)", r"\1.ofType(\2)", expression)
    expression = re.sub(r"\.as\((\w+)\)", r".ofType(\1)", expression)
    literally = r"where(reference.matches('(^|/)\1/[A-Za-z0-9.-]{1,64}(/_history/.*)?$') or type = '\1')"
    expression = re.sub(r"where\(resolve\(\) is (\w+)\)", literally, expression)
    return re.sub(r"where\(hasExtension\('([^']+)'\)\)", r"where(extension('\1').exists())", expression)


@cache
def engine(expression):
    return compile_fhirpath(published(expression), models["r4"])


def distinct(values):
    """A FHIRPath union holds a value once; the index keeps it once a path."""
    return {json.dumps(value, sort_keys=True) for value in values}


@pytest.mark.parametrize("resource", SAMPLES, ids=lambda resource: resource["resourceType"])
def test_every_parameter_finds_what_fhirpath_finds(resource):
    reached = 0
    for parameter in search.parameters(resource["resourceType"]).values():
        if flag_path(parameter.expression) is None:
            found = [value for value, _ in evaluate(compile_expression(parameter.expression), resource)]
            assert distinct(found) == distinct(engine(parameter.expression)(resource)), parameter.code
            reached += bool(found)
    assert reached


@pytest.mark.parametrize("resource", SAMPLES, ids=lambda resource: resource["resourceType"])
def test_every_path_leads_to_its_value(resource):
    for parameter in search.parameters(resource["resourceType"]).values():
        for value, path in evaluate(
            compile_expression(flag_path(parameter.expression) or parameter.expression), resource
        ):
            node = resource
            for key in path:
                node = node[key]
            assert node is value


@pytest.mark.parametrize("resource", SAMPLES, ids=lambda resource: resource["resourceType"])
def test_the_one_walk_of_extract_gives_what_each_chain_gives_alone(resource):
    alone = []
    flags = set()
    for parameter in search.parameters(resource["resourceType"]).values():
        if flag_path(parameter.expression):
            flags.add(parameter.code)
        elif parameter.code not in search.STORED_BY_COLUMN:
            for chain in compile_expression(parameter.expression):
                emit = search._emitter(parameter.kind, chain)
                for value, path in evaluate([chain], resource) if emit else ():
                    emit(alone, parameter.code, path, value)
    walked = [entry for entry in search.extract(resource) if entry.param not in flags]
    assert sorted(map(repr, walked)) == sorted(map(repr, alone))


@pytest.mark.parametrize(
    "expression",
    [
        "Patient.colour",
        "Patient.name.first()",
        "Patient.name.where(use != 'old')",
        "Patient.name.ofType(string)",
        "Patient.a b",
    ],
)
def test_what_is_outside_the_grammar_is_refused(expression):
    with pytest.raises(UnsupportedExpression):
        compile_expression(expression)


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("Patient/1", ("Patient", "1")),
        ("Patient/1/_history/2", ("Patient", "1")),
        ("https://x.example/fhir/Patient/1", ("Patient", "1")),
        ("#1", None),
        ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", None),
        ("Starship/1", None),
        ("Patient/a_b", None),
        ("Patient/", None),
        ("https://x.example/Patient/1?x=y", None),
    ],
)
def test_a_literal_is_a_type_and_an_id(reference, target):
    assert literal(reference) == target
