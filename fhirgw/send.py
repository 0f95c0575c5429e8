"""The only module that speaks HTTP outwards or makes a response: it takes ``Released | Public``, and nothing else.

``call`` is the other direction: the partner's side of the API, for the command line. What it sends is typed by the
operator and never read from the store.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from typing import Any

import httpx
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, import_key
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fhirgw.errors import DependencyDown, Forbidden, GatewayError, InvalidElement, NotFound, Unauthenticated
from fhirgw.outcome import http_status, operation_outcome
from fhirgw.released import Public, Released

FHIR_JSON = "application/fhir+json"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 240
TIMEOUT = httpx.Timeout(10.0)
UPSTREAM_TIMEOUT = httpx.Timeout(120.0, connect=10.0)
"""A JPA server takes seconds for a transaction of a hundred resources."""
PIECE = 64 * 1024
"""Between two pieces, an answer or an upload can be ended (consent specification §2.3)."""
CHALLENGE = 'Bearer realm="fhirgw"'


# --- answers ------------------------------------------------------------------------------------------------------


def respond(
    answer: Released | Public, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The HTTP response of an answer.

    Args:
        answer: What may be sent.
        status: Instead of the answer's own: 201 for what was created.
        headers: Further ones, such as Location.
    """
    still = answer.still if isinstance(answer, Released) else None
    made = Response(
        answer.body,
        status_code=answer.status if status is None else status,
        headers={**answer.headers, **(headers or {}), "Content-Type": answer.media_type},
    )
    return made if still is None or len(answer.body) <= PIECE else _InPieces(made, still)


class _InPieces(Response):
    """A long answer, piece by piece to the socket, for as long as it may go.

    What was handed over before the policy moved is gone; the rest is not sent, and the connection ends in the
    middle (consent specification §2.3).
    """

    def __init__(self, whole: Response, still: Callable[[], Awaitable[bool]]) -> None:
        super().__init__(whole.body, status_code=whole.status_code)
        self.raw_headers = whole.raw_headers
        self._still = still

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        body = bytes(self.body)
        left = len(body)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in _pieces(body, self._still):
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})


class RecalledError(Exception):
    """What was being sent may not be sent any more: the connection was closed before its end."""


async def _pieces(body: bytes, still: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    """A body, piece by piece, for as long as it may go: asked before each is handed to the socket."""
    for start in range(0, len(body), PIECE):
        if not await still():
            raise RecalledError
        yield body[start : start + PIECE]


def error_answer(error: Exception, request_id: str) -> Public:
    """The answer to a request that failed, an OperationOutcome.

    INVARIANT: every NotFound gives the same bytes, whatever it was raised with, and everything unexpected too.
    """
    errors = _leaves(error)
    if any(isinstance(each, NotFound) for each in errors):
        errors = [NotFound()]
    elif not all(isinstance(each, GatewayError) for each in errors):
        errors = [Exception()]
    status = max(http_status(each) for each in errors)
    headers = {"X-Request-Id": request_id}
    if status == Unauthenticated.http:
        headers["WWW-Authenticate"] = CHALLENGE
    return Public(orjson.dumps(operation_outcome(errors)), FHIR_JSON, status, headers)


def nothing() -> Public:
    """An answer without a body: it was done, and the requester may not read what came of it."""
    return Public(b"")


def done(version: int) -> Public:
    """It was done, and there is nothing to say of it but which version says so."""
    return Public(b"", status=204, headers={"ETag": f'W/"{version}"'})


def judged(errors: Sequence[GatewayError]) -> Public:
    """What is wrong with a resource that the requester sent, as an OperationOutcome; no error holds a value."""
    sound = {"severity": "information", "code": "informational", "diagnostics": "Nothing is wrong with it."}
    outcome = operation_outcome(errors) if errors else {"resourceType": "OperationOutcome", "issue": [sound]}
    return Public(orjson.dumps(outcome), FHIR_JSON)


def _leaves(error: Exception) -> list[Exception]:
    """The errors of a group, flat."""
    if isinstance(error, ExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]


# --- notifications ------------------------------------------------------------------------------------------------


async def post(url: str, answer: Released | Public, *, headers: Mapping[str, str]) -> int:
    """POST an answer to a partner; its status. Redirects are not followed: consent was for this recipient.

    Raises:
        Forbidden: Another machine would be reached without TLS.
        DependencyDown: The partner does not answer.
    """
    _require_private(url)
    try:
        async with httpx.AsyncClient(verify=_tls(), timeout=TIMEOUT, trust_env=False) as client:
            reply = await client.post(
                url, content=answer.body, headers={**answer.headers, **headers, "Content-Type": answer.media_type}
            )
    except (httpx.HTTPError, httpx.InvalidURL):
        raise DependencyDown("The partner does not answer.") from None
    return reply.status_code


# --- an upstream server -------------------------------------------------------------------------------------------


async def hand_over(
    url: str, answer: Released | Public, *, headers: Mapping[str, str], still: Callable[[], bool]
) -> "Reply":
    """POST an answer in pieces, for as long as it may go.

    Args:
        url: Where it goes.
        answer: What may be sent.
        headers: Further ones.
        still: Asked before the headers, and before each piece, is handed to the socket.

    Raises:
        RecalledError: ``still`` said no; the partner has not got it whole.
        Forbidden: Another machine would be reached without TLS.
        DependencyDown: The partner does not answer.
    """

    async def may() -> bool:
        return still()

    async def trace(event: str, _info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started") and not still():
            raise RecalledError

    sent = {**answer.headers, **headers, "Content-Type": answer.media_type, "Content-Length": str(len(answer.body))}
    return await _exchange(
        "POST", url, headers=sent, content=_pieces(answer.body, may), extensions={"trace": trace}
    )


async def fetch(url: str, *, headers: Mapping[str, str]) -> "Reply":
    """GET what a partner's server holds; nothing is sent but the address.

    Raises:
        Forbidden: Another machine would be reached without TLS.
        DependencyDown: The partner does not answer.
    """
    return await _exchange("GET", url, headers={"Accept": FHIR_JSON, **headers})


async def _exchange(method: str, url: str, **how: Any) -> "Reply":
    _require_private(url)
    try:
        async with httpx.AsyncClient(verify=_tls(), timeout=UPSTREAM_TIMEOUT, trust_env=False) as client:
            reply = await client.request(method, url, **how)
    except (httpx.HTTPError, httpx.InvalidURL):
        raise DependencyDown("The server does not answer.") from None
    return Reply(reply.status_code, dict(reply.headers), reply.content)


def expunge() -> Public:
    """What asks a server to forget the older versions of a resource (HAPI's ``$expunge``)."""
    names = ("expungePreviousVersions", "expungeDeletedResources")
    body = {"resourceType": "Parameters", "parameter": [{"name": one, "valueBoolean": True} for one in names]}
    return Public(orjson.dumps(body), FHIR_JSON)


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _require_private(url: str) -> None:
    """The URL, taken apart and not matched as text (leak 44), is TLS or stays on this machine."""
    try:
        parsed = httpx.URL(url)
        local = parsed.host == "localhost" or ip_address(parsed.host).is_loopback
    except httpx.InvalidURL:
        raise InvalidElement("This is no URL.") from None
    except ValueError:
        local = False
    if not parsed.host or parsed.userinfo or not (parsed.scheme == "https" or (parsed.scheme == "http" and local)):
        raise Forbidden("Member data leaves this machine over https only.")


# --- the partner's side -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a registered client signs in with.

    Attributes:
        client: Client id.
        key: Its private key, PEM or JWK; a JWK should have the registered ``kid``.
        kid: The registered ``kid``, where the key does not say it; None: the key's RFC 7638 thumbprint.
        scope: SMART scopes v2, space separated; what is asked beyond the registered ones is not given.
        purpose: v3-ActReason code; None leaves it to the client's registered default.
        extensions: Of the assertion, by name: an emergency claim.
    """

    client: str
    key: str
    kid: str | None = None
    scope: str = "system/*.cruds"
    purpose: str | None = None
    extensions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a gateway answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def call(
    base: str,
    credentials: Credentials,
    method: str,
    path: str,
    *,
    now: int,
    jti: str,
    content: bytes | None = None,
    media_type: str = FHIR_JSON,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Get a token and make one request, as a partner's system does.

    Args:
        base: Base URL of a FHIR API, ``http://127.0.0.1:8080/fhir``.
        credentials: Who asks.
        method: ``GET``, ``POST`` or ``PUT``.
        path: Relative to the base, with its query, or a full URL under the base (a next link).
        now: Seconds since the epoch.
        jti: Fresh, for the assertion.
        content: The body.
        media_type: Of the body.
        headers: Further ones.

    Raises:
        Unauthenticated: No token was given.
        DependencyDown: Nobody answers there.
        InvalidElement: The path leads elsewhere; a token is shown to the gateway it is for, and to no one else.
    """
    base = base.rstrip("/")
    url = path if "://" in path else base + (path if path.startswith(("/", "?")) else f"/{path}")
    if not (url == base or url.startswith((base + "/", base + "?"))):
        raise InvalidElement("This URL is not under the base.")
    _require_private(url)
    try:
        with httpx.Client(verify=_tls(), timeout=TIMEOUT, trust_env=False) as client:
            token = _token(client, base, credentials, now=now, jti=jti)
            sent = {"Authorization": f"Bearer {token}", "Accept": FHIR_JSON, **(headers or {})}
            if content is not None:
                sent["Content-Type"] = media_type
            reply = client.request(method, url, content=content, headers=sent)
    except (httpx.HTTPError, httpx.InvalidURL):
        raise DependencyDown(f"No gateway answers at {base}.") from None
    return Reply(reply.status_code, dict(reply.headers), reply.content)


def token(base: str, credentials: Credentials, *, now: int, jti: str) -> str:
    """An access token of the gateway at this base URL, for tools of the partner's own.

    Raises:
        Unauthenticated: None was given.
        DependencyDown: Nobody answers there.
    """
    base = base.rstrip("/")
    _require_private(base)
    try:
        with httpx.Client(verify=_tls(), timeout=TIMEOUT, trust_env=False) as client:
            return _token(client, base, credentials, now=now, jti=jti)
    except (httpx.HTTPError, httpx.InvalidURL):
        raise DependencyDown(f"No gateway answers at {base}.") from None


def assertion(credentials: Credentials, audience: str, *, now: int, jti: str) -> str:
    """The signed client assertion of SMART Backend Services, with the purpose of use of UDAP's hl7-b2b."""
    key = _private_key(credentials.key)
    claims: dict[str, Any] = {
        "iss": credentials.client,
        "sub": credentials.client,
        "aud": audience,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
        "jti": jti,
    }
    extensions = {name: dict(stated) for name, stated in credentials.extensions.items()}
    if credentials.purpose:
        extensions["hl7-b2b"] = {
            "version": "1", **extensions.get("hl7-b2b", {}), "purpose_of_use": [credentials.purpose],
        }  # fmt: skip
    if extensions:
        claims["extensions"] = extensions
    algorithm = "ES384" if isinstance(key, ECKey) else "RS384"
    header = {"alg": algorithm, "kid": credentials.kid or key.kid or key.thumbprint()}
    return jwt.encode(header, claims, key, algorithms=[algorithm])


def _private_key(text: str) -> RSAKey | ECKey:
    try:
        if text.lstrip().startswith("{"):
            key: object = import_key(orjson.loads(text))
        else:
            native = load_pem_private_key(text.encode(), password=None)
            key = import_key(text, "EC" if isinstance(native, EllipticCurvePrivateKey) else "RSA")
    except (JoseError, ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidElement("This is no private key in PEM or JWK form.") from None
    if not isinstance(key, RSAKey | ECKey) or not key.is_private:
        raise InvalidElement("A private RSA or EC key is needed.")
    return key


def _token(client: httpx.Client, base: str, credentials: Credentials, *, now: int, jti: str) -> str:
    """An access token, from the endpoint that the gateway itself names."""
    found = client.get(f"{base}/.well-known/smart-configuration")
    endpoint = _member(found, "token_endpoint")
    _require_private(endpoint)
    form = {
        "grant_type": "client_credentials",
        "scope": credentials.scope,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion(credentials, endpoint, now=now, jti=jti),
    }
    return _member(client.post(endpoint, data=form), "access_token")


def _member(reply: httpx.Response, name: str) -> str:
    """One member of a JSON answer; the error in it, where there is one."""
    try:
        document = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        document = {}
    if isinstance(document, dict) and isinstance(document.get(name), str):
        return str(document[name])
    told = document.get("error_description") or document.get("error") if isinstance(document, dict) else None
    told = str(told or f"the answer has status {reply.status_code}").rstrip(".")
    raise Unauthenticated(f"No token was given: {told}.")
