"""Notifications: what consent lets out at the moment of sending, to a partner's real HTTP server."""

import orjson
import pytest
from composed_gateway import ALMA, message
from sqlalchemy import func, select, update
from told_partners import (
    ADMIT,
    ADMITTED,
    DISCHARGE,
    HIDDEN,
    LEFT,
    OAK,
    deliver,
    listening,
    put,
    states,
    subscribe,
    told,
    visit,
)

from fhirgw.audit import disclosures, verify
from fhirgw.errors import NotFound
from fhirgw.notify import LEASE, RETRY_AFTER
from fhirgw.profiles.validation import problems
from fhirgw.store import clients, outbox, parties
from fhirgw.store.schema import client as client_table
from fhirgw.store.schema import outbox as outbox_table


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
    await whole.take(ADMITTED)
    await whole.take(LEFT)
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
        tokens = parties.organization_tokens(connection, whole.requester("elm-alerts").organization)
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
    await whole.take(ADMITTED)
    await whole.take(LEFT)
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
