"""The FHIR interactions: who asks, may its scope, what does it ask; then ``share`` or ``ingest`` does it.

The order is the same on every route: a known type (static, the same for everybody) ► authentication ► scope ► the
rest of the request. Nothing is looked up about a patient before the scope has let the client in.
See: FHIR R4 http.html.
"""

from dataclasses import dataclass

from starlette.requests import Request

from fhirgw.api import negotiation
from fhirgw.api.middleware import request_id
from fhirgw.api.negotiation import LOGICAL_ID
from fhirgw.api.operations import (
    PRESENTATIONS,
    disclosures_asked,
    document_asked,
    document_pairs,
    match_asked,
    validation_asked,
)
from fhirgw.api.smart import Smart
from fhirgw.asks import History, NextPage, Read, Requester, Search, VRead
from fhirgw.errors import Forbidden, InvalidElement, NotFound, NotSupported
from fhirgw.ingest import Ingest, Written
from fhirgw.profiles import definitions
from fhirgw.profiles.validation import errors, problems
from fhirgw.released import Public, Released
from fhirgw.send import done, judged, nothing
from fhirgw.share import Share
from fhirgw.store.clients import scope_allows


@dataclass(frozen=True, slots=True)
class Saved:
    """What a create or update is answered with: the resource as the requester may read it, where it is."""

    answer: Released | Public
    status: int
    location: str


class Interactions:
    """The routes under ``/fhir``."""

    def __init__(self, share: Share, ingest: Ingest, smart: Smart, *, base: str, max_bytes: int) -> None:
        """Compose.

        Args:
            share: The only way out.
            ingest: The only way in.
            smart: Reads tokens.
            base: Base URL, for Location.
            max_bytes: Cap of a body.
        """
        self._share = share
        self._ingest = ingest
        self._smart = smart
        self._base = base
        self._max_bytes = max_bytes
        self._types = definitions.resource_types()

    # --- out ------------------------------------------------------------------------------------------------------

    async def read(self, request: Request) -> Released:
        """``GET /fhir/{type}/{id}``."""
        requester = await self._admitted(request, "r")
        negotiation.require_json(request)
        return await self._share.release(requester, Read(_type(request), _id(request, "id")))

    async def vread(self, request: Request) -> Released:
        """``GET /fhir/{type}/{id}/_history/{vid}``."""
        requester = await self._admitted(request, "r")
        negotiation.require_json(request)
        ask = VRead(_type(request), _id(request, "id"), _id(request, "vid"))
        return await self._share.release(requester, ask)

    async def history_instance(self, request: Request) -> Released:
        """``GET /fhir/{type}/{id}/_history``."""
        requester = await self._admitted(request, "r")
        negotiation.require_json(request)
        asked = negotiation.search_parameters(negotiation.query(request))
        return await self._share.release(requester, History(_type(request), _id(request, "id"), asked))

    async def history_type(self, request: Request) -> Released:
        """``GET /fhir/{type}/_history``."""
        requester = await self._admitted(request, "s")
        negotiation.require_json(request)
        asked = negotiation.search_parameters(negotiation.query(request))
        return await self._share.release(requester, History(_type(request), None, asked))

    async def search(self, request: Request) -> Released:
        """``GET /fhir/{type}?…``."""
        requester = await self._admitted(request, "s")
        return await self._search(request, requester, negotiation.query(request), by_post=False)

    async def search_by_post(self, request: Request) -> Released:
        """``POST /fhir/{type}/_search``: parameters of the body and of the URL count alike."""
        requester = await self._admitted(request, "s")
        typed = await negotiation.form(request, self._max_bytes)
        return await self._search(request, requester, negotiation.query(request) + typed, by_post=True)

    async def page(self, request: Request) -> Released:
        """``GET /fhir?_page=…``: a link of an earlier answer. ``share`` knows the type, and asks the scope."""
        requester = await self._identified(request)
        negotiation.require_json(request)
        match negotiation.search_parameters(negotiation.query(request)):
            case (("_page", token),):
                return await self._share.release(requester, NextPage(token))
            case ():
                raise NotSupported("A search names a resource type.")
            case _:
                raise InvalidElement("A page link has the parameter _page alone.")

    async def _search(
        self, request: Request, requester: Requester, pairs: negotiation.Parameters, *, by_post: bool
    ) -> Released:
        negotiation.require_json(request)
        strict = negotiation.handling_is_strict(request)
        asked = negotiation.search_parameters(pairs)
        return await self._share.release(requester, Search(_type(request), asked, strict=strict, by_post=by_post))

    async def match(self, request: Request) -> Released:
        """``POST /fhir/Patient/$match``: the same question whoever asks, about those whom the asker may see."""
        requester = await self._identified(request)
        if not scope_allows(requester.scopes, "Patient", "s"):
            raise Forbidden("The scope of this token does not cover this interaction.")
        negotiation.require_json(request)
        parameters = await negotiation.resource(request, ("Parameters",), self._max_bytes)
        return await self._share.release(requester, match_asked(parameters))

    async def document(self, request: Request) -> Released:
        """``GET`` or ``POST /fhir/CarePlan/{id}/$document``: a Bundle, HTML or PDF."""
        requester = await self._identified(request)
        if not scope_allows(requester.scopes, "CarePlan", "r"):
            raise Forbidden("The scope of this token does not cover this interaction.")
        stated: negotiation.Parameters = ()
        if request.method == "POST" and "content-type" in request.headers:
            stated = document_pairs(await negotiation.resource(request, ("Parameters",), self._max_bytes))
        presentation, pairs = _printed(request, stated)
        return await self._share.release(requester, document_asked(_id(request, "id"), presentation, pairs))

    async def disclosures(self, request: Request) -> Released:
        """``GET /fhir/Patient/{id}/$disclosures``: a Bundle, HTML or PDF; for the programme's own staff."""
        requester = await self._identified(request)
        if not scope_allows(requester.scopes, "AuditEvent", "r"):
            raise Forbidden("The scope of this token does not cover this interaction.")
        presentation, pairs = _printed(request)
        return await self._share.release(requester, disclosures_asked(_id(request, "id"), presentation, pairs))

    # --- in -------------------------------------------------------------------------------------------------------

    async def create(self, request: Request) -> Saved:
        """``POST /fhir/{type}``; an id in the body is ignored, as http.html asks."""
        requester = await self._admitted(request, "c")
        resource = await self._resource(request)
        resource.pop("id", None)
        return await self._saved(
            requester, await self._ingest.resources.write(requester, resource, id=None, if_match=None)
        )

    async def update(self, request: Request) -> Saved:
        """``PUT /fhir/{type}/{id}``, with If-Match where the client wants to be sure."""
        requester = await self._admitted(request, "u")
        resource = await self._resource(request)
        logical = request.path_params["id"]
        if not LOGICAL_ID.fullmatch(logical):
            raise InvalidElement("An id is 1 to 64 letters, digits, - and .", location="id")
        if resource.get("id") != logical:
            raise InvalidElement("The id in the body is not that of the URL.", location="id")
        if_match = request.headers.get("if-match")
        written = await self._ingest.resources.write(requester, resource, id=logical, if_match=if_match)
        return await self._saved(requester, written)

    async def delete(self, request: Request) -> Public:
        """``DELETE /fhir/{type}/{id}``, with If-Match where the client wants to be sure."""
        requester = await self._admitted(request, "d")
        negotiation.require_unconditional(request)
        if_match = request.headers.get("if-match")
        logical = _id(request, "id")
        return done(await self._ingest.resources.delete(requester, _type(request), logical, if_match=if_match))

    async def validate(self, request: Request) -> Public:
        """``POST /fhir/{type}/$validate``: nothing is kept of it."""
        kind = _type(request)
        if kind not in self._types:
            raise NotFound
        await self._identified(request)
        negotiation.require_json(request)
        body = await negotiation.resource(request, (kind, "Parameters"), self._max_bytes)
        return judged(errors(problems(validation_asked(kind, body))))

    async def _resource(self, request: Request) -> negotiation.Json:
        negotiation.require_json(request)
        negotiation.require_unconditional(request)
        return await negotiation.resource(request, (_type(request),), self._max_bytes)

    async def _saved(self, requester: Requester, written: Written) -> Saved:
        """It is written; what the client may read of it comes back, which may be nothing."""
        status = 201 if written.created else 200
        location = f"{self._base}/{written.type}/{written.id}"
        unseen = Saved(nothing(), status, location)
        if not scope_allows(requester.scopes, written.type, "r"):
            return unseen
        try:
            released = await self._share.release(requester, Read(written.type, written.id))
        except NotFound:
            return unseen
        version = released.headers.get("ETag", "").removeprefix("W/").strip('"')
        return Saved(released, status, f"{location}/_history/{version}")

    # --- who ------------------------------------------------------------------------------------------------------

    async def _admitted(self, request: Request, action: str) -> Requester:
        """Who asks, if its scope lets it do this to this type."""
        kind = _type(request)
        if kind not in self._types:
            raise NotFound
        requester = await self._identified(request)
        if not scope_allows(requester.scopes, kind, action):
            raise Forbidden("The scope of this token does not cover this interaction.")
        return requester

    async def _identified(self, request: Request) -> Requester:
        requester = await self._smart.requester(request, request_id(request.scope))
        request.scope["fhirgw.client"] = requester.client
        return requester


def _printed(request: Request, stated: negotiation.Parameters = ()) -> tuple[str, dict[str, str]]:
    """How a document is wanted, and the parameters of the operation: of the URL and of the body."""
    presentation = negotiation.presentation(request, PRESENTATIONS)
    asked = (*negotiation.search_parameters(negotiation.query(request)), *stated)
    if len(asked) > len(dict(asked)):
        raise InvalidElement("Every parameter is given once.")
    return presentation, dict(asked)


def _type(request: Request) -> str:
    return str(request.path_params["type"])


def _id(request: Request, name: str) -> str:
    """An id of the path; one that no resource can have is that of none."""
    value = str(request.path_params[name])
    if not LOGICAL_ID.fullmatch(value):
        raise NotFound
    return value
