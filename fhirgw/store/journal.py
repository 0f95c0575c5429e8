"""The journal: every inbound message's bytes, never changed, with two axes: processing state and ACK.

Processing: received ► processed | parked; rejected from the start. ACK: owed ► sent | unsent. Beside it, the facts
of the events about members, which outlive the bytes (DESIGN §3, §4).
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack

from sqlalchemy import ColumnElement, Connection, Integer, bindparam, func, select, update
from sqlalchemy.engine import Row as Selected

from fhirgw.errors import GatewayError, NotFound
from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared, PreparedInsert
from fhirgw.store.schema import journal

UNEXPECTED = "The gateway failed on this message."
STATES = ("received", "processed", "waiting", "parked", "rejected", "expired")
"""Waiting: until a person has said whom it is about. Expired: the bytes are gone, the facts are not."""


class Row(NamedTuple):
    """One message as received, and what became of it.

    Attributes:
        raw: Its bytes; empty in a listing.
        state: received, processed, parked, rejected.
        ack_state: owed, sent, unsent.
        error_location: ``PID-3.1``; no values.
        application: When an application ACK follows its processing (AL, ER, SU); None: never.
    """

    id: int
    received_at: int
    channel: str
    sender: str
    control_id: str | None
    trigger: str | None
    digest: bytes
    raw: bytes
    state: str
    ack_state: str
    ack_code: str | None
    ack: bytes | None
    error_code: str | None
    error_location: str | None
    error_text: str | None
    attempts: int
    processed_at: int | None
    application: str | None = None


class Which(TypedDict, total=False):
    """Which messages; None, or a key that is not there, leaves it open.

    Attributes:
        state: In this processing state, or in one of these.
        ack_state: Whose ACK is owed, sent or unsent.
        sender: Of this sender.
        control_id: With this MSH-10.
        trigger: With this MSH-9.2.
        error_code: Refused or parked with this code of table 0357.
        error_location: Refused or parked for what is here.
        since: Received at or after this instant.
        until: Received before this instant.
    """

    state: str | tuple[str, ...] | None
    ack_state: str | None
    sender: str | None
    control_id: str | None
    trigger: str | None
    error_code: str | None
    error_location: str | None
    since: int | None
    until: int | None


_LISTED = tuple(column for column in journal.c if column.name != "raw")
_KEPT = tuple(column.name for column in journal.c if column.name != "id")
_KEEP = PreparedInsert(journal, _KEPT)
_SPARED = frozenset({"error_code", "error_location", "error_text", "processed_at", "application"})
_KEEP_SOUND = PreparedInsert(journal, tuple(name for name in _KEPT if name not in _SPARED))
"""Of what is in order, and followed by nothing: it takes the driver longer to bind a NULL than a number."""
_ASKED = {
    asked: ("by", *(f"control_{at}" for at in range(asked)), "since")
    for asked in (1, 4, 16)  # control ids that are looked up together; the last one fills up what is left
}
_USED = {
    asked: Prepared(
        select(journal.c.control_id).where(
            journal.c.sender == bindparam("by"),
            journal.c.control_id.in_([bindparam(name) for name in names[1:-1]]),
            journal.c.received_at >= bindparam("since"),
        )
    )
    for asked, names in _ASKED.items()
}
_DUPLICATE = Prepared(
    select(journal)
    .where(
        journal.c.sender == bindparam("by"),
        journal.c.control_id == bindparam("control"),
        journal.c.received_at >= bindparam("since"),
        journal.c.state != "rejected",
    )
    .order_by(journal.c.received_at.desc(), journal.c.id.desc())
    .limit(1)
)
_REFUSED = Prepared(
    select(journal)
    .where(
        journal.c.sender == bindparam("by"),
        journal.c.control_id == bindparam("control"),
        journal.c.received_at >= bindparam("since"),
        journal.c.state == "rejected",
        journal.c.digest == bindparam("of"),
    )
    .order_by(journal.c.received_at.desc(), journal.c.id.desc())
    .limit(1)
)
_RETAKE = Prepared(
    update(journal)
    .where(journal.c.id == bindparam("key"))
    .values(
        state=bindparam("new"),
        ack_state=bindparam("new_ack_state"),
        ack_code=bindparam("new_code"),
        ack=bindparam("new_ack"),
        application=bindparam("new_application"),
    )
)
_STATE = Prepared(select(journal.c.state).where(journal.c.id == bindparam("key")))
_DUE = Prepared(
    select(journal)
    .where(journal.c.state == "received", journal.c.id > bindparam("after"))
    .order_by(journal.c.id)
    .limit(bindparam("most", type_=Integer))
)
_ERRORS = ("error_code", "error_location", "error_text")
_MARK = Prepared(
    update(journal)
    .where(journal.c.id == bindparam("key"))
    .values(state=bindparam("new"), attempts=journal.c.attempts + 1, processed_at=bindparam("at"))
    .values({name: bindparam(f"new_{name}") for name in _ERRORS})
)
_MARK_ACKS = Prepared(
    update(journal)
    .where(journal.c.id.between(bindparam("first"), bindparam("last")))
    .values(ack_state=bindparam("new"))
)


class New(NamedTuple):
    """A message to keep.

    Attributes:
        channel: mllp, http or file.
        sender: Name in the senders file.
        control_id: MSH-10.
        trigger: MSH-9.2.
        raw: The unframed bytes.
        digest: SHA-256 of them, where it is known.
        state: ``received``, or ``rejected`` when it will never be processed.
        ack_code: MSA-1 of the answer.
        ack: The answer; None when none is owed.
        error: Why it was rejected.
        application: When an application ACK follows its processing; None: never.
    """

    channel: str
    sender: str
    control_id: str | None
    trigger: str | None
    raw: bytes
    digest: bytes | None = None
    state: str = "received"
    ack_code: str | None = None
    ack: bytes | None = None
    error: Exception | None = None
    application: str | None = None


def keep(tx: Transaction, messages: Sequence[New]) -> list[Row]:
    """Keep messages; the caller may acknowledge them when the unit of work is committed.

    Args:
        tx: The unit of work; submit it with ``urgent=True``.
        messages: In the order in which they came.
    """
    values = [_values(tx.now, new) for new in messages]
    keys = _KEEP.keys(tx.direct, values)
    return [Row(key, *row) for key, row in zip(keys, values, strict=True)]


def keep_sound(tx: Transaction, messages: Sequence[New]) -> list[int]:
    """The same of messages that are in order and owe no application ACK, which nearly all are; their keys."""
    # The driver takes a bytearray as it is; of bytes it asks first, for longer, whether they are to be adapted.
    return _KEEP_SOUND.keys(tx.direct, [(*_sound(tx.now, new, bytearray), 0) for new in messages])


def _values(now: int, new: New) -> tuple[Any, ...]:
    """Of a new row, in the order of the table's columns."""
    error = _error(new.error).values() if new.error else (None, None, None)
    return (*_sound(now, new, bytes), *error, 0, None, new.application)


def _sound(now: int, new: New, blob: type[bytes | bytearray]) -> tuple[Any, ...]:
    """What is said of every new row."""
    channel, sender, control_id, trigger, raw, digest, state, ack_code, ack, *_ = new
    hashed = blob(digest or hashlib.sha256(raw).digest())
    acked, answer = ("unsent", None) if ack is None else ("owed", blob(ack))
    return (now, channel, sender, control_id, trigger, hashed, blob(raw), state, acked, ack_code, answer)


def used(connection: Connection, sender: str, control_ids: Sequence[str], since: int) -> set[str]:
    """Those of these control ids that a message of this sender has, whatever became of it, since an instant."""
    found: set[str] = set()
    most = max(_ASKED)
    for at in range(0, len(control_ids), most):
        asked = control_ids[at : at + most]
        size = next(size for size in _ASKED if size >= len(asked))
        filled = (sender, *asked, *[asked[-1]] * (size - len(asked)), since)
        found.update(control for (control,) in _USED[size].rows_of(connection, _ASKED[size], filled))
    return found


def duplicate(connection: Connection, sender: str, control_id: str, since: int) -> Row | None:
    """The sender's latest message with this control id, received at or after the instant ``since``.

    Rejected ones do not count: a corrected message may use its control id again.
    """
    found = _DUPLICATE.first(connection, by=sender, control=control_id, since=since)
    return Row(*found) if found else None


def refused(connection: Connection, sender: str, control_id: str, digest: bytes, since: int) -> Row | None:
    """The sender's latest rejected message with this control id and these bytes, received at or after ``since``."""
    found = _REFUSED.first(connection, by=sender, control=control_id, of=digest, since=since)
    return Row(*found) if found else None


def retake(
    tx: Transaction, row: Row, *, state: str, ack_code: str | None, ack: bytes | None, application: str | None
) -> Row:
    """A message that was refused at first, and taken by an operator since, is sent again: it has a new answer.

    Args:
        tx: The unit of work.
        row: The message.
        state: Its processing state from now on.
        ack_code: MSA-1 of the new answer.
        ack: The new answer; None when none is owed.
        application: As in ``keep``.
    """
    acked = "unsent" if ack is None else "owed"
    new = {
        "new": state,
        "new_ack_state": acked,
        "new_code": ack_code,
        "new_ack": ack,
        "new_application": application,
    }
    _RETAKE.run(tx.direct, [{"key": row.id, **new}])
    return row._replace(state=state, ack_state=acked, ack_code=ack_code, ack=ack, application=application)


def get(connection: Connection, key: int) -> Row:
    """One message, with its bytes.

    Raises:
        NotFound: There is no such row.
    """
    found = connection.execute(select(journal).where(journal.c.id == key)).first()
    if found is None:
        raise NotFound("There is no such journal row.")
    return _present(found)


def settled(connection: Connection, keys: Collection[int]) -> list[int]:
    """Of these messages those that are not waiting to be processed any more."""
    return [key for key in keys if _STATE.scalar(connection, key=key) != "received"]


def due(connection: Connection, limit: int, after: int = 0) -> list[Row]:
    """Messages to process, in the order in which they came.

    Args:
        connection: To read from.
        limit: How many at most.
        after: Only rows behind this id.
    """
    return [Row(*row) for row in _DUE.rows(connection, after=after, most=limit)]


def list_(
    connection: Connection, *, before: int | None = None, limit: int = 50, **which: Unpack[Which]
) -> list[Row]:
    """Messages without their bytes, newest first.

    Args:
        connection: To read from.
        before: Only rows before this id: the next page.
        limit: How many at most.
        which: Only these.
    """
    found = select(*_LISTED).where(*among(which)).order_by(journal.c.id.desc()).limit(limit)
    if before is not None:
        found = found.where(journal.c.id < before)
    return [_present(row) for row in connection.execute(found)]


def among(which: Which) -> list[ColumnElement[bool]]:
    """The conditions that a row of these messages meets."""
    since, until, states = which.get("since"), which.get("until"), which.get("state")
    equal = ((name, value) for name, value in which.items() if name not in ("since", "until", "state"))
    conditions = [journal.c[name] == value for name, value in equal if value is not None]
    if since is not None:
        conditions.append(journal.c.received_at >= since)
    if until is not None:
        conditions.append(journal.c.received_at < until)
    if states is not None:
        conditions.append(journal.c.state.in_([states] if isinstance(states, str) else states))
    return conditions


def counts(connection: Connection) -> dict[str, int]:
    """How many messages are in each processing state."""
    found = select(journal.c.state, func.count()).group_by(journal.c.state)
    return {row[0]: row[1] for row in connection.execute(found)}


def mark_processed(tx: Transaction, key: int) -> None:
    """Its resources are stored, in this unit of work."""
    _mark(tx, key, "processed", None)


def mark_parked(tx: Transaction, key: int, error: Exception) -> None:
    """It failed after its ACK: a person has to look, and may replay it."""
    _mark(tx, key, "parked", error)


def mark_waiting(tx: Transaction, key: int) -> None:
    """A person has to say whom it is about (``store.reviews``)."""
    _mark(tx, key, "waiting", None)


def mark_due(tx: Transaction, keys: Sequence[int]) -> list[int]:
    """Those of these messages that were waiting are to be processed again."""
    due = [key for key in keys if _STATE.scalar(tx.direct, key=key) == "waiting"]
    for key in due:
        _mark(tx, key, "received", None)
    return due


def mark_ack(tx: Transaction, keys: Sequence[int], state: str) -> None:
    """Note what became of their ACKs: ``sent`` or ``unsent``; apart from whether they were processed."""
    _MARK_ACKS.run(tx.direct, [{"first": run[0], "last": run[-1], "new": state} for run in _runs(sorted({*keys}))])


def _mark(tx: Transaction, key: int, state: str, error: Exception | None) -> None:
    what = {f"new_{name}": value for name, value in _error(error).items()}
    _MARK.run(tx.direct, [{"key": key, "new": state, "at": tx.now, **what}])


def _runs(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    """Ascending keys cut where one is missing: what came together is noted together."""
    begin = 0
    for end in range(1, len(keys) + 1):
        if end == len(keys) or keys[end] != keys[end - 1] + 1:
            yield keys[begin:end]
            begin = end


def _error(error: Exception | None) -> dict[str, str | None]:
    """What may be told of an error: never the text of an unexpected one, which may hold a value."""
    if error is None:
        return {"error_code": None, "error_location": None, "error_text": None}
    if isinstance(error, GatewayError):
        return {"error_code": error.err, "error_location": error.location, "error_text": error.text}
    return {"error_code": "207", "error_location": None, "error_text": f"{UNEXPECTED} {type(error).__name__}"}


def _present(row: Selected[Any]) -> Row:
    return Row(**{"raw": b"", **row._mapping})  # noqa: SLF001 - public in spite of its name: SQLAlchemy's Row._mapping
