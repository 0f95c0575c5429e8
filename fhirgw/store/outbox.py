"""What is to be sent: a row says that something happened; what of it may be told is decided when it is sent."""

from dataclasses import dataclass

from sqlalchemy import Connection, Integer, bindparam, func, insert, select, update

from fhirgw.store.database import Transaction, microseconds
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import outbox

_PUT = Prepared(insert(outbox), tuple(column.name for column in outbox.c if column.name != "id"))
_DUE = Prepared(
    select(outbox)
    .where(outbox.c.state == "due", outbox.c.due_at <= bindparam("now"))
    .order_by(outbox.c.due_at, outbox.c.id)
    .limit(bindparam("most", type_=Integer))
)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that happened, for one client it may concern.

    Attributes:
        focus: ``Encounter/id``.
        detail: The event code.
        state: due, sent, withheld, failed.
    """

    id: int
    created_at: int
    kind: str
    patient: str
    focus: str
    detail: str
    client: str
    state: str
    attempts: int
    due_at: int


def put(tx: Transaction, *, kind: str, patient: str, focus: str, detail: str, client: str) -> None:
    """Note something to be sent, in the transaction that made it true."""
    row = {"kind": kind, "patient": patient, "focus": focus, "detail": detail, "client": client}
    at = {"created_at": tx.now, "due_at": tx.now, "state": "due", "attempts": 0}
    _PUT.run(tx.connection, [row | at])


def due(connection: Connection, limit: int = 16, *, now: int | None = None) -> list[Row]:
    """What is to be sent now, the longest due first.

    Args:
        connection: To read from.
        limit: How many at most.
        now: Microseconds; None: the system clock.
    """
    found = _DUE.rows(connection, now=microseconds() if now is None else now, most=limit)
    return [Row(*row) for row in found]


def counts(connection: Connection) -> dict[str, int]:
    """How many rows are in each state."""
    found = select(outbox.c.state, func.count()).group_by(outbox.c.state)
    return {row[0]: row[1] for row in connection.execute(found)}


def mark(tx: Transaction, key: int, state: str, delay: int = 0) -> None:
    """Note an attempt: ``sent``, ``withheld``, ``failed``, or ``due`` again after a delay in microseconds."""
    values = {"state": state, "attempts": outbox.c.attempts + 1, "due_at": tx.now + delay}
    tx.connection.execute(update(outbox).where(outbox.c.id == key).values(values))
