"""The programmes' clocks at an instant: which of the open Tasks are overdue.

When a clock runs and what is due is the case's (``mappers.icm.clock_tasks``) and the visit's (``referral``); only
the comparison with now is made here, so that nothing else needs to know what time it is.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from fhirgw.terminology import BASE

Json = dict[str, Any]

_OPEN = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
_STATUS = f"{BASE}/CodeSystem/icm-clock-status"


def due_at(task: Json) -> datetime | None:
    """When the Task is due; None when nothing says so."""
    end = task.get("restriction", {}).get("period", {}).get("end")
    return datetime.fromisoformat(end) if end else None


def breaches(tasks: Iterable[Json], now: datetime) -> Iterator[Json]:
    """The open Tasks that are past due and not yet marked so, marked ``breached``; the others are left alone.

    A Task on the last second of its last day is in time (HUSKY, Nebraska, BC and CT BHP all state days).
    """
    for task in tasks:
        due = due_at(task)
        if due and now > due and task["status"] in _OPEN and _standing(task) != "breached":
            yield {**task, "businessStatus": {"coding": [{"system": _STATUS, "code": "breached"}]}}


def _standing(task: Json) -> str | None:
    codings: list[Json] = task.get("businessStatus", {}).get("coding", [])
    return next((coding["code"] for coding in codings if coding.get("system") == _STATUS), None)
