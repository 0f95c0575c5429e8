"""Our MLLP client, and servers as they are."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager

import pytest
from mllp_receiver import Receiver, adt, serving
from patience import comes

from fhirgw.errors import DependencyDown, MalformedMessage
from fhirgw.settings import Settings
from fhirgw.v2.client import MllpClient
from fhirgw.v2.framing import frame
from fhirgw.v2.server import MllpServer


async def test_a_server_that_was_not_started_has_no_port_and_stops():
    server = MllpServer(Receiver(), Settings())
    await server.stop()
    with pytest.raises(RuntimeError):
        _ = server.port


@asynccontextmanager
async def scripted(*chunks):
    """A peer that answers the first message with these bytes and then closes."""

    async def answer(reader, writer):
        await reader.readuntil(b"\x1c\r")
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    "chunks", [(b"\x0bMSH|ok", b"\x1c\r"), (b"\x0b\x0bMSH|ok\x1c\r\x1c\r",), (b"\r\n\x0bMSH|ok\x1c",)]
)
async def test_our_client_reads_what_servers_really_answer(chunks):
    async with scripted(*chunks) as port, MllpClient("127.0.0.1", port) as client:
        assert await client.send(adt("1")) == b"MSH|ok"


async def test_our_client_says_that_an_answer_had_no_frame():
    async with scripted(b"MSH|^~\\&|\rMSA|AA|1\r") as port:
        with pytest.raises(MalformedMessage):
            async with MllpClient("127.0.0.1", port) as client:
                await client.send(adt("1"))


async def test_our_client_says_that_no_answer_came():
    async with scripted() as port:
        with pytest.raises(DependencyDown):
            async with MllpClient("127.0.0.1", port) as client:
                await client.send(adt("1"))
    with pytest.raises(DependencyDown):
        await MllpClient("127.0.0.1", port).__aenter__()
    silent = Receiver()
    silent.go.clear()
    async with serving(silent) as server:
        with pytest.raises(DependencyDown):
            async with MllpClient("127.0.0.1", server.port, timeout=0.05) as client:
                await client.send(adt("1"))


async def test_our_client_tells_without_waiting_for_an_answer_and_notices_a_peer_that_is_gone():
    heard = asyncio.Event()

    async def listen(reader, writer):
        assert await reader.readuntil(b"\x1c\r") == frame(b"MSH|told")
        heard.set()
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with MllpClient("127.0.0.1", port) as client:
            await client.tell(b"MSH|told", linger=0.01)
            await comes(heard)

    async def reset(reader, writer):
        await reader.read(1)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(DependencyDown):
            async with MllpClient("127.0.0.1", port) as client:
                await client.tell(b"MSH|" + b"x" * 100, linger=10)
