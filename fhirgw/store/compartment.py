"""Whom a resource is about: its patient, and how it stands without one."""

from collections.abc import Callable
from typing import Any, Literal

from fhirgw.consent.model import Json
from fhirgw.errors import InvalidElement
from fhirgw.profiles.expressions import literal

Standing = Literal["member", "registry", "derived", "several"]
"""member: about one patient. registry: about nobody, and for any authenticated client. derived: about nobody, but
brought here by somebody's care, so visible outside only through a visible reference. several: about several
patients, or about one who is not named: never visible outside."""

DEFINITIONAL = frozenset(
    {
        "ActivityDefinition", "CapabilityStatement", "CodeSystem", "ConceptMap", "HealthcareService", "Library",
        "Measure", "NamingSystem", "OperationDefinition", "PlanDefinition", "Questionnaire", "SearchParameter",
        "StructureDefinition", "ValueSet",
    }
)  # fmt: skip
"""Patient-free types that say nothing of anybody's care."""

INCIDENTAL = frozenset(
    {"Endpoint", "Location", "Medication", "Organization", "Practitioner", "PractitionerRole", "Substance"}
)
"""Patient-free types whose presence may tell of somebody's care."""

PATIENT_FREE = DEFINITIONAL | INCIDENTAL

_SUBJECT = ("subject", "patient", "for", "beneficiary", "individual")
_ABOUT = {"Provenance": "target", "Task": "focus"}
"""Where a type without a subject says what it is about: that resource's patient is its own."""

FOLLOWERS = frozenset(_ABOUT)
"""Types whose place may change though they say the same: what they are about has moved to another patient."""


def place(
    resource: Json, standing: str | None, patient_of: Callable[[str, str], str | None]
) -> tuple[str | None, str]:
    """The patient and the standing of a resource.

    Args:
        resource: As it is to be stored.
        standing: What the caller knows of a patient-free resource; None decides by type.
        patient_of: The patient of a stored resource, by type and id.

    Raises:
        InvalidElement: The caller's standing does not fit the type.
    """
    kind = resource["resourceType"]
    if kind in PATIENT_FREE:
        if standing not in (None, "registry", "derived"):
            raise InvalidElement("A resource of this type is about nobody.", location=kind)
        return None, standing or ("registry" if kind in DEFINITIONAL else "derived")
    if standing not in (None, "member", "several"):
        raise InvalidElement("A resource of this type is about somebody.", location=kind)
    patients = {resource["id"]} if kind == "Patient" else _patients(resource, patient_of)
    if len(patients) == 1 and standing != "several":
        return next(iter(patients)), "member"
    return None, "several"


def _patients(resource: Json, patient_of: Callable[[str, str], str | None]) -> set[str]:
    named = [target for name in _SUBJECT for target in _targets(resource.get(name))]
    patients = {logical for kind, logical in named if kind == "Patient"}
    about = _ABOUT.get(resource["resourceType"])
    if patients or about is None:
        return patients
    for kind, logical in _targets(resource.get(about)):
        patients |= {logical} if kind == "Patient" else {patient_of(kind, logical) or ""}
    return patients - {""} if "" not in patients or len(patients) == 1 else patients


def _targets(value: Any) -> list[tuple[str, str]]:
    """The targets on this server: an address elsewhere is nobody we know."""
    references = value if isinstance(value, list) else [value]
    texts = [one.get("reference") for one in references if isinstance(one, dict)]
    return [target for text in texts if text and "://" not in text and (target := literal(text))]
