"""The typed FHIR models: the only importer of fhir.resources.

The library's R4B classes are held to R4 4.0.1: for every resource type the gateway emits the two differ only by
what R4B adds. They check structure (elements, types, cardinality), not bindings or invariants, and are slow: an
oracle for tests and for ``fhirgw validate``, not for the hot path (DESIGN §5, §8).
"""

from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel

from fhirgw.errors import InvalidElement, MissingElement

Json = dict[str, Any]


def model(resource_type: str) -> type[BaseModel]:
    """The class of a resource type.

    Raises:
        InvalidElement: R4 has no such resource type.
    """
    try:
        found: type[BaseModel] = get_fhir_model_class(resource_type)
    except (LookupError, ValueError):
        raise InvalidElement("There is no such resource type in R4.", location="resourceType") from None
    return found


def validate(resource: Json) -> None:
    """Check that a resource is structurally R4.

    Raises:
        MissingElement: It has no resourceType.
        InvalidElement: It has an unknown one.
        ExceptionGroup: One InvalidElement a finding, located, without values.
    """
    resource_type = resource.get("resourceType")
    if not isinstance(resource_type, str):
        raise MissingElement("A resource says what it is in resourceType.", location="resourceType")
    checked = model(resource_type)
    try:
        checked.model_validate(resource)
    except ValueError as error:  # pydantic's ValidationError is one
        raise ExceptionGroup("not structurally R4", list(_findings(resource_type, error))) from None


def _findings(resource_type: str, error: ValueError) -> list[InvalidElement]:
    details: list[dict[str, Any]] = getattr(error, "errors", list)()
    return [
        InvalidElement(
            f"R4 does not allow this here ({detail['type']}).",
            location=".".join([resource_type, *(str(step) for step in detail["loc"])]),
        )
        for detail in details
    ] or [InvalidElement("R4 does not allow this.", location=resource_type)]
