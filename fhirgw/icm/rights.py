"""The member's rights: what was explained, decided and by whom, capability, directives made before, requests."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from fhirgw.icm.base import Classified, Line, LocalId, Model, Person

Topic = Literal[
    "peer-role", "icm-role", "team-care", "who-provides-care", "what-to-expect", "rights", "privacy",
    "release-form", "impacts-of-refusal", "substitute-decision-maker-role", "complaints", "care-plan-roles",
    "crisis-plan",
]  # fmt: skip


class Explained(Model):
    """What was explained to the member.

    CT BHP, Initial meeting: "Description of Peer and ICM roles", "Explanation and signing of Release Of
    Information forms"; BC 1.1: "all team members will be introduced"; BC 1.6: "Clients are provided with
    information as to who is providing care, what can be expected of services and their rights".
    """

    id: LocalId
    on: date
    by: LocalId | None = None
    """Care team member."""
    how: Literal["verbal", "written"] = "verbal"
    topics: Annotated[tuple[Topic, ...], Field(min_length=1)]


class CareDecision(Classified):
    """A decision about care, by the member or by who decides for them.

    BC 1.6: "Informed consent is obtained both at the time that care is offered and throughout the process";
    "clients have a right to refuse services ...; impacts of those rights are clearly explained"; "When a
    substitute decision maker gives consent, the name of the substitute decision maker, and relationship to
    client, and decision made is recorded".
    """

    id: LocalId
    at: AwareDatetime
    about: Line
    decision: Literal["accepted", "refused"]
    mode: Literal["written", "verbal", "implied"] = "verbal"
    decided_by: LocalId | None = None
    """The caregiver or relative who decided. Absent: the member."""
    impacts_explained_at: AwareDatetime | None = None


class Capability(Model):
    """Whether the member can decide.

    BC 1.6: "assessed for their ability to make decisions on their behalf using the domains of: personal safety;
    ability to access basic services; and ability to recognize consequences of actions and behaviours. If the
    client does not have the ability ... a full capability assessment should be considered".
    """

    id: LocalId
    on: date
    by: LocalId | None = None
    """Care team member."""
    personal_safety: bool
    access_basic_services: bool
    recognise_consequences: bool
    full_assessment: Literal["requested", "completed", "declined"] | None = None

    @property
    def capable(self) -> bool:
        """Whether the member has the ability in all three domains."""
        return self.personal_safety and self.access_basic_services and self.recognise_consequences


class Directive(Classified):
    """What the member laid down for the time when they cannot decide.

    BC 1.6: "advance directives and/or Ulysses Agreements in place to guide decisions. These are recorded in the
    client file and may be shared with service providers ... who need to know"; "representation agreements".
    """

    id: LocalId
    kind: Literal["advance-directive", "representation-agreement", "ulysses-agreement", "mental-health-directive"]
    made_on: date
    status: Literal["current", "superseded"] = "current"
    summary: str | None = None
    url: Line
    """Where the document is kept."""
    agent: Person | None = None
    """Whom it appoints."""

    @model_validator(mode="after")
    def _agent_of_the_member(self) -> Self:
        if self.agent is not None and self.agent.kind != "related":
            raise ValueError("the agent of a directive is somebody in the member's life")
        return self


class Request(Classified):
    """What the member asks of the programme by right.

    BC 1.6: "Client may appeal a service plan decision or file a complaint"; "Health authority procedures are
    followed to assist clients who wish to access their health care records".
    """

    id: LocalId
    kind: Literal["record-access", "appeal", "complaint"]
    on: date
    text: str | None = None
    outcome: Literal["open", "granted", "refused", "withdrawn"] = "open"
    settled_on: date | None = None

    @model_validator(mode="after")
    def _settled_when(self) -> Self:
        if (self.outcome == "open") != (self.settled_on is None):
            raise ValueError("a request is settled exactly when settled_on is stated")
        return self
