"""MLLP server: one answer a frame, in order, on as many connections as the cap allows.

Framing is ``framing.Deframer``'s, what a message is worth the ``Door``'s; here is only the socket. A connection has
no task of its own: what arrives is handed on in the call that read it (0150). A sender in the
sense of DESIGN §1: what is written passes ``send``, which takes ``Released | Public`` alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from ssl import SSLContext
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

READ_BYTES = 64 * 1024
JUNK_BYTES = 64 * 1024  # more than this outside any frame, and the peer does not speak MLLP
GRACE_SECONDS = 10.0


class Door(Protocol):
    """Takes what was received; returns after the durable commit."""

    def welcomes(self, address: str | None) -> bool:
        """Whether anybody could send from this address."""

    def receive(self, raw: bytes, peer: Peer, *, truncated: bool) -> Awaitable[Reply]:
        """Receive one message. ``truncated``: it was over the cap; ``raw`` is enough of it to answer with AE."""

    def batch(self, peer: Peer) -> Incoming:
        """Begin to receive a batch."""

    async def discard(self, raw: bytes, peer: Peer) -> None:
        """Take bytes that were no frame: junk, or half a frame when the connection ended; nothing is answered."""

    def left(self, peer: Peer) -> None:
        """The connection has ended."""


def send(transport: asyncio.Transport, answer: Released | Public) -> bool:
    """Write one framed answer; False where the connection is gone. INVARIANT: the only writer to an MLLP peer."""
    if transport.is_closing():
        return False
    transport.write(frame(answer.body))
    return not transport.is_closing()


class MllpServer:
    """Listens on ``settings.mllp_host`` and ``mllp_port`` (0: any free port, see ``port``)."""

    def __init__(self, door: Door, settings: Settings, *, tls: SSLContext | None = None) -> None:
        self.door = door
        self.settings = settings
        self.buffer = memoryview(bytearray(READ_BYTES))  # one for all: what is read is taken out of it at once
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Begin to listen."""
        loop, settings = asyncio.get_running_loop(), self.settings
        self._server = await loop.create_server(
            lambda: _Connection(self), settings.mllp_host, settings.mllp_port, ssl=self._tls
        )

    @property
    def port(self) -> int:
        """The port listened on."""
        if self._server is None:
            raise RuntimeError("The server has not been started.")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def quiesce(self) -> None:
        """Stop listening and reading; every message being received gets its answer. Connections stay open.

        What their application ACKs wait for can be done now; ``stop`` closes them.
        """
        if self._server is None:
            return
        self._server.close()
        quiet = [asyncio.ensure_future(connection.quiesce()) for connection in self._connections]
        if quiet:
            await asyncio.wait(quiet, timeout=GRACE_SECONDS)

    async def stop(self) -> None:
        """Close; first let every message being received get its answer."""
        if self._server is None:
            return
        await self.quiesce()
        connections = list(self._connections)
        for connection in connections:
            connection.close("stopped")
        over = [connection.over for connection in connections]
        if over:
            await asyncio.wait(over, timeout=GRACE_SECONDS)
            for connection in connections:
                connection.abort()
            await asyncio.wait(over, timeout=GRACE_SECONDS)
        await self._server.wait_closed()
        self._server = None

    def admit(self, connection: "_Connection", peer: Peer) -> bool:
        """Whether a new connection is to be kept; it is counted then, until it is ``over``."""
        reason = self._refusal(peer)
        if reason:
            log.warning("mllp connection refused", peer=peer.name, reason=reason)
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: "_Connection", peer: Peer) -> None:
        """The connection is over."""
        self._connections.discard(connection)
        self.door.left(peer)

    def _refusal(self, peer: Peer) -> str | None:
        if len(self._connections) >= self.settings.max_connections:
            return "connection cap"
        return None if self.door.welcomes(peer.address) else "address"


class _Connection(asyncio.BufferedProtocol):
    """One connection; it answers its frames one after the other.

    Attributes:
        over: Done when it has ended, and what is to be noted of that has been.
    """

    def __init__(self, server: MllpServer) -> None:
        self._server = server
        self._door = server.door
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self._loop.create_future()
        self._idle = server.settings.idle_timeout_seconds
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._deframer = Deframer(server.settings.max_message_bytes)
        self._events: deque[Event] = deque()  # what has arrived and is not begun
        self._begun: asyncio.Future[Any] | None = None  # what is being received, or its answer written
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
        if not self._server.admit(self, self._peer):
            self._reason = "refused"
            transport.close()
            return
        self._watch()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop gives it by position
        """Where the loop may read to; it calls ``buffer_updated`` before anybody else reads."""
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Begin what has arrived. While it is answered nothing more is read, but for what comes unasked."""
        self._heard = self._loop.time()
        if self._reason or self._quiescing:
            return
        self._events += self._deframer.feed(self._server.buffer[:nbytes])
        if self._begun is None:
            self._go_on()
        if self._events and self._reading:
            self._transport.pause_reading()
            self._reading = False

    def eof_received(self) -> bool:
        """The peer sends no more, and may still want its answers, which TLS cannot give then."""
        self._half_closed = True
        if self._begun is None:
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
        if self._begun is None:
            self._end()

    # --- what the server calls ------------------------------------------------------------------------------------

    async def quiesce(self) -> None:
        """Begin nothing more; return when what is being received has been answered.

        The connection stays for as long as application ACKs are to come.
        """
        self._quiescing = True
        self._events.clear()
        if self._begun is None:
            self._go_on()
        while self._begun:
            await asyncio.wait([self._begun])

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
        self._transport.abort()

    # --- one event after the other --------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Begin what has arrived, in order; when all of it is done, read on, or close if nothing more can come."""
        while self._events and self._begun is None:
            try:
                self._take(self._events.popleft())
            except Exception as error:  # noqa: BLE001 - the boundary
                self._failed(error)
        if self._begun or self._reason:
            return
        self._heard = self._loop.time()
        if (self._half_closed or self._quiescing) and self._following <= 0:
            self.close("stopped" if self._quiescing else "closed")
        elif not self._reading:
            self._transport.resume_reading()
            self._reading = True

    def _take(self, event: Event) -> None:
        match event:
            case Frame(content) if is_batch(content):
                self._begin(self._take_part(content, last=True), self._answer)
            case Frame(content):
                self._begin(self._door.receive(content, self._peer, truncated=False), self._answer)
            case Part(content, last):
                self._begin(self._take_part(content, last=last), self._answer)
            case Oversized(head):
                log.warning("mllp message over the cap", peer=self._peer.name)
                self._begin(self._door.receive(head, self._peer, truncated=True), self._answer)
            case Junk(content):
                self._junk += len(content)
                log.warning("mllp bytes outside a frame", peer=self._peer.name, bytes=len(content))
                self._begin(self._door.discard(content, self._peer), self._discarded)

    def _begin(self, what: Awaitable[T], then: Callable[[T], None]) -> None:
        """Wait for something without blocking, and go on after it."""
        self._begun = asyncio.ensure_future(what)
        self._begun.add_done_callback(partial(self._done, then))

    def _done(self, then: Callable[[T], None], begun: "asyncio.Future[T]") -> None:
        self._begun = None
        if begun.cancelled():
            self.close("stopped")
        elif error := begun.exception():
            self._failed(error)
        else:
            then(begun.result())
        self._go_on()
        if self._lost and self._begun is None:
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
        if self._begun is None:
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
        if self._begun:
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
            self._server.forget(self, self._peer)
            self.over.set_result(None)
