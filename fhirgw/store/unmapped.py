"""Codes of the senders that no map has, counted: what a line in the senders file would give a meaning to.

Of nobody: no message, no patient. What stands where a code belongs may be words, and words may be a name: they are
counted as ``TEXT`` and not kept (docs/decisions/0121).
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import unmapped_code as table

TEXT = "(text)"
"""What is counted in the place of a code, or of a coding system's name, that does not look like one."""

_CODE = re.compile(r"[A-Za-z0-9._/-]{1,32}")
_SYSTEM = re.compile(r"[A-Za-z0-9._/:-]{1,128}")
_KEY = ("sender", "field", "system", "code")
_AGAIN = Prepared(
    update(table)
    .where(*(table.c[name] == bindparam(f"of_{name}") for name in _KEY))
    .values(seen=table.c.seen + bindparam("more"), last_at=bindparam("now"))
)
_NEW = Prepared(insert(table), tuple(column.name for column in table.c))


@dataclass(frozen=True, slots=True)
class Code:
    """One code as a sender uses it.

    Attributes:
        sender: Name in the senders file.
        field: Where it stands: ``PV1-4``.
        system: HL7 table number, or the coding system that the sender names.
        code: As sent, or TEXT.
        seen: In how many places of messages.
        first_at: When it was first met.
        last_at: When it was last met.
    """

    sender: str
    field: str
    system: str
    code: str
    seen: int
    first_at: int
    last_at: int


def note(tx: Transaction, sender: str, codes: Iterable[tuple[str, str, str]]) -> None:
    """Count the (field, system, code) that a message brought and no map has."""
    new = []
    for (field, system, code), more in Counter(map(_kept, codes)).items():
        key = {"of_sender": sender, "of_field": field, "of_system": system, "of_code": code}
        if not _AGAIN.change(tx.direct, **key, more=more, now=tx.now):
            values = {"sender": sender, "field": field, "system": system, "code": code, "seen": more}
            new.append(values | {"first_at": tx.now, "last_at": tx.now})
    _NEW.run(tx.direct, new)


def list_(connection: Connection, *, sender: str | None = None) -> list[Code]:
    """The codes, the most frequent first."""
    found = select(table).order_by(table.c.seen.desc(), *(table.c[name] for name in _KEY))
    if sender is not None:
        found = found.where(table.c.sender == sender)
    return [Code(*row) for row in connection.execute(found)]


def forget(
    tx: Transaction,
    *,
    sender: str | None = None,
    field: str | None = None,
    system: str | None = None,
    code: str | None = None,
) -> int:
    """Begin anew to count those that all of this is true of; how many were forgotten."""
    equal = {"sender": sender, "field": field, "system": system, "code": code}
    gone = delete(table).where(*(table.c[name] == value for name, value in equal.items() if value is not None))
    return tx.connection.execute(gone).rowcount


def _kept(found: tuple[str, str, str]) -> tuple[str, str, str]:
    field, system, code = found
    return (
        field,
        system if _SYSTEM.fullmatch(system) else TEXT,
        code if _CODE.fullmatch(code) else TEXT,
    )
