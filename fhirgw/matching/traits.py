"""The traits of a person that are compared, read from a Patient and written alike."""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

Json = dict[str, Any]

_TABLES = tomllib.loads((files("fhirgw.matching") / "tables.toml").read_text("utf-8"))
_PARTICLES = frozenset(_TABLES["particles"].split())
_NAMELESS = frozenset(_TABLES["unknown_names"].split())
_DATELESS = frozenset(_TABLES["unknown_dates"].split())
_STREETLESS = frozenset(_TABLES["unknown_streets"].split())
_UNITS = frozenset(_TABLES["units"].split())
_STREETS: Mapping[str, str] = _TABLES["streets"]
_NUMBER: Final = 10  # digits of a telephone number that count: area, exchange, line
_SHORTEST_NUMBER: Final = 7


def _groups() -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for number, group in enumerate(_TABLES["nicknames"]):
        for name in group.split():
            found.setdefault(name, set()).add(number)
    return {name: frozenset(numbers) for name, numbers in found.items()}


NICKNAMES: Final[Mapping[str, frozenset[int]]] = _groups()
"""A given name to the groups of names that one person may be called by."""


@dataclass(frozen=True, slots=True)
class Name:
    """One name: the family name run together, its parts that can stand alone, and all given names."""

    family: str
    parts: frozenset[str]
    given: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """One address; what is not known is empty. Each line that names a street counts: one may name a house."""

    streets: frozenset[str]
    postal: str
    city: str


@dataclass(frozen=True, slots=True, repr=False)
class Traits:
    """What is compared of a person.

    Attributes:
        names: Every name the person has or had.
        birth: ``YYYYMMDD``; empty when it is not known to the day.
        sex: FHIR administrative gender; empty when unknown.
        addresses: Every address.
        contacts: Telephone numbers as their last ten digits, e-mail addresses in lower case.
        identifiers: (system, value).
    """

    names: frozenset[Name]
    birth: str
    sex: str
    addresses: frozenset[Address]
    contacts: frozenset[str]
    identifiers: frozenset[tuple[str, str]]


def traits(patient: Json) -> Traits:
    """The traits of a valid Patient (FHIR R4), whole or in part."""
    return Traits(
        names=frozenset(_names(patient)),
        birth=_birth(patient.get("birthDate", "")),
        sex="" if patient.get("gender") == "unknown" else patient.get("gender", ""),
        addresses=frozenset(_addresses(patient)),
        contacts=frozenset(_contacts(patient)),
        identifiers=frozenset(
            (one["system"], one["value"])
            for one in patient.get("identifier", ())
            if "system" in one and "value" in one
        ),
    )


def is_replaced(patient: Json) -> bool:
    """Whether another Patient stands for this one (``Patient.link``, ``replaced-by``)."""
    return any(link.get("type") == "replaced-by" for link in patient.get("link", ()))


@lru_cache(maxsize=65536)
def words(text: str) -> tuple[str, ...]:
    """The words of a text: lower case, without accents; an apostrophe divides nothing."""
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(letter)
    )
    return tuple(re.findall(r"[^\W_]+", re.sub(r"['’`´]", "", plain)))  # noqa: RUF001 - as people write it


def _names(patient: Json) -> Iterator[Name]:
    for name in patient.get("name", ()):
        family = [word for word in words(name.get("family", "")) if word not in _NAMELESS]
        given = [word for text in name.get("given", ()) if text for word in words(text) if word not in _NAMELESS]
        if family or given:
            alone = frozenset(word for word in family if len(word) > 1 and word not in _PARTICLES)
            yield Name("".join(family), alone, tuple(given))


def _birth(text: str) -> str:
    """Eight digits of a date that is one; dates that stand for none are not."""
    if text in _DATELESS:
        return ""
    try:
        return date.fromisoformat(text).isoformat().replace("-", "") if len(text) == 10 else ""
    except ValueError:
        return ""


def _addresses(patient: Json) -> Iterator[Address]:
    for address in patient.get("address", ()):
        found = Address(
            frozenset(street for line in address.get("line", ()) if line and (street := _street(line))),
            _postal(address.get("postalCode", "")),
            " ".join(words(address.get("city", ""))),
        )
        if found.streets or found.postal:
            yield found


def _street(line: str) -> str:
    """House number and street, without the part of the house; empty where the line says that there is none."""
    kept: list[str] = []
    for word in words(line.partition("#")[0]):
        if word in _UNITS:
            break
        kept.append(_STREETS.get(word, word))
    if not kept or _STREETLESS & {*kept, "".join(kept)}:
        return ""
    return " ".join(kept)


def _postal(text: str) -> str:
    """Five digits of a US ZIP code, with or without the last four; another country's code run together."""
    code = "".join(words(text))
    return code[:5] if code.isdecimal() else code


def _contacts(patient: Json) -> Iterator[str]:
    for point in patient.get("telecom", ()):
        value = point.get("value", "")
        if "@" in value:
            yield value.strip().casefold()
            continue
        digits = re.sub(r"\D", "", re.split(r"[xX]", value)[0])[-_NUMBER:]
        if len(digits) >= _SHORTEST_NUMBER and len(set(digits)) > 2:
            yield digits
