"""A peer of an MLLP server, on a plain socket."""

import asyncio
from contextlib import asynccontextmanager

from patience import PATIENCE


@asynccontextmanager
async def connected(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(reader):
    """The content of the next frame."""
    async with asyncio.timeout(PATIENCE):
        framed = await reader.readuntil(b"\x1c\r")
    assert framed[:1] == b"\x0b"
    return framed[1:-2]
