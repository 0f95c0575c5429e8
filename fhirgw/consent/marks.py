"""Marks: what of one patient's record their own rules single out by its content.

Codes, data, dates and classes cannot be asked of an index row by row of every search, so they are asked once, when
a resource is labelled, and the answers stand beside its labels as bits 32 to 61 of the same mask. Which bit is
whose is a function of the patient's Consents alone, so that whoever reads them knows it.

INVARIANT: a mark opens. It is set where a permit certainly speaks of the resource, or a deny certainly does not;
what was never marked is released by no such permit, and hidden by every such deny. For the same reason marks are
never passed on: not to a resource from what it refers to, not to the whole from a part. (docs/decisions/0170)
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fhirgw.consent.content import Content
from fhirgw.consent.criteria import Criteria, Effect, Surroundings, matches
from fhirgw.consent.model import Json
from fhirgw.consent.rules import Reading
from fhirgw.consent.standing import reading_of
from fhirgw.consent.vocabulary import MARK_BITS
from fhirgw.settings import ZONE

Selector = tuple[Effect, Criteria]


@dataclass(frozen=True, slots=True)
class Marks:
    """The bit of each selector of one patient; one that found no place has none, and cannot be enforced."""

    bits: Mapping[Selector, int]

    def of(self, effect: Effect, criteria: Criteria) -> int | None:
        """The bit; None where there was no place for it."""
        return self.bits.get((effect, criteria))

    def __bool__(self) -> bool:
        """Whether anything is singled out at all."""
        return bool(self.bits)

    @property
    def digest(self) -> bytes:
        """Of all of it: equal where the bits and what they mean are."""
        said = "\n".join(f"{bit} {effect} {criteria.key}" for (effect, criteria), bit in self.bits.items())
        return hashlib.sha256(said.encode()).digest()

    def named(self) -> frozenset[str]:
        """Literals of the resources that the rules name: what refers to them, and they to, is marked by it."""
        return frozenset(
            datum.literal for _, criteria in self.bits for datum in criteria.data or () if datum.literal
        )


NO_MARKS: Final = Marks({})


def assign(readings: Iterable[Reading]) -> Marks:
    """Give each selector of a patient's Consents its bit; the order of the Consents makes no difference."""
    found: set[Selector] = {
        (rule.effect, rule.criteria) for reading in readings for rule in reading.rules if rule.criteria is not None
    }
    ordered = sorted(found, key=lambda one: (one[0], one[1].key))
    return Marks(dict(zip(ordered, MARK_BITS, strict=False)))


def of_consents(consents: Iterable[Json], zone: str = ZONE) -> Marks:
    """The marks of a patient with these Consents, whatever their status: a mark does not change when one ends."""
    return assign(reading_of(consent, zone) for consent in consents)


def marks_of(marks: Marks, whole: Content, always: Content, known: Surroundings) -> int:
    """The marks of one resource.

    Args:
        marks: Of its patient.
        whole: All of it: what a deny is judged by.
        always: What is released whenever anything of it is: what a permit is judged by, so that nothing is
            permitted because of a part that stays hidden (consent specification §2.8: re-evaluated once).
        known: Other resources.
    """
    found = 0
    for (effect, criteria), bit in marks.bits.items():
        if effect == "permit":
            found |= bit if matches(criteria, effect, always, known) is True else 0
        else:
            found |= bit if matches(criteria, effect, whole, known) is False else 0
    return found
