"""The repository: current resources, their versions, and everything that is derived from them on write."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update

from fhirgw.consent.labels import TABLE_VERSION, LabelContext, Labels, label
from fhirgw.consent.model import Json
from fhirgw.consent.predicate import Facts, Visibility, holds
from fhirgw.errors import VersionConflict
from fhirgw.store import index, policy
from fhirgw.store.compartment import PATIENT_FREE, place
from fhirgw.store.database import Transaction
from fhirgw.store.predicate import Projection, project, resource_visible
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import guard_need, label_group, search_reference
from fhirgw.store.schema import history as version_table
from fhirgw.store.schema import resource as table
from fhirgw.store.stored import Row, Stored, columns, content, dated, instant, labels_of, stored

__all__ = ["Stored", "current", "delete", "exists", "history", "instant", "levels", "put", "put_all", "read"]

_DV_TYPES = ("Patient", "RelatedPerson")
_VISITS = 3  # of one resource in a cycle; then its labels only rise, so that it ends

_NAMES = tuple(column.name for column in table.c)
_VERSION_NAMES = tuple(column.name for column in version_table.c)
_CURRENT = Prepared(select(table).where(table.c.type == bindparam("kind"), table.c.id == bindparam("logical")))
_BY_PK = Prepared(select(table).where(table.c.pk == bindparam("key")))
_SEEN = Prepared(
    select(table.c.labels, table.c.conf, table.c.patient).where(
        table.c.type == bindparam("kind"), table.c.id == bindparam("logical"), table.c.deleted.is_(False)
    )
)
_REFERRERS = Prepared(
    select(search_reference.c.resource)
    .where(
        search_reference.c.target_id == bindparam("logical"), search_reference.c.target_type == bindparam("kind")
    )
    .distinct()
)
_INSERT = Prepared(insert(table).returning(table.c.pk), _NAMES[1:])
_UPDATE = Prepared(
    update(table)
    .where(table.c.pk == bindparam("key"))
    .values({name: bindparam(f"new_{name}") for name in _NAMES[1:]})
)
_VERSION = Prepared(insert(version_table), _VERSION_NAMES)
_NEEDS = Prepared(
    select(guard_need.c.type, guard_need.c.labels, guard_need.c.conf).where(
        guard_need.c.kind == bindparam("kind"), guard_need.c.guard == bindparam("guard")
    )
)
_GROUPS = Prepared(
    select(label_group.c.guard, label_group.c.changed_at, guard_need.c.type, guard_need.c.labels, guard_need.c.conf)
    .join(guard_need, guard_need.c.guard == label_group.c.guard)
    .where(guard_need.c.kind == bindparam("kind"), label_group.c.resource == bindparam("owner"))
)


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
    connection, kind, logical = tx.connection, resource["resourceType"], resource["id"]
    before = _row(connection, kind, logical)
    live = before is not None and not before.deleted
    if if_match is not None and (before is None or not live or before.version != if_match):
        raise VersionConflict("The resource was changed since you read it.")
    body = content(resource)
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()
    if standing is None and before is not None and before.standing == "registry":
        standing = before.standing
    source_labels = _source_labels(before if live else None, source_labels)
    same = before is not None and live and before.hash == digest
    if before is not None and same and _as_labelled(before, standing, source_labels):
        return stored(before)
    kept = stored(before) if admit and before is not None and live else None
    if admit and not admit(kept) and kept:
        return kept
    patient, standing = place(body, standing, lambda of, at: _patient_of(connection, of, at))
    labels = _label(connection, body, patient, source_labels)
    row = {"type": kind, "id": logical, "deleted": False, "hash": digest, "source_labels": source_labels}
    guards = index.Guards(kind, labels)
    row |= {"patient": patient, "standing": standing, "label_table": TABLE_VERSION, **columns(labels)}
    row["guard"] = guards.required(body).id
    row["body"] = before.body if before is not None and same else orjson.dumps(body)
    # What is registered is new from then on: when care brought it here says something of that care.
    changed = not same or (before is not None and before.standing != standing)
    pk, version, at = _keep(tx, before, row, new_version=changed)
    index.replace(connection, pk, kind, body, guards, tx.now, new=before is None)
    if before is None or not live or (before.labels, before.conf) != (labels.labels, labels.conf):
        _spread(tx, [(kind, logical)])
    _effects(tx, kind, logical, before, patient, body)
    return Stored(kind, logical, version, at, False, patient, standing, labels, dated(body, version, at))


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
    before = _row(tx.connection, kind, logical)
    if before is None or before.deleted:
        return None
    if if_match is not None and before.version != if_match:
        raise VersionConflict("The resource was changed since you read it.")
    body: Json = {"resourceType": kind, "id": logical}
    copied = ("patient", "standing", "source_labels", "label_table", "labels", "conf", "guard", "elements")
    row = {"type": kind, "id": logical, "deleted": True, "hash": b"", "body": orjson.dumps(body)}
    row |= {name: getattr(before, name) for name in copied}
    pk, version, at = _keep(tx, before, row, new_version=True)
    labels = labels_of(before)
    index.replace(tx.connection, pk, kind, None, index.Guards(kind, labels), tx.now, new=False)
    _spread(tx, [(kind, logical)])
    _effects(tx, kind, logical, before, before.patient, None)
    return Stored(
        kind, logical, version, at, True, before.patient, before.standing, labels, dated(body, version, at)
    )


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
        one.patients is None and one.programs is None and holds(one.predicate, whole) for one in visibility.grants
    ):
        return True
    named = [one for one in visibility.grants if one.patients is not None]
    if row.standing == "member" and len(named) == len(visibility.grants):
        needs = [Facts(*need) for need in _NEEDS.rows(connection, kind=row.type, guard=row.guard)]
        return bool(needs) and any(
            row.patient in (one.patients or ())
            and holds(one.predicate, whole)
            and all(holds(one.predicate, need) for need in needs)
            for one in named
        )
    seen, whose = project(visibility)
    return _seen_row(row.type, seen).first(connection, key=row.pk, **whose) is not None


@lru_cache(maxsize=256)
def _seen_row(kind: str, seen: Projection) -> Prepared:
    return Prepared(select(table.c.pk).where(table.c.pk == bindparam("key"), resource_visible(seen, kind, table)))


def _shown(connection: Connection, row: Row, visibility: Visibility) -> int:
    """``predicate.shown_at`` for one row."""
    predicate = visibility.predicate_for(row.patient)
    changed: dict[int, int] = {}
    hidden: set[int] = set()
    for guard, at, *need in _GROUPS.rows(connection, owner=row.pk, kind=row.type):
        changed[guard] = at
        if not holds(predicate, Facts(*need)):
            hidden.add(guard)
    return max((at for guard, at in changed.items() if guard not in hidden), default=0)


def current(connection: Connection, kind: str, logical: str) -> Stored | None:
    """The current version for the gateway itself, no consent asked; None when absent or deleted."""
    row = _row(connection, kind, logical)
    return stored(row) if row is not None and not row.deleted else None


def compartment(connection: Connection, patient: str) -> list[Stored]:
    """Everything current of one patient, for the privacy officer."""
    found = select(table).where(table.c.patient == patient, table.c.deleted.is_(False))
    return [stored(Row(*row)) for row in connection.execute(found.order_by(table.c.type, table.c.id))]


def exists(connection: Connection, kind: str, logical: str) -> bool:
    """Whether there is such a resource, not deleted; for the gateway itself."""
    return levels(connection, kind, logical) is not None


def levels(connection: Connection, kind: str, logical: str) -> tuple[int, int] | None:
    """Labels and confidentiality of the resource as a whole, for the gateway itself; None when there is none."""
    found = _SEEN.first(connection, kind=kind, logical=logical)
    return (found[0], found[1]) if found is not None else None


def history(connection: Connection, kind: str, logical: str | None, visibility: Visibility) -> list[Stored]:
    """The versions of what is visible now, newest first, each labelled by the tables and targets of today.

    Outside the programme the caller still has to judge and redact each version, and to drop those in which
    nothing visible changed. There, nothing was ever deleted, and the current version is as ``read`` gives it.
    """
    versions = version_table
    seen, whose = project(visibility)
    found = (
        select(versions, table.c.source_labels, table.c.version.label("current"))
        .join(table, and_(table.c.type == versions.c.type, table.c.id == versions.c.id))
        .where(versions.c.type == kind, resource_visible(seen, kind, table))
        .order_by(versions.c.updated_at.desc(), versions.c.id, versions.c.version.desc())
    )
    if logical is not None:
        found = found.where(versions.c.id == logical)
    if not visibility.inside:
        # A version that was about somebody else is not released under this patient's consent.
        found = found.where(
            table.c.deleted.is_(False),
            versions.c.deleted.is_(False),
            versions.c.patient.is_not_distinct_from(table.c.patient),
            # What was not registered yet came from somebody's care, as did every version of what never was.
            versions.c.standing == table.c.standing,
            or_(table.c.standing != "derived", versions.c.version == table.c.version),
        )
    return [_version(connection, row, visibility) for row in connection.execute(found, whose)]


def _version(connection: Connection, row: Any, visibility: Visibility) -> Stored:
    if row.current == row.version and not visibility.inside:
        seen = read(connection, row.type, row.id, visibility)
        if seen is not None:
            return seen
    body = orjson.loads(row.body)
    labels = (
        Labels(row.labels, row.conf) if row.deleted else _label(connection, body, row.patient, row.source_labels)
    )
    return Stored(
        row.type, row.id, row.version, row.updated_at, row.deleted, row.patient, row.standing, labels,
        dated(body, row.version, row.updated_at),
    )  # fmt: skip


def _keep(tx: Transaction, before: Row | None, row: dict[str, Any], *, new_version: bool) -> tuple[int, int, int]:
    """Write the row, and its version if the content is new; (pk, version, updated_at)."""
    if before is None:
        version, at = 1, tx.now
    elif new_version:
        version, at = before.version + 1, tx.now
    else:
        version, at = before.version, before.updated_at
    row = {**row, "version": version, "updated_at": at}
    if before is None:
        pk = _INSERT.rows(tx.connection, **row)[0][0]
    else:
        pk = before.pk
        _UPDATE.run(tx.connection, [{"key": pk, **{f"new_{name}": value for name, value in row.items()}}])
    if new_version:
        _VERSION.run(tx.connection, [{name: row[name] for name in _VERSION_NAMES}])
    return pk, version, at


def _effects(
    tx: Transaction, kind: str, logical: str, before: Row | None, patient: str | None, body: Json | None
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
        for (pk,) in _REFERRERS.rows(tx.connection, kind=kind, logical=logical):
            visits[pk] = visits.get(pk, 0) + 1
            moved = _relabel(tx, pk, raise_only=visits[pk] > _VISITS)
            if moved is not None:
                pending.append((moved.type, moved.id))


def _relabel(tx: Transaction, pk: int, *, raise_only: bool) -> Row | None:
    """Label a stored resource anew; the row if the labels of the resource itself changed.

    Args:
        tx: The unit of work.
        pk: Of the resource.
        raise_only: Keep the labels that it has: in a cycle, labels that only rise come to rest.
    """
    row = Row(*_BY_PK.rows(tx.connection, key=pk)[0])
    body = orjson.loads(row.body)
    labels = _label(tx.connection, body, row.patient, row.source_labels)
    if raise_only:
        labels = Labels(labels.labels | row.labels, max(labels.conf, row.conf), labels.elements)
    fresh = columns(labels) | {"label_table": TABLE_VERSION}
    if all(getattr(row, name) == value for name, value in fresh.items()):
        return None
    guards = index.Guards(row.type, labels)
    kept = row._asdict() | fresh | {"guard": guards.required(body).id}
    _UPDATE.run(tx.connection, [{"key": pk, **{f"new_{name}": kept[name] for name in _NAMES[1:]}}])
    index.replace(tx.connection, pk, row.type, body, guards, tx.now, new=False)
    return row if (row.labels, row.conf) != (labels.labels, labels.conf) else None


def _label(connection: Connection, body: Json, patient: str | None, source_labels: int) -> Labels:
    protected = body["resourceType"] in _DV_TYPES and patient is not None

    def target(reference: str) -> tuple[int, int] | None:
        kind, _, logical = reference.partition("/")
        found = _SEEN.first(connection, kind=kind, logical=logical)
        if found is None or (kind not in PATIENT_FREE and found[2] != patient):
            return None  # somebody else's record: what they allow, this patient's consents do not say
        return found[0], found[1]

    dv = protected and patient is not None and policy.dv_protected(connection, patient)
    return label(body, LabelContext(target, source_labels=source_labels, dv_protected=dv))


def _patient_of(connection: Connection, kind: str, logical: str) -> str | None:
    found = _SEEN.first(connection, kind=kind, logical=logical)
    return found[2] if found is not None else None


def _row(connection: Connection, kind: str, logical: str) -> Row | None:
    found = _CURRENT.first(connection, kind=kind, logical=logical)
    return Row(*found) if found is not None else None
