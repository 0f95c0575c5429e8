"""FHIR dateTimes as instants: a partial one is the whole of its year, month or day, in the Consent's zone."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from fhirgw.consent.model import Json

_DATE_TIME = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?")
_PERIOD = frozenset({"id", "extension", "start", "_start", "end", "_end"})
_TICK = timedelta(microseconds=1)

Span = tuple[datetime | None, datetime | None]
"""First and last instant; None is open-ended."""


def span(text: object, zone: tzinfo) -> tuple[datetime, datetime] | None:
    """First and last instant of a FHIR dateTime; None when it is not one."""
    return _span(text, zone) if isinstance(text, str) else None


@lru_cache(maxsize=8192)
def _span(text: str, zone: tzinfo) -> tuple[datetime, datetime] | None:
    match = _DATE_TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        tz = _offset(offset) if offset else zone
        start = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=tz
        ) + timedelta(seconds=float(fraction or 0))
        return start.astimezone(UTC), _next(start, match.groups()).astimezone(UTC) - _TICK
    except (ValueError, OverflowError):
        return None


def _next(start: datetime, stated: tuple[str | None, ...]) -> datetime:
    """The start of the year, month, day, minute or second that follows; wall time, so that zones count."""
    _, month, day, hour, _, second, fraction, _ = stated
    if month is None:
        return start.replace(year=start.year + 1)
    if day is None:
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    if hour is None:
        return start + timedelta(days=1)
    return start + (_TICK if fraction else timedelta(seconds=1) if second else timedelta(minutes=1))


def _offset(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))


def zone_of(consent: Json, default: str) -> tzinfo:
    """The Consent's zone: the offset its ``dateTime`` carries; the default where it carries none, or that of then.

    An offset says no zone: a Consent signed in winter runs to the end of a day in summer, by the summer's clock.
    """
    stated = consent.get("dateTime")
    return _zone_of(stated, default) if isinstance(stated, str) else ZoneInfo(default)


@lru_cache(maxsize=8192)
def _zone_of(signed: str, default: str) -> tzinfo:
    own, match = ZoneInfo(default), _DATE_TIME.fullmatch(signed.strip())
    if match is None or not match[8] or (when := span(signed, UTC)) is None:
        return own
    offset = _offset(match[8])
    return own if when[0].astimezone(own).utcoffset() == offset.utcoffset(None) else offset


def period_span(period: object, zone: tzinfo) -> Span | None:
    """Period as its first and last instant, both included; None when it cannot be read.

    Nor can one that says something else than a start and an end, says that one of them is unknown, or ends before
    it starts.
    """
    if not isinstance(period, dict) or not period.keys() <= _PERIOD:
        return None
    if any(f"_{name}" in period and name not in period for name in ("start", "end")):
        return None
    bounds: list[datetime | None] = []
    for name, side in (("start", 0), ("end", 1)):
        if name not in period:
            bounds.append(None)
            continue
        read = span(period[name], zone)
        if read is None:
            return None
        bounds.append(read[side])
    start, end = bounds
    return None if start is not None and end is not None and end < start else (start, end)


def within(at: datetime, when: Span | None) -> bool | None:
    """Whether the instant is inside; None (unknown) when the span could not be read."""
    if when is None:
        return None
    return (when[0] is None or when[0] <= at) and (when[1] is None or at <= when[1])


def changes(when: Span | None) -> Iterator[datetime]:
    """The instants at which ``within`` changes its answer."""
    if when is not None:
        if when[0] is not None:
            yield when[0]
        if when[1] is not None:
            yield when[1] + _TICK
