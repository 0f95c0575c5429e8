"""For the operator's monitors: is the gateway up, and what has it counted."""

import asyncio
from ipaddress import ip_address

import orjson
from starlette.requests import Request

from fhirgw import metrics
from fhirgw.errors import DependencyDown, NotFound
from fhirgw.released import Public
from fhirgw.store import journal, outbox
from fhirgw.store.database import Database

HEALTH = "application/health+json"
JOURNAL_STATES = ("received", "processed", "parked", "rejected")
OUTBOX_STATES = ("due", "sent", "withheld", "failed")
FORWARDED = ("forwarded", "x-forwarded-for", "via")


class Health:
    """``/health`` and ``/metrics``."""

    def __init__(self, database: Database) -> None:
        """Watch this database."""
        self._database = database

    async def health(self, _request: Request) -> Public:
        """``GET /health``: 200 when the database answers, else 503."""
        try:
            await asyncio.to_thread(self._ask)
        except DependencyDown:
            return Public(orjson.dumps({"status": "fail"}), HEALTH, 503)
        return Public(orjson.dumps({"status": "pass"}), HEALTH)

    def _gauge(self) -> None:
        with self._database.read() as connection:
            for gauge, states, counted in (
                (metrics.journal_rows, JOURNAL_STATES, journal.counts(connection)),
                (metrics.outbox_rows, OUTBOX_STATES, outbox.counts(connection)),
            ):
                for state in states:
                    gauge.labels(state).set(counted.get(state, 0))

    def _ask(self) -> None:
        with self._database.read() as connection:
            connection.exec_driver_sql("SELECT 1 FROM client")

    async def metrics(self, request: Request) -> Public:
        """``GET /metrics``, for this machine alone: counts move with data that a partner may not see (leak 36)."""
        peer = request.client.host if request.client else ""
        if not _is_loopback(peer) or any(name in request.headers for name in FORWARDED):
            raise NotFound
        await asyncio.to_thread(self._gauge)
        return Public(metrics.exposition(), metrics.MEDIA_TYPE)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
