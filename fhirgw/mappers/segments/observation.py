"""OBX and DB1 to the facts of an Observation.

See: v2-to-FHIR, Segment OBX[Observation]; ``docs/decisions/0101-clinical-segments.md``.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from fhirgw.errors import InvalidElement
from fhirgw.mappers.datatypes import (
    Components,
    Json,
    Scope,
    cwe_to_codeable_concept,
    cx_to_identifier,
    dtm_to_datetime,
    local_code,
    sound_period,
)
from fhirgw.mappers.parties import xad_to_organization_address, xon_to_organization
from fhirgw.mappers.segments.occurrence import (
    concept_key,
    ei_to_identifier,
    identified_key,
    occurrence,
    text_of,
)
from fhirgw.mappers.segments.person import PERSON_CODES
from fhirgw.mappers.segments.reading import (
    STAFF,
    YES_NO,
    Facts,
    Fields,
    Reading,
    coded,
    remembered,
    repeated,
    time,
    valued,
)
from fhirgw.terminology import ALTERNATE_CODES, BASE, OBSERVATION_STATUS, THO, UCUM, sid
from fhirgw.v2.codec import NULL, Segment

SUB_ID = BASE + "/StructureDefinition/observation-sub-id"
VALUE_ATTACHMENT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.valueAttachment"
ABNORMAL_TEST = "http://hl7.org/fhir/StructureDefinition/observation-nature-of-abnormal-test"
PRECISION = "http://hl7.org/fhir/StructureDefinition/quantity-precision"
ANALYSIS_TIME = "http://hl7.org/fhir/StructureDefinition/observation-analysis-date-time"

_NUMBER = re.compile(r"[+-]?(\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})", re.ASCII)
_TIME = re.compile(r"(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,6})?)?)?(?:[+-]\d{4})?", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_COMPARATORS = frozenset({"<", "<=", ">=", ">"})
_UNITS = {"UCUM": UCUM}
_MIME = {"AP": "application", "AU": "audio", "IM": "image", "TX": "text", "TEXT": "text", "IMAGE": "image"}


def _number(text: str | None) -> Json | None:
    """NM as Quantity.value; of digits that a JSON number here does not keep (72.50), how many there were.

    See: R4, extension quantity-precision; ``docs/decisions/0144-digits-that-were-sent.md``.
    """
    if text is None or not _NUMBER.fullmatch(text):
        return None
    whole, _, decimals = text.partition(".")
    if not decimals:
        return {"value": int(whole)}
    number = float(text)
    if Decimal(repr(number)).as_tuple().exponent == -len(decimals):
        return {"value": number}
    return {"value": number, "_value": {"extension": [{"url": PRECISION, "valueInteger": len(decimals)}]}}


def _unit(obx: Segment) -> Json:
    """OBX-6 → unit, and system and code where it names a coding system (UCUM)."""
    code, words, named = valued(obx, 6), valued(obx, 6, 2), valued(obx, 6, 3)
    system = _UNITS.get(named.upper())
    coded_unit = {"system": system, "code": code} if system and code else {}
    return {name: value for name, value in {"unit": words or code, **coded_unit}.items() if value}


def _quantity(value: Components, obx: Segment, _: Scope) -> Json | None:
    number = _number(value[1])
    return None if number is None else {"valueQuantity": number | _unit(obx)}


def _structured(value: Components, obx: Segment, _: Scope) -> Json | None:
    """SN → Quantity, Ratio or Range. See: v2-to-FHIR, Data Type SN[Quantity], SN[Ratio], SN[Range]."""
    comparator, separator = value[1], value[3]
    first, second = _number(value[2]), _number(value[4])
    known = {} if comparator in (None, "=") else {"comparator": comparator}
    if first is None or (known and comparator not in _COMPARATORS):
        return None
    low = first | known | _unit(obx)
    if separator is None and second is None:
        return {"valueQuantity": low}
    if second is None:
        return None
    high = second | _unit(obx)
    if separator in (":", "/"):
        return {"valueRatio": {"numerator": low, "denominator": second}}
    return {"valueRange": {"low": low, "high": high}} if separator == "-" and not known else None


def _range(value: Components, obx: Segment, _: Scope) -> Json | None:
    ends = {"low": _number(value[1]), "high": _number(value[2])}
    said = {name: number | _unit(obx) for name, number in ends.items() if number is not None}
    return {"valueRange": said} if said else None


def _concept(value: Components, _: Segment, scope: Scope) -> Json | None:
    concept = cwe_to_codeable_concept(value, scope)
    return {"valueCodeableConcept": concept} if concept else None


def _moment(value: Components, _: Segment, scope: Scope) -> Json | None:
    dtm = value[1]
    return {"valueDateTime": dtm_to_datetime(dtm, scope.zone)} if dtm else None


def _time_of_day(value: Components, _: Segment, __: Scope) -> Json | None:
    match = _TIME.fullmatch(value[1] or "")
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 59:
        return None
    return {"valueTime": f"{hour}:{minute or '00'}:{second or '00'}{fraction or ''}"}


def _period(value: Components, _: Segment, scope: Scope) -> Json | None:
    ends = {"start": value[1], "end": value[2]}
    said = {name: dtm_to_datetime(dtm, scope.zone) for name, dtm in ends.items() if dtm}
    return {"valuePeriod": sound_period(said)} if said else None


def _attachment(value: Components, _: Segment, __: Scope) -> Json | None:
    """ED-2/3 → contentType, ED-5 → data (Base64 only; hexadecimal and text are kept as words)."""
    coding, content = (value[4] or "").upper(), value[5]
    if content is None or coding != "BASE64" or not _BASE64.fullmatch(content) or len(content) % 4:
        return None
    kind, subtype = value[2] or "", value[3]
    mime = f"{_MIME.get(kind.upper(), kind.lower())}/{subtype.lower()}" if kind and subtype else None
    attachment = {"contentType": mime, "data": content}
    return _attached({name: one for name, one in attachment.items() if one})


def _pointer(value: Components, _: Segment, __: Scope) -> Json | None:
    """RP-1 → url, RP-3/4 → contentType; a pointer that is no URL stays words."""
    address, kind, subtype = value[1] or "", value[3] or "", value[4]
    if not address.startswith(("http://", "https://")) or any(one.isspace() for one in address):
        return None
    mime = {"contentType": f"{_MIME.get(kind.upper(), kind.lower())}/{subtype.lower()}"} if kind and subtype else {}
    return _attached(mime | {"url": address})


def _attached(attachment: Json) -> Json:
    return {"extension": [{"url": VALUE_ATTACHMENT, "valueAttachment": attachment}]}


_VALUES: Mapping[str, Callable[[Components, Segment, Scope], Json | None]] = {
    "NM": _quantity,
    "SN": _structured,
    "NR": _range,
    **dict.fromkeys(("CE", "CWE", "CNE", "CF", "IS", "ID"), _concept),
    **dict.fromkeys(("DT", "DTM", "TS"), _moment),
    "TM": _time_of_day,
    "DR": _period,
    "ED": _attachment,
    "RP": _pointer,
}
"""OBX-2 → what OBX-5 becomes; any other type, and what its type does not fit, is kept as words."""


def _value(obx: Segment, number: int, reading: Reading) -> list[Json]:
    """OBX-5: one value each repetition; text is one value, its repetitions are lines."""
    read = _VALUES.get(valued(obx, 2).upper())
    if read is None:
        text = text_of(obx, number)
        return [{"valueString": text}] if text else []

    def value_of(value: Components, scope: Scope) -> Json | None:
        try:
            found = read(value, obx, scope)
        except InvalidElement:
            found = None  # not what its type says: the words stay
        return found or ({"valueString": value.text} if value.text not in ("", NULL) else None)

    return reading.each(obx, number, value_of)


def _status(obx: Segment, number: int, reading: Reading) -> Json | None:
    """OBX-11 → status; X and N say why there is no value."""
    code = local_code("0085", valued(obx, number), reading.scope)
    status, absent = OBSERVATION_STATUS.get(code, ("unknown", None))
    said: Json = {"status": status}
    if absent:
        said["dataAbsentReason"] = {"coding": [{"system": THO + "data-absent-reason", "code": absent}]}
    if code == "X":
        concept = {"coding": [{"system": THO + "v2-0085", "code": "X"}]}
        said["_status"] = {"extension": [{"url": ALTERNATE_CODES, "valueCodeableConcept": concept}]}
    if code not in OBSERVATION_STATUS:
        reading.unmapped(f"{obx.name}-{number}", "0085", code)
    return said


def _reference_range(obx: Segment, number: int, _: Reading) -> list[Json]:
    text = text_of(obx, number)
    return [{"text": text}] if text else []


def _extension(url: str, read: Callable[[Segment, int, Reading], Any], element: str) -> Callable[..., list[Json]]:
    def made(obx: Segment, number: int, reading: Reading) -> list[Json]:
        value = read(obx, number, reading)
        values = value if isinstance(value, list) else [value] if value else []
        return [{"url": url, element: one} for one in values]

    return made


def _performing(obx: Segment, number: int, reading: Reading) -> list[Json]:
    """OBX-23 with its address (OBX-24)."""
    organization = reading.only(obx, number, xon_to_organization)
    address = reading.only(obx, 24, xad_to_organization_address)
    return [organization | ({"address": [address]} if address else {})] if organization else []


def _producer_of(cwe: Components, scope: Scope) -> Json | None:
    code, words = cwe[1], cwe[2]
    if code is None and words is None:
        return None
    organization: Json = {"resourceType": "Organization", "active": True}
    if code:
        system = sid(scope.name, scope.facility, "organization")
        organization["identifier"] = [{"system": system, "value": code}]
    return organization | {"name": words or code}


def _device_of(ei: Components, scope: Scope) -> Json | None:
    identifier = ei_to_identifier(ei, scope, kind="device")
    return {"type": "Device", "identifier": identifier} if identifier else None


def _sub_id(obx: Segment, number: int, _: Reading) -> list[Json]:
    text = text_of(obx, number)
    return [{"url": SUB_ID, "valueString": text}] if text else []


OBX: Fields = (
    (3, "code", coded()),
    (4, "extension.sub", _sub_id),
    (5, "value", _value),
    (7, "referenceRange", _reference_range),
    (8, "interpretation", remembered(repeated(cwe_to_codeable_concept, table="0078"))),
    (10, "extension.abnormal", _extension(ABNORMAL_TEST, repeated(cwe_to_codeable_concept, table="0080"),
                                          "valueCodeableConcept")),
    (11, "status", remembered(_status)),
    (14, "effectiveDateTime", time),
    (15, "performer.3", remembered(repeated(_producer_of))),
    (16, "performer.1", STAFF),
    (17, "method", coded()),
    (18, "device", repeated(_device_of)),
    (19, "extension.analysis", _extension(ANALYSIS_TIME, time, "valueDateTime")),
    (20, "bodySite", coded("0163")),
    (21, "identifier", repeated(ei_to_identifier)),
    (23, "performer.2", _performing),
    (25, "performer.4", STAFF),
    (32, "absent", coded()),
)  # fmt: skip
"""OBX-2 and OBX-6 are read with OBX-5, OBX-24 with OBX-23; OBX-31 is the action code."""

OBX_LEFT: Mapping[int, str] = {
    1: "a line number; the next message may reuse it",
    9: "Observation has no probability",
    12: "of the reference range, not of the observation",
    13: "codes of the sender's own access rules",
    **dict.fromkeys((22, 29, 30), "an ADT message observes; it neither orders nor groups"),
    26: "when the sender shows it to the patient",
    **dict.fromkeys((27, 28), "of the analyser that produced it"),
    33: "of a specimen, to which nothing here belongs",
}
"""Fields of OBX that make nothing, and why."""


def obx_to_observation(obx: Segment, reading: Reading) -> Json | None:
    """Map OBX to the facts of an Observation; None without OBX-3, and for what is an element of the Patient.

    OBX-3 → code, OBX-4 → sub-id, OBX-2/5/6 → value, OBX-7 → referenceRange, OBX-8 → interpretation, OBX-10 →
    nature of the abnormal test, OBX-11 → status, OBX-14 → effective, OBX-15/16/23/24/25 → performer, OBX-17 →
    method, OBX-18 → device, OBX-19 → analysis time, OBX-20 → bodySite, OBX-21 → identifier, OBX-31 → whether it
    was deleted, OBX-32 → dataAbsentReason.
    """
    if valued(obx, 3) in PERSON_CODES:
        return None
    facts = Facts("Observation").take(obx, OBX, reading)
    said = facts.values
    if "code" not in said:
        return None
    if valued(obx, 31) == "D":
        said["status"] = {"status": "entered-in-error"}
    by_code = (*concept_key(said["code"]), valued(obx, 4), valued(obx, 14))
    return occurrence(identified_key(said.get("identifier"), by_code), facts)


def _disability(db1: Segment, number: int, _: Reading) -> list[Json] | None:
    flag = YES_NO.get(valued(db1, number))
    return None if flag is None else [{"valueBoolean": flag}]


def _disability_number(db1: Segment, number: int, reading: Reading) -> list[Json]:
    default = sid(reading.scope.name, reading.scope.facility, "disability")
    return reading.each(db1, number, cx_to_identifier, default=default)


DB1: Fields = (
    (3, "identifier", _disability_number),
    (4, "value", _disability),
    (5, "effectivePeriod.start", time),
    (6, "effectivePeriod.end", time),
    (7, "component.DB1-7", time),
    (8, "component.DB1-8", time),
)
DB1_LEFT: Mapping[int, str] = {1: "a line number; the next message may reuse it"}
"""Fields of DB1 that make nothing, and why. DB1-2 tells whom it is about: only what is of the patient is taken."""


def db1_to_observation(db1: Segment, reading: Reading) -> Json | None:
    """Map DB1 to the facts of an Observation; None when it is about somebody else (DB1-2), or says nothing.

    DB1-3 → identifier, DB1-4 → value, DB1-5/6 → effective, DB1-7/8 → component (return to work, unable to work).
    """
    if local_code("0334", valued(db1, 2), reading.scope) not in ("", "PT"):
        reading.silent.append((db1, 2))
        return None
    facts = Facts("Observation").take(db1, DB1, reading)
    said = facts.values
    return occurrence(identified_key(said.get("identifier"), ("DB1",)), facts) if said else None
