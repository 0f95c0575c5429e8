"""Notifications: what consent lets out at the moment of sending, to a partner's real HTTP server."""

import itertools
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
from composed_gateway import ALMA, composed, message
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import func, select, update

from fhirgw import alerts
from fhirgw.asks import Search
from fhirgw.audit import disclosures, verify
from fhirgw.errors import NotFound
from fhirgw.ingest import register_organization
from fhirgw.notify import LEASE, RETRY_AFTER, Notifier
from fhirgw.profiles.validation import problems
from fhirgw.store import clients, outbox, policy, repository
from fhirgw.store.clients import Client
from fhirgw.store.schema import client as client_table
from fhirgw.store.schema import outbox as outbox_table

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


@contextmanager
def listening():
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def whole(tmp_path):
    with composed(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def endpoint():
    with listening() as server:
        yield server


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


async def test_a_practice_with_a_release_hears_of_admission_and_discharge_and_of_nothing_hidden(whole, endpoint):
    subscribe(whole, endpoint.url)
    await whole.take(ADMITTED)
    await deliver(whole)
    await whole.take(LEFT)
    await deliver(whole)
    assert states(whole) == {"sent": 2}
    codes = []
    for body in endpoint.bodies:
        bundle = orjson.loads(body)
        assert problems(bundle) == []
        assert bundle["type"] == "message"
        header, visit, *others = [entry["resource"] for entry in bundle["entry"]]
        assert (header["resourceType"], visit["resourceType"]) == ("MessageHeader", "Encounter")
        assert header["focus"] == [{"reference": f"Encounter/{visit['id']}"}]
        assert {"Patient", "Condition"} <= {one["resourceType"] for one in others}
        urls = {entry["fullUrl"].removeprefix(f"{whole.gateway.settings.base}/") for entry in bundle["entry"]}
        assert len(urls) == len(bundle["entry"])
        assert visit["subject"]["reference"] in urls
        assert [word for word in HIDDEN if word.lower() in body.decode().lower()] == []
        codes.append(header["eventCoding"]["code"])
    assert codes == ["notification-admit", "notification-discharge"]
    assert {headers["Content-Type"] for headers in endpoint.headers} == {"application/fhir+json"}
    assert not any("X-42CFR-Part-2" in headers for headers in endpoint.headers)


async def test_what_was_sent_is_accounted_for(whole, endpoint):
    subscribe(whole, endpoint.url)
    await whole.take(ADMITTED)
    await deliver(whole)
    with whole.gateway.database.read() as connection:
        (line,) = disclosures(connection, whole.patient(ALMA))
        assert list(verify(connection, whole.gateway.keys.audit)) == []
    assert (line.recipient, line.request_id) == ("elm-alerts", endpoint.headers[0]["X-Request-Id"])
    assert line.consents
    sent = {
        f"{one['resource']['resourceType']}/{one['resource']['id']}"
        for one in orjson.loads(endpoint.bodies[0])["entry"]
    }
    assert {reference.split("/_history")[0] for reference in line.resources} <= sent


async def test_a_practice_without_a_release_hears_nothing(whole, endpoint):
    subscribe(whole, endpoint.url, OAK, "oak-alerts")
    await whole.take(ADMITTED, LEFT)
    await deliver(whole)
    assert (states(whole), endpoint.bodies) == ({"withheld": 2}, [])


async def test_a_person_without_a_release_is_not_told_of(whole, endpoint):
    subscribe(whole, endpoint.url)
    await whole.take(message("A01/candidate.hl7"), message("A04/stranger.hl7"))
    await deliver(whole)
    assert (states(whole), endpoint.bodies) == ({"withheld": 1}, [])


async def test_a_revocation_reaches_a_notification_that_waits(whole, endpoint):
    subscribe(whole, endpoint.url)
    await whole.take(ADMITTED)
    assert states(whole) == {"due": 1}
    with whole.gateway.database.read() as connection:
        tokens = policy.organization_tokens(connection, whole.requester("elm-alerts").organization)
    assert await whole.gateway.ingest.resources.revoke(whole.patient(ALMA), tokens, written=False)
    await deliver(whole)
    assert (states(whole), endpoint.bodies) == ({"withheld": 1}, [])


async def test_a_client_that_was_revoked_hears_nothing(whole, endpoint):
    subscribe(whole, endpoint.url)
    await whole.take(ADMITTED)
    whole.gateway.database.write_sync(lambda tx: clients.revoke(tx, "elm-alerts"))
    await deliver(whole)
    assert (states(whole), endpoint.bodies) == ({"withheld": 1}, [])


async def test_what_a_part_2_programme_sends_is_not_told(whole, endpoint):
    subscribe(whole, endpoint.url)
    senders = whole.gateway.settings.data_dir / "senders.toml"
    senders.write_text(senders.read_text("utf-8").replace("zone =", "part2 = true\nzone ="), "utf-8")
    await whole.take(ADMITTED)
    await deliver(whole)
    assert (states(whole), endpoint.bodies) == ({"withheld": 1}, [])


async def test_an_endpoint_that_is_down_is_tried_again_at_growing_intervals_and_then_given_up(whole, endpoint):
    subscribe(whole, endpoint.url)
    endpoint.status = 503
    await whole.take(ADMITTED)
    await deliver(whole)
    assert len(endpoint.bodies) == 1
    for number, wait in enumerate(RETRY_AFTER, 2):
        assert states(whole) == {"due": 1}
        whole.clock.tick(seconds=wait - 1)
        await deliver(whole)
        assert len(endpoint.bodies) == number - 1
        whole.clock.tick(seconds=1)
        await deliver(whole)
        assert len(endpoint.bodies) == number
    assert states(whole) == {"failed": 1}
    whole.clock.tick(days=1)
    await deliver(whole)
    assert len(endpoint.bodies) == len(RETRY_AFTER) + 1


async def test_an_endpoint_that_comes_back_gets_it_once(whole):
    with listening() as endpoint:
        url = endpoint.url
    subscribe(whole, url)
    await whole.take(ADMITTED)
    await deliver(whole)
    assert states(whole) == {"due": 1}
    with listening() as endpoint:
        moved = update(client_table).values(notify_url=endpoint.url)
        whole.gateway.database.write_sync(lambda tx: tx.connection.execute(moved).rowcount)
        whole.clock.tick(seconds=RETRY_AFTER[0])
        await deliver(whole)
        await deliver(whole)
        assert len(endpoint.bodies) == 1
    assert states(whole) == {"sent": 1}


async def test_one_that_fails_does_not_stop_the_others(whole, endpoint, monkeypatch):
    subscribe(whole, endpoint.url)
    await whole.take(ADMITTED, LEFT)
    release, calls = whole.gateway.share.release, []

    async def failing(requester, ask):
        calls.append(ask)
        if len(calls) == 1:
            raise KeyError(ask)
        return await release(requester, ask)

    monkeypatch.setattr(whole.gateway.share, "release", failing)
    await deliver(whole)
    assert states(whole) == {"due": 2}


async def test_a_replay_and_a_repeated_message_notify_nobody_again(whole, endpoint):
    subscribe(whole, endpoint.url)
    await whole.take(ADMITTED, ADMITTED)
    (row,) = whole.rows()
    assert await whole.gateway.ingest.messages.process(whole.row(row.id)) == "processed"
    await deliver(whole)
    assert len(endpoint.bodies) == 1


async def test_a_message_that_is_parked_notifies_nobody(whole, endpoint, monkeypatch):
    subscribe(whole, endpoint.url)
    monkeypatch.setattr("fhirgw.alerts.clients.notified", lambda _: 1 / 0)
    await whole.take(ADMITTED)
    with whole.gateway.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(outbox_table)) == 0
    assert [row.state for row in whole.rows()] == ["parked"]


async def test_member_data_goes_to_another_machine_over_https_only(whole):
    subscribe(whole, "http://partner.example.org/notify")
    await whole.take(ADMITTED)
    await deliver(whole)
    assert states(whole) == {"due": 1}


# --- what is told, and taken back ---------------------------------------------------------------------------------


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


async def test_an_admission_a_transfer_and_a_discharge_are_each_told_once(whole, endpoint):
    subscribe(whole, endpoint.url)
    for one in (
        visit(whole),
        visit(whole),
        visit(whole, places=("ward-a", "ward-b")),
        visit(whole, "finished", ("ward-a", "ward-b"), "2026-03-09T10:00:00-05:00"),
    ):
        put(whole, one)
        await deliver(whole)
    assert told(endpoint) == [(ADMIT, "in-progress"), (TRANSFER, "in-progress"), (DISCHARGE, "finished")]


async def test_a_trip_is_no_transfer_of_the_visit(whole, endpoint):
    """PV1-11, a temporary location: there and elsewhere and back, and home from it; the next bed is a transfer."""
    subscribe(whole, endpoint.url)

    def told_of(event, day, bed="4E^412^A^ELMHOSP", trip=""):
        at = f"EVN|{event}|202603{day:02}120000-0500"
        changes = [
            ("ADT^A01^ADT_A01", f"ADT^{event}"),
            ("EVN|A01|20260305143000-0500||||20260305141500-0500", at),
            ("4E^412^A^ELMHOSP", bed),
            ("PSY||||7", f"PSY|{trip}|||7"),
        ]
        return message("A01/member.hl7", *changes, control=f"ELM-{day}")

    for one in (
        told_of("A01", 5),
        told_of("A09", 6, trip="XRAY^R2^^ELMHOSP"),
        told_of("A09", 7, trip="MRI^R1^^ELMHOSP"),
        told_of("A10", 8),
        told_of("A02", 9, bed="ICU^1^1^ELMHOSP"),
        told_of("A09", 10, bed="ICU^1^1^ELMHOSP", trip="XRAY^R2^^ELMHOSP"),
        told_of("A03", 11, bed="ICU^1^1^ELMHOSP", trip="MRI^R1^^ELMHOSP"),
    ):
        await whole.take(one)
        await deliver(whole)
    (stays,) = (
        one["location"]
        for one in whole.bodies("Encounter")
        if one.get("period", {}).get("end", "")[:10] == "2026-03-11"
    )
    assert len(stays) == 6
    assert told(endpoint) == [(ADMIT, "in-progress"), (TRANSFER, "in-progress"), (DISCHARGE, "finished")]


async def test_who_hears_of_a_visit_at_its_end_is_told_of_the_end_alone(whole, endpoint):
    subscribe(whole, endpoint.url)
    put(whole, visit(whole, "finished", ("ward-a", "ward-b"), "2026-03-09T10:00:00-05:00"))
    await deliver(whole)
    assert told(endpoint) == [(DISCHARGE, "finished")]
    assert states(whole) == {"sent": 1, "moot": 2}


async def test_what_was_told_and_holds_no_more_is_taken_back_and_told_anew_when_it_holds_again(whole, endpoint):
    subscribe(whole, endpoint.url)
    ended = visit(whole, "finished", end="2026-03-09T10:00:00-05:00")
    for one in (visit(whole), ended, visit(whole), ended):
        put(whole, one)
        await deliver(whole)
    assert told(endpoint) == [
        (ADMIT, "in-progress"),
        (DISCHARGE, "finished"),
        (DISCHARGE, "in-progress"),
        (DISCHARGE, "finished"),
    ]


async def test_what_was_cancelled_before_it_was_told_is_told_to_nobody(whole, endpoint):
    subscribe(whole, endpoint.url)
    put(whole, visit(whole))
    put(whole, visit(whole, "cancelled"))
    await deliver(whole)
    assert (told(endpoint), states(whole)) == ([], {"moot": 2})


async def test_a_cancelled_admission_is_taken_back_from_those_who_were_told(whole, endpoint):
    subscribe(whole, endpoint.url)
    await whole.take(ADMITTED)
    await deliver(whole)
    await whole.take(message("A01/member.hl7", ("ADT^A01^ADT_A01", "ADT^A11^ADT_A09"), control="ELM-UNDO"))
    await deliver(whole)
    assert told(endpoint) == [(ADMIT, "in-progress"), (ADMIT, "cancelled")]


async def test_a_transfer_that_the_recipient_may_not_see_is_not_told(whole, endpoint):
    subscribe(whole, endpoint.url)
    put(whole, visit(whole))
    await deliver(whole)
    moved = visit(whole, places=("ward-a", "ward-b"))
    sud = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}
    unit = {"resourceType": "Location", "id": "ward-b", "name": "Unit", "meta": {"security": [sud]}}
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, unit))
    put(whole, moved)
    await deliver(whole)
    assert told(endpoint) == [(ADMIT, "in-progress")]
    assert states(whole) == {"sent": 1, "withheld": 1}


async def test_a_client_takes_what_it_asked_for(whole, endpoint):
    subscribe(whole, endpoint.url, notify_on=frozenset({DISCHARGE}), notify_header="Authorization: Bearer of-elm")
    await whole.take(ADMITTED, LEFT)
    await deliver(whole)
    assert told(endpoint) == [(DISCHARGE, "finished")]
    assert endpoint.headers[0]["Authorization"] == "Bearer of-elm"


async def test_what_happened_before_the_gateway_was_to_tell_of_it_is_not_told(whole, endpoint):
    subscribe(whole, endpoint.url)
    march = 1_772_000_000_000_000
    put(whole, visit(whole), at=march + 90 * 86_400_000_000)
    await deliver(whole)
    assert (told(endpoint), states(whole)) == ([], {"moot": 1})


# --- exactly one --------------------------------------------------------------------------------------------------


async def test_of_two_processes_one_sends_and_a_lost_claim_comes_back_under_the_same_message_id(whole, endpoint):
    subscribe(whole, endpoint.url)
    put(whole, visit(whole))
    gateway = whole.gateway
    with gateway.database.read() as connection:
        rows = outbox.due(connection, now=whole.clock.now + 1000)
    first = gateway.database.write_sync(lambda tx: outbox.claim(tx, rows, LEASE))
    assert (len(first), gateway.database.write_sync(lambda tx: outbox.claim(tx, rows, LEASE))) == (1, [])
    await deliver(whole)
    assert endpoint.bodies == []
    whole.clock.tick(seconds=LEASE // 1_000_000)
    await deliver(whole)
    gateway.database.write_sync(lambda tx: outbox.mark(tx, rows[0].id, "due"))
    await deliver(whole)
    ids = [(body["id"], body["entry"][0]["resource"]["id"]) for body in map(orjson.loads, endpoint.bodies)]
    assert len(ids) == 2
    assert len(set(ids)) == 1


async def test_a_later_alert_waits_for_the_earlier_one_of_its_visit_and_for_no_other(whole, endpoint):
    subscribe(whole, endpoint.url)
    endpoint.status = 503
    put(whole, visit(whole))
    await deliver(whole)
    endpoint.status = 200
    put(whole, visit(whole, "finished", end="2026-03-09T10:00:00-05:00"))
    put(whole, visit(whole) | {"id": "other"})
    await deliver(whole)
    assert told(endpoint)[1:] == [(ADMIT, "in-progress")]
    whole.clock.tick(seconds=RETRY_AFTER[0])
    await deliver(whole)
    assert told(endpoint)[2:] == [(ADMIT, "finished"), (DISCHARGE, "finished")]


async def test_what_failed_can_be_sent_again_and_what_was_sent_cannot(whole, endpoint):
    subscribe(whole, endpoint.url)
    endpoint.status = 500
    put(whole, visit(whole))
    for wait in (*RETRY_AFTER, 0):
        await deliver(whole)
        whole.clock.tick(seconds=wait)
    with whole.gateway.database.read() as connection:
        (row,) = outbox.list_(connection, states=("failed",))
        assert (row.error, outbox.oldest(connection)) == ("HTTP status 500", None)
    endpoint.status, endpoint.bodies = 200, []
    whole.gateway.database.write_sync(lambda tx: outbox.retry(tx, row.id))
    await deliver(whole)
    assert told(endpoint) == [(ADMIT, "in-progress")]
    with pytest.raises(NotFound):
        whole.gateway.database.write_sync(lambda tx: outbox.retry(tx, row.id))


# --- releases that end --------------------------------------------------------------------------------------------


async def read_on(whole, client="elm-alerts"):
    """Something of Alma's is released to the client."""
    await whole.gateway.share.release(whole.requester(client), Search("Goal", ()))


async def revoke(whole, client="elm-alerts"):
    with whole.gateway.database.read() as connection:
        tokens = policy.organization_tokens(connection, whole.requester(client).organization)
    whole.clock.tick(seconds=1)
    ended = await whole.gateway.ingest.resources.revoke(whole.patient(ALMA), tokens, written=False)
    assert ended
    return ended


async def test_who_received_something_under_a_release_is_told_that_it_ended_and_nothing_else(whole, endpoint):
    subscribe(whole, endpoint.url)
    await read_on(whole)
    (consent,) = await revoke(whole)
    await deliver(whole)
    assert states(whole) == {"sent": 1}
    (body,) = endpoint.bodies
    bundle = orjson.loads(body)
    assert problems(bundle) == []
    (entry,) = bundle["entry"]
    header = entry["resource"]
    assert header["eventCoding"]["code"] == "release-ended"
    assert header["focus"] == [{"reference": f"{whole.gateway.settings.base}/Patient/{whole.patient(ALMA)}"}]
    told = {"resourceType", "id", "eventCoding", "destination", "source", "focus"}
    assert header.keys() <= told
    assert consent.encode() not in body
    assert [name for name in endpoint.headers[0] if name.startswith("X-") and name != "X-Request-Id"] == []


async def test_who_received_nothing_under_it_is_not_told_nor_who_is_of_the_programme(whole, endpoint):
    subscribe(whole, endpoint.url)
    subscribe(whole, endpoint.url, OAK, "oak-alerts")
    await read_on(whole, "oak-alerts")
    await read_on(whole, "icm-system")
    await revoke(whole)
    assert states(whole) == {}


async def test_whom_the_gateway_cannot_tell_a_person_has_to(whole, endpoint):
    subscribe(whole, endpoint.url)
    for client in ("pcmh-elm", "elm-alerts"):
        await read_on(whole, client)
    await revoke(whole)
    with whole.gateway.database.read() as connection:
        noted = {(row.client, row.state, row.error) for row in outbox.list_(connection)}
    assert noted == {
        ("elm-alerts", "due", None), ("pcmh-elm", "failed", "no endpoint: tell them by other means"),
    }  # fmt: skip


async def test_the_notice_is_tried_again_like_any_other_and_is_in_the_ledger(whole, endpoint):
    subscribe(whole, endpoint.url)
    await read_on(whole)
    await revoke(whole)
    endpoint.status = 503
    await deliver(whole)
    assert states(whole) == {"due": 1}
    endpoint.status = 200
    whole.clock.tick(seconds=RETRY_AFTER[0])
    await deliver(whole)
    assert states(whole) == {"sent": 1}
    with whole.gateway.database.read() as connection:
        *_, notice = disclosures(connection, whole.patient(ALMA))
    assert (notice.recipient, notice.resources) == ("elm-alerts", ())


@pytest.mark.parametrize("how", ["status", "removed"])
async def test_however_a_release_ends_it_is_told(whole, endpoint, how):
    subscribe(whole, endpoint.url)
    await read_on(whole)
    with whole.gateway.database.read() as connection:
        tokens = policy.organization_tokens(connection, whole.requester("elm-alerts").organization)
        (consent,) = policy.releases(connection, whole.patient(ALMA), tokens)
    whole.gateway.database.write_sync(
        lambda tx: (
            repository.put(tx, consent | {"status": "rejected"})
            if how == "status"
            else repository.delete(tx, "Consent", consent["id"])
        )
    )
    await deliver(whole)
    assert states(whole) == {"sent": 1}


async def test_a_release_that_holds_again_when_it_would_be_told_is_not_told(whole, endpoint):
    subscribe(whole, endpoint.url)
    await read_on(whole)
    (consent,) = await revoke(whole)
    with whole.gateway.database.read() as connection:
        ended = repository.current(connection, *consent.split("/")).body
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, ended | {"status": "active"}))
    await deliver(whole)
    assert (states(whole), endpoint.bodies) == ({"withheld": 1}, [])


async def test_a_release_that_ends_twice_is_told_twice(whole, endpoint):
    subscribe(whole, endpoint.url)
    await read_on(whole)
    (consent,) = await revoke(whole)
    await deliver(whole)
    with whole.gateway.database.read() as connection:
        ended = repository.current(connection, *consent.split("/")).body
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, ended | {"status": "active"}))
    await revoke(whole)
    await deliver(whole)
    assert states(whole) == {"sent": 2}
