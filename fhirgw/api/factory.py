"""The HTTP application: which path is answered by what.

``EXITS`` says for every route how its answer is made. A route that is not in it does not pass the tests: whoever
adds a way out has to say that it goes through ``share``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fhirgw.api import negotiation
from fhirgw.api.consult import Consultations
from fhirgw.api.fhir import Interactions, Saved
from fhirgw.api.health import Health
from fhirgw.api.hl7v2 import Feeds, Hl7v2
from fhirgw.api.icm import Cases
from fhirgw.api.metadata import capability_statement, smart_configuration
from fhirgw.api.middleware import Edge, log_failure, request_id
from fhirgw.api.smart import Smart
from fhirgw.errors import NotFound, WrongMethod
from fhirgw.ingest import Ingest
from fhirgw.released import Public, Released
from fhirgw.send import error_answer, respond
from fhirgw.settings import Keys, Senders, Settings
from fhirgw.share import Share
from fhirgw.store.database import Database

Answer = Released | Public | Saved
Endpoint = Callable[[Request], Awaitable[Answer]]
How = Literal["released", "written, then released", "public"]

EXITS: Mapping[tuple[str, str], How] = MappingProxyType(
    {
        ("GET", "/fhir/metadata"): "public",
        ("GET", "/fhir/.well-known/smart-configuration"): "public",
        ("GET", "/.well-known/smart-configuration"): "public",
        ("POST", "/auth/token"): "public",
        ("POST", "/hl7v2"): "public",
        ("POST", "/icm/cases"): "public",
        ("POST", "/icm/records"): "public",
        ("GET", "/icm/returns"): "released",
        ("GET", "/cds-services"): "public",
        ("POST", "/cds-services/patient-consent-consult"): "released",
        ("GET", "/health"): "public",
        ("GET", "/metrics"): "public",
        ("GET", "/fhir"): "released",
        ("POST", "/fhir/$consent-decision"): "released",
        ("POST", "/fhir/Patient/$match"): "released",
        ("GET", "/fhir/CarePlan/{id}/$document"): "released",
        ("POST", "/fhir/CarePlan/{id}/$document"): "released",
        ("GET", "/fhir/Patient/{id}/$disclosures"): "released",
        ("GET", "/fhir/{type}"): "released",
        ("POST", "/fhir/{type}"): "written, then released",
        ("POST", "/fhir/{type}/_search"): "released",
        ("GET", "/fhir/{type}/_history"): "released",
        ("GET", "/fhir/{type}/{id}"): "released",
        ("PUT", "/fhir/{type}/{id}"): "written, then released",
        ("DELETE", "/fhir/{type}/{id}"): "public",
        ("POST", "/fhir/{type}/$validate"): "public",
        ("GET", "/fhir/{type}/{id}/_history"): "released",
        ("GET", "/fhir/{type}/{id}/_history/{vid}"): "released",
    }
)
"""(method, route template) to how the answer is made. HEAD goes with GET."""
STEP_SECONDS: Final = 0.01


def create_api(
    share: Share,
    ingest: Ingest,
    database: Database,
    settings: Settings,
    keys: Keys,
    clock: Callable[[], int],
    ids: Callable[[], str],
    *,
    feeds: Feeds,
    senders: Callable[[], Senders] = Senders,
) -> ASGIApp:
    """The application, ready for an ASGI server.

    Args:
        share: The only way out.
        ingest: The only way in.
        database: For clients, used assertions and health.
        settings: Base URL, caps, life of a token.
        keys: The token key.
        clock: Microseconds since the epoch.
        ids: Fresh opaque ids, for requests and tokens.
        feeds: Takes HL7 v2 messages.
        senders: Whose messages /metrics tells apart.
    """
    token_url = f"{settings.base.removesuffix('/fhir')}/auth/token"
    smart = Smart(
        database,
        share,
        audience=settings.base,
        token_url=token_url,
        key=keys.token,
        token_seconds=settings.token_seconds,
        clock=clock,
        ids=ids,
    )
    interactions = Interactions(share, ingest, smart, base=settings.base, max_bytes=settings.max_message_bytes)
    consultations = Consultations(share, smart, max_bytes=settings.max_message_bytes)
    paths = _paths(interactions, consultations, smart, settings.base, token_url)
    health = Health(database, senders, clock)
    paths |= {"/health": {"GET": health.health}, "/metrics": {"GET": health.metrics}}
    paths["/hl7v2"] = {"POST": Hl7v2(feeds, smart, settings).post}
    stated = Cases(share, ingest, smart, max_bytes=settings.max_message_bytes)
    paths |= {"/icm/cases": {"POST": stated.cases}, "/icm/records": {"POST": stated.records}}
    paths["/icm/returns"] = {"GET": stated.returns}
    routes: list[BaseRoute] = [Route(template, Exit(template, methods)) for template, methods in paths.items()]
    app = FastAPI(
        title="fhirgw", routes=routes, redirect_slashes=False, openapi_url=None, docs_url=None, redoc_url=None
    )
    app.router.default = Exit(None, {})
    return Edge(app, ids)


def _paths(
    fhir: Interactions, consultations: Consultations, smart: Smart, base: str, token_url: str
) -> dict[str, dict[str, Endpoint]]:
    """The routes; the first that matches a path has it, so the fixed ones come first."""
    configuration = _constant(smart_configuration(token_url))
    capability = _constant(capability_statement(base, token_url), negotiated=True)
    return {
        "/fhir/metadata": {"GET": capability},
        "/fhir/.well-known/smart-configuration": {"GET": configuration},
        "/.well-known/smart-configuration": {"GET": configuration},
        "/auth/token": {"POST": smart.token},
        "/cds-services": {"GET": consultations.services},
        "/cds-services/patient-consent-consult": {"POST": consultations.hook},
        "/fhir": {"GET": fhir.page},
        "/fhir/$consent-decision": {"POST": consultations.decision},
        "/fhir/Patient/$match": {"POST": fhir.match},
        "/fhir/CarePlan/{id}/$document": {"GET": fhir.document, "POST": fhir.document},
        "/fhir/Patient/{id}/$disclosures": {"GET": fhir.disclosures},
        "/fhir/{type}": {"GET": fhir.search, "POST": fhir.create},
        "/fhir/{type}/_search": {"POST": fhir.search_by_post},
        "/fhir/{type}/_history": {"GET": fhir.history_type},
        "/fhir/{type}/$validate": {"POST": fhir.validate},
        "/fhir/{type}/{id}": {"GET": fhir.read, "PUT": fhir.update, "DELETE": fhir.delete},
        "/fhir/{type}/{id}/_history": {"GET": fhir.history_instance},
        "/fhir/{type}/{id}/_history/{vid}": {"GET": fhir.vread},
    }


def _constant(answer: Public, *, negotiated: bool = False) -> Endpoint:
    async def endpoint(request: Request) -> Public:
        if negotiated:
            negotiation.require_json(request)
        return answer

    return endpoint


def until_told(seconds: float) -> float:
    """How long what took so long is held back: what is not there is told at whole steps after it was asked.

    To find that something is hidden can take longer than to find nothing (leak 37, docs/decisions/0359).
    """
    return -seconds % STEP_SECONDS


class Exit:
    """One path: its methods, and the one place where its answers and errors are sent."""

    def __init__(self, template: str | None, methods: Mapping[str, Endpoint]) -> None:
        """Compose.

        Args:
            template: The route's template; None for what no route has.
            methods: Endpoint by method.
        """
        self.template = template
        self.methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self.template:
            scope["fhirgw.route"] = self.template
        identity = request_id(scope)
        headers: dict[str, str] = {}
        answer: Answer
        asked = time.monotonic()
        endpoint = self.methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        try:
            if endpoint is not None:
                answer = await endpoint(Request(scope, receive))
            elif self.methods:
                headers["Allow"] = ", ".join(self.methods)
                answer = error_answer(WrongMethod("This route does not have that method."), identity)
            else:
                answer = error_answer(NotFound(), identity)
        except Exception as error:  # noqa: BLE001 - whatever failed, nothing of it may leave (leak 46)
            log_failure(error, identity)
            answer = error_answer(error, identity)
            if isinstance(error, NotFound):
                await asyncio.sleep(until_told(time.monotonic() - asked))
        if isinstance(answer, Saved):
            response = respond(answer.answer, status=answer.status, headers={"Location": answer.location})
        else:
            response = respond(answer, headers=headers)
        await response(scope, receive, send)
