"""What the parts of a resource say by themselves, whoever's it is: read once, and remembered.

The parts are those that are kept or dropped as one: each item of a list, each other top-level element. What they
say in a store, where references are looked up, is for ``labels``.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from fhirgw.consent import codes, vocabulary
from fhirgw.consent.elements import (
    ABOUT_NOBODY,
    CODED_BY_SENDERS,
    TEXT_EXEMPT,
    TEXT_PROPERTIES,
    bare,
    is_defining,
    reference_type,
)
from fhirgw.consent.model import Json
from fhirgw.consent.vocabulary import RESTRICTED, UNREADABLE
from fhirgw.remembered import is_lone_reference, key_of
from fhirgw.terminology import INLINE_LABEL

INLINE: Final = INLINE_LABEL
FREE_TEXT: Final[int] = RESTRICTED
"""What words that nobody has reviewed may be about."""

Path = tuple[str | int, ...]


class Unit(NamedTuple):
    """A part of a resource that is kept or dropped as one, and what it says by itself.

    Attributes:
        path: Of the part.
        references: (literal, type) of what it refers to, in order.
        texts: Paths of words inside it that nobody has reviewed and that can be left out alone.
        mute: It says nothing but what it refers to, as most do.
    """

    path: Path
    labels: int
    conf: int
    references: tuple[tuple[str, str], ...]
    texts: tuple[Path, ...]
    mute: bool


_NESTED = (dict, list)
_REMEMBERED = 512
"""Length of an element up to which what it says is remembered."""


def units_of(resource_type: str, name: str, value: Any, cleared: bool) -> Sequence[Unit]:
    """The units of one top-level element: most say what many others have said before them."""
    if is_lone_reference(value):
        return _read_units(resource_type, name, value, cleared=cleared)
    # Of a text, its place alone tells what it may be about.
    key = '""' if isinstance(value, str) else key_of(value)
    if key is None or len(key) > _REMEMBERED:  # seldom said twice
        return _read_units(resource_type, name, value, cleared=cleared)
    return _known_units(resource_type, name, key, cleared)


@lru_cache(maxsize=32768)
def _known_units(resource_type: str, name: str, key: str, cleared: bool) -> Sequence[Unit]:
    return _read_units(resource_type, name, orjson.loads(key), cleared=cleared)


def _read_units(resource_type: str, name: str, value: Any, *, cleared: bool) -> Sequence[Unit]:
    parts: list[tuple[Path, Any]] = [((name,), value)]
    if isinstance(value, list):
        parts = [((name, at), inner) for at, inner in enumerate(value) if inner is not None]
    return tuple(_Reader(resource_type, name, cleared=cleared).unit(path, part) for path, part in parts)


class _Reader:
    """Reads one unit; lives for one call."""

    def __init__(self, resource_type: str, name: str, *, cleared: bool) -> None:
        self.type, self.name, self.cleared = resource_type, name, cleared
        self.exempt = cleared or name in TEXT_EXEMPT
        self.labels = self.conf = 0
        self.references: list[tuple[str, str]] = []
        self.texts: list[Path] = []

    def unit(self, path: Path, part: Any) -> Unit:
        self._read(part, path)
        mute = not (self.labels or self.conf or self.texts)
        return Unit(path, self.labels, self.conf, tuple(self.references), tuple(self.texts), mute)

    def _read(self, value: Any, path: Path) -> None:
        if isinstance(value, dict):
            self._read_object(value, path)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self._read(inner, (*path, index))
        elif isinstance(value, str) and path[-1] in TEXT_PROPERTIES:
            self._words()

    def _words(self) -> None:
        if not self.exempt:
            self.labels |= FREE_TEXT

    def _read_object(self, value: Json, path: Path) -> None:
        if "code" in value:
            self._read_coding(value)
        if "coding" in value:
            if isinstance(value.get("text"), str):
                self._read_concept_text(value, path)
            self._read_unjudged(value)
        if _is_reference(value):
            self._read_reference(value)
        if "url" in value:
            self._read_url(value, path)
        for name, inner in value.items():
            if name == "text" and "coding" in value:
                continue
            if isinstance(inner, _NESTED):
                self._read(inner, (*path, name))
            elif name in TEXT_PROPERTIES and isinstance(inner, str):
                self._words()

    def _read_url(self, value: Json, path: Path) -> None:
        if value["url"] == INLINE:
            self._read_inline(value)
        is_extension = len(path) > 1 and path[-2] in {"extension", "modifierExtension"}
        if isinstance(value["url"], str) and not is_extension:
            self._words()  # an attachment elsewhere

    def _read_coding(self, coding: Json) -> None:
        system, code = coding.get("system"), coding["code"]
        self.labels |= codes.labels_of(system, code)
        # A drug tells its indication; until a class table has judged it, it may be about anything.
        drug = self.type.startswith("Medication") and self.name.startswith(("medication", "ingredient", "code"))
        if drug and isinstance(code, str) and not codes.is_known(system, code) and not self.cleared:
            self.labels |= FREE_TEXT

    def _read_unjudged(self, concept: Json) -> None:
        """What was found, done or observed, in a sender's own codes alone: no table knows what it tells."""
        unknown = self.type in CODED_BY_SENDERS and is_defining(self.type, self.name) and self.name != "category"
        judged = (codes.is_judged(coding.get("system"), coding.get("code")) for coding in concept["coding"])
        if unknown and concept["coding"] and not any(judged):
            self._words()

    def _read_concept_text(self, concept: Json, path: Path) -> None:
        if self.exempt:
            return
        displays = {str(coding.get("display", "")).strip().casefold() for coding in concept["coding"]}
        if not concept["coding"]:
            self.labels |= FREE_TEXT
        elif concept["text"].strip().casefold() not in displays:
            self.texts.append((*path, "text"))

    def _read_inline(self, extension: Json) -> None:
        coding = extension.get("valueCoding", {})
        said = vocabulary.security_label(coding.get("system"), coding.get("code"))
        if said is not None:
            self.labels, self.conf = self.labels | said[0], max(self.conf, said[1] or 0)
        elif not vocabulary.says_nothing_sensitive(coding.get("system"), coding.get("code")):
            self.labels |= UNREADABLE

    def _read_reference(self, reference: Json) -> None:
        literal, kind = bare(reference.get("reference")), reference_type(reference)
        if literal:
            self.references.append((literal, kind))
        elif kind not in ABOUT_NOBODY:  # a name or an identifier of something nobody can look up
            self._words()


def _is_reference(value: Json) -> bool:
    """Whether an object is a FHIR Reference: by its members, for the JSON does not say."""
    if isinstance(value.get("reference"), str):
        return True
    if "identifier" in value:
        return value.keys() <= _LOGICAL
    return value.keys() == _NAMED


_LOGICAL = frozenset({"type", "identifier", "display", "id", "extension"})
_NAMED = frozenset({"display"})
