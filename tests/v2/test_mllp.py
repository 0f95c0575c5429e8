"""MLLP on real sockets: our server and client, python-hl7's client, and a scripted peer that misbehaves."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest
import structlog
from hl7.client import MLLPClient

from fhirgw.errors import DependencyDown, GatewayError, MalformedMessage, TooLarge
from fhirgw.released import Public
from fhirgw.settings import Settings
from fhirgw.v2.ack import accept_mode, acknowledge, check_envelope
from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import header, parse
from fhirgw.v2.framing import frame
from fhirgw.v2.server import JUNK_BYTES, MllpServer, Reply

NOW = datetime(2024, 1, 5, 15, 0, 0, tzinfo=UTC)
CANARY = "QUILLFEATHER"


def adt(control, text=""):
    return f"MSH|^~\\&|APP|FAC|GW|ICM|2024||ADT^A01|{control}|P|2.5.1\rPID|1||9||{CANARY}\r{text}".encode()


class Receiver:
    """Stands where ingest will: judges the envelope, keeps the bytes, answers; and can be made to wait."""

    def __init__(self):
        self.kept = []
        self.sent = []
        self.discarded = []
        self.noted = asyncio.Event()
        self.arrived = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, raw, peer, *, truncated):
        self.arrived.set()
        await self.go.wait()
        self.kept.append((raw, truncated))
        message = header(raw)
        try:
            if truncated:
                raise TooLarge("The message is larger than we take.")
            errors = check_envelope(parse(raw))
        except GatewayError as error:
            errors = [error]
        if message is None:
            return Reply(None)
        code = accept_mode(message).code(errors)
        return Reply(Public(acknowledge(message, code, errors, now=NOW, control_id="G")), self.delivered)

    async def delivered(self, sent):
        self.sent.append(sent)
        self.noted.set()

    async def discard(self, raw, peer):
        self.discarded.append(raw)
        self.noted.set()


@asynccontextmanager
async def serving(receiver, **settings):
    server = MllpServer(receiver, Settings(mllp_port=0, **settings), discard=receiver.discard)
    await server.start()
    try:
        yield server
    finally:
        receiver.go.set()
        await server.stop()


@asynccontextmanager
async def connected(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ack(reader):
    """MSA-1, MSA-2 of the next framed answer."""
    async with asyncio.timeout(10):
        answer = await reader.readuntil(b"\x1c\r")
    assert answer[:1] == b"\x0b"
    msa = parse(answer[1:-2]).first("MSA")
    return msa.get(1), msa.get(2)


async def closed(reader):
    async with asyncio.timeout(10):
        return await reader.read() == b""


async def still_serves(server):
    async with MllpClient("127.0.0.1", server.port) as client:
        return b"MSA|AA|after" in await client.send(adt("after"))


async def test_our_client_gets_an_answer_to_each_message_on_one_connection():
    receiver = Receiver()
    async with serving(receiver) as server, MllpClient("127.0.0.1", server.port) as client:
        for control in ("1", "2", "3"):
            assert f"MSA|AA|{control}".encode() in await client.send(adt(control))
    assert receiver.sent == [True, True, True]
    assert [raw for raw, _ in receiver.kept] == [adt("1"), adt("2"), adt("3")]


async def test_python_hl7_gets_its_answers():
    async with serving(Receiver()) as server:

        def talk():
            with MLLPClient("127.0.0.1", server.port) as client:
                return [client.send_message(adt(control)) for control in ("1", "2")]

        answers = await asyncio.to_thread(talk)
    assert [parse(answer[1:-2]).first("MSA").get(2) for answer in answers] == ["1", "2"]


async def test_two_frames_in_one_packet_get_two_answers_in_order():
    async with serving(Receiver()) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1")) + b"\0\0" + frame(adt("2")))
        assert [await ack(reader), await ack(reader)] == [("AA", "1"), ("AA", "2")]


async def test_a_frame_byte_by_byte():
    async with serving(Receiver()) as server, connected(server) as (reader, writer):
        for byte in frame(adt("1")):
            writer.write(bytes([byte]))
            await writer.drain()
        assert await ack(reader) == ("AA", "1")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x0b" + frame(adt("1")) + b"\x1c\r",
        frame(adt("1"))[:-1],
        b"\0\0\r\n" + frame(adt("1").replace(b"\r", b"\n")),
        b"noise" + frame(adt("1").replace(b"\r", b"\r\n")),
        frame(adt("1").rstrip(b"\r")),
        frame(b"\xef\xbb\xbf" + adt("1") + b"\r\r"),
        frame(adt("1", "NTE|1||one\ntwo\r")),
        frame(adt("1").replace(b"|GW|ICM|", b"|GW|^^|")),
    ],
)
async def test_dialects_of_framing_and_terminators_are_accepted(sent):
    async with serving(Receiver()) as server, connected(server) as (reader, writer):
        writer.write(sent)
        assert await ack(reader) == ("AA", "1")
        writer.write(frame(adt("2")))
        assert await ack(reader) == ("AA", "2")


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (adt("1").replace(b"2.5.1", b"9.9"), ("AR", "1")),
        (adt("1").replace(b"ADT", b"ORU"), ("AR", "1")),
        (adt("1").replace(CANARY.encode(), b"M\xfcLLER"), ("AE", "1")),
        (adt("1", "stray\r"), ("AE", "1")),
        (adt("1") + adt("2"), ("AE", "1")),
        (b"MSH|^~\\&|APP|FAC", ("AE", None)),
    ],
)
async def test_a_message_that_is_refused_is_told_so_and_the_next_one_read(raw, answer):
    async with serving(Receiver()) as server, connected(server) as (reader, writer):
        writer.write(frame(raw) + frame(adt("2")))
        assert [await ack(reader), await ack(reader)] == [answer, ("AA", "2")]


@pytest.mark.parametrize("raw", [b"", b"PID|1", b"\xff\xfe\xff", b"MSH"])
async def test_a_frame_without_msh_is_kept_and_not_answered(raw):
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(raw) + frame(adt("2")))
        assert await ack(reader) == ("AA", "2")
    assert receiver.kept == [(raw, False), (adt("2"), False)]


async def test_an_oversized_message_gets_ae_before_it_ends_and_the_next_one_is_read():
    receiver = Receiver()
    async with serving(receiver, max_message_bytes=5000) as server, connected(server) as (reader, writer):
        whole = frame(adt("1", "OBX|1||" + "x" * 100_000))
        writer.write(whole[:50_000])
        assert await ack(reader) == ("AE", "1")
        writer.write(whole[50_000:] + frame(adt("2")))
        assert await ack(reader) == ("AA", "2")
    assert receiver.kept == [(adt("1"), True), (adt("2"), False)]


async def test_a_large_message_under_the_cap_passes():
    async with serving(Receiver()) as server, MllpClient("127.0.0.1", server.port) as client:
        assert b"MSA|AA|1" in await client.send(adt("1", "OBX|1||" + "x" * 2_000_000 + "\r"))


async def test_half_a_frame_then_silence_is_closed_after_the_idle_timeout():
    receiver = Receiver()
    async with serving(receiver, idle_timeout_seconds=0.05) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1"))[:40])
        assert await closed(reader)
        assert await still_serves(server)
    assert receiver.discarded == [frame(adt("1"))[1:40]]
    assert receiver.kept == [(adt("after"), False)]


async def test_a_connection_dropped_in_a_frame_harms_nothing():
    receiver = Receiver()
    async with serving(receiver) as server:
        async with connected(server) as (_, writer):
            writer.write(frame(adt("1"))[:40])
        async with asyncio.timeout(10):
            await receiver.noted.wait()
        assert await still_serves(server)
    assert receiver.kept == [(adt("after"), False)]


async def test_a_connection_dropped_before_the_ack_leaves_the_message_kept_and_its_ack_unsent():
    receiver = Receiver()
    receiver.go.clear()
    async with serving(receiver) as server:
        async with connected(server) as (_, writer):
            writer.write(frame(adt("1")))
            async with asyncio.timeout(10):
                await receiver.arrived.wait()
                (connection,) = server._connections
                linger = struct.pack("ii", 1, 0)  # closing sends RST, as a crashed peer's machine does
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                with suppress(ConnectionError):
                    await connection._writer.wait_closed()  # the server's side has seen the reset
        receiver.go.set()
        async with asyncio.timeout(10):
            await receiver.noted.wait()
        assert receiver.sent == [False]
        assert await still_serves(server)
    assert receiver.kept == [(adt("1"), False), (adt("after"), False)]


async def test_a_peer_that_half_closes_still_gets_its_ack():
    async with serving(Receiver()) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1")))
        writer.write_eof()
        assert await ack(reader) == ("AA", "1")
        assert await closed(reader)


async def test_connections_over_the_cap_are_closed_and_the_others_served():
    async with serving(Receiver(), max_connections=1) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1")))
        assert await ack(reader) == ("AA", "1")
        async with connected(server) as (refused, _):
            assert await closed(refused)
        writer.write(frame(adt("2")))
        assert await ack(reader) == ("AA", "2")


async def test_a_peer_that_does_not_speak_mllp_is_closed():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(b"x" * (JUNK_BYTES + 1))
        async with asyncio.timeout(10):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
        assert await still_serves(server)
    assert sum(map(len, receiver.discarded)) > 0


async def test_connections_are_answered_independently():
    receiver = Receiver()
    receiver.go.clear()
    async with serving(receiver) as server, connected(server) as (slow, writer):
        writer.write(frame(adt("slow")))
        async with asyncio.timeout(10):
            await receiver.arrived.wait()
        receiver.go.set()
        assert await still_serves(server)
        assert await ack(slow) == ("AA", "slow")


async def test_stop_lets_a_message_being_received_have_its_answer():
    receiver = Receiver()
    receiver.go.clear()
    async with serving(receiver) as server, connected(server) as (busy, writer), connected(server) as (idle, _):
        writer.write(frame(adt("1")) + frame(adt("2")))
        async with asyncio.timeout(10):
            await receiver.arrived.wait()
        stopping = asyncio.create_task(server.stop())
        assert await closed(idle)
        receiver.go.set()
        assert await ack(busy) == ("AA", "1")
        assert await closed(busy)
        await stopping
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", writer.get_extra_info("peername")[1])
    assert receiver.kept == [(adt("1"), False)]


async def test_a_failure_of_the_receiver_closes_the_connection_without_an_ack_and_without_a_word_of_the_message():
    async def failing(raw, peer, *, truncated):
        raise RuntimeError(raw.decode())

    server = MllpServer(failing, Settings(mllp_port=0))
    await server.start()
    with structlog.testing.capture_logs() as logs:
        async with connected(server) as (reader, writer):
            writer.write(frame(adt("1")))
            assert await closed(reader)
        await server.stop()
    assert "RuntimeError" in str(logs)
    assert CANARY not in str(logs)


async def test_no_log_line_holds_content():
    with structlog.testing.capture_logs() as logs:
        async with serving(Receiver(), max_message_bytes=5000) as server, connected(server) as (reader, writer):
            writer.write(CANARY.encode() + frame(adt("1", "x" * 9000)))
            await ack(reader)
            writer.write(frame(adt("2"))[:-9])
            writer.write_eof()
            assert await closed(reader)
    assert {entry["event"] for entry in logs} == {
        "mllp bytes outside a frame",
        "mllp message over the cap",
        "mllp connection ended",
    }
    assert CANARY not in str(logs)


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
