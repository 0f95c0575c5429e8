"""What came back of cases, in order, until their system asks for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, insert, select

from fhirgw.icm.statements import Records
from fhirgw.store.database import Transaction
from fhirgw.store.predicate import among
from fhirgw.store.schema import icm_case
from fhirgw.store.schema import icm_return as table

_COLUMNS = (
    table.c.number, table.c.program, table.c.based_on, table.c.digest, table.c.type, table.c.id, table.c.records,
    table.c.at,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CameBack:
    """One return.

    Attributes:
        number: They grow; nothing is numbered later and lower.
        program: Of the case.
        based_on: The version of the case as it was last stated; None: it has none.
        digest: Of the statement that the case was last stored from.
        type: Type of the resource that was written.
        id: Its id.
        records: What the case would be stated with.
        at: Microseconds since the epoch.
    """

    number: int
    program: str
    based_on: int | None
    digest: bytes
    type: str
    id: str
    records: Records
    at: int


def append(
    tx: Transaction, program: str, based_on: int | None, digest: bytes, named: tuple[str, str], records: Records
) -> None:
    """Note what came back with a resource (type, id)."""
    kind, logical = named
    values = {
        "case": records.case,
        "program": program,
        "based_on": based_on,
        "digest": digest,
        "type": kind,
        "id": logical,
        "records": records.model_dump_json(exclude_defaults=True).encode(),
        "at": tx.now,
    }
    tx.direct.execute(insert(table).values(values))


def of_case(connection: Connection, key: str) -> list[CameBack]:
    """What came back of a case, in order."""
    return _read(connection, select(*_COLUMNS).where(table.c.case == key).order_by(table.c.number))


def after(connection: Connection, number: int, programs: Iterable[str] | None, most: int) -> list[CameBack]:
    """What came back after this number, in order.

    Args:
        connection: Of the store.
        number: The last that is known.
        programs: Of whose cases; None: of all.
        most: How many at once.
    """
    asked = select(*_COLUMNS).where(table.c.number > number).order_by(table.c.number).limit(most)
    if programs is not None:
        asked = asked.where(among(table.c.program, sorted(programs)))
    return _read(connection, asked)


def forget(tx: Transaction, before: int, most: int) -> int:
    """Remove what came back before the instant and whose case was stated since; how many."""
    stated = exists().where(icm_case.c.key == table.c.case, icm_case.c.digest != table.c.digest)
    over = select(table.c.number).where(table.c.at < before, stated).order_by(table.c.number).limit(most)
    gone = list(tx.connection.scalars(over))
    tx.connection.execute(delete(table).where(table.c.number.in_(gone)))
    return len(gone)


def _read(connection: Connection, asked: Select[Any]) -> list[CameBack]:
    return [
        CameBack(number, program, based_on, bytes(digest), kind, logical, Records.model_validate_json(records), at)
        for number, program, based_on, digest, kind, logical, records, at in connection.execute(asked)
    ]
