"""PID, PD1, NK1 and OBX to facts of a Patient.

See: the v2-to-FHIR guide's segment maps; what is left out, and why: ``docs/decisions/0023-what-is-left-behind.md``.
"""

from collections.abc import Mapping, Sequence

from fhirgw.mappers.datatypes import (
    Components,
    Json,
    cx_to_identifier,
    dtm_to_date,
    local_code,
    xad_to_address,
    xcn_to_practitioner,
    xpn_to_human_name,
    xtn_to_contact_point,
)
from fhirgw.mappers.segments.reading import Facts, Fields, Read, Reading, indicator, listed, valued
from fhirgw.terminology import (
    ADMINISTRATIVE_SEX,
    ALTERNATE_CODES,
    BIRTH_TIME,
    CDC_RACE,
    ETHNIC_GROUP,
    OMB_ETHNICITY,
    OMB_RACE,
    US_CORE_BIRTH_SEX,
    US_CORE_ETHNICITY,
    US_CORE_RACE,
)
from fhirgw.v2.codec import Segment

_BIRTH_SEX = "76689-9"  # LOINC: sex assigned at birth
_BIRTH_SEX_CODES = {"F": "F", "M": "M", "U": "UNK", "UNK": "UNK"}
_CONTACTABLE = frozenset({"name", "telecom", "address"})


def _identifiers(pid: Segment, number: int, reading: Reading) -> Json | None:
    default = reading.scope.sender.default_authority
    identifiers = reading.each(pid, number, cx_to_identifier, default=default)
    return {"identifier": identifiers} if identifiers else None


def _birth_date(pid: Segment, number: int, reading: Reading) -> Json | None:
    day = reading.time(pid, number, dtm_to_date)
    moment = reading.time(pid, number) if day else None
    if day is None or moment is None or moment == day:
        return {"birthDate": day} if day else None
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


def _omb(url: str, table: str, categories: Mapping[str, tuple[str, str]], translate: Mapping[str, str]) -> Read:
    """A US Core race or ethnicity extension: OMB categories, detailed CDC codes, and the text it must have."""

    def read(pid: Segment, number: int, reading: Reading) -> Json | None:
        parts: list[Json] = []
        words: list[str] = []
        for element in pid.repetitions(number):
            cwe = Components(element, pid.delimiters)
            sent = cwe(1) or ""
            code = local_code(table, translate.get(sent, sent), reading.scope)
            if code in categories:
                system, display = categories[code]
                coding = {"system": system, "code": code, "display": display}
                parts.append({"url": "ombCategory", "valueCoding": coding})
            elif code[:4].isdecimal() and code[4:5] == "-":
                display = cwe(2) or code
                parts.append(
                    {"url": "detailed", "valueCoding": {"system": CDC_RACE, "code": code, "display": display}}
                )
            else:
                display = cwe(2) or code
            if display:
                words.append(display)
        if not words:
            return None
        return {
            "extension": [{"url": url, "extension": [*parts, {"url": "text", "valueString": ", ".join(words)}]}]
        }

    return read


_PID: Fields = (
    (3, "identifier", _identifiers),
    (5, "name", listed("name", xpn_to_human_name)),
    (7, "birthDate", _birth_date),
    (8, "gender", _gender),
    (10, "extension.race", _omb(US_CORE_RACE, "0005", OMB_RACE, {})),
    (11, "address", _address),
    (13, "telecom.1", listed("telecom", xtn_to_contact_point, use="home")),
    (14, "telecom.2", listed("telecom", xtn_to_contact_point, use="work")),
    (15, "communication", _language),
    (16, "maritalStatus", _marital_status),
    (22, "extension.ethnicity", _omb(US_CORE_ETHNICITY, "0189", OMB_ETHNICITY, ETHNIC_GROUP)),
    (24, "multipleBirth", indicator("multipleBirthBoolean")),
    (25, "multipleBirth", _birth_order),
    (30, "deceased", indicator("deceasedBoolean")),
    (29, "deceased", _death_time),
    (40, "telecom.3", listed("telecom", xtn_to_contact_point)),
)


def pid_to_patient(pid: Segment, facts: Facts, reading: Reading) -> None:
    """Map PID to facts of a Patient.

    PID-3 → identifier, PID-5 → name, PID-7 → birthDate, PID-8 → gender, PID-10 and PID-22 → US Core race and
    ethnicity, PID-11/12 → address, PID-13/14/40 → telecom, PID-15 → communication, PID-16 → maritalStatus,
    PID-24/25 → multipleBirth, PID-29/30 → deceased.
    See: v2-to-FHIR, Segment PID[Patient]; US Core 6.1.0 Patient.
    """
    facts.take(pid, _PID, reading)


def _general_practitioner(pd1: Segment, number: int, reading: Reading) -> Json | None:
    doctors = reading.each(pd1, number, xcn_to_practitioner)
    return {"generalPractitioner": [practitioner_reference(doctor) for doctor in doctors]} if doctors else None


def practitioner_reference(practitioner: Json) -> Json:
    """A logical Reference to a practitioner of whom there is no resource of ours."""
    reference: Json = {"type": "Practitioner"}
    if "identifier" in practitioner:
        reference["identifier"] = practitioner["identifier"][0]
    if "name" in practitioner:
        name = practitioner["name"][0]
        reference["display"] = " ".join(
            name.get("prefix", []) + name.get("given", []) + [name.get("family", "")]
        ).strip()
    return reference


def pd1_to_patient(pd1: Segment, facts: Facts, reading: Reading) -> None:
    """Map PD1-4 → generalPractitioner, by identifier and name. See: v2-to-FHIR, Segment PD1[Patient]."""
    facts.take(pd1, ((4, "generalPractitioner", _general_practitioner),), reading)


def nk1_to_contacts(segments: Sequence[Segment], facts: Facts, reading: Reading) -> None:
    """Map NK1 to Patient.contact; the segments of a message together are the list.

    NK1-2 → name, NK1-3/7 → relationship, NK1-4 → address, NK1-5/6 → telecom, NK1-8/9 → period, NK1-15 → gender.
    A contact with neither name, telecom nor address says nothing (pat-1).
    See: v2-to-FHIR, Segment NK1[Patient].
    """
    contacts = [contact for nk1 in segments if (contact := _contact(nk1, reading)).keys() & _CONTACTABLE]
    if contacts:
        facts.values["contact"] = {"contact": contacts}


def _contact(nk1: Segment, reading: Reading) -> Json:
    relationship = [reading.coded(nk1, 3, "0063"), reading.coded(nk1, 7, "0131")]
    names = reading.each(nk1, 2, xpn_to_human_name)
    addresses = reading.each(nk1, 4, xad_to_address)
    phones = reading.each(nk1, 5, xtn_to_contact_point) + reading.each(nk1, 6, xtn_to_contact_point, use="work")
    period = {"start": reading.time(nk1, 8), "end": reading.time(nk1, 9)}
    contact = {
        "relationship": [concept for concept in relationship if concept],
        "name": names[0] if names else None,
        "telecom": phones,
        "address": addresses[0] if addresses else None,
        "gender": ADMINISTRATIVE_SEX.get(valued(nk1, 15)),
        "period": {name: moment for name, moment in period.items() if moment},
    }
    return {name: value for name, value in contact.items() if value}


def obx_to_patient(segments: Sequence[Segment], facts: Facts) -> None:
    """Map OBX of LOINC 76689-9 to the US Core birth sex extension. See: US Core 6.1.0, us-core-birthsex."""
    for obx in segments:
        code = _BIRTH_SEX_CODES.get(valued(obx, 5)) if obx.get(3) == _BIRTH_SEX else None
        if code:
            facts.values["extension.sex"] = {"extension": [{"url": US_CORE_BIRTH_SEX, "valueCode": code}]}
