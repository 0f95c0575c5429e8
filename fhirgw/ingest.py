"""The only way in: parse ► map ► label ► validate ► store ► refer.

A hospital's message, kept and acknowledged by ``intake``, is processed in a transaction of its own: resources,
index, referral Tasks, outbox and the journal's state commit together, or the row is parked for the operator. An ICM
case and a resource written through the API go the same way into the same store. (DESIGN §1, §4.)
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import structlog

from fhirgw import metrics
from fhirgw.answer import NOTIFICATION_EVENTS
from fhirgw.audit import Entry, Ledger
from fhirgw.consent.model import Json
from fhirgw.consent.vocabulary import BITS, NORMAL
from fhirgw.errors import (
    DependencyDown,
    Forbidden,
    GatewayError,
    InvalidElement,
    NotFound,
    ProfileViolation,
    VersionConflict,
)
from fhirgw.icm.model import Case
from fhirgw.intake import read
from fhirgw.mappers.adt import AdtEvent, MapContext, extract
from fhirgw.mappers.datatypes import utc
from fhirgw.mappers.icm import map_case, person
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.visit import fold_person, fold_visit, merge_patient
from fhirgw.profiles.validation import require_valid
from fhirgw.programs import Program
from fhirgw.referral import referrals
from fhirgw.settings import Senders
from fhirgw.share import Requester
from fhirgw.store import clients, identity, journal, outbox, policy, repository
from fhirgw.store.database import Database, Transaction
from fhirgw.terminology import BASE
from fhirgw.v2.ack import check_envelope

log = structlog.get_logger(__name__)
CONSENT_ENDED = f"{BASE}/StructureDefinition/icm-consent-ended"
_event = lru_cache(maxsize=4096)(AdtEvent.from_json)
"""Each message folds all earlier ones of the person and the visit: nobody changes an event, so it is read once."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a create or update."""

    type: str
    id: str
    created: bool


class Ingest:
    """What is stored goes through here. One instance serves the journal, the API and the command line."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        *,
        programs: Mapping[str, Program],
        senders: Callable[[], Senders],
        id_key: bytes,
        new_id: Callable[[], str],
    ) -> None:
        """Compose.

        Args:
            database: The store.
            ledger: This process's chain: what staff and operators do is accounted for.
            programs: The programmes by id.
            senders: Reads the senders file, so that a corrected map counts at the next message or replay.
            id_key: Key of the deterministic resource ids.
            new_id: Fresh opaque ids, for server-assigned resource ids.
        """
        self._database = database
        self._ledger = ledger
        self._programs = programs
        self._senders = senders
        self._id_key = id_key
        self._new_id = new_id

    # --- HL7 v2 -------------------------------------------------------------------------------------------

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
                self._put(tx, resource, source=source)
        if not context.sender.part2:  # a Part 2 programme's picture of a person says that they are in it
            identity.picture(tx, patient, context.name, fold_person(self._openly(tx, patient, context)))
            self._put(tx, merge_patient(patient, identity.pictures(tx.connection, patient)))
        if visit is None:
            return
        encounter = next(resource for resource in resources if resource["resourceType"] == "Encounter")
        now = datetime.fromtimestamp(tx.now / 1_000_000, UTC)
        enrolments = policy.enrolments(tx.connection, patient)
        for resource in referrals(event, encounter, patient, enrolments, self._programs, self._id_key, now):
            if not repository.exists(tx.connection, resource["resourceType"], resource["id"]):
                self._put(tx, resource, source=source)
        if event.trigger in NOTIFICATION_EVENTS and not told:  # a replay corrects; it does not happen again
            for client in clients.notified(tx.connection):
                focus = f"Encounter/{encounter['id']}"
                outbox.put(tx, kind="visit", patient=patient, focus=focus, detail=event.trigger, client=client.id)

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

    # --- ICM ----------------------------------------------------------------------------------------------

    async def import_case(self, case: Case) -> bool:
        """Store an ICM case whole, or not at all; False when these bytes were stored before.

        Raises:
            InvalidElement: The case names a programme that is not here.
            ExceptionGroup: Everything that is wrong with it.
        """
        return await self._database.write(lambda tx: self._import(tx, case))

    def _import(self, tx: Transaction, case: Case) -> bool:
        program = self._programs.get(case.program)
        if program is None:
            raise InvalidElement("There is no such programme here.", location="program")
        digest = hashlib.sha256(case.model_dump_json().encode()).digest()
        if identity.case_digest(tx.connection, case.key) == digest:
            return False
        known = _person(tx, case)
        resources = map_case(case, program, self._id_key, patient_id=known)
        patient = known or next(one["id"] for one in resources if one["resourceType"] == "Patient")
        identity.bind(tx, case.identifiers(), patient)
        identity.picture(tx, patient, "icm", person(case))
        source = BITS["SUD"] if program.part2 else 0
        merged = merge_patient(patient, identity.pictures(tx.connection, patient))
        status: str = case.status
        for resource in resources:
            if resource["resourceType"] == "Patient":  # of several sources: what one of them hid stays hidden
                kept = self._put(tx, merged, source=source or None)
            else:
                kept = self._put(tx, resource, source=source)
            if _withdraws(kept):
                status = "opted-out"
        policy.enrol(tx, patient, case.program, status)
        identity.note_case(tx, case.key, digest, patient)
        return True

    def _source(self, events: Sequence[AdtEvent]) -> int:
        """Labels of what is made of these events: one sender that is a Part 2 programme labels all of it."""
        senders = self._senders()
        part2 = any(senders.named(event.sender).part2 for event in events)
        return BITS["SUD"] if part2 else 0

    def _put(self, tx: Transaction, resource: Json, *, source: int | None = None) -> repository.Stored:
        """Validate and store, unless what is there outranks it; what is there already was valid."""

        def admit(kept: repository.Stored | None) -> bool:
            require_valid(resource)
            return kept is None or not _stays(kept, resource)

        return repository.put(tx, resource, source_labels=source, admit=admit)

    # --- consent ------------------------------------------------------------------------------------------

    async def revoke(self, patient: str, tokens: frozenset[str], *, written: bool) -> list[str]:
        """End every ROI of the patient that names the recipient, at once; the Consents that ended.

        Oral is enough (consent specification §2.4): the paper may follow.
        """
        return await self._database.write(lambda tx: self._revoke(tx, patient, tokens, written=written))

    def _revoke(self, tx: Transaction, patient: str, tokens: frozenset[str], *, written: bool) -> list[str]:
        ended = []
        for consent in policy.releases(tx.connection, patient, tokens):
            repository.put(tx, {**consent, "status": "inactive"})
            reference = f"Consent/{consent['id']}"
            how = "written" if written else "oral"
            repository.put(tx, self._revocation(reference, how, tx.now))
            ended.append(reference)
        entry = Entry(
            patient, "operator", None, "PATRQT", False, "consent-revoke", tuple(ended), (), self._new_id()
        )
        self._ledger.append(tx, [entry])
        return ended

    def _revocation(self, target: str, how: str, now: int) -> Json:
        return {
            "resourceType": "Provenance",
            "id": self._new_id(),
            "target": [{"reference": target}],
            "recorded": repository.instant(now),
            "activity": {"text": f"Revoked by the member ({how})"},
            "agent": [{"who": {"display": "the member"}}],
        }

    # --- API ----------------------------------------------------------------------------------------------

    async def write_resource(
        self,
        requester: Requester,
        resource: Json,
        *,
        id: str | None,
        if_match: str | None,
    ) -> Written:
        """Create (``id`` None) or update a resource for the programme's own system.

        Raises:
            Forbidden: The client is not of the programme.
            NotFound: The patient is not of the client's programmes.
            VersionConflict: ``if_match`` is not the current version.
            ExceptionGroup: Everything that is wrong with the resource.
        """
        if requester.inside is None:
            raise Forbidden("This client may not write.")
        body = {**resource, "id": id or self._new_id()}
        require_valid(body)
        expected = _version(if_match)
        return await self._database.write(lambda tx: self._write(tx, requester, body, expected))

    def _write(self, tx: Transaction, requester: Requester, body: Json, expected: int | None) -> Written:
        kind, logical = body["resourceType"], body["id"]
        before = repository.current(tx.connection, kind, logical)
        if expected is not None and (before is None or before.version != expected):
            raise VersionConflict("The resource was changed since you read it.")
        stored = repository.put(tx, body)
        if not _inside(tx, requester, stored) or (before is not None and not _inside(tx, requester, before)):
            raise NotFound
        if kind == "Patient":
            pairs = [(one["system"], one["value"]) for one in body.get("identifier", ()) if "system" in one]
            identity.bind(tx, pairs, logical)
            picture = {name: value for name, value in body.items() if name not in ("id", "meta")}
            identity.picture(tx, logical, "icm", picture)
        entry = Entry(
            stored.patient,
            requester.client,
            f"Organization/{requester.organization}",
            requester.purpose,
            False,
            "update" if before else "create",
            (f"{kind}/{logical}/_history/{stored.version}",),
            (),
            requester.request_id,
        )
        self._ledger.append(tx, [entry])
        return Written(kind, logical, created=before is None)


def register_organization(tx: Transaction, id_key: bytes, system: str, value: str, name: str) -> str:
    """The logical id of the Organization with this identifier; written as registered, public to every client."""
    logical = resource_id(id_key, "Organization", system, value)
    body: Json = {"resourceType": "Organization", "id": logical, "active": True, "name": name}
    body["identifier"] = [{"system": system, "value": value}]
    require_valid(body)
    repository.put(tx, body, standing="registry")
    return logical


def _inside(tx: Transaction, requester: Requester, stored: repository.Stored) -> bool:
    """Whether the resource is of a member of the requester's programmes."""
    if requester.inside is None:
        return False
    if "*" in requester.inside:
        return True
    if stored.patient is None:
        return False
    return any(program in requester.inside for program, _ in policy.enrolments(tx.connection, stored.patient))


def _stays(kept: repository.Stored, newer: Json) -> bool:
    """Whether what is stored outranks a case's or message's picture of it.

    A registered Organization is the operator's word. A permission that has ended does not come back to life,
    unless it was given anew since: an older case, imported again, undoes no revocation. A refusal stands until a
    statement that is not older takes it back.
    """
    if kept.type != "Consent":
        return kept.type == "Organization" and kept.standing == "registry"
    if kept.body.get("status") == "entered-in-error":
        return True
    given = utc(newer["dateTime"])
    if newer.get("provision", {}).get("type") == "deny":
        return given < utc(kept.body.get("dateTime") or newer["dateTime"])
    return kept.body.get("status") == "inactive" and newer["status"] == "active" and given <= _ended(kept.body)


def _ended(consent: Json) -> str:
    """When a Consent ended: as stated, else when the store learned of it."""
    stated = (one["valueDateTime"] for one in consent.get("extension", ()) if one["url"] == CONSENT_ENDED)
    return utc(next(stated, consent["meta"]["lastUpdated"]), latest=True)


def _withdraws(kept: repository.Stored) -> bool:
    """Whether it is the opt-in to a programme, and has ended."""
    return (
        kept.type == "Consent"
        and kept.body.get("status") == "inactive"
        and any(
            one.get("code") == "opt-in" for concept in kept.body["category"] for one in concept.get("coding", ())
        )
    )


def _person(tx: Transaction, case: Case) -> str | None:
    """Who the case is about, where the person or the case is known; by any identifier, in whatever order.

    Raises:
        ProfileViolation: The identifiers, or the case's key, belong to somebody else here.
    """
    known = identity.find(tx.connection, case.identifiers())
    earlier = identity.case_patient(tx.connection, case.key)
    if len(known) > 1:
        text = "These identifiers belong to different people here; a person must look at it."
        raise ProfileViolation(text, location="member.identifiers")
    if earlier and known and earlier not in known:
        text = "This case was another person's when it was stored before; a person must look at it."
        raise ProfileViolation(text, location="key")
    return known.pop() if known else earlier


def _version(if_match: str | None) -> int | None:
    """The version an If-Match header names: ``W/"3"``."""
    if if_match is None:
        return None
    digits = if_match.removeprefix("W/").strip('"')
    if not digits.isdecimal():
        raise VersionConflict("If-Match names no version of this resource.")
    return int(digits)


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
