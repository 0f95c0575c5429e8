"""Every way out is known, and every exchange has the same edge."""

import ast
from dataclasses import fields
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import fhirgw
from fhirgw import metrics
from fhirgw.api import EXITS, factory
from fhirgw.api.factory import Exit
from fhirgw.api.middleware import NOTICE, NOTICE_HEADER, Edge
from fhirgw.consent.model import Decision

CANARY = "CANARY-4711"
PACKAGE = Path(fhirgw.__file__).parent
SPEAKERS = {"httpx", "http.client", "urllib.request", "urllib3", "requests", "aiohttp", "smtplib", "ftplib"}


def routed(app):
    inner = app._app
    return {(method, route.path) for route in inner.routes for method in route.app.methods}


def url(template):
    return template.replace("{type}", "Patient").replace("{id}", "p1").replace("{vid}", "1")


def test_every_route_says_how_it_answers(api):
    assert routed(api.app) == set(EXITS)


def speaks(source):
    """What a module imports or writes that could send: HTTP clients, response classes, ASGI's own messages."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                imported = {one.name for one in names}
            case ast.ImportFrom(module=str(module), names=names):
                imported = {module} | {f"{module}.{one.name}" for one in names}
            case ast.Constant(value="http.response.start" | "http.response.body"):
                imported = {"http.response"}
            case _:
                continue
        found |= {
            one
            for one in imported
            if any(f"{one}.".startswith(f"{speaker}.") for speaker in SPEAKERS)
            or (
                one.startswith(("fastapi", "starlette"))
                and one.lower().rpartition(".")[2].endswith(("response", "responses"))
            )
            or one == "http.response"
        }
    return found


def test_only_send_has_an_http_client_or_a_response_class():
    speakers = {
        path.relative_to(PACKAGE).as_posix(): found
        for path in PACKAGE.rglob("*.py")
        if (found := speaks(path.read_text("utf-8")))
    }
    # The harness has the resources that it made up, and never reaches the store (pyproject.toml).
    assert set(speakers) == {"send.py", "api/middleware.py", "harness/target.py"}
    assert speakers["api/middleware.py"] == {"http.response"}, "it adds headers to what send.py made"


@pytest.mark.parametrize(
    "source",
    [
        "import httpx",
        "from urllib.request import urlopen",
        "import http.client as h",
        "from starlette.responses import Response",
        "from starlette import responses",
        "from fastapi import Response",
        "from fastapi.responses import JSONResponse as J",
        "async def f(send): await send({'type': 'http.response.start'})",
    ],
)
def test_a_planted_speaker_is_found(source):
    assert speaks(source)


async def test_a_planted_route_is_found(api):
    api.app._app.router.add_route("/fhir/$leak", Exit("/fhir/$leak", {"GET": None}))
    assert routed(api.app) - set(EXITS) == {("GET", "/fhir/$leak")}


@pytest.mark.parametrize(("method", "template"), sorted(EXITS))
async def test_an_exit_of_member_data_gives_what_share_released_and_no_other_gives_it(api, method, template):
    headers = await api.bearer("icm", "system/*.cruds system/icm system/consent-decision")
    query = "?_page=x" if template == "/fhir" else ""
    body = {"json": {"resourceType": "Patient", "id": "p1"}} if "written" in EXITS[method, template] else {}
    about = {"name": "patient", "valueReference": {"reference": "Patient/p1"}}
    asked = {"$match": {"name": "resource", "resource": {"resourceType": "Patient"}}, "$consent-decision": about}
    if (operation := template.rpartition("/")[2]) in asked:
        body = {"json": {"resourceType": "Parameters", "parameter": [asked[operation]]}}
    if operation == "patient-consent-consult":
        context = {"patientId": [{"system": "s", "value": "p1"}]}
        body = {"json": {"hook": operation, "hookInstance": "1", "context": context}}
    reply = await api.http.request(method, url(template) + query, headers=headers, **body)
    assert (reply.content == b'{"resourceType":"Released"}') is ("released" in EXITS[method, template])
    assert len(api.ingest.written) == ("written" in EXITS[method, template])


@pytest.mark.parametrize(("method", "template"), sorted(EXITS))
async def test_every_answer_has_the_constant_headers(api, method, template):
    seen = set()
    for headers in ({}, await api.bearer()):
        reply = await api.http.request(method, url(template), headers=headers | {"X-Request-Id": CANARY})
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers.get(NOTICE_HEADER) == (NOTICE if template.startswith("/fhir") else None)
        assert reply.headers.get_list("x-request-id")[0].startswith("id-")
        seen.add(reply.headers["x-request-id"])
    assert len(seen) == 2


def test_the_notice_is_what_a_decision_lets_a_requester_know():
    assert {one.name: one.default for one in fields(Decision)}["external"] == NOTICE


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/fhir/"),
        ("GET", "/fhir/Nonsense"),
        ("GET", "/fhir/Nonsense/1"),
        ("POST", "/fhir/Nonsense"),
        ("GET", "/fhir/patient/1"),
        ("GET", "/fhir/Patient/p1/_history/1/x"),
        ("GET", "/fhir/Patient/p1/$everything"),
        ("GET", "/fhir/Patient/p1/$meta"),
        ("GET", "/fhir/Patient/p1/$graphql"),
        ("GET", "/fhir/Observation/x/$lastn"),
        ("GET", "/fhir/Group/x/$export"),
        ("GET", "/fhir/$export"),
    ],
)
async def test_what_is_not_there_is_not_there_for_anybody(api, method, path):
    answers = [
        (await api.http.request(method, path, headers=headers))
        for headers in ({}, await api.bearer(), await api.bearer("icm"), await api.bearer("narrow"))
    ]
    assert {(reply.status_code, reply.content) for reply in answers} == {(404, answers[0].content)}
    assert answers[0].json()["issue"][0]["code"] == "not-found"
    assert answers[0].headers["content-type"] == "application/fhir+json"


async def test_what_is_not_there_is_told_at_whole_steps_after_it_was_asked(api, monkeypatch):
    """Leak 37: to find that something is hidden may take longer than to find nothing."""
    held_back = []

    async def wait(seconds):
        held_back.append(seconds)

    monkeypatch.setattr(factory.asyncio, "sleep", wait)
    headers = await api.bearer()
    for path, status in (("/fhir/Nothing/p1", 404), ("/fhir/Nothing", 404), ("/fhir/metadata", 200)):
        assert (await api.http.get(path, headers=headers)).status_code == status
    assert len(held_back) == 2
    for took in (0.0001, 0.003, 0.0099, 0.0101, 0.7, *held_back):
        told = took + factory.until_told(took)
        assert took <= told < took + factory.STEP_SECONDS
        assert told / factory.STEP_SECONDS == pytest.approx(round(told / factory.STEP_SECONDS))


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", "/fhir/Patient/p1", "GET, PUT, DELETE"),
        ("DELETE", "/fhir/Patient", "GET, POST"),
        ("POST", "/fhir", "GET"),
        ("PUT", "/fhir/Patient", "GET, POST"),
        ("GET", "/fhir/Patient/_search", "POST"),
        ("GET", "/auth/token", "POST"),
        ("BREW", "/health", "GET"),
    ],
)
async def test_a_method_that_a_route_does_not_have_is_refused_the_same_way_for_everybody(api, method, path, allow):
    answers = [await api.http.request(method, path, headers=headers) for headers in ({}, await api.bearer("icm"))]
    assert {(reply.status_code, reply.content, reply.headers["allow"]) for reply in answers} == {
        (405, answers[0].content, allow)
    }
    assert answers[0].json()["issue"][0]["code"] == "not-supported"


async def test_logs_name_routes_and_classes_and_never_what_was_asked_or_said(api):
    headers = await api.bearer("icm")
    with capture_logs() as lines:
        await api.http.get(f"/fhir/Patient/{CANARY}?name={CANARY}", headers=headers)
        await api.http.post("/fhir/Patient/_search", data={"name": CANARY}, headers=headers)
        api.share.error = RuntimeError(CANARY)
        await api.http.get("/fhir/Patient/p1", headers=headers)
        await api.http.get(f"/{CANARY}")
    assert CANARY not in str(lines)
    accesses = [line for line in lines if line["event"] == "http"]
    assert [(one["route"], one["status"], one["client"]) for one in accesses] == [
        ("/fhir/{type}/{id}", 200, "icm"),
        ("/fhir/{type}/_search", 200, "icm"),
        ("/fhir/{type}/{id}", 500, "icm"),
        ("unmatched", 404, None),
    ]
    failure = next(line for line in lines if line["log_level"] == "error")
    assert failure["error"] == "RuntimeError"
    assert "conftest.py:" in failure["where"]
    assert failure["request_id"] == accesses[2]["request_id"]


async def test_metrics_count_templates_and_answer_this_machine_alone(api):
    headers = await api.bearer()
    await api.http.get(f"/fhir/Patient/{CANARY}", headers=headers)
    await api.http.request("BREW", "/health")
    reply = await api.http.get("/metrics")
    assert reply.status_code == 200
    assert 'fhirgw_http_requests_total{method="GET",route="/fhir/{type}/{id}",status="200"}' in reply.text
    assert 'method="other"' in reply.text
    assert CANARY not in reply.text
    proxied = await api.http.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
    assert proxied.status_code == 404


@pytest.mark.parametrize("peer", [("192.0.2.1", 1), ("unix", 0), None])
async def test_metrics_are_not_there_for_another_machine(api, peer):
    import httpx

    transport = httpx.ASGITransport(api.app, client=peer)
    async with httpx.AsyncClient(transport=transport, base_url="https://gw.example.org") as http:
        assert (await http.get("/metrics")).status_code == 404


async def test_health_asks_the_database(api):
    assert (await api.http.get("/health")).json() == {"status": "pass"}
    for change in ("UPDATE labelling SET reached = 0", "ALTER TABLE labelling RENAME TO gone"):
        await api.database.write(lambda tx, change=change: tx.connection.exec_driver_sql(change))
        sick = await api.http.get("/health")
        assert (sick.status_code, sick.json()) == (503, {"status": "fail"})
    await api.database.write(lambda tx: tx.connection.exec_driver_sql("ALTER TABLE gone RENAME TO labelling"))


async def test_a_database_that_is_away_closes_every_door(api):
    headers = await api.bearer()
    await api.database.write(lambda tx: tx.connection.exec_driver_sql("ALTER TABLE client RENAME TO gone"))
    for reply in (await api.http.get("/fhir/Patient/p1", headers=headers), await api.ask_token()):
        assert reply.status_code == 503
        assert reply.json()["issue"][0]["code"] == "transient"
    assert api.share.asked == []


async def exchange(app, **scope):
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.disconnect"}

    await app({"type": "http", "method": "GET", "path": "/fhir/x", "headers": [], **scope}, receive, send)
    return sent


async def test_a_failure_outside_the_routes_is_a_constant_answer_too():
    async def broken(scope, receive, send):
        raise RuntimeError(CANARY)

    start, body = await exchange(Edge(broken, lambda: "id-1"))
    assert start["status"] == 500
    assert CANARY not in str((start, body))


async def test_an_answer_that_breaks_off_is_not_followed_by_another():
    async def broken(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    assert [message["type"] for message in await exchange(Edge(broken, lambda: "id-1"))] == ["http.response.start"]


async def test_a_websocket_is_closed_and_the_life_of_the_server_passed_on():
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope["type"])

    edge = Edge(inner, lambda: "id-1")
    assert (await exchange(edge, type="websocket"))[0]["type"] == "websocket.close"
    await exchange(edge, type="lifespan")
    assert seen == ["lifespan"]


async def test_a_body_that_breaks_off_is_refused(api):
    headers = await api.bearer("icm")
    raw = [(b"authorization", headers["Authorization"].encode()), (b"content-type", b"application/json")]
    sent = await exchange(api.app, method="POST", path="/fhir/Patient", query_string=b"", headers=raw)
    assert sent[0]["status"] == 400
    assert api.ingest.written == []


def test_every_family_of_counters_is_without_labels_about_people():
    labels = {
        label for family in metrics.registry._collector_to_names for label in getattr(family, "_labelnames", ())
    }
    assert labels == {"code", "state", "route", "method", "status", "why", "sender"}
