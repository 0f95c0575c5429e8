"""MLLP client: for ``fhirgw send`` and for tests; never for member data from the store (an import contract)."""

import asyncio
from ssl import SSLContext
from types import TracebackType
from typing import Self

from fhirgw.errors import DependencyDown, MalformedMessage
from fhirgw.v2.framing import Deframer, Frame, frame

ACK_BYTES = 64 * 1024 * 1024  # the answer to a batch holds all its ACKs
READ_BYTES = 64 * 1024


class MllpClient:
    """One connection to an MLLP server: ``async with MllpClient(host, port) as client: await client.send(raw)``."""

    def __init__(self, host: str, port: int, *, timeout: float = 30.0, tls: SSLContext | None = None) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self._tls = tls
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._deframer = Deframer(ACK_BYTES, whole=True)
        self._answers: list[bytes] = []

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(self._timeout):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            raise DependencyDown("The MLLP server does not take a connection.") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.transport.abort() if kind else self._writer.close()

    async def send(self, raw: bytes) -> bytes:
        """Send one message and return its ACK, unframed.

        After an error the connection is of no use: a late ACK would be taken for the next message's.

        Raises:
            DependencyDown: no answer in time, or the connection is gone.
            MalformedMessage: the peer answered without a frame around it.
        """
        try:
            async with asyncio.timeout(self._timeout):
                self._writer.write(frame(raw))
                await self._writer.drain()
                return await self._answer()
        except (OSError, TimeoutError) as error:
            self._writer.transport.abort()
            raise DependencyDown("The MLLP server did not answer in time.") from error

    async def tell(self, *messages: bytes, linger: float) -> None:
        """Send messages that nobody answers, such as application ACKs.

        A peer that answers all the same, or closes, has read them; one that does neither within ``linger`` seconds
        has taken them as far as TCP can tell.

        Raises:
            DependencyDown: the connection is gone.
        """
        try:
            async with asyncio.timeout(self._timeout):
                for message in messages:
                    self._writer.write(frame(message))
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            self._writer.transport.abort()
            raise DependencyDown("The MLLP server does not take the message.") from error
        try:
            async with asyncio.timeout(linger):
                await self._reader.read(READ_BYTES)
        except TimeoutError:
            return
        except OSError as error:
            raise DependencyDown("The MLLP server closed the connection.") from error

    async def _answer(self) -> bytes:
        while not self._answers:
            received = await self._reader.read(READ_BYTES)
            if not received:
                raise DependencyDown("The MLLP server closed the connection without an answer.")
            for event in self._deframer.feed(received):
                if not isinstance(event, Frame):
                    self._writer.transport.abort()
                    raise MalformedMessage("The MLLP server's answer is not in an MLLP frame.")
                self._answers.append(event.content)
        return self._answers.pop(0)
