"""Labels: what each resource, and each element of it, reveals.

Carried labels, and labels computed from every coded element, contained resource, inline label and reference;
computation only raises. See: the consent specification, §2.3, and docs/decisions/0040 to 0042.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Final

import orjson

from fhirgw.consent import codes, vocabulary
from fhirgw.consent.content import Content
from fhirgw.consent.criteria import ALONE, Surroundings
from fhirgw.consent.elements import (
    ABOUT_NOBODY,
    CODED_BY_SENDERS,
    NEVER_OUTSIDE,
    STRUCTURE,
    TEXT_EXEMPT,
    TEXT_PROPERTIES,
    bare,
    is_closure,
    is_defining,
    is_dv_protected,
    patients_of,
    reference_type,
)
from fhirgw.consent.marks import NO_MARKS, Marks, marks_of
from fhirgw.consent.model import Json
from fhirgw.consent.vocabulary import BITS, HIGH, HIGHEST, MARKS, NORMAL, RESTRICTED, UNREADABLE

TABLE_VERSION: Final[str] = "+".join((vocabulary.VERSION, *codes.VERSIONS))
"""Version of all label tables (lambda): part of every decision and of every cache key."""

CLEARED: Final = ("http://fhirgw.org/fhir/CodeSystem/icm-text-review", "cleared")
INLINE: Final = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
FREE_TEXT: Final[int] = RESTRICTED
"""What words that nobody has reviewed may be about."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class LabelContext:
    """What labelling must know beyond the resource.

    Attributes:
        target_labels: ``Goal/x`` to the (labels, conf) of that resource in the store, None when absent.
        source_labels: Bits that the source organization gives to all of its records (42 CFR Part 2).
        dv_protected: A DV safety list exists for the patient: where they live is safety data.
        text_cleared: Free text has been reviewed elsewhere; otherwise only the resource's own tag clears it.
        marks: What the rules of its patient single out by content.
        known: Other resources, as far as these rules ask about them.
    """

    target_labels: Callable[[str], tuple[int, int] | None]
    source_labels: int = 0
    dv_protected: bool = False
    text_cleared: bool = False
    marks: Marks = NO_MARKS
    known: Surroundings = ALONE


@dataclass(frozen=True, slots=True)
class ElementLabel:
    """An element that carries more than its resource, or that refers to another member resource.

    Attributes:
        path: Concrete path in the JSON: ``("goal", 0)``. A path can have several labels: all must be visible.
        target: Type of the resource referred to or contained; None when there is none, or when it is about
            no patient (a Practitioner is part of the Encounter that names them).
    """

    path: Path
    labels: int
    conf: int
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a resource, and of those of its elements that differ."""

    labels: int
    conf: int
    elements: tuple[ElementLabel, ...] = ()


def label(resource: Json, context: LabelContext) -> Labels:
    """Label a resource and its elements. Total: what cannot be read is labelled so that nothing releases it."""
    try:
        return _Labeller(resource, context).run()
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return Labels(UNREADABLE, HIGHEST)


def confidentiality(carried: int, labels: int) -> int:
    """Conf(r): the carried level, R if any restricted category is present, V if anything was unreadable."""
    if labels & UNREADABLE:
        return HIGHEST
    return max(carried, HIGH) if labels & RESTRICTED else carried


@dataclass(slots=True)
class _Found:
    """What one top-level element reveals."""

    labels: int = 0
    conf: int = 0
    targets: list[tuple[str, int, int]] = field(default_factory=list)

    def add(self, labels: int, conf: int = 0) -> None:
        self.labels |= labels
        self.conf = max(self.conf, conf)


class _Labeller:
    """Reads one resource; lives for one call."""

    def __init__(self, resource: Json, context: LabelContext) -> None:
        self.resource, self.context = resource, context
        self.type: str = resource["resourceType"]
        tags = [(tag.get("system"), tag.get("code")) for tag in resource.get("meta", {}).get("tag", [])]
        self.cleared = context.text_cleared or CLEARED in tags or self.type in ABOUT_NOBODY
        self.contained = {
            f"#{inner.get('id')}": (inner["resourceType"], self._whole(inner))
            for inner in resource.get("contained", [])
        }

    @cached_property
    def patients(self) -> frozenset[str]:
        return patients_of(self.resource)

    def _whole(self, inner: Json) -> tuple[int, int]:
        """The labels of a contained resource with all of its elements: it is kept or dropped as one."""
        within = label(
            inner, replace(self.context, target_labels=self._contained_target, source_labels=0,
                           text_cleared=self.cleared),
        )  # fmt: skip
        labels, conf = within.labels, within.conf
        for element in within.elements:
            labels, conf = labels | element.labels & ~MARKS, max(conf, element.conf)
        return labels, conf

    def _contained_target(self, reference: str) -> tuple[int, int] | None:
        # Contained resources may refer to their container or to a sibling, which is labelled by itself.
        return (
            (0, 0)
            if reference.startswith("#") or reference in self.patients
            else self.context.target_labels(reference)
        )

    def run(self) -> Labels:
        labels, conf = self._carried()
        kept: list[tuple[_Unit, _Found]] = []
        for unit in self._units():
            if unit.silent and not self.context.dv_protected:
                continue
            element = str(unit.path[0])
            found = self._found(unit)
            if self.context.dv_protected and is_dv_protected(self.type, element):
                found.add(BITS["SDV"])
            if is_closure(self.type, element):
                for target, target_labels, target_conf in found.targets:
                    more = UNREADABLE if target in NEVER_OUTSIDE else 0
                    found.add(target_labels & ~MARKS | more, target_conf)
            if is_defining(self.type, element):
                labels, conf = labels | found.labels, max(conf, found.conf)
            kept.append((unit, found))
        conf = confidentiality(conf, labels)
        elements = tuple(self._elements(kept, labels, conf))
        return Labels(labels | self._marks(labels, conf, elements), conf, elements)

    def _marks(self, labels: int, conf: int, elements: tuple["ElementLabel", ...]) -> int:
        if not self.context.marks:
            return 0
        apart = {
            element.path for element in elements
            if element.target is None or element.labels & ~MARKS & ~labels or element.conf > conf
        }  # fmt: skip
        always = _without_parts(self.resource, apart) if elements else self.resource
        whole, shown = (Content(part, cleared=self.cleared) for part in (self.resource, always))
        return marks_of(self.context.marks, whole, shown, self.context.known)

    def _carried(self) -> tuple[int, int]:
        """Labels of meta.security, of the source, and of a whole type that tells where a person is."""
        labels, levels = self.context.source_labels, []
        for coding in self.resource.get("meta", {}).get("security", []):
            said = vocabulary.security_label(coding.get("system"), coding.get("code"))
            if said is not None:
                labels |= said[0]
                levels += [] if said[1] is None else [said[1]]
            elif not vocabulary.says_nothing_sensitive(coding.get("system"), coding.get("code")):
                labels |= UNREADABLE
        if self.context.dv_protected and is_dv_protected(self.type, "*"):
            labels |= BITS["SDV"]
        return labels, max(levels, default=NORMAL)

    def _elements(self, kept: list[tuple["_Unit", _Found]], labels: int, conf: int) -> Iterator[ElementLabel]:
        for unit, found in kept:
            path = unit.path
            own = confidentiality(found.conf, found.labels)
            if found.labels & ~labels or own > conf:
                yield ElementLabel(path, found.labels, own)
            for target, target_labels, target_conf in dict.fromkeys(found.targets):
                yield ElementLabel(path, target_labels, target_conf, target)
            for text in unit.texts:
                yield ElementLabel(text, FREE_TEXT, HIGH)
        for index, inner in enumerate(self.resource.get("contained", [])):
            target, (inner_labels, inner_conf) = inner["resourceType"], self._whole(inner)
            if inner_labels or target not in ABOUT_NOBODY:
                yield ElementLabel(
                    ("contained", index), inner_labels, inner_conf, None if target in ABOUT_NOBODY else target
                )

    def _units(self) -> Iterator["_Unit"]:
        """The parts that are kept or dropped as one: each item of a list, each other top-level element."""
        for name, value in self.resource.items():
            if name not in STRUCTURE:
                yield from _units_of(self.type, name, value, self.cleared)

    def _found(self, unit: "_Unit") -> _Found:
        """What the unit reveals in this store: its references are looked up."""
        found = _Found(unit.labels, unit.conf)
        for literal, kind in unit.references:
            if literal not in self.patients:
                self._look_up(literal, kind, found)
        return found

    def _look_up(self, literal: str, kind: str, found: _Found) -> None:
        said: tuple[int, int] | None
        if literal in self.contained:
            kind, said = self.contained[literal]
        else:
            said = self.context.target_labels(literal)
        labels, conf = said if said is not None else (UNREADABLE, HIGHEST)
        if kind in ABOUT_NOBODY:
            found.add(labels, conf)
        else:
            found.targets.append((kind or "Resource", labels, conf))


def _without_parts(resource: Json, apart: set[Path]) -> Json:
    """The resource without contained resources and those of its parts that may be hidden by themselves."""
    kept: Json = {}
    for name, value in resource.items():
        if name == "contained" or (name,) in apart:
            continue
        listed = isinstance(value, list) and name not in STRUCTURE
        kept[name] = [one for at, one in enumerate(value) if (name, at) not in apart] if listed else value
    return kept


# Reading: what an element says by itself, whoever's it is ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Unit:
    """A part of a resource that is kept or dropped as one, and what it says by itself.

    Attributes:
        path: Of the part.
        references: (literal, type) of what it refers to, in order.
        texts: Paths of words inside it that nobody has reviewed and that can be left out alone.
        silent: It says nothing, as most do.
    """

    path: Path
    labels: int
    conf: int
    references: tuple[tuple[str, str], ...]
    texts: tuple[Path, ...]
    silent: bool


_REMEMBERED = 512
"""Bytes of an element up to which what it says is remembered."""


def _units_of(resource_type: str, name: str, value: Any, cleared: bool) -> Sequence[_Unit]:
    """The units of one top-level element: most say what many others have said before them."""
    if isinstance(value, str):  # its place alone tells what it may be about
        return _known_units(resource_type, name, b'""', cleared)
    try:
        raw = orjson.dumps(value)
    except TypeError:  # JSON that orjson does not take: integers over 64 bits, deep nesting
        return _read_units(resource_type, name, value, cleared=cleared)
    if len(raw) > _REMEMBERED:  # seldom said twice
        return _read_units(resource_type, name, value, cleared=cleared)
    return _known_units(resource_type, name, raw, cleared)


@lru_cache(maxsize=32768)
def _known_units(resource_type: str, name: str, raw: bytes, cleared: bool) -> Sequence[_Unit]:
    return _read_units(resource_type, name, orjson.loads(raw), cleared=cleared)


def _read_units(resource_type: str, name: str, value: Any, *, cleared: bool) -> Sequence[_Unit]:
    parts: list[tuple[Path, Any]] = [((name,), value)]
    if isinstance(value, list):
        parts = [((name, at), inner) for at, inner in enumerate(value) if inner is not None]
    return tuple(_Reader(resource_type, cleared=cleared).unit(path, part) for path, part in parts)


class _Reader:
    """Reads one unit; lives for one call."""

    def __init__(self, resource_type: str, *, cleared: bool) -> None:
        self.type, self.cleared = resource_type, cleared
        self.labels = self.conf = 0
        self.references: list[tuple[str, str]] = []
        self.texts: list[Path] = []

    def unit(self, path: Path, part: Any) -> _Unit:
        self._read(part, path)
        silent = not (self.labels or self.conf or self.references or self.texts)
        return _Unit(path, self.labels, self.conf, tuple(self.references), tuple(self.texts), silent)

    def _read(self, value: Any, path: Path) -> None:
        if isinstance(value, list):
            for index, inner in enumerate(value):
                self._read(inner, (*path, index))
        elif isinstance(value, dict):
            self._read_object(value, path)
        elif isinstance(value, str) and path[-1] in TEXT_PROPERTIES:
            self._words(path)

    def _words(self, path: Path) -> None:
        if not self.cleared and path[0] not in TEXT_EXEMPT:
            self.labels |= FREE_TEXT

    def _read_object(self, value: Json, path: Path) -> None:
        if "code" in value:
            self._read_coding(value, path)
        if "coding" in value:
            if isinstance(value.get("text"), str):
                self._read_concept_text(value, path)
            self._read_unjudged(value, path)
        if _is_reference(value):
            self._read_reference(value, path)
        if value.get("url") == INLINE:
            self._read_inline(value)
        is_extension = len(path) > 1 and path[-2] in {"extension", "modifierExtension"}
        if isinstance(value.get("url"), str) and not is_extension:
            self._words((*path, "url"))  # an attachment elsewhere
        for name, inner in value.items():
            if name == "text" and "coding" in value:
                continue
            self._read(inner, (*path, name))

    def _read_coding(self, coding: Json, path: Path) -> None:
        system, code = coding.get("system"), coding["code"]
        self.labels |= codes.labels_of(system, code)
        # A drug tells its indication; until a class table has judged it, it may be about anything.
        drug = self.type.startswith("Medication") and str(path[0]).startswith(("medication", "ingredient", "code"))
        if drug and isinstance(code, str) and not codes.is_known(system, code) and not self.cleared:
            self.labels |= FREE_TEXT

    def _read_unjudged(self, concept: Json, path: Path) -> None:
        """What was found, done or observed, in a sender's own codes alone: no table knows what it tells."""
        unknown = self.type in CODED_BY_SENDERS and is_defining(self.type, str(path[0])) and path[0] != "category"
        judged = (codes.is_judged(coding.get("system"), coding.get("code")) for coding in concept["coding"])
        if unknown and concept["coding"] and not any(judged):
            self._words(path)

    def _read_concept_text(self, concept: Json, path: Path) -> None:
        if self.cleared or path[0] in TEXT_EXEMPT:
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

    def _read_reference(self, reference: Json, path: Path) -> None:
        literal, kind = bare(reference.get("reference")), reference_type(reference)
        if literal:
            self.references.append((literal, kind))
        elif kind not in ABOUT_NOBODY:  # a name or an identifier of something nobody can look up
            self._words(path)


def _is_reference(value: Json) -> bool:
    """Whether an object is a FHIR Reference: by its members, for the JSON does not say."""
    if isinstance(value.get("reference"), str):
        return True
    return value.keys() <= {"type", "identifier", "display", "id", "extension"} and bool(
        value.keys() & {"identifier"} or value.keys() == {"display"}
    )
