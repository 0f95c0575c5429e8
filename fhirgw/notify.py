"""Notifications: what the outbox holds goes out if, at the moment of sending, consent lets it.

A row says that something happened and whom it may concern; nothing about a member is in it. The content is made by
``Share.release`` when it is sent, so that a revocation reaches a notification that waits. Withheld is not an error:
the row is closed, and nothing is sent, since the fact of sending would tell. (DESIGN §6; leaks 31, 32 and 50.)
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from fhirgw.asks import Notification, Requester
from fhirgw.errors import DependencyDown, GatewayError, NotFound
from fhirgw.mappers.ids import resource_id
from fhirgw.send import post
from fhirgw.share import Share
from fhirgw.store import clients, outbox
from fhirgw.store.clients import Client
from fhirgw.store.database import Database, microseconds

log = structlog.get_logger(__name__)
IDLE_SECONDS = 1.0
BATCH = 64
PURPOSE = "COC"
"""A notification serves care coordination, unless the client is registered for one other purpose alone."""
RETRY_AFTER = (5, 30, 120, 600, 3600, 10_800, 21_600, 43_200, 86_400, 86_400)
"""Seconds until the next attempt, by attempts made: a receiver may be away for three days."""
LEASE = 600_000_000
"""Microseconds an attempt has; should this process die in it, the row is sent again after that."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt: the row's next state, and why it is not ``sent``."""

    state: str
    error: str | None = None


class Notifier:
    """Delivers the outbox. Several processes may do so at once."""

    def __init__(
        self,
        database: Database,
        share: Share,
        *,
        new_id: Callable[[], str],
        id_key: bytes,
        clock: Callable[[], int] = microseconds,
    ) -> None:
        """Compose.

        Args:
            database: Holds the outbox.
            share: Decides what may be said.
            new_id: Fresh opaque ids, of requests.
            id_key: Key of the message ids.
            clock: Microseconds since the epoch.
        """
        self._database = database
        self._share = share
        self._new_id = new_id
        self._id_key = id_key
        self._clock = clock

    async def deliver(self) -> None:
        """Send what is due, for ever."""
        while True:
            sent = 0
            try:
                sent = await self.deliver_due()
            except DependencyDown as error:
                log.warning("notifications wait", reason=error.text)
            except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets; the rows are still due
                log.error("notifications failed", error=type(error).__name__)  # noqa: TRY400 - a trace could hold data
            if not sent:
                await asyncio.sleep(IDLE_SECONDS)

    async def deliver_due(self) -> int:
        """One round over what is due; how many rows were taken up. A slow receiver keeps no other waiting."""
        with self._database.read() as connection:
            due = outbox.due(connection, limit=BATCH, now=self._clock())
        rows = await self._database.write(lambda tx: outbox.claim(tx, due, LEASE)) if due else []
        by_client: dict[str, list[outbox.Row]] = defaultdict(list)
        for row in rows:
            by_client[row.client].append(row)
        results = await asyncio.gather(*map(self._in_turn, by_client.values()), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(rows)

    async def _in_turn(self, rows: Sequence[outbox.Row]) -> None:
        for row in rows:
            try:
                outcome = await self._attempt(row)
            except DependencyDown:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others go out
                log.error("notification failed", row=row.id, error=type(error).__name__)  # noqa: TRY400 - as above
                outcome = Outcome("due", type(error).__name__)
            delay = RETRY_AFTER[min(row.attempts, len(RETRY_AFTER) - 1)] * 1_000_000
            state = "failed" if outcome.state == "due" and row.attempts >= len(RETRY_AFTER) else outcome.state
            note = partial(outbox.mark, key=row.id, state=state, delay=delay, error=outcome.error)
            await self._database.write(note)
            log.info("notification", row=row.id, state=state)

    async def _attempt(self, row: outbox.Row) -> Outcome:
        with self._database.read() as connection:
            client = clients.find(connection, row.client)
            moot = outbox.overtaken(connection, row) or (row.undone and not outbox.told(connection, row))
        if moot:
            return Outcome("moot")
        if client is None or client.revoked or client.notify_url is None:
            return Outcome("withheld")
        request_id = self._new_id()
        message_id = resource_id(self._id_key, "Bundle", "alert", str(row.id))
        ask = Notification(row.focus, row.code, row.key, row.undone, client.notify_url, message_id, row.patient)
        try:
            released = await self._share.release(_requester(client, request_id, row.code), ask)
        except NotFound:
            return Outcome("withheld")
        headers = {"X-Request-Id": request_id, **_header(client)}
        try:
            status = await post(client.notify_url, released, headers=headers)
        except GatewayError as error:
            return Outcome("due", error.text)
        return Outcome("sent") if 200 <= status < 300 else Outcome("due", f"HTTP status {status}")


def _requester(client: Client, request_id: str, code: str) -> Requester:
    """A programme's own system is told of a visit what anybody would be; of a claim, what its staff may see."""
    return Requester(
        client=client.id,
        organization=client.organization,
        purpose=client.purposes[0] if len(client.purposes) == 1 else PURPOSE,
        scopes=(),
        inside=client.inside if code in clients.NOTICES else None,
        request_id=request_id,
        channel="notification",
    )


def _header(client: Client) -> dict[str, str]:
    if client.notify_header is None:
        return {}
    name, _, value = client.notify_header.partition(":")
    return {name: value.strip()}
