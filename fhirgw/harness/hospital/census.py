"""The hospital's own books: who there is, which visits they have, in which beds they lie."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Standing = Literal["member", "candidate", "nobody"]
"""What somebody is to the programme."""
Status = Literal["planned", "in-progress", "onleave", "finished", "cancelled", "entered-in-error"]

WARDS = ("4E", "4W", "ICU", "PSY", "REHAB")
ROOMS = range(1, 21)
BEDS = ("A", "B")


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is: PV1-3. An emergency department and a clinic have no beds."""

    ward: str
    room: str
    bed: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """From the outermost in."""
        return tuple(filter(None, (self.ward, self.room, self.bed)))


@dataclass(eq=False, slots=True)
class Person:
    """Somebody with a record of this hospital.

    Attributes:
        mrn: The record's number.
        medicaid: Their Medicaid number, where the desk asked for it.
        standing: What they are to the programme; of a record, not of the human being.
        double: A second record of the same human being, made at another desk; none or not found yet: None.
        merged_into: The record that replaced this one.
        linked: The record that is said to be of the same human being, and stays.
        seen: Whether a message has named the record.
    """

    mrn: str
    medicaid: str | None
    given: str
    family: str
    birth: str
    sex: str
    standing: Standing
    double: "Person | None" = None
    merged_into: "Person | None" = None
    linked: "Person | None" = None
    seen: bool = False

    @property
    def now(self) -> "Person":
        """Whose record this is by now."""
        return self.merged_into.now if self.merged_into else self


@dataclass(slots=True)
class Stay:
    """A time in one place."""

    place: Place
    since: datetime
    until: datetime | None = None


@dataclass(slots=True)
class Diagnosis:
    """What DG1 says: code, words, type (table 0052)."""

    code: str
    text: str
    kind: str


@dataclass(eq=False, slots=True)
class Visit:
    """One visit as the hospital knows it now.

    Attributes:
        number: Its number.
        person: Whose it is filed under.
        patient_class: Table 0004.
        status: As FHIR calls it.
        began: Whether the patient was ever said to have come.
        ended: Whether the patient was ever said to have gone.
        classes: Every class it has had.
        left: When it was last said to have ended; a cancel repeats it.
        moved: When the patient was last moved.
        away: When the patient went on leave.
        upcoming: Triggers that are still to come of it.
    """

    number: str
    person: Person
    patient_class: str
    status: Status = "planned"
    start: datetime | None = None
    end: datetime | None = None
    disposition: str = ""
    stays: list[Stay] = field(default_factory=list)
    diagnoses: list[Diagnosis] = field(default_factory=list)
    began: bool = False
    ended: bool = False
    classes: set[str] = field(default_factory=set)
    left: datetime | None = None
    moved: datetime | None = None
    upcoming: tuple[str, ...] = ()

    @property
    def place(self) -> Place | None:
        """Where the patient is, or was last."""
        return self.stays[-1].place if self.stays else None

    def go(self, place: Place, at: datetime) -> None:
        """Be somewhere else from now on."""
        if self.stays:
            self.stays[-1].until = at
        self.stays.append(Stay(place, at))

    def go_back(self) -> None:
        """The last move never took place."""
        self.stays.pop()
        self.stays[-1].until = None


class House:
    """The beds, and who lies in them."""

    def __init__(self) -> None:
        """All beds are free."""
        beds = [Place(ward, f"{room:02d}", bed) for room in ROOMS for ward in WARDS for bed in BEDS]
        self._free = deque(beds)
        self.visits: list[Visit] = []

    def free(self) -> Place:
        """A bed that nobody lies in, the one that has been empty the longest; it is taken now."""
        return self._free.popleft()

    def empty(self, place: Place) -> None:
        """Somebody left a bed."""
        if place.bed:
            self._free.append(place)

    def take(self, place: Place) -> bool:
        """Lie in this very bed again; False: somebody else does."""
        if place not in self._free:
            return False
        self._free.remove(place)
        return True

    def inpatients(self) -> Iterator[Visit]:
        """Who lies in a bed now."""
        return (one for one in self.visits if one.status == "in-progress" and one.place and one.place.bed)

    def is_here(self, person: Person) -> bool:
        """Whether somebody has a visit that is not over."""
        return any(
            one.person is person and one.status in ("in-progress", "onleave", "planned") for one in self.visits
        )
