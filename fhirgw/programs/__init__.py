"""The programmes as data: one TOML file each, every fact with the words of its source.

A new programme is a new file. ``load`` refuses a file that contradicts itself; where a source contradicts
itself (BC: "three days" and "three working days") both passages are cited and the fact is marked
``configurable``.
"""

import tomllib
from collections import Counter
from datetime import date, datetime, time
from functools import cache
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, model_validator

from fhirgw.cadence import Cadence
from fhirgw.programs.facts import CodedFact, Fact, Model, Span
from fhirgw.programs.staffing import Caseload, GroupSize, Licence, Role
from fhirgw.programs.triggers import Action, Criterion, Trigger

__all__ = ["Action", "Cadence", "Clock", "CodedFact", "Criterion", "Program", "Role", "Span", "Trigger", "load"]

Anchor = Literal[
    "referral", "first-contact", "eligibility", "admission", "plan", "plan-review", "assessment", "contact",
    "consultation", "medication-review", "withdrawal", "crisis", "inpatient-or-ed-visit", "low-contact",
]  # fmt: skip
"""What may start or meet a clock."""


class Clock(Fact):
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


class Tier(CodedFact):
    """A level of service, with who meets the member how often."""

    name: str
    roles: tuple[str, ...]
    """Each of them keeps the cadence."""
    cadence: Cadence


class Section(CodedFact):
    """A part of the care plan, a step of the process, an outcome: a code with a name."""

    name: str


class Domain(CodedFact):
    """A life domain of an assessment, a cohort of members, an area of goals."""

    name: str
    sensitivity: tuple[str, ...] = ()
    """v3-ActCode: what it reveals that something was found in it."""


class Intervention(Domain):
    """Something that is done for members; ``sensitivity`` is what it reveals that it is done for somebody."""

    on_request: bool = False
    """CCBH, Individual Advocacy: "if the consumer requests this service"."""


class Plan(CodedFact):
    """What the programme calls its care plan, and who signs it."""

    name: str
    signed_by: tuple[str, ...] = ()
    """Roles. BC B.2: team leader and psychiatrist; Nebraska: the clinical consultant."""


class Discharge(CodedFact):
    """A reason for which a case is closed."""

    text: str
    agreed_by: tuple[Literal["member", "caregiver", "provider", "team"], ...] = ()
    """Who must agree. HUSKY: "The member, caregiver, and provider agree"; a caregiver where there is one."""
    attempts: tuple[str, ...] = ()
    """How the member was tried to be reached before. CCBH: letters, a contract, convenient appointments."""


class Organization(Model):
    """Who runs the programme (synthetic here)."""

    system: str
    value: str
    name: str


class Program(Model):
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
    domains: tuple[Domain, ...] = ()
    cohorts: tuple[Domain, ...] = ()
    admission: tuple[Criterion, ...] = ()
    continued: tuple[Criterion, ...] = ()
    """Criteria of continued stay."""
    discharge: tuple[Discharge, ...] = ()
    phases: tuple[Section, ...] = ()
    """Steps of the programme's process, in their order."""
    goal_areas: tuple[Domain, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    outcomes: tuple[Section, ...] = ()
    """What a member has when the programme has done its work."""
    licences: tuple[Licence, ...] = ()
    caseloads: tuple[Caseload, ...] = ()
    groups: GroupSize | None = None
    triggers: Annotated[tuple[Trigger, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.part2 and not self.jurisdiction.startswith("US"):
            raise ValueError("42 CFR Part 2 is law of the United States only")
        if self.zone not in _zones():
            raise ValueError("there is no such time zone")
        codes: dict[str, tuple[CodedFact, ...]] = {
            "roles": self.roles,
            "tiers": self.tiers,
            "sections": self.sections,
            "domains": self.domains,
            "cohorts": self.cohorts,
            "admission": self.admission,
            "continued": self.continued,
            "discharge": self.discharge,
            "phases": self.phases,
            "goal_areas": self.goal_areas,
            "interventions": self.interventions,
            "outcomes": self.outcomes,
            "licences": self.licences,
        }
        named = {name: [fact.code for fact in facts] for name, facts in codes.items()}
        named["clocks"] = [clock.id for clock in self.clocks]
        named["triggers"] = [trigger.id for trigger in self.triggers]
        named["tiers and interventions"] = named["tiers"] + named["interventions"]
        for name, values in named.items():
            if twice := [code for code, count in Counter(values).items() if count > 1]:
                raise ValueError(f"{name}: {twice[0]} is stated twice")
        roles = {role for tier in self.tiers for role in tier.roles} | set(self.plan.signed_by)
        if strangers := (roles | {one.role for one in self.caseloads}) - set(named["roles"]):
            raise ValueError(f"{min(strangers)} is no role of the programme")
        if strangers := {one for role in self.roles for one in role.licences} - set(named["licences"]):
            raise ValueError(f"{min(strangers)} is no licence of the programme")
        for trigger in self.triggers:
            self._fits(trigger)
        return self

    def _fits(self, trigger: Trigger) -> None:
        """A trigger builds on what the programme states elsewhere.

        Raises:
            ValueError: It names what is not there, or what cannot be read from a visit.
        """
        for code in trigger.requires:
            criterion = next((one for one in self.admission if one.code == code), None)
            if criterion is None or not (criterion.age_from or criterion.diagnoses):
                raise ValueError(f"{trigger.id}: {code} is no criterion that a visit can show")
        lengths = {clock.id: clock.due for clock in self.clocks}
        for action in trigger.actions:
            if action.clock is not None and lengths.get(action.clock) is None:
                raise ValueError(f"{trigger.id}: {action.clock} is no clock with a length")
            if action.due is None and action.clock is None and not trigger.configurable:
                raise ValueError(f"{trigger.id}: an action without a length is configurable")

    def length(self, action: Action) -> Span | None:
        """How long after its start the action is due."""
        return action.due or next((clock.due for clock in self.clocks if clock.id == action.clock), None)

    def required(self, trigger: Trigger) -> list[Criterion]:
        """The admission criteria that a trigger asks for."""
        return [one for one in self.admission if one.code in trigger.requires]

    def due(self, span: Span, start: date) -> datetime:
        """The last second of the day that is ``span`` after ``start``, in the programme's own zone."""
        day = span.after(start, self.holidays)
        return datetime.combine(day, time(23, 59, 59), ZoneInfo(self.zone))

    def day(self, instant: datetime) -> date:
        """The programme's own date at this instant."""
        return instant.astimezone(ZoneInfo(self.zone)).date()


_zones = cache(available_timezones)  # asks the file system for every zone there is


@cache
def load(text: str) -> Program:
    """The programme that a TOML text states; nothing changes it, so each text is read once.

    Raises:
        pydantic.ValidationError: Something is missing, unknown or contradicts something else.
        tomllib.TOMLDecodeError: The text is not TOML.
    """
    return Program.model_validate(tomllib.loads(text))
