"""When which open Task is due: what R4 has no search parameter for (``Task.restriction.period``)."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, delete, select, text

from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import task_clock
from fhirgw.terminology import BASE

Json = dict[str, Any]

OPEN = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
STANDING = f"{BASE}/CodeSystem/icm-clock-status"
"""Code system of Task.businessStatus: open, met, breached."""

_SET = Prepared(
    text(
        "INSERT INTO task_clock (task, due_at) VALUES (:task, :due_at) "
        "ON CONFLICT (task) DO UPDATE SET due_at = excluded.due_at"
    )
)
_UNSET = Prepared(delete(task_clock).where(task_clock.c.task == bindparam("of")))
_OVERDUE = Prepared(
    select(task_clock.c.task)
    .where(task_clock.c.due_at < bindparam("now"))
    .order_by(task_clock.c.due_at, task_clock.c.task)
    .limit(bindparam("most", type_=Integer))
)


def due_at(task: Json) -> datetime | None:
    """When the Task is due; None when nothing says so."""
    end = task.get("restriction", {}).get("period", {}).get("end")
    return datetime.fromisoformat(end) if end and len(end) > 10 else None


def standing(task: Json) -> str | None:
    """How its clock stands, as far as it says so."""
    codings: list[Json] = task.get("businessStatus", {}).get("coding", [])
    return next((coding["code"] for coding in codings if coding.get("system") == STANDING), None)


def note(tx: Transaction, logical: str, task: Json | None) -> None:
    """A Task was written, or deleted (None)."""
    due = due_at(task) if task else None
    if task and due and task["status"] in OPEN and standing(task) != "breached":
        _SET.run(tx.direct, [{"task": logical, "due_at": int(due.timestamp() * 1_000_000)}])
    else:
        _UNSET.run(tx.direct, [{"of": logical}])


def overdue(connection: Connection, now: int, limit: int = 64) -> list[str]:
    """Logical ids of open Tasks past due and not marked so, the longest due first."""
    return [task for (task,) in _OVERDUE.rows(connection, now=now, most=limit)]
