"""Stage 8: the minimum necessary, as data (45 CFR 164.502(b), 164.514(d); consent specification §2.7 row 8).

A profile says what of which types a class of recipients needs for a purpose. It narrows what was permitted, and
permits nothing. Treatment and the member's own access have none, as 164.502(b)(2) says: no profile is no narrowing.
"""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fhirgw.consent import vocabulary
from fhirgw.consent.elements import MANDATORY, RESOURCE_TYPES, is_one_of
from fhirgw.consent.model import Json, Profile, Request
from fhirgw.errors import InvalidElement

EVERYTHING: Final = "*"
ALWAYS_KEPT: Final = frozenset({"resourceType", "id", "modifierExtension"})
"""What a resource is, and what would change its meaning if it were left out."""


def narrowing(request: Request, profiles: Iterable[Profile]) -> Profile | None:
    """What the request is narrowed to: what all profiles keep that are for its recipient and its purpose.

    A recipient whose class nobody registered may be of any: every profile for the purpose is for it.
    """
    line = frozenset(vocabulary.purpose_line(request.purpose))
    classes = request.recipient.roles & vocabulary.RECIPIENT_CLASSES or vocabulary.RECIPIENT_CLASSES
    found: Profile | None = None
    for one in profiles:
        if one.classes & classes and one.purposes & line:
            found = one if found is None else _both(found, one)
    return found


def _both(one: Profile, other: Profile) -> Profile:
    kept = []
    for kind, stems in one.kept:
        if other.has(kind):
            more = other.stems(kind)
            kept.append((kind, stems if more is None else more if stems is None else stems & more))
    return Profile(f"{one.name}+{other.name}", one.classes, one.purposes, tuple(kept))


def is_kept(profile: Profile, kind: str, element: str) -> bool:
    """Whether a top-level element of a type is left in what is released."""
    stems = profile.stems(kind)
    return stems is None or element in ALWAYS_KEPT or is_one_of(element, stems)


@cache
def shipped() -> tuple[Profile, ...]:
    """The profiles that ship with fhirgw."""
    text = (files("fhirgw.consent") / "tables" / "minimum.toml").read_text("utf-8")
    return read_profiles(tomllib.loads(text)["profile"], "profile")


def read_profiles(stated: Any, location: str) -> tuple[Profile, ...]:
    """Profiles as a table states them.

    Raises:
        InvalidElement: Something is unknown, missing, or would leave a resource that cannot stand.
    """
    if not isinstance(stated, list) or not all(isinstance(one, dict) for one in stated):
        raise InvalidElement("Profiles are a list of tables.", location=location)
    return tuple(_profile(one, f"{location}[{at}]") for at, one in enumerate(stated))


def _profile(stated: Json, location: str) -> Profile:
    name, types = stated.get("name"), stated.get("types")
    if not isinstance(name, str) or not name or not stated.get("source"):
        raise InvalidElement("A profile has a name, and a source that says why.", location=location)
    if not isinstance(types, dict):
        raise InvalidElement("A profile names the types that are kept.", location=f"{location}.types")
    return Profile(
        name=name,
        classes=_codes(stated.get("classes"), vocabulary.RECIPIENT_CLASSES, f"{location}.classes"),
        purposes=_codes(stated.get("purposes"), None, f"{location}.purposes"),
        kept=tuple((kind, _stems(kind, types[kind], f"{location}.types.{kind}")) for kind in sorted(types)),
    )


def _codes(stated: Any, known: frozenset[str] | None, location: str) -> frozenset[str]:
    codes = stated if isinstance(stated, list) else []
    good = all(isinstance(one, str) and (one in known if known else vocabulary.is_purpose(one)) for one in codes)
    if not codes or not good:
        raise InvalidElement("This is a list of codes that are known.", location=location)
    return frozenset(codes)


def _stems(kind: str, stated: Any, location: str) -> frozenset[str] | None:
    """The elements that are kept, choice elements by their stem; None: all of them."""
    if kind not in RESOURCE_TYPES:
        raise InvalidElement("There is no such type.", location=location)
    if stated == EVERYTHING:
        return None
    if not isinstance(stated, list) or not all(isinstance(one, str) for one in stated):
        raise InvalidElement("The elements that are kept are a list, or '*'.", location=location)
    if kind not in MANDATORY:
        raise InvalidElement("This type is kept whole ('*') or not at all.", location=location)
    if missing := set(MANDATORY[kind]) - set(stated):
        raise InvalidElement(f"Without {', '.join(sorted(missing))} this cannot stand.", location=location)
    return frozenset(stated)
