"""MLLP on real sockets: our server and client, python-hl7's client, and a scripted peer that misbehaves."""

import asyncio
import socket
import struct

import pytest
import structlog
from hl7.client import MLLPClient
from mllp_peer import connected
from mllp_receiver import CANARY, Receiver, ack, adt, closed, serving, still_serves, until_lost
from patience import PATIENCE, comes

from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import parse
from fhirgw.v2.connection import JUNK_BYTES
from fhirgw.v2.framing import frame


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
    # Short, and yet longer than who connects anew may be kept from sending by a busy machine.
    async with serving(receiver, idle_timeout_seconds=0.3) as server, connected(server) as (reader, writer):
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
        await comes(receiver.noted)
        assert await still_serves(server)
    assert receiver.kept == [(adt("after"), False)]


async def test_a_connection_dropped_before_the_ack_leaves_the_message_kept_and_its_ack_unsent():
    receiver = Receiver()
    receiver.go.clear()
    async with serving(receiver) as server:
        async with connected(server) as (_, writer):
            writer.write(frame(adt("1")))
            async with asyncio.timeout(PATIENCE):
                await receiver.arrived.wait()
                (connection,) = server._connections
                linger = struct.pack("ii", 1, 0)  # closing sends RST, as a crashed peer's machine does
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                await until_lost(connection)
        receiver.go.set()
        await comes(receiver.noted)
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
        async with asyncio.timeout(PATIENCE):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
        assert await still_serves(server)
    assert sum(map(len, receiver.discarded)) > 0


async def test_connections_are_answered_independently():
    receiver = Receiver()
    receiver.go.clear()
    async with serving(receiver) as server, connected(server) as (slow, writer):
        writer.write(frame(adt("slow")))
        await comes(receiver.arrived)
        receiver.go.set()
        assert await still_serves(server)
        assert await ack(slow) == ("AA", "slow")


async def test_stop_lets_a_message_being_received_have_its_answer():
    receiver = Receiver()
    receiver.go.clear()
    async with serving(receiver) as server, connected(server) as (busy, writer), connected(server) as (idle, _):
        writer.write(frame(adt("1")) + frame(adt("2")))
        await comes(receiver.arrived)
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
    class Failing(Receiver):
        def receive(self, raw, peer, then, *, truncated):
            raise RuntimeError(raw.decode())

    with structlog.testing.capture_logs() as logs:
        async with serving(Failing()) as server, connected(server) as (reader, writer):
            writer.write(frame(adt("1")))
            assert await closed(reader)
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


# --- framing that senders get wrong (facts of interface engines in the field) ---


@pytest.mark.parametrize(
    ("sent", "discarded"),
    [
        (adt("1") + b"\x1c\r" + frame(adt("2")), [adt("1")]),  # no start byte
        (b"\x0b" + adt("1") + frame(adt("2")), [adt("1")]),  # no end bytes: given up for the next
        (b"\0\0\r\n" + frame(adt("2")), []),  # what connections are kept alive with
        (b"\x0b\x1c\r" + frame(adt("2")), []),  # an empty frame, kept as what it is
        (b"\x1c\r\x1c\r" + frame(adt("2")), []),  # end bytes twice
    ],
)
async def test_a_frame_that_is_none_is_kept_apart_and_the_next_one_answered(sent, discarded):
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(sent)
        assert await ack(reader) == ("AA", "2")
    assert [raw for raw, _ in receiver.kept if raw] == [adt("2")]
    assert [raw.rstrip(b"\x1c\r") for raw in receiver.discarded] == [raw.rstrip(b"\r") for raw in discarded]


@pytest.mark.parametrize("end", [b"\x1c", b"\x1c\n", b"\x1c\r\n", b"\x1c\r\x1c\r"])
async def test_a_frame_may_end_as_it_likes(end):
    async with serving(Receiver()) as server, connected(server) as (reader, writer):
        for control in ("1", "2"):
            writer.write(b"\x0b" + adt(control) + end)
            assert await ack(reader) == ("AA", control)


async def test_a_frame_without_end_bytes_is_not_taken_when_the_connection_ends():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(b"\x0b" + adt("1"))
        writer.write_eof()
        assert await closed(reader)
    assert (receiver.kept, receiver.discarded) == ([], [adt("1")])


async def test_a_hundred_messages_sent_without_waiting_get_a_hundred_answers_in_order():
    async with serving(Receiver()) as server, connected(server) as (reader, writer):
        writer.write(b"".join(frame(adt(str(number))) for number in range(100)))
        assert [await ack(reader) for _ in range(100)] == [("AA", str(number)) for number in range(100)]


# --- batches ---


async def test_a_batch_is_passed_on_as_it_comes_and_answered_once():
    receiver = Receiver()
    batch = b"BHS|^~\\&|A\r" + b"".join(adt(str(number)) for number in range(2000)) + b"BTS|2000\r"
    async with serving(receiver, max_message_bytes=5000) as server, connected(server) as (reader, writer):
        writer.write(frame(batch) + frame(adt("next")))
        async with asyncio.timeout(PATIENCE):
            assert await reader.readuntil(b"\x1c\r") == frame(b"BHS|^~\\&|answer\r")
        assert await ack(reader) == ("AA", "next")
    assert b"".join(receiver.incoming.parts) == batch
    assert len(receiver.incoming.parts) > 1
    assert receiver.kept == [(adt("next"), False)]


async def test_several_messages_in_one_frame_are_a_batch():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1") + adt("2")))
        async with asyncio.timeout(PATIENCE):
            assert await reader.readuntil(b"\x1c\r") == frame(b"BHS|^~\\&|answer\r")
    assert receiver.incoming.parts == [adt("1") + adt("2")]
    assert receiver.sent == [True]


async def test_a_connection_lost_in_a_batch_abandons_it():
    receiver = Receiver()
    async with serving(receiver) as server:
        async with connected(server) as (_, writer):
            writer.write(frame(b"FHS|^~\\&|A\r" + adt("1"))[:-4])
            await comes(receiver.arrived)
        await comes(receiver.noted)
        assert await still_serves(server)
    assert receiver.incoming.abandoned
