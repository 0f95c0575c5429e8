"""Hospital feeds on the whole gateway: both words of enhanced mode, batches, HTTP, TLS identities."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import httpx
import orjson
import pytest
from composed_gateway import START, composed, msa
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from mllp_certificates import Authority
from patience import PATIENCE, until

from fhirgw import app, replies
from fhirgw.api import create_api
from fhirgw.app import InvalidElement
from fhirgw.doors import HttpDoor
from fhirgw.errors import MissingElement
from fhirgw.ingest.messages import Messages
from fhirgw.settings import Settings
from fhirgw.store import application_ack, clients, journal
from fhirgw.store.clients import FEED, Client
from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import parse
from fhirgw.v2.framing import frame
from fhirgw.v2.tls import client_context


def adt(control, accept="", application="", facility="ELMHOSP"):
    """A message about somebody who is no member."""
    return (
        f"MSH|^~\\&|ADTSYS|{facility}|GW|ICM|20260921101500||ADT^A01^ADT_A01|{control}|P|2.5.1|||{accept}|{application}\r"
        "EVN|A01|20260921101500\rPID|1||STRANGER-1^^^ELMHOSP^MR||DOE^NOBODY\rPV1|1|I|||||||||||||||||V1^^^ELMHOSP^VN\r"
    ).encode()


def register(whole, **keys):
    path = whole.gateway.settings.data_dir / "senders.toml"
    lines = [f"{name} = {orjson.dumps(value).decode()}" for name, value in keys.items()]
    text = path.read_text("utf-8")
    assert "[senders.elm-hospital]\n" in text
    path.write_text(
        text.replace("[senders.elm-hospital]\n", "\n".join(["[senders.elm-hospital]", *lines, ""])), "utf-8"
    )


def told(whole, row=1):
    with whole.gateway.database.read() as connection:
        return application_ack.get(connection, row)


@asynccontextmanager
async def connected(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(reader):
    async with asyncio.timeout(PATIENCE):
        return (await reader.readuntil(b"\x1c\r"))[1:-2]


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

    monkeypatch.setattr(Messages, "_take_up", failing)
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
        broken.setattr(Messages, "_take_up", lambda *_: 1 / 0)
        await whole.receive(adt("1", "AL", "AL"))
        await whole.process()
    first = told(whole)
    assert (first.code, parse(first.body).first("ERR").get(8)) == ("AR", "The gateway failed on this message.")
    assert (await whole.gateway.ingest.messages.replay(1)).state == "processed"
    assert told(whole) == first


class Listener:
    """A sender's return address."""

    def __init__(self):
        self.heard = []
        self.port = None

    async def __call__(self, reader, writer):
        while True:
            try:
                self.heard.append((await reader.readuntil(b"\x1c\r"))[1:-2])
            except asyncio.IncompleteReadError:
                break
            writer.write(frame(b"MSH|whatever"))
        writer.close()

    @asynccontextmanager
    async def listening(self, **how):
        server = await asyncio.start_server(self, "127.0.0.1", self.port or 0, **how)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield self


async def test_an_outcome_goes_to_the_return_address_and_waits_there_through_a_restart(tmp_path):
    listener = Listener()
    async with listener.listening():
        pass  # a port that nobody listens on now
    with composed(tmp_path) as whole:
        register(whole, return_to=f"mllp://127.0.0.1:{listener.port}")
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
    register(whole, return_to=f"mllp://127.0.0.1:{listener.port}")
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

BAD = b"MSH|^~\\&|ADTSYS|ELMHOSP|GW|ICM|2026||ADT^A01|BAD|P|2.5.1\rPV1|1|I\r"
BATCH = (
    b"FHS|^~\\&|ADTSYS|ELMHOSP|GW|ICM|2026||f.hl7||FILE1\rBHS|^~\\&|ADTSYS|ELMHOSP|GW|ICM|2026||b||BATCH1\r"
    + adt("1") + BAD + adt("3") + b"BTS|3\rFTS|1\r"
)  # fmt: skip


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


# --- HTTP ---------------------------------------------------------------------------------------------------------

ORIGIN = "https://gw.example.org"
HL7 = {"Content-Type": "x-application/hl7-v2+er7"}


class Partner:
    """A client that signs in and posts."""

    def __init__(self, http, key, clock):
        self.http, self.key, self.clock, self.jti = http, key, clock, itertools.count()

    async def headers(self, client="feed", scope=FEED):
        now = self.clock() // 1_000_000
        url = f"{ORIGIN}/auth/token"
        claims = {"iss": client, "sub": client, "aud": url, "exp": now + 60, "jti": str(next(self.jti))}
        signed = jwt.encode({"alg": "ES384", "kid": self.key.kid}, claims, self.key, algorithms=["ES384"])
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": signed,
        }
        token = (await self.http.post("/auth/token", data=form)).json()
        return {"Authorization": f"Bearer {token['access_token']}"}

    async def post(self, raw, client="feed", scope=FEED, **headers):
        return await self.http.post(
            "/hl7v2", content=raw, headers=await self.headers(client, scope) | HL7 | headers
        )


@pytest.fixture
async def partner(whole):
    key = ECKey.generate_key("P-384", {"kid": "k"})
    jwks = orjson.dumps(KeySet([key]).as_dict(private=False)).decode()
    gateway = whole.gateway
    for name, scopes in (("feed", (FEED,)), ("reader", ("system/*.rs",))):
        gateway.database.write_sync(
            lambda tx, name=name, scopes=scopes: clients.register(
                tx, Client(name, name, "org", jwks, scopes, ("TREAT",))
            )
        )
    settings = gateway.settings.model_copy(update={"base_url": ORIGIN})
    api = create_api(
        gateway.share, gateway.ingest, gateway.database, settings, gateway.keys, whole.clock, app.new_id,
        feeds=HttpDoor(gateway.doors),
    )  # fmt: skip
    async with (
        app.running(gateway),
        httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url=ORIGIN, timeout=PATIENCE) as http,
    ):
        yield Partner(http, key, whole.clock)


async def test_http_gives_the_ack_of_the_same_journal(whole, partner):
    first, again = await partner.post(adt("1")), await partner.post(adt("1"))
    assert (first.status_code, first.headers["content-type"]) == (200, HL7["Content-Type"])
    assert msa(first.content) == ("AA", "1")
    assert again.content == first.content
    refused = await partner.post(BAD)
    assert (refused.status_code, msa(refused.content)) == (200, ("AE", "BAD"))
    await until(lambda: {row.ack_state for row in whole.rows()} == {"sent"})
    assert [(row.control_id, row.ack_code) for row in whole.rows()] == [("1", "AA"), ("BAD", "AE")]
    with whole.gateway.database.read() as connection:
        assert {row.channel for row in journal.list_(connection)} == {"http"}


async def test_http_takes_a_batch(partner):
    said = await partner.post(BATCH)
    assert said.status_code == 200
    assert [line[:3] for line in said.content.split(b"\r")][:3] == [b"FHS", b"BHS", b"MSH"]


@pytest.mark.parametrize(
    ("pair", "status", "code"),
    [(("NE", "AL"), 200, "AA"), (("AL", "AL"), 200, "CA"), (("NE", "NE"), 204, None), (("NE", "ER"), 204, None)],
)
async def test_http_has_one_answer_and_waits_for_the_outcome_where_it_is_the_only_one(partner, pair, status, code):
    said = await partner.post(adt("1", *pair))
    assert (said.status_code, msa(said.content)[0] if said.content else None) == (status, code)


async def test_http_gives_the_second_word_of_enhanced_mode_to_the_return_address(whole, partner):
    """An answer has room for one: the accept ACK. Without an address the other is nobody's (0089)."""
    listener = Listener()
    async with listener.listening():
        register(whole, return_to=f"mllp://127.0.0.1:{listener.port}")
        said = await partner.post(adt("1", "AL", "AL"))
        assert msa(said.content) == ("CA", "1")
        await until(lambda: told(whole))
        whole.clock.tick(seconds=1)  # made in the same instant, it is due after it
        await until(lambda: listener.heard)
    assert [msa(one) for one in listener.heard] == [("AA", "1")]


async def test_http_says_that_nothing_was_kept(whole, partner, monkeypatch):
    headers = await partner.headers() | HL7
    monkeypatch.setattr("fhirgw.store.journal.keep_sound", lambda *_, **__: 1 / 0)
    said = await partner.http.post("/hl7v2", content=adt("1"), headers=headers)
    assert (said.status_code, msa(said.content)) == (503, ("AR", "1"))


async def test_http_asks_for_the_scope_and_gives_it_nothing_else(partner):
    assert (await partner.http.post("/hl7v2", content=adt("1"), headers=HL7)).status_code == 401
    assert (await partner.post(adt("1"), "reader", "system/*.rs")).status_code == 403
    read = await partner.http.get("/fhir/Patient", headers=await partner.headers())
    assert read.status_code == 403


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("text/plain", 200),
        ("x-application/hl7-v2+er7; charset=utf-8", 200),
        ("x-application/hl7-v2+er7; charset=US-ASCII", 200),
        ("x-application/hl7-v2+er7; charset=iso-8859-1", 415),
        ("x-application/hl7-v2+er7; charset=klingon", 415),
        ("application/fhir+json", 415),
    ],
)
async def test_http_takes_er7_in_the_character_set_the_message_names(partner, kind, status):
    assert (await partner.post(adt("1"), **{"Content-Type": kind})).status_code == status


async def test_http_refuses_what_has_no_msh_and_says_too_large_in_hl7(whole, partner):
    assert (await partner.post(b"hello")).status_code == 400
    large = adt("1") + b"NTE|1||" + b"x" * whole.gateway.settings.max_message_bytes
    said = await partner.post(large)
    assert (said.status_code, msa(said.content)) == (200, ("AE", "1"))


async def test_http_lets_a_client_speak_for_its_senders_alone(whole, partner):
    register(whole, clients=["another"])
    said = await partner.post(adt("1"))
    assert msa(said.content) == ("AR", "1")
    assert [row.state for row in whole.rows()] == ["rejected"]


# --- TLS ----------------------------------------------------------------------------------------------------------


async def test_a_certificate_speaks_for_its_sender_and_for_no_other(tmp_path):
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.server()
    tls = {"mllp_tls_certificate": certificate, "mllp_tls_key": key, "mllp_tls_client_ca": authority.ca}
    with composed(tmp_path, **tls) as whole:
        register(whole, certificates=["CN=elm"])
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
