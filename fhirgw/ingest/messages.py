"""A kept ADT message becomes resources: of the person, of the visit, of what the visit calls for.

Resources, index, referral Tasks, outbox and the journal's state commit together, or the row is parked for the
operator. (DESIGN §4.)
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import structlog

from fhirgw import alerts, metrics
from fhirgw.consent.model import Json
from fhirgw.consent.vocabulary import BITS, NORMAL
from fhirgw.errors import DependencyDown, GatewayError, ProfileViolation
from fhirgw.ingest.precedence import put
from fhirgw.intake import read
from fhirgw.mappers.adt import AdtEvent, MapContext, extract
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.record import fold_record
from fhirgw.mappers.visit import fold_person, fold_visit, merge_patient
from fhirgw.programs import Program
from fhirgw.referral import referrals
from fhirgw.settings import Senders
from fhirgw.store import clients, identity, journal, outbox, policy, repository
from fhirgw.store.database import Database, Transaction
from fhirgw.v2.ack import check_envelope

log = structlog.get_logger(__name__)
_event = lru_cache(maxsize=4096)(AdtEvent.from_json)
"""Each message folds all earlier ones of the person and the visit: nobody changes an event, so it is read once."""


class Messages:
    """Processes the journal."""

    def __init__(
        self,
        database: Database,
        *,
        programs: Mapping[str, Program],
        senders: Callable[[], Senders],
        id_key: bytes,
        reviews: Reviews,
        alert_days: int | None,
    ) -> None:
        """Compose; the arguments are those of ``Ingest``."""
        self._database = database
        self._programs = programs
        self._senders = senders
        self._id_key = id_key
        self._reviews = reviews
        self._alert_days = alert_days

    async def process_due(self, limit: int = 64) -> int:
        """Process kept messages, oldest first; how many were taken up.

        A message that fails is parked with the reason, and harms no other.
        """
        with self._database.read() as connection:
            rows = journal.due(connection, limit)
        # Together, so that they share commits; the writer takes them in this order.
        states = await asyncio.gather(*(self.process(row) for row in rows), return_exceptions=True)
        for state in states:
            if isinstance(state, BaseException):
                raise state
        return len(rows)

    async def process(self, row: journal.Row) -> str:
        """Process one journal row; its new state: ``processed`` or ``parked``."""
        try:
            await self._database.write(lambda tx: self._process(tx, row))
        except DependencyDown:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the row is parked and the next one goes on
            problem = _first(error)
            log.warning("message parked", row=row.id, error=type(problem).__name__, location=_location(problem))
            await self._database.write(lambda tx: journal.mark_parked(tx, row.id, problem))
            metrics.processed.labels("parked").inc()
            return "parked"
        metrics.processed.labels("processed").inc()
        return "processed"

    def _process(self, tx: Transaction, row: journal.Row) -> None:
        message, context = read(row.raw, self._senders(), self._id_key)
        problems = check_envelope(message)
        if problems:
            raise ExceptionGroup("envelope", problems)
        event = extract(message, context)
        patient = _member(tx, event)
        if patient is not None:
            self._apply(tx, row.id, event, patient, context)
        journal.mark_processed(tx, row.id)

    def _apply(self, tx: Transaction, row: int, event: AdtEvent, patient: str, context: MapContext) -> None:
        """What an event about a member or candidate does: the person, the visit, the referral, the outbox."""
        identity.bind(tx, [(system, value) for system, value, _ in event.identifiers], patient)
        visit = "|".join(event.visit) if event.visit else None
        told = journal.keep_event(tx, row, patient=patient, visit=visit, sender=context.name, facts=event.to_json())
        resources: list[Json] = []
        if visit is not None:
            events = [_event(facts) for facts in journal.visit_events(tx.connection, visit)]
            source = self._source(events)
            resources = fold_visit(events, patient, self._id_key)
            for resource in resources:
                put(tx, resource, source=source)
        openly = self._openly(tx, patient, context)
        for resource in fold_record(openly, patient, self._id_key):
            put(tx, resource, source=self._source(openly))
        if not context.sender.part2:  # a Part 2 programme's picture of a person says that they are in it
            identity.picture(tx, patient, context.name, fold_person(openly))
            put(tx, merge_patient(patient, identity.pictures(tx.connection, patient)))
        if visit is None:
            return
        encounter = next(resource for resource in resources if resource["resourceType"] == "Encounter")
        now = datetime.fromtimestamp(tx.now / 1_000_000, UTC)
        enrolments = policy.enrolments(tx.connection, patient)
        for resource in referrals(event, encounter, patient, enrolments, self._programs, self._id_key, now):
            if not repository.exists(tx.connection, resource["resourceType"], resource["id"]):
                put(tx, resource, source=source)
        oldest = None if self._alert_days is None else tx.now - self._alert_days * DAY
        alerts.note(tx, patient, encounter, oldest=oldest)

    def _openly(self, tx: Transaction, patient: str, context: MapContext) -> list[AdtEvent]:
        """A sender's events about a person, but for those of visits that carry labels as a whole.

        The Patient is seen by many who may not know of such a visit: a record number that came with it, or an
        address, would tell of it (consent specification §2.3: what is derived carries the labels of its source).
        """
        events = [_event(facts) for facts in journal.person_events(tx.connection, patient, context.name)]
        hidden = set()
        for visit in {event.visit for event in events if event.visit}:
            encounter = resource_id(self._id_key, "Encounter", *visit)
            labels, conf = repository.levels(tx.connection, "Encounter", encounter) or (0, NORMAL)
            if labels or conf > NORMAL:
                hidden.add(visit)
        return [event for event in events if event.visit not in hidden]

    def _source(self, events: Sequence[AdtEvent]) -> int:
        """Labels of what is made of these events: one sender that is a Part 2 programme labels all of it."""
        senders = self._senders()
        part2 = any(senders.named(event.sender).part2 for event in events)
        return BITS["SUD"] if part2 else 0


def _member(tx: Transaction, event: AdtEvent) -> str | None:
    """Who the event is about, if it is a member or candidate; None leaves no trace but the journal row."""
    known = identity.find(tx.connection, [(system, value) for system, value, _ in event.identifiers])
    if len(known) > 1:
        text = "The identifiers of this message belong to different people here; a person must look at it."
        raise ProfileViolation(text, location="PID-3")
    return known.pop() if known else None


def _first(error: Exception) -> Exception:
    """The error to tell of: the first of a group."""
    return error.exceptions[0] if isinstance(error, ExceptionGroup) else error


def _location(error: Exception) -> str | None:
    return error.location if isinstance(error, GatewayError) else None
