"""The repository: current resources, their versions, and everything that is derived from them on write."""

import hashlib
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from operator import attrgetter

import orjson
from sqlalchemy import Connection, bindparam, select

from fhirgw.consent.labels import TABLE_VERSION
from fhirgw.consent.model import Json
from fhirgw.consent.predicate import Facts, Predicate, Visibility, holds
from fhirgw.errors import VersionConflict
from fhirgw.store import candidates, consent_clock, endings, index, parties, policy, task_clock
from fhirgw.store.compartment import FOLLOWERS, place
from fhirgw.store.database import Transaction
from fhirgw.store.held import CURRENT, DV_TYPES, held, level
from fhirgw.store.predicate import Projection, project, resource_visible
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import guard_need, label_group, search_reference
from fhirgw.store.schema import history as version_table
from fhirgw.store.schema import resource as table
from fhirgw.store.stored import Row, Stored, columns, content, instant, labels_of, stored

__all__ = ["Stored", "current", "delete", "exists", "instant", "levels", "put", "put_all", "read"]

_UNSET: Json = {"pk": 0, "version": 0, "updated_at": 0, "guard": 0}
"""What ``Held`` knows of a row, and nobody before it."""
_OF_PATIENT = Prepared(  # not ordered: SQLite would walk everybody's resources of the type for that
    select(table).where(
        table.c.patient == bindparam("of"), table.c.type == bindparam("kind"), table.c.deleted.is_(False)
    )
)
_BROUGHT_FOR = Prepared(
    select(table.c.patient)
    .join(search_reference, search_reference.c.resource == table.c.pk)
    .where(search_reference.c.target_id == bindparam("logical"))
    .where(search_reference.c.target_type == bindparam("kind"), table.c.patient.is_not(None))
    .distinct()
    .limit(bindparam("most"))
)
_NEEDS = Prepared(
    select(guard_need.c.type, guard_need.c.labels, guard_need.c.conf).where(
        guard_need.c.kind == bindparam("kind"), guard_need.c.guard == bindparam("guard")
    )
)
_GROUPS = Prepared(
    select(label_group.c.guard, label_group.c.changed_at).where(label_group.c.resource == bindparam("owner"))
)
_KNOWN: dict[tuple[str, int], tuple[Facts, ...]] = {}
_GUARDS = 4096
"""Guards whose needs are remembered: most resources of a type share one or two."""


def put(
    tx: Transaction,
    resource: Json,
    *,
    standing: str | None = None,
    source_labels: int | None = None,
    if_match: int | None = None,
    admit: Callable[[Stored | None], bool] | None = None,
) -> Stored:
    """Store a resource under its type and id; the same content again changes nothing.

    Labels, index rows, label groups and history are written with it; what refers to it is labelled anew; a
    Consent, or somebody whom consents name, moves the policy revision.

    Args:
        tx: The unit of work.
        resource: With ``resourceType`` and ``id``; ``meta.versionId`` and ``meta.lastUpdated`` are ignored.
        standing: For a patient-free resource, ``registry`` or ``derived``; None keeps it, or decides by type.
        source_labels: Sensitivity bits of everything from this source; None keeps those it has. What is about
            nobody has those alone that all of its sources give it: a source adds nothing to what is known without.
        if_match: The version that must be current.
        admit: Asked only where something would change, with what is there: False keeps that. It may raise.

    Raises:
        VersionConflict: ``if_match`` is not current.
    """
    unit, kind, logical = held(tx), resource["resourceType"], resource["id"]
    before = unit.row((kind, logical))
    live = before is not None and not before.deleted
    if if_match is not None and (before is None or not live or before.version != if_match):
        raise VersionConflict("The resource was changed since you read it.")
    body = content(resource)
    written = orjson.dumps(body)
    digest = before.hash if before is not None and live and before.body == written else _digest(body)
    same = before is not None and live and before.hash == digest
    if standing is None and before is not None and before.standing == "registry":
        standing = before.standing
    source_labels = _source_labels(before if live else None, source_labels)
    if (
        before is not None
        and same
        and _as_labelled(before, standing, source_labels)
        and _in_place(tx, before, body)
    ):
        return stored(before)
    kept = stored(before) if admit and before is not None and live else None
    if admit and not admit(kept) and kept:
        return kept
    patient, standing = place(body, standing, unit.patient_of)
    labels = unit.label(body, patient, source_labels)
    row = Row(
        **_UNSET,
        type=kind,
        id=logical,
        deleted=False,
        patient=patient,
        standing=standing,
        source_labels=source_labels,
        label_table=TABLE_VERSION,
        **columns(labels),
        hash=digest,
        body=before.body if before is not None and same else written,
    )
    # What is registered is new from then on: when care brought it here says something of that care.
    # In another patient's record it is new as well: there, nothing was before.
    moved = before is not None and (before.standing, before.patient) != (standing, patient)
    changed = not same or moved
    row = unit.keep(before, row, body, labels, new_version=changed)
    if before is None or not live or moved or (before.labels, before.conf) != (labels.labels, labels.conf):
        unit.spread([(kind, logical)])
    _effects(tx, kind, logical, before, patient, body)
    if changed:
        _named_changed(tx, kind, logical, patient)
    return stored(row)


def _digest(body: Json) -> bytes:
    """Of the content: in what order its members stand does not count."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()


def _named_changed(tx: Transaction, kind: str, logical: str, patient: str | None) -> None:
    """A rule of the patient names this resource: what it refers to is marked by that."""
    if patient is not None and f"{kind}/{logical}" in held(tx).marks(patient).named():
        _relabel(tx, patient)


def _source_labels(before: Row | None, given: int | None) -> int:
    """What the sources of a resource give it."""
    if before is None:
        return given or 0
    if given is None:
        return before.source_labels
    return given & before.source_labels if before.standing in ("derived", "registry") else given


def _as_labelled(before: Row, standing: str | None, source_labels: int) -> bool:
    """Whether nothing but the content could have changed the labels since: changed targets have been spread."""
    return (
        before.label_table == TABLE_VERSION
        and before.source_labels == source_labels
        and standing in (None, before.standing)
    )


def _in_place(tx: Transaction, before: Row, body: Json) -> bool:
    """Whether it still belongs where it was put: what it is about may have moved to another patient."""
    if before.type not in FOLLOWERS:
        return True
    patient, _ = place(body, before.standing, held(tx).patient_of)
    return patient == before.patient


def put_all(tx: Transaction, resources: Iterable[Json], *, source_labels: int | None = None) -> list[Stored]:
    """Store several resources, each after those of them that it refers to, so that each is labelled once."""
    waiting = {f"{one['resourceType']}/{one['id']}": one for one in resources}
    stored: list[Stored] = []

    def store(reference: str) -> None:
        resource = waiting.pop(reference)
        for target in sorted(index.references(resource)):
            if target in waiting:
                store(target)
        stored.append(put(tx, resource, source_labels=source_labels))

    while waiting:
        store(next(iter(waiting)))
    return stored


def delete(tx: Transaction, kind: str, logical: str, *, if_match: int | None = None) -> Stored | None:
    """Delete a resource: a version without content remains. None when there was nothing to delete.

    Raises:
        VersionConflict: ``if_match`` is not current.
    """
    unit = held(tx)
    before = unit.row((kind, logical))
    if before is None or before.deleted:
        return None
    if if_match is not None and before.version != if_match:
        raise VersionConflict("The resource was changed since you read it.")
    body: Json = {"resourceType": kind, "id": logical}
    row = before._replace(deleted=True, hash=b"", body=orjson.dumps(body))
    row = unit.keep(before, row, None, labels_of(before), new_version=True)
    unit.spread([(kind, logical)])
    _effects(tx, kind, logical, before, before.patient, None)
    _named_changed(tx, kind, logical, before.patient)
    return stored(row)


def read(connection: Connection, kind: str, logical: str, visibility: Visibility) -> Stored | None:
    """The current version, or None where there is nothing that may be seen.

    Inside the programme a deleted resource is returned as such; outside it is as if it had never been.
    """
    row = _row(connection, kind, logical)
    if row is None or not _visible(connection, row, visibility):
        return None
    if visibility.inside or row.standing == "registry":
        return None if row.deleted and not visibility.inside else stored(row)
    if row.deleted:
        return None
    return stored(row, _shown(connection, row, visibility) if row.standing == "member" else 0)


def _visible(connection: Connection, row: Row, visibility: Visibility) -> bool:
    """``predicate.resource_visible`` for one row: decided here where the row alone decides."""
    whole = Facts(row.type, row.labels, row.conf)
    if visibility.inside and any(
        one.programs is None and holds(one.predicate, whole) for one in visibility.unnamed
    ):
        return True
    if row.standing == "member" and not visibility.unnamed:
        grant = visibility.grant_for(row.patient)
        if grant is None or not holds(grant.predicate, whole):
            return False
        return _permitted(connection, row.type, row.guard, grant.predicate)
    seen, whose = project(visibility)
    return _seen_row(row.type, seen).first(connection, key=row.pk, **whose) is not None


@lru_cache(maxsize=256)
def _seen_row(kind: str, seen: Projection) -> Prepared:
    return Prepared(select(table.c.pk).where(table.c.pk == bindparam("key"), resource_visible(seen, kind, table)))


def _shown(connection: Connection, row: Row, visibility: Visibility) -> int:
    """``predicate.shown_at`` for one row."""
    predicate = visibility.predicate_for(row.patient)
    groups = _GROUPS.rows(connection, owner=row.pk)
    return max((at for guard, at in groups if _permitted(connection, row.type, guard, predicate)), default=0)


def _permitted(connection: Connection, kind: str, guard: int, predicate: Predicate) -> bool:
    """Every need of the guard is permitted; a guard that is not there permits nothing.

    A guard is a hash of its needs, so that what they are is remembered.
    """
    needs = _KNOWN.get((kind, guard))
    if needs is None:
        needs = tuple(Facts(*need) for need in _NEEDS.rows(connection, kind=kind, guard=guard))
        if needs:
            if len(_KNOWN) >= _GUARDS:
                _KNOWN.clear()
            _KNOWN[kind, guard] = needs
    return bool(needs) and all(holds(predicate, need) for need in needs)


def current(connection: Connection, kind: str, logical: str) -> Stored | None:
    """The current version for the gateway itself, no consent asked; None when absent or deleted."""
    row = _row(connection, kind, logical)
    return stored(row) if row is not None and not row.deleted else None


def present(tx: Transaction, kind: str, logical: str) -> Stored | None:
    """As ``current``, in a unit of work: with what it has put, and without writing that first."""
    row = held(tx).row((kind, logical))
    return stored(row) if row is not None and not row.deleted else None


def last(tx: Transaction, kind: str, logical: str) -> Stored | None:
    """As ``present``, deleted or not; None of what never was."""
    row = held(tx).row((kind, logical))
    return stored(row) if row is not None else None


def compartment(connection: Connection, patient: str) -> list[Stored]:
    """Everything current of one patient, for the privacy officer."""
    found = select(table).where(table.c.patient == patient, table.c.deleted.is_(False))
    return [stored(Row(*row)) for row in connection.execute(found.order_by(table.c.type, table.c.id))]


def of_patient(connection: Connection, patient: str, kind: str) -> list[Stored]:
    """Everything current of one type in a patient's compartment, for the gateway itself."""
    rows = (Row(*row) for row in _OF_PATIENT.rows(connection, of=patient, kind=kind))
    return [stored(row) for row in sorted(rows, key=attrgetter("id"))]


def referring(tx: Transaction, kind: str, logical: str, by: str) -> list[Stored]:
    """The resources of type ``by`` that refer to this one, for the gateway itself."""
    unit = held(tx)
    rows = [unit.row(key) for key in sorted(unit.referrers((kind, logical))) if key[0] == by]
    return [
        stored(row)
        for row in rows
        if row is not None
        and not row.deleted
        and (kind, logical) in index.targets(index.elements_of(orjson.loads(row.body)))
    ]


def brought_for(connection: Connection, kind: str, logical: str, most: int) -> frozenset[str]:
    """Patients whose records refer to a resource; no more than so many of them."""
    rows = _BROUGHT_FOR.rows(connection, kind=kind, logical=logical, most=most)
    return frozenset(patient for (patient,) in rows)


def known_since(connection: Connection, kind: str, logical: str) -> int:
    """When the resource was first written; now and later, where it never was."""
    first = select(version_table.c.updated_at).where(
        version_table.c.type == kind, version_table.c.id == logical, version_table.c.version == 1
    )
    return connection.scalar(first) or 0


def exists(connection: Connection, kind: str, logical: str) -> bool:
    """Whether there is such a resource, not deleted; for the gateway itself."""
    return level(connection, kind, logical) is not None


def levels(connection: Connection, kind: str, logical: str) -> tuple[int, int] | None:
    """Labels and confidentiality of the resource as a whole, for the gateway itself; None when there is none."""
    found = level(connection, kind, logical)
    return (found[0], found[1]) if found is not None else None


def _effects(
    tx: Transaction, kind: str, logical: str, before: Row | None, patient: str | None, body: Json | None
) -> None:
    """What the policy, and who looks for people, have to know of a changed resource."""
    if kind == "Patient":
        candidates.keep(tx, logical, body)
    elif kind == "Consent":
        policy.consent_changed(tx, patient, logical, body)
        was = orjson.loads(before.body) if before is not None and not before.deleted else {}
        if patient and _is_active(was) and not _is_active(body or {}):
            endings.note(tx, patient, logical)
        if before is not None and before.patient not in (None, patient):
            policy.bump(tx, before.patient)
        bodies = [body] if body else []
        bodies += [orjson.loads(before.body)] if before is not None else []
        if patient and any(policy.is_dv_safety_list(one) for one in bodies):
            _relabel(tx, patient, DV_TYPES)
        for one in {patient, before.patient if before is not None else None} - {None}:
            consent_clock.note(tx, str(one), tx.now)
            _settle_marks(tx, str(one))
    elif kind in parties.ACTORS and (kind in policy.ORGANIZED or held(tx).referrers((kind, logical))):
        was = orjson.loads(before.body) if before is not None and not before.deleted else None
        policy.actor_changed(tx, kind, logical, was)
        if before is not None and policy.any_marks(tx.connection):  # rules about authors ask who they are
            held(tx).spread([(kind, logical)])
    elif kind == "Task":
        task_clock.note(tx, logical, body)


def _is_active(consent: Json) -> bool:
    return consent.get("status") == "active"


def settle(tx: Transaction, patient: str) -> None:
    """The patient was merged or linked with another, or parted from one: their Consents label both records."""
    _relabel(tx, patient, DV_TYPES)
    _settle_marks(tx, patient)


def _settle_marks(tx: Transaction, patient: str) -> None:
    """Mark records anew whose Consents, or those of records joined with them, single out something else now."""
    for one in (patient, *sorted(policy.linked(tx.connection, patient))):
        if policy.note_marks(tx, one):
            held(tx).forget_marks(one)
            _relabel(tx, one)


def _relabel(tx: Transaction, patient: str, kinds: Collection[str] | None = None) -> None:
    """Label everything of a patient anew, or what is of these types; after a DV safety list came or went, say."""
    found = select(table.c.type, table.c.id).where(table.c.patient == patient, table.c.deleted.is_(False))
    if kinds is not None:
        found = found.where(table.c.type.in_(kinds))
    keys = [(row.type, row.id) for row in tx.connection.execute(found)]
    unit = held(tx)
    unit.spread([key for key in keys if unit.relabel(key)])


def _row(connection: Connection, kind: str, logical: str) -> Row | None:
    found = CURRENT.first(connection, kind=kind, logical=logical)
    return Row(*found) if found is not None else None
