"""Which open Tasks are overdue at an instant."""

from datetime import UTC, datetime, timedelta

import pytest

from fhirgw.clocks import breaches, due_at

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
    assert list(breaches([TASK], DUE + timedelta(seconds=1))) == [{**TASK, "businessStatus": BREACHED}]


def test_a_breach_is_said_once():
    late = DUE + timedelta(days=1)
    assert list(breaches(breaches([TASK], late), late)) == []


@pytest.mark.parametrize("status", ["completed", "cancelled", "rejected", "failed", "entered-in-error", "draft"])
def test_a_task_that_is_not_open_is_left_alone(status):
    assert list(breaches([{**TASK, "status": status}], DUE + timedelta(days=1))) == []


def test_a_task_without_a_due_time_is_never_overdue():
    task = {name: value for name, value in TASK.items() if name != "restriction"}
    assert list(breaches([task], DUE + timedelta(days=999))) == []
