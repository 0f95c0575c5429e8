"""A FHIR server that keeps resources in memory, on a real socket: it deletes, which the gateway does not yet.

It refuses to delete what another resource refers to, as a JPA server does; ``faults`` makes it answer otherwise.
"""

from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import orjson
from threaded_server import served

STATEMENT = {
    "resourceType": "CapabilityStatement",
    "fhirVersion": "4.0.1",
    "software": {"name": "Plain"},
    "rest": [
        {
            "mode": "server",
            "interaction": [{"code": "transaction"}],
            "resource": [
                {
                    "type": "Patient",
                    "interaction": [{"code": code} for code in ("read", "update", "create", "delete")],
                    "conditionalCreate": True,
                }
            ],
        }
    ],
}
Fault = Callable[[str, str], tuple[int, dict[str, str]] | None]
"""(method, path) → the status and headers to answer with instead; None: as always."""


class Plain:
    """Its resources, what it was asked, and how it misbehaves."""

    def __init__(self):
        self.statement = STATEMENT
        self.forgotten = []
        self.resources = {}
        self.asked = []
        self.fault: Fault = lambda _method, _path: None
        self.spoil = lambda resource: resource
        self.made = 0

    def put(self, reference, resource):
        self.made += 1
        meta = {**resource.get("meta", {}), "versionId": str(self.made)}
        self.resources[reference] = {**resource, "meta": meta}

    def remove(self, references):
        """Whether they could be removed together."""
        rest = {name: one for name, one in self.resources.items() if name not in references}
        if any(f'"{name}"'.encode() in orjson.dumps(one) for name in references for one in rest.values()):
            return False
        self.resources = rest
        return True

    def answer(self, method, url, body, headers):
        """Status, headers and resource."""
        path, _, query = url.removeprefix("/fhir").strip("/").partition("?")
        match method, path:
            case "GET", "metadata":
                return 200, {}, self.statement
            case "POST", "":
                return self.transaction(body)
            case "POST", operation if operation.endswith("/$expunge"):
                self.forgotten.append(operation.removesuffix("/$expunge"))
                return 200, {}, {"resourceType": "Parameters"}
            case "POST", kind if kind.endswith("/_search"):
                return 200, {}, self.search(kind.partition("/")[0], body)
            case "POST", kind:
                return self.create(kind, body, headers)
            case "PUT", reference:
                self.put(reference, body)
                return 201, {}, self.resources[reference]
            case "DELETE", reference:
                return (204 if self.remove({reference}) else 409), {}, None
            case _, reference if reference in self.resources:
                return 200, {"ETag": 'W/"1"'}, self.spoil(self.resources[reference])
            case _, kind if kind.isalpha():
                return 200, {}, self.search(kind, dict(parse_qsl(query)))
        return 404, {}, {"resourceType": "OperationOutcome"}

    def transaction(self, bundle):
        entries = bundle["entry"]
        removed = {one["request"]["url"] for one in entries if one["request"]["method"] == "DELETE"}
        if not self.remove(removed):
            return 409, {}, None
        for one in entries:
            if one["request"]["method"] == "PUT":
                self.put(one["request"]["url"], one["resource"])
        answered = [{"response": {"status": "200 OK"}} for _ in entries]
        return 200, {}, {"resourceType": "Bundle", "type": "transaction-response", "entry": answered}

    def create(self, kind, resource, headers):
        condition = dict(parse_qsl(headers.get("If-None-Exist", "")))
        found = self.search(kind, condition)["entry"] if condition else []
        reference = f"{kind}/{found[0]['resource']['id']}" if found else f"{kind}/made-{self.made}"
        if not found:
            self.put(reference, {**resource, "id": reference.partition("/")[2]})
        return (200 if found else 201), {"Location": f"/fhir/{reference}/_history/1"}, None

    def search(self, kind, parameters):
        found = [one for one in self.resources.values() if one["resourceType"] == kind]
        for name, element in (("_tag", lambda one: one["meta"].get("tag", [])), ("identifier", identifiers)):
            if name in parameters:
                system, _, value = parameters[name].rpartition("|")
                found = [
                    one
                    for one in found
                    if any(
                        (each.get("system"), each.get("code", each.get("value"))) == (system, value)
                        for each in element(one)
                    )
                ]
        entries = [{"resource": one, "search": {"mode": "match"}} for one in found]
        return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}


def identifiers(resource):
    found = resource.get("identifier", [])
    return found if isinstance(found, list) else [found]


@contextmanager
def plain_server():
    """The server's state and its base URL."""
    plain = Plain()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are written apart: the second would wait for an ACK

        def handle_any(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            plain.asked.append((self.command, self.path))
            fault = plain.fault(self.command, self.path)
            if fault is not None:
                status, headers, resource = *fault, None
            else:
                is_form = "form" in self.headers.get("Content-Type", "")
                body = dict(parse_qsl(raw.decode())) if is_form else orjson.loads(raw) if raw else None
                status, headers, resource = plain.answer(self.command, self.path, body, self.headers)
            content = orjson.dumps(resource) if resource is not None else b""
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def log_message(self, format, *args):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with served(server):
        yield plain, f"http://127.0.0.1:{server.server_address[1]}/fhir"
