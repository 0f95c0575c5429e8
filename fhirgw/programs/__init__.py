"""The programmes as data: one TOML file each, every fact with the words of its source.

A new programme is a new file. ``load`` refuses a file that contradicts itself; where a source contradicts
itself (BC: "three days" and "three working days") both passages are cited and the fact is marked
``configurable``.
"""

import calendar
import tomllib
from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, model_validator

Unit = Literal["day", "working-day", "week", "month"]
Anchor = Literal[
    "referral", "first-contact", "eligibility", "admission", "plan", "plan-review", "assessment", "contact",
    "consultation", "medication-review", "withdrawal", "crisis", "inpatient-or-ed-visit", "low-contact",
]  # fmt: skip
"""What may start or meet a clock."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Source(_Model):
    """A passage of the programme's document."""

    section: Annotated[str, Field(min_length=1)]
    words: Annotated[str, Field(min_length=1)]


class _Fact(_Model):
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    configurable: bool = False
    """The source names no number, or two: the value is the site's to set."""


class Span(_Model):
    """A length of time."""

    amount: Annotated[int, Field(ge=1)]
    unit: Unit

    def after(self, start: date, holidays: frozenset[date] = frozenset()) -> date:
        """The day this long after ``start``.

        The day this long after ``start``; months are calendar months, and 31 January plus one is the last of
        February; working days are Monday to Friday without the holidays.
        """
        if self.unit == "month":
            month = start.month - 1 + self.amount
            year, month = start.year + month // 12, month % 12 + 1
            return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))
        if self.unit == "working-day":
            day, left = start, self.amount
            while left:
                day += timedelta(days=1)
                left -= day.weekday() < 5 and day not in holidays
            return day
        return start + timedelta(days=self.amount * (7 if self.unit == "week" else 1))


class _CodedFact(_Fact):
    code: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]


class Clock(_Fact):
    """Something that is due: how long after what."""

    id: Annotated[str, Field(pattern=r"^[A-Z0-9-]+$")]
    title: str
    starts: Anchor
    first_from: Anchor | None = None
    """A recurring clock runs from this before its first occurrence."""
    due: Span | None = None
    """None: the source names no length and the site sets none; then there is no due time."""
    met_by: Anchor | None = None
    recurs: bool = False

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.due is None and not self.configurable:
            raise ValueError(f"{self.id}: a clock without a length is configurable")
        if self.recurs and self.met_by is not None:
            raise ValueError(f"{self.id}: a recurring clock is met by its next start")
        if not self.recurs and self.first_from is not None:
            raise ValueError(f"{self.id}: only a recurring clock has a first start")
        if self.starts == self.met_by:
            raise ValueError(f"{self.id}: a clock cannot be met by what starts it")
        return self


class Cadence(_Model):
    """How often somebody is met."""

    frequency: Annotated[int, Field(ge=1)] = 1
    frequency_max: Annotated[int, Field(ge=1)] | None = None
    period: Annotated[int, Field(ge=1)] = 1
    period_max: Annotated[int, Field(ge=1)] | None = None
    unit: Literal["d", "wk", "mo"]
    minutes: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if self.frequency_max is not None and self.frequency_max <= self.frequency:
            raise ValueError("frequency_max is above frequency")
        if self.period_max is not None and self.period_max <= self.period:
            raise ValueError("period_max is above period")
        return self


class Tier(_CodedFact):
    """A level of service, with who meets the member how often."""

    name: str
    roles: tuple[str, ...]
    """Each of them keeps the cadence."""
    cadence: Cadence


class Role(_CodedFact):
    """A role on the care team; ``nucc`` is the nearest code of the provider taxonomy."""

    name: str
    nucc: str | None = None
    nucc_display: str | None = None


class Section(_CodedFact):
    """A part of the care plan."""

    name: str


class Criterion(_CodedFact):
    """One admission criterion or discharge reason."""

    text: str


class Rule(_Fact):
    """What an ADT event does: for a member the plan is revised, a candidate is referred and contacted."""

    classes: Annotated[frozenset[str], Field(min_length=1)]
    """Encounter.class codes that count."""
    due: Span | None = None


class Referral(_Model):
    """The rules for the two kinds of people on a roster."""

    member: Rule
    candidate: Rule


class Plan(_CodedFact):
    """What the programme calls its care plan."""

    name: str


class Organization(_Model):
    """Who runs the programme (synthetic here)."""

    system: str
    value: str
    name: str


class Program(_Model):
    """A programme. See: the ICM facts, §1."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=32)]
    name: str
    document: str
    """Title of the source that every ``section`` belongs to."""
    jurisdiction: Annotated[str, Field(pattern=r"^(US|CA)(-[A-Z]{2})?$")]
    zone: str
    part2: bool
    """Whether the unit is a federally assisted programme under 42 CFR Part 2: then all of its records are SUD."""
    organization: Organization
    holidays: frozenset[date] = frozenset()
    phone_needs_barrier: bool = False
    plan: Plan
    tiers: tuple[Tier, ...] = ()
    clocks: tuple[Clock, ...] = ()
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    sections: tuple[Section, ...] = ()
    admission: tuple[Criterion, ...] = ()
    discharge: tuple[Criterion, ...] = ()
    referral: Referral

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.part2 and not self.jurisdiction.startswith("US"):
            raise ValueError("42 CFR Part 2 is law of the United States only")
        if self.zone not in available_timezones():
            raise ValueError("there is no such time zone")
        codes: dict[str, tuple[_CodedFact, ...]] = {
            "roles": self.roles,
            "tiers": self.tiers,
            "sections": self.sections,
            "admission": self.admission,
            "discharge": self.discharge,
        }
        named = {name: [fact.code for fact in facts] for name, facts in codes.items()}
        named["clocks"] = [clock.id for clock in self.clocks]
        for name, values in named.items():
            if twice := [code for code, count in Counter(values).items() if count > 1]:
                raise ValueError(f"{name}: {twice[0]} is stated twice")
        if strangers := {role for tier in self.tiers for role in tier.roles} - set(named["roles"]):
            raise ValueError(f"tiers: {min(strangers)} is no role of the programme")
        return self

    def due(self, span: Span, start: date) -> datetime:
        """The last second of the day that is ``span`` after ``start``, in the programme's own zone."""
        day = span.after(start, self.holidays)
        return datetime.combine(day, time(23, 59, 59), ZoneInfo(self.zone))

    def day(self, instant: datetime) -> date:
        """The programme's own date at this instant."""
        return instant.astimezone(ZoneInfo(self.zone)).date()


def load(text: str) -> Program:
    """The programme that a TOML text states.

    Raises:
        pydantic.ValidationError: Something is missing, unknown or contradicts something else.
        tomllib.TOMLDecodeError: The text is not TOML.
    """
    return Program.model_validate(tomllib.loads(text))
