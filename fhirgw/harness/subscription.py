"""Whether the server calls back: a Subscription by REST hook, to a listener that this process opens.

See: http://hl7.org/fhir/R4/subscription.html
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from fhirgw.harness.result import Evidence, NotOffered, Unmet
from fhirgw.harness.session import CREATED, Session
from fhirgw.harness.synthetic import SCRATCH
from fhirgw.harness.target import is_here

LOOKS = 30
LOOK_SECONDS = 1.0


def subscription(session: Session) -> Evidence:
    """A change that a Subscription is about is told to its endpoint."""
    if not session.offers.interaction("Subscription", "create"):
        raise NotOffered("No Subscription is offered.")
    if not is_here(session.target.base):
        raise NotOffered("This server cannot call back to this machine.")
    with _listener() as (endpoint, told):
        _subscribe(session, endpoint)
        patient = session.run.scratch("told")
        session.put({**patient, "id": f"{session.run.tag}-told"}).require(*CREATED)
        if not told.wait(LOOKS * LOOK_SECONDS):
            raise Unmet("Nothing was told.")
    return Evidence(["told of a change"])


def _subscribe(session: Session, endpoint: str) -> None:
    """Ask for it, and wait until it is active."""
    reference = f"Subscription/{session.run.tag}-subscription"
    asked = session.run.marked(
        {
            "resourceType": "Subscription",
            "id": reference.partition("/")[2],
            "status": "requested",
            "reason": "Synthetic: a run of the fhirgw harness",
            "criteria": f"Patient?identifier={SCRATCH}|{session.run.tag}-told",
            "channel": {"type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json"},
        }
    )
    session.put(asked).require(*CREATED)
    for _ in range(LOOKS):
        status = session.target.request("GET", reference).require(200).get("status")
        if status == "active":
            return
        if status != "requested":
            raise Unmet(f"The Subscription becomes {status}.")
        session.target.pause(LOOK_SECONDS)
    raise NotOffered("The Subscription stays requested: the server does not act on it.")


@contextmanager
def _listener() -> Iterator[tuple[str, threading.Event]]:
    """An endpoint on this machine, and what is set when it was called."""
    told = threading.Event()

    class Listener(BaseHTTPRequestHandler):
        def _take(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            told.set()

        do_POST = do_PUT = _take  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/told", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
