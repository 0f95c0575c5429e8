"""The care plan, the team and the contacts."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from fhirgw.icm.base import Classified, Coded, HumanName, Identified, Line, LocalId, Model, Organization


class TeamMember(Model):
    """CT BHP, ICM role and Peer Specialist Role; HUSKY, ICM Care Team Members; Nebraska, Staffing; BC B.1."""

    id: LocalId
    role: str
    """Code of one of the programme's roles."""
    name: HumanName
    identifier: Identified | None = None
    organization: Organization | None = None
    """Absent: the programme's own."""
    qualifications: tuple[Coded, ...] = ()
    """CT BHP, Training: "Certification as a Recovery Support Specialist (RSS)"; Nebraska: clinical consultants
    "must be licensed as one of"."""
    lead: bool = False
    """The care manager of the member."""


class Problem(Classified):
    """A problem, need, barrier or opportunity.

    HUSKY, Coordination & Collaboration: "the member's problems/opportunities, medications, barriers,
    strengths".
    """

    id: LocalId
    kind: Literal["problem", "need", "barrier", "opportunity"]
    code: Coded | None = None
    text: Line
    status: Literal["active", "resolved"] = "active"
    noted_on: date


class Goal(Classified):
    """What the member wants, in their own words.

    CT BHP, Member's Role in Care Planning: "Goals are phrased in first person language reflecting their
    stated goals"; "Members have a choice in which goals they want to work on".
    """

    id: LocalId
    words: Line
    """The member's own words, first person, kept as they are."""
    term: Literal["short", "long"]
    """CT BHP, Care Plan Development: "long term and short term goals together"."""
    priority: Literal["high", "medium", "low"] | None = None
    """CT BHP: "Sometimes basic needs (such as housing, food etc.) are of primary importance"."""
    acceptance: Literal["agree", "disagree", "pending"] = "pending"
    status: Literal["proposed", "accepted", "active", "on-hold", "completed", "cancelled", "rejected"] = "proposed"
    """CT BHP, Care Plan Development: "achieved goals will be marked completed"."""
    achievement: (
        Literal["in-progress", "improving", "no-change", "worsening", "achieved", "sustaining", "not-achieved"]
        | None
    ) = None
    starts_on: date | None = None
    target_on: date | None = None
    """Nebraska, Program Expectations: "target dates"."""
    measure: str | None = None
    """Nebraska: "criteria for achievement"; HUSKY: "SMART goals"."""
    addresses: tuple[LocalId, ...] = ()
    """Problems."""


class Cadence(Model):
    """How often: CT BHP, ICM/Peer Tiered Approach: "One to three contacts per month"."""

    frequency: Annotated[int, Field(ge=1)] = 1
    frequency_max: Annotated[int, Field(ge=1)] | None = None
    period: Annotated[int, Field(ge=1)] = 1
    period_max: Annotated[int, Field(ge=1)] | None = None
    unit: Literal["d", "wk", "mo"]
    minutes: Annotated[int, Field(ge=1)] | None = None


class Intervention(Classified):
    """Something that somebody does for a goal.

    HUSKY, Opportunities & Interventions: "Nurses help the member resolve and/or address the care plan
    problems"; CT BHP: "establish who will be working on which goals"; BC 1.5: "where and how often services
    are delivered".
    """

    id: LocalId
    code: Coded | None = None
    text: Line
    status: Literal["draft", "active", "on-hold", "completed", "revoked"] = "active"
    cadence: Cadence | None = None
    performer: LocalId | None = None
    """Care team member."""
    goals: tuple[LocalId, ...] = ()


class Section(Classified):
    """One part of the plan in words; a plan of its own under the main one, with its own sensitivity.

    Nebraska, Program Expectations: "a discharge plan, wellness plan, and crisis prevention plan that includes
    defining early warning signs and triggers and response"; BC 2.2: "crisis response plan". Each becomes a
    plan of its own under the main one, so that it carries its own sensitivity.
    """

    id: LocalId
    kind: str
    """Code of one of the programme's plan sections."""
    text: Line


class SignOff(Model):
    """A licensed person's signature under the plan.

    Nebraska: "The clinical consultant is responsible for reviewing and signing off on the Wellness and
    Recovery Service Plan"; BC B.3: professional staff "sign-off on the individual care plans".
    """

    by: LocalId
    at: AwareDatetime


class CarePlan(Classified):
    """CT BHP, Care Plan Development: "Care plans are fluid and new goals can be added at anytime"."""

    id: LocalId
    status: Literal["draft", "active", "on-hold", "completed", "revoked"] = "active"
    created_on: date
    reviewed_on: tuple[date, ...] = ()
    """Nebraska: "reviewed and updated a minimum of every 90 days"."""
    summary: str | None = None
    """Its sensitivity is the plan's."""
    goals: tuple[Goal, ...] = ()
    problems: tuple[Problem, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    sections: tuple[Section, ...] = ()
    sign_offs: tuple[SignOff, ...] = ()

    @model_validator(mode="after")
    def _inner_references(self) -> Self:
        problems = {problem.id for problem in self.problems}
        goals = {goal.id for goal in self.goals}
        if any(set(goal.addresses) - problems for goal in self.goals):
            raise ValueError("a goal addresses a problem that the plan does not state")
        if any(set(step.goals) - goals for step in self.interventions):
            raise ValueError("an intervention serves a goal that the plan does not state")
        return self


class Contact(Classified):
    """One meeting, call or video call.

    HUSKY, ICM Outreach: "Face-to-Face ... Phone Support ... Video Conferencing"; BC 2.4; CT BHP, Settings.
    """

    id: LocalId
    at: AwareDatetime
    mode: Literal["face-to-face", "phone", "video"]
    setting: Literal[
        "home", "public-place", "shelter", "transitional-housing", "office", "respite", "hospital", "emergency",
        "skilled-nursing", "corrections", "community",
    ] | None = None  # fmt: skip
    """Where the member was met; needed when face to face."""
    group: bool = False
    """Nebraska, Staffing Ratio: groups of "three participants" to "twelve"."""
    by: tuple[LocalId, ...] = ()
    """Care team members."""
    minutes: Annotated[int, Field(ge=0)] | None = None
    barrier: str | None = None
    """Nebraska, Program Expectations: "telephone is acceptable with documentation regarding the barriers
    preventing in person service delivery". Its sensitivity is the contact's."""

    @model_validator(mode="after")
    def _met_somewhere(self) -> Self:
        if self.mode == "face-to-face" and self.setting is None:
            raise ValueError("a face-to-face contact states its setting")
        return self
