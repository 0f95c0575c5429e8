"""Application acknowledgments follow on the connection that the message came by."""

import asyncio

from mllp_peer import connected
from mllp_receiver import Receiver, ack, adt, closed, serving
from patience import PATIENCE, comes

from fhirgw.released import Public
from fhirgw.v2.framing import frame


def enhanced(control, accept, application):
    return adt(control).replace(b"|2.5.1", f"|2.5.1|||{accept}|{application}".encode())


async def test_an_application_ack_follows_its_accept_ack_on_the_connection():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(enhanced("1", "AL", "AL")))
        assert await ack(reader) == ("CA", "1")
        await comes(receiver.followed)
        writer.write(frame(adt("2")))
        assert await ack(reader) == ("AA", "2")
        assert await receiver.pushes[0](Public(b"MSH|^~\\&|\rMSA|AA|1\r"))
        assert await ack(reader) == ("AA", "1")


async def test_a_peer_that_half_closes_is_still_sent_what_its_message_is_owed():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(enhanced("1", "NE", "AL")))
        writer.write_eof()
        await comes(receiver.followed)
        assert await receiver.pushes[0](Public(b"MSH|^~\\&|\rMSA|AA|1\r"))
        assert await ack(reader) == ("AA", "1")
        assert await closed(reader)


async def test_an_application_ack_that_is_not_due_lets_the_connection_go():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(enhanced("1", "NE", "ER")))
        writer.write_eof()
        await comes(receiver.followed)
        assert await receiver.pushes[0](None)
        assert await closed(reader)


async def test_a_drain_gives_application_acks_before_it_closes():
    receiver = Receiver()
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(enhanced("1", "AL", "AL")))
        assert await ack(reader) == ("CA", "1")
        async with asyncio.timeout(PATIENCE):
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
            await comes(receiver.followed)
        await server.stop()
        assert not await receiver.pushes[0](Public(b"MSH"))
