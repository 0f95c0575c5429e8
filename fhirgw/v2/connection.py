"""One MLLP connection: a protocol without a task, that answers its frames one after the other.

What arrives is cut into frames and handed to the door in the call that read it; the answer is written in the call
that tells what became of it (docs/decisions/0150). A sender in the sense of DESIGN §1: what is written passes
``send``, which takes ``Released | Public`` alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar, cast

import structlog

from fhirgw.admission import Peer
from fhirgw.released import Public, Released
from fhirgw.settings import Settings
from fhirgw.v2.batch import is_batch
from fhirgw.v2.framing import Deframer, Event, Frame, Junk, Oversized, Part, frame
from fhirgw.v2.receiving import Incoming, Reply
from fhirgw.v2.tls import certificate_names

T = TypeVar("T")

log = structlog.get_logger(__name__)

JUNK_BYTES = 64 * 1024  # more than this outside any frame, and the peer does not speak MLLP


class Door(Protocol):
    """Takes what was received; returns after the durable commit."""

    def welcomes(self, address: str | None) -> bool:
        """Whether anybody could send from this address."""

    def receive(self, raw: bytes, peer: Peer, then: Callable[[Reply], None], *, truncated: bool) -> None:
        """Receive one message.

        Args:
            raw: Its bytes.
            peer: Who sent it.
            then: Called once, with the reply, when this has returned and the message is on disk; it raises nothing.
            truncated: The message was over the cap; ``raw`` is enough of it to answer with AE.
        """

    def batch(self, peer: Peer) -> Incoming:
        """Begin to receive a batch."""

    async def discard(self, raw: bytes, peer: Peer) -> None:
        """Take bytes that were no frame: junk, or half a frame when the connection ended; nothing is answered."""

    def left(self, peer: Peer) -> None:
        """The connection has ended."""


class Listener(Protocol):
    """What a connection belongs to."""

    def admit(self, connection: "Connection", peer: Peer) -> bool:
        """Whether a new connection is to be kept; it is counted then, until it is ``over``."""

    def forget(self, connection: "Connection", peer: Peer) -> None:
        """The connection is over."""


def send(transport: asyncio.Transport, answer: Released | Public) -> bool:
    """Write one framed answer; False where the connection is gone. INVARIANT: the only writer to an MLLP peer."""
    if transport.is_closing():
        return False
    transport.write(frame(answer.body))
    return not transport.is_closing()


class Connection(asyncio.Protocol):
    """One connection; it answers its frames one after the other.

    Attributes:
        over: Done when it has ended, and what is to be noted of that has been.
    """

    def __init__(self, door: Door, settings: Settings, listener: Listener) -> None:
        """Begin with nothing; the event loop makes it one.

        Args:
            door: Takes what is received.
            settings: Caps.
            listener: Whose connection it is.
        """
        self._door = door
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self._loop.create_future()
        self._idle = settings.idle_timeout_seconds
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._deframer = Deframer(settings.max_message_bytes)
        self._events: deque[Event] = deque()  # what has arrived and is not begun
        self._busy = False  # something is being received, or its answer written
        self._begun: asyncio.Future[Any] | None = None  # that, where it can be given up
        self._quiet = asyncio.Event()  # nothing is, and nothing will be
        self._batch: Incoming | None = None
        self._junk = 0
        self._following = 0  # application ACKs that are still to come
        self._clear = asyncio.Event()  # the socket has taken all that was written, or the connection is gone
        self._clear.set()
        self._reading = True
        self._half_closed = self._quiescing = self._lost = False
        self._reason: str | None = None  # why it ends
        self._ending: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._peer: Peer

    # --- what the event loop calls --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the peer in, or not."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)  # so that pause_writing tells what the socket did not take
        host, port = (*(transport.get_extra_info("peername") or ("?", 0)), 0)[:2]
        self._peer = Peer(f"{host}:{port}", host, certificate_names(transport))
        if not self._listener.admit(self, self._peer):
            self._reason = "refused"
            transport.close()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Begin what has arrived. While it is answered nothing more is read, but for what comes unasked."""
        self._heard = self._loop.time()
        if self._reason or self._quiescing:
            return
        self._events += self._deframer.feed(data)
        if not self._busy:
            self._go_on()
        if self._events and self._reading:
            self._transport.pause_reading()
            self._reading = False

    def eof_received(self) -> bool:
        """The peer sends no more, and may still want its answers, which TLS cannot give then."""
        self._half_closed = True
        if not self._busy:
            self._go_on()
        return self._transport.get_extra_info("sslcontext") is None

    def pause_writing(self) -> None:
        """The socket did not take all that was written."""
        self._clear.clear()

    def resume_writing(self) -> None:
        """Now it has."""
        self._clear.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; what is being received is noted as unanswered when it is there."""
        self._lost = True
        self._reason = self._reason or (type(exc).__name__ if exc else "closed")
        self._events.clear()
        self._clear.set()
        if self._timer:
            self._timer.cancel()
        if not self._busy:
            self._end()

    # --- what the server calls ------------------------------------------------------------------------------------

    async def quiesce(self) -> None:
        """Begin nothing more; return when what is being received has been answered.

        The connection stays for as long as application ACKs are to come.
        """
        self._quiescing = True
        self._events.clear()
        if not self._busy:
            self._quiet.set()
            self._go_on()
        await self._quiet.wait()

    def close(self, reason: str) -> None:
        """Begin nothing more, and close when what was written has left."""
        if self._reason is None:
            self._reason = reason
            self._events.clear()
            self._transport.close()

    def abort(self) -> None:
        """Wait for nothing more."""
        if self._begun:
            self._begun.cancel()
        self._busy = False
        self._quiet.set()
        self._transport.abort()

    # --- one event after the other --------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Begin what has arrived, in order; when all of it is done, read on, or close if nothing more can come."""
        while self._events and not self._busy:
            try:
                self._take(self._events.popleft())
            except Exception as error:  # noqa: BLE001 - the boundary
                self._busy = False
                self._failed(error)
        if self._busy or self._reason:
            return
        self._heard = self._loop.time()
        if (self._half_closed or self._quiescing) and self._following <= 0:
            self.close("stopped" if self._quiescing else "closed")
        elif not self._reading:
            self._transport.resume_reading()
            self._reading = True

    def _take(self, event: Event) -> None:
        match event:
            case Frame(content):
                if is_batch(content):
                    self._begin(self._take_part(content, last=True), self._answer)
                else:
                    self._receive(content, truncated=False)
            case Part(content, last):
                self._begin(self._take_part(content, last=last), self._answer)
            case Oversized(head):
                log.warning("mllp message over the cap", peer=self._peer.name)
                self._receive(head, truncated=True)
            case Junk(content):
                self._junk += len(content)
                log.warning("mllp bytes outside a frame", peer=self._peer.name, bytes=len(content))
                self._begin(self._door.discard(content, self._peer), self._discarded)

    def _receive(self, content: bytes, *, truncated: bool) -> None:
        self._busy = True
        self._door.receive(content, self._peer, self._received, truncated=truncated)

    def _received(self, reply: Reply) -> None:
        self._finish(self._answer, reply)

    def _begin(self, what: Awaitable[T], then: Callable[[T], None]) -> None:
        """Wait for something without blocking, and go on after it."""
        self._busy = True
        self._begun = asyncio.ensure_future(what)
        self._begun.add_done_callback(partial(self._done, then))

    def _done(self, then: Callable[[T], None], begun: "asyncio.Future[T]") -> None:
        self._begun = None
        if begun.cancelled():
            self._finish(self.close, "stopped")
        elif error := begun.exception():
            self._finish(self._failed, error)
        else:
            self._finish(then, begun.result())

    def _finish(self, then: Callable[[T], None], outcome: T) -> None:
        """What was begun is over: do what follows from it, and go on."""
        self._busy = False
        try:
            then(outcome)
        except Exception as error:  # noqa: BLE001 - the boundary
            self._failed(error)
        self._go_on()
        if not self._busy:
            if self._quiescing:
                self._quiet.set()
            if self._lost:
                self._end()

    def _failed(self, error: BaseException) -> None:
        """Closed without an answer: the peer sends again."""
        kind = type(error).__name__  # not the trace: it could hold member data
        log.error("mllp receive failed", peer=self._peer.name, error=kind)
        self.close("failed")

    async def _take_part(self, content: bytes, *, last: bool) -> Reply:
        self._batch = self._batch or self._door.batch(self._peer)
        await self._batch.feed(content)
        if not last:
            return Reply(None)
        batch, self._batch = self._batch, None
        return await batch.finish()

    def _discarded(self, _: None) -> None:
        if self._junk > JUNK_BYTES:
            self.close("junk")

    # --- answers --------------------------------------------------------------------------------------------------

    def _answer(self, reply: Reply) -> None:
        if reply.idle and reply.idle != self._idle:
            self._idle = reply.idle
            self._watch()
        if reply.answer is None:
            self._answered(reply, sent=True)
        elif not send(self._transport, reply.answer):
            self._answered(reply, sent=False)
        elif self._clear.is_set():
            self._answered(reply, sent=True)
        else:
            self._begin(self._drain(), lambda sent: self._answered(reply, sent=sent))

    def _answered(self, reply: Reply, *, sent: bool) -> None:
        if reply.answer is not None:
            if not sent:
                log.warning("mllp answer not delivered", peer=self._peer.name)
            if reply.delivered:
                reply.delivered(sent)
        if sent and reply.follow:
            self._following += reply.follows
            reply.follow(self._push)
        if reply.last or not sent:
            self.close("closed")

    async def _drain(self) -> bool:
        """Whether the socket takes what was written, in the time that silence is allowed."""
        try:
            async with asyncio.timeout(self._idle):
                await self._clear.wait()
        except TimeoutError:
            self._transport.abort()
            return False
        return not self._lost

    async def _push(self, answer: Public | None) -> bool:
        """An application ACK."""
        sent = answer is None or (send(self._transport, answer) and await self._drain())
        self._following -= 1
        if not self._busy:
            self._go_on()
        return sent

    # --- the end --------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look again when the peer may have been silent for too long: one timer, not one for each message."""
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._heard + self._idle, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._busy:
            self._heard = self._loop.time()
        if self._loop.time() >= self._heard + self._idle:
            self.close("idle")
        else:
            self._watch()

    def _end(self) -> None:
        """Note what is left of a connection that is gone."""
        if self._reason != "refused" and self._ending is None:
            self._ending = self._loop.create_task(self._note_end())

    async def _note_end(self) -> None:
        pending = self._deframer.pending
        log.info("mllp connection ended", peer=self._peer.name, reason=self._reason, half_frame=len(pending))
        try:
            if self._batch:
                await self._batch.abandon()
            if pending:
                await self._door.discard(pending, self._peer)
        finally:
            self._listener.forget(self, self._peer)
            self.over.set_result(None)
