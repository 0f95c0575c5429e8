"""The label tables have changed: everything is labelled by the new ones before they decide anything.

The store knows by which tables it is labelled. While they are not those of this program, nothing is answered
outside (``visibility``); a worker labels everything anew, batch by batch, and goes on where it was when stopped.
A label that a resource carries, or has from its source, stays; one that only the old tables gave it goes with them.
(Consent specification §2.3; docs/decisions/0271)
"""

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from fhirgw.consent.labels import TABLE_VERSION
from fhirgw.store import policy
from fhirgw.store.database import Transaction
from fhirgw.store.held import held
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import labelling, policy_revision, resource

_STATE = Prepared(select(labelling.c.label_table, labelling.c.reached))
_REVISION = select(policy_revision.c.revision).where(policy_revision.c.patient == policy.STORE).scalar_subquery()
_STANDING = Prepared(select(labelling.c.label_table, labelling.c.reached, _REVISION))
_NEXT = Prepared(
    select(resource.c.pk, resource.c.type, resource.c.id)
    .where(resource.c.pk > bindparam("reached"))
    .order_by(resource.c.pk)
    .limit(bindparam("most"))
)


def is_done(connection: Connection) -> bool:
    """Whether all is labelled by the tables of this program, and by no others."""
    return _STATE.rows(connection) == [(TABLE_VERSION, None)]


def revision(connection: Connection) -> int | None:
    """The policy revision of a store of which all is labelled, in one look at both; None of another."""
    rows = _STANDING.rows(connection)
    return rows[0][2] or 0 if [row[:2] for row in rows] == [(TABLE_VERSION, None)] else None


def left(connection: Connection) -> int:
    """How many resources are still to be labelled anew."""
    if is_done(connection):
        return 0
    table, reached = _STATE.rows(connection)[0]
    behind = (reached or 0) if table == TABLE_VERSION else 0
    return connection.scalar(select(func.count()).where(resource.c.pk > behind)) or 0


def relabel(tx: Transaction, most: int) -> int:
    """Label the next resources anew; how many: 0, when all are."""
    if is_done(tx.connection):
        return 0
    table, reached = _STATE.rows(tx.connection)[0]
    if table != TABLE_VERSION:
        tx.connection.execute(delete(labelling))
        tx.connection.execute(insert(labelling).values(label_table=TABLE_VERSION, reached=0))
        reached = 0
    rows = _NEXT.rows(tx.connection, reached=reached, most=most)
    unit = held(tx)
    unit.spread([key for key in ((kind, logical) for _, kind, logical in rows) if unit.relabel(key)])
    upto = rows[-1][0] if rows else None
    tx.connection.execute(update(labelling).values(reached=upto))
    if upto is None:
        policy.bump(tx)
    return len(rows)
