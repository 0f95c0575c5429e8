"""The label tables have changed: everything is labelled by the new ones before they decide anything.

The store knows by which tables it is labelled, and how and in which zone its policies were read (``basis``).
While that is not as this program has it, nothing is answered outside (``visibility``); a worker labels everything
anew, and reads all policies anew, batch by batch, and goes on where it was when stopped. A label that a resource
carries, or has from its source, stays; one that only the old tables gave it goes with them.
(Consent specification §2.3; docs/decisions/0271, 0358)
"""

from sqlalchemy import Connection, bindparam, func, select, update

from fhirgw.store import basis, policy
from fhirgw.store.database import Transaction
from fhirgw.store.held import held
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import labelling, policy_revision, resource

_STATE = Prepared(select(labelling.c.label_table, labelling.c.reached))
_REVISION = select(policy_revision.c.revision).where(policy_revision.c.patient == policy.STORE).scalar_subquery()
_STANDING = Prepared(select(labelling.c.label_table, labelling.c.reached, _REVISION))
_NEXT = Prepared(
    select(resource.c.pk, resource.c.type, resource.c.id, resource.c.patient)
    .where(resource.c.pk > bindparam("reached"))
    .order_by(resource.c.pk)
    .limit(bindparam("most"))
)


def is_done(connection: Connection) -> bool:
    """Whether all is labelled, and every policy read, as this program does, and by no other."""
    [(stated, reached)] = _STATE.rows(connection)
    return _is_ours(stated) and reached is None


def revision(connection: Connection, zone: str | None = None) -> int | None:
    """The policy revision of a store of which that is so, in one look at both; None of another.

    Args:
        connection: To read from.
        zone: In which policies are to be read; None: whichever.
    """
    [(stated, reached, found)] = _STANDING.rows(connection)
    there = reached is None and (_is_ours(stated) if zone is None else stated == basis.of(zone))
    return found or 0 if there else None


def _is_ours(stated: str) -> bool:
    return stated == basis.of(stated.rpartition(" ")[2])


def left(connection: Connection) -> int:
    """How many resources are still to be labelled anew."""
    if is_done(connection):
        return 0
    [(stated, reached)] = _STATE.rows(connection)
    behind = (reached or 0) if _is_ours(stated) else 0
    return connection.scalar(select(func.count()).where(resource.c.pk > behind)) or 0


def adopt(tx: Transaction, zone: str) -> None:
    """Read policies in this zone from now on: all is to be made anew, if it is another one."""
    if basis.zone(tx.connection) != zone:
        basis.state(tx.connection, zone, 0)


def relabel(tx: Transaction, most: int) -> int:
    """Label the next resources anew, and read the policies of whom they are; how many: 0, when all are."""
    if is_done(tx.connection):
        return 0
    [(stated, reached)] = _STATE.rows(tx.connection)
    if not _is_ours(stated):
        basis.state(tx.connection, basis.zone(tx.connection), 0)
        reached = 0
    rows = _NEXT.rows(tx.connection, reached=reached, most=most)
    for whose in sorted({whose for _, kind, _, whose in rows if whose and kind in ("Consent", "Patient")}):
        policy.read_anew(tx, whose)
    unit = held(tx)
    unit.spread([key for key in ((kind, logical) for _, kind, logical, _ in rows) if unit.relabel(key)])
    upto = rows[-1][0] if rows else None
    tx.connection.execute(update(labelling).values(reached=upto))
    if upto is None:
        policy.bump(tx)
    return len(rows)
