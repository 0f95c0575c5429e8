"""What every fact of a programme is made of: the passage it comes from, and lengths of time."""

import calendar
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Unit = Literal["day", "working-day", "week", "month"]


class Model(BaseModel):
    """Frozen, and closed: an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Source(Model):
    """A passage of the programme's document."""

    section: Annotated[str, Field(min_length=1)]
    words: Annotated[str, Field(min_length=1)]


class Fact(Model):
    """Something that a programme's document states."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    configurable: bool = False
    """The source names no number, or two: the value is the site's to set."""


class Span(Model):
    """A length of time."""

    amount: Annotated[int, Field(ge=1)]
    unit: Unit

    def after(self, start: date, holidays: frozenset[date] = frozenset()) -> date:
        """The day this long after ``start``.

        Months are calendar months, and 31 January plus one is the last of
        February; working days are Monday to Friday without the holidays.
        """
        if self.unit == "month":
            return months_after(start, self.amount)
        if self.unit == "working-day":
            day, left = start, self.amount
            while left:
                day += timedelta(days=1)
                left -= day.weekday() < 5 and day not in holidays
            return day
        return start + timedelta(days=self.amount * (7 if self.unit == "week" else 1))

    def before(self, end: date) -> date:
        """The first day of the time of this length that ends with ``end``; not in working days."""
        if self.unit == "month":
            return months_after(end, -self.amount)
        return end - timedelta(days=self.amount * (7 if self.unit == "week" else 1))


def months_after(start: date, amount: int) -> date:
    """The day so many calendar months later, or earlier; 31 January plus one is the last of February."""
    month = start.month - 1 + amount
    year, month = start.year + month // 12, month % 12 + 1
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))


class CodedFact(Fact):
    """A fact with a code of its own."""

    code: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=31)]
    """With the programme's id, at most 64 characters: the longest id of a resource."""
