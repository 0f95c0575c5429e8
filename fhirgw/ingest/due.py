"""Which messages are taken next, and with which others.

In which order messages are taken makes no difference to what comes of them: the folds see to that. So those
that are due about one person are taken together, and what they say is folded once (docs/decisions/0335).
"""

import re
from collections.abc import Sequence

from sqlalchemy import Connection

from fhirgw.store import journal

LEAST, MOST, MOST_BYTES = 64, 16_384, 32_000_000
"""How far the due messages are looked through for others about the same person."""
_PAGE = 256  # read at a time: bytes are counted after each
_PID = re.compile(rb"[\r\n]PID(.)([^\r\n]*)")
_REPETITION = slice(5, 6)  # where MSH-2 names the delimiter

Named = tuple[object, journal.Row]
"""A message, after who it names; messages of which these are equal are about one person."""


def look_ahead(connection: Connection, most: int) -> list[journal.Row]:
    """So many messages that are due, or as many as there is room for, in the order in which they came."""
    rows: list[journal.Row] = []
    size = 0
    while len(rows) < most and size < MOST_BYTES:
        wanted = min(_PAGE, most - len(rows))
        more = journal.due(connection, wanted, after=rows[-1].id if rows else 0)
        rows += more
        if len(more) < wanted:
            break
        size += sum(len(row.raw) for row in more)
    return rows


def by_person(rows: Sequence[journal.Row]) -> list[Named]:
    """Messages of one person one after the other, as they came; first the person of the oldest."""
    people: dict[object, list[journal.Row]] = {}
    for row in rows:
        people.setdefault(_named(row), []).append(row)
    return [(who, row) for who, theirs in people.items() for row in theirs]


def _named(row: journal.Row) -> object:
    """The bytes by which a message names its person first, PID-3; the row itself where that is not plain.

    It is enough that equal bytes of one sender are one person: who it is, is found out when the message is taken.
    """
    found = _PID.search(row.raw)
    fields = found[2].split(found[1], 3) if found else []
    number = fields[2].split(row.raw[_REPETITION], 1)[0] if len(fields) > 2 else b""
    return (row.sender, number) if number else row.id
