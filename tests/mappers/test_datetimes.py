"""DTM to dateTime, date and instant."""

from zoneinfo import ZoneInfo

import pytest
from elm_sender import NEW_YORK

from fhirgw.errors import InvalidElement
from fhirgw.mappers.datatypes import (
    datetime_to_instant,
    dtm_to_date,
    dtm_to_datetime,
    utc,
)


@pytest.mark.parametrize(
    ("dtm", "expected"),
    [
        ("2026", "2026"),
        ("202603", "2026-03"),
        ("20260305", "2026-03-05"),
        ("20260305-0500", "2026-03-05"),
        ("2026030514", "2026-03-05T14:00:00-05:00"),
        ("202603051430", "2026-03-05T14:30:00-05:00"),
        ("20260305143015", "2026-03-05T14:30:15-05:00"),
        ("20260705143015", "2026-07-05T14:30:15-04:00"),
        ("20260305143015.1234", "2026-03-05T14:30:15.1234-05:00"),
        ("20260305143015+0000", "2026-03-05T14:30:15+00:00"),
        ("20260305143015-0800", "2026-03-05T14:30:15-08:00"),
        ("20260305143015.5+0530", "2026-03-05T14:30:15.5+05:30"),
    ],
)
def test_dtm_to_datetime_keeps_precision_and_offset(dtm, expected):
    assert dtm_to_datetime(dtm, NEW_YORK) == expected


@pytest.mark.parametrize(
    "dtm",
    [
        "",
        "x",
        "202",
        "20261",
        "20261301",
        "20260230",
        "2026030525",
        "202603051460",
        "2026-03-05",
        "0000",
        "00000000",
        "20260305143015+9900",
        "20260305143015+1430",
        "20260305143015+0060",
        "20260305143015Z",
        "\uff12\uff10\uff12\uff16",
    ],
)
def test_dtm_of_broken_syntax_is_an_invalid_element(dtm):
    with pytest.raises(InvalidElement):
        dtm_to_datetime(dtm, NEW_YORK)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026", "2026-01-01T00:00:00-05:00"),
        ("2026-07-05", "2026-07-05T00:00:00-04:00"),
        ("2026-03-05T14:30:15.5-08:00", "2026-03-05T14:30:15.5-08:00"),
    ],
)
def test_an_instant_is_the_beginning_of_what_a_datetime_names(moment, expected):
    assert datetime_to_instant(moment, NEW_YORK) == expected


def test_dtm_to_date_is_the_day_where_it_was_written_down():
    assert dtm_to_date("20260305233015-0500", ZoneInfo("Asia/Tokyo")) == "2026-03-05"
    assert dtm_to_date("198403", NEW_YORK) == "1984-03"


def test_utc_texts_sort_in_time():
    moments = [
        "2025",
        "2026",
        "2026-03",
        "2026-03-05",
        "2026-03-05T00:30:00+00:00",
        "2026-03-05T00:30:00.5+00:00",
        "2026-03-05T00:30:00-05:00",
    ]
    assert sorted(map(utc, moments)) == [utc(moment) for moment in moments]
    assert utc("2026", latest=True) > utc("2026-12-31T23:59:59+00:00") > utc("2026")
