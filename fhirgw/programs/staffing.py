"""What a programme asks of its staff: roles, licences, caseloads, sizes of groups."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fhirgw.programs.facts import CodedFact, Fact


class Licence(CodedFact):
    """A licence that the programme knows."""

    name: str
    only: tuple[str, ...] = ()
    """v3-ActCode: who has it may sign for nothing but these. Nebraska: LADC "for substance use only"."""


class Role(CodedFact):
    """A role on the care team; ``nucc`` is the nearest code of the provider taxonomy."""

    name: str
    nucc: str | None = None
    nucc_display: str | None = None
    licences: tuple[str, ...] = ()
    """One of these is needed. Nebraska, Staffing: "must be licensed as one of the following"."""
    age_from: Annotated[int, Field(ge=1)] | None = None
    """Nebraska, Staffing: "Be 19 years of age or older"."""
    lived_experience: bool = False
    """Nebraska, Staffing: "Self-identify as having lived experience"."""
    caseload: bool = True
    """BC B.1: "Peer support workers do not hold a caseload"."""


class Caseload(Fact):
    """How many members somebody of a role may serve."""

    role: str
    maximum: Annotated[int, Field(ge=1)]
    ideal: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.ideal is not None and self.ideal > self.maximum:
            raise ValueError("the ideal caseload is not above the maximum")
        return self


class GroupSize(Fact):
    """How many take part in a group session."""

    smallest: Annotated[int, Field(ge=2)]
    largest: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.smallest > self.largest:
            raise ValueError("the smallest group is not above the largest")
        return self
