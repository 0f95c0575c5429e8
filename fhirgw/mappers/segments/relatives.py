"""NK1, GT1 and the parts of other segments that tell of somebody beside the patient.

A fact has ``relative``, the elements of a RelatedPerson, and ``key``, what makes two facts tell of one person.
See: the v2-to-FHIR guide's NK1[Patient], NK1[RelatedPerson], CX[RelatedPerson-Mother]; GT1 has no map there
(``docs/decisions/0096-relatives-and-accounts.md``).
"""

from collections.abc import Mapping

from fhirgw.mappers.datatypes import (
    Json,
    cwe_to_codeable_concept,
    cx_to_identifier,
    dtm_to_date,
    local_code,
    xad_to_address,
    xtn_to_contact_point,
)
from fhirgw.mappers.parties import reference_to, xon_to_organization
from fhirgw.mappers.segments.reading import (
    Fields,
    Read,
    Reading,
    bound,
    elements,
    names,
    remembered,
    repeated,
    valued,
)
from fhirgw.terminology import ADMINISTRATIVE_SEX, ROLE_CLASS, ROLE_CODE, sid
from fhirgw.v2.codec import Segment

_NOBODYS_KIN = frozenset({"EMR", "E", "F", "I", "S"})
"""NK1-3 of an organization: it is a contact and no related person (v2-to-FHIR, ADT_A01.NEXT_OF_KIN.NK1)."""
NK1_LEFT: Mapping[int, str] = {
    1: "a line number",
    **dict.fromkeys((10, 11, 34), "the job of somebody else"),
    **dict.fromkeys((14, 17, 18, 19, 21, 24, 25, 26, 27, 28, 35, 36, 38, 39), "about somebody who is no member"),
    **dict.fromkeys((22, 23), "a restriction about the relative; theirs are labelled as the member's"),
    29: "no element of RelatedPerson",
    37: "a social security number serves no recipient here",
}
"""Fields of NK1 that make nothing, and why."""
GT1_LEFT: Mapping[int, str] = {
    1: "a line number",
    **dict.fromkeys((4, 25, 26, 30, 32, 33, 34, 35, 37, 39, 40, 41, 42, 43, 44, 52, 53, 54, 55, 56, 57),
                    "about somebody who is no member"),
    **dict.fromkeys((10, 15, 22, 23, 24, 27, 28, 29, 31, 38, 50, 51), "the guarantor's credit and bills"),
    12: "a social security number serves no recipient here",
    **dict.fromkeys((16, 17, 18, 20, 48, 49), "the guarantor's employer and job"),
    **dict.fromkeys((45, 46, 47), "who else to ask is the hospital's to know"),
}  # fmt: skip
"""Fields of GT1 that make nothing, and why."""
_CONTACTABLE = frozenset({"name", "telecom", "address", "organization"})
_GUARANTOR = {"coding": [{"system": ROLE_CLASS, "code": "GUAR", "display": "guarantor"}]}
_MOTHER = {"coding": [{"system": ROLE_CODE, "code": "MTH", "display": "mother"}]}


def nk1_to_relative(nk1: Segment, reading: Reading) -> Json | None:
    """Map NK1 to ``contact``, an entry of Patient.contact, and ``relative``; None when it tells of nobody.

    NK1-2/30 → name, NK1-3/7 → relationship, NK1-4/32 → address, NK1-5/6/31/40/41 → telecom, NK1-8/9 → period,
    NK1-12/33 → identifier, NK1-13 → contact.organization, NK1-15 → gender, NK1-16 → birthDate, NK1-20 →
    communication. A contact with neither name, telecom, address nor organization says nothing (pat-1).
    See: v2-to-FHIR, Segment NK1[Patient], NK1[RelatedPerson].
    """
    relative = elements(nk1, _NK1, reading)
    organization = reading.only(nk1, 13, xon_to_organization)
    shared = ("relationship", "telecom", "gender", "period")
    contact: Json = {name: relative[name] for name in shared if name in relative}
    for name in ("name", "address"):
        if name in relative:
            contact[name] = relative[name][0]
    if organization:
        contact["organization"] = reference_to(organization)
    fact: Json = {"contact": contact} if contact.keys() & _CONTACTABLE else {}
    if valued(nk1, 3) not in _NOBODYS_KIN and relative.keys() & _CONTACTABLE:
        fact["relative"] = relative
    return fact | {"key": person_key(relative)} if fact else None


def gt1_to_guarantor(gt1: Segment, reading: Reading) -> Json | None:
    """Map GT1 to a guarantor: ``relative``, or ``organization`` where it names no person; None when nobody.

    GT1-2/19 → identifier, GT1-3 → name, GT1-5 → address, GT1-6/7 → telecom, GT1-8 → birthDate, GT1-9 →
    gender, GT1-11 → relationship, GT1-13/14 → period, GT1-21 → organization, GT1-36 →
    communication.
    """
    relative = elements(gt1, _GT1, reading)
    organization = reading.only(gt1, 21, xon_to_organization)
    if "name" not in relative and organization:
        fact: Json = {"organization": organization}
    elif relative.keys() & _CONTACTABLE:
        relative["relationship"] = [*relative.get("relationship", []), _GUARANTOR]
        fact = {"relative": relative, "key": person_key(relative)}
        reading.silent += [(gt1, 21)] if organization else []
    else:
        return None
    period = elements(gt1, _GT1_PERIOD, reading)
    return fact | period | {"self": local_code("0063", valued(gt1, 11), reading.scope) == "SEL"}


def mother(pid: Segment, reading: Reading) -> Json | None:
    """Map PID-21 to a RelatedPerson known by number alone; see v2-to-FHIR, CX[RelatedPerson-Mother]."""
    numbers = _numbers()(pid, 21, reading)
    if not numbers:
        return None
    relative = {"identifier": numbers, "relationship": [_MOTHER]}
    return {"relative": relative, "key": person_key(relative)}


def person_key(relative: Json) -> str:
    """What makes two facts of one sender tell of the same person: the name as written, else a number."""
    if "name" in relative:
        name = relative["name"][0]
        parts = [name.get("family", ""), *name.get("given", []), *name.get("suffix", [])]
        return "|".join(["name", *(part.casefold() for part in parts)])
    if "identifier" in relative:
        return "|".join(["number", relative["identifier"][0]["system"], relative["identifier"][0]["value"]])
    telecom, address = relative.get("telecom", [{}])[0], relative.get("address", [{}])[0]
    return "|".join(["place", telecom.get("value", ""), *address.get("line", []), address.get("postalCode", "")])


def _numbers(kind: str | None = None) -> Read:
    """Identifiers; one that names no authority is the sender's for that kind of person, never the patients' one."""

    def read(segment: Segment, number: int, reading: Reading) -> list[Json]:
        scope = reading.scope
        default = sid(scope.name, scope.facility, segment.name.lower())
        return reading.each(segment, number, cx_to_identifier, default=default, kind=kind)

    return read


def _sex(segment: Segment, number: int, reading: Reading) -> str | None:
    code = local_code("0001", valued(segment, number), reading.scope)
    if code and code not in ADMINISTRATIVE_SEX:
        reading.unmapped(f"{segment.name}-{number}", "0001", code)
        reading.silent.append((segment, number))
    return ADMINISTRATIVE_SEX.get(code)


def _date(segment: Segment, number: int, reading: Reading) -> str | None:
    return reading.time(segment, number, dtm_to_date)


def _spoken(segment: Segment, number: int, reading: Reading) -> list[Json]:
    return [
        {"language": language} for language in reading.each(segment, number, cwe_to_codeable_concept, table="0296")
    ]


_NK1: Fields = (
    (33, "identifier", _numbers()),
    (12, "identifier", _numbers("EI")),
    (2, "name", names),
    (30, "name", names),
    (5, "telecom", repeated(xtn_to_contact_point)),
    (6, "telecom", repeated(xtn_to_contact_point, use="work")),
    (31, "telecom", repeated(xtn_to_contact_point)),
    (40, "telecom", repeated(xtn_to_contact_point)),
    (41, "telecom", repeated(xtn_to_contact_point)),
    (4, "address", repeated(xad_to_address)),
    (32, "address", repeated(xad_to_address)),
    (3, "relationship", remembered(repeated(cwe_to_codeable_concept, table="0063"))),
    (7, "relationship", remembered(repeated(cwe_to_codeable_concept, table="0131"))),
    (15, "gender", remembered(_sex)),
    (16, "birthDate", _date),
    (20, "communication", remembered(_spoken)),
    (8, "period", bound("start")),
    (9, "period", bound("end")),
)
_GT1: Fields = (
    (2, "identifier", _numbers("GI")),
    (19, "identifier", _numbers("EI")),
    (3, "name", names),
    (6, "telecom", repeated(xtn_to_contact_point, use="home")),
    (7, "telecom", repeated(xtn_to_contact_point, use="work")),
    (5, "address", repeated(xad_to_address)),
    (11, "relationship", remembered(repeated(cwe_to_codeable_concept, table="0063"))),
    (9, "gender", remembered(_sex)),
    (8, "birthDate", _date),
    (36, "communication", remembered(_spoken)),
)
_GT1_PERIOD: Fields = ((13, "period", bound("start")), (14, "period", bound("end")))
_INSURED: Fields = (
    (49, "identifier", _numbers("SN")),
    (16, "name", names),
    (19, "address", repeated(xad_to_address)),
    (43, "gender", remembered(_sex)),
    (18, "birthDate", _date),
)


def in1_to_insured(in1: Segment, reading: Reading) -> Json | None:
    """The insured of IN1-16, where it is somebody else than the patient (IN1-17)."""
    relative = elements(in1, _INSURED, reading)
    return {"relative": relative, "key": person_key(relative)} if "name" in relative else None
