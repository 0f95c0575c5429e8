"""MLLP server: one answer a frame, in order, on as many connections as the cap allows.

Framing is ``framing.Deframer``'s, what a message is worth ``receive``'s; here is only the socket.
A sender in the sense of DESIGN §1: what is written passes ``send``, which takes ``Released | Public`` alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from ssl import SSLContext
from typing import Protocol

import structlog

from fhirgw.released import Public, Released
from fhirgw.settings import Settings
from fhirgw.v2.framing import Deframer, Frame, Junk, Oversized, frame

log = structlog.get_logger(__name__)

READ_BYTES = 64 * 1024
JUNK_BYTES = 64 * 1024  # more than this outside any frame, and the peer does not speak MLLP
GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What ``receive`` gives back.

    Attributes:
        answer: The ACK; None to answer nothing.
        delivered: Called once after the answer left, with True when the socket took all of it and False when the
            connection was gone; so that the journal can tell a sent ACK from an unsent one. Not called without
            an answer. True does not mean that the peer has read it: only its resending tells.
    """

    answer: Public | None
    delivered: Callable[[bool], Awaitable[None]] | None = None


class Receive(Protocol):
    """Takes the unframed bytes and the peer's ``host:port``; returns after the durable commit.

    ``truncated``: the frame was over the cap; ``raw`` holds its first segments, enough to answer with AE.
    """

    async def __call__(self, raw: bytes, peer: str, *, truncated: bool) -> Reply:
        """Receive one message."""


class Discard(Protocol):
    """Takes bytes that were no frame: junk between frames, or half a frame when the connection ended."""

    async def __call__(self, raw: bytes, peer: str) -> None:
        """Take the bytes; nothing is answered."""


async def send(writer: asyncio.StreamWriter, answer: Released | Public, *, timeout_seconds: float) -> bool:
    """Write one framed answer; whether the socket took all of it. INVARIANT: the only writer to an MLLP peer."""
    if writer.is_closing():
        return False
    try:
        async with asyncio.timeout(timeout_seconds):
            writer.write(frame(answer.body))
            await writer.drain()
    except (OSError, TimeoutError):
        writer.transport.abort()
        return False
    return True


class MllpServer:
    """Listens on ``settings.mllp_host`` and ``mllp_port`` (0: any free port, see ``port``)."""

    def __init__(
        self,
        receive: Receive,
        settings: Settings,
        *,
        discard: Discard | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        self._receive = receive
        self._settings = settings
        self._discard = discard
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

    async def stop(self) -> None:
        """Stop listening, let every message being received get its answer, close the rest at once."""
        if self._server is None:
            return
        self._server.close()
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
        peer = f"{host}:{port}"
        if len(self._connections) >= self._settings.max_connections:
            log.warning("mllp connection refused", peer=peer, reason="connection cap")
            writer.close()
            return
        connection = _Connection(reader, writer, peer, self._receive, self._discard, self._settings)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


class _Connection:
    """One connection; it answers its frames one after the other."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        peer: str,
        receive: Receive,
        discard: Discard | None,
        settings: Settings,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._peer = peer
        self._receive = receive
        self._discard = discard
        self._idle = settings.idle_timeout_seconds
        self._deframer = Deframer(settings.max_message_bytes)
        self._junk = 0
        self._reading = False
        self._stopping = False
        self._task = asyncio.current_task()

    def stop(self) -> "asyncio.Task[None]":
        """Close now if nothing is being received, else after the answer to it."""
        self._stopping = True
        task = self._task
        if task is None:
            raise RuntimeError("A connection lives in a task.")
        if self._reading:
            task.cancel()
        return task

    async def serve(self) -> None:
        """Read until the peer closes, falls silent, breaks the protocol, or the server stops."""
        reason = "closed"
        try:
            while not self._stopping and (received := await self._read()):
                for event in self._deframer.feed(received):
                    if self._stopping or not await self._handle(event):
                        return
        except TimeoutError:
            reason = "idle"
        except OSError as error:
            reason = type(error).__name__
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            reason = "stopped"
        finally:
            await self._end(reason)

    async def _read(self) -> bytes:
        self._reading = True
        try:
            async with asyncio.timeout(self._idle):
                return await self._reader.read(READ_BYTES)
        finally:
            self._reading = False

    async def _handle(self, event: Frame | Junk | Oversized) -> bool:
        """Answer one event; False when the connection is not worth keeping."""
        match event:
            case Frame(content):
                return await self._answer(content, truncated=False)
            case Oversized(head):
                log.warning("mllp message over the cap", peer=self._peer)
                return await self._answer(head, truncated=True)
            case Junk(content):
                self._junk += len(content)
                log.warning("mllp bytes outside a frame", peer=self._peer, bytes=len(content))
                if self._discard:
                    await self._discard(content, self._peer)
                return self._junk <= JUNK_BYTES

    async def _answer(self, content: bytes, *, truncated: bool) -> bool:
        try:
            reply = await self._receive(content, self._peer, truncated=truncated)
        except Exception as error:  # noqa: BLE001 - the boundary: closed without an answer, the peer sends again
            kind = type(error).__name__  # not the trace: it could hold member data
            log.error("mllp receive failed", peer=self._peer, error=kind)  # noqa: TRY400
            return False
        if reply.answer is None:
            return True
        sent = await send(self._writer, reply.answer, timeout_seconds=self._idle)
        if not sent:
            log.warning("mllp answer not delivered", peer=self._peer)
        if reply.delivered:
            await reply.delivered(sent)
        return sent

    async def _end(self, reason: str) -> None:
        pending = self._deframer.pending
        log.info("mllp connection ended", peer=self._peer, reason=reason, half_frame=len(pending))
        if pending and self._discard:
            await self._discard(pending, self._peer)
