"""What every exchange has, whatever the route: request id, constant headers, a log line, a last resort.

Pure ASGI: ``BaseHTTPMiddleware`` costs two thirds of the throughput (DESIGN §8).
"""

import time
import traceback
from collections.abc import Callable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fhirgw import metrics
from fhirgw.errors import GatewayError
from fhirgw.send import error_answer, respond

log = structlog.get_logger(__name__)

NOTICE_HEADER = "X-Consent-Notice"
NOTICE = "Answers are released under consent and may be incomplete."
"""On everything under /fhir, found or not: it is a function of the path, so that it marks no place."""

CONSTANT = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"


def request_id(scope: Scope) -> str:
    """The ``X-Request-Id`` of this exchange: always our own, a caller's would write into our log."""
    return str(scope["fhirgw.request_id"])


class Edge:
    """The outermost layer. INVARIANT: an answer leaves whole, with its constant headers, or as a constant 500."""

    def __init__(self, app: ASGIApp, ids: Callable[[], str]) -> None:
        """Wrap the application.

        Args:
            app: The routes.
            ids: Fresh opaque request ids.
        """
        self._app = app
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One exchange."""
        if scope["type"] == "http":
            await _Exchange(self._app, scope, self._ids(), send).run(receive)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await self._app(scope, receive, send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, app: ASGIApp, scope: Scope, identity: str, send: Send) -> None:
        scope["fhirgw.request_id"] = identity
        self._app = app
        self._scope = scope
        self._id = identity
        self._send = send
        self._status: int | None = None

    async def run(self, receive: Receive) -> None:
        started = time.perf_counter()
        try:
            await self._app(self._scope, receive, self._transmit)
        except Exception as error:  # noqa: BLE001 - whatever failed, nothing of it may leave (leak 46)
            log_failure(error, self._id)
            if self._status is None:
                await respond(error_answer(error, self._id))(self._scope, receive, self._transmit)
        finally:
            self._account(time.perf_counter() - started)

    async def _transmit(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = [pair for pair in message["headers"] if pair[0].lower() != b"x-request-id"]
            message = {**message, "headers": [*headers, *self._headers()]}
        elif self._scope["method"] == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-request-id", self._id.encode()), *CONSTANT]
        if self._scope["path"].startswith("/fhir"):
            headers.append((NOTICE_HEADER.lower().encode(), NOTICE.encode()))
        return headers

    def _account(self, seconds: float) -> None:
        """Count and log. INVARIANT: the template of the route, never its path or query (leaks 35, 36)."""
        route = self._scope.get("fhirgw.route", UNMATCHED)
        method = self._scope["method"] if self._scope["method"] in METHODS else "other"
        metrics.requests.labels(route, method, str(self._status)).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        log.info(
            "http",
            request_id=self._id,
            method=method,
            route=route,
            status=self._status,
            client=self._scope.get("fhirgw.client"),
            milliseconds=round(seconds * 1000, 1),
        )


def log_failure(error: Exception, identity: str) -> None:
    """Where it failed, by class and line; never an exception's text, which may quote what it choked on.

    What the caller did wrong, or asked in vain, is in the log of the exchange already.
    """
    if isinstance(error, GatewayError) and error.http < 500:
        return
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
    log.error("http failed", request_id=identity, error=type(error).__name__, where=where)
