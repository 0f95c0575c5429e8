"""Which messages are taken next, and with which others.

In which order messages are taken makes no difference to what comes of them: the folds see to that. So those
that are due about one person are taken together, and what they say is folded once (docs/decisions/0335).
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from fhirgw.errors import MalformedMessage
from fhirgw.mappers.adt import read
from fhirgw.mappers.segments.reading import valued
from fhirgw.settings import Senders
from fhirgw.store import journal

AHEAD, AHEAD_BYTES = 16_384, 32_000_000
"""How far the due messages are looked through for others about the same person."""
_PAGE = 256  # read at a time: bytes are counted after each

Named = tuple[object, journal.Row]
"""A message, after who it names; messages of which these are equal are about one person."""


def look_ahead(connection: Connection) -> list[journal.Row]:
    """Messages that are due, in the order in which they came."""
    rows: list[journal.Row] = []
    size = 0
    while len(rows) < AHEAD and size < AHEAD_BYTES:
        more = journal.due(connection, _PAGE, after=rows[-1].id if rows else 0)
        if not more:
            break
        rows += more
        size += sum(len(row.raw) for row in more)
    return rows


def by_person(rows: Sequence[journal.Row], senders: Senders, id_key: bytes) -> list[Named]:
    """Messages of one person one after the other, as they came; first the person of the oldest."""
    people: dict[object, list[journal.Row]] = {}
    for row in rows:
        people.setdefault(_named(row, senders, id_key), []).append(row)
    return [(who, row) for who, theirs in people.items() for row in theirs]


def _named(row: journal.Row, senders: Senders, id_key: bytes) -> object:
    """By what a message names its person first; the row itself where that is not plain."""
    try:
        message, context = read(row.raw, senders, id_key)
    except MalformedMessage:
        return row.id
    pid = message.first("PID")
    number = valued(pid, 3) if pid is not None else ""
    return (context.name, number) if number else row.id
