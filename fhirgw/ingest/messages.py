"""A kept ADT message becomes resources: of the person, of the visit, of what the visit calls for.

Resources, index, referral Tasks, outbox and the journal's state commit together, or the row is parked for the
operator. (DESIGN §4.)
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter

import orjson
import structlog

from fhirgw import metrics
from fhirgw.consent.model import Json
from fhirgw.errors import DependencyDown, GatewayError, NotFound, ProfileViolation
from fhirgw.ingest import due, numbers
from fhirgw.ingest.persons import Persons
from fhirgw.ingest.records import Records, names
from fhirgw.ingest.reviews import Reviews
from fhirgw.keeping import conclude
from fhirgw.mappers.adt import AdtEvent, extract_all, new_reading, read
from fhirgw.mappers.segments.reading import Alike
from fhirgw.settings import Senders
from fhirgw.store import identity, journal, unmapped, visits
from fhirgw.store.database import Database, Transaction
from fhirgw.store.held import held
from fhirgw.store.stored import Row
from fhirgw.v2.ack import check_envelope

log = structlog.get_logger(__name__)
_WHO = frozenset({"PID-3", "PV1-19"})
"""Where a message contradicts what is known of who is who."""
_UNCOUNTED = frozenset({"parked", "rejected"})
"""States of messages whose unmapped codes no earlier attempt has counted."""
_UNIT = 64
"""Messages of a unit of work, at most."""


@dataclass(slots=True)
class _Concerned:
    """What messages of one person have said something of, and is to be folded: visits, and (patient, sender)."""

    visits: set[str] = field(default_factory=set)
    people: set[tuple[str, str]] = field(default_factory=set)
    alike: Alike | None = None  # of a message alone: nothing that it repeats
    nobody: AdtEvent | None = None
    """The latest event, where it was about nobody here nor like anybody, and nothing was taken since."""

    def add(self, visits: Iterable[str], patient: str | None, sender: str) -> None:
        """Note visits, and the person of whom a sender said something."""
        self.visits.update(visits)
        if patient is not None:
            self.people.add((patient, sender))

    def knows_not(self, event: AdtEvent) -> bool:
        """Whether it is about nobody here: it names and pictures its person as the one before, who was nobody."""
        last = self.nobody
        return last is not None and last.identifiers == event.identifiers and last.person == event.person


@dataclass(frozen=True, slots=True)
class Trial:
    """What processing a message now would do.

    Attributes:
        state: The row's state then: ``processed``, ``waiting`` or ``parked``.
        problem: Why it would be parked.
        changes: Of each resource that would change its reference, how it is, and how it would be; None: not there.
        patients: Whose those are.
    """

    state: str
    problem: Exception | None = None
    changes: tuple[tuple[str, Json | None, Json | None], ...] = ()
    patients: frozenset[str] = frozenset()


class _Undone(Exception):
    """Ends a unit of work of which nothing is to stay."""

    def __init__(self, trial: Trial) -> None:
        """Carry out what was found."""
        super().__init__()
        self.trial = trial


class Messages:
    """Processes the journal."""

    def __init__(
        self,
        database: Database,
        *,
        senders: Callable[[], Senders],
        id_key: bytes,
        reviews: Reviews,
        records: Records,
        persons: Persons,
    ) -> None:
        """Compose; the arguments are those of ``Ingest``."""
        self._database = database
        self._senders = senders
        self._id_key = id_key
        self._reviews = reviews
        self._records = records
        self._persons = persons
        self._ahead = due.LEAST

    async def process_due(self) -> int:
        """Process kept messages, the person of the oldest first; how many were taken up.

        A message that fails is parked with the reason, and harms no other.
        """
        near = self._ahead == due.LEAST  # then a change of threads costs more than to look
        named = self._look_ahead() if near else await asyncio.to_thread(self._look_ahead)
        done, hurried = 0, False
        while done < len(named):
            unit = named[done : done + _UNIT]
            taken = await self._process_some(unit)
            hurried = hurried or taken < len(unit)
            done += taken
        if len(named) == self._ahead:
            self._ahead = due.LEAST if hurried else min(self._ahead * 8, due.MOST)
        return len(named)

    def _look_ahead(self) -> list[due.Named]:
        """The more has been due, the further; where ACKs are waited for, only what is next."""
        with self._database.read() as connection:
            return due.by_person(due.look_ahead(connection, self._ahead))

    async def _process_some(self, named: Sequence[due.Named]) -> int:
        """Process messages in one unit of work, until an ACK has to wait for it; how many it took up.

        Together, what they read is read once, and what they put is written once (docs/decisions/0116).
        """
        rows = [row for _, row in named]
        try:
            states = await self._database.write(lambda tx: self._process_in_turn(tx, named))
        except DependencyDown:
            raise
        except Exception:  # noqa: BLE001 - one of them: each by itself then, so that it harms no other
            results = await asyncio.gather(*(self.process(row) for row in rows), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result from None
            return len(rows)
        for row, state in zip(rows, states, strict=False):  # those that were taken up are the first of them
            if state is not None:
                metrics.processed.labels(row.sender, state).inc()
        return len(states)

    def _process_in_turn(self, tx: Transaction, named: Sequence[due.Named]) -> list[str | None]:
        """Their new states; None: another process has seen to it since they were looked for."""
        states: list[str | None] = []
        settled = frozenset(journal.settled(tx.direct, [row.id for _, row in named]))
        for theirs in ([*some] for _, some in groupby(named, key=itemgetter(0))):
            concerned, hurried = _Concerned(alike=Alike() if len(theirs) > 1 else None), False
            for _, row in theirs:
                states.append(None if row.id in settled else self._take_up(tx, row, concerned))
                if hurried := tx.awaited():
                    break
            self._records.fold(tx, concerned.visits, concerned.people)
            if hurried or tx.awaited():  # who is passed over in a person's messages would be taken for done
                break
        return states

    async def replay(self, key: int) -> journal.Row:
        """Process a message again, with the maps of now, whatever its state; the row as it is afterwards.

        Raises:
            NotFound: There is no such row.
        """
        with self._database.read() as connection:
            row = journal.get(connection, key)
        await self.process(row)
        with self._database.read() as connection:
            return journal.get(connection, key)

    async def try_(self, key: int) -> Trial:
        """Process a message as ``replay`` would, and take all of it back: nothing is stored, and nobody is told.

        Raises:
            NotFound: There is no such row, or its bytes have expired.
        """
        with self._database.read() as connection:
            row = journal.get(connection, key)
        _require_bytes(row)
        try:
            await self._database.write(lambda tx: self._try(tx, row))
        except DependencyDown:
            raise
        except _Undone as undone:
            return undone.trial
        except Exception as error:  # noqa: BLE001 - whatever it is, the row would be parked for it
            return Trial("parked", _first(error))
        raise RuntimeError("A trial is always taken back.")

    def _try(self, tx: Transaction, row: journal.Row) -> None:
        state = self._process(tx, row)
        # What was held back is written too: the database has its say, before all of it is undone.
        tx.settle()
        changed = [one for one in held(tx).changed() if _body(one[1]) != _body(one[2])]
        changes = tuple((f"{kind}/{name}", _body(old), _body(new)) for (kind, name), old, new in changed)
        whose = {row.patient for _, *both in changed for row in both if row and row.patient}
        raise _Undone(Trial(state, None, changes, frozenset(whose)))

    async def process(self, row: journal.Row, *, again: bool = False) -> str:
        """Process one journal row; its new state: ``processed``, ``waiting`` or ``parked``.

        Args:
            row: The message.
            again: It contradicted what was known of who is who, and is looked at a second time.

        Raises:
            NotFound: Its bytes have expired; the facts that were read from them remain.
        """
        _require_bytes(row)
        try:
            state = await self._database.write(lambda tx: self._process(tx, row))
        except DependencyDown:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the row is parked and the next one goes on
            problem = _first(error)
            if isinstance(problem, ProfileViolation) and problem.location in _WHO and not again:
                # What settles it may come at any time: first it is noted what it waits for, then it is tried again.
                await self._database.write(lambda tx: self._await_merge(tx, row))
                return await self.process(row, again=True)
            log.warning("message parked", row=row.id, error=type(problem).__name__, location=_location(problem))
            await self._database.write(lambda tx: self._park(tx, row, problem))
            metrics.processed.labels(row.sender, "parked").inc()
            return "parked"
        metrics.processed.labels(row.sender, state).inc()
        return state

    def _process(self, tx: Transaction, row: journal.Row) -> str:
        concerned = _Concerned()
        state = self._take_up(tx, row, concerned)
        self._records.fold(tx, concerned.visits, concerned.people)
        return state

    def _take_up(self, tx: Transaction, row: journal.Row, concerned: _Concerned) -> str:
        """Keep what a message says, and note what is to be folded for it."""
        message, context = read(row.raw, self._senders(), self._id_key)
        problems = check_envelope(message)
        if problems:
            raise ExceptionGroup("envelope", problems)
        reading = new_reading(message, context, concerned.alike)
        told = extract_all(message, context, reading)
        if reading.codes and (not row.attempts or row.state in _UNCOUNTED):
            unmapped.note(tx, context.name, reading.codes)
        if row.attempts:
            visits.taken_up(tx, row.id)
            visits.fold_anew(tx, visits.scopes_of(tx.direct, row.id))  # the maps may be others now
        # First who is who, so that a fact about two people finds both.
        for event in told:
            if self._persons.take(tx, event, part2=context.sender.part2):
                concerned.nobody = None
        waits = False  # of several strangers one is asked about at a time: its answer brings the message back
        for part, event in enumerate(told):
            if self._take(tx, row.id, part, event, concerned):
                concerned.nobody = None
                continue
            self._persons.wait(tx, row.id, event)
            if not waits and not concerned.knows_not(event):
                waits = self._reviews.wait(tx, row.id, event)
                concerned.nobody = None if waits else event
        if waits:
            conclude(tx, row)
            return "waiting"
        journal.mark_processed(tx, row.id)
        conclude(tx, row)
        return "processed"

    def _await_merge(self, tx: Transaction, row: journal.Row) -> None:
        for event in extract_all(*read(row.raw, self._senders(), self._id_key)):
            self._persons.wait(tx, row.id, event)

    def _park(self, tx: Transaction, row: journal.Row, problem: Exception) -> None:
        journal.mark_parked(tx, row.id, problem)
        conclude(tx, row, self._wrong_for_anybody(row))

    def _wrong_for_anybody(self, row: journal.Row) -> list[Exception]:
        """What is wrong with a message whoever it is about: all that its sender may be told.

        What fails, or waits, because of whom it is about tells that there is somebody (docs/decisions/0361).
        """
        try:
            message, context = read(row.raw, self._senders(), self._id_key)
            if problems := check_envelope(message):
                return [*problems]
            extract_all(message, context)
        except Exception as error:  # noqa: BLE001 - as in ``process``: whatever it is
            return [_first(error)]
        return []

    def _take(self, tx: Transaction, row: int, part: int, event: AdtEvent, concerned: _Concerned) -> bool:
        """Keep an event, and note what it is about; False where it is about nobody here."""
        patient, confirmed = (None, False) if concerned.knows_not(event) else self._who(tx, event)
        before = visits.get(tx.direct, row, part)
        spoken = numbers.of(tx, event)
        if patient is None and not numbers.are_somebodys(tx, event, spoken):
            if before is not None:
                visits.forget(tx, before)
                concerned.add(_visits_of(before), before.patient, event.sender)
            return False
        called = numbers.called(tx, row, event, patient, spoken)
        if patient is not None:
            new = identity.bind(tx, names(event), patient, told=not confirmed)
            self._persons.known(tx, map(visits.text, new), patient)
        kept = event if patient is not None else replace(event, person={})
        visits.keep(tx, row, part, kept, patient=patient, visit=called)
        if patient is None:
            self._persons.wait_for_bearer(tx, row, event)
        concerned.add({called} if called else (), patient, event.sender)
        concerned.add(_visits_of(before), before.patient if before else None, event.sender)
        concerned.visits |= numbers.renumber(tx, self._persons, row, part, event, before)
        return True

    def _who(self, tx: Transaction, event: AdtEvent) -> tuple[str | None, bool]:
        """Whom an event is about, if anybody here, and whether it is a person who said so.

        Raises:
            ProfileViolation: Its identifiers stand for several people, or were confirmed to be of several.
        """
        known = identity.find(tx.direct, names(event))
        if len(known) > 1:
            self._persons.agree(tx, event)
            known = identity.find(tx.direct, names(event))
        patient = _member(known)
        if patient is not None:
            self._reviews.answered(tx, event, patient)
            return patient, False
        if not identity.parted(tx.direct, names(event)):
            patient = self._reviews.confirmed(tx, event)
        return patient, patient is not None


def _require_bytes(row: journal.Row) -> None:
    if row.state == "expired":
        raise NotFound("The bytes of this message have expired.")


def _body(row: Row | None) -> Json | None:
    body: Json | None = None if row is None or row.deleted else orjson.loads(row.body)
    return body


def _member(known: set[str]) -> str | None:
    """Who an event is about, if it is a member or candidate; None leaves no trace but the journal row.

    Args:
        known: For whom its identifiers stand.

    Raises:
        ProfileViolation: They stand for several.
    """
    if len(known) > 1:
        text = "The identifiers of this message belong to different people here; a person must look at it."
        raise ProfileViolation(text, location="PID-3")
    return known.pop() if known else None


def _visits_of(told: visits.Told | None) -> set[str]:
    return {told.visit} if told and told.visit else set()


def _first(error: Exception) -> Exception:
    """The error to tell of: the first of a group."""
    return error.exceptions[0] if isinstance(error, ExceptionGroup) else error


def _location(error: Exception) -> str | None:
    return error.location if isinstance(error, GatewayError) else None
