"""PID, PD1 and OBX to facts of a Patient.

See: v2-to-FHIR, Segment PID[Patient], PD1[Patient]; US Core 6.1.0 Patient. What is left out, and why:
``PID_LEFT`` and ``PD1_LEFT``; ``docs/decisions/0023-what-is-left-behind.md``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fhirgw.mappers.datatypes import (
    Components,
    Json,
    Scope,
    cwe_to_codeable_concept,
    cx_to_identifier,
    local_code,
    xad_to_address,
    xtn_to_contact_point,
)
from fhirgw.mappers.parties import dln_to_identifier, reference_to, xon_to_organization, xpn_to_words
from fhirgw.mappers.people import xcn_to_practitioner
from fhirgw.mappers.segments.reading import (
    Facts,
    Fields,
    Read,
    Reading,
    indicator,
    listed,
    names,
    remembered,
    valued,
)
from fhirgw.mappers.segments.restriction import RESTRICTED
from fhirgw.terminology import (
    ADMINISTRATIVE_SEX,
    ALTERNATE_CODES,
    BIRTH_TIME,
    CDC_RACE,
    ETHNIC_GROUP,
    EXTENSION,
    GENDER_IDENTITY_LABEL,
    LOCAL_EXTENSION,
    OMB_ETHNICITY,
    OMB_RACE,
    THO,
    US_CORE_BIRTH_SEX,
    US_CORE_ETHNICITY,
    US_CORE_GENDER_IDENTITY,
    US_CORE_RACE,
    US_CORE_TRIBAL_AFFILIATION,
    coding_system,
)
from fhirgw.v2.codec import Segment

_BIRTH_SEX = "76689-9"  # LOINC: sex assigned at birth
_BIRTH_SEX_CODES = {"F": "F", "M": "M", "U": "UNK", "UNK": "UNK", "ASKU": "ASKU", "OTH": "OTH"}
_GENDER_IDENTITY = "76691-5"  # LOINC: gender identity
PERSON_CODES = frozenset({_BIRTH_SEX, _GENDER_IDENTITY})
"""OBX-3 (LOINC) of what is an element of the Patient and no Observation."""

PID_LEFT: Mapping[int, str] = {
    1: "a line number",
    19: "a social security number serves no recipient here",
    **dict.fromkeys((35, 36, 37, 38), "of animals"),
}
"""Fields of PID that make nothing, and why."""
PD1_LEFT: Mapping[int, str] = {
    **dict.fromkeys((1, 2), "how the person lives is the programme's to ask"),
    5: "the guide has no target yet",
    **dict.fromkeys((8, 9, 16, 17), "no element of Patient, no use in a care plan"),
    10: "records that are duplicates come as events (A24, A40)",
    **dict.fromkeys((11, 18), "about the hospital's own directory"),
    13: "the restriction holds from the message on",
    **dict.fromkeys((15, 22), "advance directives are documents; the code alone does not say which"),
    **dict.fromkeys((19, 20, 21), "no element of Patient, no use in a care plan"),
}
"""Fields of PD1 that make nothing, and why."""


def _identifiers(kind: str | None = None) -> Read:
    def read(pid: Segment, number: int, reading: Reading) -> Json | None:
        default = reading.scope.sender.default_authority if kind is None else None
        identifiers = reading.each(pid, number, cx_to_identifier, default=default, kind=kind)
        return {"identifier": identifiers} if identifiers else None

    return read


def _names(pid: Segment, number: int, reading: Reading) -> Json | None:
    said = names(pid, number, reading)
    return {"name": said} if said else None


def _birth_date(pid: Segment, number: int, reading: Reading) -> Json | None:
    moment = reading.time(pid, number)
    if moment is None:
        return None
    day = moment[:10]  # where it was written down, whatever the offset
    if moment == day:
        return {"birthDate": day}
    return {"birthDate": day, "_birthDate": {"extension": [{"url": BIRTH_TIME, "valueDateTime": moment}]}}


def _gender(pid: Segment, number: int, reading: Reading) -> Json | None:
    """PID-8 → gender; a sex that table 0001 does not have is unknown, with the sender's own code beside it."""
    code = local_code("0001", valued(pid, number), reading.scope)
    if code in ADMINISTRATIVE_SEX:
        return {"gender": ADMINISTRATIVE_SEX[code]}
    concept = reading.coded(pid, number, "0001")
    beside = {"extension": [{"url": ALTERNATE_CODES, "valueCodeableConcept": concept}]}
    return {"gender": "unknown", "_gender": beside} if concept else None


def _address(pid: Segment, number: int, reading: Reading) -> Json | None:
    """PID-11 → address; PID-12 is the county of the only address that has none."""
    addresses = reading.each(pid, number, xad_to_address)
    county = valued(pid, 12)
    if county and len(addresses) == 1:
        addresses[0].setdefault("district", county)
    return {"address": addresses} if addresses else None


def _county(pid: Segment, number: int, reading: Reading) -> Json | None:
    """PID-12 where it is not the county of the one address: an address of its own."""
    county = valued(pid, number)
    addresses = reading.each(pid, 11, xad_to_address)
    beside = len(addresses) != 1 or addresses[0].get("district", county) != county
    return {"address": [{"district": county}] if county and beside else []}


def _language(pid: Segment, number: int, reading: Reading) -> Json | None:
    language = reading.coded(pid, number, "0296")
    return {"communication": [{"language": language}]} if language else None


def _marital_status(pid: Segment, number: int, reading: Reading) -> Json | None:
    status = reading.coded(pid, number, "0002")
    return {"maritalStatus": status} if status else None


def _birth_order(pid: Segment, number: int, _: Reading) -> Json | None:
    order = valued(pid, number)
    return {"multipleBirthInteger": int(order)} if order.isdecimal() and 0 < int(order) < 100 else None


def _death_time(pid: Segment, number: int, reading: Reading) -> Json | None:
    moment = reading.time(pid, number)
    return {"deceasedDateTime": moment} if moment else None


_CDC = re.compile(r"\d{4}-\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Categories:
    """The OMB categories of a table: the CDC's codes, what the table's own stand for, how many may be said."""

    table: str
    codes: Mapping[str, tuple[str, str]]
    translate: Mapping[str, str]
    most: int

    def one(self, cwe: Components, scope: Scope) -> tuple[Json | None, str] | None:
        """A part of the extension with its words: of the first coding that the CDC has, else words alone."""
        for first in (1, 4, 10):
            sent, display, named = cwe[first], cwe[first + 1], cwe[first + 2]
            if sent is None or (named and coding_system(named) not in (None, CDC_RACE, f"{THO}v2-{self.table}")):
                continue
            code = local_code(self.table, self.translate.get(sent, sent), scope)
            if code in self.codes:
                system, words = self.codes[code]
                coding = {"system": system, "code": code, "display": words}
                return {"url": "ombCategory", "valueCoding": coding}, words
            if _CDC.fullmatch(code):
                coding = {"system": CDC_RACE, "code": code, "display": display or code}
                return {"url": "detailed", "valueCoding": coding}, display or code
        own, said = cwe[1], cwe[2] or cwe[9]
        if own:
            scope.unmapped.append((self.table, own))
        told = f"{said} ({own})" if said and own else said or own
        return (None, told) if told else None


def _omb(url: str, categories: _Categories) -> Read:
    """A US Core race or ethnicity extension: OMB categories, detailed CDC codes, and the text it must have."""

    def read(pid: Segment, number: int, reading: Reading) -> Json | None:
        parts: list[Json] = []
        words: list[str] = []
        for part, said in reading.each(pid, number, categories.one):
            words += [said] if said not in words else []
            full = part and part["url"] == "ombCategory" and _of(parts, "ombCategory") >= categories.most
            if part and not full and part not in parts:
                parts.append(part)
        if not words:
            return None
        return {
            "extension": [{"url": url, "extension": [*parts, {"url": "text", "valueString": ", ".join(words)}]}]
        }

    return remembered(read)


def _of(parts: Sequence[Json], url: str) -> int:
    return sum(part["url"] == url for part in parts)


def _stated(name: str, url: str, map_one: Callable[[Components, Scope], str | None]) -> Read:
    """An extension with words in it, one a repetition."""

    def read(segment: Segment, number: int, reading: Reading) -> Json | None:
        said = reading.each(segment, number, map_one)
        return {"extension": [{"url": url, name: value} for value in said]} if said else None

    return read


def _concept(url: str, table: str | None, part: str | None = None) -> Read:
    """An extension with a concept in it, or in its part of that name, one a repetition."""

    def read(segment: Segment, number: int, reading: Reading) -> Json | None:
        said = reading.each(segment, number, cwe_to_codeable_concept, table=table)
        values: list[Json] = [{"valueCodeableConcept": concept} for concept in said]
        if part:
            values = [{"extension": [{"url": part, **value}]} for value in values]
        return {"extension": [{"url": url, **value} for value in values]} if values else None

    return remembered(read)


def _words(st: Components, _: Scope) -> str | None:
    return st[1]


def _birth_place(pid: Segment, number: int, reading: Reading) -> Json | None:
    said = reading.each(pid, number, _words)
    address = {"url": EXTENSION + "patient-birthPlace", "valueAddress": {"text": said[0]}} if said else None
    return {"extension": [address]} if address else None


def _unknown_identity(pid: Segment, number: int, _: Reading) -> Json | None:
    flag = {"Y": True, "N": False}.get(valued(pid, number))
    url = LOCAL_EXTENSION + "identity-unknown"
    return None if flag is None else {"extension": [{"url": url, "valueBoolean": flag}]}


_PID: Fields = (
    (3, "identifier", _identifiers()),
    (2, "identifier.2", _identifiers("PT")),
    (4, "identifier.4", _identifiers("PT")),
    (20, "identifier.20", listed("identifier", dln_to_identifier)),
    (5, "name", _names),
    (9, "name.9", _names),
    (6, "extension.maiden", _stated("valueString", EXTENSION + "patient-mothersMaidenName", xpn_to_words)),
    (7, "birthDate", _birth_date),
    (8, "gender", remembered(_gender)),
    (10, "extension.race", _omb(US_CORE_RACE, _Categories("0005", OMB_RACE, {}, 6))),
    (11, "address", _address),
    (12, "address.12", _county),
    (13, "telecom.1", listed("telecom", xtn_to_contact_point, use="home")),
    (14, "telecom.2", listed("telecom", xtn_to_contact_point, use="work")),
    (15, "communication", remembered(_language)),
    (16, "maritalStatus", remembered(_marital_status)),
    (17, "extension.religion", _concept(EXTENSION + "patient-religion", "0006")),
    (22, "extension.ethnicity", _omb(US_CORE_ETHNICITY, _Categories("0189", OMB_ETHNICITY, ETHNIC_GROUP, 1))),
    (23, "extension.birthplace", _birth_place),
    (24, "multipleBirth", indicator("multipleBirthBoolean")),
    (25, "multipleBirth", _birth_order),
    (26, "extension.citizenship", _concept(EXTENSION + "patient-citizenship", "0171", "code")),
    (27, "extension.veteran", _concept(LOCAL_EXTENSION + "veterans-military-status", "0172")),
    (28, "extension.nationality", _concept(EXTENSION + "patient-nationality", "0212", "code")),
    (30, "deceased", indicator("deceasedBoolean")),
    (29, "deceased", _death_time),
    (31, "extension.unknown", _unknown_identity),
    (32, "extension.reliability", _concept(LOCAL_EXTENSION + "identity-reliability", "0445")),
    (39, "extension.tribe", _concept(US_CORE_TRIBAL_AFFILIATION, None, "tribalAffiliation")),
    (40, "telecom.3", listed("telecom", xtn_to_contact_point)),
)


def pid_to_patient(pid: Segment, facts: Facts, reading: Reading) -> None:
    """Map PID to facts of a Patient.

    PID-2/3/4/20 → identifier, PID-5/9 → name, PID-6 → mother's maiden name, PID-7 → birthDate, PID-8 → gender,
    PID-10 and PID-22 → US Core race and ethnicity, PID-11/12 → address, PID-13/14/40 → telecom, PID-15 →
    communication, PID-16 → maritalStatus, PID-17 → religion, PID-23 → birth place, PID-24/25 → multipleBirth,
    PID-26/28 → citizenship and nationality, PID-27 → veteran's status, PID-29/30 → deceased, PID-31/32 → how far
    the identity is known, PID-39 → US Core tribal affiliation. PID-18, 21, 33 and 34: ``account``.
    See: v2-to-FHIR, Segment PID[Patient]; US Core 6.1.0 Patient.
    """
    facts.take(pid, _PID, reading)


def _primary_care(map_one: Callable[[Components, Scope], Json | None]) -> Read:
    def read(pd1: Segment, number: int, reading: Reading) -> Json | None:
        found = reading.each(pd1, number, map_one)
        return {"generalPractitioner": [reference_to(one) for one in found]} if found else None

    return remembered(read)


def practitioner_reference(practitioner: Json) -> Json:
    """A logical Reference to a practitioner of whom there is no resource of ours."""
    return reference_to(practitioner)


def _protection(pd1: Segment, number: int, _: Reading) -> Json | None:
    return {"security": [RESTRICTED]} if valued(pd1, number) == "Y" else {"security": []}


def _worship(xon: Components, _: Scope) -> str | None:
    return xon[1] or xon[10]


_PD1: Fields = (
    (3, "generalPractitioner.1", _primary_care(xon_to_organization)),
    (4, "generalPractitioner.2", _primary_care(xcn_to_practitioner)),
    (6, "extension.disability", _concept(EXTENSION + "patient-disability", "0295")),
    (12, "security.pd1", _protection),
    (14, "extension.congregation", _stated("valueString", EXTENSION + "patient-congregation", _worship)),
)


def pd1_to_patient(pd1: Segment, facts: Facts, reading: Reading) -> None:
    """Map PD1 to facts of a Patient.

    PD1-3/4 → generalPractitioner, by identifier and name, PD1-6 → disability, PD1-12 → meta.security, PD1-14 →
    congregation. PD1-7: ``account``.
    See: v2-to-FHIR, Segment PD1[Patient].
    """
    facts.take(pd1, _PD1, reading)


def obx_to_patient(segments: Sequence[Segment], facts: Facts, reading: Reading) -> None:
    """Map OBX of LOINC 76689-9 and 76691-5 to the US Core extensions birth sex and gender identity.

    Gender identity carries its sensitivity (GDIS), inline.
    See: US Core 6.1.0, us-core-birthsex, us-core-genderIdentity.
    """
    for obx in segments:
        asked = obx.get(3)
        if asked == _BIRTH_SEX:
            code = _BIRTH_SEX_CODES.get(valued(obx, 5))
            if code:
                facts.values["extension.sex"] = {"extension": [{"url": US_CORE_BIRTH_SEX, "valueCode": code}]}
        elif asked == _GENDER_IDENTITY:
            said = reading.each(obx, 5, cwe_to_codeable_concept)
            concepts = [{"extension": [GENDER_IDENTITY_LABEL], **concept} for concept in said]
            values = [{"url": US_CORE_GENDER_IDENTITY, "valueCodeableConcept": concept} for concept in concepts]
            if values:
                facts.values["extension.gender-identity"] = {"extension": values}
