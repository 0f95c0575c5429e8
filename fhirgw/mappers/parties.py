"""HL7 v2 data types that name organizations, relatives and licences, to FHIR.

As in ``datatypes``: a function returns None where nothing is left to say.
See: HL7 v2-to-FHIR guide 1.0.0, data types.
"""

from fhirgw.mappers.datatypes import (
    Components,
    Json,
    Scope,
    dtm_to_datetime,
    hd_to_system,
    typed_identifier,
    xad_to_address,
    xtn_to_contact_point,
)
from fhirgw.terminology import ADDRESS_USE, TELECOM_USE, URI_IDENTIFIER, US_NPI, sid

_ADDRESS_USE = {code: use for code, use in ADDRESS_USE.items() if use != "home"}
_TELECOM_USE = {code: use for code, use in TELECOM_USE.items() if use != "home"}


def xon_to_organization(xon: Components, scope: Scope) -> Json | None:
    """Map XON to Organization, without an id; None when it names none.

    XON-1 → name, XON-10, or XON-3 → identifier.value, XON-6 → identifier.system (US NPI by XON-7), XON-7 →
    identifier.type.
    See: v2-to-FHIR, Data Type XON[Organization].
    """
    organization: Json = {"resourceType": "Organization"}
    value = xon[10] or xon[3]
    if value:
        kind = xon[7]
        system = hd_to_system(xon[6], xon.part(6, 2), xon.part(6, 3), scope) or sid(scope.name, "organization")
        organization["identifier"] = [typed_identifier(US_NPI if kind == "NPI" else system, value, kind, scope)]
    name = xon[1]
    if name:
        organization["name"] = name
    return organization if len(organization) > 1 else None


def hd_to_organization(hd: Components, scope: Scope) -> Json | None:
    """Map HD, as the name of a facility, to Organization; see v2-to-FHIR, Data Type HD[Organization]."""
    name = hd[1] or hd[2]
    if name is None:
        return None
    universal = hd_to_system(None, hd[2], hd[3], scope) or ""
    known = {"system": sid(scope.name, "facility"), "value": name}
    if universal.startswith("urn:"):
        known = {"system": URI_IDENTIFIER, "value": universal}
    return {"resourceType": "Organization", "identifier": [known], "name": name}


def xad_to_organization_address(xad: Components, scope: Scope) -> Json | None:
    """Map XAD to the Address of an organization, which is of no home (org-2): that code stays beside the use."""
    return xad_to_address(xad, scope, uses=_ADDRESS_USE)


def xtn_to_organization_contact_point(xtn: Components, scope: Scope) -> Json | None:
    """Map XTN to the ContactPoint of an organization, which is of no home (org-3)."""
    return xtn_to_contact_point(xtn, scope, uses=_TELECOM_USE)


def dln_to_identifier(dln: Components, scope: Scope) -> Json | None:
    """Map DLN to Identifier: DLN-1 → value, DLN-2 → system, DLN-3 → period.end.

    The issuing state is not the sender's: its system is the same whoever sends it.
    See: v2-to-FHIR, Data Type DLN[Identifier].
    """
    value = dln[1]
    if value is None:
        return None
    state = dln[2]
    system = sid("drivers-license", state.upper()) if state else sid(scope.name, "drivers-license")
    return typed_identifier(system, value, "DL", scope) | _until(dln, scope)


def _until(dln: Components, scope: Scope) -> Json:
    end = dln[3]
    return {"period": {"end": dtm_to_datetime(end, scope.zone)}} if end else {}


def xpn_to_words(xpn: Components, _: Scope) -> str | None:
    """Map XPN to a string; see v2-to-FHIR, Data Type XPN[string]."""
    return " ".join(part for part in (xpn[5], xpn[2], xpn[3], xpn[1], xpn[4]) if part) or None


def reference_to(resource: Json) -> Json:
    """A logical Reference to somebody of whom there is no resource of ours: by identifier and name."""
    reference: Json = {"type": resource["resourceType"]}
    if "identifier" in resource:
        reference["identifier"] = resource["identifier"][0]
    name = resource.get("name")
    if isinstance(name, list):
        parts = [*name[0].get("prefix", []), *name[0].get("given", []), name[0].get("family", "")]
        name = " ".join(part for part in parts if part)
    return reference | ({"display": name} if name else {})
