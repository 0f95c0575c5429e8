"""Who received something under a release is told that it ended."""

import orjson
import pytest
from composed_gateway import ALMA
from told_partners import OAK, deliver, states, subscribe

from fhirgw.asks import Search
from fhirgw.audit import disclosures
from fhirgw.notify import RETRY_AFTER
from fhirgw.profiles.validation import problems
from fhirgw.store import outbox, parties, policy, repository


async def read_on(whole, client="elm-alerts"):
    """Something of Alma's is released to the client."""
    await whole.gateway.share.release(whole.requester(client), Search("Goal", ()))


async def revoke(whole, client="elm-alerts"):
    with whole.gateway.database.read() as connection:
        tokens = parties.organization_tokens(connection, whole.requester(client).organization)
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
        tokens = parties.organization_tokens(connection, whole.requester("elm-alerts").organization)
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
