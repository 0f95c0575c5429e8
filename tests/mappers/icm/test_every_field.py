"""Every field of a case is exported: change any one of them and the output changes, or the field is listed here."""

import dataclasses
import json
import typing
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from fhirgw import programs
from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.icm.model import Case
from fhirgw.mappers.icm import map_case
from fhirgw.profiles.validation import problems

FIXTURES = Path(__file__).parents[3] / "fixtures" / "icm"
CASES = sorted(path.stem for path in FIXTURES.glob("*.json") if not path.name.endswith(".fhir.json"))
PROGRAMS = {
    program.id: program
    for program in (
        programs.load(path.read_text("utf-8")) for path in Path(programs.__file__).parent.glob("*.toml")
    )
}

NOT_EXPORTED = {
    "version": "tells statements of the case apart; what it states is exported",
    "care_plan.id": "a case has one plan, whose id comes from the case key",
    "care_team.birth_date": "the age that a role asks for is checked, and nobody outside is told a birth date",
    "releases.representative.person.kind": "who signs for the member is a RelatedPerson",
    "releases.exclusions.id": "names an exclusion in errors; a nested provision has no place for it",
    "refusals.person.id": "names somebody inside the case; a Practitioner's id is its content",
    "releases.exclusions.person.id": "names somebody inside the case; a Practitioner's id is its content",
    "releases.recipient.id": "names somebody inside the case; a Practitioner's id is its content",
    "releases.signature.witness.id": "names somebody inside the case; a Practitioner's id is its content",
    "referral.person.id": "names somebody inside the case; a Practitioner's id is its content",
    "recommendation.by.id": "names somebody inside the case; a Practitioner's id is its content",
    "prerequisites.by.id": "names somebody inside the case; a Practitioner's id is its content",
    "medicine_reviews.by.id": "names somebody inside the case; a Practitioner's id is its content",
    "member.primary_care.practitioner.id": "names somebody inside the case; a Practitioner's id is its content",
    "contacts.providers.id": "names somebody inside the case; a Practitioner's id is its content",
    "care_plan.suggestions.by.id": "names somebody inside the case; a Practitioner's id is its content",
    "care_team.id": "names somebody inside the case; a PractitionerRole's id is its content",
}
"""Path in the model → why no change of it need show."""

NOT_EXPORTED_AT_THE_END = {
    "eligible_on": "a clock runs from it, and a case that has ended has no clocks",
    "inactive_on": "a clock runs from it; of a case that has ended, past_statuses say it",
    "low_contact_on": "a clock runs from it, and a case that has ended has no clocks",
}
"""The same, of finished cases."""


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A place in a case: how to reach it, and the path in the model."""

    keys: tuple[str | int, ...]
    path: str
    value: object


def leaves(value, keys=(), path=()):
    """Every place of a dumped case that holds no object."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*keys, name), (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*keys, index), path)
    else:
        yield Leaf(keys, ".".join(path), value)


def others(leaf):
    """Values that the place could have instead; the model refuses some of them."""
    value = leaf.value
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value - 1]
    return [*WORDS.get(leaf.path.rpartition(".")[2], ()), *_moved(value), f"{value}x", f"{value}-9"]


def _moved(text):
    try:
        return [(datetime.fromisoformat(text) + timedelta(hours=1)).isoformat()] if "T" in text else [
            (date.fromisoformat(text) + timedelta(days=1)).isoformat(),
            (date.fromisoformat(text) - timedelta(days=1)).isoformat(),
        ]  # fmt: skip
    except ValueError:
        return []


def _literals(annotation):
    if typing.get_origin(annotation) is typing.Literal:
        yield from typing.get_args(annotation)
    for inner in typing.get_args(annotation):
        yield from _literals(inner)


def _models(kind, seen):
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
        seen.add(kind)
        for field in kind.model_fields.values():
            _models(field.annotation, seen)
    for inner in typing.get_args(kind):
        _models(inner, seen)
    return seen


WORDS: dict[str, list[str]] = {}
for model in sorted(_models(Case, set()), key=lambda one: one.__name__):
    for name, field in model.model_fields.items():
        WORDS.setdefault(name, []).extend(word for word in _literals(field.annotation) if word not in WORDS[name])
for one in PROGRAMS.values():
    for name, facts in {
        "role": one.roles,
        "tier": one.tiers,
        "kind": (*one.sections, *one.interventions),
        "reason": one.discharge,
        "criterion": (*one.admission, *one.continued),
        "domain": one.domains,
        "code": (*one.cohorts, *one.phases),
        "area": one.goal_areas,
        "licence": one.licences,
        "outcomes": one.outcomes,
    }.items():
        WORDS.setdefault(name, []).extend(fact.code for fact in facts)


def changed(case, leaf, value):
    """The case with one place changed, together with whatever refers to it by name."""
    other = json.loads(json.dumps(case))
    holder = other
    for key in leaf.keys[:-1]:
        holder = holder[key]
    holder[leaf.keys[-1]] = value
    if leaf.keys[-1] == "id":
        other = _renamed(other, leaf.value, value)
    return other


def _renamed(value, old, new):
    if isinstance(value, dict):
        return {name: _renamed(inner, old, new) for name, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, old, new) for inner in value]
    return new if value == old and old else value


def resources_of(stated):
    case = Case.model_validate(stated)
    if case.program not in PROGRAMS:
        raise InvalidElement("There is no such programme.", location="program")
    return map_case(case, PROGRAMS[case.program], b"test")


def output(stated):
    return json.dumps(resources_of(stated))


def lost(stated, before, leaf):
    """Whether one of the first other values that fit does not show in the output; of labels, any may show."""
    found = []
    wanted = 22 if leaf.path.endswith("sensitivity") else 2
    for value in others(leaf):
        if value == leaf.value:
            continue
        try:
            found.append(output(changed(stated, leaf, value)) != before)
        except (ValidationError, GatewayError, ExceptionGroup):
            continue
        if len(found) == wanted or (wanted > 2 and found[-1]):
            break
    return bool(found) and not (any(found) if wanted > 2 else all(found))


def first(found, path_of, count=3):
    """The first few places of each path: a field is mapped by the same code wherever it stands."""
    seen = Counter()
    for one in found:
        seen[path_of(one)] += 1
        if seen[path_of(one)] <= count:
            yield one


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_any_one_field_changed_changes_the_output_or_is_listed(name):
    stated = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
    before = output(stated)
    listed = NOT_EXPORTED | (NOT_EXPORTED_AT_THE_END if stated["status"] == "finished" else {})
    exported = [leaf for leaf in first(leaves(stated), lambda leaf: leaf.path) if leaf.path not in listed]
    assert {leaf.path for leaf in exported if lost(stated, before, leaf)} == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_whatever_a_case_leaves_out_its_resources_conform(name):
    """Every resource names its profile: what the model allows, the profile must not refuse."""
    found = set()
    stated = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
    for path, keys in first(parts(stated), lambda part: part[0]):
        try:
            resources = resources_of(without(name, keys))
        except (ValidationError, GatewayError, ExceptionGroup):
            continue
        found |= {(path, problem) for resource in resources for problem in problems(resource)}
    assert found == set()


def parts(value, keys=(), path=()):
    """Every field of a dumped case, and every item of a list."""
    named = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in named:
        here = (*path, key) if isinstance(key, str) else path
        yield ".".join(here), (*keys, key)
        yield from parts(inner, (*keys, key), here)


def without(name, keys):
    stated = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
    holder = stated
    for key in keys[:-1]:
        holder = holder[key]
    del holder[keys[-1]]
    return stated


def model_leaves(kinds=frozenset({Case}), path=()):
    """Every path of the model that holds no object."""
    for kind in kinds:
        for name, field in kind.model_fields.items():
            inner = _direct(field.annotation)
            yield from model_leaves(frozenset(inner), (*path, name)) if inner else [".".join((*path, name))]


def test_every_field_is_in_a_fixture():
    """Answers are by item: their path in a case ends with the item."""
    stated = [json.loads((FIXTURES / f"{name}.json").read_text("utf-8")) for name in CASES]
    touched = {leaf.path for case in stated for leaf in leaves(case)}
    touched |= {path.rpartition(".")[0] for path in touched}
    assert set(model_leaves()) - touched == set()


def test_what_is_listed_as_not_exported_is_a_field():
    def known(path):
        kinds = {Case}
        for name in path.split("."):
            fields = [one.model_fields[name].annotation for one in kinds if name in one.model_fields]
            if not fields:
                return False
            kinds = {one for field in fields for one in _direct(field)}
        return True

    assert [path for path in NOT_EXPORTED if not known(path)] == []


def _direct(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {one for inner in typing.get_args(annotation) for one in _direct(inner)}


@pytest.mark.parametrize("name", CASES)
def test_the_same_case_gives_the_same_bytes_whatever_the_order_of_its_keys(name):
    stated = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
    reversed_ = json.loads(json.dumps(stated), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert output(reversed_) == output(stated)
