"""What was sent to an upstream server, as it is there."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.sql import and_, exists, or_

from fhirgw.store.database import Transaction
from fhirgw.store.mirror import NOBODY, Key, call
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import mirror_copy as copy_table
from fhirgw.store.schema import mirror_reference as reference_table

_COPY = Prepared(
    select(copy_table.c.digest, copy_table.c.version, copy_table.c.patient).where(
        copy_table.c.client == bindparam("of"),
        copy_table.c.type == bindparam("kind"),
        copy_table.c.id == bindparam("logical"),
    )
)


class Copy(NamedTuple):
    """What was sent of a resource: digest of the body (None: it was deleted), version there, whose it is."""

    digest: bytes | None
    version: str | None
    patient: str | None


class Written(NamedTuple):
    """A resource as the upstream server has it now: also what of it refers to what is about nobody."""

    key: Key
    patient: str | None
    digest: bytes
    version: str | None
    targets: frozenset[Key]


def copy(connection: Connection, client: str, key: Key) -> Copy | None:
    """What was sent of a resource; None: nothing ever."""
    row = _COPY.first(connection, of=client, kind=key[0], logical=key[1])
    return Copy(*row) if row else None


def copies(connection: Connection, client: str, patient: str | None = None) -> dict[Key, Copy]:
    """Everything that was sent, or what is a member's; also what was deleted since."""
    of = [copy_table.c.client == client] + ([copy_table.c.patient == patient] if patient is not None else [])
    found = connection.execute(select(copy_table).where(*of).order_by(copy_table.c.type, copy_table.c.id))
    return {(row.type, row.id): Copy(row.digest, row.version, row.patient) for row in found}


def unused(connection: Connection, client: str) -> list[Key]:
    """What is about nobody, and is there, and nothing that is there refers to it."""
    link = reference_table
    used = exists().where(
        and_(
            link.c.client == copy_table.c.client,
            link.c.target_type == copy_table.c.type,
            link.c.target_id == copy_table.c.id,
        )
    )
    of = (copy_table.c.client == client, copy_table.c.patient.is_(None), copy_table.c.digest.is_not(None), ~used)
    found = select(copy_table.c.type, copy_table.c.id).where(*of).order_by(copy_table.c.type, copy_table.c.id)
    return [(row.type, row.id) for row in connection.execute(found)]


def record(tx: Transaction, client: str, written: Sequence[Written], gone: Sequence[Key], *, outside: bool) -> None:
    """Keep what the upstream server has taken.

    Args:
        tx: The unit of work.
        client: Who has taken it.
        written: What it has stored.
        gone: What it has deleted.
        outside: Older versions of what was replaced or deleted should not be left there.
    """
    for one in written:
        known = copy(tx.direct, client, one.key)
        left = outside and known is not None and (known.digest is not None or _history_left(tx, client, one.key))
        _put(tx, client, one.key, patient=one.patient, digest=one.digest, version=one.version, history_left=left)
        rows = [_reference(client, one.key, target) for target in sorted(one.targets - {one.key})]
        if rows:
            tx.direct.execute(insert(reference_table), rows)
    for key in gone:
        known = copy(tx.direct, client, key)
        patient = known.patient if known else None
        _put(tx, client, key, patient=patient, digest=None, version=None, history_left=outside)
    if unused(tx.direct, client):
        call(tx, client, NOBODY)


def _history_left(tx: Transaction, client: str, key: Key) -> bool:
    return bool(tx.direct.scalar(select(copy_table.c.history_left).where(*_of(copy_table, client, key))))


def _put(tx: Transaction, client: str, key: Key, **values: Any) -> None:
    of = _of(copy_table, client, key)
    if not tx.direct.execute(update(copy_table).where(*of).values(values)).rowcount:
        row = {"client": client, "type": key[0], "id": key[1], "foreign_at": None}
        tx.direct.execute(insert(copy_table).values({**row, **values}))
    tx.direct.execute(delete(reference_table).where(*_of(reference_table, client, key)))


def _of(of: Any, client: str, key: Key) -> tuple[Any, ...]:
    return of.c.client == client, of.c.type == key[0], of.c.id == key[1]


def _reference(client: str, key: Key, target: Key) -> dict[str, str]:
    at = {"client": client, "type": key[0], "id": key[1]}
    return {**at, "target_type": target[0], "target_id": target[1]}


def found_otherwise(tx: Transaction, client: str, key: Key, version: str | None, *, foreign: bool) -> None:
    """Another version is there than was sent; what is sent next replaces it.

    Args:
        tx: The unit of work.
        client: Where.
        key: Of the resource.
        version: That is there; None: it is not there.
        foreign: It is somebody else's, not ours of which we had not heard the answer.
    """
    values: dict[str, Any] = {"version": version, "digest": b""} | ({"foreign_at": tx.now} if foreign else {})
    tx.direct.execute(update(copy_table).where(*_of(copy_table, client, key)).values(values))


def with_history(connection: Connection, client: str, patient: str | None = None) -> list[Key]:
    """Of what older versions are left upstream that should not be."""
    whose = [] if patient is None else [or_(copy_table.c.patient == patient, copy_table.c.patient.is_(None))]
    of = (copy_table.c.client == client, copy_table.c.history_left.is_(True), *whose)
    found = select(copy_table.c.type, copy_table.c.id).where(*of).order_by(copy_table.c.type, copy_table.c.id)
    return [(row.type, row.id) for row in connection.execute(found)]


def expunged(tx: Transaction, client: str, keys: Sequence[Key]) -> None:
    """No older version is left of these."""
    for key in keys:
        tx.direct.execute(update(copy_table).where(*_of(copy_table, client, key)).values(history_left=False))


def counts(connection: Connection, client: str) -> dict[str, int]:
    """Resources there, older versions left there, edits by others that were noticed."""
    there = func.count(copy_table.c.digest)
    left = func.count().filter(copy_table.c.history_left.is_(True))
    foreign = func.count(copy_table.c.foreign_at)
    row = connection.execute(select(there, left, foreign).where(copy_table.c.client == client)).one()
    return {"resources": row[0], "history_left": row[1], "foreign_edits": row[2]}
