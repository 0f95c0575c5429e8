"""When which open Task is due: what R4 has no search parameter for (``Task.restriction.period``)."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from fhirgw.store.database import Transaction
from fhirgw.store.due import DueTable
from fhirgw.store.schema import task_clock
from fhirgw.terminology import BASE

Json = dict[str, Any]

OPEN = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
STANDING = f"{BASE}/CodeSystem/icm-clock-status"
"""Code system of Task.businessStatus: open, met, breached."""

_CLOCK = DueTable(task_clock)


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
    due = due_at(task) if task and task["status"] in OPEN and standing(task) != "breached" else None
    _CLOCK.note(tx, logical, int(due.timestamp() * 1_000_000) if due else None)


def overdue(connection: Connection, now: int, limit: int = 64) -> list[str]:
    """Logical ids of open Tasks past due and not marked so, the longest due first."""
    return _CLOCK.due(connection, now, limit)
