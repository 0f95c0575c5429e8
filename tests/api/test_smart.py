"""SMART Backend Services: who gets a token, what it is good for, and when it stops."""

import base64
import json

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from fhirgw.asks import Read
from fhirgw.store import clients
from fhirgw.store.database import Database

TOKEN_URL = "https://gw.example.org/auth/token"
BASE = "https://gw.example.org/fhir"


def b2b(*purposes):
    return {"extensions": {"hl7-b2b": {"version": "1", "purpose_of_use": list(purposes)}}}


def refused(reply, error, status=401):
    assert (reply.status_code, reply.json()["error"]) == (status, error), reply.text
    assert reply.headers["cache-control"] == "no-store"
    return True


@pytest.mark.parametrize("key", ["ec", "rsa"])
async def test_a_registered_key_gets_a_token_that_opens_what_its_scope_says(api, key):
    reply = await api.ask_token(api.sign(key), scope="system/Patient.rs system/Nonsense launch")
    assert reply.status_code == 200
    body = reply.json()
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 300
    assert body["scope"] == "system/Patient.rs"
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await api.http.get("/fhir/Patient/1", headers=headers)).status_code == 200
    requester, ask = api.share.asked[0]
    assert ask == Read("Patient", "1")
    assert (requester.client, requester.organization, requester.purpose) == ("pcmh", "org-pcmh", "TREAT")
    assert (requester.scopes, requester.inside, requester.channel) == (("system/Patient.rs",), None, "api")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "nobody", "sub": "nobody"},
        {"iss": 7},
        {"iss": None},
        {"sub": "agency"},
        {"sub": None},
        {"aud": "https://elsewhere.example.org/auth/token"},
        {"aud": BASE},
        {"aud": [TOKEN_URL, "https://elsewhere.example.org"]},
        {"aud": None},
        {"exp": None},
        {"exp": 1_790_000_000},
        {"exp": 1_790_000_306},
        {"exp": "1790000100"},
        {"exp": True},
        {"nbf": 1_790_000_060},
        {"iat": 1_790_000_060},
        {"iat": "now"},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 257},
    ],
)
async def test_an_assertion_that_is_not_about_its_signer_for_us_and_for_now_is_refused(api, claims):
    assert refused(await api.ask_token(api.sign(**claims)), "invalid_client")


@pytest.mark.parametrize(("aud", "exp"), [([TOKEN_URL], 240), (TOKEN_URL, 300)])
async def test_the_bounds_of_a_good_assertion_are_inside(api, aud, exp):
    assert (await api.ask_token(api.sign(aud=aud, exp=api.time[0] + exp))).status_code == 200


async def test_an_assertion_counts_once_even_after_a_restart(api, tmp_path):
    assertion = api.sign()
    assert (await api.ask_token(assertion)).status_code == 200
    assert refused(await api.ask_token(assertion), "invalid_client")
    assert refused(await api.ask_token(api.sign(jti="0")), "invalid_client")
    other = Database(f"sqlite:///{tmp_path}/store.db", clock=lambda: api.time[0] * 1_000_000)
    expires = (api.time[0] + 240) * 1_000_000
    assert not other.write_sync(lambda tx: clients.use_assertion(tx, "pcmh", "0", expires))
    other.close()


async def test_one_clients_jti_is_not_another_clients(api):
    assert (await api.ask_token(api.sign(jti="same"))).status_code == 200
    reply = await api.ask_token(api.sign(jti="same", iss="icm", sub="icm"))
    assert reply.status_code == 200


async def test_a_key_nobody_registered_is_refused(api):
    assert refused(await api.ask_token(api.sign("stranger")), "invalid_client")


async def test_a_kid_nobody_registered_is_refused(api):
    assert refused(await api.ask_token(api.sign(header={"kid": "other"})), "invalid_client")


async def test_an_algorithm_of_another_key_is_refused(api):
    assert refused(await api.ask_token(api.sign("rsa", header={"kid": "ec"})), "invalid_client")


async def test_a_weaker_algorithm_of_the_right_key_is_refused(api):
    assert refused(await api.ask_token(api.sign("rsa", algorithm="RS256")), "invalid_client")


async def test_a_shared_secret_is_no_signature(api):
    assert refused(await api.ask_token(api.sign("secret", algorithm="HS384")), "invalid_client")


async def test_no_signature_is_no_signature(api):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()  # noqa: E731 - as terse as the trick
    claims = {"iss": "pcmh", "sub": "pcmh", "aud": TOKEN_URL, "exp": api.time[0] + 240, "jti": "none"}
    forged = f"{part({'alg': 'none', 'kid': 'ec'})}.{part(claims)}."
    assert refused(await api.ask_token(forged), "invalid_client")


@pytest.mark.parametrize("garbage", ["x", "a.b.c", "é.é.é", "..", "W10.W10.AA", "a." + "b" * 20000 + ".c"])
async def test_garbage_is_no_assertion(api, garbage):
    assert refused(await api.ask_token(garbage), "invalid_client")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "system/Patient.cud"}, "invalid_scope"),
        ({"scope": "patient/*.rs openid"}, "invalid_scope"),
        ({"scope": "system/Patient.read"}, "invalid_scope"),
    ],
)
async def test_a_request_for_something_else_is_refused_in_the_words_of_oauth(api, fields, error):
    assert refused(await api.ask_token(**fields), error, 400)


async def test_another_way_of_signing_in_is_refused(api):
    assert refused(await api.ask_token(client_assertion_type="secret"), "invalid_client")
    assert refused(await api.ask_token(client_id="icm"), "invalid_client")


async def test_a_field_twice_is_refused(api):
    form = b"grant_type=client_credentials&grant_type=client_credentials"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert refused(await api.http.post("/auth/token", content=form, headers=headers), "invalid_request", 400)


async def test_a_token_request_that_is_no_form_or_too_large_is_refused(api):
    assert refused(await api.http.post("/auth/token", json={"grant_type": "x"}), "invalid_request", 415)
    assert refused(await api.http.post("/auth/token", data={"x": "y" * 70_000}), "invalid_request", 413)


@pytest.mark.parametrize(
    ("client", "claims", "purpose"),
    [
        ("pcmh", {}, "TREAT"),
        ("pcmh", b2b("TREAT"), "TREAT"),
        ("agency", b2b("COC"), "COC"),
        ("agency", b2b("urn:oid:2.16.840.1.113883.5.8#HOPERAT"), "HOPERAT"),
        ("agency", b2b("http://terminology.hl7.org/CodeSystem/v3-ActReason#COC"), "COC"),
        ("agency", {"extensions": {"hl7-b2b": {"purpose_of_use": "COC"}}}, "COC"),
    ],
)
async def test_purpose_of_use_is_the_assertions_or_the_single_registered_one(api, client, claims, purpose):
    reply = await api.ask_token(api.sign(iss=client, sub=client, **claims))
    headers = {"Authorization": f"Bearer {reply.json()['access_token']}", "X-Purpose-Of-Use": "HPAYMT"}
    await api.http.get("/fhir/Patient/1?purpose=HPAYMT", headers=headers)
    assert api.share.asked[0][0].purpose == purpose


@pytest.mark.parametrize(
    ("client", "claims", "error"),
    [
        ("agency", {}, "invalid_request"),
        ("agency", b2b(), "invalid_request"),
        ("agency", b2b("COC", "HOPERAT"), "invalid_request"),
        ("pcmh", b2b("TREAT", "TREAT"), "invalid_request"),
        ("pcmh", b2b("HPAYMT"), "invalid_grant"),
        ("pcmh", b2b("treat"), "invalid_grant"),
        ("pcmh", b2b("http://evil.example.org#TREAT"), "invalid_grant"),
        ("pcmh", b2b(7), "invalid_grant"),
        ("pcmh", {"extensions": "TREAT"}, "invalid_request"),
        ("pcmh", {"extensions": {"hl7-b2b": ["TREAT"]}}, "invalid_request"),
        ("pcmh", {"extensions": {"hl7-b2b": {"purpose_of_use": {"code": "TREAT"}}}}, "invalid_request"),
    ],
)
async def test_a_token_serves_one_registered_purpose_or_is_not_given(api, client, claims, error):
    assert refused(await api.ask_token(api.sign(iss=client, sub=client, **claims)), error, 400)


async def test_a_token_ends(api):
    headers = await api.bearer()
    api.time[0] += 299
    assert (await api.http.get("/fhir/Patient/1", headers=headers)).status_code == 200
    api.time[0] += 1
    assert (await api.http.get("/fhir/Patient/1", headers=headers)).status_code == 401
    assert (await api.http.get("/fhir/Patient/1", headers=headers)).status_code == 401


async def test_a_revoked_clients_token_stops_at_once_and_no_other_is_given(api):
    headers = await api.bearer()
    assert (await api.http.get("/fhir/Patient/1", headers=headers)).status_code == 200
    assert await api.database.write(lambda tx: clients.revoke(tx, "pcmh"))
    assert (await api.http.get("/fhir/Patient/1", headers=headers)).status_code == 401
    assert len(api.share.asked) == 1
    assert refused(await api.ask_token(), "invalid_client")


def minted(api, *, key=None, header=None, **claims):
    whole = {"aud": BASE, "sub": "pcmh", "purpose": "TREAT", "scope": "system/*.rs", "exp": api.time[0] + 60}
    whole = {name: value for name, value in (whole | claims).items() if value is not None}
    signed = {"alg": "HS384", "typ": "at+jwt"} | (header or {})
    return jwt.encode(signed, whole, OctKey.import_key(key or api.keys.token), algorithms=["HS384", "HS512"])


async def test_a_token_as_the_gateway_makes_it_counts(api):
    headers = {"Authorization": f"Bearer {minted(api)}"}
    assert (await api.http.get("/fhir/Patient/1", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"key": b"another key of the right length, that is not the gateway's own!!"},
        {"header": {"typ": "JWT"}},
        {"header": {"alg": "HS512"}},
        {"aud": "https://elsewhere.example.org/fhir"},
        {"aud": None},
        {"sub": "nobody"},
        {"sub": None},
        {"purpose": None},
        {"purpose": "HPAYMT"},
        {"scope": None},
        {"scope": 7},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1},
    ],
)
async def test_whatever_a_token_lacks_denies(api, change):
    headers = {"Authorization": f"Bearer {minted(api, **change)}"}
    assert (await api.http.get("/fhir/Patient/1", headers=headers)).status_code == 401
    assert api.share.asked == []


async def test_a_token_never_gives_more_than_the_registration(api):
    headers = {"Authorization": f"Bearer {minted(api, sub='narrow', scope='system/*.cruds')}"}
    assert (await api.http.get("/fhir/CarePlan/1", headers=headers)).status_code == 200
    assert (await api.http.get("/fhir/Goal/1", headers=headers)).status_code == 403
    assert (await api.http.get("/fhir/Patient", headers=headers)).status_code == 403


async def test_an_assertion_is_no_token(api):
    headers = {"Authorization": f"Bearer {api.sign(aud=BASE)}"}
    assert (await api.http.get("/fhir/Patient/1", headers=headers)).status_code == 401


async def test_tokens_read_are_kept_in_bounds_and_none_is_lost(api, monkeypatch):
    monkeypatch.setattr("fhirgw.api.smart.KEPT_TOKENS", 2)
    several = [await api.bearer() for _ in range(4)]
    for headers in several * 2:
        assert (await api.http.get("/fhir/Patient/1", headers=headers)).status_code == 200


PERSON = {
    "version": "1", "subject_name": "Dr Ada Alvarez", "subject_id": "1234567893", "subject_role": "207P00000X",
    "organization_name": "Elm General, Emergency", "purpose_of_use": ["BTG"],
}  # fmt: skip
ABOUT = {"version": "1", "patient": "Patient/p", "reason": "Unconscious after a fall"}


def claim(client="hospital", *, person=(), about=()):
    """The claims of an assertion: an emergency; a fact given as None is left out."""
    stated = {"hl7-b2b": PERSON | dict(person), "fhirgw-emergency": ABOUT | dict(about)}
    facts = {name: {fact: said for fact, said in one.items() if said is not None} for name, one in stated.items()}
    return {"iss": client, "sub": client, "extensions": facts}


async def test_a_claim_is_documented_with_the_token_and_good_for_an_hour(api):
    reply = await api.ask_token(api.sign(**claim()))
    assert (reply.status_code, reply.json()["expires_in"]) == (200, 3600)
    [claimed] = api.share.claims
    assert (claimed.client, claimed.purpose, claimed.emergency.person) == ("hospital", "BTG", "Dr Ada Alvarez")
    headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
    api.time[0] += 3599
    await api.http.get("/fhir/Patient/p", headers=headers)
    assert api.share.asked[0][0].emergency == claimed.emergency
    api.time[0] += 1
    assert (await api.http.get("/fhir/Patient/p", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("stated", "error"),
    [
        (claim("pcmh", person={"purpose_of_use": ["TREAT"]}), "invalid_grant"),
        (claim(person={"purpose_of_use": ["TREAT"]}), "invalid_grant"),
        (claim(person={"subject_role": "174400000X"}), "invalid_grant"),
        (claim(person={"subject_role": "20"}), "invalid_grant"),
        *(
            (claim(person={fact: None}), "invalid_request")
            for fact in ("subject_name", "subject_id", "subject_role", "organization_name")
        ),
        (claim(person={"subject_name": "  "}), "invalid_request"),
        (claim(person={"subject_id": "12345"}), "invalid_request"),
        (claim(about={"patient": None}), "invalid_request"),
        (claim(about={"patient": "*"}), "invalid_request"),
        (claim(about={"patient": ["Patient/p", "Patient/q"]}), "invalid_request"),
        (claim(about={"reason": ""}), "invalid_request"),
        (claim(about={"reason": "x" * 501}), "invalid_request"),
        (claim() | {"extensions": {"hl7-b2b": PERSON, "fhirgw-emergency": "help"}}, "invalid_request"),
    ],
)
async def test_a_claim_that_lacks_something_is_no_token_and_leaves_nothing(api, stated, error):
    """Whoever it is about: nothing of a patient is looked up."""
    assert refused(await api.ask_token(api.sign(**stated)), error, 400)
    assert api.share.claims == []


async def test_a_registration_that_ends_ends_the_claims(api):
    reply = await api.ask_token(api.sign(**claim()))
    headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
    await api.database.write(lambda tx: clients.allow_emergencies(tx, "hospital", allowed=False))
    assert (await api.http.get("/fhir/Patient/p", headers=headers)).status_code == 401
