"""What happens at the hospital, trigger by trigger: each changes its books, and tells what a message has to say.

See: HL7 v2.5.1 ch. 3.3 for the events; ch. 3.4.1.6 for EVN-6 of a cancel.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random

from fhirgw.harness.hospital.census import Diagnosis, House, Person, Place, Visit

DIAGNOSES = (
    ("J45.901", "Unspecified asthma with (acute) exacerbation"),
    ("I10", "Essential (primary) hypertension"),
    ("E11.9", "Type 2 diabetes mellitus without complications"),
    ("N39.0", "Urinary tract infection, site not specified"),
    ("R07.9", "Chest pain, unspecified"),
    ("M54.50", "Low back pain, unspecified"),
    ("K35.80", "Unspecified acute appendicitis"),
)
DISPOSITIONS = ("01", "02", "03", "06", "07")
"""Patient discharge status (NUBC): home, other hospital, nursing facility, home health, against advice."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a message says of one person, and of their visit as it is at this instant.

    Attributes:
        person: PID.
        visit: PV1-19; None: it is about the person alone.
        pending: PV1-42.
        prior: The record that MRG names.
        reopened: PV1-45 is taken back.
    """

    person: Person
    visit: str | None = None
    patient_class: str = ""
    place: Place | None = None
    start: datetime | None = None
    end: datetime | None = None
    disposition: str = ""
    diagnoses: tuple[Diagnosis, ...] = ()
    pending: Place | None = None
    prior: Person | None = None
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class Happening:
    """One event.

    Attributes:
        trigger: Its code.
        at: When it happened.
        said: Of whom; of two where they swap beds or are linked.
        repeats: When what it cancels happened; None of what cancels nothing.
    """

    trigger: str
    at: datetime
    said: tuple[Said, ...]
    repeats: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What an event may look at: the books, and chance."""

    house: House
    random: Random


def of_visit(
    visit: Visit, *, pending: Place | None = None, prior: Person | None = None, reopened: bool = False
) -> Said:
    """The visit as the books have it now."""
    visit.person.seen = True
    return Said(
        visit.person,
        visit.number,
        visit.patient_class,
        visit.place,
        visit.start,
        visit.end,
        visit.disposition,
        tuple(visit.diagnoses),
        pending,
        prior,
        reopened,
    )


def _plan(visit: Visit, _at: datetime, _scene: Scene) -> Said:
    return of_visit(visit)


def _admit(visit: Visit, at: datetime, scene: Scene) -> Said:
    visit.go(scene.house.free(), at)
    _begin(visit, at, scene)
    return of_visit(visit)


def _register(visit: Visit, at: datetime, scene: Scene) -> Said:
    ward = "ED" if visit.patient_class == "E" else "CLINIC"
    visit.go(Place(ward, f"{scene.random.randint(1, 30):02d}"), at)
    _begin(visit, at, scene)
    return of_visit(visit)


def _begin(visit: Visit, at: datetime, scene: Scene) -> None:
    visit.status, visit.start, visit.began = "in-progress", at, True
    visit.classes.add(visit.patient_class)
    code, text = scene.random.choice(DIAGNOSES)
    visit.diagnoses.append(Diagnosis(code, text, "A"))


def _admit_from_emergency(visit: Visit, at: datetime, scene: Scene) -> Said:
    visit.patient_class = "I"
    visit.classes.add("I")
    visit.go(scene.house.free(), at)
    return of_visit(visit)


def _transfer(visit: Visit, at: datetime, scene: Scene) -> Said:
    if visit.place:
        scene.house.empty(visit.place)
    visit.go(scene.house.free(), at)
    visit.moved = at
    return of_visit(visit)


def _cancel_transfer(visit: Visit, _at: datetime, scene: Scene) -> Said | None:
    if not scene.house.take(visit.stays[-2].place):
        return None
    scene.house.empty(visit.stays[-1].place)
    visit.go_back()
    return of_visit(visit)


def _update(visit: Visit, _at: datetime, scene: Scene) -> Said:
    known = {one.code for one in visit.diagnoses}
    news = [one for one in DIAGNOSES if one[0] not in known]
    if news:
        code, text = scene.random.choice(news)
        visit.diagnoses.append(Diagnosis(code, text, "W"))
    return of_visit(visit)


def _discharge(visit: Visit, at: datetime, scene: Scene) -> Said:
    visit.status, visit.end, visit.left, visit.ended = "finished", at, at, True
    visit.disposition = scene.random.choice(DISPOSITIONS)
    if visit.stays:
        visit.stays[-1].until = at
    if visit.place:
        scene.house.empty(visit.place)
    return of_visit(visit)


def _cancel_discharge(visit: Visit, _at: datetime, scene: Scene) -> Said | None:
    if visit.place and visit.place.bed and not scene.house.take(visit.place):
        return None
    visit.status, visit.end, visit.disposition = "in-progress", None, ""
    visit.stays[-1].until = None
    return of_visit(visit, reopened=True)


def _cancel_visit(visit: Visit, _at: datetime, scene: Scene) -> Said:
    """A11, A38: the patient never came."""
    if visit.place:
        scene.house.empty(visit.place)
    visit.status = "cancelled"
    return of_visit(visit)


def _delete(visit: Visit, _at: datetime, _scene: Scene) -> Said:
    visit.status = "entered-in-error"
    return of_visit(visit)


def _leave(visit: Visit, _at: datetime, _scene: Scene) -> Said:
    visit.status = "onleave"
    return of_visit(visit)


def _return(visit: Visit, _at: datetime, _scene: Scene) -> Said:
    visit.status = "in-progress"
    return of_visit(visit)


def _plan_transfer(visit: Visit, _at: datetime, _scene: Scene) -> Said:
    return of_visit(visit, pending=Place("REHAB", "99", "A"))


def _plan_discharge(visit: Visit, _at: datetime, _scene: Scene) -> Said:
    return of_visit(visit)


def _move_visit(visit: Visit, _at: datetime, scene: Scene) -> Said | None:
    """A45: the desk had taken the wrong person's record."""
    wrong = visit.person
    others = [one.person for one in scene.house.visits if one.person.now is one.person]
    right = [one for one in others if one is not wrong and one.standing != "nobody"]
    if not right:
        return None
    visit.person = scene.random.choice(right)
    return of_visit(visit, prior=wrong)


def _merge(visit: Visit, _at: datetime, scene: Scene) -> Said | None:
    """A40: the visit was made under a second record, which is replaced by the first with all that it has."""
    record = visit.person
    first = record.double
    if first is None or record.merged_into is not None or first.now is record:
        return None
    record.merged_into = first
    for one in scene.house.visits:
        if one.person is record:
            one.person = first
    first.seen = True
    return Said(first, prior=record)


Event = Callable[[Visit, datetime, Scene], Said | None]
EVENTS: Mapping[str, Event] = {
    "A01": _admit,
    "A02": _transfer,
    "A03": _discharge,
    "A04": _register,
    "A05": _plan,
    "A06": _admit_from_emergency,
    "A08": _update,
    "A11": _cancel_visit,
    "A12": _cancel_transfer,
    "A13": _cancel_discharge,
    "A15": _plan_transfer,
    "A16": _plan_discharge,
    "A21": _leave,
    "A22": _return,
    "A23": _delete,
    "A25": _return,
    "A26": _return,
    "A38": _cancel_visit,
    "A40": _merge,
    "A45": _move_visit,
}
"""By trigger: what it does to one visit; None where it cannot happen now."""


def happen(trigger: str, visit: Visit, at: datetime, scene: Scene) -> Happening | None:
    """Let an event happen to a visit; None: it does not."""
    undone = {"A11": visit.start, "A12": visit.moved, "A13": visit.left}.get(trigger)
    said = EVENTS[trigger](visit, at, scene)
    return Happening(trigger, at, (said,), undone) if said else None


def swap(one: Visit, other: Visit, at: datetime) -> Happening:
    """A17: two patients exchange beds."""
    first, second = one.stays[-1].place, other.stays[-1].place
    one.go(second, at)
    other.go(first, at)
    return Happening("A17", at, (of_visit(one), of_visit(other)))


def link(one: Person, other: Person, at: datetime) -> Happening:
    """A24: two records are of one human being, and stay."""
    one.linked, other.linked = other, one
    one.seen = other.seen = True
    return Happening("A24", at, (Said(one), Said(other)))


def unlink(one: Person, at: datetime) -> Happening:
    """A37: they are not, after all."""
    other = one.linked or one
    one.linked = other.linked = None
    return Happening("A37", at, (Said(one), Said(other)))
