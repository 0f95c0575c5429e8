"""Which of our profiles each resource of a case is of: it names it, and is held to it wherever it is written."""

from fhirgw.mappers.icm.shape import CANONICAL, Json

_BY_TYPE = {
    "CarePlan": "icm-care-plan",
    "CareTeam": "icm-care-team",
    "ClaimResponse": "icm-authorization-response",
    "Communication": "icm-explanation",
    "Condition": "icm-condition",
    "Consent": "icm-refusal",
    "Coverage": "icm-coverage",
    "DocumentReference": "icm-signed-form",
    "Encounter": "icm-contact",
    "EpisodeOfCare": "icm-enrolment",
    "Flag": "icm-flag",
    "Goal": "icm-goal",
    "List": "icm-medicine-review",
    "MedicationStatement": "icm-medicine",
    "Observation": "icm-assessment-result",
    "Organization": "icm-organization",
    "Patient": "icm-member",
    "Practitioner": "icm-practitioner",
    "PractitionerRole": "icm-practitioner-role",
    "Provenance": "icm-provenance",
    "QuestionnaireResponse": "icm-answers",
    "RelatedPerson": "icm-related-person",
    "ServiceRequest": "icm-intervention",
    "Task": "icm-task",
}
_BY_CODE = {
    "Communication": {
        "icm-attempt": "icm-attempt",
        "icm-consultation": "icm-consultation",
        "icm-collaboration": "icm-plan-communication",
    },
    "Condition": {"icm-concern": "icm-concern"},
    "Consent": {"opt-in": "icm-opt-in", "roi": "icm-release", "care-decision": "icm-care-decision"},
    "DocumentReference": {"icm-document-category": "icm-document", "42348-3": "icm-document"},
    "Encounter": {"icm-past-visit": "icm-past-visit"},
    "Observation": {"icm-observation-category": "icm-incident"},
    "ServiceRequest": {
        "physician-recommendation": "icm-recommendation",
        "icm-referral-source": "icm-referral",
        "link-out": "icm-link-out",
        "connection": "icm-connection",
        "aftercare": "icm-aftercare",
        "suggestion": "icm-suggested-service",
    },
}
"""Of a type with several profiles: code or code system of a category or type → profile; the first that is there."""


def bound(resource: Json) -> Json:
    """The resource with the profile that it is of in ``meta.profile``."""
    meta = {"profile": [f"{CANONICAL}/StructureDefinition/{_name(resource)}"], **resource.get("meta", {})}
    head: Json = {name: resource[name] for name in ("resourceType", "id") if name in resource}
    return head | {"meta": meta} | {name: value for name, value in resource.items() if name != "meta"}


def _name(resource: Json) -> str:
    kind: str = resource["resourceType"]
    known = [*resource.get("category", []), *(resource["type"] if kind == "Encounter" else [])]
    said = {code for one in known for coding in one["coding"] for code in _codes(coding)}
    return next((name for code, name in _BY_CODE.get(kind, {}).items() if code in said), _BY_TYPE[kind])


def _codes(coding: Json) -> tuple[str, str]:
    return coding["code"], str(coding["system"]).rpartition("/")[2]
