"""A date in a Consent is the whole of that day where it was signed: by its offset, or else of the organization."""

from datetime import UTC, datetime, timedelta

import pytest
from consent_cases import consent, policy, request, roi
from three_readings import Part, readings

from fhirgw.consent.instants import zone_of
from fhirgw.consent.model import ConsentSettings

TICK = timedelta(microseconds=1)
NEW_YORK, KIRITIMATI, UTC_ITSELF = "America/New_York", "Pacific/Kiritimati", "UTC"
HERE = "2026-01-01"  # the day alone
WINTER, SUMMER = "2026-01-05T09:00:00-05:00", "2025-07-01T09:00:00-04:00"

DAYS = [
    # zone of the organization, when it was signed, first and last day, first instant, first that is out
    (NEW_YORK, HERE, ("2026-01-02", "2026-06-30"), "2026-01-02T05:00Z", "2026-07-01T04:00Z"),
    (NEW_YORK, HERE, ("2026-03-08", "2026-03-08"), "2026-03-08T05:00Z", "2026-03-09T04:00Z"),  # has 23 hours
    (NEW_YORK, HERE, ("2026-11-01", "2026-11-01"), "2026-11-01T04:00Z", "2026-11-02T05:00Z"),  # has 25
    (NEW_YORK, HERE, ("2026-02", "2026-10"), "2026-02-01T05:00Z", "2026-11-01T04:00Z"),
    (NEW_YORK, WINTER, ("2026-01-06", "2026-06-30"), "2026-01-06T05:00Z", "2026-07-01T04:00Z"),
    (NEW_YORK, SUMMER, ("2026-01-06", "2026-06-30"), "2026-01-06T05:00Z", "2026-07-01T04:00Z"),
    (NEW_YORK, "2026-01-05T09:00:00-08:00", ("2026-01-06", "2026-06-30"), "2026-01-06T08:00Z", "2026-07-01T08:00Z"),
    (NEW_YORK, "2026-01-05T14:00:00Z", ("2026-01-06", "2026-06-30"), "2026-01-06T00:00Z", "2026-07-01T00:00Z"),
    (KIRITIMATI, HERE, ("2026-01-02", "2026-06-30"), "2026-01-01T10:00Z", "2026-06-30T10:00Z"),
    (UTC_ITSELF, HERE, ("2026-01-02", "2026-06-30"), "2026-01-02T00:00Z", "2026-07-01T00:00Z"),
    (
        "America/Santiago",
        HERE,
        ("2026-09-06", "2026-09-06"),
        "2026-09-06T04:00Z",
        "2026-09-07T03:00Z",
    ),  # no midnight
]


@pytest.mark.parametrize(("zone", "signed", "days", "begins", "over"), DAYS)
def test_a_release_holds_from_its_first_instant_to_the_last_of_its_last_day(zone, signed, days, begins, over):
    given = policy(roi("R", period=dict(zip(("start", "end"), days, strict=True))) | {"dateTime": signed})
    begins, over = (datetime.fromisoformat(moment) for moment in (begins, over))
    assert [said(given, at, zone) for at in (begins - TICK, begins, over - TICK, over)] == [
        "DENY", "PERMIT", "PERMIT", "DENY"
    ]  # fmt: skip


def said(given, at, zone):
    """What the three readings say alike."""
    [one] = readings(request(at=at), given, ConsentSettings(zone=zone), [PLAIN])
    assert one.agree
    return one.decided


PLAIN = ({"resourceType": "CarePlan", "id": "plain"}, (), 3, Part((), 3))


def test_an_offset_that_is_none_says_no_zone():
    for text in ("2026-01-01T00:00:00+99:00", "2026-13-01T00:00:00-05:00", "yesterday", 7, None):
        assert zone_of(consent({}, dateTime=text), NEW_YORK).key == NEW_YORK
    assert zone_of(consent({}, dateTime="2026-01-01T00:00:00+00:00"), NEW_YORK) is UTC
