"""``POST /icm/cases`` and ``POST /icm/records``: what the programme's own system states of its cases.

A registered client of a programme with the scope ``system/icm``. One statement as JSON is stored or refused as a
whole, with an OperationOutcome that has every error; many, as NDJSON or CSV, are each stored or refused alone, and
the answer has a result for each by its number. Sending the same again stores nothing twice.

``GET /icm/returns``: what was written through FHIR and says something of its cases, for it to state.
"""

from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from fhirgw.api import negotiation
from fhirgw.api.middleware import request_id
from fhirgw.api.negotiation import media_type
from fhirgw.api.smart import Smart
from fhirgw.asks import Requester
from fhirgw.came_back import Returns
from fhirgw.errors import Forbidden, GatewayError, InvalidElement, MalformedMessage, TooLarge, UnsupportedMedia
from fhirgw.icm.statements import CASES, Records, Stated, Statement, rows, stated, statement
from fhirgw.ingest import Ingest
from fhirgw.outcome import operation_outcome
from fhirgw.released import Public, Released
from fhirgw.share import Share
from fhirgw.store.clients import ICM

JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"
DIGITS = 19
"""From so many on a number is none of ours."""


class Cases:
    """The routes."""

    def __init__(self, share: Share, ingest: Ingest, smart: Smart, *, max_bytes: int) -> None:
        """Compose.

        Args:
            share: The only way out.
            ingest: The only way in.
            smart: Reads tokens.
            max_bytes: Cap of one statement, and of a table.
        """
        self._share = share
        self._ingest = ingest
        self._smart = smart
        self._max_bytes = max_bytes

    async def cases(self, request: Request) -> Public:
        """``POST /icm/cases``: cases, whole."""
        return await self._post(request, Statement, CASES)

    async def records(self, request: Request) -> Public:
        """``POST /icm/records``: what changed of cases; of a table, ``?table=contacts`` says of which list."""
        table = dict(negotiation.query(request)).get("table")
        return await self._post(request, Records, table)

    async def returns(self, request: Request) -> Released:
        """``GET /icm/returns``: what came back, in order; ``?after=`` is the last number that is known."""
        requester = await self._requester(request)
        match negotiation.query(request):
            case []:
                number = "0"
            case [("after", number)] if number.isdecimal() and len(number) < DIGITS:
                pass
            case _:
                raise InvalidElement("Returns are asked for after a number.", location="after")
        return await self._share.release(requester, Returns(int(number)))

    async def _post(self, request: Request, kind: type, table: str | None) -> Public:
        programs = await self._programs(request)
        media, _ = media_type(request.headers.get("content-type", ""))
        if media == JSON:
            alone = _expected(statement(await negotiation.body(request, self._max_bytes)), kind)
            stored = await self._ingest.cases.take(alone, programs)
            return _answer({"stored": stored})
        if media == NDJSON:
            read = _lines(request, self._max_bytes)
        elif media == CSV and table:
            read = _rows(table, await negotiation.body(request, self._max_bytes))
        else:
            raise UnsupportedMedia("The body is application/json, application/x-ndjson, or text/csv of a table.")
        results: list[dict[str, Any]] = []
        async for one in read:
            results.append({"number": len(results) + 1, **await self._result(one, kind, programs)})
        return _answer({"results": results})

    async def _programs(self, request: Request) -> frozenset[str] | None:
        """Of which programmes this client may state cases; None: of all."""
        inside = (await self._requester(request)).inside
        return None if inside is None or "*" in inside else inside

    async def _requester(self, request: Request) -> Requester:
        """Who asks, if it speaks for a programme."""
        requester = await self._smart.requester(request, request_id(request.scope))
        request.scope["fhirgw.client"] = requester.client
        if ICM not in requester.scopes or requester.inside is None:
            raise Forbidden(f"This takes a client of the programme with the scope {ICM}.")
        return requester

    async def _result(self, one: Stated, kind: type, programs: frozenset[str] | None) -> dict[str, Any]:
        try:
            if isinstance(one, ExceptionGroup):
                raise one
            return {"stored": await self._ingest.cases.take(_expected(one, kind), programs)}
        except ExceptionGroup as group:
            return {"outcome": operation_outcome(group.exceptions)}
        except GatewayError as error:
            if error.retryable:
                raise  # so will the next be
            return {"outcome": operation_outcome([error])}


def _expected(one: Statement, kind: type) -> Statement:
    """A case where cases are taken, records where records are.

    Raises:
        InvalidElement: The other.
    """
    if isinstance(one.content, Records) != (kind is Records):
        raise InvalidElement("Cases go to /icm/cases, records of cases to /icm/records.", location="case")
    return one


async def _lines(request: Request, cap: int) -> AsyncIterator[Stated]:
    """The statements of NDJSON, as they come."""
    held = b""
    try:
        async for chunk in request.stream():
            *whole, held = (held + chunk).split(b"\n")
            for line in filter(bytes.strip, whole):
                yield stated(line)
            if len(held) > cap:
                raise TooLarge(f"A line is over the limit of {cap} bytes.")
    except ClientDisconnect:
        raise MalformedMessage("The connection ended before the body did.") from None
    if held.strip():
        yield stated(held)


async def _rows(table: str, body: bytes) -> AsyncIterator[Stated]:
    """The statements of a table."""
    try:
        lines = body.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InvalidElement("A table is in UTF-8.") from None
    for one in rows(table, lines):
        yield one


def _answer(result: dict[str, Any]) -> Public:
    return Public(orjson.dumps(result), JSON)
