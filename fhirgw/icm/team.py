"""The care team: who is on it as what, with which licence, whom they answer to, how many they serve."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fhirgw.icm.base import Classified, Coded, HumanName, Identified, Line, LocalId, Model, Organization


class Qualification(Model):
    """A licence, a certificate, a training, a diploma.

    CT BHP, Training: "Certification as a Recovery Support Specialist (RSS)"; Nebraska, Staffing: "must be
    licensed as one of"; "a high school diploma or equivalent with two years of lived recovery"; CCBH: "Certified
    Peer Specialists complete challenging two-week training".
    """

    kind: Literal["license", "certification", "training", "education"]
    text: Line
    code: Coded | None = None
    licence: str | None = None
    """Code of one of the programme's licences."""
    number: Identified | None = None
    issuer: Organization | None = None
    starts_on: date | None = None
    ends_on: date | None = None

    @model_validator(mode="after")
    def _licensed(self) -> Self:
        if self.licence is not None and self.kind != "license":
            raise ValueError("only a license is one of the programme's licences")
        return self


class TeamMember(Model):
    """CT BHP, ICM role and Peer Specialist Role; HUSKY, ICM Care Team Members; Nebraska, Staffing; BC B.1."""

    id: LocalId
    role: str
    """Code of one of the programme's roles."""
    name: HumanName
    identifier: Identified | None = None
    organization: Organization | None = None
    """Absent: the programme's own."""
    qualifications: tuple[Qualification, ...] = ()
    lived_experience: Literal["self", "family", "parent"] | None = None
    """CT BHP: "for themselves, or in support of someone in their lives"; Nebraska: family peers have "experience
    parenting a child/youth with a behavioral health challenge"."""
    birth_date: date | None = None
    """Nebraska, Staffing: "Be 19 years of age or older". It is checked, and told to nobody."""
    supervisor: LocalId | None = None
    """CT BHP: the Director of Peer Services "provides supervision, oversight and support to peer staff"."""
    caseload: Annotated[int, Field(ge=0)] | None = None
    """How many members they serve, this one included. Nebraska: "must not exceed 1:25"; BC B.5: 1:16 to 1:20."""
    starts_on: date | None = None
    """Since when they work with the member."""
    ends_on: date | None = None
    lead: bool = False
    """The care manager of the member."""


class Consultation(Classified):
    """Staff confer about the member.

    Nebraska: "Clinical consultation between a licensed provider and the peer support provider must occur every 90
    days or as often as necessary"; BC B.2: "Teams meet weekly to review individual cases"; CT BHP: "Individual
    and group/team supervision".
    """

    id: LocalId
    on: date
    kind: Literal["clinical-consultation", "case-review", "supervision"]
    by: LocalId
    """Care team member who consults, leads or supervises."""
    others: tuple[LocalId, ...] = ()
    """Care team members."""
    text: str | None = None
