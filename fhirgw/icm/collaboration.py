"""The plan among others: their plans, referrals to them, what was shared with them, what they suggest."""

from datetime import date
from typing import Literal, Self

from pydantic import AwareDatetime, model_validator

from fhirgw.icm.base import Classified, Coded, Line, LocalId, Organization, Provider


class OtherPlan(Classified):
    """A plan of another provider, which the plan reinforces and builds on.

    Nebraska, Program Expectations: "obtaining copies of treatment/service plans to aid in development of the
    WRSP"; HUSKY, ICM Approach: "participation in the provider's treatment plan"; BC 1.5.
    """

    id: LocalId
    kind: Literal["treatment-plan", "service-plan"]
    by: Organization
    made_on: date
    title: Line
    url: Line
    """Where the copy is kept."""


class Connection(Classified):
    """A referral to a service outside the programme, until the member is connected.

    CT BHP, Coordination and Collaboration: "make referrals to appropriate treatment providers, supports and other
    care management entities"; "Assess barriers and support member to ensure connection to appropriate services".
    """

    id: LocalId
    to: Organization
    service: Line
    on: date
    by: LocalId | None = None
    """Care team member who sees to it."""
    status: Literal["requested", "accepted", "connected", "declined", "failed"] = "requested"
    settled_on: date | None = None
    """When the member was connected, or it came to nothing."""
    goals: tuple[LocalId, ...] = ()
    barriers: tuple[LocalId, ...] = ()
    """Problems of the plan."""

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be done."""
        return self.status in {"connected", "declined", "failed"}

    @model_validator(mode="after")
    def _settled_when(self) -> Self:
        if self.settled != (self.settled_on is not None):
            raise ValueError("a referral is settled exactly when settled_on is stated")
        return self


class Shared(Classified):
    """The plan was given to somebody.

    CT BHP: "a hard copy is printed for the member"; HUSKY: "shared with the providers if the member agrees". That
    it may be: ``Release``.
    """

    id: LocalId
    on: date
    how: Literal["printed", "electronic", "verbal"]
    to: Organization | None = None
    """Absent: the member."""


class Suggestion(Classified):
    """What a provider suggests to the plan, and what became of it.

    HUSKY, Coordination & Collaboration: "The provider has the opportunity to respond back with any suggestions to
    the member's plan of care".
    """

    id: LocalId
    kind: Literal["advice", "goal", "service"] = "advice"
    """What is suggested: a goal or a service, to become one of the plan where it is accepted; or anything else."""
    at: AwareDatetime
    by: Provider
    organization: Organization | None = None
    text: Line
    code: Coded | None = None
    """Of the goal or the service."""
    decision: Literal["pending", "accepted", "declined"] = "pending"
    decided_on: date | None = None
    decided_by: LocalId | None = None
    """Care team member."""
    reason: str | None = None

    @model_validator(mode="after")
    def _decided_when(self) -> Self:
        if (self.decision == "pending") != (self.decided_on is None):
            raise ValueError("a suggestion is decided exactly when decided_on is stated")
        return self

    @model_validator(mode="after")
    def _code_of_something(self) -> Self:
        if self.code and self.kind == "advice":
            raise ValueError("a code is one of a goal or of a service")
        return self
