"""MLLP on real sockets: our server and client, python-hl7's client, and a scripted peer that misbehaves."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import structlog
from cryptography import x509
from hl7.client import MLLPClient
from mllp_certificates import Authority

from fhirgw.errors import DependencyDown, GatewayError, InvalidElement, MalformedMessage, TooLarge
from fhirgw.released import Public
from fhirgw.settings import Settings
from fhirgw.v2.ack import accept_mode, acknowledge, check_envelope
from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import header, parse
from fhirgw.v2.connection import JUNK_BYTES
from fhirgw.v2.framing import frame
from fhirgw.v2.receiving import Reply
from fhirgw.v2.server import MllpServer
from fhirgw.v2.tls import client_context, server_context

NOW = datetime(2024, 1, 5, 15, 0, 0, tzinfo=UTC)
CANARY = "QUILLFEATHER"


def adt(control, text=""):
    return f"MSH|^~\\&|APP|FAC|GW|ICM|2024||ADT^A01|{control}|P|2.5.1\rPID|1||9||{CANARY}\r{text}".encode()


class Receiver:
    """Stands where the intake is: judges the envelope, keeps the bytes, answers; and can be made to wait."""

    def __init__(self, *, welcome=True, **reply):
        self.kept = []
        self.sent = []
        self.discarded = []
        self.peers = []
        self.gone = []
        self.pushes = []
        self.welcome = welcome
        self.reply = reply
        self.noted = asyncio.Event()
        self.arrived = asyncio.Event()
        self.followed = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    def welcomes(self, address):
        return self.welcome

    def left(self, peer):
        self.gone.append(peer)

    def receive(self, raw, peer, then, *, truncated):
        receiving = asyncio.ensure_future(self.reply_to(raw, peer, truncated))
        receiving.add_done_callback(lambda done: then(done.result()))

    async def reply_to(self, raw, peer, truncated):
        self.peers.append(peer)
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
        mode = accept_mode(message)
        code = mode.at_once(errors)
        answer = Public(acknowledge(message, code, errors, now=NOW, control_id="G")) if code else None
        follows = 0 if errors or mode.follows is None else 1
        return Reply(answer, self.delivered, self.follow if follows else None, follows, **self.reply)

    def delivered(self, sent):
        self.sent.append(sent)
        self.noted.set()

    def follow(self, push):
        self.pushes.append(push)
        self.followed.set()

    async def discard(self, raw, peer):
        self.discarded.append(raw)
        self.noted.set()

    def batch(self, peer):
        self.incoming = Incoming(self)
        return self.incoming


class Incoming:
    """A batch that counts."""

    def __init__(self, receiver):
        self.receiver = receiver
        self.parts = []
        self.abandoned = False

    async def feed(self, received):
        self.parts.append(received)
        self.receiver.arrived.set()

    async def finish(self):
        return Reply(Public(b"BHS|^~\\&|answer\r"), self.receiver.delivered)

    async def abandon(self):
        self.abandoned = True
        self.receiver.noted.set()


@asynccontextmanager
async def serving(receiver, *, tls=None, **settings):
    server = MllpServer(receiver, Settings(mllp_port=0, **settings), tls=tls)
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


async def until_lost(connection):
    """The server's side has seen that the peer is gone."""
    async with asyncio.timeout(10):
        while not connection._lost:
            await asyncio.sleep(0)


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
                await until_lost(connection)
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
        async with asyncio.timeout(10):
            assert await reader.readuntil(b"\x1c\r") == frame(b"BHS|^~\\&|answer\r")
        assert await ack(reader) == ("AA", "next")
    assert b"".join(receiver.incoming.parts) == batch
    assert len(receiver.incoming.parts) > 1
    assert receiver.kept == [(adt("next"), False)]


async def test_several_messages_in_one_frame_are_a_batch():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1") + adt("2")))
        async with asyncio.timeout(10):
            assert await reader.readuntil(b"\x1c\r") == frame(b"BHS|^~\\&|answer\r")
    assert receiver.incoming.parts == [adt("1") + adt("2")]
    assert receiver.sent == [True]


async def test_a_connection_lost_in_a_batch_abandons_it():
    receiver = Receiver()
    async with serving(receiver) as server:
        async with connected(server) as (_, writer):
            writer.write(frame(b"FHS|^~\\&|A\r" + adt("1"))[:-4])
            async with asyncio.timeout(10):
                await receiver.arrived.wait()
        async with asyncio.timeout(10):
            await receiver.noted.wait()
        assert await still_serves(server)
    assert receiver.incoming.abandoned


# --- application acknowledgments on the same connection ---


def enhanced(control, accept, application):
    return adt(control).replace(b"|2.5.1", f"|2.5.1|||{accept}|{application}".encode())


async def test_an_application_ack_follows_its_accept_ack_on_the_connection():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(enhanced("1", "AL", "AL")))
        assert await ack(reader) == ("CA", "1")
        async with asyncio.timeout(10):
            await receiver.followed.wait()
        writer.write(frame(adt("2")))
        assert await ack(reader) == ("AA", "2")
        assert await receiver.pushes[0](Public(b"MSH|^~\\&|\rMSA|AA|1\r"))
        assert await ack(reader) == ("AA", "1")


async def test_a_peer_that_half_closes_is_still_sent_what_its_message_is_owed():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(enhanced("1", "NE", "AL")))
        writer.write_eof()
        async with asyncio.timeout(10):
            await receiver.followed.wait()
        assert await receiver.pushes[0](Public(b"MSH|^~\\&|\rMSA|AA|1\r"))
        assert await ack(reader) == ("AA", "1")
        assert await closed(reader)


async def test_an_application_ack_that_is_not_due_lets_the_connection_go():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(enhanced("1", "NE", "ER")))
        writer.write_eof()
        async with asyncio.timeout(10):
            await receiver.followed.wait()
        assert await receiver.pushes[0](None)
        assert await closed(reader)


async def test_a_drain_gives_application_acks_before_it_closes():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(enhanced("1", "AL", "AL")))
        assert await ack(reader) == ("CA", "1")
        async with asyncio.timeout(10):
            await receiver.followed.wait()
            await server.quiesce()
            assert await receiver.pushes[0](Public(b"MSH|^~\\&|\rMSA|AA|1\r"))
            assert await ack(reader) == ("AA", "1")
            await server.stop()
        assert await closed(reader)


async def test_a_push_on_a_connection_that_is_gone_says_so():
    receiver = Receiver()
    async with serving(receiver) as server:
        async with connected(server) as (reader, writer):
            writer.write(frame(enhanced("1", "AL", "AL")))
            assert await ack(reader) == ("CA", "1")
            async with asyncio.timeout(10):
                await receiver.followed.wait()
        await server.stop()
        assert not await receiver.pushes[0](Public(b"MSH"))


# --- who is let in ---


async def test_an_address_that_nobody_sends_from_is_not_listened_to():
    receiver = Receiver(welcome=False)
    async with serving(receiver) as server, connected(server) as (reader, _):
        assert await closed(reader)
    assert receiver.peers == []


async def test_a_connection_that_is_not_worth_keeping_is_closed_after_its_answer():
    receiver = Receiver(last=True)
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1")) + frame(adt("2")))
        assert await ack(reader) == ("AA", "1")
        assert await closed(reader)


async def test_a_senders_own_silence_counts_once_it_is_known():
    receiver = Receiver(idle=0.01)
    async with serving(receiver, idle_timeout_seconds=600) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1")))
        assert await ack(reader) == ("AA", "1")
        assert await closed(reader)


async def test_each_connection_is_a_peer_of_its_own_and_its_end_is_told():
    receiver = Receiver()
    async with serving(receiver) as server:
        for control in ("1", "2"):
            async with MllpClient("127.0.0.1", server.port) as client:
                await client.send(adt(control))
    assert receiver.peers[0] is not receiver.peers[1]
    assert {peer.address for peer in receiver.peers} == {"127.0.0.1"}
    assert set(receiver.gone) == set(receiver.peers)


async def test_over_tls_the_same_messages_get_the_same_answers(tmp_path):
    authority, receiver = Authority(tmp_path / "ca"), Receiver()
    async with serving(receiver, tls=server_context(*authority.server(), None)) as server:
        async with MllpClient("127.0.0.1", server.port, tls=client_context(authority.ca)) as client:
            assert b"MSA|AA|1" in await client.send(adt("1"))
        async with connected(server) as (reader, writer):  # in the clear
            writer.write(frame(adt("2")))
            assert await closed(reader)
    assert receiver.kept == [(adt("1"), False)]
    assert receiver.peers[0].certificate == frozenset()


async def test_mutual_tls_names_the_peer_by_subject_and_alternative_names(tmp_path):
    authority, receiver = Authority(tmp_path / "ca"), Receiver()
    names = [
        x509.DNSName("adt.elm.example"),
        x509.UniformResourceIdentifier("urn:elm"),
        x509.RFC822Name("a@elm.example"),
    ]
    elm = authority.issue("elm", organization="Elm Hospital", alternative=names)
    plain = authority.issue("plain")
    tls = server_context(*authority.server(), authority.ca)
    async with serving(receiver, tls=tls) as server:
        for pair in (elm, plain):
            async with MllpClient("127.0.0.1", server.port, tls=client_context(authority.ca, *pair)) as client:
                await client.send(adt("1"))
    assert [peer.certificate for peer in receiver.peers] == [
        {"O=Elm Hospital,CN=elm", "DNS:adt.elm.example", "URI:urn:elm", "email:a@elm.example"},
        {"CN=plain"},
    ]


async def test_mutual_tls_takes_no_certificate_of_another_authority_and_none_without(tmp_path):
    authority, other, receiver = Authority(tmp_path / "ca"), Authority(tmp_path / "other"), Receiver()
    tls = server_context(*authority.server(), authority.ca)
    async with serving(receiver, tls=tls) as server:
        for pair in (other.issue("elm"), ()):
            with pytest.raises(DependencyDown):
                async with MllpClient("127.0.0.1", server.port, tls=client_context(authority.ca, *pair)) as client:
                    await client.send(adt("1"))
        with pytest.raises(DependencyDown):  # ours is not of the authority that the client believes
            await MllpClient("127.0.0.1", server.port, tls=client_context(other.ca)).__aenter__()
    assert receiver.kept == []


def test_certificates_that_cannot_be_read_are_told_without_their_content(tmp_path):
    (tmp_path / "bad.pem").write_text("nothing")
    for make in (
        lambda: server_context(tmp_path / "bad.pem", None, None),
        lambda: server_context(tmp_path / "none.pem", None, None),
        lambda: client_context(tmp_path / "none.pem"),
    ):
        with pytest.raises(InvalidElement):
            make()


# --- our client ---


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
            async with asyncio.timeout(10):
                await heard.wait()

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
