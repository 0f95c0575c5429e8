"""An upstream FHIR server as the mirror speaks with it: politely, one request at a time.

See: http://hl7.org/fhir/R4/http.html#transaction and #concurrency.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from fhirgw.errors import DependencyDown, GatewayError
from fhirgw.released import Released
from fhirgw.send import Credentials, Reply, expunge, fetch, hand_over, token
from fhirgw.store.mirror import Key

BUSY = frozenset({429, 502, 503, 504})
SHUT = frozenset({401, 403})
GONE = frozenset({404, 410})
MOST_WAIT = 3600.0
TOKEN_SECONDS = 240
SNAPSHOT = {"X-Meta-Snapshot-Mode": "PROFILE,SECURITY_LABEL,TAG"}
"""A JPA server of HAPI would keep labels and profiles of the version before."""
FRESH = {"Cache-Control": "no-cache"}
_PER_SEARCH = 50


class LeaveAloneError(Exception):
    """The server does not answer, is busy, or lets us in no more: nothing is wrong with what is sent.

    Attributes:
        seconds: For how long it asks to be left alone; None: it does not say.
    """

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Access:
    """How the gateway signs in.

    Attributes:
        bearer: A fixed access token; None: none.
        credentials: Of SMART Backend Services, where the server asks for them.
        seconds: The clock, for those.
        new_id: Fresh ids, for those.
    """

    bearer: str | None = None
    credentials: Credentials | None = None
    seconds: Callable[[], int] = lambda: 0
    new_id: Callable[[], str] = str


@dataclass(frozen=True, slots=True)
class Taken:
    """What the server says of a transaction.

    Attributes:
        status: HTTP status.
        versions: Of each entry, the version it has now; None: it has none, or the entry was not taken.
        refused: Places of the entries that were not taken.
        codes: Issue codes of its outcome; its words could hold content.
    """

    status: int
    versions: Sequence[str | None] = ()
    refused: frozenset[int] = frozenset()
    codes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every entry was taken."""
        return 200 <= self.status < 300 and not self.refused

    def version(self, at: int) -> str | None:
        """Of the entry at this place."""
        return self.versions[at] if at < len(self.versions) else None

    @property
    def error(self) -> str:
        """For the operator, without a word of content."""
        part = f"{len(self.refused)} of {len(self.versions)} entries refused" if self.versions else ""
        return " ".join(filter(None, [f"HTTP {self.status}", part, *self.codes]))


class Server:
    """One upstream server."""

    def __init__(self, base: str, access: Access) -> None:
        """Ask nothing yet; ``base`` is the base URL of its FHIR API."""
        self.base = base.rstrip("/")
        self._access = access
        self._token: tuple[str, int] | None = None
        self._expunges: bool | None = None

    async def transact(self, released: Released, request_id: str, still: Callable[[], bool]) -> Taken:
        """Hand a transaction over.

        Raises:
            LeaveAloneError: The server is not to be asked now.
            RecalledError: It may not go any more.
        """
        headers = {"X-Request-Id": request_id, "Prefer": "return=minimal", **SNAPSHOT, **await self._signed()}
        reply = self._heard(await self._ask(hand_over(self.base, released, headers=headers, still=still)))
        found = _json(reply)
        if reply.status >= 500:  # of this transaction, or of every one?
            await self.require_answer()
        if not 200 <= reply.status < 300:
            return Taken(reply.status, codes=_codes(found))
        answers = [one.get("response", {}) for one in found.get("entry", [])]
        refused = frozenset(at for at, one in enumerate(answers) if not str(one.get("status", "2")).startswith("2"))
        return Taken(reply.status, [_version(one) for one in answers], refused)

    async def require_answer(self) -> None:
        """Ask whether a FHIR server answers, and takes us in; nothing of a member is in the question.

        Raises:
            LeaveAloneError: It does not.
        """
        reply = self._heard(await self._ask(fetch(f"{self.base}/metadata", headers=await self._signed())))
        statement = _json(reply)
        if statement.get("resourceType") != "CapabilityStatement":
            raise LeaveAloneError("No FHIR server answers.")
        self._expunges = _offers_expunge(statement)

    async def expunges(self) -> bool:
        """Whether it says that it can forget older versions."""
        if self._expunges is None:
            await self.require_answer()
        return bool(self._expunges)

    async def expunge(self, key: Key) -> bool:
        """Have it forget the older versions of a resource; whether it did."""
        url = f"{self.base}/{key[0]}/{key[1]}/$expunge"
        headers = await self._signed()
        reply = self._heard(await self._ask(hand_over(url, expunge(), headers=headers, still=lambda: True)))
        return 200 <= reply.status < 300

    async def get(self, url: str) -> dict[str, Any]:
        """A resource or Bundle of this server.

        Raises:
            LeaveAloneError: It does not give it.
        """
        reply = self._heard(await self._ask(fetch(url, headers=FRESH | await self._signed())))
        if not 200 <= reply.status < 300:
            raise LeaveAloneError(f"A request is answered with HTTP {reply.status}.")
        return _json(reply)

    async def read(self, key: Key) -> dict[str, Any] | None:
        """What it holds under an id of ours; None: nothing."""
        url = f"{self.base}/{key[0]}/{key[1]}"
        reply = self._heard(await self._ask(fetch(url, headers=FRESH | await self._signed())))
        if reply.status in GONE:
            return None
        if reply.status >= 300:
            raise LeaveAloneError(f"A read is answered with HTTP {reply.status}.")
        return _json(reply)

    async def versions(self, kind: str, ids: Sequence[str]) -> dict[str, str]:
        """The current versions of those of these resources that it holds, by id."""
        found: dict[str, str] = {}
        for start in range(0, len(ids), _PER_SEARCH):
            some = ids[start : start + _PER_SEARCH]
            url = f"{self.base}/{kind}?_id={','.join(some)}&_count={len(some)}"
            for entry in (await self.get(url)).get("entry", []):
                one = entry["resource"]
                found[one["id"]] = one.get("meta", {}).get("versionId", "")
        return found

    async def _ask(self, asked: Any) -> Reply:
        try:
            reply: Reply = await asked
        except DependencyDown as error:
            raise LeaveAloneError(error.text) from None
        return reply

    def _heard(self, reply: Reply) -> Reply:
        """An answer that says something of what was sent, and not of the server.

        Raises:
            LeaveAloneError: It says something of the server.
        """
        headers = {name.lower(): value for name, value in reply.headers.items()}
        if reply.status in BUSY:
            raise LeaveAloneError(f"HTTP {reply.status}", _seconds(headers.get("retry-after")))
        if reply.status in SHUT:
            self._token = None
            raise LeaveAloneError(f"HTTP {reply.status}: it does not let us in.")
        return reply

    async def _signed(self) -> dict[str, str]:
        access = self._access
        if access.credentials is None:
            return {"Authorization": f"Bearer {access.bearer}"} if access.bearer else {}
        now = access.seconds()
        if self._token is None or self._token[1] <= now:
            try:
                fresh = await asyncio.to_thread(token, self.base, access.credentials, now=now, jti=access.new_id())
            except GatewayError as error:
                raise LeaveAloneError(error.text) from None
            self._token = (fresh, now + TOKEN_SECONDS)
        return {"Authorization": f"Bearer {self._token[0]}"}


def _seconds(value: str | None) -> float | None:
    """The seconds of a Retry-After, of either form (RFC 9110 §10.2.3)."""
    if value is None:
        return None
    try:
        asked = (
            float(value)
            if value.strip().isdigit()
            else (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        )
    except (TypeError, ValueError):
        return None
    return min(max(asked, 0.0), MOST_WAIT)


def _json(reply: Reply) -> dict[str, Any]:
    try:
        found = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _codes(outcome: dict[str, Any]) -> tuple[str, ...]:
    return tuple(sorted({str(one.get("code")) for one in outcome.get("issue", [])}))[:3]


def _version(response: dict[str, Any]) -> str | None:
    """Which version an entry has now: its ETag, or else the end of its location."""
    if etag := response.get("etag"):
        return str(etag).removeprefix("W/").strip('"') or None
    _, found, version = str(response.get("location", "")).rpartition("/_history/")
    return version if found else None


def _offers_expunge(statement: dict[str, Any]) -> bool:
    rest: dict[str, Any] = next(iter(statement.get("rest", [])), {})
    named = [rest, *rest.get("resource", [])]
    return any(one.get("name", "").lstrip("$") == "expunge" for each in named for one in each.get("operation", []))
