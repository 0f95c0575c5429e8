"""What is to be sent: a row says that something happened; what of it may be told is decided when it is sent.

A row is told once. It is claimed for the time of an attempt, so that of several processes one sends it; should that
one die between sending and noting it, the row is sent again under the same message id.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Integer, bindparam, func, insert, select, update
from sqlalchemy.sql import and_, exists

from fhirgw.errors import NotFound
from fhirgw.store.database import Transaction, microseconds
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import outbox

STATES = ("due", "sent", "withheld", "moot", "failed")
"""Withheld: consent did not let it out. Moot: taken back before it was told, or overtaken. Failed: given up."""

_PUT = Prepared(insert(outbox), tuple(column.name for column in outbox.c if column.name != "id"))
_KNOWN = Prepared(
    select(outbox.c.client, outbox.c.code, outbox.c.key, outbox.c.nth, outbox.c.state)
    .where(outbox.c.focus == bindparam("of"))
    .order_by(outbox.c.nth)
)
_earlier = outbox.alias("earlier")
_DUE = Prepared(
    select(outbox)
    .where(
        outbox.c.state == "due",
        outbox.c.due_at <= bindparam("now"),
        ~exists().where(
            and_(
                _earlier.c.focus == outbox.c.focus,
                _earlier.c.client == outbox.c.client,
                _earlier.c.state == "due",
                _earlier.c.id < outbox.c.id,
            )
        ),
    )
    .order_by(outbox.c.due_at, outbox.c.id)
    .limit(bindparam("most", type_=Integer))
)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that happened, for one client it may concern.

    Attributes:
        focus: ``Encounter/id``; ``Consent/id`` of a release that ended.
        code: What is told: ``notification-admit``.
        key: What makes it this one and no other of the focus.
        nth: Even: it happened. Odd: what was told before is taken back.
        state: One of STATES.
        error: Why the last attempt failed.
    """

    id: int
    created_at: int
    patient: str
    focus: str
    code: str
    key: str
    nth: int
    client: str
    state: str
    attempts: int
    due_at: int
    ended_at: int | None
    error: str | None

    @property
    def undone(self) -> bool:
        """Whether it takes back what was told."""
        return self.nth % 2 == 1


def announce(
    tx: Transaction,
    *,
    patient: str,
    focus: str,
    happened: Sequence[tuple[str, str, bool]],
    wanted: Mapping[str, frozenset[str]],
) -> None:
    """Note what is to be told of a focus, given everything that holds of it now.

    All that is new to a client is told, each by itself: whether it may know of one says nothing of another. What
    was told, or is about to be, and holds no more is taken back.

    Args:
        tx: The transaction that made it true.
        patient: Whom it is about.
        focus: ``Encounter/id``.
        happened: (code, key, whether it is recent enough to be told), in order.
        wanted: Client id → the codes it takes.
    """
    if not wanted:
        return
    known: dict[tuple[str, str, str], tuple[int, str]] = {}
    for client, code, key, nth, state in _KNOWN.rows(tx.direct, of=focus):
        known[client, code, key] = (nth, state)
    rows = []
    for client, codes in wanted.items():
        rows += _gone(known, client, {(code, key) for code, key, _ in happened})
        rows += _new(known, client, [one for one in happened if one[0] in codes])
    common = {
        "patient": patient,
        "focus": focus,
        "created_at": tx.now,
        "due_at": tx.now,
        "attempts": 0,
        "error": None,
    }
    _PUT.run(
        tx.direct,
        [
            common
            | {"client": client, "code": code, "key": key, "nth": nth, "state": state}
            | {"ended_at": None if state == "due" else tx.now}
            for client, code, key, nth, state in rows
        ],
    )


def tell(
    tx: Transaction, *, patient: str, focus: str, code: str, rows: Sequence[tuple[str, str, str | None]]
) -> None:
    """Note what is told and never taken back, each time that it happens: (client, state, why it cannot be sent)."""
    key = str(tx.now)
    noted = {client for client, _, known, _, _ in _KNOWN.rows(tx.direct, of=focus) if known == key}
    common = {"patient": patient, "focus": focus, "code": code, "key": key, "nth": 0, "attempts": 0}
    _PUT.run(
        tx.direct,
        [
            common
            | {"created_at": tx.now, "due_at": tx.now, "ended_at": None if state == "due" else tx.now}
            | {"client": client, "state": state, "error": error}
            for client, state, error in rows
            if client not in noted
        ],
    )


_Known = Mapping[tuple[str, str, str], tuple[int, str]]


def _new(
    known: _Known, client: str, happened: Sequence[tuple[str, str, bool]]
) -> list[tuple[str, str, str, int, str]]:
    """Rows of what this client has not been told, or was told and had taken back."""
    rows = []
    for code, key, recent in happened:
        nth, _ = known.get((client, code, key), (-1, ""))
        if nth % 2 == 1:
            rows.append((client, code, key, nth + 1, "due" if recent else "moot"))
    return rows


def _gone(known: _Known, client: str, present: set[tuple[str, str]]) -> list[tuple[str, str, str, int, str]]:
    """Rows that take back what holds no more."""
    return [
        (client, code, key, nth + 1, "due" if state in ("due", "sent") else "moot")
        for (whom, code, key), (nth, state) in known.items()
        if whom == client and nth % 2 == 0 and (code, key) not in present
    ]


def due(connection: Connection, limit: int = 16, *, now: int | None = None) -> list[Row]:
    """What is to be sent now, the longest due first; of one focus and client, one after the other.

    Args:
        connection: To read from.
        limit: How many at most.
        now: Microseconds; None: the system clock.
    """
    found = _DUE.rows(connection, now=microseconds() if now is None else now, most=limit)
    return [Row(*row) for row in found]


def claim(tx: Transaction, rows: Sequence[Row], lease: int) -> list[Row]:
    """Those of the rows that are this process's to send, for ``lease`` microseconds; the attempt counts now."""
    mine = []
    for row in rows:
        where = (outbox.c.id == row.id, outbox.c.state == "due", outbox.c.due_at == row.due_at)
        values = {"attempts": outbox.c.attempts + 1, "due_at": tx.now + lease}
        if tx.direct.execute(update(outbox).where(*where).values(values)).rowcount:
            mine.append(row)
    return mine


def told(connection: Connection, row: Row) -> bool:
    """Whether what this row takes back was told."""
    same = (outbox.c[name] == getattr(row, name) for name in ("focus", "client", "code", "key"))
    return connection.scalar(select(outbox.c.state).where(*same, outbox.c.nth == row.nth - 1)) == "sent"


def overtaken(connection: Connection, row: Row) -> bool:
    """Whether it was taken back, or restated, since."""
    same = (outbox.c[name] == getattr(row, name) for name in ("focus", "client", "code", "key"))
    return bool(connection.scalar(select(exists().where(*same, outbox.c.nth > row.nth))))


def mark(tx: Transaction, key: int, state: str, *, delay: int = 0, error: str | None = None) -> None:
    """Note the outcome of an attempt: an ended state, or ``due`` again after a delay in microseconds."""
    ended = {"ended_at": None if state == "due" else tx.now}
    values = {"state": state, "due_at": tx.now + delay, "error": error, **ended}
    tx.direct.execute(update(outbox).where(outbox.c.id == key).values(values))


def retry(tx: Transaction, key: int) -> None:
    """Send a row that had failed or was withheld again, from the first attempt.

    Raises:
        NotFound: There is no such row, or it was sent or overtaken.
    """
    where = (outbox.c.id == key, outbox.c.state.in_(("failed", "withheld", "due")))
    values = {"state": "due", "attempts": 0, "due_at": tx.now, "ended_at": None}
    if not tx.direct.execute(update(outbox).where(*where).values(values)).rowcount:
        raise NotFound("There is no such outbox row that could be sent again.")


def list_(
    connection: Connection, *, states: Iterable[str] = (), client: str | None = None, limit: int = 50
) -> list[Row]:
    """Rows for the operator, newest first.

    Args:
        connection: To read from.
        states: Only rows in these; none given: all.
        client: Only rows for this client.
        limit: How many at most.
    """
    found = select(outbox).order_by(outbox.c.id.desc()).limit(limit)
    if states := tuple(states):
        found = found.where(outbox.c.state.in_(states))
    if client is not None:
        found = found.where(outbox.c.client == client)
    return [Row(*row) for row in connection.execute(found)]


def about(connection: Connection, focuses: Collection[str], since: int) -> list[Row]:
    """What was noted of these since an instant."""
    found = select(outbox).where(outbox.c.focus.in_(focuses), outbox.c.created_at >= since).order_by(outbox.c.id)
    return [Row(*row) for row in connection.execute(found)]


def counts(connection: Connection) -> dict[str, int]:
    """How many rows are in each state."""
    found = select(outbox.c.state, func.count()).group_by(outbox.c.state)
    return {row[0]: row[1] for row in connection.execute(found)}


def oldest(connection: Connection) -> int | None:
    """When the row that has waited longest was made; None when nothing waits."""
    found: int | None = connection.scalar(select(func.min(outbox.c.created_at)).where(outbox.c.state == "due"))
    return found
