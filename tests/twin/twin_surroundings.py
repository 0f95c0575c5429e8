"""What there is besides the patients of the twin test: practitioners, places, organizations, and codes."""

from typing import Any

Json = dict[str, Any]

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CATEGORY = "http://fhirgw.org/fhir/CodeSystem/icm-consent-category"
CLEARED = {"system": "http://fhirgw.org/fhir/CodeSystem/icm-text-review", "code": "cleared"}
MRN = "http://hospital.example.org/mrn"
NPI = "http://hl7.org/fhir/sid/us-npi"

CODES = {"": ("E11.9", "I10"), "SUD": ("F11.20", "F10.10"), "PSY": ("F33.1", "F20.9"), "HIV": ("B20", "Z21")}


def _practitioner(logical: str, family: str) -> Json:
    return {
        "resourceType": "Practitioner", "id": logical, "name": [{"family": family}],
        "identifier": [{"system": NPI, "value": f"npi-{logical}"}],
    }  # fmt: skip


DERIVED: dict[str, Json] = {
    "Practitioner/d0": _practitioner("d0", "Adler"),
    "Practitioner/d1": _practitioner("d1", "Brandt"),
    "Practitioner/d2": _practitioner("d2", "Cohen"),
    "Location/l0": {"resourceType": "Location", "id": "l0", "name": "Ward 3 East"},
    "Location/l1": {"resourceType": "Location", "id": "l1", "name": "Emergency"},
    "Organization/o0": {"resourceType": "Organization", "id": "o0", "name": "General Hospital"},
    "Organization/o1": {
        "resourceType": "Organization", "id": "o1", "name": "Riverside Recovery",
        "meta": {"security": [{"system": ACT, "code": "SUD"}]},
    },
    "PractitionerRole/r1": {
        "resourceType": "PractitionerRole", "id": "r1", "active": True,
        "practitioner": {"reference": "Practitioner/d1"}, "organization": {"reference": "Organization/o1"},
    },
    "PractitionerRole/r0": {
        "resourceType": "PractitionerRole", "id": "r0", "active": True,
        "practitioner": {"reference": "Practitioner/d2"}, "organization": {"reference": "Organization/o0"},
    },
}  # fmt: skip
REGISTRY: tuple[Json, ...] = (
    {
        "resourceType": "Organization",
        "id": "org-elm",
        "name": "Elm",
        "identifier": [{"system": NPI, "value": "elm"}],
    },
    {
        "resourceType": "Organization",
        "id": "org-oak",
        "name": "Oak",
        "identifier": [{"system": NPI, "value": "oak"}],
    },
    {"resourceType": "Organization", "id": "org-pine", "name": "Pine"},
    {"resourceType": "Organization", "id": "org-net", "name": "Net"},
    {"resourceType": "Organization", "id": "org-partner", "name": "Partner"},
    {"resourceType": "PlanDefinition", "id": "pd", "status": "active", "name": "Plan", "title": "A plan"},
)


def _affiliation(logical: str, whole: str, role: str) -> Json:
    """Elm in something else: a member of it, or not plainly."""
    code = {"coding": [{"system": "http://hl7.org/fhir/organization-role", "code": role}]}
    return {
        "resourceType": "OrganizationAffiliation", "id": logical, "code": [code],
        "participatingOrganization": {"reference": "Organization/org-elm"}, "organization": {"reference": whole},
    }  # fmt: skip


PEOPLE: tuple[Json, ...] = (
    _practitioner("bob", "Barker"),
    _affiliation("af-net", "Organization/org-net", "member"),
    _affiliation("af-partner", "Organization/org-partner", "supplier"),
)
"""Whom consents name: in both stores, and of no visible record."""


def concept(code: str) -> Json:
    return {"coding": [{"system": ICD, "code": code}]}


def ref(reference: str) -> Json:
    return {"reference": reference}
