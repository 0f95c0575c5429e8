"""Events by visit and by person, what a visit is called now, whose it is, and what a fold of it made.

An event keeps the number it came with; the row beside it holds what that visit is called since (A42, A45, A50), so
that a fold reads one index. (DESIGN §4.)
"""

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Text, and_, bindparam, delete, insert, select, update

from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.identities import succession
from fhirgw.mappers.news import Saying, saying
from fhirgw.store.database import Transaction
from fhirgw.store.predicate import among, one_of, several
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import folded, folded_from, journal, number_fact, pending_name, visit_event

Key = tuple[str, str]

_ROW = (visit_event.c.journal, visit_event.c.part, visit_event.c.patient, visit_event.c.visit, visit_event.c.digest)
_OF_VISIT = Prepared(
    select(*_ROW).where(visit_event.c.visit == bindparam("of")).order_by(visit_event.c.journal, visit_event.c.part)
)
_HEARD = Prepared(
    select(
        visit_event.c.journal,
        visit_event.c.part,
        visit_event.c.visit,
        visit_event.c.place,
        visit_event.c.said,
        visit_event.c.account,
        visit_event.c.digest,
    ).where(visit_event.c.patient == bindparam("of"), visit_event.c.sender == bindparam("by"))
)
_WHOSE = Prepared(
    select(visit_event.c.patient)
    .where(visit_event.c.visit == bindparam("of"), visit_event.c.journal != bindparam("but"))
    .where(visit_event.c.patient.is_not(None))
    .distinct()
)
_FACTS = Prepared(
    select(visit_event.c.journal, visit_event.c.part, visit_event.c.facts).where(
        one_of(visit_event.c.journal, bindparam("of", type_=Text), several=True)
    )
)
_ONE = Prepared(
    select(*_ROW).where(visit_event.c.journal == bindparam("key"), visit_event.c.part == bindparam("of_part"))
)
_OF_NUMBERS = Prepared(
    select(number_fact.c.journal, number_fact.c.part).where(
        one_of(number_fact.c.number, bindparam("of", type_=Text), several=True)
    )
)
_FOLDED_FROM = Prepared(
    select(folded.c.scope).where(folded.c.type == bindparam("kind"), folded.c.id == bindparam("logical"))
)
_WAIT = Prepared(insert(pending_name), ("digest", "journal"))
_WAITS_FOR = Prepared(select(pending_name.c.digest).where(pending_name.c.journal == bindparam("of")))
_WAITING_FOR = Prepared(
    select(pending_name.c.journal)
    .where(one_of(pending_name.c.digest, bindparam("of", type_=Text), several=True))
    .distinct()
    .order_by(pending_name.c.journal)
)
_TAKE_UP = Prepared(delete(pending_name).where(pending_name.c.journal == bindparam("of")))
_MAKE = Prepared(insert(folded), ("scope", "type", "id"))
_FROM = Prepared(select(folded_from.c.digest).where(folded_from.c.scope == bindparam("of")))
_KEEP_FROM = Prepared(insert(folded_from), ("scope", "digest"))
_CHANGE_FROM = Prepared(
    update(folded_from).where(folded_from.c.scope == bindparam("of")).values(digest=bindparam("new"))
)
_EVENT = tuple(column.name for column in visit_event.c)
_KEEP = Prepared(insert(visit_event), _EVENT)
_CORRECT = Prepared(
    update(visit_event)
    .where(visit_event.c.journal == bindparam("key"), visit_event.c.part == bindparam("of_part"))
    .values({name: bindparam(f"new_{name}") for name in _EVENT if name not in ("journal", "part")})
)


@dataclass(frozen=True, slots=True)
class Told:
    """An event where it is kept.

    Attributes:
        journal: Its message.
        part: Which fact of the message.
        patient: Whom it names; None: nobody here.
        visit: What its visit is called now.
        event: What it says.
    """

    journal: int
    part: int
    patient: str | None
    visit: str | None
    event: AdtEvent


@dataclass(frozen=True, slots=True)
class Heard:
    """An event about a person, without its facts: where they are, of which visit, what they bring, their digest."""

    journal: int
    part: int
    visit: str | None
    saying: Saying
    digest: bytes


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was merged, renumbered or moved about some numbers.

    Attributes:
        called: Number → what it is called now, where that is something else.
        moves: Who moved one of them, in order: whose it is now.
    """

    called: dict[str, str]
    moves: tuple[Told, ...]

    @property
    def owner(self) -> str | None:
        """Whose they were last said to be; None: nobody's here, or nothing was moved."""
        return self.moves[-1].patient if self.moves else None


def keep(tx: Transaction, key: int, part: int, event: AdtEvent, *, patient: str | None, visit: str | None) -> None:
    """Keep the facts of a message about a member; of a replayed one, the facts as read now.

    Args:
        tx: The unit of work.
        key: Of the message.
        part: Which fact of a message about two records.
        event: What it says.
        patient: Whom it names; None: somebody else, whose visit is a member's now.
        visit: What its visit is called now.
    """
    brings, said = saying(event), event.to_json()
    values = {
        "patient": patient,
        "visit": visit,
        "sender": event.sender,
        "place": " ".join(event.order),
        "said": brings.said,
        "account": brings.account,
        "digest": hashlib.sha256(said).digest(),
        "facts": said,
    }
    corrected = {f"new_{name}": value for name, value in values.items()}
    if not _CORRECT.change(tx.direct, key=key, of_part=part, **corrected):
        _KEEP.run(tx.direct, [{"journal": key, "part": part, **values}])


def of_visit(connection: Connection, visit: str) -> list[Told]:
    """The events of what is called so now."""
    return _told(connection, _OF_VISIT.rows(connection, of=visit))


def whose(connection: Connection, visit: str, *, but: int) -> set[str]:
    """Whom the events of a visit name, but for those of one message."""
    return {patient for (patient,) in _WHOSE.rows(connection, of=visit, but=but)}


def of_encounter(connection: Connection, logical: str) -> list[Told]:
    """The events that an Encounter is folded from; none: it came another way."""
    scopes = [scope for (scope,) in _FOLDED_FROM.rows(connection, kind="Encounter", logical=logical)]
    return [told for scope in scopes for told in of_visit(connection, scope.removeprefix("visit "))]


def of_person(connection: Connection, patient: str, sender: str) -> list[Heard]:
    """The events of one sender that name this person."""
    return [
        Heard(key, part, visit, Saying(tuple(place.split(" ")), bytes(said), account), bytes(digest))
        for key, part, visit, place, said, account, digest in _HEARD.rows(connection, of=patient, by=sender)
    ]


def facts(connection: Connection, heard: Iterable[Heard], *, again: bool = False) -> list[AdtEvent]:
    """What these events say; ``again``: it is asked with each message about the person."""
    return _read(connection, [(one.journal, one.part, one.digest) for one in heard], remember=again)


def of_people(connection: Connection, patients: Iterable[str]) -> list[Told]:
    """All events that name one of these people."""
    found = select(*_ROW).where(among(visit_event.c.patient, sorted(patients)))
    return _told(connection, [tuple(row) for row in connection.execute(found.order_by(visit_event.c.journal))])


def get(connection: Connection, key: int, part: int) -> Told | None:
    """An event as it was kept before; None when it never was."""
    return next(iter(_told(connection, _ONE.rows(connection, key=key, of_part=part))), None)


def numbers(connection: Connection, of: Iterable[str]) -> Numbers:
    """What was said of these numbers, and of those that they have been, or are called."""
    front, known = set(of), set[str]()
    rows: dict[tuple[int, int], Told] = {}
    while front:
        known |= front
        found = _OF_NUMBERS.rows(connection, of=several(front))
        new = {(key, part): get(connection, key, part) for key, part in found if (key, part) not in rows}
        rows |= {where: told for where, told in new.items() if told is not None}
        # An account that somebody's visits were moved with says nothing of other visits of that account.
        said = [pair for told in new.values() if told is not None for pair in told.event.succeeds]
        front = {text(one) for pair in said for one in pair} - known
    events = [told.event for told in rows.values()]
    edges = [(event.told, text(old), text(new)) for event in events for old, new in event.succeeds]
    moves = [told for told in rows.values() if known & set(map(text, told.event.moves))]
    return Numbers(succession(edges), tuple(sorted(moves, key=lambda told: told.event.told)))


def speaks_of(event: AdtEvent) -> set[str]:
    """The numbers that an event merges, renumbers or moves."""
    return {text(one) for pair in event.succeeds for one in pair} | set(map(text, event.moves))


def note_numbers(tx: Transaction, told: int, part: int, event: AdtEvent) -> None:
    """Note which numbers an event speaks of."""
    here = and_(number_fact.c.journal == told, number_fact.c.part == part)
    tx.direct.execute(delete(number_fact).where(here))
    rows = [{"number": one, "journal": told, "part": part} for one in sorted(speaks_of(event))]
    if rows:
        tx.direct.execute(insert(number_fact), rows)


def renumber(tx: Transaction, spoken: Iterable[str]) -> tuple[set[str], set[str]]:
    """Let visits be called what they are called now, once something else is said of these numbers.

    Returns:
        The numbers that are concerned; the visits that are to be folded.
    """
    called = numbers(tx.direct, spoken).called
    concerned = {*spoken, *called, *called.values()}
    touched = {one for one in concerned if not one.partition("|")[2].startswith("account ")} | {
        one for one in concerned if of_visit(tx.direct, one)
    }
    for name in sorted(concerned):
        for told in of_visit(tx.direct, name):
            own = text(told.event.visit) if told.event.visit else name
            now = called.get(own, own)
            if now != name:
                place(tx, told, patient=told.patient, visit=now)
                touched |= {name, now}
    return concerned, touched


def place(tx: Transaction, told: Told, *, patient: str | None, visit: str | None) -> None:
    """Put an event to whom it is about now, and to what its visit is called now."""
    where = (visit_event.c.journal == told.journal, visit_event.c.part == told.part)
    tx.direct.execute(update(visit_event).where(*where).values(patient=patient, visit=visit))


def forget(tx: Transaction, told: Told) -> None:
    """Its facts are nobody's here any more."""
    where = (visit_event.c.journal == told.journal, visit_event.c.part == told.part)
    tx.direct.execute(delete(visit_event).where(*where))
    here = and_(number_fact.c.journal == told.journal, number_fact.c.part == told.part)
    tx.direct.execute(delete(number_fact).where(here))


def text(key: Key) -> str:
    """A key as one text."""
    return "|".join(key)


def key(number: str) -> Key:
    """The key of ``text``; a system holds no bar, but a value may."""
    system, _, value = number.partition("|")
    return system, value


def swept(
    tx: Transaction, scope: str, before: Collection[tuple[str, str]], made: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Note what a fold made; what an earlier one made (``before``), and no fold makes any more."""
    before, now = set(before), set(made)
    if now - before:
        _MAKE.run(tx.direct, [{"scope": scope, "type": of, "id": one} for of, one in sorted(now - before)])
    gone = sorted(before - now)
    for of, one in gone:
        here = (folded.c.type == of, folded.c.id == one)
        tx.direct.execute(delete(folded).where(folded.c.scope == scope, *here))
    return [
        (of, one)
        for of, one in gone
        if tx.direct.scalar(select(folded.c.scope).where(folded.c.type == of, folded.c.id == one)) is None
    ]


def is_folded_from(connection: Connection, scope: str, digest: bytes) -> bool:
    """Whether this is what was folded last, so that folding it again would make the same."""
    return bytes(_FROM.scalar(connection, of=scope) or b"") == digest


def note_folded(tx: Transaction, scope: str, digest: bytes) -> None:
    """Note from what it was folded."""
    if not _CHANGE_FROM.change(tx.direct, of=scope, new=digest):
        _KEEP_FROM.run(tx.direct, [{"scope": scope, "digest": digest}])


def fold_anew(tx: Transaction, scopes: Iterable[str]) -> None:
    """What was folded there is folded again with the next message, whether that brings anything or not."""
    tx.direct.execute(delete(folded_from).where(among(folded_from.c.scope, scopes)))


def scope_of(patient: str, sender: str) -> str:
    """The name of what one sender says of a person apart from any visit."""
    return f"person {patient} {sender}"


def scopes_with(connection: Connection, kind: str, logical: str) -> list[str]:
    """What was folded into a resource: for a Patient, what every sender says of the person."""
    if kind == "Patient":
        of = visit_event.c.patient == logical
        senders = connection.scalars(select(visit_event.c.sender).where(of).distinct())
        return [scope_of(logical, sender) for sender in senders]
    return [scope for (scope,) in _FOLDED_FROM.rows(connection, kind=kind, logical=logical)]


def scopes_of(connection: Connection, message: int) -> list[str]:
    """The people of whom a message told."""
    found = select(visit_event.c.patient, visit_event.c.sender).where(visit_event.c.journal == message)
    return [scope_of(patient, sender) for patient, sender in connection.execute(found) if patient]


def wait(tx: Transaction, message: int, digests: Iterable[str]) -> None:
    """Take the message up again when one of these names becomes somebody's here."""
    known = {digest for (digest,) in _WAITS_FOR.rows(tx.direct, of=message)}
    rows = [{"digest": one, "journal": message} for one in sorted(set(digests) - known)]
    if rows:
        _WAIT.run(tx.direct, rows)


def taken_up(tx: Transaction, message: int) -> None:
    """It waits for nothing any more, as far as is known."""
    _TAKE_UP.run(tx.direct, [{"of": message}])


def waiting_for(connection: Connection, digests: Iterable[str]) -> list[int]:
    """The messages that wait for one of these names."""
    return [message for (message,) in _WAITING_FOR.rows(connection, of=several(digests))]


def due(tx: Transaction, messages: Collection[int], since: int) -> None:
    """These messages wait no more: those that came at or after the instant ``since`` are processed again."""
    tx.direct.execute(delete(pending_name).where(among(pending_name.c.journal, messages)))
    again = journal.c.state.in_(("processed", "parked", "waiting"))
    where = (among(journal.c.id, messages), journal.c.received_at >= since, again)
    tx.direct.execute(update(journal).where(*where).values(state="received"))


def _told(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[Told]:
    kept = [(message, part, bytes(digest)) for message, part, _, __, digest in rows]
    events = _read(connection, kept, remember=True)
    return [
        Told(message, part, patient, visit, event)
        for (message, part, patient, visit, _), event in zip(rows, events, strict=True)
    ]


_READ: OrderedDict[bytes, AdtEvent] = OrderedDict()
"""Events by the digest of their facts: each message folds all earlier ones of its visit."""
_READ_AT_MOST = 2048


def _read(connection: Connection, kept: Sequence[tuple[int, int, bytes]], *, remember: bool) -> list[AdtEvent]:
    """The events of these messages and parts, by the digests of their facts."""
    events = {digest: event for _, _, digest in kept if (event := _READ.get(digest)) is not None}
    unread = {(message, part): digest for message, part, digest in kept if digest not in events}
    if unread:
        messages = several({message for message, _ in unread})
        for message, part, facts in _FACTS.rows(connection, of=messages):
            if digest := unread.get((message, part)):
                events[digest] = AdtEvent.from_json(bytes(facts))
                if remember:
                    _READ[digest] = events[digest]
        while len(_READ) > _READ_AT_MOST:
            _READ.popitem(last=False)
    return [events[digest] for _, _, digest in kept]
