"""The hospital's interface engine: several connections, each in order, paced by the hospital's clock.

A message that is not answered is sent again over a new connection, unchanged, as engines do.
"""

import asyncio
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ssl import SSLContext

from fhirgw.errors import DependencyDown, GatewayError
from fhirgw.harness.hospital.mishaps import Sent
from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import parse
from fhirgw.v2.framing import frame

MOST_ATTEMPTS = 3
AGAIN_SECONDS = 1.0
MOST_UNANSWERED = 2
"""After as many messages in a row that nobody answers, the rest of a connection's are not sent."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Where to, and how.

    Attributes:
        host: Of the gateway.
        port: Its MLLP port.
        tls: The context of MLLPS; None: in the clear.
        connections: How many at once.
        seconds: Of the hospital's time, for each of ours; None: no waiting.
        timeout: How long an answer is waited for.
        again: How long before a message is sent again.
    """

    host: str
    port: int
    tls: SSLContext | None = None
    connections: int = 4
    seconds: float | None = None
    timeout: float = 30.0
    again: float = AGAIN_SECONDS

    @property
    def url(self) -> str:
        """As people write it."""
        return f"mllp{'s' if self.tls else ''}://{self.host}:{self.port}"


@dataclass(slots=True)
class Answered:
    """What came of one message.

    Attributes:
        sent: The message.
        code: MSA-1; None: no answer, or none that can be read.
        control_id: MSA-2.
        error: ERR-3 of the first error.
        trouble: Why there is no answer.
        seconds: From sending to answer, the last time.
        attempts: How often it was sent.
    """

    sent: Sent
    code: str | None = None
    control_id: str | None = None
    error: str | None = None
    trouble: str = "not sent"
    seconds: float = 0.0
    attempts: int = 0


@dataclass(slots=True)
class Line:
    """One connection, opened again when it is lost."""

    engine: Engine
    client: MllpClient | None = field(default=None)

    async def deliver(self, told: Answered) -> None:
        """Send one message until it is answered, a few times."""
        if told.sent.breaking:
            await self.close()
            await self._break(told.sent)
        while told.code is None and told.attempts < MOST_ATTEMPTS:
            if told.attempts:
                await asyncio.sleep(self.engine.again)
            told.attempts += 1
            await self._once(told)

    async def _once(self, told: Answered) -> None:
        started = time.perf_counter()
        try:
            if self.client is None:
                opened = MllpClient(
                    self.engine.host, self.engine.port, timeout=self.engine.timeout, tls=self.engine.tls
                )
                self.client = await opened.__aenter__()
            read(await self.client.send(told.sent.raw), told)
        except GatewayError as error:
            told.trouble = error.text
            await self.close()
        told.seconds = time.perf_counter() - started

    async def close(self) -> None:
        """Close it."""
        client, self.client = self.client, None
        if client:
            await client.__aexit__(None, None, None)

    async def _break(self, sent: Sent) -> None:
        """Lose a connection: in the middle of the message, or before the answer was read."""
        whole = frame(sent.raw)
        part = whole if sent.breaking == "not waited for" else whole[: len(whole) // 2]
        try:
            async with asyncio.timeout(self.engine.timeout):
                _, writer = await asyncio.open_connection(self.engine.host, self.engine.port, ssl=self.engine.tls)
                writer.write(part)
                await writer.drain()
                writer.transport.abort()
        except (OSError, TimeoutError):
            return  # the message is sent again anyhow


def read(answer: bytes, told: Answered) -> None:
    """Read an acknowledgment into what is told.

    Raises:
        GatewayError: It is no HL7 message, or has no MSA.
    """
    message = parse(answer)
    msa, err = message.first("MSA"), message.first("ERR")
    if msa is None:
        raise DependencyDown("The answer has no MSA.")
    told.code, told.control_id = msa.get(1) or "", msa.get(2)
    told.error = err.get(3) if err else None
    told.trouble = ""


def deliver(messages: Sequence[Answered], engine: Engine, progress: Callable[[], None]) -> None:
    """Send everything, and note of each what came of it: also where this is ended early.

    Args:
        messages: In the order in which they leave; not sent yet.
        engine: Where to, and how.
        progress: Told after each.
    """
    asyncio.run(_deliver(messages, engine, progress))


async def _deliver(messages: Sequence[Answered], engine: Engine, progress: Callable[[], None]) -> None:
    lanes: list[list[Answered]] = [[] for _ in range(engine.connections)]
    for one in messages:
        lanes[zlib.crc32(one.sent.of.encode()) % engine.connections].append(one)
    began = time.monotonic()

    async def lane(ones: Sequence[Answered]) -> None:
        line, silent = Line(engine), 0
        try:
            for one in ones:
                if silent >= MOST_UNANSWERED:
                    break
                await _until(one.sent.at, messages[0].sent.at, began, engine.seconds)
                await line.deliver(one)
                silent = 0 if one.code is not None else silent + 1
                progress()
        finally:
            await line.close()

    async with asyncio.TaskGroup() as lines:
        for ones in lanes:
            lines.create_task(lane(ones))


async def _until(at: datetime, first: datetime, began: float, speed: float | None) -> None:
    """Wait for the hospital's clock to come to an instant."""
    if speed:
        await asyncio.sleep(began + (at - first).total_seconds() / speed - time.monotonic())
