"""Our profiles: every golden conforms, and what is taken from one, or put in wrongly, is found where it is."""

import copy
from collections.abc import Iterator
from pathlib import Path

import fhirpathpy
import orjson
import pytest
from fhirpathpy.models import models
from json_values import codings

from fhirgw.profiles import conformance, npm
from fhirgw.profiles.conformance import INVARIANTS, problems, profiles
from fhirgw.profiles.validation import problems as all_problems
from fhirgw.terminology import BASE

FIXTURES = Path(__file__).parents[2] / "fixtures"
SD = f"{BASE}/StructureDefinition/"


def profile_of(resource):
    """Which of our profiles an ICM resource is of: it says so itself."""
    (profile,) = resource["meta"]["profile"]
    return profile


def goldens() -> Iterator[tuple[str, dict]]:
    for path in sorted((FIXTURES / "icm").glob("*.fhir.json")):
        for entry in orjson.loads(path.read_bytes())["entry"]:
            yield path.name, entry["resource"]


EXAMPLES = {}
for _, one in goldens():
    EXAMPLES.setdefault(profile_of(one), one)


def test_every_golden_conforms_to_its_profile():
    found = [
        (name, resource["resourceType"], problem)
        for name, resource in goldens()
        for problem in problems(resource, profile_of(resource))
    ]
    assert found == []


@pytest.mark.parametrize("profile", sorted(EXAMPLES))
def test_what_a_profile_requires_and_is_not_there_is_found_at_its_place(profile):
    example = EXAMPLES[profile]
    for name, node in conformance._compile(profile).children.items():
        if not node.minimum:
            continue
        key = next(key for key in example if key == name or key.startswith(name.removesuffix("[x]")))
        without = {one: value for one, value in example.items() if one != key}
        assert ("required", f"{example['resourceType']}.{name.removesuffix('[x]')}") in [
            found[:2] for found in problems(without, profile)
        ]


def test_a_value_that_a_profile_fixes_is_held_to():
    consent = copy.deepcopy(EXAMPLES[SD + "icm-release"])
    consent["provision"]["type"] = "deny"
    consent["scope"]["coding"][0]["code"] = "treatment"
    found = {problem.expression for problem in problems(consent, SD + "icm-release")}
    assert found == {"Consent.provision.type", "Consent.scope"}


def test_what_a_profile_forbids_is_found():
    consent = copy.deepcopy(EXAMPLES[SD + "icm-release"])
    consent["provision"]["code"] = [{"text": "anything"}]
    (found,) = problems(consent, SD + "icm-release")
    assert (found.issue, found.expression) == ("structure", "Consent.provision.code")
    plan = copy.deepcopy(EXAMPLES[SD + "icm-care-plan"])
    plan["activity"].append({"detail": {"status": "scheduled"}})
    where = f"CarePlan.activity[{len(plan['activity']) - 1}]"
    assert {one.expression for one in problems(plan, SD + "icm-care-plan")} == {
        f"{where}.detail",
        f"{where}.reference",
    }


def test_a_slice_is_told_by_its_pattern_and_counted():
    consent = copy.deepcopy(EXAMPLES[SD + "icm-release"])
    loinc = next(one for one in consent["category"] if one["coding"][0]["system"] == "http://loinc.org")
    consent["category"].append(loinc)
    (found,) = problems(consent, SD + "icm-release")
    assert (found.issue, found.expression) == ("structure", "Consent.category")
    assert "loinc" in found.text


def test_a_code_outside_a_required_value_set_is_found():
    concern = copy.deepcopy(EXAMPLES[SD + "icm-concern"])
    kind = next(one for one in concern["category"] if one["coding"][0]["system"].startswith(BASE))
    kind["coding"][0]["code"] = "worry"
    assert [one.issue for one in problems(concern, SD + "icm-concern")] == ["code-invalid"]


def test_a_reference_to_another_type_is_found():
    goal = EXAMPLES[SD + "icm-goal"] | {"subject": {"reference": "Group/g"}}
    (found,) = problems(goal, SD + "icm-goal")
    assert found.expression == "Goal.subject"


def test_a_resource_of_another_type_is_told_so():
    (found,) = problems({"resourceType": "Patient"}, SD + "icm-goal")
    assert "Goal" in found.text


def test_a_resource_that_names_its_profile_is_held_to_it_and_to_no_other():
    goal = EXAMPLES[SD + "icm-goal"]
    broken = {name: value for name, value in goal.items() if name not in {"expressedBy", "meta"}}
    assert all_problems(broken) == []
    assert all_problems(broken | {"meta": {"profile": ["http://example.org/StructureDefinition/other"]}}) == []
    named = broken | {"meta": {"profile": [SD + "icm-goal|0.1.0"]}}
    assert [one.expression for one in all_problems(named)] == ["Goal.expressedBy"]


def test_every_resource_of_a_case_is_of_a_profile_of_ours():
    assert {profile_of(resource) for _, resource in goldens()} <= profiles()


def test_every_code_of_ours_is_in_its_code_system():
    """Those of a programme (roles, tiers, sections …) are its file's."""
    concepts = {
        definition["url"]: {concept["code"] for concept in definition["concept"]}
        for definition in map(orjson.loads, npm.definitions().values())
        if definition["resourceType"] == "CodeSystem"
    }
    said = {(one["system"], one["code"]) for _, resource in goldens() for one in codings(resource)}
    assert {(system, code) for system, code in said if code not in concepts.get(system, {code})} == set()


def test_every_profile_compiles_whole():
    for profile in profiles():
        conformance._compile(profile)


def constraints():
    for content in npm.definitions().values():
        definition = orjson.loads(content)
        for element in definition.get("differential", {}).get("element", ()):
            for one in element.get("constraint", ()):
                yield definition, element, one


BROKEN = {
    "icm-name": [{"name": [{"use": "official"}]}],
    "icm-result": [{"value": None}],
    "icm-enrolled": [{"status": "active", "period": None}],
}


@pytest.mark.parametrize(
    ("definition", "element", "one"), list(constraints()), ids=lambda part: part.get("key") or ""
)
def test_an_invariant_in_python_says_what_its_expression_says(definition, element, one):
    assert element["path"] == definition["type"]
    examples = [resource for _, resource in goldens() if profile_of(resource) == definition["url"]]
    for change in BROKEN[one["key"]]:
        gone = {name for name, value in change.items() if value is None}
        kept = {k: v for k, v in examples[0].items() if not any(k.startswith(name) for name in gone)}
        examples.append(kept | {name: value for name, value in change.items() if value is not None})
    verdicts = [INVARIANTS[one["key"]](example) for example in examples]
    assert verdicts == [
        fhirpathpy.evaluate(example, one["expression"], {}, models["r4"]) == [True] for example in examples
    ]
    assert verdicts[-1] is False
