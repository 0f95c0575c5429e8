"""One valid resource, and one mutation for every rule: each is found, at its place, and nothing else is."""

import copy
import json
from pathlib import Path

import pytest

from fhirgw.errors import InvalidElement, MissingElement, ProfileViolation, UnmappedCode
from fhirgw.profiles import definitions
from fhirgw.profiles.validation import problems, require_valid

SECRET = "Zzyzx"
WEEKLY = {"frequency": 1, "period": 1.0, "periodUnit": "wk"}
PLAN = {
    "resourceType": "CarePlan",
    "id": "plan-1",
    "meta": {"lastUpdated": "2026-01-02T03:04:05.678Z", "profile": ["http://example.org/p|1"]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Plan</div>'},
    "contained": [{"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"}}],
    "extension": [{"url": "http://example.org/e", "valueDecimal": 1.50}],
    "identifier": [{"system": "urn:plans", "value": "1", "period": {"start": "2026-01", "end": "2026-01-31"}}],
    "status": "active",
    "intent": "plan",
    "title": "A plan\u00a0for Ana",
    "_title": {"extension": [{"url": "http://example.org/e", "valueBoolean": True}]},
    "subject": {"reference": "Patient/p"},
    "period": {"start": "2026-01-01", "_end": {"extension": [{"url": "http://example.org/e", "valueCode": "x"}]}},
    "addresses": [{"reference": "#c"}, {"reference": "https://other.example/Condition/2", "display": "far"}],
    "goal": [{"reference": "Goal/g/_history/3"}, {"identifier": {"value": "1"}}],
    "activity": [
        {"reference": {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}},
        {"detail": {"status": "scheduled", "scheduledTiming": {"repeat": WEEKLY}}},
    ],
}  # fmt: skip


def at(resource, path, value):
    """A copy with one element set; REMOVE takes it away."""
    changed = copy.deepcopy(resource)
    node = changed
    for key in path[:-1]:
        node = node[key]
    if value is REMOVE:
        del node[path[-1]]
    elif isinstance(node, list) and path[-1] == len(node):
        node.append(value)
    else:
        node[path[-1]] = value
    return changed


REMOVE = object()
UNREFERRED = {"resourceType": "Basic", "id": "b", "code": {"text": "x"}}
DETAIL = ("activity", 1, "detail")
REPEAT = (*DETAIL, "scheduledTiming", "repeat")

MUTATIONS = [
    # path, value, issue, expression
    (("status",), REMOVE, "required", "CarePlan.status"),
    (("subject",), REMOVE, "required", "CarePlan.subject"),
    ((*DETAIL, "status"), REMOVE, "required", "CarePlan.activity[1].detail.status"),
    (("colour",), SECRET, "structure", "CarePlan.colour"),
    ((f"the name {SECRET}",), 1, "structure", "CarePlan"),
    (("_colour",), {}, "structure", "CarePlan._colour"),
    (("_subject",), {"id": "x"}, "structure", "CarePlan._subject"),
    (("fhir_comments",), [SECRET], "structure", "CarePlan.fhir_comments"),
    (("subject", "resourceType"), "Reference", "structure", "CarePlan.subject.resourceType"),
    (("resourceType",), "Starship", "structure", "Resource.resourceType"),
    (("resourceType",), REMOVE, "required", "Resource.resourceType"),
    (("resourceType",), "Library", "structure", "Library.resourceType"),
    (("status",), "bogus", "code-invalid", "CarePlan.status"),
    (("status",), " active", "value", "CarePlan.status"),
    ((*DETAIL, "status"), SECRET, "code-invalid", "CarePlan.activity[1].detail.status"),
    (("status",), ["active"], "structure", "CarePlan.status"),
    (("goal",), {"reference": "Goal/g"}, "structure", "CarePlan.goal"),
    (("goal",), [], "structure", "CarePlan.goal"),
    (("subject",), {}, "structure", "CarePlan.subject"),
    (("title",), "", "structure", "CarePlan.title"),
    (("title",), "  ", "value", "CarePlan.title"),
    (("title",), "a\x00b", "value", "CarePlan.title"),
    (("title",), None, "structure", "CarePlan.title"),
    (("title",), 7, "value", "CarePlan.title"),
    (("subject",), "Patient/p", "structure", "CarePlan.subject"),
    (("id",), "a_b", "value", "CarePlan.id"),
    (("id",), "a" * 65, "value", "CarePlan.id"),
    (("meta", "lastUpdated"), "2026-01-02T03:04:05", "value", "CarePlan.meta.lastUpdated"),
    (("meta", "profile", 0), "http://example.org/a b", "value", "CarePlan.meta.profile[0]"),
    (("meta", "profile", 0), None, "structure", "CarePlan.meta.profile[0]"),
    (("text", "div"), SECRET, "value", "CarePlan.text.div"),
    (("created",), "2026-01-02T03:04Z", "value", "CarePlan.created"),
    (("created",), "2026-02-30", "value", "CarePlan.created"),
    (("created",), "2026-1-2", "value", "CarePlan.created"),
    (("period", "start"), "soon", "value", "CarePlan.period.start"),
    (("extension", 0, "url"), REMOVE, "required", "CarePlan.extension[0].url"),
    (("extension", 0, "valueDecimal"), "1.5", "value", "CarePlan.extension[0].valueDecimal"),
    (("extension", 0, "valueDecimal"), True, "value", "CarePlan.extension[0].valueDecimal"),
    (("extension", 0, "valueString"), SECRET, "structure", "CarePlan.extension[0].value"),
    (("extension", 0, "valueDecimal"), REMOVE, "invariant", "CarePlan.extension[0]"),
    (("extension", 0, "extension"), [{"url": "x", "valueCode": "y"}], "invariant", "CarePlan.extension[0]"),
    (("_title", "extension", 0, "url"), REMOVE, "required", "CarePlan.title.extension[0].url"),
    (("_title",), [], "structure", "CarePlan.title"),
    (("subject", "reference"), "Practitioner/x", "value", "CarePlan.subject"),
    (("subject", "reference"), "Patient/a_b", "value", "CarePlan.subject.reference"),
    (("subject", "reference"), "p", "value", "CarePlan.subject.reference"),
    (("subject", "reference"), "https://x.example/Goal/1", "value", "CarePlan.subject"),
    (("subject",), {"type": "Practitioner", "display": SECRET}, "value", "CarePlan.subject"),
    (("addresses", 0, "reference"), "#missing", "invariant", "CarePlan.addresses[0].reference"),
    (("contained", 0, "resourceType"), "Location", "value", "CarePlan.addresses[0]"),
    (("contained", 0, "meta"), {"versionId": "1"}, "invariant", "CarePlan.contained[0].meta"),
    (("contained", 0, "meta"), {"security": [{"code": "R"}]}, "invariant", "CarePlan.contained[0].meta.security"),
    (("contained", 0, "colour"), 1, "structure", "CarePlan.contained[0].colour"),
    (("contained", 1), UNREFERRED, "invariant", "CarePlan.contained[1]"),
    ((*REPEAT, "frequency"), 0, "value", "CarePlan.activity[1].detail.scheduledTiming.repeat.frequency"),
    ((*REPEAT, "frequency"), 1.5, "value", "CarePlan.activity[1].detail.scheduledTiming.repeat.frequency"),
    ((*REPEAT, "frequency"), 2**31, "value", "CarePlan.activity[1].detail.scheduledTiming.repeat.frequency"),
    ((*REPEAT, "period"), float("inf"), "value", "CarePlan.activity[1].detail.scheduledTiming.repeat.period"),
    ((*DETAIL, "scheduledString"), "weekly", "structure", "CarePlan.activity[1].detail.scheduled"),
    (("activity", 0, "detail"), {"status": "unknown"}, "invariant", "CarePlan.activity[0]"),
]  # fmt: skip


def test_a_valid_resource_has_no_problems():
    assert problems(PLAN) == []
    require_valid(PLAN)


@pytest.mark.parametrize(("path", "value", "issue", "expression"), MUTATIONS)
def test_a_mutation_is_found_where_it_is_and_its_value_is_not_told(path, value, issue, expression):
    found = problems(at(PLAN, path, value))
    assert (issue, expression) in [(problem.issue, problem.expression) for problem in found]
    assert SECRET not in repr(found)
    assert all(problem.text.endswith((".", ")")) for problem in found)


def test_all_problems_are_collected_and_each_becomes_its_error():
    broken = {
        "resourceType": "CarePlan",
        "status": "bogus",
        "intent": 7,
        "activity": [{"reference": {"reference": "Task/t"}, "detail": {"status": "unknown"}}],
    }
    with pytest.raises(ExceptionGroup) as raised:
        require_valid(broken)
    assert {(type(error), error.location) for error in raised.value.exceptions} == {
        (UnmappedCode, "CarePlan.status"),
        (InvalidElement, "CarePlan.intent"),
        (MissingElement, "CarePlan.subject"),
        (ProfileViolation, "CarePlan.activity[0]"),
    }


@pytest.mark.parametrize("value", [None, [], "Patient", 7, True])
def test_what_is_no_object_is_no_resource(value):
    assert [problem.issue for problem in problems(value)] == ["structure"]


def test_nesting_without_end_is_a_problem_and_no_crash():
    deep = extension = {"url": "http://example.org/e"}
    for _ in range(5000):
        extension["extension"] = [{"url": "http://example.org/e"}]
        extension = extension["extension"][0]
    assert [problem.text for problem in problems({**PLAN, "extension": [deep]})] == [
        "The resource is nested too deeply."
    ]


def test_nulls_in_an_array_of_primitives_stand_for_extensions():
    extended = {"extension": [{"url": "http://example.org/e", "valueBoolean": True}]}
    name = {"given": [None, "Ana"], "_given": [extended, None]}
    assert problems({"resourceType": "Patient", "name": [name]}) == []
    del name["_given"]
    assert [p.expression for p in problems({"resourceType": "Patient", "name": [name]})] == [
        "Patient.name[0].given[0]"
    ]
    name["_given"] = [None, None]
    assert "Patient.name[0].given" in [p.expression for p in problems({"resourceType": "Patient", "name": [name]})]


def test_a_required_primitive_may_be_its_extension_alone():
    absent = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
    }
    assert problems({**at(PLAN, ("status",), REMOVE), "_status": absent}) == []


def test_a_required_concept_needs_a_coding_of_its_value_set():
    condition = {"resourceType": "Condition", "subject": {"reference": "Patient/p"}}
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    assert problems({**condition, "clinicalStatus": {"coding": [{"system": system, "code": "active"}]}}) == []
    for concept in (
        {"coding": [{"code": "active"}]},
        {"coding": [{"system": system, "code": "x"}]},
        {"text": "active"},
    ):
        found = problems({**condition, "clinicalStatus": concept})
        assert [(p.issue, p.expression) for p in found] == [("code-invalid", "Condition.clinicalStatus")]


def test_a_contained_resource_is_an_object_with_a_type_and_an_id():
    for contained, expression in (
        (7, "CarePlan.contained[0]"),
        ({"id": "c"}, "CarePlan.contained[0].resourceType"),
        ({"resourceType": "Basic", "code": {"text": "x"}}, "CarePlan.contained[0].id"),
        ({"resourceType": "Basic", "id": "c", "contained": []}, "CarePlan.contained[0].contained"),
    ):
        found = problems({**PLAN, "addresses": [{"reference": "Condition/c"}], "contained": [contained]})
        assert expression in [problem.expression for problem in found]


def test_a_contained_resource_may_refer_to_its_container():
    inner = {"resourceType": "Provenance", "target": [{"reference": "#"}], "recorded": "2026-01-01T00:00:00Z"}
    inner |= {"id": "x", "agent": [{"who": {"reference": "Organization/o"}}]}
    assert problems({**PLAN, "contained": [*PLAN["contained"], inner]}) == []


def test_a_logical_model_is_no_resource_type():
    subject = {"type": "http://example.org/StructureDefinition/model", "display": "x"}
    assert problems({**PLAN, "subject": subject}) == []


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("Base64Binary", "AAA=", "AAA"),
        ("Base64Binary", " AAAA\nAAAA ", 7),
        ("Uuid", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
        ("Oid", "urn:oid:2.16.840.1", "2.16.840.1"),
        ("Time", "08:00:00", "8:00"),
        ("Instant", "2026-01-01T00:00:00.5+14:00", "2026-01-01T00:00:00+15:00"),
        ("DateTime", "2026-01", "2026-01-01T00:00"),
        ("Decimal", 1e10, float("nan")),
        ("Integer", -(2**31), 2**31),
        ("UnsignedInt", 0, -1),
        ("PositiveInt", 1, True),
        ("Code", "a b", "a  b"),
        ("Uri", "urn:x", "a b"),
        ("Markdown", "a\n\tb", "\x1f"),
        ("String", "\u00a0x", "\u00a0"),
    ],
)
def test_a_primitive_is_what_its_type_allows(kind, good, bad):
    def extended(value):
        return {**PLAN, "extension": [{"url": "http://example.org/e", f"value{kind}": value}]}

    assert problems(extended(good)) == []
    assert [problem.expression for problem in problems(extended(bad))] == [f"CarePlan.extension[0].value{kind}"]


def test_entries_are_resources_for_themselves():
    entry = {"resourceType": "Patient", "generalPractitioner": [{"reference": "#gp"}],
             "contained": [{"resourceType": "Practitioner", "id": "gp"}]}  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PLAN}, {"resource": entry}]}
    assert problems(bundle) == []
    bundle["entry"][1]["resource"] = {**entry, "contained": [{"resourceType": "Patient", "id": "gp"}]}
    assert [p.expression for p in problems(bundle)] == ["Bundle.entry[1].resource.generalPractitioner[0]"]


@pytest.mark.parametrize("path", sorted(definitions.resource_types()))
def test_every_type_compiles_and_refuses_what_is_empty(path):
    assert problems({"resourceType": path, "colour": 1})[0].issue == "structure"


GOLDENS = sorted(Path(__file__).parents[2].glob("fixtures/**/*.json"))


def test_every_fixture_that_is_a_resource_is_valid():
    resources = [(golden.name, json.loads(golden.read_bytes())) for golden in GOLDENS]
    found = {
        name: problems(resource)
        for name, resource in resources
        if isinstance(resource, dict) and resource.get("resourceType") in definitions.all_resource_types()
    }
    assert {name: some for name, some in found.items() if some} == {}
