"""Hospital feeds on the whole gateway: both words of enhanced mode, batches, HTTP, TLS identities."""

import asyncio

import pytest
from composed_gateway import START, composed, msa
from feed_messages import BATCH, Listener, adt, told
from mllp_certificates import Authority
from mllp_peer import answer, connected
from patience import PATIENCE, until

from fhirgw import app, replies
from fhirgw.app import InvalidElement
from fhirgw.errors import MissingElement
from fhirgw.ingest import messages
from fhirgw.settings import Settings
from fhirgw.store import application_ack
from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import parse
from fhirgw.v2.framing import frame
from fhirgw.v2.tls import client_context

# --- both words of enhanced mode ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("", ""), ["AA"]),
        (("AL", "AL"), ["CA", "AA"]),
        (("AL", "SU"), ["CA", "AA"]),
        (("AL", "ER"), ["CA"]),
        (("AL", "NE"), ["CA"]),
        (("NE", "AL"), ["AA"]),
        (("ER", "AL"), ["AA"]),
        (("NE", "NE"), []),
    ],
)
async def test_a_message_is_told_its_acceptance_and_then_its_outcome_on_the_same_connection(whole, pair, words):
    async with app.running(whole.gateway) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1", *pair)))
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            stream = await reader.read()
    said = [msa(one[1:]) for one in stream.split(b"\x1c\r")[:-1]]
    assert said == [(word, "1") for word in words]
    assert whole.row(1).state == "processed"
    assert (told(whole).state if told(whole) else None) == ("sent" if "AA" in words and pair[0] else None)


async def test_a_message_that_fails_after_its_acceptance_is_told_so_and_parked(whole, monkeypatch):
    def failing(*_):
        raise MissingElement("Something is missing.", location="PID-5")

    monkeypatch.setattr(messages, "extract_all", failing)
    async with app.running(whole.gateway) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1", "AL", "ER")))
        assert msa(await answer(reader)) == ("CA", "1")
        outcome = parse(await answer(reader))
    assert (outcome.first("MSA").get(1), outcome.first("ERR").field(2)) == ("AE", "PID^1^5")
    assert outcome.header.get(15) == outcome.header.get(16) == "NE"
    row = whole.row(1)
    assert (row.state, row.ack_code, row.error_location) == ("parked", "CA", "PID-5")


async def test_a_message_that_is_sent_again_is_told_both_again_byte_for_byte(whole):
    async with app.running(whole.gateway) as server:
        said = []
        for _ in range(2):
            async with connected(server) as (reader, writer):
                writer.write(frame(adt("1", "AL", "AL")))
                said.append([await answer(reader), await answer(reader)])
                await until(lambda: told(whole).state == "sent")
    assert said[0] == said[1]
    assert len(whole.rows()) == 1


async def test_what_was_told_stays_whatever_a_replay_makes_of_it(whole, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(messages, "extract_all", lambda *_: 1 / 0)
        await whole.receive(adt("1", "AL", "AL"))
        await whole.process()
    first = told(whole)
    assert (first.code, parse(first.body).first("ERR").get(8)) == ("AR", "The gateway failed on this message.")
    assert (await whole.gateway.ingest.messages.replay(1)).state == "processed"
    assert told(whole) == first


async def test_an_outcome_goes_to_the_return_address_and_waits_there_through_a_restart(tmp_path):
    listener = Listener()
    async with listener.listening():
        pass  # a port that nobody listens on now
    with composed(tmp_path) as whole:
        whole.register(return_to=f"mllp://127.0.0.1:{listener.port}")
        async with app.running(whole.gateway) as server, connected(server) as (reader, writer):
            writer.write(frame(adt("1", "AL", "AL")))
            assert msa(await answer(reader)) == ("CA", "1")
            await until(lambda: told(whole))
            whole.clock.tick(seconds=1)  # made in the same instant, it is due after it
            await until(lambda: told(whole).attempts == 1)
        assert (told(whole).state, told(whole).due_at > START) == ("owed", True)
        data = whole.gateway.settings.data_dir
    later = app.build(Settings(data_dir=data, mllp_port=0), clock=lambda: START + 10**9)
    async with listener.listening():
        await later.doors.replies.deliver()
    with later.database.read() as connection:
        assert application_ack.counts(connection) == {"sent": 1}
    later.database.close()
    assert [msa(one) for one in listener.heard] == [("AA", "1")]


async def test_a_return_address_that_never_answers_fails_after_days_and_a_resend_tries_again(whole, monkeypatch):
    monkeypatch.setattr(replies, "ATTEMPTS", 3)
    listener = Listener()
    async with listener.listening():
        pass
    whole.register(return_to=f"mllp://127.0.0.1:{listener.port}")
    await whole.receive(adt("1", "AL", "AL"))
    await whole.process()
    for _ in range(3):
        whole.clock.tick(seconds=7200)
        await whole.gateway.doors.replies.deliver()
    assert told(whole).state == "failed"
    assert msa(await whole.receive(adt("1", "AL", "AL"))) == ("CA", "1")
    whole.clock.tick(seconds=1)
    async with listener.listening():
        await whole.gateway.doors.replies.deliver()
    assert told(whole).state == "sent"


# --- batches ------------------------------------------------------------------------------------------------------


async def test_a_bad_message_spoils_only_itself_and_a_batch_that_is_sent_again_gets_the_stored_acks(whole):
    async with app.running(whole.gateway) as server, MllpClient("127.0.0.1", server.port) as client:
        said = [await client.send(BATCH) for _ in range(2)]
    lines = said[0].split(b"\r")
    assert [line[:3] for line in lines] == [*b"FHS BHS MSH MSA MSH MSA ERR MSH MSA BTS FTS".split(), b""]
    assert [line.split(b"|")[1:3] for line in lines if line[:3] == b"MSA"] == [
        [b"AA", b"1"],
        [b"AE", b"BAD"],
        [b"AA", b"3"],
    ]
    assert [line.split(b"|")[11] for line in lines[:2]] == [b"FILE1", b"BATCH1"]
    assert lines[-3:-1] == [b"BTS|3|2 taken, 1 refused.", b"FTS|1|2 taken, 1 refused."]
    acks = [b"\r".join(line for line in one.split(b"\r") if line[:3] in (b"MSH", b"MSA", b"ERR")) for one in said]
    assert acks[0] == acks[1]
    assert [(row.control_id, row.state, row.ack_state) for row in whole.rows()] == [
        ("1", "processed", "sent"),
        ("BAD", "rejected", "sent"),
        ("3", "processed", "sent"),
    ]


async def test_a_count_that_does_not_agree_is_told(whole):
    async with app.running(whole.gateway) as server, MllpClient("127.0.0.1", server.port) as client:
        said = await client.send(BATCH.replace(b"BTS|3", b"BTS|4"))
    assert b"\rBTS|3|2 taken, 1 refused. BTS-1 says 4; there are 3 messages.\r" in said


async def test_several_messages_without_a_header_are_answered_as_a_batch(whole):
    async with app.running(whole.gateway) as server, MllpClient("127.0.0.1", server.port) as client:
        said = await client.send(adt("1") + adt("2"))
    assert [line[:3] for line in said.split(b"\r")] == [*b"BHS MSH MSA MSH MSA BTS".split(), b""]


async def test_a_batch_that_asks_for_errors_alone_is_answered_by_the_errors_alone(whole):
    batch = b"BHS|^~\\&|A\r" + b"".join(adt(str(n), "ER", "NE") for n in range(3)) + b"BTS|3\r"
    async with app.running(whole.gateway) as server, MllpClient("127.0.0.1", server.port) as client:
        said = await client.send(batch)
    assert [line[:3] for line in said.split(b"\r")] == [b"BHS", b"BTS", b""]
    assert b"\rBTS|0|3 taken, 0 refused.\r" in said


async def test_a_batch_over_its_limit_is_answered_as_far_as_it_was_read(tmp_path):
    with composed(tmp_path, max_batch_bytes=3000) as whole:
        batch = b"BHS|^~\\&|A\r" + b"".join(adt(str(n)) for n in range(2000)) + b"BTS|2000\r"
        async with app.running(whole.gateway) as server, MllpClient("127.0.0.1", server.port) as client:
            said = await client.send(batch)
    assert b"over the limit" in said


async def test_half_a_batch_keeps_what_was_whole_and_takes_no_half_message(whole):
    cut = BATCH.index(b"BTS") - 20
    async with app.running(whole.gateway) as server:
        async with connected(server) as (_, writer):
            writer.write(frame(BATCH[:cut])[:-2])
        await until(lambda: len(whole.rows()) == 3)
    assert [(row.control_id, row.ack_code) for row in whole.rows()] == [("1", "AA"), ("BAD", "AE"), (None, None)]


# --- TLS ----------------------------------------------------------------------------------------------------------


async def test_a_certificate_speaks_for_its_sender_and_for_no_other(tmp_path):
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.server()
    tls = {"mllp_tls_certificate": certificate, "mllp_tls_key": key, "mllp_tls_client_ca": authority.ca}
    with composed(tmp_path, **tls) as whole:
        whole.register(certificates=["CN=elm"])
        async with app.running(whole.gateway) as server:
            for name, code in (("elm", "AA"), ("oak", "AR")):
                context = client_context(authority.ca, *authority.issue(name))
                async with MllpClient("127.0.0.1", server.port, tls=context) as client:
                    assert msa(await client.send(adt(name)))[0] == code
            context = client_context(authority.ca, *authority.issue("elm"))
            async with MllpClient("127.0.0.1", server.port, tls=context) as client:
                assert msa(await client.send(adt("other", facility="OAKHOSP")))[0] == "AR"
        assert [(row.control_id, row.state) for row in whole.rows()] == [
            ("elm", "processed"),
            ("oak", "rejected"),
            ("other", "rejected"),
        ]


def test_a_key_without_a_certificate_ends_the_start(tmp_path):
    with pytest.raises(InvalidElement):
        app._mllp_context(Settings(mllp_tls_key=tmp_path / "key.pem"))


def test_mllp_with_a_certificate_may_be_reached_by_others(tmp_path):
    app.require_safe_binding(Settings(mllp_host="0.0.0.0", mllp_tls_certificate=tmp_path / "c.pem"))
    with pytest.raises(app.UnsafeBindingError):
        app.require_safe_binding(Settings(http_host="0.0.0.0", mllp_tls_certificate=tmp_path / "c.pem"))
