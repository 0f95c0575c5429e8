"""The mirror: an upstream server has of every member what it may have, and nothing else."""

import asyncio

from composed_gateway import ALMA, message
from mirrored_gateway import add, change, in_step, mirrored, plain, require_in_step, revoke, state
from patience import PATIENCE
from sqlalchemy import select
from upstream_server import upstream_server

from fhirgw.audit import disclosures, verify
from fhirgw.store import clients, copies, policy, repository
from fhirgw.store import mirror as store
from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.schema import mirror as mirror_table

CLEARED = {"system": "http://fhirgw.org/fhir/CodeSystem/icm-text-review", "code": "cleared"}
HIDDEN = ("F1120", "F11.20", "pioid", "withdrawal", '"SUD"', "sober", "CT-TEST-0006")
ADMITTED = message("A01/member.hl7")


async def test_outside_it_has_what_is_released_and_nothing_hidden(whole, upstream):
    await whole.take(ADMITTED)
    mirror = mirrored(whole, upstream)
    await in_step(mirror)
    assert await require_in_step(whole, mirror, upstream) > 40
    assert upstream.references("Patient") == [f"Patient/{whole.patient(ALMA)}"]
    told = b"".join(body for _, _, body in upstream.asked).decode().lower()
    assert [word for word in HIDDEN if word.lower() in told] == []
    assert {headers["Authorization"] for headers in upstream.headers} == {"Bearer a-token"}


async def test_inside_it_has_a_full_copy(whole, upstream):
    await whole.take(ADMITTED)
    mirror = mirrored(whole, upstream, inside=frozenset({"*"}))
    await in_step(mirror)
    assert await require_in_step(whole, mirror, upstream) > 250
    stored = {"/".join(key) for key in whole.everything() if key[0] not in PATIENT_FREE}
    assert stored <= set(upstream.current)


async def test_what_it_got_is_accounted_for(whole, upstream):
    mirror = mirrored(whole, upstream)
    await in_step(mirror)
    with whole.gateway.database.read() as connection:
        (line,) = [one for one in disclosures(connection, whole.patient(ALMA)) if one.recipient == "upstream"]
        assert list(verify(connection, whole.gateway.keys.audit)) == []
    assert line.consents
    assert line.request_id in {headers["X-Request-Id"] for headers in upstream.headers}


async def test_a_change_sends_what_changed_against_the_version_that_is_there(whole, upstream):
    mirror = mirrored(whole, upstream)
    await in_step(mirror)
    add(whole, plain(whole, "more"))
    await in_step(mirror)
    version = upstream.current["Condition/more"]["meta"]["versionId"]
    change(whole, "Condition", "more", onsetDateTime="2026-01-02")
    await in_step(mirror)
    *_, created, changed = upstream.transactions()
    assert [entry["request"] for entry in created["entry"]] == [{"method": "PUT", "url": "Condition/more"}]
    request = {"method": "PUT", "url": "Condition/more", "ifMatch": f'W/"{version}"'}
    assert [entry["request"] for entry in changed["entry"]] == [request]
    await require_in_step(whole, mirror, upstream)


async def test_a_hidden_change_sends_nothing(whole, upstream):
    mirror = mirrored(whole, upstream)
    await in_step(mirror)
    asked = len(upstream.asked)
    add(whole, plain(whole, "hidden", "F11.20"))
    assert await mirror.deliver_due() == 1
    assert len(upstream.asked) == asked


async def test_what_becomes_hidden_is_deleted_and_what_is_about_nobody_goes_with_its_last_mention(whole, upstream):
    somebody = {"resourceType": "Practitioner", "id": "asserter", "name": [{"family": "Zzz"}]}
    mirror = mirrored(whole, upstream)
    add(whole, somebody, plain(whole, "more", asserter={"reference": "Practitioner/asserter"}))
    await in_step(mirror)
    assert {"Condition/more", "Practitioner/asserter"} <= set(upstream.current)
    add(whole, plain(whole, "more", "F11.20", asserter={"reference": "Practitioner/asserter"}))
    await in_step(mirror)
    assert upstream.sent()[-2:] == [("DELETE", "Condition/more"), ("DELETE", "Practitioner/asserter")]
    await require_in_step(whole, mirror, upstream)


async def test_a_changed_registered_organization_goes_to_those_whose_records_refer_to_it(whole, upstream):
    mirror = mirrored(whole, upstream)
    known = {"resourceType": "Organization", "id": "known", "name": "Before"}

    def registry(tx):
        repository.put(tx, known, standing="registry")

    whole.gateway.database.write_sync(registry)
    add(whole, plain(whole, "more", recorder={"reference": "Organization/known"}))
    await in_step(mirror)
    change(whole, "Organization", "known", name="After")
    await in_step(mirror)
    assert upstream.current["Organization/known"]["name"] == "After"
    await require_in_step(whole, mirror, upstream)


async def test_a_revocation_deletes_everything(whole, upstream):
    mirror = mirrored(whole, upstream)
    await in_step(mirror)
    await revoke(whole, mirror)
    await in_step(mirror)
    assert upstream.current == {}
    assert await require_in_step(whole, mirror, upstream) == 0
    assert state(whole, copies.counts)["history_left"] == state(whole, copies.counts)["resources"] + len(
        upstream.versions
    )
    assert all(kept[0][2] is not None for kept in upstream.versions.values())


async def test_where_the_server_can_forget_a_revocation_leaves_no_older_version(whole, upstream):
    upstream.expunges = True
    mirror = mirrored(whole, upstream)
    await in_step(mirror)
    await revoke(whole, mirror)
    await in_step(mirror)
    assert state(whole, copies.counts)["history_left"] == 0
    assert not any(upstream.versions.values())


async def test_what_is_redacted_is_replaced(whole, upstream):
    goal = {"resourceType": "Goal", "id": "goal", "lifecycleStatus": "active", "meta": {"tag": [CLEARED]},
            "description": {"text": "Walk"}, "subject": {"reference": f"Patient/{whole.patient(ALMA)}"},
            "addresses": [{"reference": "Condition/more"}]}  # fmt: skip
    mirror = mirrored(whole, upstream)
    add(whole, plain(whole, "more"), goal)
    await in_step(mirror)
    assert upstream.current["Goal/goal"]["addresses"] == [{"reference": "Condition/more"}]
    add(whole, plain(whole, "more", "F11.20"))
    await in_step(mirror)
    assert upstream.sent()[-2:] == [("PUT", "Goal/goal"), ("DELETE", "Condition/more")]
    assert "addresses" not in upstream.current["Goal/goal"]


async def test_a_consent_that_ends_by_itself_deletes(whole, upstream):
    mirror = mirrored(whole, upstream)
    await in_step(mirror)
    assert upstream.current
    whole.clock.tick(days=40_000)
    await in_step(mirror)
    assert upstream.current == {}


async def test_a_client_that_is_revoked_gets_nothing_any_more(whole, upstream):
    mirror = mirrored(whole, upstream)
    whole.gateway.database.write_sync(lambda tx: clients.revoke(tx, "upstream"))
    assert await mirror.deliver_due() == 0
    assert upstream.asked == []


async def test_another_server_under_the_same_client_starts_with_nothing(whole, upstream):
    await in_step(mirrored(whole, upstream))
    with upstream_server() as other:
        mirror = mirrored(whole, other)
        await in_step(mirror)
        await require_in_step(whole, mirror, other)
        assert other.current


async def test_two_processes_do_not_speak_with_a_server_at_once(whole, upstream):
    first, second = mirrored(whole, upstream), mirrored(whole, upstream)
    second._holder = "another"
    seen = []
    upstream.fault = lambda *_: seen.append(state(whole, lambda c, of: c.scalar(select(mirror_table.c.holder))))
    await asyncio.gather(in_step(first), in_step(second))
    assert len({*seen}) == 1
    await in_step(second)
    await require_in_step(whole, second, upstream)


async def test_nothing_of_a_transaction_goes_on_after_the_commit_of_a_revocation(whole, upstream):
    notes = [{"text": "x" * 500_000}, {"text": "y" * 500_000}]
    mirror = mirrored(whole, upstream, inside=frozenset({"*"}))
    await in_step(mirror)
    add(whole, plain(whole, "large", note=notes * 4))
    handed = []

    def revoked(received):
        if received > 100_000 and not handed:
            whole.gateway.database.write_sync(lambda tx: policy.bump(tx, whole.patient(ALMA)))
            handed.append(received)

    upstream.on_piece = revoked
    before = len(upstream.transactions())
    part = await mirror._part(
        mirror.requester(), *state(whole, lambda c, of: store.due(c, of, 1 << 60)), frozenset()
    )
    assert await mirror._send(part) is None
    assert len(upstream.transactions()) == before
    received = upstream.broken_off.get(timeout=PATIENCE)  # who hands over the piece, notes that afterwards
    assert handed[0] <= received < len(part.released.body)
    await in_step(mirror)
    assert "Condition/large" in upstream.current
