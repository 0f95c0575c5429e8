"""How alike two people's traits are: one level a field; a field that one of them lacks has none."""

from collections.abc import Iterable, Mapping
from itertools import product

import jellyfish

from fhirgw.matching.keys import sound
from fhirgw.matching.traits import NICKNAMES, Address, Name, Traits

Levels = Mapping[str, str]

FIELDS: Mapping[str, tuple[str, ...]] = {
    "family": ("exact", "part", "close", "swapped", "different"),
    "given": ("exact", "alias", "close", "different"),
    "birth": ("exact", "swapped", "typo", "near", "different"),
    "sex": ("same", "different"),
    "address": ("exact", "street", "postal", "city", "different"),
    "contact": ("same", "close", "different"),
}
"""Each field's levels, the best first."""

_CLOSE_FAMILY = 0.92  # Jaro-Winkler similarity: typing errors in names of ordinary length
_CLOSE_GIVEN = 0.88


def levels(one: Traits, other: Traits) -> dict[str, str]:
    """The level of each field that both have."""
    found = dict(_names(one.names, other.names))
    if one.birth and other.birth:
        found["birth"] = _birth(one.birth, other.birth)
    if one.sex and other.sex:
        found["sex"] = "same" if one.sex == other.sex else "different"
    if one.addresses and other.addresses:
        pairs = (_address(*pair) for pair in product(one.addresses, other.addresses))
        found["address"] = _best("address", pairs)
    if one.contacts and other.contacts:
        pairs = (_contact(*pair) for pair in product(one.contacts, other.contacts))
        found["contact"] = _best("contact", pairs)
    return found


def _best(field: str, found: Iterable[str]) -> str:
    return min(found, key=FIELDS[field].index)


def _names(some: Iterable[Name], others: Iterable[Name]) -> Levels:
    """The best level of each part over all names: a former name is often written without the given ones."""
    pairs = list(product(some, others))
    found = {}
    if families := [_family(one, other) for one, other in pairs if one.family and other.family]:
        found["family"] = _best("family", families)
    if given := [_given(one.given, other.given) for one, other in pairs if one.given and other.given]:
        found["given"] = _best("given", given)
    if found.get("family") == found.get("given") == "different" and any(_swapped(*pair) for pair in pairs):
        return {"family": "swapped"}
    return found


def _swapped(one: Name, other: Name) -> bool:
    """Whether each has the other's family name for a given name: one to the letter, the other but for a slip."""
    if not one.given or not other.given:
        return False
    crossed = (one.family, other.given[0]), (other.family, one.given[0])
    return any(a == b for a, b in crossed) and all(_alike(a, b, _CLOSE_FAMILY) for a, b in crossed)


def _family(one: Name, other: Name) -> str:
    if one.family == other.family:
        return "exact"
    if one.parts & other.parts and (len(one.parts) > 1 or len(other.parts) > 1):
        return "part"
    return "close" if _alike(one.family, other.family, _CLOSE_FAMILY) else "different"


def _given(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    first, second = one[0], other[0]
    if first == second:
        return "exact"
    if any(_alias(*pair) for pair in product(one[:2], other[:2])):
        return "alias"
    return "close" if _alike(first, second, _CLOSE_GIVEN) else "different"


def _alias(one: str, other: str) -> bool:
    """Another name of the same person: a nickname, an initial, the short of it, the second given name."""
    if len(one) > 1 and len(other) > 1:
        return (
            one == other
            or not NICKNAMES.get(one, frozenset()).isdisjoint(NICKNAMES.get(other, ()))
            or (min(len(one), len(other)) > 2 and (one.startswith(other) or other.startswith(one)))
        )
    return one[0] == other[0]


def _alike(one: str, other: str, least: float) -> bool:
    return jellyfish.jaro_winkler_similarity(one, other) >= least or (
        min(len(one), len(other)) > 3 and sound(one) == sound(other)
    )


def _birth(one: str, other: str) -> str:
    if one == other:
        return "exact"
    parts = (one[:4], one[4:6], one[6:]), (other[:4], other[4:6], other[6:])
    if parts[0] == (parts[1][0], parts[1][2], parts[1][1]):
        return "swapped"
    if _one_slip(one, other) or (one[4:] == other[4:] and abs(int(one[:4]) - int(other[:4])) == 1):
        return "typo"
    return "near" if sum(a == b for a, b in zip(*parts, strict=True)) == 2 else "different"


def _one_slip(one: str, other: str) -> bool:
    """Whether one digit is another, or two neighbours stand in each other's place."""
    at = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(at) == 2 and at[1] == at[0] + 1:
        return one[at[0]] == other[at[1]] and one[at[1]] == other[at[0]]
    return len(at) == 1


def _address(one: Address, other: Address) -> str:
    street = any(_same_street(*pair) for pair in product(one.streets, other.streets))
    if street and one.postal and one.postal == other.postal:
        return "exact"
    if street:
        return "street"
    if one.postal and one.postal == other.postal:
        return "postal"
    return "city" if one.city and one.city == other.city else "different"


def _same_street(one: str, other: str) -> bool:
    """The same house: its number to the digit, the street's name but for a slip."""
    if one == other:
        return True
    (number, _, street), (another, _, second) = one.partition(" "), other.partition(" ")
    return number == another and bool(street and second) and _alike(street, second, _CLOSE_FAMILY)


def _contact(one: str, other: str) -> str:
    short = min(len(one), len(other))
    if "@" in one or "@" in other:
        return "same" if one == other else "different"
    if one[-short:] == other[-short:]:
        return "same"
    return "close" if _one_slip(one[-short:], other[-short:]) else "different"
