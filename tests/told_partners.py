"""Partners with an endpoint of their own, and the notifier that delivers to them."""

import itertools
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
from composed_gateway import ALMA, message
from joserfc.jwk import ECKey, KeySet
from threaded_server import served

from fhirgw import alerts
from fhirgw.ingest import register_organization
from fhirgw.notify import Notifier
from fhirgw.store import clients, outbox, repository
from fhirgw.store.clients import Client

NPI = "http://hl7.org/fhir/sid/us-npi"
ELM, OAK = "1234567893", "1999999984"
ADMITTED, LEFT = message("A01/member.hl7"), message("A03/member.hl7")
HIDDEN = ("F1120", "F11.20", "pioid", "withdrawal", '"SUD"', "sober", "CT-TEST-0006")


class Endpoint(ThreadingHTTPServer):
    """A partner's server: keeps what it is sent, answers with ``status``."""

    daemon_threads = True

    def __init__(self):
        self.status, self.bodies, self.headers = 200, [], []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/fhir/$process-message"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.headers.append(dict(self.headers))
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def listening():
    return served(Endpoint())


def subscribe(whole, url, value=ELM, name="elm-alerts", **how):
    """Register a client that takes notifications, of the organization with this NPI."""
    gateway = whole.gateway
    key = ECKey.generate_key("P-384", private=True, auto_kid=True)
    jwks = orjson.dumps(KeySet([key]).as_dict(private=False)).decode()

    def unit(tx):
        logical = register_organization(tx, gateway.keys.ids, NPI, value, name)
        clients.register(tx, Client(name, name, logical, jwks, ("system/*.rs",), ("TREAT",), None, url, **how))

    gateway.database.write_sync(unit)


async def deliver(whole):
    while await notifier(whole).deliver_due():
        pass


def notifier(whole):
    gateway, numbers = whole.gateway, itertools.count()
    return Notifier(
        gateway.database,
        gateway.share,
        new_id=lambda: f"note-{next(numbers)}",
        id_key=gateway.keys.ids,
        clock=lambda: whole.clock.now + 1000,
    )


def states(whole):
    with whole.gateway.database.read() as connection:
        return outbox.counts(connection)


ADMIT, TRANSFER, DISCHARGE = "notification-admit", "notification-transfer", "notification-discharge"


def told(endpoint):
    """(event code, Encounter.status) of what was received, in order."""
    found = []
    for body in endpoint.bodies:
        header, visit = [entry["resource"] for entry in orjson.loads(body)["entry"]][:2]
        found.append((header["eventCoding"]["code"], visit["status"]))
    return found


def put(whole, encounter, at=None):
    """The Encounter as it stands now, and what is to be told of it."""

    def unit(tx):
        for stay in encounter["location"]:
            kind, logical = stay["location"]["reference"].split("/")
            if not repository.exists(tx.connection, kind, logical):
                repository.put(tx, {"resourceType": kind, "id": logical, "name": logical})
        repository.put(tx, encounter)
        alerts.note(tx, whole.patient(ALMA), encounter, oldest=at)

    whole.gateway.database.write_sync(unit)


def visit(whole, status="in-progress", places=("ward-a",), end=None, **how):
    """An inpatient visit of the member with a stay in each of these places."""
    period = {"start": "2026-03-05T14:30:00-05:00", **({"end": end} if end else {})}
    since = [f"2026-03-0{5 + number}T14:30:00-05:00" for number in range(len(places))]
    stays = [
        {
            "location": {"reference": f"Location/{place}"},
            "status": "completed" if until or status == "finished" else "active",
            "period": {"start": start} | ({"end": until or end} if until or end else {}),
        }
        for place, start, until in zip(places, since, [*since[1:], None], strict=True)
    ]
    code = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    head = {"resourceType": "Encounter", "id": "visit", "status": status, "class": code}
    return (
        head
        | {"subject": {"reference": f"Patient/{whole.patient(ALMA)}"}, "period": period, "location": stays}
        | how
    )
