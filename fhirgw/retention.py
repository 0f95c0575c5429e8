"""The journal's bytes go when nobody needs them: data minimisation (DESIGN §3, §4; docs/decisions/0113).

Of a stranger the whole row; of a member or candidate the bytes, not before the visit is closed, while the facts of
the event remain, so that the visit can still be folded; what was parked, refused or never answered by a person,
whole, after its own time. What came back of a case goes when its system has had the time to take it, and has stated
the case since (docs/decisions/0251). A run stops anywhere and is taken up by the next one.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from fhirgw import metrics
from fhirgw.errors import DependencyDown
from fhirgw.mappers.ids import resource_id
from fhirgw.settings import Keys, Settings
from fhirgw.store import repository, retention, returns
from fhirgw.store.database import Database, Transaction

log = structlog.get_logger(__name__)
IDLE_SECONDS = 3600.0
BATCH = 200
DAY = 86_400_000_000
CLOSED = frozenset({"finished", "cancelled", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Periods:
    """Days that rows of each kind are kept.

    Those of the journal not fewer than MSH-10 must stay unique, or no repetition is known.
    """

    stranger: int
    member: int
    parked: int
    rejected: int
    returned: int

    @classmethod
    def of(cls, settings: Settings) -> "Periods":
        """The settings' periods."""
        kept = (
            settings.journal_stranger_days,
            settings.journal_member_days,
            settings.journal_parked_days,
            settings.journal_rejected_days,
        )
        stranger, member, parked, rejected = (max(days, settings.duplicate_window_days) for days in kept)
        return cls(stranger, member, parked, rejected, settings.return_days)


class Retention:
    """Removes what is over its time."""

    def __init__(self, database: Database, periods: Periods, id_key: bytes) -> None:
        """Compose.

        Args:
            database: Holds the journal.
            periods: How long what is kept.
            id_key: Key of the resource ids.
        """
        self._database, self._periods, self._key = database, periods, id_key

    async def run(self) -> dict[str, int]:
        """Remove all that is over its time now; how many rows, by why.

        Returns:
            Counts of ``stranger``, ``member``, ``parked``, ``rejected`` and ``returned``, and ``scrubbed``: 1 when
            no copy is left in the write-ahead log.
        """
        done: Counter[str] = Counter()
        for why, step in (
            ("stranger", self._strangers),
            ("parked", self._parked),
            ("rejected", self._rejected),
            ("member", self._members),
            ("returned", self._returned),
        ):
            after = 0
            while True:
                taken, after = await self._database.write(partial(step, after=after))
                done[why] += taken
                metrics.expired.labels(why).inc(taken)
                if after < 0:
                    break
        scrubbed = await asyncio.to_thread(self._database.scrub)
        return {**done, "scrubbed": int(scrubbed)}

    def _strangers(self, tx: Transaction, after: int) -> tuple[int, int]:
        del after  # what was removed is not found again
        return _removed(tx, retention.of_strangers(tx.connection, tx.now - self._periods.stranger * DAY, BATCH))

    def _parked(self, tx: Transaction, after: int) -> tuple[int, int]:
        del after
        before = tx.now - self._periods.parked * DAY
        return _removed(tx, retention.in_state(tx.connection, ("parked", "waiting"), before, BATCH))

    def _rejected(self, tx: Transaction, after: int) -> tuple[int, int]:
        del after
        before = tx.now - self._periods.rejected * DAY
        return _removed(tx, retention.in_state(tx.connection, ("rejected",), before, BATCH))

    def _members(self, tx: Transaction, after: int) -> tuple[int, int]:
        before = tx.now - self._periods.member * DAY
        rows = retention.of_members(tx.connection, before, BATCH, after)
        over = [
            row
            for row, visits in rows.items()
            if all(one is None or self._closed(tx, one, before) for one in visits)
        ]
        retention.empty(tx, over)
        return len(over), max(rows) if len(rows) == BATCH else -1

    def _returned(self, tx: Transaction, after: int) -> tuple[int, int]:
        del after
        gone = returns.forget(tx, tx.now - self._periods.returned * DAY, BATCH)
        return gone, 0 if gone == BATCH else -1

    def _closed(self, tx: Transaction, visit: str, before: int) -> bool:
        """Whether the visit ended, and nothing was said of it since."""
        system, _, value = visit.partition("|")
        found = repository.current(tx.connection, "Encounter", resource_id(self._key, "Encounter", system, value))
        return found is None or (found.body["status"] in CLOSED and found.updated_at < before)


def _removed(tx: Transaction, rows: list[int]) -> tuple[int, int]:
    retention.remove(tx, rows)
    return len(rows), 0 if len(rows) == BATCH else -1


def of(database: Database, settings: Settings, keys: Keys) -> Retention:
    """The retention of a gateway."""
    return Retention(database, Periods.of(settings), keys.ids)


async def keep(retention_: Retention, *, wait: Callable[[float], Any] = asyncio.sleep) -> None:
    """Run it every hour, for ever."""
    while True:
        try:
            log.info("retention", **await retention_.run())
        except DependencyDown as error:
            log.warning("retention waits", reason=error.text)
        except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets; the rows are still there
            log.error("retention failed", error=type(error).__name__)  # noqa: TRY400 - a trace could hold data
        await wait(IDLE_SECONDS)
