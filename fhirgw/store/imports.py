"""What was seen on the FHIR servers that are imported from, and how far."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select, update

from fhirgw.store.copies import copy
from fhirgw.store.database import Transaction
from fhirgw.store.mirror import Key
from fhirgw.store.schema import fhir_import as table
from fhirgw.store.schema import fhir_source as source_table
from fhirgw.store.schema import mirror as mirror_table


@dataclass(frozen=True, slots=True)
class Seen:
    """A resource of a source, as it was seen last.

    Attributes:
        local: Its id here; None: it never was stored.
        digest: Of its content.
        state: ``stored``, ``refused`` or ``deleted``.
        error: Why it was refused.
        at: When it was seen, in microseconds.
    """

    key: Key
    local: str | None
    digest: bytes
    state: str
    error: str | None
    at: int


def find(connection: Connection, base: str, key: Key) -> Seen | None:
    """What is known of a resource of a source."""
    row = connection.execute(select(table).where(*_of(base, key))).first()
    return _seen(row) if row else None


def note(
    tx: Transaction,
    base: str,
    key: Key,
    state: str,
    digest: bytes,
    *,
    local: str | None = None,
    error: str | None = None,
    body: bytes | None = None,
) -> None:
    """Keep what became of a resource of a source; where it is here stays."""
    values: dict[str, Any] = {"state": state, "digest": digest, "error": error, "body": body, "seen_at": tx.now}
    values |= {"local": local} if local is not None else {}
    if not tx.direct.execute(update(table).where(*_of(base, key)).values(values)).rowcount:
        row = {"base": base, "type": key[0], "id": key[1], "local": local}
        tx.direct.execute(insert(table).values({**row, **values}))


def refused(connection: Connection, base: str) -> Iterator[tuple[Seen, Mapping[str, Any]]]:
    """What was refused of a source, with its content."""
    found = select(table).where(table.c.base == base, table.c.state == "refused").order_by(table.c.type, table.c.id)
    for row in connection.execute(found).all():
        yield _seen(row), orjson.loads(row.body)


def since(connection: Connection, base: str, kind: str) -> str | None:
    """The lastUpdated up to which everything of a type has been seen; None: nothing has."""
    of = (source_table.c.base == base, source_table.c.type == kind)
    return connection.scalar(select(source_table.c.since).where(*of))


def keep_since(tx: Transaction, base: str, kind: str, until: str) -> None:
    """Everything of a type has been seen until then."""
    of = (source_table.c.base == base, source_table.c.type == kind)
    if not tx.direct.execute(update(source_table).where(*of).values(since=until)).rowcount:
        tx.direct.execute(insert(source_table).values(base=base, type=kind, since=until))


def sent_there(connection: Connection, base: str, key: Key) -> tuple[bytes | None, str | None] | None:
    """Digest and version of what the mirror put under this id of a server; None: nothing is its own there."""
    for client in connection.scalars(select(mirror_table.c.client).where(mirror_table.c.base == base)):
        known = copy(connection, client, key)
        if known is not None:
            return known.digest, known.version
    return None


def _seen(row: Any) -> Seen:
    return Seen((row.type, row.id), row.local, row.digest, row.state, row.error, row.seen_at)


def _of(base: str, key: Key) -> tuple[Any, ...]:
    return table.c.base == base, table.c.type == key[0], table.c.id == key[1]
