"""The repository: current resources, their versions, and everything that is derived from them on write."""

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, and_, bindparam, insert, select, update
from sqlalchemy.engine import Row

from fhirgw.consent.labels import ElementLabel, LabelContext, Labels, label
from fhirgw.consent.model import Json
from fhirgw.consent.predicate import Visibility
from fhirgw.errors import VersionConflict
from fhirgw.store import index, policy
from fhirgw.store.compartment import place
from fhirgw.store.database import Transaction
from fhirgw.store.predicate import resource_visible, shown_at
from fhirgw.store.schema import history as version_table
from fhirgw.store.schema import resource as table
from fhirgw.store.schema import search_reference

_DV_TYPES = ("Patient", "RelatedPerson")
_VISITS = 3  # of one resource in a cycle; then its labels only rise, so that it ends

_CURRENT = select(table).where(table.c.type == bindparam("kind"), table.c.id == bindparam("logical"))
_BY_PK = select(table).where(table.c.pk == bindparam("key"))
_SEEN = select(table.c.labels, table.c.conf, table.c.patient).where(
    table.c.type == bindparam("kind"), table.c.id == bindparam("logical"), table.c.deleted.is_(False)
)
_REFERRERS = (
    select(search_reference.c.resource)
    .where(
        search_reference.c.target_id == bindparam("logical"), search_reference.c.target_type == bindparam("kind")
    )
    .distinct()
)
_INSERT = insert(table)
_VERSION = insert(version_table)
_UPDATE = update(table).where(table.c.pk == bindparam("key"))
_RELABEL = _UPDATE.values(
    labels=bindparam("new_labels"), conf=bindparam("new_conf"), elements=bindparam("new_elements")
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource as it is kept.

    Attributes:
        updated_at: Microseconds; for an outside visibility, of the last visible change.
        patient: Whose compartment it is in; None: nobody's, or several people's.
        standing: ``compartment.Standing``.
        labels: Of the resource and its elements.
        body: With ``meta.versionId`` and ``meta.lastUpdated``.
    """

    type: str
    id: str
    version: int
    updated_at: int
    deleted: bool
    patient: str | None
    standing: str
    labels: Labels
    body: Json


def put(
    tx: Transaction,
    resource: Json,
    *,
    standing: str | None = None,
    source_labels: int = 0,
    if_match: int | None = None,
) -> Stored:
    """Store a resource under its type and id; the same content again changes nothing.

    Labels, index rows, label groups and history are written with it; what refers to it is labelled anew; a
    Consent, or somebody whom consents name, moves the policy revision.

    Args:
        tx: The unit of work.
        resource: With ``resourceType`` and ``id``; ``meta.versionId`` and ``meta.lastUpdated`` are ignored.
        standing: For a patient-free resource, ``registry`` or ``derived``; None keeps it, or decides by type.
        source_labels: Sensitivity bits of everything from this source.
        if_match: The version that must be current.

    Raises:
        VersionConflict: ``if_match`` is not current.
    """
    connection, kind, logical = tx.connection, resource["resourceType"], resource["id"]
    before = connection.execute(_CURRENT, {"kind": kind, "logical": logical}).first()
    live = before is not None and not before.deleted
    if if_match is not None and (before is None or not live or before.version != if_match):
        raise VersionConflict("The resource was changed since you read it.")
    body = _content(resource)
    if standing is None and before is not None and before.standing == "registry":
        standing = before.standing
    patient, standing = place(body, standing, lambda of, at: _patient_of(connection, of, at))
    labels = _label(connection, body, patient, source_labels)
    facts = {
        "patient": patient,
        "standing": standing,
        "source_labels": source_labels,
        "hash": hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest(),
        **_columns(labels),
    }
    if before is not None and live and all(getattr(before, name) == value for name, value in facts.items()):
        return _stored(before)
    same = before is not None and live and before.hash == facts["hash"]
    raw = before.body if before is not None and same else orjson.dumps(body)
    row = {"type": kind, "id": logical, "deleted": False, "body": raw, **facts}
    pk, version, at = _keep(tx, before, row, new_version=not same)
    index.replace(connection, pk, kind, body, labels, tx.now, new=before is None)
    if before is None or not live or (before.labels, before.conf) != (labels.labels, labels.conf):
        _spread(tx, [(kind, logical)])
    _effects(tx, kind, logical, before, patient, body)
    return Stored(kind, logical, version, at, False, patient, standing, labels, _dated(body, version, at))


def put_all(tx: Transaction, resources: Iterable[Json], *, source_labels: int = 0) -> list[Stored]:
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
    before = tx.connection.execute(_CURRENT, {"kind": kind, "logical": logical}).first()
    if before is None or before.deleted:
        return None
    if if_match is not None and before.version != if_match:
        raise VersionConflict("The resource was changed since you read it.")
    body: Json = {"resourceType": kind, "id": logical}
    copied = ("patient", "standing", "source_labels", "labels", "conf", "elements")
    row = {"type": kind, "id": logical, "deleted": True, "hash": b"", "body": orjson.dumps(body)}
    row |= {name: getattr(before, name) for name in copied}
    pk, version, at = _keep(tx, before, row, new_version=True)
    labels = _labels(before)
    index.replace(tx.connection, pk, kind, None, labels, tx.now, new=False)
    _spread(tx, [(kind, logical)])
    _effects(tx, kind, logical, before, before.patient, None)
    return Stored(
        kind, logical, version, at, True, before.patient, before.standing, labels, _dated(body, version, at)
    )


def read(connection: Connection, kind: str, logical: str, visibility: Visibility) -> Stored | None:
    """The current version, or None where there is nothing that may be seen.

    Inside the programme a deleted resource is returned as such; outside it is as if it had never been.
    """
    found = select(table, shown_at(visibility, kind, table).label("shown")).where(
        table.c.type == kind, table.c.id == logical, resource_visible(visibility, kind, table)
    )
    if not visibility.inside:
        found = found.where(table.c.deleted.is_(False))
    row = connection.execute(found).first()
    return _stored(row, row.shown or 0) if row is not None else None


def current(connection: Connection, kind: str, logical: str) -> Stored | None:
    """The current version for the gateway itself, no consent asked; None when absent or deleted."""
    row = connection.execute(_CURRENT, {"kind": kind, "logical": logical}).first()
    return _stored(row) if row is not None and not row.deleted else None


def exists(connection: Connection, kind: str, logical: str) -> bool:
    """Whether there is such a resource, not deleted; for the gateway itself."""
    return connection.execute(_SEEN, {"kind": kind, "logical": logical}).first() is not None


def history(connection: Connection, kind: str, logical: str | None, visibility: Visibility) -> list[Stored]:
    """The versions of what is visible now, newest first, each labelled by the tables and targets of today.

    Outside the programme the caller still has to judge and redact each version, and to drop those in which
    nothing visible changed.
    """
    versions = version_table
    found = (
        select(versions, table.c.source_labels)
        .join(table, and_(table.c.type == versions.c.type, table.c.id == versions.c.id))
        .where(versions.c.type == kind, resource_visible(visibility, kind, table))
        .order_by(versions.c.updated_at.desc(), versions.c.id, versions.c.version.desc())
    )
    if logical is not None:
        found = found.where(versions.c.id == logical)
    if not visibility.inside:
        # A version that was about somebody else is not released under this patient's consent.
        found = found.where(table.c.deleted.is_(False), versions.c.patient.is_not_distinct_from(table.c.patient))
    return [_version(connection, row) for row in connection.execute(found)]


def stored_at(row: Row[Any], shown: int | None) -> Stored:
    """A selected row of table ``resource``, with the instant that may be shown."""
    return _stored(row, shown or 0)


def _version(connection: Connection, row: Row[Any]) -> Stored:
    body = orjson.loads(row.body)
    labels = (
        Labels(row.labels, row.conf) if row.deleted else _label(connection, body, row.patient, row.source_labels)
    )
    return Stored(
        row.type, row.id, row.version, row.updated_at, row.deleted, row.patient, row.standing, labels,
        _dated(body, row.version, row.updated_at),
    )  # fmt: skip


def _keep(
    tx: Transaction, before: Row[Any] | None, row: dict[str, Any], *, new_version: bool
) -> tuple[int, int, int]:
    """Write the row, and its version if the content is new; (pk, version, updated_at)."""
    if before is None:
        version, at = 1, tx.now
    elif new_version:
        version, at = before.version + 1, tx.now
    else:
        version, at = before.version, before.updated_at
    row = {**row, "version": version, "updated_at": at}
    if before is None:
        pk = next(iter(tx.connection.execute(_INSERT, row).inserted_primary_key or ()))
    else:
        pk = before.pk
        tx.connection.execute(update(table).where(table.c.pk == pk).values(row))
    if new_version:
        tx.connection.execute(
            _VERSION,
            {name: row[name] for name in version_table.c.keys()},  # noqa: SIM118 - a column collection
        )
    return pk, version, at


def _effects(
    tx: Transaction, kind: str, logical: str, before: Row[Any] | None, patient: str | None, body: Json | None
) -> None:
    """What the policy has to know of a changed resource."""
    if kind == "Consent":
        policy.consent_changed(tx, patient, logical, body)
        if before is not None and before.patient not in (None, patient):
            policy.bump(tx, before.patient)
        bodies = [body] if body else []
        bodies += [orjson.loads(before.body)] if before is not None else []
        if patient and any(policy.is_dv_safety_list(one) for one in bodies):
            _relabel_whereabouts(tx, patient)
    elif kind in policy.ACTORS:
        policy.actor_changed(tx, kind, logical)


def _relabel_whereabouts(tx: Transaction, patient: str) -> None:
    """A DV safety list came or went: what tells where the patient is, is labelled anew."""
    keys = select(table.c.pk).where(
        table.c.patient == patient, table.c.type.in_(_DV_TYPES), table.c.deleted.is_(False)
    )
    changed = [
        (row.type, row.id)
        for pk in tx.connection.scalars(keys).all()
        if (row := _relabel(tx, pk, raise_only=False)) is not None
    ]
    _spread(tx, changed)


def _spread(tx: Transaction, changed: Sequence[tuple[str, str]]) -> None:
    """Label anew whatever refers to these resources, and what refers to that if its own labels moved."""
    pending, visits = deque(changed), dict[int, int]()
    while pending:
        kind, logical = pending.popleft()
        for pk in tx.connection.scalars(_REFERRERS, {"kind": kind, "logical": logical}).all():
            visits[pk] = visits.get(pk, 0) + 1
            moved = _relabel(tx, pk, raise_only=visits[pk] > _VISITS)
            if moved is not None:
                pending.append((moved.type, moved.id))


def _relabel(tx: Transaction, pk: int, *, raise_only: bool) -> Row[Any] | None:
    """Label a stored resource anew; the row if the labels of the resource itself changed.

    Args:
        tx: The unit of work.
        pk: Of the resource.
        raise_only: Keep the labels that it has: in a cycle, labels that only rise come to rest.
    """
    row = tx.connection.execute(_BY_PK, {"key": pk}).one()
    body = orjson.loads(row.body)
    labels = _label(tx.connection, body, row.patient, row.source_labels)
    if raise_only:
        labels = Labels(labels.labels | row.labels, max(labels.conf, row.conf), labels.elements)
    columns = _columns(labels)
    if all(getattr(row, name) == value for name, value in columns.items()):
        return None
    tx.connection.execute(_RELABEL, {"key": pk, **{f"new_{name}": value for name, value in columns.items()}})
    index.replace(tx.connection, pk, row.type, body, labels, tx.now, new=False)
    return row if (row.labels, row.conf) != (labels.labels, labels.conf) else None


def _label(connection: Connection, body: Json, patient: str | None, source_labels: int) -> Labels:
    protected = body["resourceType"] in _DV_TYPES and patient is not None

    def target(reference: str) -> tuple[int, int] | None:
        kind, _, logical = reference.partition("/")
        found = connection.execute(_SEEN, {"kind": kind, "logical": logical}).first()
        return (found.labels, found.conf) if found is not None else None

    dv = protected and patient is not None and policy.dv_protected(connection, patient)
    return label(body, LabelContext(target, source_labels=source_labels, dv_protected=dv))


def _patient_of(connection: Connection, kind: str, logical: str) -> str | None:
    found = connection.execute(_SEEN, {"kind": kind, "logical": logical}).first()
    return found.patient if found is not None else None


def _content(resource: Json) -> Json:
    """The resource without what the store says of it."""
    meta = {
        name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")
    }
    if meta:
        return {**resource, "meta": meta}
    return {name: value for name, value in resource.items() if name != "meta"}


def _dated(body: Json, version: int, at: int) -> Json:
    said = {"versionId": str(version), "lastUpdated": instant(at)}
    head = {"resourceType": body["resourceType"], "id": body["id"], "meta": {**body.get("meta", {}), **said}}
    return head | {name: value for name, value in body.items() if name != "meta"}


def instant(at: int) -> str:
    """Microseconds as a FHIR instant, to the millisecond."""
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _columns(labels: Labels) -> dict[str, Any]:
    elements = orjson.dumps([[one.path, one.labels, one.conf, one.target] for one in labels.elements])
    return {"labels": labels.labels, "conf": labels.conf, "elements": elements}


def _labels(row: Row[Any]) -> Labels:
    elements = (
        ElementLabel(tuple(path), bits, conf, target) for path, bits, conf, target in orjson.loads(row.elements)
    )
    return Labels(row.labels, row.conf, tuple(elements))


def _stored(row: Row[Any], shown: int | None = None) -> Stored:
    at = row.updated_at if shown is None else shown
    return Stored(
        row.type, row.id, row.version, at, row.deleted, row.patient, row.standing, _labels(row),
        _dated(orjson.loads(row.body), row.version, at),
    )  # fmt: skip
