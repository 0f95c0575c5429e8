"""Application ACKs on their way: on the connection their message came on, or to the sender's return address.

They were made and stored with the outcome of the processing; here they are handed over, and that is noted. What
goes on a connection is lost with it, and given again when the message is sent again; what goes to an address is
retried for days, and survives a restart.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ssl import SSLContext
from urllib.parse import urlsplit

import structlog

from fhirgw.errors import DependencyDown, GatewayError
from fhirgw.intake import Intake
from fhirgw.released import Public
from fhirgw.settings import Sender
from fhirgw.store.application_ack import Row
from fhirgw.v2.client import MllpClient
from fhirgw.v2.receiving import Push

log = structlog.get_logger(__name__)
POLL_SECONDS = 1.0
LINGER_SECONDS = 1.0
RETRY_AFTER = (5, 30, 120, 600, 3600)
"""Seconds until a return address is tried again, by attempts made; the last one is repeated."""
ATTEMPTS = 76
"""Three days of them; then it has failed."""


class Replies:
    """Hands over application ACKs."""

    def __init__(self, intake: Intake, *, clock: Callable[[], int], tls: Callable[[], SSLContext]) -> None:
        """Compose.

        Args:
            intake: Where they are kept.
            clock: Microseconds since the epoch.
            tls: The context for return addresses with TLS.
        """
        self._intake = intake
        self._clock = clock
        self._tls = tls
        self._following: dict[int, Push] = {}
        self._wake = asyncio.Event()

    def follow(self, row: int, push: Push) -> None:
        """The message in this row was received on a connection that waits for its application ACK."""
        self._following[row] = push
        self._wake.set()

    def wake(self) -> None:
        """Messages were processed."""
        self._wake.set()

    async def run(self) -> None:
        """Hand over, for ever."""
        while True:
            self._wake.clear()
            try:
                await self.deliver()
            except DependencyDown as error:
                log.warning("application acks wait", reason=error.text)
            except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets
                log.error("application acks failed", error=type(error).__name__)  # noqa: TRY400 - no trace: ids
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):  # wait_for would swallow a cancel that meets the wake-up
                    await self._wake.wait()

    async def deliver(self) -> None:
        """Hand over what there is."""
        await self._push()
        await self._return()

    async def _push(self) -> None:
        if not self._following:
            return
        for row, answer in self._intake.told(list(self._following)):
            sent = await self._following.pop(row)(answer)
            if answer and sent:
                await self._intake.told_of([row], "sent")

    async def _return(self) -> None:
        by_sender: dict[str, list[tuple[Row, Sender, Public]]] = defaultdict(list)
        for owed in self._intake.returnable(self._clock()):
            by_sender[owed[0].sender].append(owed)
        await asyncio.gather(*(self._to_sender(owed) for owed in by_sender.values()))

    async def _to_sender(self, owed: list[tuple[Row, Sender, Public]]) -> None:
        """All that one sender is owed, on one connection, in order."""
        sender = owed[0][1]
        try:
            await self._tell(sender, [answer for _, _, answer in owed])
        except GatewayError as error:
            log.warning("application acks not delivered", sender=owed[0][0].sender, reason=error.text)
            for row, _, _ in owed:
                state = "owed" if row.attempts + 1 < ATTEMPTS else "failed"
                delay = RETRY_AFTER[min(row.attempts, len(RETRY_AFTER) - 1)] * 1_000_000
                await self._intake.told_of([row.journal], state, delay)
        else:
            await self._intake.told_of([row.journal for row, _, _ in owed], "sent")

    async def _tell(self, sender: Sender, answers: list[Public]) -> None:
        url = urlsplit(sender.return_to or "")
        if not url.hostname or not url.port:
            raise DependencyDown("The sender has no return address.")
        tls = self._tls() if url.scheme == "mllps" else None
        connect = partial(MllpClient, url.hostname, url.port, timeout=sender.return_timeout_seconds, tls=tls)
        async with connect() as client:
            await client.tell(*(answer.body for answer in answers), linger=LINGER_SECONDS)
