"""A FHIR server as the harness asks it: politely, one request at a time. What is sent is synthetic.

This is the other module beside ``send`` that speaks HTTP outwards: the harness cannot reach the store (an import
contract holds it), so nothing of a member can go this way.
See: http://hl7.org/fhir/R4/http.html
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any

import httpx
import orjson

from fhirgw.errors import DependencyDown, Unauthenticated
from fhirgw.harness.comparison import Json, read_json
from fhirgw.harness.result import Unmet

FHIR_JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"
TIMEOUT = httpx.Timeout(300.0, connect=20.0)
"""A transaction of a whole case takes a JPA server seconds; a first $validate, half a minute."""
MOST_ATTEMPTS = 6
MOST_WAIT = 60.0
BUSY = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
        resource: The body; None where there is none, or it is no JSON object.
    """

    status: int
    headers: Mapping[str, str]
    resource: Json | None

    @property
    def told(self) -> str:
        """Status and the first issues of an OperationOutcome, for a person."""
        issues = (self.resource or {}).get("issue", [])
        texts = [one.get("diagnostics") or one.get("details", {}).get("text", "") for one in issues]
        return " ".join([f"HTTP {self.status}.", *filter(None, texts[:3])])

    def require(self, *statuses: int) -> Json:
        """The resource of an answer that has one of these statuses; an empty one where there is no body.

        Raises:
            Unmet: It has another.
        """
        if self.status not in statuses:
            raise Unmet(self.told)
        return self.resource or {}


class Target:
    """One server."""

    def __init__(
        self,
        base: str,
        *,
        token: Callable[[], str | None] = lambda: None,
        per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Ask nothing yet.

        Args:
            base: Base URL of its FHIR API.
            token: Gives the access token of a request; None: the server asks for none.
            per_second: Requests a second, at most; None: no limit.
            clock: Seconds.
            sleep: Waits.
        """
        self.base = base.rstrip("/")
        self.requests = 0
        self.waited = 0.0
        self._token = token
        self._interval = 1 / per_second if per_second else 0.0
        self._clock = clock
        self._sleep = sleep
        self._next = clock()
        self._client = httpx.Client(timeout=TIMEOUT, trust_env=False, headers={"User-Agent": "fhirgw-harness"})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        resource: Json | None = None,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; a server that is busy is left alone for as long as it says, a few times.

        Args:
            method: HTTP method.
            path: Below the base, with its query; or a link that the server gave.
            resource: The body.
            form: The fields of a form body instead.
            headers: Further ones.

        Raises:
            DependencyDown: The server does not answer, or stays busy.
            Unmet: A link leads to another server.
        """
        for _ in range(MOST_ATTEMPTS):
            reply = self._once(method, self._url(path), resource, form, dict(headers or {}))
            if reply.status_code not in BUSY:
                return Answer(reply.status_code, dict(reply.headers), _json(reply))
            self._wait(retry_after(reply.headers.get("retry-after"), datetime.now(UTC)))
        raise DependencyDown(f"The server stays busy: HTTP {reply.status_code}, {MOST_ATTEMPTS} times.")

    def pause(self, seconds: float) -> None:
        """Wait between two looks at something that takes its time."""
        self._sleep(seconds)

    def _url(self, path: str) -> str:
        if not path.startswith(("http://", "https://")):
            return f"{self.base}/{path}" if path else self.base
        if not path.startswith((f"{self.base}/", f"{self.base}?")):
            raise Unmet("A link leads to another server than the target.")
        return path

    def _once(
        self,
        method: str,
        url: str,
        resource: Json | None,
        form: Mapping[str, str] | None,
        headers: dict[str, str],
    ) -> httpx.Response:
        self._wait(self._next - self._clock())
        self._next = self._clock() + self._interval
        headers |= {"Accept": FHIR_JSON, "Cache-Control": "no-cache"}
        if token := self._token():
            headers["Authorization"] = f"Bearer {token}"
        if resource is not None:
            headers.setdefault("Content-Type", FHIR_JSON)
        self.requests += 1
        try:
            content = orjson.dumps(resource) if resource is not None else None
            return self._client.request(method, url, content=content, data=form, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DependencyDown(f"The server does not answer: {type(error).__name__}.") from None

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self.waited += seconds
            self._sleep(seconds)


def is_here(base: str) -> bool:
    """Whether a base URL is of this machine."""
    host = httpx.URL(base).host
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def retry_after(value: str | None, now: datetime) -> float:
    """The seconds of a Retry-After header, of either form (RFC 9110 §10.2.3), within reason; else 5."""
    try:
        if value is None:
            asked = 5.0
        elif value.strip().isdigit():
            asked = float(value)
        else:
            asked = (parsedate_to_datetime(value) - now).total_seconds()
    except (TypeError, ValueError):
        asked = 5.0
    return min(max(asked, 0.0), MOST_WAIT)


def _json(reply: httpx.Response) -> Json | None:
    try:
        found: Any = read_json(reply.content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class Offers:
    """What a server says that it offers: its CapabilityStatement."""

    def __init__(self, statement: Json) -> None:
        """Of a CapabilityStatement."""
        rest: Json = next(iter(statement.get("rest", [])), {})
        self._types: dict[str, Json] = {one["type"]: one for one in rest.get("resource", [])}
        self._system = {one["code"] for one in rest.get("interaction", [])}
        self._operations = {one["name"].lstrip("$") for one in rest.get("operation", [])}
        software = statement.get("software", {})
        self.software = " ".join(filter(None, [software.get("name"), software.get("version")])) or "unnamed"
        self.fhir = statement.get("fhirVersion")

    @classmethod
    def ask(cls, target: Target) -> "Offers":
        """As the target states it.

        Raises:
            DependencyDown: There is no FHIR server.
            Unauthenticated: It wants a token for that.
        """
        answer = target.request("GET", "metadata")
        if answer.status in (401, 403):
            raise Unauthenticated(f"The server lets nobody in without a token: {answer.told}")
        statement = answer.resource or {}
        if statement.get("resourceType") != "CapabilityStatement":
            raise DependencyDown(f"No FHIR server answers at {target.base}: HTTP {answer.status}.")
        return cls(statement)

    @property
    def has_transactions(self) -> bool:
        """Whether a transaction Bundle may be posted."""
        return "transaction" in self._system

    @property
    def deletes(self) -> bool:
        """Whether what is written can be removed again."""
        return self.interaction("Patient", "delete")

    def interaction(self, kind: str, code: str) -> bool:
        """Whether a type has an interaction."""
        return any(one["code"] == code for one in self._types.get(kind, {}).get("interaction", []))

    def conditional(self, kind: str, what: str) -> bool:
        """``conditionalCreate``, ``conditionalUpdate`` or ``conditionalDelete`` of a type."""
        return self._types.get(kind, {}).get(what, False) not in (False, "not-supported")

    def operation(self, kind: str, name: str) -> bool:
        """Whether a type has an operation."""
        return name in self._operations or any(
            one["name"].lstrip("$") == name for one in self._types.get(kind, {}).get("operation", [])
        )
