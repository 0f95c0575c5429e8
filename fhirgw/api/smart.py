"""SMART Backend Services: a client signs an assertion, gets a token, and is who its registration says.

Purpose of use comes from the signed assertion, else from the client's single registered default: never from a
header or the query. Whatever is absent denies (leak 45).
See: SMART App Launch 2.2, backend-services and client-confidential-asymmetric; RFC 7523; RFC 6749 §5.2;
UDAP Security 1.0, B2B Authorization Extension Object; for emergencies ``fhirgw.emergency``.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, TypeGuard

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.jws import extract_compact
from starlette.requests import Request

from fhirgw import emergency
from fhirgw.api.negotiation import form
from fhirgw.asks import Requester
from fhirgw.emergency import Claim
from fhirgw.errors import Forbidden, GatewayError, Unauthenticated
from fhirgw.released import Public
from fhirgw.share import Share
from fhirgw.store import clients
from fhirgw.store.clients import Client, scopes_meet
from fhirgw.store.database import Database

ALGORITHMS = ("RS384", "ES384")
SIGNED_WITH = "HS384"
ACCESS_TYPE = "at+jwt"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 300
SKEW_SECONDS = 5
"""How far a client's clock may be ahead of ours. An assertion that has expired has no such grace."""
FORM_BYTES = 64 * 1024
JTI_LENGTH = 256
KEPT_TOKENS = 1024
SECOND = 1_000_000
PURPOSE_CODE = re.compile(
    r"(?:(?:urn:oid:2\.16\.840\.1\.113883\.5\.8|http://terminology\.hl7\.org/CodeSystem/v3-ActReason)[#|])?"
    r"([A-Z][A-Z0-9]{0,31})",
    re.ASCII,
)

_meet = lru_cache(maxsize=KEPT_TOKENS)(scopes_meet)


class _RefusedError(Exception):
    """A token request that is refused, in the words of RFC 6749 §5.2."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class _Grant:
    """What an access token says."""

    client: str
    purpose: str
    scopes: tuple[str, ...]
    expires: float
    claim: Claim | None = None


class Smart:
    """The token endpoint, and the reading of the tokens it gave."""

    def __init__(
        self,
        database: Database,
        share: Share,
        *,
        audience: str,
        token_url: str,
        key: bytes,
        token_seconds: int,
        clock: Callable[[], int],
        ids: Callable[[], str],
    ) -> None:
        """Compose.

        Args:
            database: Where the clients and the used assertions are.
            share: Documents emergency claims.
            audience: Base URL of the FHIR API: what a token is good for.
            token_url: What an assertion is good for.
            key: 48 bytes or more; signs tokens.
            token_seconds: Life of a token.
            clock: Microseconds since the epoch.
            ids: Fresh opaque ids.
        """
        self._database = database
        self._share = share
        self._audience = audience
        self._token_url = token_url
        self._key = OctKey.import_key(key)
        self._token_seconds = token_seconds
        self._clock = clock
        self._ids = ids
        self._read: dict[str, _Grant] = {}

    # --- giving tokens --------------------------------------------------------------------------------------------

    async def token(self, request: Request) -> Public:
        """``POST /auth/token``: a token, or an OAuth error, which tells nothing to who did not prove a client."""
        try:
            return await self._token(await form(request, FORM_BYTES))
        except _RefusedError as refused:
            return _refusal(refused.code, refused.text)
        except GatewayError as error:
            if error.http >= 500:
                raise
            return _refusal("invalid_request", error.text, status=error.http)

    async def _token(self, pairs: tuple[tuple[str, str], ...]) -> Public:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise _RefusedError("invalid_request", "A parameter is given more than once.")
        if fields.get("grant_type") != "client_credentials":
            raise _RefusedError("unsupported_grant_type", "The grant type is client_credentials.")
        if fields.get("client_assertion_type") != ASSERTION_TYPE:
            raise _RefusedError("invalid_client", f"The client_assertion_type is {ASSERTION_TYPE}.")
        client, claims = await self._authenticated(fields.get("client_assertion", ""))
        if fields.get("client_id", client.id) != client.id:
            raise _RefusedError("invalid_client", "The client_id is not that of the assertion.")
        purpose = _purpose(claims, client)
        scopes = scopes_meet(fields.get("scope", "").split(), client.scopes)
        if not scopes:
            raise _RefusedError("invalid_scope", "None of these scopes is registered for this client.")
        identity, seconds = self._ids(), self._token_seconds
        claim = self._claim(claims, client, purpose, identity)
        if claim is not None:
            seconds = self._share.consent.break_glass_minutes * 60
            await self._share.claimed(_requester(client, purpose, scopes, identity, claim))
        return self._given(_Grant(client.id, purpose, scopes, self._clock() // SECOND + seconds, claim), identity)

    def _claim(self, claims: Mapping[str, Any], client: Client, purpose: str, identity: str) -> Claim | None:
        """The emergency that the assertion claims. Whoever it is about, what is refused here is refused alike."""
        try:
            claim = emergency.read(claims.get("extensions", {}), id=identity, now=self._clock())
        except Forbidden as error:
            raise _RefusedError("invalid_grant", error.text) from None
        if claim is None:
            return None
        if not client.emergency:
            raise _RefusedError("invalid_grant", "This client is not registered for claiming emergencies.")
        if not emergency.is_purpose(purpose):
            raise _RefusedError("invalid_grant", "An emergency is claimed for the purpose ETREAT or BTG.")
        return claim

    async def _authenticated(self, assertion: str) -> tuple[Client, Mapping[str, Any]]:
        """The client that signed the assertion; the assertion is used up."""
        unknown = _RefusedError(
            "invalid_client", "No registered key of a registered client has signed this assertion."
        )
        try:
            envelope = extract_compact(assertion.encode())
            header, issuer = envelope.headers(), orjson.loads(envelope.payload)["iss"]
        except (JoseError, KeyError, RecursionError, TypeError, ValueError):
            raise unknown from None
        if header.get("alg") not in ALGORITHMS:
            raise _RefusedError("invalid_client", "Assertions are signed with RS384 or ES384.")
        client = await self._client(issuer) if isinstance(issuer, str) else None
        if client is None or client.revoked:
            raise unknown
        try:
            key = next(key for key in client.keys().keys if key.kid == header.get("kid"))
            claims = jwt.decode(assertion, key, algorithms=ALGORITHMS).claims
        except (JoseError, RecursionError, StopIteration, ValueError):
            raise unknown from None
        expires = self._require_fresh(claims, client)
        if not await self._database.write(
            lambda tx: clients.use_assertion(tx, client.id, claims["jti"], expires), urgent=True
        ):
            raise _RefusedError("invalid_client", "This assertion was used before: each needs a jti of its own.")
        return client, claims

    def _require_fresh(self, claims: Mapping[str, Any], client: Client) -> int:
        """The assertion is about its signer, for us, and for now; when it expires, in microseconds."""
        now = self._clock() / SECOND
        expires, jti = claims.get("exp"), claims.get("jti")
        if claims.get("iss") != client.id or claims.get("sub") != client.id:
            raise _RefusedError("invalid_client", "The iss and sub of the assertion are the client id.")
        if claims.get("aud") not in (self._token_url, [self._token_url]):
            raise _RefusedError("invalid_client", f"The aud of the assertion is {self._token_url} alone.")
        if not _is_time(expires) or not now < expires <= now + ASSERTION_SECONDS + SKEW_SECONDS:
            raise _RefusedError("invalid_client", "The exp of the assertion is in the next five minutes.")
        for name in ("iat", "nbf"):
            if name in claims and not (_is_time(claims[name]) and claims[name] <= now + SKEW_SECONDS):
                raise _RefusedError("invalid_client", f"The {name} of the assertion is in the future.")
        if not isinstance(jti, str) or not 0 < len(jti) <= JTI_LENGTH:
            raise _RefusedError("invalid_client", f"The jti of the assertion has 1 to {JTI_LENGTH} characters.")
        return int(expires * SECOND)

    def _given(self, grant: _Grant, identity: str) -> Public:
        now = self._clock() // SECOND
        claims = {
            "iss": self._audience,
            "aud": self._audience,
            "sub": grant.client,
            "purpose": grant.purpose,
            "scope": " ".join(grant.scopes),
            "iat": now,
            "exp": int(grant.expires),
            "jti": identity,
        }
        if grant.claim is not None:
            claims["emergency"] = asdict(grant.claim)
        header = {"alg": SIGNED_WITH, "typ": ACCESS_TYPE}
        answer = {
            "access_token": jwt.encode(header, claims, self._key, algorithms=[SIGNED_WITH]),
            "token_type": "bearer",
            "expires_in": int(grant.expires) - now,
            "scope": claims["scope"],
        }
        return Public(orjson.dumps(answer), "application/json", 200, {"Pragma": "no-cache"})

    # --- reading tokens -------------------------------------------------------------------------------------------

    async def requester(self, request: Request, request_id: str) -> Requester:
        """Who asks. The registration is read anew: a revoked client's token stops with the revocation.

        Raises:
            Unauthenticated: No token, or one that does not count any more.
        """
        grant = self._grant(_bearer(request))
        client = await self._client(grant.client)
        if client is None or client.revoked or grant.purpose not in client.purposes:
            raise _not_valid()
        if grant.claim is not None and not client.emergency:
            raise _not_valid()
        return _requester(client, grant.purpose, _meet(grant.scopes, client.scopes), request_id, grant.claim)

    def _grant(self, token: str) -> _Grant:
        grant = self._read.get(token) or self._verified(token)
        if grant.expires <= self._clock() / SECOND:
            self._read.pop(token, None)
            raise _not_valid()
        if token not in self._read:
            if len(self._read) >= KEPT_TOKENS:
                self._read.clear()
            self._read[token] = grant
        return grant

    def _verified(self, token: str) -> _Grant:
        try:
            read = jwt.decode(token, self._key, algorithms=[SIGNED_WITH])
            claims = read.claims
            if read.header.get("typ") != ACCESS_TYPE or claims["aud"] != self._audience:
                raise _not_valid()
            scopes = tuple(claims["scope"].split())
            claim = Claim(**claims["emergency"]) if "emergency" in claims else None
            return _Grant(claims["sub"], claims["purpose"], scopes, float(claims["exp"]), claim)
        except (JoseError, KeyError, RecursionError, TypeError, ValueError, AttributeError):
            raise _not_valid() from None

    async def _client(self, client: str) -> Client | None:
        return await asyncio.to_thread(self._find, client)

    def _find(self, client: str) -> Client | None:
        with self._database.read() as connection:
            return clients.find(connection, client)


def _requester(
    client: Client, purpose: str, scopes: tuple[str, ...], request_id: str, claim: Claim | None
) -> Requester:
    return Requester(
        client=client.id,
        organization=client.organization,
        purpose=purpose,
        scopes=scopes,
        inside=client.inside,
        request_id=request_id,
        emergency=claim,
    )


def _not_valid() -> Unauthenticated:
    return Unauthenticated("A valid access token is needed.")


def _bearer(request: Request) -> str:
    """The token of the one Authorization header. A token in the URL would be in logs: it is not looked for."""
    headers = request.headers.getlist("authorization")
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise _not_valid()
    return token.strip()


def _is_time(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 40


def _purpose(claims: Mapping[str, Any], client: Client) -> str:
    """The one purpose of use of this token, by the signed assertion or by the registration.

    ``extensions.hl7-b2b.purpose_of_use`` holds one v3-ActReason code, bare or as ``system#code``.
    """
    extensions = claims.get("extensions", {})
    b2b = extensions.get("hl7-b2b", {}) if isinstance(extensions, dict) else None
    if not isinstance(b2b, dict):
        raise _RefusedError("invalid_request", "The hl7-b2b extension of the assertion cannot be read.")
    named = b2b.get("purpose_of_use", [])
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or len(named) > 1:
        raise _RefusedError("invalid_request", "A token serves exactly one purpose of use.")
    if not named:
        if len(client.purposes) != 1:
            raise _RefusedError(
                "invalid_request", "The assertion names no purpose of use, and there is no default."
            )
        return client.purposes[0]
    code = PURPOSE_CODE.fullmatch(named[0]) if isinstance(named[0], str) else None
    if code is None or code[1] not in client.purposes:
        raise _RefusedError("invalid_grant", "This purpose of use is not registered for this client.")
    return code[1]


def _refusal(code: str, text: str, *, status: int | None = None) -> Public:
    """An OAuth error (RFC 6749 §5.2)."""
    failed = code == "invalid_client"
    headers = {"WWW-Authenticate": 'Bearer realm="fhirgw"'} if failed else {}
    body = orjson.dumps({"error": code, "error_description": text})
    return Public(body, "application/json", status or (401 if failed else 400), headers)
