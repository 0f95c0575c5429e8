"""ROL and PRT: who takes part in the care of a person, or in a visit.

A fact has ``member``, a PractitionerRole, Practitioner or Organization where a Reference belongs; ``role``;
``period``; ``of``, the name of the segment that it follows; ``key``, what makes two facts tell of one
participation; ``action`` ``D`` where it ends.
See: v2-to-FHIR, Segment ROL[Encounter-PractitionerRole], ROL[Patient-GeneralPractitioner], ROL[CareTeam],
PRT[PractitionerRole], PRT[CareTeam]; ``docs/decisions/0098-roles.md``.
"""

from collections.abc import Mapping

from fhirgw.mappers.datatypes import (
    Json,
    cwe_to_codeable_concept,
    xad_to_address,
    xtn_to_contact_point,
)
from fhirgw.mappers.parties import reference_to, xon_to_organization
from fhirgw.mappers.segments.reading import (
    STAFF,
    Fields,
    Read,
    Reading,
    bound,
    elements,
    remembered,
    repeated,
    valued,
)
from fhirgw.v2.codec import Segment

ROL_LEFT: Mapping[int, str] = {
    7: "a duration; ROL-5 and ROL-6 are the period",
    8: "why a role changed",
    13: "where a person of the staff is",
}
"""Fields of ROL that make nothing, and why; all of one that follows neither PID nor PV1 (decision 0098)."""
PRT_LEFT: Mapping[int, str] = {
    3: "why a participation changed",
    **dict.fromkeys((9, 13), "where a person of the staff is, and how long"),
    **dict.fromkeys((10, 16, 17, 18, 19, 20, 21, 22), "devices take no part in a care plan"),
    **dict.fromkeys((23, 24), "how the staff likes to be called"),
}
"""Fields of PRT that make nothing, and why; as ``ROL_LEFT``."""
_PRIMARY_CARE = "PP"
_ENDS = frozenset({"DE", "D"})  # tables 0287 (ROL-2) and 0206 (PRT-2)


def rol_to_role(rol: Segment, of: str, reading: Reading) -> Json | None:
    """Map ROL to a participation; None when it names nobody.

    ROL-2 → whether it ends, ROL-3 → role, ROL-4 → practitioner, ROL-5/6 → period, ROL-9 → specialty, ROL-10 →
    organization.type, ROL-11 → practitioner.address, ROL-12 → telecom, ROL-14 → organization.
    """
    return _role(rol, of, _ROL, reading)


def prt_to_role(prt: Segment, of: str, reading: Reading) -> Json | None:
    """Map PRT to a participation; None when it names nobody.

    PRT-2 → whether it ends, PRT-4 → role, PRT-5 → practitioner, PRT-6 → specialty, PRT-7 → organization.type, PRT-8
    → organization, PRT-11/12 → period, PRT-14 → practitioner.address, PRT-15 → telecom.
    """
    return _role(prt, of, _PRT, reading)


def _role(segment: Segment, of: str, table: Fields, reading: Reading) -> Json | None:
    said = elements(segment, table, reading)
    member = _member(said)
    if member is None or (of == "PV1" and member["resourceType"] == "Organization"):  # no individual
        reading.silent += [(segment, number) for number, _, _ in table]
        return None
    for number, name, _ in table:
        if name in ("person", "organization"):
            reading.first(segment, number, said.get(name, ()))
    number = 3 if segment.name == "ROL" else 4
    code = valued(segment, number)
    fact: Json = {"of": of, "member": member, "key": _key(segment, code, member)}
    if "role" in said:
        fact["role"] = said["role"][0]
    if "period" in said:
        fact["period"] = said["period"]
    if code == _PRIMARY_CARE:
        fact["primary"] = True
    return fact | ({"action": "D"} if valued(segment, 2) in _ENDS else {})


def _member(said: Json) -> Json | None:
    """The practitioner, in the role where more than the person is told; else the organization; None of nobody."""
    person: Json | None = said["person"][0] if "person" in said else None
    organization: Json | None = said["organization"][0] if "organization" in said else None
    if "unit" in said and (organization or _words(said["unit"][0])):
        named = {"resourceType": "Organization", "name": _words(said["unit"][0])}
        organization = (organization or named) | {"type": said["unit"]}
    if person and "address" in said:
        person = person | {"address": said["address"]}
    role = {
        "practitioner": person,
        "organization": organization,
        "specialty": said.get("specialty"),
        "telecom": said.get("telecom"),
    }
    if not person:
        return organization
    if not any(value for name, value in role.items() if name != "practitioner"):
        return person
    return {"resourceType": "PractitionerRole"} | {name: value for name, value in role.items() if value}


def _words(concept: Json) -> str | None:
    """What a unit is called, where it has no name of its own (org-1)."""
    words: str | None = concept.get("text") or concept.get("coding", [{}])[0].get("display")
    return words


def _key(segment: Segment, code: str, member: Json) -> str:
    """The instance's own number, else the role and who is in it."""
    instance = valued(segment, 1)
    if instance:
        return f"instance|{instance}"
    person = member.get("practitioner", member)
    number = person.get("identifier", [{}])[0].get("value", "")
    return "|".join([code, number or str(reference_to(person).get("display", "")).casefold()])


def _typed(segment: Segment, number: int, reading: Reading) -> list[Json]:
    return reading.each(segment, number, cwe_to_codeable_concept)


def _concepts(table: str) -> Read:
    return remembered(repeated(cwe_to_codeable_concept, table=table))


_ROL: Fields = (
    (3, "role", _concepts("0443")),
    (4, "person", STAFF),
    (5, "period", bound("start")),
    (6, "period", bound("end")),
    (9, "specialty", _typed),
    (10, "unit", _typed),
    (11, "address", repeated(xad_to_address)),
    (12, "telecom", repeated(xtn_to_contact_point)),
    (14, "organization", repeated(xon_to_organization)),
)
_PRT: Fields = (
    (4, "role", _concepts("0912")),
    (5, "person", STAFF),
    (6, "specialty", _typed),
    (7, "unit", _typed),
    (8, "organization", repeated(xon_to_organization)),
    (11, "period", bound("start")),
    (12, "period", bound("end")),
    (14, "address", repeated(xad_to_address)),
    (15, "telecom", repeated(xtn_to_contact_point)),
)
