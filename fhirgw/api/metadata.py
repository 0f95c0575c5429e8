"""What the gateway says of itself: the same for everybody, made once (leak 41).

See: FHIR R4 CapabilityStatement (``profiles.capability``); SMART App Launch 2.2, conformance.
"""

from datetime import date
from importlib.metadata import version

import orjson

from fhirgw.api.smart import ALGORITHMS
from fhirgw.profiles import capability, definitions
from fhirgw.released import Public
from fhirgw.terminology import BASE

STATED = date(2026, 11, 22)
"""When what is offered last changed, by our hand."""

VALIDATE = ("validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate")
OPERATIONS = {
    "Patient": (
        ("match", "http://hl7.org/fhir/OperationDefinition/Patient-match"),
        ("disclosures", f"{BASE}/OperationDefinition/Patient-disclosures"),
    ),
    "CarePlan": (("document", f"{BASE}/OperationDefinition/CarePlan-document"),),
}

CONSENT_HOOK = "patient-consent-consult"
"""Of the CDS Hooks service, and its id."""
SYSTEM_OPERATIONS = (("consent-decision", f"{BASE}/OperationDefinition/consent-decision"),)
INTERACTIONS = ("read", "vread", "history-instance", "history-type", "create", "update", "delete", "search-type")


def capability_statement(base: str, token_url: str) -> Public:
    """``GET /fhir/metadata``."""
    offers = [
        capability.Offer(
            kind, INTERACTIONS, includes=None, update_creates=True, operations=(*OPERATIONS.get(kind, ()), VALIDATE)
        )
        for kind in definitions.resource_types()
    ]
    statement = capability.capability_statement(
        offers,
        operations=SYSTEM_OPERATIONS,
        base_url=base,
        version=version("fhirgw"),
        stated=STATED,
        token_url=token_url,
    )
    return Public(orjson.dumps(statement))


def smart_configuration(token_url: str) -> Public:
    """``GET /fhir/.well-known/smart-configuration``."""
    configuration = {
        "token_endpoint": token_url,
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.rs", "system/*.cruds", "system/hl7v2"],
        # The page requires this member of every server; with no authorization endpoint, nothing uses it.
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }
    return Public(orjson.dumps(configuration), "application/json")


def cds_services() -> Public:
    """``GET /cds-services`` (CDS Hooks 2.0, discovery)."""
    consult = {
        "hook": CONSENT_HOOK,
        "id": CONSENT_HOOK,
        "title": "Consent decision",
        "description": "Whether a member's consents permit a disclosure, decided now.",
    }
    return Public(orjson.dumps({"services": [consult]}), "application/json")
