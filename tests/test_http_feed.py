"""A hospital's feed by HTTP: the same journal, one answer."""

import itertools

import httpx
import orjson
import pytest
from composed_gateway import msa
from feed_messages import BAD, BATCH, Listener, adt, told
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from patience import PATIENCE, until

from fhirgw import app
from fhirgw.api import create_api
from fhirgw.doors import HttpDoor
from fhirgw.store import clients, journal
from fhirgw.store.clients import FEED, Client

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
        whole.register(return_to=f"mllp://127.0.0.1:{listener.port}")
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
    whole.register(clients=["another"])
    said = await partner.post(adt("1"))
    assert msa(said.content) == ("AR", "1")
    assert [row.state for row in whole.rows()] == ["rejected"]
