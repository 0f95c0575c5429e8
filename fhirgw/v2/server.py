"""MLLP server: listens, lets in as many connections as the cap allows, and lets each finish at the end."""

import asyncio
from ssl import SSLContext

import structlog

from fhirgw.admission import Peer
from fhirgw.settings import Settings
from fhirgw.v2.connection import Connection, Door

log = structlog.get_logger(__name__)

GRACE_SECONDS = 10.0


class MllpServer:
    """Listens on ``settings.mllp_host`` and ``mllp_port`` (0: any free port, see ``port``)."""

    def __init__(self, door: Door, settings: Settings, *, tls: SSLContext | None = None) -> None:
        self._door = door
        self._settings = settings
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    async def start(self) -> None:
        """Begin to listen."""
        loop, settings = asyncio.get_running_loop(), self._settings
        self._server = await loop.create_server(
            lambda: Connection(self._door, settings, self), settings.mllp_host, settings.mllp_port, ssl=self._tls
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

    def admit(self, connection: "Connection", peer: Peer) -> bool:
        """Whether a new connection is to be kept; it is counted then, until it is ``over``."""
        reason = self._refusal(peer)
        if reason:
            log.warning("mllp connection refused", peer=peer.name, reason=reason)
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: "Connection", peer: Peer) -> None:
        """The connection is over."""
        self._connections.discard(connection)
        self._door.left(peer)

    def _refusal(self, peer: Peer) -> str | None:
        if len(self._connections) >= self._settings.max_connections:
            return "connection cap"
        return None if self._door.welcomes(peer.address) else "address"
