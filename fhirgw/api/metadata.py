"""What the gateway says of itself: the same for everybody, made once (leak 41).

See: FHIR R4 CapabilityStatement; SMART App Launch 2.2, conformance.
"""

from importlib.metadata import version
from typing import Any

import orjson

from fhirgw.api.smart import ALGORITHMS
from fhirgw.profiles import definitions
from fhirgw.profiles.search import parameters
from fhirgw.released import Public

Json = dict[str, Any]

STATED = "2026-11-22"
"""When the statement last changed by our hand; a start of the server does not change it."""

INTERACTIONS = ("read", "vread", "history-instance", "history-type", "create", "update", "search-type")
BY_COLUMN = {
    "_id": {"type": "token", "definition": "http://hl7.org/fhir/SearchParameter/Resource-id"},
    "_lastUpdated": {"type": "date", "definition": "http://hl7.org/fhir/SearchParameter/Resource-lastUpdated"},
}
SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"


def capability_statement(base: str, token_url: str) -> Public:
    """``GET /fhir/metadata``."""
    statement: Json = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": STATED,
        "kind": "instance",
        "software": {"name": "fhirgw", "version": version("fhirgw")},
        "implementation": {"description": "Intensive Care Management, shared under consent", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": _security(token_url),
                "resource": [_resource(kind) for kind in sorted(definitions.resource_types())],
            }
        ],
    }
    return Public(orjson.dumps(statement))


def _security(token_url: str) -> Json:
    return {
        "extension": [
            {
                "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                "extension": [{"url": "token", "valueUri": token_url}],
            }
        ],
        "service": [{"coding": [{"system": SECURITY_SERVICE, "code": "SMART-on-FHIR"}]}],
    }


def _resource(kind: str) -> Json:
    known = parameters(kind)
    searched = {one.code: {"type": one.kind, "definition": one.url} for one in known.values()} | BY_COLUMN
    includes = [f"{kind}:{one.code}" for one in known.values() if one.kind == "reference"]
    resource: Json = {
        "type": kind,
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": False,
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": [{"name": code, **searched[code]} for code in sorted(searched)],
    }
    return resource | ({"searchInclude": sorted(includes)} if includes else {})


def smart_configuration(token_url: str) -> Public:
    """``GET /fhir/.well-known/smart-configuration``."""
    configuration = {
        "token_endpoint": token_url,
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.rs", "system/*.cruds"],
        # The page requires this member of every server; with no authorization endpoint, nothing uses it.
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }
    return Public(orjson.dumps(configuration), "application/json")
