"""Looks into what a year of a case is mapped to, and changes to the case."""

import pytest
from icm_cases import mapped, of_type, stated

from fhirgw.consent.labels import LabelContext, label

BASE = "http://fhirgw.org/fhir/"


def coded(resource, element):
    """The codes of an element that is a CodeableConcept, or a list of them."""
    found = resource.get(element, [])
    return {
        one["code"] for part in (found if isinstance(found, list) else [found]) for one in part.get("coding", [])
    }


def only(resources, kind, element, code):
    (found,) = [one for one in of_type(resources, kind) if code in coded(one, element)]
    return found


def by_text(resources, kind, text):
    (found,) = [one for one in of_type(resources, kind) if text in str(one)]
    return found


def extended(resource, name):
    return [one for one in resource.get("extension", []) if one["url"].endswith(f"/{name}")]


def label_of(resource):
    return label(resource, LabelContext(lambda _: (0, 0)))


def reference(resource):
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def refused(name, **changes):
    """(type, location) of everything that does not fit."""
    with pytest.raises(ExceptionGroup) as problems:
        mapped(name, **changes)
    return [(type(error), error.location) for error in problems.value.exceptions]


def altered(name, part, key, **changes):
    """One list of a case with one of its items changed."""
    return {part: [one | changes if one["id"] == key else one for one in stated(name)[part]]}


def planned(name, part, key, **changes):
    """The plan of a case with one item of one of its lists changed."""
    plan = stated(name)["care_plan"]
    return {"care_plan": plan | {part: [one | changes if one["id"] == key else one for one in plan[part]]}}
