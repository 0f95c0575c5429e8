"""Days of the hospital: who comes when and for what, drawn from a seed; what happened, in order."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random

from fhirgw.harness.hospital.census import House, Person, Standing, Visit
from fhirgw.harness.hospital.events import Happening, Said, Scene, happen, link, swap, unlink

COURSES: tuple[tuple[int, str, str], ...] = (
    (14, "I", "A01 A08 A02 A03"),
    (8, "I", "A05 A01 A08 A02 A03"),
    (2, "I", "A05"),
    (4, "I", "A05 A38"),
    (4, "I", "A01 A11"),
    (5, "I", "A01 A02 A12 A03"),
    (5, "I", "A01 A02 A03 A13 A08 A03"),
    (4, "I", "A01 A03 A13"),
    (4, "I", "A01 A21 A22 A03"),
    (2, "I", "A01 A21"),
    (3, "I", "A01 A15 A02 A03"),
    (2, "I", "A01 A15 A26 A03"),
    (3, "I", "A01 A16 A03"),
    (2, "I", "A01 A16 A25"),
    (5, "I", "A01 A17 A03"),
    (9, "E", "A04 A06 A02 A03"),
    (12, "E", "A04 A08 A03"),
    (3, "E", "A04 A23"),
    (3, "E", "A04 A03 A13 A03"),
    (8, "O", "A04 A03"),
    (4, "O", "A04 A08"),
    (4, "E", "A04 A45 A03"),
    (6, "E", "A04 A40 A06 A03"),
    (3, "O", "A28 A04 A31 A03"),
    (2, "", "A24"),
    (2, "", "A24 A37"),
)
"""(how often, patient class, what happens in turn): of a visit, or of two records where there is no class."""
HOURS = {"A03": (2.0, 30.0), "A08": (0.5, 6.0), "A02": (1.0, 12.0), "A22": (3.0, 24.0), "A01": (1.0, 18.0)}
"""How long after what came before; half an hour to four hours for anything else."""
KINDS: tuple[Standing, ...] = ("member", "candidate")
KNOWN = 0.5
"""Of the people: members and candidates; the rest are nobody's."""


@dataclass(slots=True)
class Days:
    """A time at the hospital, as drawn.

    Attributes:
        tag: In every number, so that two runs never meet.
        start: When it begins.
        days: How long it is looked at.
        visits_a_day: How many begin.
    """

    random: Random
    tag: str
    start: datetime
    days: int
    visits_a_day: int
    house: House = field(default_factory=House)
    people: list[Person] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)
    _due: list[tuple[datetime, int, Callable[[datetime], None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=partial(count, 1))

    def pass_by(self) -> list[Happening]:
        """Live through them; what happened, in order."""
        arrivals = self.days * self.visits_a_day
        self.people = [self._person() for _ in range(max(8, arrivals // 3))]
        for _ in range(arrivals):
            self._later(self.start, 0.0, self.days * 24.0, self._arrive)
        end = self.start + timedelta(days=self.days)
        while self._due and self._due[0][0] < end:
            at, _, what = heapq.heappop(self._due)
            what(at)
        return self.happened

    def _later(self, now: datetime, least: float, most: float, what: Callable[[datetime], None]) -> None:
        at = now + timedelta(seconds=int(3600 * self.random.uniform(least, most)))
        heapq.heappush(self._due, (at, next(self._numbers), what))

    def _person(self, standing: Standing | None = None, double: Person | None = None) -> Person:
        number = next(self._numbers)
        draw = self.random
        drawn: Standing = "nobody" if draw.random() >= KNOWN else draw.choice(KINDS)
        chosen = standing or drawn
        return Person(
            mrn=f"M{self.tag}{number:05d}",
            medicaid=f"CT-{self.tag}-{number:05d}" if chosen != "nobody" else None,
            given=double.given
            if double
            else draw.choice(("Alma", "Bruno", "Cleo", "Dara", "Fenn", "Iris", "Otis")),
            family=double.family if double else f"Testperson{number}",
            birth=double.birth
            if double
            else f"19{draw.randint(30, 99)}{draw.randint(1, 12):02d}{draw.randint(1, 28):02d}",
            sex=double.sex if double else draw.choice("FM"),
            standing=chosen,
            double=double,
        )

    def _arrive(self, at: datetime) -> None:
        weights = [often for often, _, _ in COURSES]
        _, patient_class, course = self.random.choices(COURSES, weights)[0]
        triggers = tuple(course.split())
        if not patient_class:
            self._two_records(at, triggers)
            return
        free = [one for one in self.people if one.now is one and not self.house.is_here(one)]
        if not free:
            return
        person = self.random.choice(free)
        if "A40" in triggers:
            person = self._second_record(person)
        visit = Visit(f"V{self.tag}{next(self._numbers):05d}", person, patient_class, upcoming=triggers)
        self.house.visits.append(visit)
        self._next(visit, at)

    def _second_record(self, person: Person) -> Person:
        """Another record of somebody: as often as not, nobody asked for the Medicaid number, or there are two."""
        standing = self.random.choice((person.standing, "nobody")) if person.medicaid else "nobody"
        record = self._person(standing, person)
        self.people.append(record)
        return record

    def _next(self, visit: Visit, at: datetime) -> None:
        """What comes next of a visit, and when what comes after that is due."""
        trigger, visit.upcoming = visit.upcoming[0], visit.upcoming[1:]
        done = self._swap(visit, at) if trigger == "A17" else self._happen(trigger, visit, at)
        if done:
            self.happened.append(done)
        elif trigger in ("A12", "A13"):  # the bed is another's by now: what was done stays
            visit.upcoming = ()
        if visit.upcoming:
            self._later(at, *HOURS.get(visit.upcoming[0], (0.5, 4.0)), partial(self._next, visit))

    def _happen(self, trigger: str, visit: Visit, at: datetime) -> Happening | None:
        if trigger in ("A28", "A31"):
            visit.person.seen = True
            return Happening(trigger, at, (Said(visit.person),))
        return happen(trigger, visit, at, Scene(self.house, self.random))

    def _swap(self, visit: Visit, at: datetime) -> Happening | None:
        """With somebody whose last move nobody is about to cancel."""
        others = [
            one
            for one in self.house.inpatients()
            if one is not visit and one.upcoming[:1] not in (("A12",), ("A13",))
        ]
        return swap(visit, self.random.choice(others), at) if others else None

    def _two_records(self, at: datetime, triggers: tuple[str, ...]) -> None:
        single = [one for one in self.people if one.medicaid and one.now is one and not (one.linked or one.double)]
        if len(single) < 2:
            return
        one, other = self.random.sample(single, 2)
        self.happened.append(link(one, other, at))
        if "A37" in triggers:
            self._later(at, 1.0, 8.0, partial(self._unlink, one))

    def _unlink(self, one: Person, at: datetime) -> None:
        if one.now is one and one.linked and one.linked.now is one.linked:
            self.happened.append(unlink(one, at))
