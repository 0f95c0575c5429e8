"""What of the journal may go, and how it goes: rows of strangers whole, of members the bytes.

A row of its own kind is found by (state, id), the oldest first; one that is done is in no such state any more, so
that a run takes up where the last one stopped.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, exists, select, update

from fhirgw.store.database import Transaction
from fhirgw.store.schema import application_ack, journal, match_message, pending_name, visit_event

_OF_MEMBER = exists().where(visit_event.c.journal == journal.c.id)


def of_strangers(connection: Connection, before: int, limit: int) -> list[int]:
    """Processed rows received before the instant that left no facts: nobody of a programme was meant."""
    found = select(journal.c.id).where(journal.c.state == "processed", journal.c.received_at < before, ~_OF_MEMBER)
    return list(connection.scalars(found.order_by(journal.c.id).limit(limit)))


def in_state(connection: Connection, states: Sequence[str], before: int, limit: int) -> list[int]:
    """Rows of these states received before the instant."""
    found = select(journal.c.id).where(journal.c.state.in_(states), journal.c.received_at < before)
    return list(connection.scalars(found.order_by(journal.c.state, journal.c.id).limit(limit)))


def of_members(connection: Connection, before: int, limit: int, after: int) -> dict[int, set[str | None]]:
    """The visits of processed rows about members or candidates, received before the instant, behind ``after``."""
    found = select(journal.c.id).where(
        journal.c.state == "processed", journal.c.received_at < before, journal.c.id > after, _OF_MEMBER
    )
    rows = list(connection.scalars(found.order_by(journal.c.id).limit(limit)))
    visits: dict[int, set[str | None]] = {row: set() for row in rows}
    parts = select(visit_event.c.journal, visit_event.c.visit).where(visit_event.c.journal.in_(rows))
    for row in connection.execute(parts):
        visits[row.journal].add(row.visit)
    return visits


def remove(tx: Transaction, rows: Sequence[int]) -> None:
    """Remove the rows, with what waits on them."""
    for table in (match_message, application_ack, pending_name):
        tx.connection.execute(delete(table).where(table.c.journal.in_(rows)))
    tx.connection.execute(delete(journal).where(journal.c.id.in_(rows)))


def empty(tx: Transaction, rows: Sequence[int]) -> None:
    """Remove the bytes of the messages and of their answers; that they came, and their facts, stay."""
    tx.connection.execute(delete(application_ack).where(application_ack.c.journal.in_(rows)))
    gone = {"state": "expired", "raw": b"", "ack": None}
    tx.connection.execute(update(journal).where(journal.c.id.in_(rows)).values(gone))
