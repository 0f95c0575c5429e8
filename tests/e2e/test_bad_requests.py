"""Every edge of bad requests on the real process; after each, the process is well and serves others."""

import time

import httpx
import orjson
import pytest
from gateway_process import ALMA
from joserfc import jwt
from joserfc.jwk import OctKey, import_key
from patience import PATIENCE
from small_caps import CAP

from fhirgw.settings import Settings

COUNT = iter(range(10_000))
SMART = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
def web(gateway):
    with httpx.Client(base_url=gateway.base, trust_env=False, timeout=PATIENCE) as client:
        yield client
    health = httpx.get(f"http://127.0.0.1:{gateway.http}/health", trust_env=False, timeout=PATIENCE)
    assert health.status_code == 200
    with gateway.partner("pcmh-elm") as elm:
        assert elm.get("/Patient").json()["total"] == 1


def issue(reply, status, code):
    """The answer is an OperationOutcome of this status and issue code; its first expression or text."""
    assert reply.status_code == status, reply.text
    outcome = reply.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["code"] == code
    return outcome["issue"]


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer x.y.z", "Basic cGNtaDpwY21o", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJpY20ifQ."],
)
def test_without_a_token_that_counts_nothing_is_answered(web, header):
    headers = {} if header is None else {"Authorization": header}
    reply = web.get("/Patient", headers=headers)
    issue(reply, 401, "login")
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_expired_token_is_refused_and_a_fresh_one_serves(gateway, web):
    fresh, key = gateway.token("pcmh-elm"), OctKey.import_key(Settings(data_dir=gateway.data).keys().token)
    given = jwt.decode(fresh, key, algorithms=["HS384"])
    expired = jwt.encode(given.header, given.claims | {"exp": given.claims["iat"]}, key, algorithms=["HS384"])
    issue(web.get("/Patient", headers={"Authorization": f"Bearer {expired}"}), 401, "login")
    assert web.get("/Patient", headers={"Authorization": f"Bearer {fresh}"}).status_code == 200


def ask_token(gateway, *, scope="system/*.rs", **claims):
    origin = gateway.base.removesuffix("/fhir")
    key = import_key(orjson.loads((gateway.data / "demo" / "pcmh-elm.jwk").read_bytes()))
    now = int(time.time())
    whole = {"iss": "pcmh-elm", "sub": "pcmh-elm", "aud": f"{origin}/auth/token", "iat": now, "exp": now + 200}
    whole |= {"jti": f"bad-{next(COUNT)}"} | claims
    signed = jwt.encode({"alg": "ES384", "kid": key.kid}, whole, key, algorithms=["ES384"])
    form = {"grant_type": "client_credentials", "scope": scope, "client_assertion_type": SMART}
    return httpx.post(
        f"{origin}/auth/token", data=form | {"client_assertion": signed}, trust_env=False, timeout=PATIENCE
    )


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"aud": "https://elsewhere.example.org/token"}, "invalid_client"),
        ({"exp": 1}, "invalid_client"),
        ({"exp": 99_999_999_999}, "invalid_client"),
        ({"iss": "pcmh-oak", "sub": "pcmh-oak"}, "invalid_client"),
        ({"iss": "nobody", "sub": "nobody"}, "invalid_client"),
        ({"scope": "launch openid"}, "invalid_scope"),
    ],
)
def test_an_assertion_that_is_not_right_gets_no_token(gateway, web, claims, error):
    reply = ask_token(gateway, **claims)
    assert (reply.status_code, reply.json()["error"]) == (400 if error == "invalid_scope" else 401, error)


def test_an_assertion_gives_one_token(gateway, web):
    assert ask_token(gateway, jti="once").status_code == 200
    again = ask_token(gateway, jti="once")
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


def test_what_is_asked_beyond_scope_type_and_grammar_is_refused_by_the_same_rules_for_everybody(gateway, web):
    narrow = ask_token(gateway, scope="system/Patient.rs").json()["access_token"]
    headers = {"Authorization": f"Bearer {narrow}"}
    issue(web.get("/CarePlan", headers=headers), 403, "forbidden")
    issue(web.get("/CarePlan/x", headers=headers), 403, "forbidden")
    with gateway.partner("pcmh-elm") as elm:
        issue(elm.get("/Nonsense"), 404, "not-found")
        issue(elm.get("/Patient?birthdate=yesterday"), 400, "value")
        issue(elm.get("/Patient?_count=many"), 400, "value")
        issue(elm.get("/Patient?no-such=1", headers={"Prefer": "handling=strict"}), 400, "not-supported")
        lenient = elm.get("/Patient?no-such=1").json()
        assert [one["search"]["mode"] for one in lenient["entry"]] == ["match", "outcome"]
        issue(elm.get(f"{gateway.base}?_page=forged"), 400, "value")
        issue(elm.put("/Patient", json={}), 405, "not-supported")
        assert elm.get("/Patient", headers={"Accept": "application/fhir+xml"}).status_code == 406


def test_a_client_outside_the_programme_cannot_write(gateway, web):
    with gateway.partner("pcmh-elm") as elm:
        task = {"resourceType": "Task", "id": "t", "status": "requested", "intent": "order"}
        issue(elm.post("/Task", json=task), 403, "forbidden")
        issue(elm.put("/Task/t", json=task), 403, "forbidden")


def writer(gateway):
    """The programme's own system, with its whole scope."""
    return gateway.partner("icm-system", scope="system/*.cruds")


def test_the_programmes_system_creates_and_updates_and_loses_no_update(gateway, web):
    patient = gateway.patient(ALMA)
    goal = {"resourceType": "Goal", "lifecycleStatus": "active", "subject": {"reference": f"Patient/{patient}"}}
    goal["description"] = {"text": "Walk to the river"}
    with writer(gateway) as icm:
        made = icm.post("/Goal", json=goal)
        assert (made.status_code, made.headers["ETag"]) == (201, 'W/"1"')
        body = made.json()
        assert made.headers["Location"] == f"{gateway.base}/Goal/{body['id']}/_history/1"
        changed = icm.put(
            f"/Goal/{body['id']}", json=body | {"lifecycleStatus": "completed"}, headers={"If-Match": 'W/"1"'}
        )
        assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
        stale = icm.put(f"/Goal/{body['id']}", json=body, headers={"If-Match": 'W/"1"'})
        issue(stale, 412, "conflict")
        issue(icm.put(f"/Goal/{body['id']}", json=body, headers={"If-Match": "banana"}), 412, "conflict")
        assert icm.get(f"/Goal/{body['id']}").json()["lifecycleStatus"] == "completed"


def test_what_cannot_be_stored_is_refused_with_every_reason_at_its_place(gateway, web):
    patient = gateway.patient(ALMA)
    goal = {"resourceType": "Goal", "lifecycleStatus": "thriving", "subject": {"reference": f"Patient/{patient}"}}
    with writer(gateway) as icm:
        problems = issue(icm.post("/Goal", json=goal | {"startDate": "soon"}), 422, "code-invalid")
        places = {place for one in problems for place in one.get("expression", ())}
        assert {"Goal.lifecycleStatus", "Goal.description"} <= places
        assert "thriving" not in str(problems)
        raw = {"Content-Type": "application/fhir+json"}
        for content in (b"", b"{", b"[1]", b'{"resourceType": "Goal", "resourceType": "Task"}', b"\xff"):
            reply = icm.post("/Goal", content=content, headers=raw)
            assert (reply.status_code, reply.json()["resourceType"]) == (400, "OperationOutcome"), content
        issue(icm.post("/Task", json=goal), 400, "value")
        issue(icm.put("/Goal/a", json=goal | {"id": "b"}), 400, "value")
        issue(icm.post("/Goal", content=b"x" * (CAP + 1), headers=raw), 413, "too-long")
        issue(
            icm.post("/Goal", content=b"<Goal/>", headers={"Content-Type": "application/fhir+xml"}),
            415,
            "not-supported",
        )
