"""HL7 v2 data types to FHIR, one function a type.

A component that is ``""`` counts as absent: v2 deletes fields, not components (v2.5.1 ch. 2.5.3). A function
returns None where nothing is left to say, and raises InvalidElement, without a location, on broken syntax.

See: HL7 v2-to-FHIR guide 1.0.0, data types; deviations in ``docs/decisions/0020-identifier-systems.md``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from fhirgw.errors import InvalidElement
from fhirgw.settings import Sender
from fhirgw.terminology import (
    ADDRESS_TYPE,
    ADDRESS_USE,
    ALTERNATE_CODES,
    CENSUS_TRACT,
    IDENTIFIER_TYPE,
    KEPT_BESIDE,
    RULED,
    TELECOM_SYSTEM,
    TELECOM_USE,
    TELECOM_USE_SYSTEM,
    THO,
    TYPE_CODES,
    UNNAMED_TABLES,
    coding_system,
    local_code_system,
    sid,
    table_coding,
)
from fhirgw.v2.codec import NULL, component_text
from fhirgw.v2.encoding import Delimiters, unescape

Json = dict[str, Any]

_DTM = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_DTM_TEXT = "Not a date/time: YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]."
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_INTERNET = frozenset({"INTERNET", "X.400"})


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose message it is: what gives local codes, local identifiers and local times their meaning.

    Attributes:
        name: The sender's registered name.
        facility: MSH-4.1, which scopes numbers that name no authority.
        sender: Its settings.
        zone: Its time zone, for times without an offset.
        unmapped: (table or coding system, code) of the codes met that no map has; whoever reads the field takes
            them out (``Reading``).
    """

    name: str
    facility: str
    sender: Sender
    zone: ZoneInfo
    unmapped: list[tuple[str, str]] = field(default_factory=list, compare=False)


class Components(list[str | None]):
    """One repetition of a field, split once: ``cx[4]`` is CX.4, ``cx.part(4, 2)`` CX.4.2.

    Trimmed; None when absent, blank or null. A component with subcomponents reads as the first of them.

    Attributes:
        raw: The repetition as it stands on the wire.
        last: The number of the last component that was sent.
    """

    __slots__ = ("_delimiters", "is_plain", "last", "raw")

    def __init__(self, raw: str, delimiters: Delimiters) -> None:
        parts = raw.split(delimiters.component)
        self.raw = raw
        self.last = len(parts)
        self._delimiters = delimiters
        escape, subcomponent = delimiters.escape, delimiters.subcomponent
        self.is_plain = not ((escape and escape in raw) or (subcomponent and subcomponent in raw))
        if not self.is_plain:
            parts = [component_text(part, 1, delimiters) for part in parts]
        self.append(None)
        for part in parts:
            text = part.strip()
            self.append(text if text and text != NULL else None)
        self += _ABSENT[self.last :]

    @property
    def text(self) -> str:
        """The whole repetition, its separators as written."""
        return unescape(self.raw, self._delimiters).strip()

    def part(self, component: int, subcomponent: int) -> str | None:
        """The text of a subcomponent after the first."""
        if self.is_plain or component > self.last:
            return None
        part = self.raw.split(self._delimiters.component)[component - 1]
        text = component_text(part, subcomponent, self._delimiters).strip()
        return text if text and text != NULL else None

    def inner(self, component: int) -> "Components":
        """A component that is itself a data type: ``dld.inner(1)[2]`` is DLD.1.2."""
        delimiters = self._delimiters
        parts = self.raw.split(delimiters.component)
        raw = parts[component - 1] if component <= len(parts) else ""
        return Components(raw, replace(delimiters, component=delimiters.subcomponent or "\0", subcomponent=""))


_ABSENT = (None,) * 25  # more components than a data type has


@lru_cache(maxsize=1024)  # a message says the same time in several fields
def dtm_to_datetime(dtm: str, zone: ZoneInfo) -> str:
    """Map DTM to dateTime, no more precise than it was sent, except that FHIR wants seconds with an hour.

    The offset is kept as sent; without one the time is the sender's own, in its zone. Never silently UTC.
    See: v2-to-FHIR, Data Type DTM[dateTime]; FHIR R4 dateTime.
    """
    match = _DTM.fullmatch(dtm)
    if match is None:
        raise InvalidElement(_DTM_TEXT)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        local = datetime(  # noqa: DTZ001 - the zone is found below
            *(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0))
        )
    except ValueError:
        raise InvalidElement(_DTM_TEXT) from None
    if hour is None:
        return "-".join(part for part in (year, month, day) if part)
    zoned = _offset(offset) if offset else local.replace(tzinfo=zone).isoformat()[19:25]
    return f"{year}-{month}-{day}T{hour}:{minute or '00'}:{second or '00'}{fraction or ''}{zoned}"


def dtm_to_date(dtm: str, zone: ZoneInfo) -> str:
    """Map DTM to date: the calendar day where it was written down, whatever the offset."""
    return dtm_to_datetime(dtm, zone)[:10]


def datetime_to_instant(moment: str, zone: ZoneInfo) -> str:
    """A dateTime as an instant; a partial one at the beginning, in that zone, of the period that it names."""
    if len(moment) > 10:
        return moment
    year, month, day = (int(part) for part in (moment + "-01-01").split("-")[:3])
    return datetime(year, month, day, tzinfo=zone).isoformat()


@lru_cache(maxsize=1024)
def utc(moment: str, *, latest: bool = False) -> str:
    """A dateTime as a UTC text that sorts in time; a partial one at the beginning (or end) of its period."""
    if len(moment) > 10:
        return datetime.fromisoformat(moment).astimezone(UTC).isoformat(timespec="microseconds")
    return moment + ("-99-99"[len(moment) - 4 :] + "T~" if latest else "-01-01"[len(moment) - 4 :] + "T")


def _offset(offset: str) -> str:
    if int(offset[1:3]) > 14 or int(offset[3:]) > 59 or offset[1:] > "1400":
        raise InvalidElement(_DTM_TEXT)
    return f"{offset[:3]}:{offset[3:]}"


def hd_to_system(namespace: str | None, universal_id: str | None, id_type: str | None, scope: Scope) -> str | None:
    """Map HD, as an assigning authority, to the system of its identifiers; None when it names nothing.

    The sender's registered authorities by universal id; a universal id (OID, UUID, URI); the registered authorities
    by namespace; else a system of ours that scopes the namespace to the sender. The guide's HD[uri] would put the
    bare namespace where a URI belongs. See: ``docs/decisions/0020-identifier-systems.md``.
    """
    authorities = scope.sender.authorities
    if universal_id:
        if universal_id in authorities:
            return authorities[universal_id]
        if id_type in ("ISO", None) and _OID.fullmatch(universal_id):
            return f"urn:oid:{universal_id}"
        if id_type in ("UUID", "GUID") and _UUID.fullmatch(universal_id):
            return f"urn:uuid:{universal_id.lower()}"
        if id_type == "URI" and ":" in universal_id:
            return universal_id
    local = namespace or universal_id
    if local is None:
        return None
    return authorities.get(local) or sid(scope.name, local)


def cx_to_identifier(
    cx: Components, scope: Scope, *, default: str | None = None, kind: str | None = None
) -> Json | None:
    """Map CX to Identifier; None when CX-1 is empty.

    CX-1 → value, CX-4 → system, CX-5 → type, CX-7/8 → period.
    See: v2-to-FHIR, Data Type CX[Identifier].

    Args:
        cx: The repetition.
        scope: The sender.
        default: System where CX-4 names none.
        kind: Identifier type (table 0203) where CX-5 names none.
    """
    value = cx[1]
    if value is None:
        return None
    system = hd_to_system(cx[4], cx.part(4, 2), cx.part(4, 3), scope) or default
    identifier = typed_identifier(system, value, cx[5] or kind, scope)
    return identifier | period_between(cx, 7, 8, scope) if cx.last > 6 else identifier


def typed_identifier(system: str | None, value: str, kind: str | None, scope: Scope) -> Json:
    """An Identifier with its type, where one is named: of table 0203, else the sender's own."""
    identifier: Json = {"system": system, "value": value} if system else {"value": value}
    if not kind:
        return identifier
    if kind in IDENTIFIER_TYPE:
        coding = {"system": THO + "v2-0203", "code": kind, "display": IDENTIFIER_TYPE[kind]}
    else:
        scope.unmapped.append(("0203", kind))
        coding = {"system": local_code_system(scope.name, "0203"), "code": " ".join(kind.split())}
    identifier["type"] = {"coding": [coding]}
    return identifier


def period_between(element: Components, start: int, end: int, scope: Scope, validity: int | None = None) -> Json:
    """From two components, else from the two parts of a third (DR)."""
    if element.last < (validity or start):
        return {}
    said = {"start": element[start], "end": element[end]}
    if validity and not any(said.values()):
        said = {"start": element[validity], "end": element.part(validity, 2)}
    period = {name: dtm_to_datetime(moment, scope.zone) for name, moment in said.items() if moment}
    return {"period": sound_period(period)} if period else {}


def sound_period(period: Json) -> Json:
    """A Period without an end that would lie before its start (per-1): one of them is wrong."""
    if len(period) > 1 and utc(period["end"], latest=True) < utc(period["start"]):
        return {"start": period["start"]}
    return period


def coded_element(element: str, table: str, codes: Mapping[str, str], code: str, scope: Scope) -> Json:
    """A code of a required binding; one that has no target there stays beside the absent element, as sent."""
    known = local_code(table, code, scope)
    target = codes.get(known) or codes.get(known.upper())
    return {element: target} if target else {f"_{element}": _beside(table, known, scope)}


def _beside(table: str, code: str, scope: Scope) -> Json:
    system = f"{THO}v2-{table}"
    if code.upper() not in TYPE_CODES[table]:
        system = local_code_system(scope.name, table)
        scope.unmapped.append((table, code))
    concept = {"coding": [{"system": system, "code": " ".join(code.split())}]}
    return {"extension": [{"url": ALTERNATE_CODES, "valueCodeableConcept": concept}]}


def fill(element: Json, name: str, *values: str | None) -> None:
    """Give an element the list of those values that are there, if any is."""
    said = [value for value in values if value]
    if said:
        element[name] = said


def xad_to_address(xad: Components, scope: Scope, *, uses: Mapping[str, str] = ADDRESS_USE) -> Json | None:
    """Map XAD to Address; None when it holds no part of an address. ``uses`` maps XAD-7 to Address.use.

    XAD-1.1/1.2/1.3/2/19 → line, XAD-3 → city, XAD-4 → state, XAD-5 → postalCode, XAD-6 → country, XAD-7 → use or
    type, XAD-9 → district, XAD-10 → census tract, XAD-13/14, or XAD-12 → period.
    See: v2-to-FHIR, Data Type XAD[Address], SAD[Address].
    """
    address: Json = {}
    fill(address, "line", xad[1], xad.part(1, 2), xad.part(1, 3), xad[2], xad[19])
    for name, component in (("city", 3), ("district", 9), ("state", 4), ("postalCode", 5), ("country", 6)):
        value = xad[component]
        if value:
            address[name] = value
    if not address:
        return None
    kind = xad[7]
    if kind and kind in ADDRESS_TYPE:
        address["type"] = ADDRESS_TYPE[kind]
    elif kind:
        address |= coded_element("use", "0190", uses, kind, scope)
    if xad.last > 9:
        tract = xad[10]
        if tract:  # the guide has it on the address; the extension is defined for a line, and refused elsewhere
            address["_line"] = [{"extension": [{"url": CENSUS_TRACT, "valueString": tract}]}]
            address["_line"] += [None] * (len(address.get("line", ())) - 1)
        address |= period_between(xad, 13, 14, scope, 12)
    return address


def xtn_to_contact_point(
    xtn: Components, scope: Scope, *, use: str | None = None, uses: Mapping[str, str] = TELECOM_USE
) -> Json | None:
    """Map XTN to ContactPoint; None when it holds neither number nor address. ``uses`` maps XTN-2 to its use.

    XTN-4, or XTN-1/12/7 with 5, 6 and 8 → value; XTN-3 → system, else email where XTN-4 is valued, else what XTN-2
    says, else phone, as the fields that carry XTN are for phone numbers; XTN-2 → use, else the one given; XTN-18 →
    rank.
    See: v2-to-FHIR, Data Type XTN[ContactPoint].
    """
    equipment, usage = xtn[3], xtn[2]
    kind = equipment.upper() if equipment else None
    address = xtn[4]
    if kind in _INTERNET or (kind is None and (address or usage == "NET")):
        value, system = address or xtn[1], "email"
    else:
        value = xtn[1] or xtn[12] or _number(xtn)
        system = TELECOM_SYSTEM.get(kind) or "other" if kind else TELECOM_USE_SYSTEM.get(usage or "", "phone")
    if value is None and address:  # an address in spite of the equipment, or a number in the place of one
        value, system = address, "email" if "@" in address else system
    if value is None:
        return None
    point: Json = {"system": system, "value": value}
    if system == "other" and equipment:
        point["_system"] = _beside("0202", equipment, scope)
    if kind == "CP":
        point["use"] = "mobile"
    elif usage not in TELECOM_USE_SYSTEM:
        point |= coded_element("use", "0201", uses, usage, scope) if usage else {"use": use} if use else {}
    if xtn.last > 12:
        rank = xtn[18] or ""
        if rank.isdecimal() and int(rank) > 0:
            point["rank"] = int(rank)
        point |= period_between(xtn, 13, 14, scope)
    return point


def _number(xtn: Components) -> str | None:
    country, area, local, extension = (xtn[component] for component in (5, 6, 7, 8))
    if local is None:
        return None
    parts = (f"+{country}" if country else None, area, local, f"X{extension}" if extension else None)
    return " ".join(part for part in parts if part)


def local_code(table: str, code: str, scope: Scope) -> str:
    """The table's code for the sender's own, where its registration maps it; else the code itself."""
    codes = scope.sender.codes
    return codes.get(table, {}).get(code, code) if codes else code


_TRIPLETS = ((1, 7), (4, 8), (10, 13))  # first component, and that of the version


def cwe_to_codeable_concept(cwe: Components, scope: Scope, table: str | None = None) -> Json | None:
    """Map CWE (CE, IS, ID) to CodeableConcept; None when it holds nothing.

    CWE-1/2/3/7, 4/5/6/8 and 10/11/12/13 → coding, CWE-9, or CWE-2 without a code, → text. A code of the table is
    mapped as the guide does; one that the table does not have keeps the sender's coding, in a system of its own.
    See: v2-to-FHIR, Data Type CWE[CodeableConcept]; concept maps of ``fhirgw.terminology``.
    """
    codings = [
        coding
        for first, version in (_TRIPLETS if cwe.last > 3 else _TRIPLETS[:1])
        if (coding := _coding(cwe, first, version, scope, table if first == 1 else None))
    ]
    if table in KEPT_BESIDE and codings and codings[0].get("system", "").startswith(THO + "discharge"):
        codings.insert(1, {"system": f"{THO}v2-{table}", "code": local_code(table, cwe[1] or "", scope)})
    words = cwe[9] or (cwe[2] if cwe[1] is None else None)
    if table is None and len(codings) == 1 and codings[0].keys() == {"code"}:
        words, codings = words or codings[0]["code"], []  # no system, no display: words in the place of a code
    concept: Json = {"coding": codings} if codings else {}
    return (concept | {"text": words} if words else concept) or None


def _coding(cwe: Components, first: int, version: int, scope: Scope, table: str | None) -> Json | None:
    code = cwe[first]
    if code is None:
        return None
    code, display, named = " ".join(code.split()), cwe[first + 1], cwe[first + 2]
    system = coding_system(named) if named else None
    if table and (named is None or system in (f"{THO}v2-{table}", None, RULED.get(table))):
        mapped = table_coding(table, local_code(table, code, scope))
        if mapped:
            return mapped | {"display": display} if display and table in UNNAMED_TABLES else mapped
        system = local_code_system(scope.name, named or table)
        scope.unmapped.append((table, code))
    elif named and system is None:
        system = local_code_system(scope.name, named)
        scope.unmapped.append((named, code))
    edition = cwe[version]
    coding = {"system": system, "version": edition if system else None, "code": code, "display": display}
    return {name: value for name, value in coding.items() if value}
