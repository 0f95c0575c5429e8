"""The worker that labels the store anew after the label tables changed, and says how far it is."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from fhirgw import metrics
from fhirgw.errors import DependencyDown
from fhirgw.store import relabelling
from fhirgw.store.database import Database

log = structlog.get_logger(__name__)
WAIT_SECONDS = 1.0
BATCH = 200
"""Resources in a transaction; what refers to them comes with them."""
TOLD = 50
"""Batches from one line in the log to the next."""


async def run(database: Database, told: Callable[[int], Any] | None = None, *, batch: int = BATCH) -> int:
    """Label everything anew that is not labelled by the tables of this program; how many resources were.

    A batch to a transaction: whatever stops it, the next run goes on behind the last batch.

    Args:
        database: The store.
        told: Given the number that is left, every now and then.
        batch: Resources in a transaction.
    """
    total, batches, left = 0, 0, await asyncio.to_thread(_left, database)
    metrics.relabelling_left.set(left)
    while labelled := await database.write(partial(relabelling.relabel, most=batch)):
        total += labelled
        left = max(0, left - labelled)
        metrics.relabelled.inc(labelled)
        metrics.relabelling_left.set(left)
        if told is not None and batches % TOLD == 0:
            told(left)
        batches += 1
    metrics.relabelling_left.set(0)
    return total


async def keep(database: Database, *, wait: Callable[[float], Any] = asyncio.sleep) -> None:
    """Run until everything is labelled; until then nothing is answered outside."""
    while True:
        try:
            if labelled := await run(database, _told):
                log.warning("everything is labelled anew", resources=labelled)
        except DependencyDown as error:
            log.warning("labelling waits", reason=error.text)
        except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets; outside stays shut
            log.error("labelling failed", error=type(error).__name__)  # noqa: TRY400 - a trace could hold data
        else:
            return
        await wait(WAIT_SECONDS)


def _told(left: int) -> None:
    log.warning("labelling anew; outside, nothing is answered until it is done", left=left)


def _left(database: Database) -> int:
    with database.read() as connection:
        return relabelling.left(connection)
