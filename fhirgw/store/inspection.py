"""What the operator asks of the journal: which messages, how many of each kind, what was read of one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Unpack

import orjson
from sqlalchemy import Connection, func, select

from fhirgw.consent.model import Json
from fhirgw.store.journal import Which, among
from fhirgw.store.schema import journal, visit_event

OPEN = ("received", "waiting", "parked", "rejected")
"""States of messages that a worker or a person has still to do something about."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Messages that have the same thing become of them.

    Attributes:
        messages: How many.
        first_at: When the oldest came.
        last_at: When the newest came.
    """

    state: str
    sender: str
    error_code: str | None
    error_location: str | None
    messages: int
    first_at: int
    last_at: int


def keys(connection: Connection, **which: Unpack[Which]) -> list[int]:
    """The ids of messages, in the order in which they came."""
    return list(connection.scalars(select(journal.c.id).where(*among(which)).order_by(journal.c.id)))


def kinds(connection: Connection, **which: Unpack[Which]) -> list[Kind]:
    """How many messages of each sender are in which state, by error and location; the most frequent first."""
    by = (journal.c.state, journal.c.sender, journal.c.error_code, journal.c.error_location)
    number = func.count()
    found = (
        select(*by, number, func.min(journal.c.received_at), func.max(journal.c.received_at))
        .where(*among(which))
        .group_by(*by)
        .order_by(number.desc(), *by)
    )
    return [Kind(*row) for row in connection.execute(found)]


def open_counts(connection: Connection) -> Iterator[tuple[str, str, int, int]]:
    """Of messages that something is still to be done about: sender, state, how many, when the oldest came.

    By the index over states, so that it costs nothing where nothing is open, however long the journal is.
    """
    found = (
        select(journal.c.sender, journal.c.state, func.count(), func.min(journal.c.received_at))
        .where(journal.c.state.in_(OPEN))
        .group_by(journal.c.state, journal.c.sender)
    )
    for row in connection.execute(found):
        yield row[0], row[1], row[2], row[3]


def facts(connection: Connection, key: int) -> list[tuple[str | None, Json]]:
    """Whom each fact of a message is about, and what was read; nothing of a message about nobody here."""
    found = select(visit_event.c.patient, visit_event.c.facts).where(visit_event.c.journal == key)
    return [
        (row.patient, orjson.loads(row.facts)) for row in connection.execute(found.order_by(visit_event.c.part))
    ]
