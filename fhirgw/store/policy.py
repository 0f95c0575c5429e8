"""What a consent decision reads: enrolment, the consents of a patient, whom they name, and the policy revision.

INVARIANT: whatever could change a decision moves the revision in the same transaction (consent specification §0.9).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, insert, select, text, update

from fhirgw.consent.closure import Supporting, members_of
from fhirgw.consent.elements import TEAMS
from fhirgw.consent.marks import NO_MARKS, Marks, of_consents
from fhirgw.consent.model import Enrolment, Json, PatientPolicy, Recipient
from fhirgw.consent.networks import AFFILIATION
from fhirgw.consent.rules import actor_tokens
from fhirgw.consent.standing import refusal_kind
from fhirgw.store.database import Transaction
from fhirgw.store.predicate import among
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import (
    consent_actor,
    enrolment,
    patient_link,
    patient_mark,
    policy_revision,
    resource,
    search_reference,
    search_token,
)

STORE = ""
"""The revision of the whole store is kept under this patient."""

ACTORS = frozenset(
    {"Organization", AFFILIATION, "PractitionerRole", "CareTeam", "Practitioner", "RelatedPerson", "Group"}
)
"""Types whose content decides whom a consent names."""

ORGANIZED = frozenset({"Organization", AFFILIATION, "PractitionerRole", "CareTeam"})
"""Those of them whose every change moves the revision of the whole store."""

_ENDED = frozenset({"inactive", "entered-in-error", "rejected"})
_DEPTH = 4  # CareTeam ► PractitionerRole ► Practitioner

_BUMP = Prepared(
    text(
        "INSERT INTO policy_revision (patient, revision) VALUES (:patient, 1) "
        "ON CONFLICT (patient) DO UPDATE SET revision = policy_revision.revision + 1"
    )
)
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
_MARK = Prepared(select(patient_mark.c.digest).where(patient_mark.c.patient == bindparam("of")))
_OTHERS = Prepared(select(patient_link.c.other).where(patient_link.c.patient == bindparam("of")))
_AFFILIATIONS = Prepared(
    select(resource.c.body).where(resource.c.type == AFFILIATION, resource.c.deleted.is_(False))
)
_REFERRERS = Prepared(
    select(resource.c.type, resource.c.id)
    .join(search_reference, search_reference.c.resource == resource.c.pk)
    .where(search_reference.c.target_id == bindparam("logical"))
    .where(search_reference.c.target_type == bindparam("kind"))
)


def revision(connection: Connection, patient: str = STORE) -> int:
    """The policy revision (rho) of the store, or of one patient; 0 before any policy was written."""
    return _REVISION.scalar(connection, of=patient) or 0


def bump(tx: Transaction, patient: str | None = None) -> None:
    """Something that decides about the patient, or about anybody, has changed."""
    _BUMP.run(tx.connection, [{"patient": one} for one in {STORE, patient or STORE}])


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


def candidates(connection: Connection, tokens: Iterable[str]) -> set[str]:
    """Patients with a consent that may name one of these tokens, or anybody. A superset, found by index."""
    found = select(consent_actor.c.patient).where(among(consent_actor.c.token, {*tokens, "*"}))
    return set(connection.scalars(found.distinct()))


def members(connection: Connection) -> set[str]:
    """Everybody who is, or was, in a programme."""
    return set(connection.scalars(select(enrolment.c.patient).distinct()))


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
    for row in connection.execute(select(enrolment).where(among(enrolment.c.patient, every))):
        entry = Enrolment(row.program, row.status)
        if row.patient in patients:
            programs.setdefault(row.patient, []).append(entry)
        if row.status == "opted-out":  # whoever left under one of two records left
            for patient in (one for one, linked in others.items() if row.patient in linked):
                programs.setdefault(patient, []).append(entry)
    numbers = select(policy_revision).where(among(policy_revision.c.patient, patients))
    revisions = {row.patient: row.revision for row in connection.execute(numbers)}
    known: dict[str, Json | None] = {}
    return [
        replace(
            _supporting(connection, consents.get(patient, ()), known).policy(
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


def organization(connection: Connection, identifier: str) -> str | None:
    """The logical id of the Organization with this identifier (``system|value``)."""
    found = min(bearers(connection, "Organization", identifier), default=None)
    return found and found.removeprefix("Organization/")


def bearers(connection: Connection, kind: str, identifier: str) -> frozenset[str]:
    """References to the resources of a type with this identifier (``system|value``)."""
    system, _, value = identifier.rpartition("|")
    found = (
        select(resource.c.id)
        .join(search_token, search_token.c.resource == resource.c.pk)
        .where(search_token.c.type == kind, search_token.c.param == "identifier")
        .where(search_token.c.system == system, search_token.c.code == value)
    )
    return frozenset(f"{kind}/{logical}" for logical in connection.scalars(found))


def organization_tokens(connection: Connection, organization: str) -> frozenset[str]:
    """The closure of an organization: itself and its parents, each by reference and by identifiers."""
    tokens: set[str] = set()
    reference: str | None = f"Organization/{organization}"
    while reference is not None and reference not in tokens:
        tokens.add(reference)
        body = _body(connection, reference)
        if body is None:
            break
        tokens |= _identifiers(body)
        reference = _literal(body.get("partOf"))
    return frozenset(tokens)


def recipient(connection: Connection, organization: str, classes: frozenset[str], at: datetime) -> Recipient:
    """An organization's system, as a decision knows it: what it is part of, and the networks it is in now."""
    own = organization_tokens(connection, organization)
    affiliations = _affiliations(connection)
    if not affiliations:
        return Recipient(own, classes)
    front = {f"Organization/{organization}"} | _ends(affiliations)
    met: dict[str, Json] = {}
    while front:
        met |= {reference: body for reference in front if (body := _body(connection, reference)) is not None}
        parents = {literal for body in met.values() if (literal := _literal(body.get("partOf")))}
        front = parents - met.keys() - front
    return Supporting([*met.values(), *affiliations]).recipient(own, classes, at)


def _affiliations(connection: Connection) -> list[Json]:
    """All of them: one may name who takes part by an identifier alone, and every one that is missed opens."""
    return [orjson.loads(body) for (body,) in _AFFILIATIONS.rows(connection)]


def _ends(affiliations: Iterable[Json]) -> set[str]:
    """Whom affiliations name literally."""
    named = (
        reference
        for one in affiliations
        for reference in (one.get("organization"), one.get("participatingOrganization"), *one.get("network", ()))
    )
    return {literal for reference in named if (literal := _literal(reference))}


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
    return of_consents(
        orjson.loads(body) for record in records for (body,) in _CONSENTS.rows(connection, of=record)
    )


def consent_changed(tx: Transaction, patient: str | None, consent: str, body: Json | None) -> None:
    """Keep whom a Consent may name; the body is None when it is deleted. Moves the revision."""
    tx.connection.execute(delete(consent_actor).where(consent_actor.c.consent == consent))
    if body is not None and patient is not None:
        tokens = actor_tokens(body)
        known: dict[str, frozenset[str] | None] = {}
        behind = [
            _tokens(tx.connection, token, known, _DEPTH) or frozenset() for token in tokens if "|" not in token
        ]
        rows = [{"patient": patient, "consent": consent, "token": token} for token in sorted(tokens.union(*behind))]
        if rows:
            tx.connection.execute(insert(consent_actor), rows)
    bump(tx, patient)


def actor_changed(tx: Transaction, kind: str, logical: str) -> None:
    """Somebody whom consents may name has changed: refresh those consents and move the revision."""
    reached, front = {(kind, logical)}, {(kind, logical)}
    consents: set[str] = set()
    for _ in range(_DEPTH):
        found = {pair for target in front for pair in _referrers(tx.connection, *target)}
        consents |= {one for of, one in found if of == "Consent"}
        front = {pair for pair in found if pair[0] in ACTORS} - reached
        reached |= front
    for consent in sorted(consents):
        row = _current(tx.connection, "Consent", consent)
        if row is not None:
            consent_changed(tx, row.patient, consent, orjson.loads(row.body))
    if kind in ORGANIZED:
        bump(tx)


def linked(connection: Connection, patient: str) -> frozenset[str]:
    """Patients that were merged or linked with this one, over any number of steps."""
    found: set[str] = set()
    front = {patient}
    while front:
        found |= front
        front = {other for one in front for (other,) in _OTHERS.rows(connection, of=one)} - found
    return frozenset(found - {patient})


def _referrers(connection: Connection, kind: str, logical: str) -> set[tuple[str, str]]:
    return {(of, one) for of, one in _REFERRERS.rows(connection, kind=kind, logical=logical)}


def _grouped(connection: Connection, patients: Collection[str]) -> dict[str, list[Json]]:
    """The Consents of each patient, with their versions, in order of their ids."""
    found = (
        select(resource.c.patient, resource.c.version, resource.c.body)
        .where(among(resource.c.patient, patients), resource.c.type == "Consent", resource.c.deleted.is_(False))
        .order_by(resource.c.id)
    )
    grouped: dict[str, list[Json]] = {}
    for row in connection.execute(found):
        body = orjson.loads(row.body)
        body["meta"] = {**body.get("meta", {}), "versionId": str(row.version)}
        grouped.setdefault(row.patient, []).append(body)
    return grouped


def _supporting(connection: Connection, consents: Sequence[Json], known: dict[str, Json | None]) -> Supporting:
    """Whom the consents name, the roles these persons hold, and the organizations they hold them in.

    Args:
        connection: To read from.
        consents: Of one patient.
        known: Resources met so far, by reference.
    """
    front = sorted({reference for consent in consents for reference in _named(consent)})
    seen: dict[str, Json] = {}
    for _ in range(_DEPTH):
        behind: set[str] = set()
        for reference in front:
            if reference not in known:
                known[reference] = _body(connection, reference)
            body = known[reference]
            if body is not None:
                seen[reference] = body
                behind |= _beside(connection, body)
        front = sorted(behind - seen.keys())
    persons = any(body["resourceType"] == "PractitionerRole" for body in seen.values())
    return Supporting([*seen.values(), *(_affiliations(connection) if persons else ())])


def _beside(connection: Connection, body: Json) -> set[str]:
    """Whom somebody works for: a person's roles, a role's holder and organization, its parent; a team's members."""
    kind = body["resourceType"]
    if kind == "Practitioner":
        found = _referrers(connection, kind, body["id"])
        return {f"{of}/{logical}" for of, logical in found if of == "PractitionerRole"}
    if kind in TEAMS:
        return {member.literal for member in members_of(body)} - {""}
    elements = {"PractitionerRole": ("practitioner", "organization"), "Organization": ("partOf",)}.get(kind, ())
    return {literal for name in elements if (literal := _literal(body.get(name)))}


def _named(element: Any) -> Iterable[str]:
    """All literal references of a Consent: its actors, performers, and what it is about."""
    if isinstance(element, dict):
        if isinstance(element.get("reference"), str):
            yield element["reference"].split("/_history/")[0]
        for part in element.values():
            yield from _named(part)
    elif isinstance(element, list):
        for part in element:
            yield from _named(part)


def _tokens(
    connection: Connection, reference: str, known: dict[str, frozenset[str] | None], depth: int
) -> frozenset[str] | None:
    """The tokens of the resource behind a reference; None when it is not here.

    A role stands for the practitioner in it, a team or a group for its members.
    """
    if reference in known or depth == 0:
        return known.get(reference, frozenset({reference}))
    known[reference] = frozenset({reference})  # a loop ends here
    body = _body(connection, reference)
    if body is None:
        known[reference] = None
        return None
    tokens = {reference} | _identifiers(body)
    inner = [body.get("practitioner")] if body["resourceType"] == "PractitionerRole" else []
    inner += [one.get("member") for one in body.get("participant", ()) if body["resourceType"] == "CareTeam"]
    inner += [one.get("entity") for one in body.get("member", ()) if body["resourceType"] == "Group"]
    for part in inner:
        if literal := _literal(part):
            tokens |= {literal} | (_tokens(connection, literal, known, depth - 1) or frozenset())
    known[reference] = frozenset(tokens)
    return known[reference]


def _identifiers(body: Json) -> set[str]:
    return {f"{one.get('system', '')}|{one['value']}" for one in body.get("identifier", ()) if "value" in one}


def _literal(reference: Any) -> str | None:
    found = reference.get("reference") if isinstance(reference, dict) else None
    return found.split("/_history/")[0] if isinstance(found, str) else None


def _body(connection: Connection, reference: str) -> Json | None:
    kind, _, logical = reference.partition("/")
    row = _current(connection, kind, logical)
    body: Json | None = orjson.loads(row.body) if row is not None else None
    return body


def _current(connection: Connection, kind: str, logical: str) -> Any:
    where = (resource.c.type == kind, resource.c.id == logical, resource.c.deleted.is_(False))
    return connection.execute(select(resource.c.patient, resource.c.body).where(*where)).first()
