"""A FHIR server on a real socket, as strict as a JPA server.

Versions, If-Match, atomic transactions, references that must lead somewhere, history. It keeps the bytes of every
request; ``fault`` makes it misbehave.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from urllib.parse import parse_qs

import orjson
from json_values import objects
from threaded_server import served

HANG_UP = 0
"""A fault's status: nothing is done, and the connection closed."""
DEAF = -1
"""A fault's status: it is done, and the connection closed before anybody hears of it."""


class Upstream:
    """What it holds, what it was asked, how it misbehaves."""

    def __init__(self):
        self.current = {}
        self.versions = {}  # reference -> [(version, instant, body or None)]
        self.asked = []  # (method, path, body)
        self.headers = []
        self.fault: Callable = lambda _method, _path, _body: None
        self.expunges = False
        self.base = ""
        self.instants = 1_790_000_000
        self.ids = 0
        self.most = 50
        self.broken_off = SimpleQueue()  # how much there was of what ended early
        self.on_piece = lambda _received: None

    # What tests say and ask

    def put(self, resource):
        """Somebody else writes."""
        self._write(self.current, f"{resource['resourceType']}/{resource['id']}", resource)

    def delete(self, reference):
        """Somebody else deletes."""
        self._write(self.current, reference, None)

    def transactions(self):
        return [orjson.loads(body) for method, path, body in self.asked if (method, path) == ("POST", "/fhir")]

    def sent(self):
        """(method, url) of every entry of every transaction."""
        return [
            (one["request"]["method"], one["request"]["url"])
            for each in self.transactions()
            for one in each["entry"]
        ]

    def references(self, kind):
        return sorted(name for name in self.current if name.startswith(f"{kind}/"))

    # HTTP

    def answer(self, method, url, body):
        path, _, query = url.removeprefix("/fhir").strip("/").partition("?")
        parts, asked = path.split("/"), {name: ",".join(values) for name, values in parse_qs(query).items()}
        match method, parts:
            case "GET", ["metadata"]:
                return 200, {}, self.statement()
            case "POST", [""]:
                return self.transaction(orjson.loads(body))
            case "POST", [kind, logical, "$expunge"]:
                kept = self.versions[f"{kind}/{logical}"]
                self.versions[f"{kind}/{logical}"] = [kept[-1]] if kept[-1][2] is not None else []
                return 200, {}, {"resourceType": "Parameters"}
            case "GET", [kind, "_history"]:
                return 200, {}, self.history(kind, asked)
            case "GET", [_, logical] if logical:
                known = self.current.get(path)
                return (
                    (200, {}, known) if known else (404 if path not in self.versions else 410, {}, outcome("gone"))
                )
            case "GET", [kind]:
                return 200, {}, self.search(kind, asked)
        return 404, {}, outcome("not-found")

    def statement(self):
        operations = [{"name": "expunge", "definition": "http://x"}] if self.expunges else []
        interactions = [{"code": "history-type"}, {"code": "search-type"}]
        types = ("Patient", "Condition", "CarePlan", "Goal", "Encounter", "Consent", "Practitioner", "Organization",
                 "EpisodeOfCare")  # fmt: skip
        resources = [{"type": one, "interaction": interactions} for one in types]
        rest = [{"mode": "server", "operation": operations, "resource": resources}]
        return {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": rest}

    def transaction(self, bundle):
        written = {one["request"]["url"]: one.get("resource") for one in bundle["entry"]}
        expected = {one["request"]["url"]: one["request"].get("ifMatch") for one in bundle["entry"]}
        after = {**self.current, **written}
        after = {reference: one for reference, one in after.items() if one is not None}
        if any(match not in (None, self.etag(reference)) for reference, match in expected.items()):
            return 412, {}, outcome("conflict")
        if any(target not in after for one in after.values() for target in targets(one)):
            return 409, {}, outcome("processing")
        answered = [{"response": self._write(self.current, *one)} for one in written.items()]
        return 200, {}, {"resourceType": "Bundle", "type": "transaction-response", "entry": answered}

    def etag(self, reference):
        return f'W/"{self.current.get(reference, {}).get("meta", {}).get("versionId")}"'

    def _write(self, current, reference, resource):
        kept = self.versions.setdefault(reference, [])
        self.instants += 1
        if resource is None:
            if current.pop(reference, None) is not None:
                kept.append((str(len(kept) + 1), self.instants, None))
            return {"status": "204 No Content"}
        known = current.get(reference)
        if known is not None and without_meta(known) == without_meta(resource):
            return {"status": "200 OK", "etag": f'W/"{known["meta"]["versionId"]}"'}
        self.ids += 1
        version = str(self.ids)
        meta = {**resource.get("meta", {}), "versionId": version, "lastUpdated": instant(self.instants)}
        current[reference] = {**resource, "meta": meta}
        kept.append((version, self.instants, current[reference]))
        return {"status": "201 Created" if known is None else "200 OK", "etag": f'W/"{version}"'}

    def search(self, kind, asked):
        found = sorted(
            (one for one in self.current.values() if one["resourceType"] == kind),
            key=lambda one: (one["meta"]["lastUpdated"], one["id"]),
        )
        if "_id" in asked:
            found = [one for one in found if one["id"] in asked["_id"].split(",")]
        if (since := asked.get("_lastUpdated", "")).startswith("ge"):
            found = [one for one in found if one["meta"]["lastUpdated"] >= since[2:]]
        entries = [{"resource": one, "search": {"mode": "match"}} for one in found]
        return self.page(kind, "searchset", entries, asked)

    def history(self, kind, asked):
        rows = [
            (at, reference, version, body)
            for reference, kept in self.versions.items()
            for version, at, body in kept
            if reference.startswith(f"{kind}/") and instant(at) >= asked.get("_since", "")
        ]
        entries = []
        for at, reference, version, body in sorted(rows, reverse=True, key=lambda row: row[:3]):
            request = {"method": "DELETE" if body is None else "PUT", "url": reference}
            response = {"status": "200", "lastModified": instant(at), "etag": f'W/"{version}"'}
            entry = {"fullUrl": f"{self.base}/{reference}", "request": request, "response": response}
            entries.append(entry | ({"resource": body} if body else {}))
        return self.page(f"{kind}/_history", "history", entries, asked)

    def page(self, path, kind, entries, asked):
        start = int(asked.pop("_offset", 0))
        some = entries[start : start + self.most]
        bundle = {"resourceType": "Bundle", "type": kind, "total": len(entries), "entry": some}
        if start + self.most < len(entries):
            query = "&".join(f"{name}={value}" for name, value in {**asked, "_offset": start + self.most}.items())
            bundle["link"] = [{"relation": "next", "url": f"{self.base}/{path}?{query}"}]
        return bundle


def outcome(code):
    issue = [{"severity": "error", "code": code, "diagnostics": "Doe was born in 1980"}]
    return {"resourceType": "OperationOutcome", "issue": issue}


def instant(seconds):
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def without_meta(resource):
    return {name: value for name, value in resource.items() if name != "meta"}


def targets(element):
    """Relative references, at any depth."""
    for one in objects(element):
        reference = one.get("reference")
        if isinstance(reference, str) and "://" not in reference and not reference.startswith(("#", "urn:")):
            yield reference


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written apart: the second would wait for an ACK

    def handle_any(self):
        state = self.server.state
        body = self.read()
        if body is None:
            self.close_connection = True
            return
        with state.lock:
            state.asked.append((self.command, self.path, body))
            state.headers.append(dict(self.headers))
            fault = state.fault(self.command, self.path, body)
            status, headers = fault if isinstance(fault, tuple) else (fault, {})
            resource = outcome("exception")
            if fault is None or status == DEAF:
                done, headers, resource = state.answer(self.command, self.path, body)
                status = done if fault is None else status
        if status in (HANG_UP, DEAF):
            self.close_connection = True
            return
        content = orjson.dumps(resource)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def read(self):
        """The body; None where the client ended it early."""
        length, body = int(self.headers.get("Content-Length", 0)), b""
        while len(body) < length:
            try:
                piece = self.rfile.read1(length - len(body))
            except ConnectionResetError:
                piece = b""
            if not piece:
                self.server.state.broken_off.put(len(body))
                return None
            body += piece
            self.server.state.on_piece(len(body))
        return body

    do_GET = do_POST = handle_any

    def log_message(self, format, *args):
        pass


@contextmanager
def upstream_server(port=0) -> Iterator[Upstream]:
    """The server's state, with its base URL."""
    state = Upstream()
    state.lock = threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler, bind_and_activate=False)
    server.allow_reuse_address = True
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)  # what is not read yet is not sent yet
    server.server_bind()
    server.server_activate()
    server.daemon_threads = True
    server.state = state
    state.base = f"http://127.0.0.1:{server.server_port}/fhir"
    with served(server):
        yield state
