"""A decision made again from the ledger: with what the store was when it was made (consent specification §2.8 h).

The entry says who asked, for what, when, and what the history of the store does not keep (``audit_event.Basis``).
Everything else is put as it was into a store of its own, where the same code decides: Consents, whom they name, who
is part of what and in which network, the record with its labels.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert, update

from fhirgw import emergency
from fhirgw.answer import show
from fhirgw.asks import Requester
from fhirgw.audit import Recorded
from fhirgw.audit_event import Basis, Entry, released_under
from fhirgw.consent.compile import compile_visibility
from fhirgw.consent.elements import bare, identifier_tokens
from fhirgw.consent.labels import TABLE_VERSION
from fhirgw.consent.model import ConsentSettings, Request, digest
from fhirgw.consent.networks import AFFILIATION
from fhirgw.consent.predicate import Visibility
from fhirgw.consent.rules import identified
from fhirgw.consent.standing import reading_of
from fhirgw.errors import InvalidElement
from fhirgw.store import index, parties, past, policy, repository
from fhirgw.store.database import Database, Transaction, migrate
from fhirgw.store.past import Version
from fhirgw.store.schema import history, patient_link, resource

_ROLES: Final = (AFFILIATION, "PractitionerRole")
"""What says of whom a Consent names who they are, without being referred to."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of it.

    Attributes:
        differences: Why the entry is not what would be decided; none: it is the same.
        since: What of the gateway itself is another thing today.
    """

    differences: tuple[str, ...]
    since: tuple[str, ...]


def replay(connection: Connection, recorded: Recorded, settings: ConsentSettings) -> Replayed:
    """Decide an entry of the ledger again.

    Args:
        connection: The store as it is today.
        recorded: The entry.
        settings: The switches of today.

    Raises:
        InvalidElement: Consent decided nothing in it.
    """
    entry = recorded.entry
    if entry.basis is None or entry.patient is None:
        raise InvalidElement("Nothing was decided by consent in this entry.", location="ENTRY")
    basis, patient = entry.basis, entry.patient
    versions = list(_as_it_was(connection, entry, basis, recorded.at, settings.zone))
    with _store_of(versions, patient, basis, settings.zone) as database, database.read() as then:
        visibility = _visibility(then, entry, basis, settings)
        differences = (
            *(() if recorded.intact else ("the entry was changed",)),
            *_consents(basis, past.read(then, patient)),
            *_resources(then, entry, visibility),
            *_under(entry, visibility),
        )
    others = {"settings": basis.settings != digest(settings), "label tables": basis.labels != TABLE_VERSION}
    return Replayed(differences, tuple(name for name, other in others.items() if other))


# What there was ---------------------------------------------------------------------------------------------------


def _as_it_was(connection: Connection, entry: Entry, basis: Basis, before: int, zone: str) -> Iterator[Version]:
    """The record, the Consents of records joined with it, and whoever these and the recipient refer to."""
    people = ("Practitioner",) if entry.emergency else ()
    wanted = (
        (history.c.patient == entry.patient,),
        (history.c.patient.in_(basis.others), history.c.type.in_(("Consent", "Patient"))),
        (history.c.type.in_((*_ROLES, *people)), history.c.patient.is_(None)),
    )
    met = {(one.type, one.id): one for where in wanted for one in past.versions(connection, before, *where)}
    met |= {(one.type, one.id): one for one in _bearers(connection, met.values(), before, zone)}
    front = {entry.organization or "", *(name for one in met.values() for name in index.references(one.body))}
    asked: set[str] = set()
    while front:
        asked |= front
        found = [one for name in sorted(front) for one in _named(connection, name, before)]
        met |= {(one.type, one.id): one for one in found}
        front = {name for one in found for name in index.references(one.body)} - asked
    yield from met.values()


def _bearers(connection: Connection, known: Iterable[Version], before: int, zone: str) -> list[Version]:
    """Whoever bears an identifier by which alone a Consent names somebody; no history is found by identifier."""
    consents = (one.body for one in known if one.type == "Consent")
    named = frozenset(token for body in consents for token in identified(reading_of(body, zone)))
    everybody = past.versions(connection, before, history.c.type.in_(parties.BEARERS)) if named else []
    return [one for one in everybody if named & set(identifier_tokens(one.body))]


def _named(connection: Connection, reference: str, before: int) -> list[Version]:
    """Whom a reference names, if it is about nobody."""
    kind, _, logical = bare(reference).partition("/")
    where = (history.c.type == kind, history.c.id == logical, history.c.patient.is_(None))
    return past.versions(connection, before, *where) if logical else []


@contextmanager
def _store_of(versions: Iterable[Version], patient: str, basis: Basis, zone: str) -> Iterator[Database]:
    """A store of its own with these versions, gone when it is left."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'then.db'}"
        migrate(url, zone)
        database = Database(url, clock=lambda: basis.decided)
        try:
            database.write_sync(lambda tx: _fill(tx, versions, patient, basis))
            yield database
        finally:
            database.close()


def _fill(tx: Transaction, versions: Iterable[Version], patient: str, basis: Basis) -> None:
    for status in basis.enrolments:
        policy.enrol(tx, patient, f"some-{status}", status)
    links = [{"patient": one, "other": two, "type": "seealso"}
             for other in basis.others for one, two in ((patient, other), (other, patient))]  # fmt: skip
    if links:
        tx.connection.execute(insert(patient_link), links)
    kept = list(versions)
    for one in kept:
        repository.put(tx, one.body, standing=one.standing, source_labels=one.source_labels)
    for one in kept:
        mine = (resource.c.type == one.type, resource.c.id == one.id)
        tx.connection.execute(update(resource).where(*mine).values(version=one.version))


# What is decided --------------------------------------------------------------------------------------------------


def _visibility(then: Connection, entry: Entry, basis: Basis, settings: ConsentSettings) -> Visibility:
    """What the requester might see of the patient."""
    claim = emergency.as_claimed(entry.emergency, f"Patient/{entry.patient}") if entry.emergency else None
    organization = (entry.organization or "").removeprefix("Organization/")
    requester = Requester(
        entry.recipient, organization, entry.purpose, (), None, entry.request_id, basis.channel, claim
    )
    at = datetime.fromtimestamp(basis.decided / 1_000_000, UTC)
    recipient = parties.recipient(then, organization, frozenset(basis.classes), at)
    request = Request(recipient, entry.purpose, requester.action, basis.channel, at)
    if claim is not None:
        person = emergency.recipient(then, claim, recipient)
        request = replace(request, recipient=person, emergency=emergency.as_asked(claim, str(entry.patient)))
    return compile_visibility(request, policy.load(then, {str(entry.patient)}), settings, revision=0)


def _consents(basis: Basis, found: past.Read) -> Iterator[str]:
    """The Consents that were read, against those that the history has of that time."""
    read, there = dict(basis.consents), dict(found.consents)
    for reference in sorted(read.keys() | there.keys()):
        if reference not in there:
            yield f"{reference} was read, and is not in the history"
        elif reference not in read:
            yield f"{reference} is in the history, and was not read"
        elif read[reference] != there[reference]:
            yield f"{reference} was changed"


def _resources(then: Connection, entry: Entry, visibility: Visibility) -> Iterator[str]:
    for reference in entry.resources:
        kind, _, logical = bare(reference).partition("/")
        stored = repository.read(then, kind, logical, visibility)
        if stored is None or show(stored, visibility) is None:
            yield f"{reference} would not be released"


def _under(entry: Entry, visibility: Visibility) -> Iterator[str]:
    under = released_under(visibility, str(entry.patient))
    if entry.resources and under != entry.consents:
        yield f"it would be released under {', '.join(under) or 'nothing'}"
