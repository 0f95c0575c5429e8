"""Labels: what each resource, and each element of it, reveals.

Carried labels, and labels computed from every coded element, contained resource, inline label and reference;
computation only raises. See: the consent specification, §2.3, and docs/decisions/0040 to 0042.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, NamedTuple

from fhirgw.consent import codes, vocabulary
from fhirgw.consent.content import Content
from fhirgw.consent.criteria import ALONE, Surroundings
from fhirgw.consent.elements import (
    ABOUT_NOBODY,
    NEVER_OUTSIDE,
    STRUCTURE,
    is_closure,
    is_defining,
    is_dv_protected,
    patients_of,
)
from fhirgw.consent.marks import NO_MARKS, Marks, marks_of
from fhirgw.consent.model import Json
from fhirgw.consent.units import FREE_TEXT, Path, Unit, units_of
from fhirgw.consent.vocabulary import BITS, HIGH, HIGHEST, MARKS, NORMAL, RESTRICTED, UNREADABLE

TABLE_VERSION: Final[str] = "+".join((vocabulary.VERSION, *codes.VERSIONS))
"""Version of all label tables (lambda): part of every decision and of every cache key."""

CLEARED: Final = ("http://fhirgw.org/fhir/CodeSystem/icm-text-review", "cleared")


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


class ElementLabel(NamedTuple):
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


class Labels(NamedTuple):
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
        self.cleared = context.text_cleared or self.type in ABOUT_NOBODY or _is_cleared(resource)
        self._patients: frozenset[str] | None = None
        self.contained = {
            f"#{inner.get('id')}": (inner["resourceType"], self._whole(inner))
            for inner in resource.get("contained", ())
        }

    @property
    def patients(self) -> frozenset[str]:
        if self._patients is None:
            self._patients = patients_of(self.resource)
        return self._patients

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
        kept: list[tuple[Unit, _Found]] = []
        for unit in self._units():
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
        elements = tuple(self._elements(kept, labels, conf)) if kept or self.contained else ()
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
        for coding in self.resource.get("meta", {}).get("security", ()):
            said = _said(coding.get("system"), coding.get("code"))
            if said is not None:
                labels |= said[0]
                levels += [] if said[1] is None else [said[1]]
            elif not vocabulary.says_nothing_sensitive(coding.get("system"), coding.get("code")):
                labels |= UNREADABLE
        if self.context.dv_protected and is_dv_protected(self.type, "*"):
            labels |= BITS["SDV"]
        return labels, max(levels) if levels else NORMAL

    def _elements(self, kept: list[tuple[Unit, _Found]], labels: int, conf: int) -> Iterator[ElementLabel]:
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

    def _units(self) -> Iterator[Unit]:
        """The parts that are kept or dropped as one: each item of a list, each other top-level element.

        Those that say nothing but whose they are are left out, where no safety list makes places tell anything.
        """
        everything = self.context.dv_protected
        for name, value in self.resource.items():
            if name not in STRUCTURE:
                for unit in units_of(self.type, name, value, self.cleared):
                    if everything or not unit.mute or (unit.references and not self._whose(unit)):
                        yield unit

    def _whose(self, unit: Unit) -> bool:
        """Whether all that a part refers to is the patient."""
        return all(literal in self.patients for literal, _ in unit.references)

    def _found(self, unit: Unit) -> _Found:
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


_said = lru_cache(maxsize=1024)(vocabulary.security_label)


def _is_cleared(resource: Json) -> bool:
    """Whether a person has said that its words tell nothing restricted."""
    tags = resource.get("meta", {}).get("tag", ())
    return any((tag.get("system"), tag.get("code")) == CLEARED for tag in tags)


def _without_parts(resource: Json, apart: set[Path]) -> Json:
    """The resource without contained resources and those of its parts that may be hidden by themselves."""
    kept: Json = {}
    for name, value in resource.items():
        if name == "contained" or (name,) in apart:
            continue
        listed = isinstance(value, list) and name not in STRUCTURE
        kept[name] = [one for at, one in enumerate(value) if (name, at) not in apart] if listed else value
    return kept
