"""The composition: bound safely, reading its files with care, working on whatever a worker meets."""

import asyncio
import socket
import struct
import threading

import pytest
from composed_gateway import ALMA, message, msa
from patience import PATIENCE, until

from fhirgw import app, notify
from fhirgw.app import UnsafeBindingError, require_safe_binding
from fhirgw.settings import Settings
from fhirgw.v2.client import MllpClient
from fhirgw.v2.framing import frame

GOOD = message("A01/member.hl7")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example.org"])
@pytest.mark.parametrize("name", ["http_host", "mllp_host"])
def test_an_address_that_others_reach_needs_tls_in_front(name, host):
    with pytest.raises(UnsafeBindingError):
        require_safe_binding(Settings(**{name: host}))
    require_safe_binding(Settings(**{name: host}, behind_tls_proxy=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_may_listen_to_itself(host):
    require_safe_binding(Settings(http_host=host, mllp_host=host))


async def test_a_message_on_the_socket_is_answered_processed_and_its_ack_noted(whole):
    async with app.running(whole.gateway) as server, MllpClient("127.0.0.1", server.port) as client:
        assert msa(await client.send(GOOD))[0] == "AA"
        await until(lambda: [(row.state, row.ack_state) for row in whole.rows()] == [("processed", "sent")])


async def test_a_connection_dropped_before_the_ack_leaves_the_message_processed_and_its_ack_unsent(whole):
    gate, judged = threading.Event(), asyncio.Event()
    intake = whole.gateway.intake
    read = intake._senders

    def senders():
        judged.set()
        return read()

    intake._senders = senders
    async with app.running(whole.gateway) as server:
        stuck = asyncio.create_task(whole.gateway.database.write(lambda _: gate.wait(PATIENCE)))
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(frame(GOOD))
        async with asyncio.timeout(PATIENCE):
            await judged.wait()
            (connection,) = server._connections
            reset = struct.pack("ii", 1, 0)  # closing sends RST, as a crashed peer's machine does
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            writer.transport.abort()
            await until(lambda: connection._lost)  # the server's side has seen the reset
        gate.set()
        await stuck
        await until(lambda: [(row.state, row.ack_state) for row in whole.rows()] == [("processed", "unsent")])
        async with MllpClient("127.0.0.1", server.port) as client:
            answer = await client.send(GOOD)
        await until(lambda: [row.ack_state for row in whole.rows()] == ["sent"])
    assert answer == whole.rows()[0].ack


async def test_what_was_acknowledged_before_a_stop_is_processed_by_its_end(whole):
    async with app.running(whole.gateway) as server, MllpClient("127.0.0.1", server.port) as client:
        for number in range(5):
            assert msa(await client.send(message("A01/member.hl7", control=f"S{number}")))[0] == "AA"
    assert [row.state for row in whole.rows()] == ["processed"] * 5


async def test_what_another_process_left_due_is_processed(whole):
    await whole.receive(GOOD)
    async with app.running(whole.gateway):
        await until(lambda: [row.state for row in whole.rows()] == ["processed"])
    assert any(b'"IMP"' in body for body, _ in whole.stored("Encounter").values())
    assert whole.patient(ALMA)


async def test_a_worker_outlives_what_it_meets(whole, monkeypatch):
    due, failures = whole.gateway.ingest.messages.process_due, []
    deliver, rounds = whole.gateway.notifier.deliver_due, []

    async def failing():
        if len(failures) < 3:
            failures.append(None)
            raise ValueError
        return await due()

    async def failing_too():
        rounds.append(None)
        if len(rounds) < 3:
            raise ValueError
        return await deliver()

    monkeypatch.setattr(app, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(notify, "IDLE_SECONDS", 0.001)
    monkeypatch.setattr(whole.gateway.notifier, "deliver_due", failing_too)
    monkeypatch.setattr("fhirgw.ingest.messages.Messages.process_due", lambda _: failing())
    async with app.running(whole.gateway) as server, MllpClient("127.0.0.1", server.port) as client:
        assert msa(await client.send(GOOD))[0] == "AA"
        await until(lambda: [row.state for row in whole.rows()] == ["processed"] and len(rounds) > 3)
    assert len(failures) == 3
