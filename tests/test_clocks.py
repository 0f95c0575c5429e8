"""Which open Tasks are overdue at an instant."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from composed_gateway import ALMA, composed

from fhirgw import metrics
from fhirgw.clocks import breaches, due_at, keep, review_due
from fhirgw.ingest.precedence import put
from fhirgw.store import repository, task_clock
from fhirgw.store.schema import task_clock as table

DUE = datetime(2025, 5, 6, 6, 59, 59, tzinfo=UTC)
TASK = {
    "resourceType": "Task",
    "id": "t1",
    "status": "requested",
    "intent": "plan",
    "restriction": {"period": {"end": "2025-05-05T23:59:59-07:00"}},
}
BREACHED = {
    "coding": [{"system": "http://fhirgw.org/fhir/CodeSystem/icm-clock-status", "code": "breached"}],
}


def test_due_is_an_instant_whatever_its_offset():
    assert due_at(TASK) == DUE
    assert due_at({"resourceType": "Task"}) is None


def test_the_last_second_is_in_time_and_the_next_is_not():
    assert list(breaches([TASK], DUE)) == []
    expected = {**TASK, "businessStatus": BREACHED, "priority": "urgent"}
    assert list(breaches([TASK], DUE + timedelta(seconds=1))) == [expected]


def test_a_breach_is_said_once():
    late = DUE + timedelta(days=1)
    assert list(breaches(breaches([TASK], late), late)) == []


@pytest.mark.parametrize("status", ["completed", "cancelled", "rejected", "failed", "entered-in-error", "draft"])
def test_a_task_that_is_not_open_is_left_alone(status):
    assert list(breaches([{**TASK, "status": status}], DUE + timedelta(days=1))) == []


def test_a_task_without_a_due_time_is_never_overdue():
    task = {name: value for name, value in TASK.items() if name != "restriction"}
    assert list(breaches([task], DUE + timedelta(days=999))) == []


@pytest.mark.parametrize(("stated", "then"), [(None, "urgent"), ("routine", "urgent"), ("stat", "stat")])
def test_a_breach_is_urgent_and_lowers_nothing(stated, then):
    task = TASK | ({"priority": stated} if stated else {})
    [late] = breaches([task], DUE + timedelta(days=1))
    assert late["priority"] == then


# --- in the store -------------------------------------------------------------------------------------------------


@pytest.fixture
def whole(tmp_path):
    with composed(tmp_path) as gateway:
        gateway.gateway.database.write_sync(lambda tx: tx.connection.execute(table.delete()))
        yield gateway


def due_in(whole, days, *names, status="requested"):
    """Tasks of ALMA that are due in so many days."""
    end = datetime.fromtimestamp(whole.clock.now / 1_000_000, UTC) + timedelta(days=days)
    patient = {"reference": f"Patient/{whole.patient(ALMA)}"}

    def unit(tx):
        for name in names:
            task = {**TASK, "id": name, "for": patient, "status": status, "authoredOn": "2026-01-01T00:00:00Z"}
            put(tx, task | {"restriction": {"period": {"end": end.isoformat()}}})

    whole.gateway.database.write_sync(unit)


def standing(whole, name):
    with whole.gateway.database.read() as connection:
        return task_clock.standing(repository.current(connection, "Task", name).body)


async def test_what_is_overdue_is_marked_once_and_counted(whole):
    due_in(whole, 1, "late")
    due_in(whole, 3, "early")
    counted = metrics.breaches._value.get()
    assert await review_due(whole.gateway.database) == 0
    whole.clock.tick(days=2)
    assert await review_due(whole.gateway.database) == 1
    assert (standing(whole, "late"), standing(whole, "early")) == ("breached", None)
    before = whole.everything()
    assert await review_due(whole.gateway.database) == 0
    assert (whole.everything(), metrics.breaches._value.get()) == (before, counted + 1)


async def test_more_than_a_batch_is_marked_in_one_review(whole, monkeypatch):
    monkeypatch.setattr("fhirgw.clocks.BATCH", 2)
    due_in(whole, 1, "a", "b", "c", "d", "e")
    whole.clock.tick(days=2)
    assert await review_due(whole.gateway.database) == 5


async def test_what_is_done_in_time_is_never_overdue(whole):
    due_in(whole, 1, "done")
    due_in(whole, 1, "done", status="completed")
    whole.clock.tick(days=2)
    assert await review_due(whole.gateway.database) == 0


async def test_what_was_missed_while_nobody_ran_is_found_at_the_start(whole):
    due_in(whole, 1, "late")
    whole.clock.tick(days=30)

    async def stop(_):
        raise asyncio.CancelledError

    async def broken():
        raise ZeroDivisionError

    with pytest.raises(asyncio.CancelledError):
        await keep({"broken": broken, "tasks": partial(review_due, whole.gateway.database)}, wait=stop)
    assert standing(whole, "late") == "breached"
