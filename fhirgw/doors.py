"""What the channels are given of the intake: a message or a batch in, a reply out, with everything to be noted.

MLLP answers on a connection that stays; HTTP has one answer, so that an application ACK that is the only one wanted
is waited for.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Literal

from prometheus_client import Histogram

from fhirgw import metrics
from fhirgw.admission import Peer
from fhirgw.batches import Batch
from fhirgw.intake import Intake
from fhirgw.keeping import Received
from fhirgw.released import Public
from fhirgw.replies import Replies
from fhirgw.settings import Settings
from fhirgw.v2.receiving import Incoming, Push, Reply

HTTP_SECONDS = 30.0
"""How long an HTTP request waits for an application ACK; after that, sending it again gives it."""
NOTE_SECONDS = 0.05
"""How long the note that an ACK left waits for others: a unit of work for each delays the next ACK."""


class Doors:
    """Both channels' side of the intake. One instance; it is awaited at the end, by ``drained``.

    Attributes:
        work: Set when something was kept that may have to be processed.
    """

    def __init__(
        self,
        intake: Intake,
        replies: Replies,
        settings: Settings,
        *,
        new_id: Callable[[], str],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Compose.

        Args:
            intake: Keeps and answers.
            replies: Hands over application ACKs.
            settings: Caps.
            new_id: Control ids of batch answers.
            seconds: Measures how long a sender waits for an ACK.
        """
        self.intake = intake
        self.replies = replies
        self.settings = settings
        self.work = asyncio.Event()
        self.new_id = new_id
        self.seconds = seconds
        self._told: dict[bool, list[int]] = {True: [], False: []}
        self._noting: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()  # no more will come

    def welcomes(self, address: str | None) -> bool:
        """Whether anybody could send from this address."""
        return self.intake.welcomes(address)

    def receive(self, raw: bytes, peer: Peer, then: Callable[[Reply], None], *, truncated: bool) -> None:
        """One message over MLLP."""
        since = self.seconds()
        self.intake.take(raw, "mllp", peer, lambda told: then(self.reply(told, since)), truncated=truncated)

    def batch(self, peer: Peer) -> Incoming:
        """A batch over MLLP."""
        return _Incoming(self, "mllp", peer)

    async def discard(self, raw: bytes, peer: Peer) -> None:
        """Bytes that were no frame."""
        await self.intake.discard(raw, peer)

    def left(self, peer: Peer) -> None:
        """A connection has ended."""
        self.intake.left(peer)

    def reply(self, received: Received, since: float) -> Reply:
        """What the channel has to do about a message that was whole at this instant."""
        self.work.set()
        row = received.row
        is_followed = received.follows and row is not None and not self.intake.returns(received.sender)
        return Reply(
            received.answer,
            partial(self._delivered, row, received.sender, since) if received.answer and row is not None else None,
            partial(self.replies.follow, row) if is_followed and row is not None else None,
            int(is_followed),
            received.idle,
            received.last,
            row is not None,
        )

    def reply_to_batch(self, received: Sequence[Received], answer: Public | None) -> Reply:
        """The same about messages that are answered together."""
        each = [self.reply(one, 0.0) for one in received]
        self.work.set()

        def delivered(taken: bool) -> None:
            self.note([one.row for one in received if one.answer and one.row is not None], taken=taken)

        def follow(push: Push) -> None:
            for one in each:
                if one.follow:
                    one.follow(push)

        return Reply(
            answer,
            delivered if any(one.delivered for one in each) else None,
            follow if any(one.follow for one in each) else None,
            sum(one.follows for one in each),
            idle=received[0].idle if received else None,
            last=any(one.last for one in each),
            kept=all(one.kept for one in each),
        )

    def note(self, rows: Sequence[int], *, taken: bool) -> None:
        """Note whether ACKs left, together with those of the next moment; nobody waits for that."""
        self._told[taken] += rows
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._note())

    def _delivered(self, row: int, sender: str, since: float, taken: bool) -> None:
        if taken:
            _timer(sender).observe(self.seconds() - since)
        self.note((row,), taken=taken)

    async def drained(self) -> None:
        """Every delivery has been noted."""
        self._hurry.set()
        if self._noting:
            await self._noting

    async def _note(self) -> None:
        """Note the deliveries that there are, those together that come within a moment."""
        while any(self._told.values()):
            with suppress(TimeoutError):
                async with asyncio.timeout(NOTE_SECONDS):
                    await self._hurry.wait()
            for taken, rows in self._told.items():
                if rows:
                    self._told[taken] = []
                    await self.intake.delivered(rows, sent=taken)


@cache
def _timer(sender: str) -> Histogram:
    """By a sender's name; finding it takes longer than observing."""
    timer: Histogram = metrics.ack_seconds.labels(sender)
    return timer


@dataclass(frozen=True, slots=True)
class HttpDoor:
    """The same for HTTP."""

    doors: Doors

    async def receive(self, raw: bytes, peer: Peer, *, truncated: bool) -> Reply:
        """One message; with its application ACK, where that is the only one wanted."""
        doors = self.doors
        since = doors.seconds()
        received = await doors.intake.receive(raw, "http", peer, truncated=truncated)
        reply = doors.reply(received, since)
        if reply.answer or not reply.follow:
            return reply
        told: asyncio.Future[Public | None] = asyncio.get_running_loop().create_future()

        async def push(answer: Public | None) -> bool:
            if not told.done():
                told.set_result(answer)
            return not told.cancelled()

        reply.follow(push)
        try:
            async with asyncio.timeout(HTTP_SECONDS):
                return Reply(await told)
        except TimeoutError:
            return reply

    def batch(self, peer: Peer) -> Incoming:
        """A batch."""
        return _Incoming(self.doors, "http", peer)


class _Incoming:
    """A batch on its way in, over either channel."""

    def __init__(self, doors: Doors, channel: Literal["mllp", "http"], peer: Peer) -> None:
        self._doors = doors
        self._batch = Batch(
            doors.intake,
            channel,
            peer,
            max_message_bytes=doors.settings.max_message_bytes,
            max_batch_bytes=doors.settings.max_batch_bytes,
            clock=lambda: datetime.now(UTC),
            new_id=doors.new_id,
        )

    async def feed(self, received: bytes) -> None:
        """Take some of it."""
        await self._batch.feed(received)
        self._doors.work.set()

    async def finish(self) -> Reply:
        """It is whole: its answer."""
        told = await self._batch.finish()
        return self._doors.reply_to_batch(told.received, told.answer)

    async def abandon(self) -> None:
        """The connection ended in the middle of it."""
        await self._batch.abandon()
        self._doors.work.set()
