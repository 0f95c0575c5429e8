"""The CapabilityStatement: what the gateway offers, drawn from the same tables that it works by.

It is the same for every caller and says nothing about any patient.
See: http://hl7.org/fhir/R4/capabilitystatement.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from fhirgw.profiles import search

Json = dict[str, Any]

OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered for one resource type.

    Attributes:
        type: Resource type.
        interactions: Codes of TypeRestfulInteraction: read, vread, search-type, create, update, …
        parameters: Search parameters that are served; None means all that are indexed.
        includes: Values of ``_include`` that are served, e.g. ``CarePlan:goal``; None means all references.
        update_creates: Whether an update may create the resource.
        operations: (name, canonical of its definition) of the operations on the type.
    """

    type: str
    interactions: Sequence[str]
    parameters: Sequence[str] | None = None
    includes: Sequence[str] | None = ()
    update_creates: bool = False
    operations: Sequence[tuple[str, str]] = ()


def capability_statement(
    offers: Sequence[Offer],
    *,
    base_url: str,
    version: str,
    stated: date,
    token_url: str | None = None,
    interactions: Sequence[str] = (),
    operations: Sequence[tuple[str, str]] = (),
) -> Json:
    """The statement of this instance.

    Args:
        offers: One for each resource type.
        base_url: Of the FHIR endpoint.
        version: Of the software.
        stated: When what is offered last changed; a start of the server does not change it.
        token_url: SMART token endpoint; None when the endpoint is not secured.
        interactions: Of the whole system: transaction, batch, search-system, history-system.
        operations: (name, canonical of its definition) of the operations on the whole system.
    """
    rest: Json = {"mode": "server", "security": _security(token_url)}
    if offers:
        rest["resource"] = [_resource(offer) for offer in sorted(offers, key=lambda offer: offer.type)]
    if interactions:
        rest["interaction"] = [{"code": code} for code in interactions]
    if operations:
        rest["operation"] = [{"name": name, "definition": canonical} for name, canonical in operations]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": stated.isoformat(),
        "kind": "instance",
        "software": {"name": "fhirgw", "version": version},
        "implementation": {"description": "fhirgw: a FHIR gateway for Intensive Care Management", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [rest],
    }


def _security(token_url: str | None) -> Json:
    if token_url is None:
        return {"description": "No authorization: for tests on one machine only."}
    return {
        "extension": [{"url": OAUTH_URIS, "extension": [{"url": "token", "valueUri": token_url}]}],
        "service": [{"coding": [{"system": SECURITY_SERVICE, "code": "SMART-on-FHIR"}], "text": "SMART on FHIR"}],
        "description": "SMART Backend Services. A client sees of a member what consent releases.",
    }


def _resource(offer: Offer) -> Json:
    resource: Json = {
        "type": offer.type,
        "interaction": [{"code": code} for code in offer.interactions],
        "versioning": "versioned-update" if "update" in offer.interactions else "versioned",
        "readHistory": "vread" in offer.interactions,
        "updateCreate": offer.update_creates,
        "conditionalCreate": False,
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal"],
    }
    if includes := _includes(offer):
        resource["searchInclude"] = includes
    if "search-type" in offer.interactions and (parameters := _search_parameters(offer)):
        resource["searchParam"] = parameters
    if offer.operations:
        resource["operation"] = [{"name": name, "definition": canonical} for name, canonical in offer.operations]
    return resource


def _search_parameters(offer: Offer) -> list[Json]:
    offered = search.parameters(offer.type)
    codes = sorted(offered) if offer.parameters is None else offer.parameters
    return [
        {"name": offered[code].code, "definition": offered[code].url, "type": offered[code].kind} for code in codes
    ]


def _includes(offer: Offer) -> list[str]:
    if offer.includes is not None:
        return list(offer.includes)
    offered = search.parameters(offer.type).values()
    return sorted(f"{offer.type}:{one.code}" for one in offered if one.kind == "reference")
