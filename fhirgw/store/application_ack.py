"""Application acknowledgments of enhanced mode: made with the outcome of the processing, kept until they are out.

Law: a message has one. What was told once stays so, whatever a replay makes of the message later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, insert, select, update

from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import application_ack as table

_PUT = Prepared(insert(table), tuple(column.name for column in table.c))
_GET = Prepared(select(table).where(table.c.journal == bindparam("of")))
_MARK = Prepared(
    update(table)
    .where(table.c.journal == bindparam("of"))
    .values(state=bindparam("new"), attempts=table.c.attempts + 1, due_at=bindparam("next"))
)

_AGAIN = Prepared(
    update(table)
    .where(table.c.journal == bindparam("of"))
    .values(state="owed", attempts=0, due_at=bindparam("next"))
)


@dataclass(frozen=True, slots=True)
class Row:
    """One application ACK.

    Attributes:
        journal: The journal row that it is about.
        sender: Name in the senders file: who is to have it.
        code: MSA-1.
        state: owed, sent, failed.
        due_at: When the return address is tried next.
    """

    journal: int
    sender: str
    code: str
    body: bytes
    state: str
    attempts: int
    due_at: int


def put(tx: Transaction, key: int, *, sender: str, code: str, body: bytes) -> None:
    """Note the ACK to a message that was processed, or parked, in the same transaction."""
    row = {"journal": key, "sender": sender, "code": code, "body": body}
    _PUT.run(tx.direct, [row | {"state": "owed", "attempts": 0, "due_at": tx.now}])


def get(connection: Connection, key: int) -> Row | None:
    """The ACK of a message, if it has been made."""
    found = _GET.first(connection, of=key)
    return Row(*found) if found else None


def due(connection: Connection, senders: Collection[str], now: int, limit: int = 64) -> list[Row]:
    """What these senders are owed now, the longest due first."""
    found = (
        select(table)
        .where(table.c.state == "owed", table.c.sender.in_(senders), table.c.due_at <= now)
        .order_by(table.c.due_at, table.c.journal)
        .limit(limit)
    )
    return [Row(*row) for row in connection.execute(found)]


def counts(connection: Connection) -> dict[str, int]:
    """How many there are in each state."""
    found = select(table.c.state, func.count()).group_by(table.c.state)
    return {row[0]: row[1] for row in connection.execute(found)}


def again(tx: Transaction, key: int) -> None:
    """The sender has sent the message again: it is owed its ACK again, if that was made."""
    _AGAIN.run(tx.direct, [{"of": key, "next": tx.now}])


def mark(tx: Transaction, keys: Sequence[int], state: str, delay: int = 0) -> None:
    """Note an attempt: ``sent``, ``failed``, or ``owed`` still and due after a delay in microseconds."""
    _MARK.run(tx.direct, [{"of": key, "new": state, "next": tx.now + delay} for key in keys])
