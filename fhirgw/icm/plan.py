"""The care plan: what is to be worked on, what the member wants, who does what, and the plans within it."""

from datetime import date
from typing import Literal, Self

from pydantic import model_validator

from fhirgw.cadence import Cadence
from fhirgw.icm.base import Classified, Coded, Line, LocalId, Model, Signed, Telecom
from fhirgw.icm.collaboration import Connection, OtherPlan, Shared, Suggestion

MEMBER = "member"
"""The local id of the member, where somebody is named who does something."""


class Evidence(Model):
    """What a problem shows in. HUSKY: "Opportunities are identified based on the member's responses"."""

    of: LocalId
    """A finding, a screen, an acuity assessment, or an assessment."""
    domain: Line | None = None
    """Of an assessment: the domain."""


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
    resolved_on: date | None = None
    evidence: tuple[Evidence, ...] = ()

    @model_validator(mode="after")
    def _resolved_when(self) -> Self:
        if self.resolved_on is not None and self.status != "resolved":
            raise ValueError("only what is resolved was resolved on a day")
        return self


class Amount(Model):
    """A number to reach. HUSKY, Coaching & Education: "Knowing Numbers", "Knowing targets and triggers"."""

    value: float
    unit: Line
    """UCUM."""
    comparator: Literal["<", "<=", ">=", ">"] | None = None


class Progress(Classified):
    """BC 2.6: "Movement towards recovery and goal attainment is reviewed and measured with clients regularly"."""

    on: date
    by: LocalId | None = None
    """Care team member. Absent: the member says so."""
    text: Line


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
    toward: LocalId | None = None
    """The long-term goal that a short-term one is a step of."""
    area: Line | None = None
    """Code of one of the programme's goal areas. CT BHP, Goals of Peer Specialist Support; BC 2.6."""
    priority: Literal["high", "medium", "low"] | None = None
    """CT BHP: "Sometimes basic needs (such as housing, food etc.) are of primary importance"."""
    acceptance: Literal["agree", "disagree", "pending"] = "pending"
    declined_because: str | None = None
    """Its sensitivity is the goal's."""
    status: Literal["proposed", "accepted", "active", "on-hold", "completed", "cancelled", "rejected"] = "proposed"
    """CT BHP, Care Plan Development: "achieved goals will be marked completed"."""
    status_on: date | None = None
    achievement: (
        Literal["in-progress", "improving", "no-change", "worsening", "achieved", "sustaining", "not-achieved"]
        | None
    ) = None
    starts_on: date | None = None
    target_on: date | None = None
    """Nebraska, Program Expectations: "target dates"."""
    measure: str | None = None
    """Nebraska: "methods for evaluating the individual's progress"; HUSKY: "SMART goals"."""
    achieved_when: str | None = None
    """Nebraska: "criteria for achievement"."""
    amount: Amount | None = None
    """The criterion as a number."""
    addresses: tuple[LocalId, ...] = ()
    """Problems."""
    helpers: tuple[LocalId, ...] = ()
    """CT BHP: "establish who will be working on which goals": care team members, people beside the member,
    ``member``."""
    aligned_with: tuple[LocalId, ...] = ()
    """Plans of others. BC 1.5: goals "complement goals developed by collaborating agencies"."""
    progress: tuple[Progress, ...] = ()

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if (self.achieved_when or self.amount) and not self.measure:
            raise ValueError("a criterion for achievement is one of something that is measured")
        if self.achieved_when and self.amount:
            raise ValueError("a criterion for achievement is words or a number")
        if self.toward and self.term == "long":
            raise ValueError("a long-term goal is no step of another")
        if self.declined_because and self.acceptance != "disagree":
            raise ValueError("a reason to decline is that of a goal the member declined")
        return self


class Intervention(Classified):
    """Something that somebody does for a goal.

    HUSKY, Opportunities & Interventions: "Nurses help the member resolve and/or address the care plan
    problems"; CT BHP: "establish who will be working on which goals"; BC 1.5: "where and how often services
    are delivered, timelines for initiation of services".
    """

    id: LocalId
    kind: Line | None = None
    """Code of one of the programme's interventions."""
    code: Coded | None = None
    text: Line
    status: Literal["draft", "active", "on-hold", "completed", "revoked"] = "active"
    cadence: Cadence | None = None
    starts_on: date | None = None
    setting: Line | None = None
    """Where it is done, as a contact says it."""
    performers: tuple[LocalId, ...] = ()
    """BC 1.5: "Role and responsibilities of ICMT, client and families": care team members, people beside the
    member, ``member``."""
    asked_for_on: date | None = None
    """CCBH, Individual Advocacy: "if the consumer requests this service"."""
    goals: tuple[LocalId, ...] = ()


class Step(Model):
    """Nebraska: "crisis prevention plan that includes defining early warning signs and triggers and response"."""

    kind: Literal["strategy", "warning-sign", "trigger", "response", "prevention", "after"]
    """BC 1.5: "challenges, triggers and agreed to actions/solutions"; BC 2.2: "agreed-to prevention strategies";
    what is agreed for afterwards."""
    text: Line


class OnCall(Model):
    """BC 2.2: "a list of the services available on-call to address crisis situations"."""

    name: Line
    telecom: Telecom
    hours: str | None = None


class Section(Classified):
    """One part of the plan; a plan of its own under the main one, with its own sensitivity.

    Nebraska, Program Expectations: "a discharge plan, wellness plan, and crisis prevention plan"; BC 2.2: "crisis
    response plan".
    """

    id: LocalId
    kind: str
    """Code of one of the programme's plan sections."""
    text: Line
    steps: tuple[Step, ...] = ()
    on_call: tuple[OnCall, ...] = ()
    reviewed_on: tuple[date, ...] = ()
    """BC 2.2: "reviewed with the client and care team following every crisis incident"."""


class SignOff(Signed):
    """A signature under the plan, or under a part of it."""

    section: LocalId | None = None
    """The part of the plan that is signed. Absent: the plan."""


class CarePlan(Classified):
    """CT BHP, Care Plan Development: "Care plans are fluid and new goals can be added at anytime"."""

    id: LocalId
    status: Literal["draft", "active", "on-hold", "completed", "revoked"] = "active"
    created_on: date
    reviewed_on: tuple[date, ...] = ()
    """Nebraska: "reviewed and updated a minimum of every 90 days"."""
    summary: str | None = None
    """Its sensitivity is the plan's."""
    based_on: tuple[OtherPlan, ...] = ()
    goals: tuple[Goal, ...] = ()
    problems: tuple[Problem, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    connections: tuple[Connection, ...] = ()
    sections: tuple[Section, ...] = ()
    sign_offs: tuple[SignOff, ...] = ()
    shared: tuple[Shared, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()

    @model_validator(mode="after")
    def _inner_references(self) -> Self:
        problems = {problem.id for problem in self.problems}
        goals = {goal.id for goal in self.goals}
        if any(set(goal.addresses) - problems for goal in self.goals):
            raise ValueError("a goal addresses a problem that the plan does not state")
        served = [*(one.goals for one in self.interventions), *(one.goals for one in self.connections)]
        if any(set(named) - goals for named in served):
            raise ValueError("an intervention serves a goal that the plan does not state")
        if any(set(one.barriers) - problems for one in self.connections):
            raise ValueError("a referral meets a barrier that the plan does not state")
        others = {plan.id for plan in self.based_on}
        if any(set(goal.aligned_with) - others for goal in self.goals):
            raise ValueError("a goal is aligned with a plan that is not there")
        if {goal.toward for goal in self.goals if goal.toward} - {
            one.id for one in self.goals if one.term == "long"
        }:
            raise ValueError("a step is one toward a long-term goal of the plan")
        if {sign.section for sign in self.sign_offs if sign.section} - {one.id for one in self.sections}:
            raise ValueError("a section is signed that the plan does not have")
        return self
