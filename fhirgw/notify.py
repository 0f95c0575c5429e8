"""Notifications: what the outbox holds goes out if, at the moment of sending, consent lets it.

A row says that something happened and whom it may concern; nothing about a member is in it. The content is made by
``Share.release`` when it is sent, so that a revocation reaches a notification that waits. Withheld is not an error:
the row is closed, and nothing is sent, since the fact of sending would tell. (DESIGN §6; leaks 31, 32 and 50.)
"""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from fhirgw.errors import DependencyDown, GatewayError, NotFound
from fhirgw.send import post
from fhirgw.share import Notification, Requester, Share
from fhirgw.store import clients, outbox
from fhirgw.store.database import Database, microseconds

log = structlog.get_logger(__name__)
IDLE_SECONDS = 1.0
PURPOSE = "COC"
"""A notification serves care coordination, unless the client is registered for one other purpose alone."""
RETRY_AFTER = (5, 30, 120, 600, 3600)
"""Seconds until the next attempt, by attempts made; then the row has failed."""


async def deliver(database: Database, share: Share, new_id: Callable[[], str]) -> None:
    """Send what is due, for ever."""
    while True:
        sent = 0
        try:
            sent = await deliver_due(database, share, new_id)
        except DependencyDown as error:
            log.warning("notifications wait", reason=error.text)
        except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets; the rows are still due
            log.error("notifications failed", error=type(error).__name__)  # noqa: TRY400 - a trace could hold data
        if not sent:
            await asyncio.sleep(IDLE_SECONDS)


async def deliver_due(
    database: Database, share: Share, new_id: Callable[[], str], *, clock: Callable[[], int] = microseconds
) -> int:
    """One round over what is due; how many rows were taken up."""
    with database.read() as connection:
        rows = outbox.due(connection, limit=16, now=clock())
    for row in rows:
        try:
            state = await _deliver(database, share, row, new_id())
        except DependencyDown:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others go out
            log.error("notification failed", row=row.id, error=type(error).__name__)  # noqa: TRY400 - as above
            state = "due"
        delay = RETRY_AFTER[min(row.attempts, len(RETRY_AFTER) - 1)] * 1_000_000
        if state == "due" and row.attempts >= len(RETRY_AFTER):
            state = "failed"
        await database.write(partial(outbox.mark, key=row.id, state=state, delay=delay))
        log.info("notification", row=row.id, state=state)
    return len(rows)


async def _deliver(database: Database, share: Share, row: outbox.Row, request_id: str) -> str:
    """The row's next state: sent, withheld, or due again."""
    with database.read() as connection:
        client = clients.find(connection, row.client)
    if client is None or client.revoked or client.notify_url is None:
        return "withheld"
    purpose = client.purposes[0] if len(client.purposes) == 1 else PURPOSE
    requester = Requester(
        client=client.id,
        organization=client.organization,
        purpose=purpose,
        scopes=(),
        inside=None,
        request_id=request_id,
        channel="notification",
    )
    try:
        released = await share.release(requester, Notification(row.focus, row.detail, client.notify_url))
    except NotFound:
        return "withheld"
    try:
        status = await post(client.notify_url, released, headers={"X-Request-Id": request_id})
    except GatewayError:
        return "due"
    return "sent" if 200 <= status < 300 else "due"
