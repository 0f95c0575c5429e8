"""The programmes' clocks at an instant: which of the open Tasks are overdue, and that it is said.

When a clock runs and what is due is the case's (``mappers.icm.clock_tasks``) and the visit's (``referral``); only
the comparison with now is made here, so that nothing else needs to know what time it is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog

from fhirgw import metrics
from fhirgw.errors import DependencyDown
from fhirgw.store import repository, task_clock
from fhirgw.store.database import Database, Transaction
from fhirgw.store.task_clock import OPEN, STANDING, due_at, standing

Json = dict[str, Any]

log = structlog.get_logger(__name__)
IDLE_SECONDS = 30.0
BATCH = 64


def breaches(tasks: Iterable[Json], now: datetime) -> Iterator[Json]:
    """The open Tasks that are past due and not yet marked so, marked ``breached`` and urgent; no other.

    A Task on the last second of its last day is in time (HUSKY, Nebraska, BC and CT BHP all state days).
    """
    for task in tasks:
        due = due_at(task)
        if due and now > due and task["status"] in OPEN and standing(task) != "breached":
            breached = {"coding": [{"system": STANDING, "code": "breached"}]}
            # What a person has called more urgent stays so.
            priority = task.get("priority") if task.get("priority") in ("asap", "stat") else "urgent"
            yield {**task, "businessStatus": breached, "priority": priority}


def review(tx: Transaction, limit: int = BATCH) -> int:
    """Mark what is overdue at the instant of the unit of work; how many Tasks were."""
    now = datetime.fromtimestamp(tx.now / 1_000_000, UTC)
    names = task_clock.overdue(tx.connection, tx.now, limit)
    found = [kept.body for name in names if (kept := repository.current(tx.connection, "Task", name))]
    marked = list(breaches(found, now))
    for task in marked:
        repository.put(tx, task)
    return len(marked)


async def review_due(database: Database) -> int:
    """Mark all that is overdue now, a batch to a transaction; how many Tasks were."""
    total = 0
    while marked := await database.write(partial(review, limit=BATCH)):
        metrics.breaches.inc(marked)
        total += marked
    return total


async def keep(
    reviews: Mapping[str, Callable[[], Awaitable[int]]], *, wait: Callable[[float], Any] = asyncio.sleep
) -> None:
    """Review the clocks, for ever: what was missed while nobody ran is found at the start.

    Args:
        reviews: What is reviewed, by its name; each says how many Tasks it changed.
        wait: Between one time and the next.
    """
    while True:
        for name, review in reviews.items():
            try:
                if changed := await review():
                    log.warning("clocks overdue", clock=name, tasks=changed)
            except DependencyDown as error:
                log.warning("clocks wait", clock=name, reason=error.text)
            except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets; the clocks run on
                log.error("clocks failed", clock=name, error=type(error).__name__)  # noqa: TRY400 - a trace holds data
        await wait(IDLE_SECONDS)
