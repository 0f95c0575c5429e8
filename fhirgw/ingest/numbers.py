"""What the visit of an event is called now, and whose it is, after what was merged, renumbered or moved.

(DESIGN §4; docs/decisions/0092.)
"""

from fhirgw.errors import ProfileViolation
from fhirgw.ingest.persons import Persons
from fhirgw.ingest.records import names
from fhirgw.mappers.event import AdtEvent
from fhirgw.store import identity, visits
from fhirgw.store.database import Transaction


def of(tx: Transaction, event: AdtEvent) -> visits.Numbers:
    """What was said of the numbers that an event names."""
    own = {visits.text(one) for one in (event.visit, event.account) if one}
    return visits.numbers(tx.direct, own | visits.speaks_of(event))


def are_somebodys(tx: Transaction, event: AdtEvent, numbers: visits.Numbers) -> bool:
    """Whether an event that names nobody here is about a visit that is, or was, a member's."""
    others = [(system, value) for system, value, _ in event.others]
    if event.moves and identity.find(tx.direct, others):
        return True
    own = set(names(event))
    return any(
        told.patient is not None and own & {(system, value) for system, value, _ in told.event.others}
        for told in numbers.moves
    )


def called(tx: Transaction, row: int, event: AdtEvent, patient: str | None, numbers: visits.Numbers) -> str | None:
    """What the event's visit is called now.

    Raises:
        ProfileViolation: It is somebody else's here, and no move says how that came.
    """
    if event.visit is None:
        return None
    own = visits.text(event.visit)
    now = numbers.called.get(own, own)
    theirs = visits.whose(tx.direct, now, but=row) - {patient}
    if event.moves or not theirs or patient is None:
        return now
    explained = {told.patient for told in numbers.moves}
    for told in numbers.moves:
        explained |= identity.find(tx.direct, [(system, value) for system, value, _ in told.event.others])
    if not theirs <= explained:
        text = "This visit is another person's here; a person must look at it."
        raise ProfileViolation(text, location="PV1-19")
    return now


def renumber(
    tx: Transaction, persons: Persons, row: int, part: int, event: AdtEvent, before: visits.Told | None
) -> set[str]:
    """Let visits be called what this event calls them, and be whose it says; those that are concerned."""
    spoken = visits.speaks_of(event) | (visits.speaks_of(before.event) if before else set())
    if not spoken:
        return set()
    visits.note_numbers(tx, row, part, event)
    concerned, touched = visits.renumber(tx, spoken)
    people = identity.find(tx.direct, [(system, value) for system, value, _ in event.others])
    people |= identity.find(tx.direct, names(event))
    for told in visits.of_people(tx.direct, people):
        if told.visit and told.event.account and visits.text(told.event.account) in concerned:
            touched.add(told.visit)
    for one in sorted(people):
        persons.known(tx, concerned, one)
    return touched
