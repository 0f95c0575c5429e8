"""Whatever the upstream server does, in the end it has of every member what it may have."""

import orjson
import pytest
from composed_gateway import ALMA, composed, message
from mirrored_gateway import add, change, in_step, mirrored, plain, require_in_step, revoke, state
from upstream_server import DEAF, HANG_UP

from fhirgw.errors import InvalidElement, TooLarge
from fhirgw.mirror import LEASE, REFUSED_AFTER
from fhirgw.store import copies
from fhirgw.store import mirror as store

ADMITTED = message("A01/member.hl7")
EVERYBODY = frozenset({"*"})


def once(status, at=3, headers=None):
    """A fault of the n-th transaction alone."""
    seen = []

    def fault(method, path, _body):
        if (method, path) == ("POST", "/fhir"):
            seen.append(path)
            if len(seen) == at:
                return status, headers or {}
        return None

    return fault


async def through(whole, mirror, *, days=0):
    """Deliver until nothing is left, however long the server is to be left alone meanwhile."""
    for _ in range(40):
        await in_step(mirror)
        if not state(whole, store.waiting):
            return
        whole.clock.tick(seconds=3600, days=days)
    raise AssertionError("it never came into step")


@pytest.mark.parametrize("status", [HANG_UP, DEAF, 429, 500, 502, 503, 401])
async def test_a_fault_half_way_leaves_every_member_equal(whole, upstream, status):
    await whole.take(ADMITTED)
    mirror = mirrored(whole, upstream, inside=EVERYBODY)
    upstream.fault = once(status)
    await through(whole, mirror)
    assert await require_in_step(whole, mirror, upstream) > 250
    assert state(whole, copies.counts)["foreign_edits"] == 0


async def test_a_server_that_is_away_for_a_month_loses_nothing_and_is_not_shown_a_member(whole, upstream):
    mirror = mirrored(whole, upstream)
    upstream.fault = lambda *_: 503
    for _ in range(30):
        await mirror.deliver_due()
        whole.clock.tick(days=1)
    assert [path for _, path, _ in upstream.asked[1:]] == ["/fhir/metadata"] * 29
    assert state(whole, store.find).failures == 30
    upstream.fault = lambda *_: None
    await in_step(mirror)
    assert await require_in_step(whole, mirror, upstream) > 20
    assert state(whole, store.find).failures == 0


async def test_a_busy_server_is_left_alone_for_as_long_as_it_says(whole, upstream):
    mirror = mirrored(whole, upstream)
    upstream.fault = once(429, at=1, headers={"Retry-After": "120"})
    await mirror.deliver_due()
    whole.clock.tick(seconds=100)
    assert await mirror.deliver_due() == 0
    assert len(upstream.asked) == 1
    whole.clock.tick(seconds=30)
    await in_step(mirror)
    await require_in_step(whole, mirror, upstream)


async def test_an_answer_that_was_not_heard_is_no_foreign_edit(whole, upstream):
    """As after ``kill -9`` between the sending and the note of it."""
    mirror = mirrored(whole, upstream)
    add(whole, plain(whole, "more"))
    await in_step(mirror)
    upstream.fault = once(DEAF, at=1)
    change(whole, "Condition", "more", onsetDateTime="2026-01-02")
    await mirror.deliver_due()
    assert upstream.current["Condition/more"]["onsetDateTime"] == "2026-01-02"
    whole.clock.tick(seconds=60)
    change(whole, "Condition", "more", onsetDateTime="2026-01-03")
    await through(whole, mirrored(whole, upstream))
    await require_in_step(whole, mirror, upstream)


async def test_somebody_elses_edit_is_noticed_and_replaced(whole, upstream):
    mirror = mirrored(whole, upstream)
    add(whole, plain(whole, "more"))
    await in_step(mirror)
    upstream.put({**upstream.current["Condition/more"], "onsetDateTime": "1999"})
    change(whole, "Condition", "more", onsetDateTime="2026-01-02")
    await in_step(mirror)
    assert state(whole, copies.counts)["foreign_edits"] == 1
    await require_in_step(whole, mirror, upstream)


async def test_what_somebody_else_deleted_comes_back_with_its_next_change(whole, upstream):
    mirror = mirrored(whole, upstream)
    add(whole, plain(whole, "more"))
    await in_step(mirror)
    upstream.delete("Condition/more")
    change(whole, "Condition", "more", onsetDateTime="2026-01-02")
    await in_step(mirror)
    assert state(whole, copies.counts)["foreign_edits"] == 1
    await require_in_step(whole, mirror, upstream)


def refusing(reference, status=422):
    """Every transaction with this resource."""
    return lambda method, path, body: status if f'"url":"{reference}"'.encode() in body else None


async def test_a_refused_member_keeps_nobody_else_waiting_and_is_tried_for_days(whole, upstream):
    mirror = mirrored(whole, upstream, inside=EVERYBODY)
    add(whole, plain(whole, "bad"))
    upstream.fault = refusing("Condition/bad")
    await mirror.deliver_due()
    assert len(upstream.references("Patient")) == 5
    (member,) = state(whole, store.stuck)
    assert (member.patient, member.error) == (whole.patient(ALMA), "HTTP 422 exception")
    for delay in REFUSED_AFTER:
        asked = len(upstream.asked)
        whole.clock.tick(seconds=delay - 30)
        await mirror.deliver_due()
        assert len(upstream.asked) == asked
        whole.clock.tick(seconds=60)
        await mirror.deliver_due()
        assert len(upstream.asked) > asked
    (member,) = state(whole, store.stuck)
    assert member.retry_at is None
    asked = len(upstream.asked)
    whole.clock.tick(days=30)
    await mirror.deliver_due()
    assert len(upstream.asked) == asked
    upstream.fault = lambda *_: None
    whole.gateway.database.write_sync(lambda tx: store.retry(tx, "upstream", member.patient))
    await in_step(mirror)
    await require_in_step(whole, mirror, upstream)


async def test_a_member_whose_record_cannot_be_released_keeps_nobody_else_waiting(whole, upstream, monkeypatch):
    mirror = mirrored(whole, upstream, inside=EVERYBODY)
    released, alma = whole.gateway.share.release, whole.patient(ALMA)

    async def release(requester, ask):
        if ask.patient == alma:
            raise TooLarge("More is behind this than can be said.")
        return await released(requester, ask)

    monkeypatch.setattr(whole.gateway.share, "release", release)
    await mirror.deliver_due()
    assert len(upstream.references("Patient")) == 5
    (member,) = state(whole, store.stuck)
    assert (member.patient, member.error) == (alma, "TooLarge")
    monkeypatch.undo()
    await through(whole, mirror)
    await require_in_step(whole, mirror, upstream)


async def test_a_hidden_change_does_not_send_what_was_refused_again(whole, upstream):
    mirror = mirrored(whole, upstream)
    add(whole, plain(whole, "bad"))
    upstream.fault = refusing("Condition/bad")
    await mirror.deliver_due()
    asked = len(upstream.asked)
    add(whole, plain(whole, "hidden", "F11.20"))
    assert await mirror.deliver_due() == 1
    assert len(upstream.asked) == asked
    add(whole, plain(whole, "bad", "I10"))
    upstream.fault = lambda *_: None
    await in_step(mirror)
    await require_in_step(whole, mirror, upstream)


async def test_what_is_refused_keeps_no_deletion_back(whole, upstream):
    mirror = mirrored(whole, upstream)
    add(whole, plain(whole, "goes"))
    await in_step(mirror)
    add(whole, plain(whole, "bad"), plain(whole, "goes", "F11.20"))
    upstream.fault = refusing("Condition/bad")
    await mirror.deliver_due()
    assert "Condition/goes" not in upstream.current


async def test_a_server_that_takes_a_part_gets_the_rest_again(whole, upstream):
    mirror = mirrored(whole, upstream)
    add(whole, plain(whole, "more"), plain(whole, "other"))
    whole_answer, sent = upstream.transaction, []

    def partly(bundle):
        sent.append(bundle)
        left = [at for at, one in enumerate(bundle["entry"]) if one["request"]["url"] == "Condition/more"]
        if len(sent) > 1 or not left:
            return whole_answer(bundle)
        kept = [one for at, one in enumerate(bundle["entry"]) if at not in left]
        status, headers, answer = whole_answer({**bundle, "entry": kept})
        answer["entry"].insert(left[0], {"response": {"status": "422 Unprocessable"}})
        return status, headers, answer

    upstream.transaction = partly
    await mirror.deliver_due()
    (member,) = state(whole, store.stuck)
    assert member.error.startswith("HTTP 200 1 of")
    await through(whole, mirror)
    await require_in_step(whole, mirror, upstream)


async def test_a_revocation_while_the_server_is_away_sends_nothing_but_deletions(whole, upstream):
    mirror = mirrored(whole, upstream)
    upstream.fault = once(HANG_UP, at=2)
    add(whole, *(plain(whole, f"many-{at}") for at in range(300)))
    await mirror.deliver_due()
    there = len(upstream.current)
    assert there
    await revoke(whole, mirror)
    whole.clock.tick(seconds=600)
    before = len(upstream.transactions())
    await in_step(mirror)
    after = upstream.transactions()[before:]
    assert {one["request"]["method"] for bundle in after for one in bundle["entry"]} == {"DELETE"}
    assert upstream.current == {}


async def test_a_transaction_is_no_larger_than_it_may_be_and_refers_to_nothing_that_comes_later(whole, upstream):
    mirror = mirrored(whole, upstream)
    add(whole, *(plain(whole, f"many-{at}") for at in range(500)))
    await in_step(mirror)
    sizes = [len(bundle["entry"]) for bundle in upstream.transactions()]
    assert len(sizes) > 2
    assert max(sizes) <= 200
    await require_in_step(whole, mirror, upstream)


async def test_no_content_is_in_what_is_kept_of_a_refusal(whole, upstream):
    mirror = mirrored(whole, upstream)
    add(whole, plain(whole, "bad"))
    upstream.fault = refusing("Condition/bad", status=400)
    await mirror.deliver_due()
    (member,) = state(whole, store.stuck)
    assert "Doe" not in orjson.dumps(member.error).decode()


def test_an_upstream_server_is_a_registered_client(tmp_path):
    with pytest.raises(InvalidElement), composed(tmp_path, upstream="http://127.0.0.1:1/fhir"):
        pass


class KilledError(BaseException):
    """The process is there no more."""


async def test_a_process_that_was_killed_is_waited_for_and_its_work_finished(whole, upstream, monkeypatch):
    """``kill -9`` after the server took a transaction and before that was noted."""
    killed = mirrored(whole, upstream, inside=EVERYBODY)
    note, write, notes = killed._record, whole.gateway.database.write, []

    async def killed_at_the_second(*taken):
        notes.append(taken)
        if len(notes) == 2:
            monkeypatch.setattr(whole.gateway.database, "write", never)
            raise KilledError
        await note(*taken)

    async def never(_unit):
        """Nothing of the process runs any more."""

    monkeypatch.setattr(killed, "_record", killed_at_the_second)
    with pytest.raises(KilledError):
        await killed.deliver_due()
    monkeypatch.setattr(whole.gateway.database, "write", write)
    successor = mirrored(whole, upstream)
    successor._holder = "successor"
    assert await successor.deliver_due() == 0
    whole.clock.tick(seconds=LEASE // 1_000_000 + 1)
    await in_step(successor)
    assert await require_in_step(whole, successor, upstream) > 250
    assert state(whole, copies.counts)["foreign_edits"] == 0
