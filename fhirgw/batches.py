"""A batch at the door: each message as if it had come alone, and one answer for all of them.

A bad message spoils only itself; a batch that is sent again gets the stored ACKs. Messages are kept in groups:
they share commits; what is held is one group and the answer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fhirgw.admission import Peer
from fhirgw.intake import Intake
from fhirgw.keeping import ER7, POSITIVE, Received
from fhirgw.released import Public
from fhirgw.v2.batch import Cut, Splitter, Tally, closing, opening, read_header
from fhirgw.v2.codec import Message

GROUP = 64
"""Messages that are kept together."""


@dataclass(frozen=True, slots=True)
class Told:
    """A batch, received.

    Attributes:
        answer: The batch of ACKs; None when there was nothing to answer to.
        received: The messages that were kept and are owed an ACK, or an application ACK.
        remarks: What does not agree with the trailers, in words.
        taken: Messages that were taken, or had been before.
        refused: Messages that were refused.
    """

    answer: Public | None
    received: tuple[Received, ...]
    remarks: tuple[str, ...]
    taken: int
    refused: int


class Batch:
    """One batch, or file of batches, from its first byte to its answer."""

    def __init__(
        self,
        intake: Intake,
        channel: str,
        peer: Peer,
        *,
        max_message_bytes: int,
        max_batch_bytes: int | None,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        told: Callable[[Cut, Received], None] | None = None,
        write: Callable[[bytes], object] | None = None,
    ) -> None:
        """Begin.

        Args:
            intake: Keeps the messages.
            channel: mllp, http or file.
            peer: Where it comes from.
            max_message_bytes: Cap of each message.
            max_batch_bytes: Cap of the whole; None: none, for a file.
            clock: For the headers of the answer.
            new_id: For their control ids.
            told: Called with each message and what became of it.
            write: Takes the answer as it is made; None: it is held, and in ``Told``.
        """
        self._intake = intake
        self._channel = channel
        self._peer = peer
        self._splitter = Splitter(max_message_bytes)
        self._left = max_batch_bytes
        self._over = False
        self._clock = clock
        self._new_id = new_id
        self._told = told
        self._held = bytearray()
        self._write = write or self._held.extend
        self._holds = write is None
        self._tally = Tally()
        self._waiting: list[Cut] = []
        self._received: list[Received] = []
        self._taken = self._refused = self._acks = self._batches = 0
        self._remarked = 0
        self._file: Message | None = None
        self._open: Message | None = None  # header of the batch that is being answered

    async def feed(self, received: bytes) -> None:
        """Take some of it; what is complete is kept when this returns, but for a group that is not full."""
        if self._over:
            return
        if self._left is not None:
            self._over = len(received) > self._left
            received = received[: self._left]
            self._left -= len(received)
        for cut in self._splitter.feed(received):
            await self._take(cut)
        if self._over:
            self._tally.remarks.append("The batch is over the limit: what follows the last ACK was not read.")

    async def finish(self) -> Told:
        """It is over."""
        if not self._over:
            for cut in self._splitter.finish():
                await self._take(cut)
        await self._flush()
        self._tally.end()
        self._close_batch()
        if self._file:
            self._write(closing("FTS", self._batches, self._remark(), self._file))
        answer = Public(bytes(self._held), media_type=ER7) if self._held else None
        remarks = tuple(self._tally.remarks)
        return Told(answer, tuple(self._received), remarks, self._taken, self._refused)

    async def abandon(self) -> None:
        """The connection ended in the middle: what was whole is kept; the rest is for inspection."""
        await self._flush()
        rest = b"".join(cut.raw for cut in self._splitter.finish())
        if rest:
            await self._intake.discard(rest, self._peer)

    async def _take(self, cut: Cut) -> None:
        if cut.name == "MSH":
            self._waiting.append(cut)
            if len(self._waiting) >= GROUP:
                await self._flush()
            return
        await self._flush()
        self._tally.take(cut)
        if cut.name == "FHS":
            self._file = read_header(cut)
            if self._file:
                self._write(self._opening("FHS", self._file, 11))
        elif cut.name == "BHS":
            self._close_batch()
            self._open_batch(read_header(cut), 11)
        elif cut.name == "BTS":
            self._close_batch()
        elif not cut.name:
            await self._intake.discard(cut.raw, self._peer)

    async def _flush(self) -> None:
        """Keep the messages that wait, and add their ACKs."""
        cuts, self._waiting = self._waiting, []
        received = await asyncio.gather(
            *(self._intake.receive(cut.raw, self._channel, self._peer, truncated=cut.truncated) for cut in cuts)
        )
        for cut, one in zip(cuts, received, strict=True):
            self._tally.take(cut)
            if self._open is None:
                self._open_batch(read_header(cut), 10)
            is_taken = one.code in POSITIVE and one.row is not None
            self._taken += is_taken
            self._refused += not is_taken
            if one.answer:
                self._acks += 1
                self._write(one.answer.body)
            if self._holds and one.row is not None and (one.answer or one.follows):
                self._received.append(one)
            if self._told:
                self._told(cut, one)

    def _open_batch(self, told: Message | None, reference: int) -> None:
        if told:
            self._open, self._acks = told, 0
            self._batches += 1
            self._write(self._opening("BHS", told, reference))

    def _close_batch(self) -> None:
        if self._open:
            self._write(closing("BTS", self._acks, self._remark(), self._open))
            self._open = None

    def _opening(self, name: str, told: Message, reference: int) -> bytes:
        return opening(name, told, reference, now=self._clock(), control_id=self._new_id())

    def _remark(self) -> str:
        """What was found since the last remark, and how it stands."""
        new = self._tally.remarks[self._remarked :]
        self._remarked = len(self._tally.remarks)
        return " ".join((f"{self._taken} taken, {self._refused} refused.", *new))
