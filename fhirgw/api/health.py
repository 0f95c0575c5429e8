"""For the operator's monitors: is the gateway up, and what has it counted."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from threading import Lock

import orjson
from sqlalchemy import Connection
from starlette.requests import Request

from fhirgw import metrics
from fhirgw.errors import DependencyDown, NotFound
from fhirgw.released import Public
from fhirgw.settings import Senders
from fhirgw.store import inspection, journal, outbox, relabelling, reviews
from fhirgw.store.database import Database, microseconds

HEALTH = "application/health+json"
SECOND = 1_000_000
FORWARDED = ("forwarded", "x-forwarded-for", "via")


class Health:
    """``/health`` and ``/metrics``."""

    def __init__(
        self,
        database: Database,
        senders: Callable[[], Senders] = Senders,
        clock: Callable[[], int] = microseconds,
    ) -> None:
        """Compose.

        Args:
            database: To watch.
            senders: Whose messages are told apart: those of the senders file.
            clock: Microseconds since the epoch.
        """
        self._database = database
        self._senders = senders
        self._clock = clock
        self._counting = Lock()

    async def health(self, _request: Request) -> Public:
        """``GET /health``: 200 when the database answers and everything is labelled by these tables, else 503."""
        try:
            ready = await asyncio.to_thread(self._ask)
        except DependencyDown:
            ready = False
        if not ready:
            return Public(orjson.dumps({"status": "fail"}), HEALTH, 503)
        return Public(orjson.dumps({"status": "pass"}), HEALTH)

    def _exposition(self) -> bytes:
        """Every counter, and the gauges as they are now."""
        with self._counting, self._database.read() as connection:
            for gauge, states, counted in (
                (metrics.journal_rows, journal.STATES, journal.counts(connection)),
                (metrics.outbox_rows, outbox.STATES, outbox.counts(connection)),
            ):
                for state in states:
                    gauge.labels(state).set(counted.get(state, 0))
            self._gauge_senders(connection)
            metrics.outbox_oldest.set(self._age(outbox.oldest(connection)))
            metrics.reviews_open.set(reviews.open_count(connection))
            return metrics.exposition()

    def _gauge_senders(self, connection: Connection) -> None:
        """INVARIANT: a name that the senders file does not have (any more) is no label."""
        names = [name for name, _ in self._senders().each()]
        counted = {(name, state): 0 for name in names for state in inspection.OPEN}
        oldest: dict[str, int] = {}
        for sender, state, number, first in inspection.open_counts(connection):
            name = sender if sender in names else "default"
            counted[name, state] += number
            if state == "received":
                oldest[name] = min(first, oldest.get(name, first))
        metrics.journal_open.clear()
        metrics.journal_oldest.clear()
        for (name, state), number in counted.items():
            metrics.journal_open.labels(name, state).set(number)
        for name in names:
            metrics.journal_oldest.labels(name).set(self._age(oldest.get(name)))

    def _age(self, instant: int | None) -> float:
        return 0 if instant is None else max(0, self._clock() - instant) / SECOND

    def _ask(self) -> bool:
        with self._database.read() as connection:
            return relabelling.is_done(connection)

    async def metrics(self, request: Request) -> Public:
        """``GET /metrics``, for this machine alone: counts move with data that a partner may not see (leak 36)."""
        peer = request.client.host if request.client else ""
        if not _is_loopback(peer) or any(name in request.headers for name in FORWARDED):
            raise NotFound
        return Public(await asyncio.to_thread(self._exposition), metrics.MEDIA_TYPE)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
