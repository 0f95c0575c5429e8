"""Whether a trigger is met: by which visits, and at which labels. Pure.

INVARIANT: what somebody may see of a match depends on visits alone that they may see. A trigger that looks at
several visits, or at diagnoses, is therefore judged once for every level of labels that those visits have together,
and raised at the lowest levels where it is met: a hidden visit adds a match that is as hidden, and changes no other
(consent specification §2.3, leak 24).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from fhirgw.programs import Program, Trigger
from fhirgw.programs.triggers import LookBack, Visits

Level = tuple[int, int]
"""Labels and confidentiality."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A diagnosis of a visit: ``Condition/x``, its code without the dot, and its labels."""

    reference: str
    code: str
    level: Level


@dataclass(frozen=True, slots=True)
class Visit:
    """What of a visit can count.

    Attributes:
        id: Logical id of the Encounter.
        counts: It took or takes place: neither planned nor cancelled nor stated in error.
        finished: The person was discharged.
        died: The discharge disposition says so.
        classes: Encounter.class, and those before.
        start: When it began; None: nobody said.
        end: When it ended.
        told: When the hospital recorded it; None for history that came with a referral, which starts nothing.
        told_end: When the hospital recorded the discharge.
        hospital: Reference to the Organization.
    """

    id: str
    counts: bool
    finished: bool
    died: bool
    classes: frozenset[str]
    services: frozenset[str]
    units: frozenset[str]
    senders: frozenset[str]
    start: datetime | None
    end: datetime | None
    diagnoses: tuple[Diagnosis, ...]
    level: Level
    told: datetime | None = None
    told_end: datetime | None = None
    hospital: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A trigger that is met.

    Attributes:
        visit: The visit that met it.
        evidence: References to all that it was met by, the visit first.
        at: When the hospital told of it: due times count from here.
        level: The labels that it was judged at.
    """

    visit: Visit
    evidence: tuple[str, ...]
    at: datetime
    level: Level

    def rests_on(self, encounter: str | None) -> bool:
        """Whether this Encounter is part of what met it."""
        return f"Encounter/{encounter}" in self.evidence


Judge = Callable[[list[Visit]], Match | None]


@dataclass(frozen=True, slots=True)
class Question:
    """A trigger of a programme, asked about one person.

    Attributes:
        birth: Patient.birthDate, as far as it is known.
    """

    program: Program
    trigger: Trigger
    birth: date | None

    @property
    def compound(self) -> bool:
        """Whether more than the visit itself meets it: then a ServiceRequest holds the evidence."""
        trigger = self.trigger
        return bool(trigger.look_back or trigger.within or any(self._prefixes()))

    @property
    def by_age(self) -> bool:
        """Whether what is said of the person can meet it, long after the visit."""
        return any(one.age_from for one in self.program.required(self.trigger))

    def matches(self, visits: Sequence[Visit], about: str | None) -> list[Match]:
        """Every way in which it is met, at the lowest labels.

        Args:
            visits: All of the person's; those without ``told`` are evidence only.
            about: The Encounter that something was said of; a trigger that asks for nothing but the visit is
                asked of it alone.
        """
        fitting = [visit for visit in visits if visit.counts and fits(self.trigger.visits, visit)]
        if self.trigger.look_back:
            return self._lowest(fitting, lambda seen: self._look_back(seen, self.trigger.look_back))
        wide = self.compound or self.by_age
        asked = [visit for visit in fitting if visit.told is not None and (wide or visit.id == about)]
        return [match for visit in asked for match in self._of_one(visit, fitting)]

    def _of_one(self, visit: Visit, fitting: list[Visit]) -> list[Match]:
        pool = fitting if self.trigger.within else [visit]

        def judge(seen: list[Visit]) -> Match | None:
            own = next((one for one in seen if one.id == visit.id), None)
            return self._visit(own, seen) if own else None

        return self._lowest(pool, judge)

    def _lowest(self, visits: list[Visit], judge: Judge) -> list[Match]:
        found: list[Match] = []
        for level in _levels(visits, diagnoses=any(self._prefixes())):
            if not any(_within(one.level, level) for one in found):
                match = judge([_seen(visit, level) for visit in visits if _within(visit.level, level)])
                found += [replace(match, level=level)] if match else []
        return found

    def _visit(self, visit: Visit, seen: list[Visit]) -> Match | None:
        """One visit: begun, ended, or begun soon after another ended."""
        diagnoses = self._required(visit)
        before = self._before(visit, seen)
        if diagnoses is None or before is None or visit.told is None:
            return None
        at = visit.told
        if self.trigger.when == "discharge":
            if not visit.finished or visit.told_end is None:
                return None
            at = visit.told_end
        return Match(visit, (f"Encounter/{visit.id}", *before, *diagnoses), at, visit.level)

    def _before(self, visit: Visit, seen: list[Visit]) -> list[str] | None:
        """The stay whose discharge makes this a readmission, the last one; none is needed where nothing asks."""
        within = self.trigger.within
        if within is None:
            return []
        if visit.start is None:
            return None
        ended = [
            one
            for one in seen
            if one.id != visit.id and one.finished and one.end and one.end <= visit.start
            and self._day(one.end) >= within.before(self._day(visit.start))
        ]  # fmt: skip
        last = max(ended, key=lambda one: (one.end, one.id), default=None)
        return [f"Encounter/{last.id}"] if last else None

    def _look_back(self, seen: list[Visit], look_back: LookBack | None) -> Match | None:
        """The first visit at which there had been enough."""
        if look_back is None:
            return None
        ordered = sorted((one for one in seen if one.start), key=lambda one: (one.start, one.id))
        for visit in ordered:
            diagnoses = self._required(visit)
            if visit.told is None or diagnoses is None:
                continue
            counted = self._counted(visit, ordered, look_back)
            if len(counted) >= look_back.count and sum(map(self._nights, counted)) >= look_back.days:
                others = [f"Encounter/{one.id}" for one in counted if one.id != visit.id]
                at = visit.told_end if look_back.days and visit.told_end else visit.told
                return Match(visit, (f"Encounter/{visit.id}", *others, *diagnoses), at, visit.level)
        return None

    def _counted(self, visit: Visit, ordered: list[Visit], look_back: LookBack) -> list[Visit]:
        today = self._day(visit.start)
        first = look_back.within.before(today)
        counted = []
        for one in ordered:
            began = self._day(one.start)
            measured = began if look_back.measured == "admission" else self._day(one.end) if one.end else today
            if began <= today and measured >= first:
                counted.append(one)
        return counted

    def _nights(self, visit: Visit) -> int:
        return (self._day(visit.end) - self._day(visit.start)).days if visit.end else 0

    def _day(self, instant: datetime | None) -> date:
        return self.program.day(instant) if instant else date.max

    def _prefixes(self) -> Iterator[tuple[str, ...]]:
        for criterion in self.program.required(self.trigger):
            yield criterion.diagnoses

    def _required(self, visit: Visit) -> list[str] | None:
        """The diagnoses that meet the criteria asked for; None where one of these is not met."""
        found: list[str] = []
        for criterion in self.program.required(self.trigger):
            if criterion.age_from and not self._old_enough(visit, criterion.age_from):
                return None
            prefixes = tuple(prefix.replace(".", "") for prefix in criterion.diagnoses)
            if prefixes:
                first = next((one.reference for one in visit.diagnoses if one.code.startswith(prefixes)), None)
                if first is None:
                    return None
                found.append(first)
        return found

    def _old_enough(self, visit: Visit, years: int) -> bool:
        """On the day the visit began; who is born on 29 February has a birthday on 1 March in other years."""
        began = visit.start or visit.told
        if self.birth is None or began is None:
            return False
        today = began.astimezone(ZoneInfo(self.program.zone)).date()
        birthday = (today.month, today.day) >= (self.birth.month, self.birth.day)
        return today.year - self.birth.year - (not birthday) >= years


def fits(patterns: Iterable[Visits], visit: Visit) -> bool:
    """Whether the visit is of one of these patterns."""
    return any(
        (not one.classes or one.classes & visit.classes)
        and (not one.services or one.services & visit.services)
        and (not one.units or one.units & visit.units)
        and (not one.senders or one.senders & visit.senders)
        for one in patterns
    )


def _seen(visit: Visit, level: Level) -> Visit:
    kept = tuple(one for one in visit.diagnoses if _within(one.level, level))
    return visit if kept == visit.diagnoses else replace(visit, diagnoses=kept)


def _within(inner: Level, outer: Level) -> bool:
    return not inner[0] & ~outer[0] and inner[1] <= outer[1]


def _levels(visits: Iterable[Visit], *, diagnoses: bool) -> list[Level]:
    """Every level that some of the visits, and of their diagnoses, have together; the lower ones first."""
    single = {visit.level for visit in visits}
    if diagnoses:
        single |= {one.level for visit in visits for one in visit.diagnoses}
    together: set[Level] = set()
    for labels, conf in single:
        together |= {(labels | more, max(conf, higher)) for more, higher in together} | {(labels, conf)}
    return sorted(together, key=lambda level: (level[0].bit_count(), level[1], level[0]))
