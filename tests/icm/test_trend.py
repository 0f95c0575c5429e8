"""How a score moves over time."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from fhirgw.icm.trend import Change, changes

MARCH, JUNE, SEPTEMBER = (datetime(2025, month, 1, tzinfo=UTC) for month in (3, 6, 9))


def test_each_result_is_compared_with_the_one_before_it_in_time():
    found = changes([(SEPTEMBER, 40.0), (MARCH, 38.5), (JUNE, 38.5)])
    assert found == {JUNE: Change(0.0, None), SEPTEMBER: Change(1.5, better=True)}


def test_which_way_is_better_is_the_instruments():
    assert changes([(MARCH, 14.0), (JUNE, 9.0)], higher_is_better=False)[JUNE] == Change(-5.0, better=True)


def test_one_result_is_no_trend():
    assert changes([(MARCH, 1.0)]) == changes([]) == {}


@given(st.lists(st.tuples(st.datetimes(), st.integers(-100, 100).map(float)), unique_by=lambda result: result[0]))
def test_the_changes_add_up_to_the_last_less_the_first(results):
    in_time = sorted(results)
    moved = sum(change.by for change in changes(results).values())
    assert moved == (in_time[-1][1] - in_time[0][1] if in_time else 0)
