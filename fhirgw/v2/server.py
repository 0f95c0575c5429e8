"""MLLP server: one answer a frame, in order, on as many connections as the cap allows.

Framing is ``framing.Deframer``'s, what a message is worth the ``Door``'s; here is only the socket.
A sender in the sense of DESIGN §1: what is written passes ``send``, which takes ``Released | Public`` alone.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from ssl import SSLContext
from typing import Protocol

import structlog

from fhirgw.admission import Peer
from fhirgw.released import Public, Released
from fhirgw.settings import Settings
from fhirgw.v2.batch import is_batch
from fhirgw.v2.framing import Deframer, Event, Frame, Junk, Oversized, Part, frame
from fhirgw.v2.receiving import Incoming, Reply
from fhirgw.v2.tls import certificate_names

log = structlog.get_logger(__name__)

READ_BYTES = 64 * 1024
JUNK_BYTES = 64 * 1024  # more than this outside any frame, and the peer does not speak MLLP
GRACE_SECONDS = 10.0


class Door(Protocol):
    """Takes what was received; returns after the durable commit."""

    def welcomes(self, address: str | None) -> bool:
        """Whether anybody could send from this address."""

    async def receive(self, raw: bytes, peer: Peer, *, truncated: bool) -> Reply:
        """Receive one message. ``truncated``: it was over the cap; ``raw`` is enough of it to answer with AE."""

    def batch(self, peer: Peer) -> Incoming:
        """Begin to receive a batch."""

    async def discard(self, raw: bytes, peer: Peer) -> None:
        """Take bytes that were no frame: junk, or half a frame when the connection ended; nothing is answered."""

    def left(self, peer: Peer) -> None:
        """The connection has ended."""


async def send(writer: asyncio.StreamWriter, answer: Released | Public, *, timeout_seconds: float) -> bool:
    """Write one framed answer; whether the socket took all of it. INVARIANT: the only writer to an MLLP peer."""
    if writer.is_closing():
        return False
    try:
        writer.write(frame(answer.body))
        if writer.transport.get_write_buffer_size() or writer.is_closing():  # else the socket has taken it
            async with asyncio.timeout(timeout_seconds):
                await writer.drain()
    except (OSError, TimeoutError):
        writer.transport.abort()
        return False
    return True


class MllpServer:
    """Listens on ``settings.mllp_host`` and ``mllp_port`` (0: any free port, see ``port``)."""

    def __init__(self, door: Door, settings: Settings, *, tls: SSLContext | None = None) -> None:
        self._door = door
        self._settings = settings
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Begin to listen."""
        settings = self._settings
        self._server = await asyncio.start_server(
            self._connected, settings.mllp_host, settings.mllp_port, ssl=self._tls, limit=READ_BYTES
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
        quiet = [connection.quiesce() for connection in self._connections]
        if quiet:
            await asyncio.wait([asyncio.ensure_future(one) for one in quiet], timeout=GRACE_SECONDS)

    async def stop(self) -> None:
        """Close; first let every message being received get its answer."""
        if self._server is None:
            return
        await self.quiesce()
        tasks = [connection.stop() for connection in self._connections]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = (*(writer.get_extra_info("peername") or ("?", 0)), 0)[:2]
        peer = Peer(f"{host}:{port}", host, certificate_names(writer))
        refused = self._refusal(host)
        if refused:
            log.warning("mllp connection refused", peer=peer.name, reason=refused)
            writer.close()
            return
        connection = _Connection(reader, writer, peer, self._door, self._settings)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            self._door.left(peer)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    def _refusal(self, host: str) -> str | None:
        if len(self._connections) >= self._settings.max_connections:
            return "connection cap"
        return None if self._door.welcomes(host) else "address"


class _Connection:
    """One connection; it answers its frames one after the other."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        peer: Peer,
        door: Door,
        settings: Settings,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._peer = peer
        self._door = door
        self._idle = settings.idle_timeout_seconds
        self._deframer = Deframer(settings.max_message_bytes)
        self._batch: Incoming | None = None
        self._junk = 0
        self._following = 0  # application ACKs that are still to come
        self._settled = asyncio.Event()  # none is, or nobody waits any more
        self._writing = asyncio.Lock()
        self._reading = False
        self._quiet = asyncio.Event()
        self._quiescing = False
        self._task = asyncio.current_task()

    async def quiesce(self) -> None:
        """Begin nothing more; return when what is being received has been answered."""
        self._quiescing = True
        if self._reading and self._task:
            self._task.cancel()
        await self._quiet.wait()

    def stop(self) -> "asyncio.Task[None]":
        """Close, once quiet."""
        self._quiescing = True
        self._settled.set()
        if self._task is None:
            raise RuntimeError("A connection lives in a task.")
        return self._task

    async def serve(self) -> None:
        """Read until the peer closes, falls silent, breaks the protocol, or the server stops."""
        reason = "closed"
        try:
            if await self._serve_frames():
                self._quiet.set()
                await self._outstanding()
        except TimeoutError:
            reason = "idle"
        except OSError as error:
            reason = type(error).__name__
        except asyncio.CancelledError:
            if not self._quiescing:
                raise
            reason = "stopped"
        finally:
            self._quiet.set()
            await self._end(reason)

    async def _serve_frames(self) -> bool:
        """Whether the connection may still be written to when there is nothing more to read."""
        while not self._quiescing and (received := await self._read()):
            for event in self._deframer.feed(received):
                if self._quiescing or not await self._handle(event):
                    return self._quiescing
        return True

    async def _read(self) -> bytes:
        """What comes next; nothing when the peer has closed, or the server quiesces."""
        self._reading = True
        try:
            async with asyncio.timeout(self._idle):
                return await self._reader.read(READ_BYTES)
        except asyncio.CancelledError:
            if self._quiescing and self._task and self._task.uncancel() == 0:
                return b""
            raise
        finally:
            self._reading = False

    async def _outstanding(self) -> None:
        """The peer sends no more; what its messages are still owed on this connection is waited for."""
        if self._following > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._idle):
                    await self._settled.wait()

    async def _handle(self, event: Event) -> bool:
        """Answer one event; False when the connection is not worth keeping."""
        match event:
            case Frame(content) if is_batch(content):
                return await self._take_part(content, last=True)
            case Frame(content):
                return await self._answer(self._door.receive(content, self._peer, truncated=False))
            case Part(content, last):
                return await self._take_part(content, last=last)
            case Oversized(head):
                log.warning("mllp message over the cap", peer=self._peer.name)
                return await self._answer(self._door.receive(head, self._peer, truncated=True))
            case Junk(content):
                self._junk += len(content)
                log.warning("mllp bytes outside a frame", peer=self._peer.name, bytes=len(content))
                await self._door.discard(content, self._peer)
                return self._junk <= JUNK_BYTES

    async def _take_part(self, content: bytes, *, last: bool) -> bool:
        self._batch = self._batch or self._door.batch(self._peer)
        await self._batch.feed(content)
        if not last:
            return True
        batch, self._batch = self._batch, None
        return await self._answer(batch.finish())

    async def _answer(self, receiving: Awaitable[Reply]) -> bool:
        try:
            reply = await receiving
        except Exception as error:  # noqa: BLE001 - the boundary: closed without an answer, the peer sends again
            kind = type(error).__name__  # not the trace: it could hold member data
            log.error("mllp receive failed", peer=self._peer.name, error=kind)  # noqa: TRY400
            return False
        self._idle = reply.idle or self._idle
        sent = True
        if reply.answer is not None:
            sent = await self._send(reply.answer)
            if not sent:
                log.warning("mllp answer not delivered", peer=self._peer.name)
            if reply.delivered:
                await reply.delivered(sent)
        if sent and reply.follow:
            self._following += reply.follows
            self._settled.clear()
            reply.follow(self._push)
        return sent and not reply.last

    async def _send(self, answer: Public) -> bool:
        async with self._writing:
            return await send(self._writer, answer, timeout_seconds=self._idle)

    async def _push(self, answer: Public | None) -> bool:
        sent = answer is None or await self._send(answer)
        self._following -= 1
        if self._following <= 0:
            self._settled.set()
        return sent

    async def _end(self, reason: str) -> None:
        pending = self._deframer.pending
        log.info("mllp connection ended", peer=self._peer.name, reason=reason, half_frame=len(pending))
        if self._batch:
            await self._batch.abandon()
        if pending:
            await self._door.discard(pending, self._peer)
