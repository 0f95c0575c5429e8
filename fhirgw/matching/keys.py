"""Blocking: keys that two pictures of one person nearly always share, and two people hardly ever.

INVARIANT (monotony): a Patient with something left out has no key that the whole one lacks. What an outsider may
see of a person is such a Patient, so that the index of whole Patients finds whoever is found by what is visible.
"""

import hashlib
from collections.abc import Iterator
from datetime import date
from functools import lru_cache

import jellyfish

from fhirgw.matching.traits import NICKNAMES, Name, Traits


def keys(traits: Traits) -> frozenset[int]:
    """The keys a person is kept under."""
    return frozenset(_hash(key) for key in _keys(traits))


def sought(traits: Traits) -> frozenset[int]:
    """The keys to look a person up by: the person's own, and those of how the birth date is often mistaken."""
    mistaken = (f"d|{birth}" for birth in _mistaken(traits.birth))
    return keys(traits) | {_hash(key) for key in mistaken}


def _keys(traits: Traits) -> Iterator[str]:
    birth = traits.birth
    if birth:
        yield f"d|{birth}"
    yield from (f"i|{system}|{value}" for system, value in traits.identifiers)
    yield from (f"c|{contact}" for contact in traits.contacts)
    for address in traits.addresses:
        if address.postal:
            yield from (f"a|{street}|{address.postal}" for street in address.streets)
    families = {code for name in traits.names for code in _families(name)}
    given = {code for name in traits.names for code in _given(name)}
    for family in families:
        # In either order: a family name and a given name are often written in each other's place.
        yield from ("n|{}|{}".format(*sorted((family, one))) for one in given)
        yield from (f"f|{family}|{address.postal}" for address in traits.addresses if address.postal)
        if birth:
            yield f"f|{family}|{birth[4:]}"
            yield f"f|{family}|{birth[:6]}"
    if birth:
        yield from (f"g|{one}|{birth[:6]}" for one in given)
        yield from (
            f"g|{one}|{birth[:4]}|{address.postal}"
            for one in given
            for address in traits.addresses
            if address.postal
        )


def _families(name: Name) -> set[str]:
    return {sound(one) for one in (*name.parts, name.family) if one}


def _given(name: Name) -> set[str]:
    return {
        code
        for one in name.given
        if len(one) > 1
        for code in (sound(one), *(f"nick{group}" for group in NICKNAMES.get(one, ())))
    }


@lru_cache(maxsize=65536)
def sound(name: str) -> str:
    """How a name sounds; of one that the code says nothing about, the name itself."""
    return jellyfish.metaphone(name).replace(" ", "") or name


def _mistaken(birth: str) -> Iterator[str]:
    """Day and month in each other's place; the year before and after."""
    if not birth:
        return
    year, month, day = int(birth[:4]), int(birth[4:6]), int(birth[6:])
    for one in ((year, day, month), (year - 1, month, day), (year + 1, month, day)):
        try:
            yield date(*one).isoformat().replace("-", "")
        except ValueError:
            continue


_BLANK = hashlib.blake2b(digest_size=8)
"""To copy it takes a third of the time that it takes to make one."""


def _hash(key: str) -> int:
    taken = _BLANK.copy()
    taken.update(key.encode())
    return int.from_bytes(taken.digest(), "big", signed=True)
