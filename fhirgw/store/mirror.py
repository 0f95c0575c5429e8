"""The mirror's outbox: whose record an upstream server may not have as it is, and how that server stands.

A member is noted in the transaction of the change (``touch``), or when something else may be seen of them than
before (``weigh``); there is one row for each, however much changed. What goes is decided when it is sent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update
from sqlalchemy.sql import and_, or_

from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import enrolment, resource, search_reference
from fhirgw.store.schema import mirror as table
from fhirgw.store.schema import mirror_copy as copy_table
from fhirgw.store.schema import mirror_member as member_table
from fhirgw.store.schema import mirror_reference as reference_table

SEVERAL = ""
"""The patient under whose name what is about several patients is noted."""
NOBODY = "*"
"""The patient under whose name it is noted that something there is about nobody, and nothing refers to it."""
Key = tuple[str, str]
"""(type, id)."""

_CLIENTS = Prepared(select(table.c.client).order_by(table.c.client))
_TOUCH = Prepared(
    text(
        "INSERT INTO mirror_member (client, patient, changed, due_at, attempts) "
        "VALUES (:client, :patient, 1, :now, 0) ON CONFLICT (client, patient) "
        "DO UPDATE SET changed = mirror_member.changed + 1, due_at = :now"
    )
)
_REFERRERS = Prepared(
    select(resource.c.type, resource.c.id, resource.c.patient)
    .join(search_reference, search_reference.c.resource == resource.c.pk)
    .where(
        search_reference.c.target_id == bindparam("logical"), search_reference.c.target_type == bindparam("kind")
    )
    .distinct()
)
_SENT_REFERRERS = Prepared(
    select(copy_table.c.type, copy_table.c.id, copy_table.c.patient)
    .join(
        reference_table,
        and_(*(reference_table.c[name] == copy_table.c[name] for name in ("client", "type", "id"))),
    )
    .where(reference_table.c.target_id == bindparam("logical"), reference_table.c.target_type == bindparam("kind"))
)
"""The index of the store has the references alone that one can search by."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """An upstream server, as far as it is spoken with.

    Attributes:
        client: As which it is registered.
        base: Base URL of its FHIR API.
        revision: Of the policy under which its members were last weighed; None: never.
        weighed_until: When a consent starts or ends by itself; None: none does.
        resume_at: It is left alone until then.
        failures: How often in a row it did not answer.
        error: Why it is left alone.
    """

    client: str
    base: str
    revision: int | None
    weighed_until: int | None
    resume_at: int
    failures: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody whose record may look otherwise upstream than it should.

    Attributes:
        patient: Logical id; or SEVERAL, or NOBODY.
        changed: How often it had changed when this was read.
        attempts: How often the upstream server has refused it.
        retry_at: When what it refused is tried again; None: never by itself.
        refused: Digests of the transactions it refused.
        error: What it said, without a word of content.
    """

    patient: str
    changed: int
    attempts: int
    retry_at: int | None
    refused: frozenset[bytes]
    error: str | None


# --- the outbox ---------------------------------------------------------------------------------------------------


def touch(connection: Connection, now: int, changed: Iterable[tuple[str, str, str | None]]) -> None:
    """Note whose record has changed for every upstream server; without one this reads a row and is done.

    Args:
        connection: Of the transaction that changed it.
        now: Microseconds.
        changed: (type, id, patient) of resources as they were and as they are.
    """
    clients = [client for (client,) in _CLIENTS.rows(connection)]
    if clients:
        people = sorted(_concerned(connection, changed))
        _TOUCH.run(
            connection, [{"client": one, "patient": patient, "now": now} for one in clients for patient in people]
        )


def _concerned(connection: Connection, changed: Iterable[tuple[str, str, str | None]]) -> set[str]:
    """The patients of what has changed; of what is about nobody, those whose records refer to it."""
    people: set[str] = set()
    seen: set[Key] = set()
    front = list(changed)
    while front:
        kind, logical, patient = front.pop()
        if kind not in PATIENT_FREE:
            people.add(patient or SEVERAL)
        elif (kind, logical) not in seen:
            seen.add((kind, logical))
            for statement in (_REFERRERS, _SENT_REFERRERS):
                front += [
                    (row[0], row[1], row[2]) for row in statement.rows(connection, kind=kind, logical=logical)
                ]
    return people


def call(tx: Transaction, client: str, patient: str) -> None:
    """Note that somebody is to be looked at."""
    _TOUCH.run(tx.direct, [{"client": client, "patient": patient, "now": tx.now}])


def weigh(
    tx: Transaction, upstream: Upstream, permits: Mapping[str, bytes], revision: int, until: int | None
) -> int:
    """Keep what may be seen of whom, and note those of whom it is another thing than before; how many they are.

    Args:
        tx: The unit of work.
        upstream: For whom.
        permits: Patient → digest of what may be seen; nobody else may be.
        revision: Of the policy that says so.
        until: When it says something else by itself.
    """
    of = member_table.c.client == upstream.client
    found = tx.direct.execute(select(member_table.c.patient, member_table.c.permit).where(of))
    known: dict[str, bytes | None] = {row.patient: row.permit for row in found}
    moved = [one for one in {**known, **permits} if permits.get(one) != known.get(one)]
    _TOUCH.run(tx.direct, [{"client": upstream.client, "patient": one, "now": tx.now} for one in sorted(moved)])
    for one in moved:
        where = (of, member_table.c.patient == one)
        tx.direct.execute(update(member_table).where(*where).values(permit=permits.get(one)))
    weighed = {"revision": revision, "weighed_until": until}
    tx.direct.execute(update(table).where(table.c.client == upstream.client).values(weighed))
    return len(moved)


def everybody(connection: Connection, programs: frozenset[str] | None) -> list[str]:
    """Whose records there are: of the members of these programmes, or of all, and what is about several."""
    if programs is not None:
        found = select(enrolment.c.patient).where(enrolment.c.program.in_(sorted(programs)))
        return sorted(set(connection.scalars(found)))
    standing = resource.c.standing.in_(("member", "several"))
    found = select(func.coalesce(resource.c.patient, SEVERAL)).where(standing, resource.c.deleted.is_(False))
    return sorted(connection.scalars(found.distinct()))


def due(connection: Connection, client: str, now: int) -> list[Member]:
    """Who is to be looked at, in the order of their ids: that of the changes could tell of hidden ones."""
    of = (member_table.c.client == client, member_table.c.due_at <= now)
    found = connection.execute(select(member_table).where(*of).order_by(member_table.c.patient))
    return [_member(row) for row in found]


def settled(tx: Transaction, client: str, member: Member) -> None:
    """The upstream server has everything of a member as it was looked at; what changed since is still due."""
    done: dict[str, Any] = {"attempts": 0, "retry_at": None, "refused": None, "error": None}
    _end(tx, client, member, done, None)


def refused(
    tx: Transaction, client: str, member: Member, digests: frozenset[bytes], error: str, retry_at: int | None
) -> None:
    """The upstream server refused something of a member; ``retry_at`` None: it waits for a person, or a change."""
    said = {"attempts": member.attempts + 1, "retry_at": retry_at, "refused": b"".join(sorted(digests))}
    _end(tx, client, member, {**said, "error": error}, retry_at)


def unchanged(tx: Transaction, client: str, member: Member) -> None:
    """Nothing is to be sent but what was refused: it waits for its time."""
    _end(tx, client, member, {}, member.retry_at)


def _end(tx: Transaction, client: str, member: Member, values: dict[str, Any], due_at: int | None) -> None:
    of = (member_table.c.client == client, member_table.c.patient == member.patient)
    values = {**values, "due_at": due_at}
    same = member_table.c.changed == member.changed
    if not tx.direct.execute(update(member_table).where(*of, same).values(values)).rowcount:
        tx.direct.execute(update(member_table).where(*of).values({**values, "due_at": tx.now}))


def retry(tx: Transaction, client: str, patient: str | None = None) -> int:
    """Have everybody looked at anew, or one member, what was refused included; how many they are."""
    of = [member_table.c.client == client] + ([member_table.c.patient == patient] if patient is not None else [])
    values = {"changed": member_table.c.changed + 1, "due_at": tx.now, "attempts": 0, "retry_at": None}
    found = tx.direct.execute(update(member_table).where(*of).values({**values, "refused": None, "error": None}))
    return found.rowcount


def stuck(connection: Connection, client: str) -> list[Member]:
    """The members of whom the upstream server refuses something."""
    of = (member_table.c.client == client, member_table.c.refused.is_not(None))
    return [_member(row) for row in connection.execute(select(member_table).where(*of).order_by("patient"))]


def waiting(connection: Connection, client: str) -> int:
    """How many members are to be looked at, now or later."""
    of = (member_table.c.client == client, member_table.c.due_at.is_not(None))
    return connection.scalar(select(func.count()).select_from(member_table).where(*of)) or 0


def _member(row: Any) -> Member:
    digests = row.refused or b""
    parts = frozenset(digests[at : at + 32] for at in range(0, len(digests), 32))
    return Member(row.patient, row.changed, row.attempts, row.retry_at, parts, row.error)


# --- the server ---------------------------------------------------------------------------------------------------


def enlist(tx: Transaction, client: str, base: str) -> None:
    """Keep a server in step from now on; where another one was before, nothing of it counts."""
    known = find(tx.direct, client)
    if known is not None and known.base == base:
        return
    for one in (reference_table, copy_table, member_table, table):
        tx.direct.execute(delete(one).where(one.c.client == client))
    row = {"client": client, "base": base, "held_until": 0, "resume_at": 0, "failures": 0}
    tx.direct.execute(insert(table).values(row))


def find(connection: Connection, client: str) -> Upstream | None:
    """The server that is registered as this client; None when none is kept in step."""
    names = ("client", "base", "revision", "weighed_until", "resume_at", "failures", "error")
    row = connection.execute(select(*(table.c[name] for name in names)).where(table.c.client == client)).first()
    return Upstream(*row) if row else None


def hold(tx: Transaction, client: str, holder: str, until: int) -> bool:
    """Speak with a server, as the only process that does; False when another one does.

    What is about nobody belongs to several members at once: two that send could undo each other's work.
    """
    free = or_(table.c.holder == holder, table.c.held_until <= tx.now)
    held = update(table).where(table.c.client == client, free).values(holder=holder, held_until=until)
    return tx.direct.execute(held).rowcount > 0


def leave(tx: Transaction, client: str, holder: str) -> None:
    """Let another process speak with it."""
    mine = (table.c.client == client, table.c.holder == holder)
    tx.direct.execute(update(table).where(*mine).values(held_until=0))


def pause(tx: Transaction, client: str, until: int, error: str) -> None:
    """Leave a server alone for a time."""
    values = {"resume_at": until, "failures": table.c.failures + 1, "error": error}
    tx.direct.execute(update(table).where(table.c.client == client).values(values))


def answered(tx: Transaction, client: str) -> None:
    """It answers."""
    values = {"resume_at": 0, "failures": 0, "error": None}
    tx.direct.execute(update(table).where(table.c.client == client, table.c.failures > 0).values(values))
