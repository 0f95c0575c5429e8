"""What visits mean for the people of a programme: a table of {who, when, which visits} → {what to do, by when}.

A trigger is data. Which visits count is a list of patterns, of which one must fit; whom it is for is the status of
the enrolment and the admission criteria that it names; what it looks back on is a count, days and a window.
See: ``docs/connect/triggers.md``.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fhirgw.programs.facts import CodedFact, Fact, Model, Span

TriggerId = Annotated[str, Field(pattern=r"^[A-Z0-9-]+$")]
When = Literal["visit", "discharge", "readmission", "look-back"]
Code = Annotated[str, Field(min_length=1)]


class Criterion(CodedFact):
    """One admission criterion; some can be read from what hospitals send."""

    text: str
    age_from: Annotated[int, Field(ge=1)] | None = None
    """Years of age on the day the visit began."""
    diagnoses: tuple[Annotated[str, Field(pattern=r"^[A-Z][0-9A-Z.]*$")], ...] = ()
    """Prefixes of ICD-10(-CM) codes: one diagnosis of the visit must have one of them."""
    sensitivity: tuple[str, ...] = ()
    """v3-ActCode: what an answer to it reveals, whatever it is."""


class Visits(Model):
    """A pattern of visits: a visit fits when it is of every kind that is listed here."""

    classes: frozenset[Code] = frozenset()
    """Encounter.class, at present or before (classHistory)."""
    services: frozenset[Code] = frozenset()
    """Encounter.serviceType (PV1-10): the sender's own codes, and ``PastVisit.kind`` of supplied history."""
    units: frozenset[Code] = frozenset()
    """Points of care (PV1-3.1) the person was in."""
    senders: frozenset[Code] = frozenset()
    """Names in the senders file: a facility of its own kind."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.classes or self.services or self.units or self.senders):
            raise ValueError("a pattern without any kind would fit every visit")
        return self


class LookBack(Model):
    """How much there must have been, in which time; the visit that is looked back from counts."""

    count: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=0)] = 0
    """Nights of the counted stays together, each told by its discharge."""
    within: Span
    measured: Literal["admission", "discharge"] = "admission"
    """What must lie in that time; by discharge, who has not been discharged counts."""

    @model_validator(mode="after")
    def _calendar(self) -> Self:
        if self.within.unit == "working-day":
            raise ValueError("nobody looks back on working days")
        return self


class Action(Model):
    """A Task to be raised."""

    code: Annotated[str, Field(pattern=r"^[a-z-]+$")]
    title: str
    due: Span | None = None
    clock: str | None = None
    """A clock of the programme, whose length is this Task's: said once."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.due and self.clock:
            raise ValueError(f"{self.code}: due by its own length or by a clock's")
        return self


class Trigger(Fact):
    """One rule."""

    id: TriggerId
    who: Literal["member", "candidate"]
    when: When
    visits: Annotated[tuple[Visits, ...], Field(min_length=1)]
    """One of them must fit."""
    requires: tuple[str, ...] = ()
    """Admission criteria (codes) that must hold."""
    look_back: LookBack | None = None
    within: Span | None = None
    """A readmission: the visit began so long after a discharge at the latest."""
    sensitivity: tuple[str, ...] = ()
    """Codes of v3-ActCode: what somebody learns who learns that the rule was met."""
    actions: Annotated[tuple[Action, ...], Field(min_length=1)]

    @property
    def status(self) -> str:
        """The status of the enrolment that it is for."""
        return "active" if self.who == "member" else "candidate"

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if (self.when == "look-back") != (self.look_back is not None):
            raise ValueError(f"{self.id}: a look-back states how much there must have been, and nothing else does")
        if (self.when == "readmission") != (self.within is not None):
            raise ValueError(f"{self.id}: a readmission states within which time, and nothing else does")
        if self.within and self.within.unit == "working-day":
            raise ValueError(f"{self.id}: nobody looks back on working days")
        codes = [action.code for action in self.actions]
        if len(set(codes)) != len(codes):
            raise ValueError(f"{self.id}: an action is stated twice")
        return self
