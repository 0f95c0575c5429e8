"""What a consent decision reads: enrolment, the consents of a patient, whom they name, and the policy revision.

INVARIANT: whatever could change a decision moves the revision in the same transaction (consent specification §0.9).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from operator import itemgetter

import orjson
from sqlalchemy import Connection, Text, bindparam, delete, func, insert, select, text, update

from fhirgw.consent.elements import TEAMS
from fhirgw.consent.marks import NO_MARKS, Marks, of_consents
from fhirgw.consent.model import Enrolment, Json, PatientPolicy
from fhirgw.consent.networks import AFFILIATION
from fhirgw.consent.pattern import Phase, phases
from fhirgw.consent.rules import actor_tokens
from fhirgw.consent.standing import refusal_kind
from fhirgw.store import basis, patterns
from fhirgw.store.database import Transaction
from fhirgw.store.parties import (
    ACTORS,
    DEPTH,
    body_of,
    current,
    holder,
    referrers,
    supporting,
    tokens_behind,
)
from fhirgw.store.predicate import among, one_of, several
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import (
    consent_actor,
    enrolment,
    patient_link,
    patient_mark,
    policy_revision,
    resource,
)

STORE = ""
"""The revision of the whole store is kept under this patient."""
EVERYBODY = "*"
"""Under this one, when something moved that may decide about anybody."""
ORGANIZATIONS = "+"
"""Under this one, when somebody moved who may ask: whatever is kept by who they are, is to be looked at anew."""

ORGANIZED = frozenset({"Organization", AFFILIATION, "PractitionerRole", "CareTeam"})
"""Those of them whose every change moves the revision of the whole store."""

_ENDED = frozenset({"inactive", "entered-in-error", "rejected"})

_STORE = Prepared(
    text(
        "INSERT INTO policy_revision (patient, revision, moved) VALUES ('', 1, 0) "
        "ON CONFLICT (patient) DO UPDATE SET revision = policy_revision.revision + 1 RETURNING revision"
    )
)
_BUMP = Prepared(
    text(
        "INSERT INTO policy_revision (patient, revision, moved) VALUES (:patient, 1, :moved) "
        "ON CONFLICT (patient) DO UPDATE SET revision = policy_revision.revision + 1, moved = :moved"
    )
)
_MOVED = Prepared(select(policy_revision.c.patient).where(policy_revision.c.moved > bindparam("since")))
_REVISION = Prepared(select(policy_revision.c.revision).where(policy_revision.c.patient == bindparam("of")))
_ENROLMENTS = Prepared(
    select(enrolment.c.program, enrolment.c.status)
    .where(enrolment.c.patient == bindparam("of"))
    .order_by(enrolment.c.program)
)
_CONSENTS = Prepared(
    select(resource.c.body).where(
        resource.c.patient == bindparam("of"), resource.c.type == "Consent", resource.c.deleted.is_(False)
    )
)
_MANY = bindparam("of", type_=Text)
_VERSIONED = Prepared(  # not ordered: SQLite would walk the Consents of everybody for that
    select(resource.c.patient, resource.c.version, resource.c.body)
    .where(one_of(resource.c.patient, _MANY, several=True))
    .where(resource.c.type == "Consent", resource.c.deleted.is_(False))
)
_STATES = Prepared(
    select(enrolment.c.patient, enrolment.c.program, enrolment.c.status).where(
        one_of(enrolment.c.patient, _MANY, several=True)
    )
)
_MEMBERS = Prepared(select(enrolment.c.patient).distinct())
_REVISIONS = Prepared(
    select(policy_revision.c.patient, policy_revision.c.revision).where(
        one_of(policy_revision.c.patient, _MANY, several=True)
    )
)
_LAST_MOVE = Prepared(
    select(func.max(policy_revision.c.moved)).where(one_of(policy_revision.c.patient, _MANY, several=True))
)
_NAMED = Prepared(
    select(consent_actor.c.patient)
    .where(one_of(consent_actor.c.token, bindparam("tokens", type_=Text), several=True))
    .where(one_of(consent_actor.c.patient, _MANY, several=True))
    .distinct()
)
_MARK = Prepared(select(patient_mark.c.digest).where(patient_mark.c.patient == bindparam("of")))
_OTHERS = Prepared(select(patient_link.c.other).where(patient_link.c.patient == bindparam("of")))


def revision(connection: Connection, patient: str = STORE) -> int:
    """The policy revision (rho) of the store, or of one patient; 0 before any policy was written."""
    return _REVISION.scalar(connection, of=patient) or 0


def moved(connection: Connection, since: int) -> set[str] | None:
    """Patients whose policy moved after that revision of the store; None: anybody's may have."""
    found = {patient for (patient,) in _MOVED.rows(connection, since=since)} - {ORGANIZATIONS}
    return None if EVERYBODY in found else found


def last_move(connection: Connection, patients: Iterable[str]) -> int:
    """The revision of the store at which the policy of one of these, or of everybody, last moved."""
    return _LAST_MOVE.scalar(connection, of=several({EVERYBODY, *patients})) or 0


def bump(tx: Transaction, patient: str | None = None) -> None:
    """Something that decides about the patient, or about anybody, has changed.

    What one record of a person says counts for those that it was merged or linked with.
    """
    _move(tx, {EVERYBODY} if patient is None else {patient, *linked(tx.connection, patient)})


def _move(tx: Transaction, whose: Iterable[str]) -> None:
    moved, revision = sorted(whose), _STORE.scalar(tx.connection)
    _BUMP.run(tx.connection, [{"patient": one, "moved": revision} for one in moved])
    for one in moved:
        if one not in (EVERYBODY, ORGANIZATIONS):
            patterns.keep(tx.connection, one, _phases(tx.connection, one))


def _phases(connection: Connection, patient: str) -> Sequence[Phase]:
    """What the patient's policy is to a decision; of whoever has no Consent, and was in no programme, nothing."""
    consents = _grouped(connection, {patient}).get(patient, ())
    states = [status for _, status in enrolments(connection, patient)]
    others = bool(linked(connection, patient))
    if not consents and not states:
        return ()
    return tuple(phases(patient, consents, states, others=others, zone=basis.zone(connection)))


def read_anew(tx: Transaction, patient: str) -> None:
    """Keep what the patient's policy is to a decision, and what it singles out, as this program reads it."""
    patterns.keep(tx.connection, patient, _phases(tx.connection, patient))
    note_marks(tx, patient)


def enrol(tx: Transaction, patient: str, program: str, status: str) -> None:
    """Set a patient's relation to a programme: candidate, active, finished or opted-out."""
    where = (enrolment.c.patient == patient, enrolment.c.program == program)
    present = tx.connection.scalar(select(enrolment.c.status).where(*where))
    if present == status:
        return
    if present is None:
        row = {"patient": patient, "program": program, "status": status, "changed_at": tx.now}
        tx.connection.execute(insert(enrolment).values(row))
    else:
        tx.connection.execute(update(enrolment).where(*where).values(status=status, changed_at=tx.now))
    bump(tx, patient)


def enrolments(connection: Connection, patient: str) -> list[tuple[str, str]]:
    """(programme, status) of the patient."""
    return [(program, status) for program, status in _ENROLMENTS.rows(connection, of=patient)]


def candidates(connection: Connection, tokens: Iterable[str], patients: Collection[str]) -> set[str]:
    """Those of these patients with a consent that may name one of the tokens, or anybody: a superset, by index.

    Args:
        connection: To read from.
        tokens: Of whoever asks.
        patients: Of whom it is asked.
    """
    rows = _NAMED.rows(connection, tokens=several({*tokens, "*"}), of=several(patients))
    return {patient for (patient,) in rows}


def members(connection: Connection, patients: Collection[str] | None = None) -> set[str]:
    """Everybody who is, or was, in a programme; of these patients, or of all."""
    rows = _MEMBERS.rows(connection) if patients is None else _STATES.rows(connection, of=several(patients))
    return {row[0] for row in rows}


def load(connection: Connection, patients: Collection[str]) -> list[PatientPolicy]:
    """Everything a decision reads of these patients, in order of their ids."""
    if not patients:
        return []
    others = {patient: linked(connection, patient) for patient in patients}
    every = {*patients, *(one for linked in others.values() for one in linked)}
    by_record = _grouped(connection, every)
    consents = {
        patient: [one for record in (patient, *sorted(others[patient])) for one in by_record.get(record, ())]
        for patient in patients
    }
    programs: dict[str, list[Enrolment]] = {}
    for whose, program, status in _STATES.rows(connection, of=several(every)):
        entry = Enrolment(program, status)
        if whose in others:
            programs.setdefault(whose, []).append(entry)
        if status == "opted-out":  # whoever left under one of two records left
            for patient in (one for one, linked in others.items() if whose in linked):
                programs.setdefault(patient, []).append(entry)
    revisions = dict(_REVISIONS.rows(connection, of=several(patients)))
    known: dict[str, Json | None] = {}
    zone = basis.zone(connection)
    return [
        replace(
            supporting(connection, consents.get(patient, ()), known, zone).policy(
                patient, tuple(consents.get(patient, ()))
            ),
            enrolments=tuple(sorted(programs.get(patient, ()), key=lambda one: one.program)),
            revision=revisions.get(patient, 0),
            others=others[patient],
        )
        for patient in sorted(patients)
    ]


def releases(connection: Connection, patient: str, tokens: Collection[str]) -> list[Json]:
    """The patient's active Consents that name one of these tokens."""
    named = select(consent_actor.c.consent).where(
        consent_actor.c.patient == patient, among(consent_actor.c.token, tokens)
    )
    ids = set(connection.scalars(named))
    found = _grouped(connection, {patient}).get(patient, [])
    return [one for one in found if one["id"] in ids and one.get("status") == "active"]


def is_dv_safety_list(consent: Json) -> bool:
    """Whether a Consent is a DV safety list that still counts."""
    return consent.get("status") not in _ENDED and refusal_kind(consent) == "dv-safety-list"


def dv_protected(connection: Connection, patient: str) -> bool:
    """Whether the patient has a DV safety list, under any record that was merged or linked with this one."""
    return any(
        is_dv_safety_list(orjson.loads(body))
        for record in (patient, *sorted(linked(connection, patient)))
        for (body,) in _CONSENTS.rows(connection, of=record)
    )


def marks(connection: Connection, patient: str | None) -> Marks:
    """What the Consents of a patient, and of records merged or linked with it, single out by content."""
    if patient is None or _MARK.scalar(connection, of=patient) is None:
        return NO_MARKS
    return _marks(connection, patient)


def any_marks(connection: Connection) -> bool:
    """Whether anybody's Consents single out anything."""
    return connection.scalar(select(patient_mark.c.patient).limit(1)) is not None


def note_marks(tx: Transaction, patient: str) -> bool:
    """Keep whether the patient's Consents single anything out; whether that is another thing than before."""
    found = _marks(tx.connection, patient)
    digest = found.digest if found else None
    before = _MARK.scalar(tx.connection, of=patient)
    if before == digest:
        return False
    tx.connection.execute(delete(patient_mark).where(patient_mark.c.patient == patient))
    if digest is not None:
        tx.connection.execute(insert(patient_mark).values(patient=patient, digest=digest))
    return True


def _marks(connection: Connection, patient: str) -> Marks:
    records = (patient, *sorted(linked(connection, patient)))
    consents = (orjson.loads(body) for record in records for (body,) in _CONSENTS.rows(connection, of=record))
    return of_consents(consents, basis.zone(connection))


def consent_changed(tx: Transaction, patient: str | None, consent: str, body: Json | None) -> None:
    """Keep whom a Consent may name; the body is None when it is deleted. Moves the revision."""
    tx.connection.execute(delete(consent_actor).where(consent_actor.c.consent == consent))
    if body is not None and patient is not None:
        tokens = actor_tokens(body)
        known: dict[str, frozenset[str] | None] = {}
        behind = [
            tokens_behind(tx.connection, token, known, DEPTH) or frozenset() for token in tokens if "|" not in token
        ]
        rows = [{"patient": patient, "consent": consent, "token": token} for token in sorted(tokens.union(*behind))]
        if rows:
            tx.connection.execute(insert(consent_actor), rows)
    bump(tx, patient)


def actor_changed(tx: Transaction, kind: str, logical: str, before: Json | None) -> None:
    """Somebody whom consents may name has changed: refresh those consents and move the revision.

    A person is known by the roles that refer to them, so that a role reaches the consents that name its holder. An
    organization or a role that was there, and any affiliation, moves everybody; one that is new, or a team, those
    whom it reaches.

    Args:
        tx: The unit of work.
        kind: Type of the resource.
        logical: Its id.
        before: As it was; None: it was not there.
    """
    reached, front = {(kind, logical)}, {(kind, logical)}
    consents: set[str] = set()
    held_before = holder(before)
    for _ in range(DEPTH):
        found = {pair for target in front for pair in referrers(tx.connection, *target)} | held_before
        found |= {one for target in front for one in holder(body_of(tx.connection, "/".join(target)))}
        consents |= {one for of, one in found if of == "Consent"}
        front = {pair for pair in found if pair[0] in ACTORS} - reached
        reached |= front
    for consent in sorted(consents):
        found_now = current(tx.connection, "Consent", consent)
        if found_now is not None:
            consent_changed(tx, found_now[0], consent, orjson.loads(found_now[1]))
    if kind == AFFILIATION or (before is not None and kind in ORGANIZED - TEAMS):
        bump(tx)
    elif kind in ORGANIZED:
        asker_changed(tx)


def asker_changed(tx: Transaction) -> None:
    """Somebody came, or changed, who may ask."""
    _move(tx, {ORGANIZATIONS})


def linked(connection: Connection, patient: str) -> frozenset[str]:
    """Patients that were merged or linked with this one, over any number of steps."""
    found: set[str] = set()
    front = {patient}
    while front:
        found |= front
        front = {other for one in front for (other,) in _OTHERS.rows(connection, of=one)} - found
    return frozenset(found - {patient})


def _grouped(connection: Connection, patients: Collection[str]) -> dict[str, list[Json]]:
    """The Consents of each patient, with their versions, in order of their ids."""
    grouped: dict[str, list[Json]] = {}
    for patient, version, raw in _VERSIONED.rows(connection, of=several(patients)):
        body = orjson.loads(raw)
        body["meta"] = {**body.get("meta", {}), "versionId": str(version)}
        grouped.setdefault(patient, []).append(body)
    for consents in grouped.values():
        consents.sort(key=itemgetter("id"))
    return grouped
