"""What patients of the twin test have signed, for what each lets the recipient see."""

from typing import Any

from twin_surroundings import ACT, CATEGORY, CONF, PARTICIPATION, REASON, Json, concept, ref
from twin_worlds import INSTANCES, NARROW, Allowed


def consents(patient: str, allowed: Allowed) -> list[Json]:
    """The Consents behind a scenario."""
    wide, elm = ("R", "SUD", "BH", "HIV"), "Organization/org-elm"
    hiv = {"type": "deny", "securityLabel": security("HIV")}
    # An exception inherits the labels of the release, unless it states its own: from U up is everything.
    coded = {"type": "deny", "securityLabel": security("U"), "code": [concept("F20.9")]}
    named = [{"meaning": "instance", "reference": ref(f"{one}{patient}")} for one in sorted(INSTANCES)]
    types = [{"system": "http://hl7.org/fhir/resource-types", "code": one} for one in sorted(NARROW)]
    made = {
        "normal": [_roi(patient, elm, ("N",), period={"start": "2026-01-01", "end": "2026-07-15"})],
        "sud": [_roi(patient, elm, ("R", "SUD"))],
        "class": [_roi(patient, elm, ("N",), **{"class": types})],
        "except": [_roi(patient, elm, wide, provision=[hiv])],
        "code": [_roi(patient, elm, wide, provision=[coded])],
        "instance": [
            _roi(patient, elm, wide, provision=[{"type": "deny", "securityLabel": security("U"), "data": named}])
        ],
        "several": [_roi(patient, elm, ("R", "SUD"), name="a"), _roi(patient, elm, wide, name="b")],
        "network": [_roi(patient, "Organization/org-net", ("N",))],
        "partner": [
            _roi(patient, elm, wide),
            _refusal(patient, "named-person-refusal", "Organization/org-partner"),
        ],
        "revoked": [_roi(patient, elm, wide) | {"status": "inactive"}],
        "other": [_roi(patient, "Organization/org-pine", wide)],
        "refusal": [_roi(patient, elm, wide), _refusal(patient, "named-person-refusal")],
        "dv": [_roi(patient, elm, wide), _refusal(patient, "dv-safety-list")],
        "expired": [_roi(patient, elm, wide, period={"start": "2025-01-01", "end": "2026-01-01"})],
        "opted-out": [_roi(patient, elm, wide)],
    }
    return made.get(allowed.name, [])


def security(*codes: str) -> list[Json]:
    return [{"system": CONF if code in set("ULMNRV") else ACT, "code": code} for code in codes]


def _actor(reference: str) -> Json:
    return {"role": {"coding": [{"system": PARTICIPATION, "code": "IRCP"}]}, "reference": ref(reference)}


def _consent(patient: str, name: str, provision: Json, category: Json) -> Json:
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    return {
        "resourceType": "Consent", "id": f"{name}{patient}", "status": "active", "scope": {"coding": [scope]},
        "category": [{"coding": [category]}], "patient": ref(f"Patient/{patient}"), "dateTime": "2026-01-01",
        "performer": [ref(f"Patient/{patient}")], "organization": [ref("Organization/icm")],
        "sourceReference": ref("DocumentReference/form"), "provision": provision,
    }  # fmt: skip


def _roi(patient: str, to: str, codes: tuple[str, ...], *, name: str = "a", **more: Any) -> Json:
    provision = {
        "type": "permit", "period": {"start": "2026-01-01", "end": "2026-12-31"}, "actor": [_actor(to)],
        "purpose": [{"system": REASON, "code": "TREAT"}], "securityLabel": security(*codes),
    } | more  # fmt: skip
    return _consent(patient, name, provision, {"system": "http://loinc.org", "code": "64292-6"})


def _refusal(patient: str, kind: str, of: str = "Practitioner/bob") -> Json:
    provision = {"type": "deny", "actor": [_actor(of)]}
    made = _consent(patient, "x", provision, {"system": CATEGORY, "code": kind})
    return {name: value for name, value in made.items() if name != "sourceReference"}
