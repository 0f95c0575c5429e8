"""What goes out: answers as released, errors that quote nothing, notifications to their recipient alone."""

import inspect
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from threaded_server import served

from fhirgw import errors, send
from fhirgw.errors import (
    DependencyDown,
    Forbidden,
    GatewayError,
    InvalidElement,
    NotFound,
    Unauthenticated,
    Withheld,
)
from fhirgw.released import Public, Released
from fhirgw.send import PIECE, Credentials, RecalledError, assertion, call, error_answer, post, respond

RELEASED = Released(b'{"a":1}', headers={"ETag": 'W/"1"', "X-42CFR-Part-2": "notice"})
TREE = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, GatewayError)]


class Partner(ThreadingHTTPServer):
    """A scripted HTTP peer: answers in order of ``script``, keeps what it was sent."""

    daemon_threads = True

    def __init__(self, script):
        self.script = script
        self.seen = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def _answer(self):
        length = int(self.headers.get("Content-Length", 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        status, headers, body = self.server.script(self.path)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *args):
        pass


def partner(script):
    return served(Partner(script))


# --- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [RELEASED, Public(b"{}", "application/json", 503, {"Retry-After": "1"})])
def test_a_response_is_the_answer(answer):
    response = respond(answer)
    assert (response.status_code, response.body, response.media_type or response.headers["content-type"]) == (
        answer.status,
        answer.body,
        answer.media_type,
    )
    assert all(response.headers[name] == value for name, value in answer.headers.items())


def test_a_route_may_add_its_status_and_place():
    response = respond(RELEASED, status=201, headers={"Location": "x"})
    assert (response.status_code, response.headers["location"], response.headers["etag"]) == (201, "x", 'W/"1"')


async def sent(response):
    """The messages of a response, and whether it ended as it should."""
    messages = []

    async def send(message):
        messages.append(message)

    try:
        await response({"type": "http", "method": "GET"}, None, send)
    except RecalledError:
        return messages, False
    return messages, True


def holding(times):
    """Whether the policy still holds: so many times it does."""
    left = iter([True] * times)

    async def still():
        return next(left, False)

    return still


@pytest.mark.parametrize("pieces", [0, 1, 2, 3])
async def test_a_long_answer_ends_with_the_piece_that_was_on_its_way_when_the_policy_moved(pieces):
    body = bytes(3 * PIECE - 1)
    messages, whole = await sent(respond(Released(body, still=holding(pieces))))
    start, *rest = messages
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert dict(start["headers"])[b"content-length"] == str(len(body)).encode()
    assert whole is (pieces == 3)
    assert b"".join(one["body"] for one in rest) == body[: pieces * PIECE]
    assert [one["more_body"] for one in rest] == [True, True, False][:pieces]


async def test_a_short_answer_goes_in_one_piece_that_nobody_is_asked_about():
    messages, whole = await sent(respond(Released(bytes(PIECE), still=holding(0))))
    assert whole
    assert [len(one["body"]) for one in messages[1:]] == [PIECE]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_has_an_answer(kind):
    error = kind("Do this.", location="Patient.name")
    answer = error_answer(error, "id-1")
    assert answer.status == kind.http
    assert answer.headers["X-Request-Id"] == "id-1"
    assert ("WWW-Authenticate" in answer.headers) is (kind is Unauthenticated)
    outcome = orjson.loads(answer.body)
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["code"] == kind.issue


def test_whatever_says_not_found_says_the_same():
    same = [
        NotFound(),
        NotFound("It was there.", location="x"),
        Withheld("By consent."),
        ExceptionGroup("g", [InvalidElement("x"), ExceptionGroup("h", [Withheld("y")])]),
        ExceptionGroup("g", [ValueError("x"), NotFound()]),
    ]
    assert len({(error_answer(one, "id").body, error_answer(one, "id").status) for one in same}) == 1


@pytest.mark.parametrize(
    "error", [ValueError("Alma"), ExceptionGroup("Alma", [InvalidElement("x"), KeyError("Alma")])]
)
def test_the_unexpected_is_a_constant(error):
    answer = error_answer(error, "id")
    assert answer.status == 500
    assert answer.body == error_answer(RuntimeError(), "id").body


# --- notifications ------------------------------------------------------------------------------------------------


async def test_a_post_carries_the_answer_and_gives_the_status():
    with partner(lambda path: (202, {}, b"")) as peer:
        assert await post(f"{peer.url}/in?x=1", RELEASED, headers={"X-Request-Id": "id-1"}) == 202
    ((method, path, headers, body),) = peer.seen
    assert (method, path, body) == ("POST", "/in?x=1", b'{"a":1}')
    assert headers["Content-Type"] == "application/fhir+json"
    assert headers["X-42CFR-Part-2"] == "notice"
    assert headers["X-Request-Id"] == "id-1"


async def test_a_redirect_is_not_followed():
    with partner(lambda path: (307, {"Location": "/elsewhere"}, b"")) as peer:
        assert await post(f"{peer.url}/in", RELEASED, headers={}) == 307
    assert [path for _, path, _, _ in peer.seen] == ["/in"]


async def test_a_partner_that_is_away_may_answer_later():
    with partner(lambda path: (200, {}, b"")) as peer:
        url = peer.url
    with pytest.raises(DependencyDown):
        await post(url, RELEASED, headers={})


@pytest.mark.parametrize(
    "url",
    [
        "http://pcmh.example.org/in",
        "http://127.0.0.1.example.org/in",
        "http://localhost.example.org/in",
        "http://127.0.0.1@example.org/in",
        "https://user:secret@example.org/in",
        "ftp://127.0.0.1/in",
        "file:///etc/passwd",
        "127.0.0.1/in",
        "",
    ],
)
async def test_member_data_leaves_this_machine_over_tls_only(url):
    with pytest.raises(Forbidden):
        await post(url, RELEASED, headers={})


async def test_what_is_no_url_is_refused():
    with pytest.raises(InvalidElement):
        await post("http://[::1", RELEASED, headers={})


# --- the partner's side -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ec():
    return ECKey.generate_key("P-384", {"kid": "mine"})


@pytest.fixture(scope="module")
def rsa():
    return RSAKey.generate_key(2048)


def test_an_assertion_names_its_client_audience_key_and_purpose(ec):
    credentials = Credentials("pcmh", orjson.dumps(ec.as_dict(private=True)).decode(), purpose="TREAT")
    read = jwt.decode(assertion(credentials, "https://x/token", now=1000, jti="j"), ec, algorithms=["ES384"])
    assert read.header == {"alg": "ES384", "typ": "JWT", "kid": "mine"}
    assert read.claims == {
        "iss": "pcmh",
        "sub": "pcmh",
        "aud": "https://x/token",
        "iat": 1000,
        "exp": 1240,
        "jti": "j",
        "extensions": {"hl7-b2b": {"version": "1", "purpose_of_use": ["TREAT"]}},
    }


@pytest.mark.parametrize("kid", [None, "registered"])
def test_a_pem_key_signs_under_the_given_kid_or_its_thumbprint(ec, rsa, kid):
    for key, algorithm in ((ec, "ES384"), (rsa, "RS384")):
        credentials = Credentials("pcmh", key.as_pem(private=True).decode(), kid=kid)
        read = jwt.decode(assertion(credentials, "a", now=1, jti="j"), key, algorithms=[algorithm])
        assert read.header["kid"] == (kid or key.thumbprint())
        assert "extensions" not in read.claims


@pytest.mark.parametrize("bad", ["", "x", "{", "[]", "{}", '{"kty": "EC"}', "public", "secret"])
def test_what_is_no_private_key_signs_nothing(ec, bad):
    secret = OctKey.generate_key(256).as_dict(private=True)
    text = {"public": orjson.dumps(ec.as_dict(private=False)), "secret": orjson.dumps(secret)}.get(
        bad, bad.encode()
    )
    with pytest.raises(InvalidElement):
        assertion(Credentials("pcmh", text.decode()), "a", now=1, jti="j")


def gateway(token_answer=b'{"access_token": "tok"}', status=200):
    def script(path):
        if path == "/fhir/.well-known/smart-configuration":
            return 200, {}, orjson.dumps({"token_endpoint": f"{script.url}/auth/token"})
        if path == "/auth/token":
            return status, {}, token_answer
        return 404, {"X-Request-Id": "id-1"}, b"nothing here"

    return script


@contextmanager
def running(script):
    with partner(script) as peer:
        script.url = peer.url
        yield peer


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Patient/1", "/fhir/Patient/1"),
        ("/Patient/1", "/fhir/Patient/1"),
        ("?_page=x", "/fhir?_page=x"),
        ("CarePlan?patient=1&_include=CarePlan:goal", "/fhir/CarePlan?patient=1&_include=CarePlan:goal"),
    ],
)
def test_a_call_signs_in_asks_and_shows_the_answer(ec, path, expected):
    credentials = Credentials("pcmh", ec.as_pem(private=True).decode())
    with running(gateway()) as peer:
        reply = call(
            f"{peer.url}/fhir/", credentials, "PUT", path, now=1, jti="j", content=b"{}", headers={"X-A": "b"}
        )
    assert (reply.status, reply.body, reply.headers["x-request-id"]) == (404, b"nothing here", "id-1")
    method, asked, headers, body = peer.seen[-1]
    assert (method, asked, body) == ("PUT", expected, b"{}")
    assert (headers["Authorization"], headers["Content-Type"], headers["X-A"]) == (
        "Bearer tok",
        "application/fhir+json",
        "b",
    )


def test_a_next_link_is_followed_under_the_same_base_only(ec):
    credentials = Credentials("pcmh", ec.as_pem(private=True).decode())
    with running(gateway()) as peer:
        base = f"{peer.url}/fhir"
        assert call(base, credentials, "GET", f"{base}?_page=x", now=1, jti="j").status == 404
        seen = len(peer.seen)
        for elsewhere in (f"{peer.url}/other", "https://elsewhere.example.org/fhir", f"{base}x/Patient"):
            with pytest.raises(InvalidElement):
                call(base, credentials, "GET", elsewhere, now=1, jti="j")
        assert len(peer.seen) == seen


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'{"error": "invalid_client", "error_description": "No such key."}', "No such key."),
        (b'{"error": "invalid_client"}', "invalid_client"),
        (b"<html>", "status 401"),
        (b"[]", "status 401"),
        (b'{"access_token": 7}', "status 401"),
    ],
)
def test_a_refused_token_says_why(ec, answer, said):
    credentials = Credentials("pcmh", ec.as_pem(private=True).decode())
    with running(gateway(answer, 401)) as peer, pytest.raises(Unauthenticated, match=said):
        call(f"{peer.url}/fhir", credentials, "GET", "Patient/1", now=1, jti="j")


def test_a_gateway_that_is_away_is_named(ec):
    credentials = Credentials("pcmh", ec.as_pem(private=True).decode())
    with running(gateway()) as peer:
        base = f"{peer.url}/fhir"
    with pytest.raises(DependencyDown, match=base):
        call(base, credentials, "GET", "Patient/1", now=1, jti="j")


def test_the_senders_take_what_was_released_or_is_public_and_nothing_else():
    for sender in (respond, post):
        assert inspect.signature(sender).parameters["answer"].annotation == Released | Public
    assert send.error_answer.__annotations__["return"] is Public
