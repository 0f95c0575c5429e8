"""Contacts with the member, one to one and in groups, and attempts to reach them."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from fhirgw.icm.base import Classified, LocalId, Model, Provider

Purpose = Literal[
    "introduction", "engagement", "goals-discussion", "assessment", "education", "care-planning", "monitoring",
    "coordination", "reassessment", "motivational-interviewing", "coaching", "accompaniment", "aftercare",
    "discharge-planning", "crisis",
]  # fmt: skip
"""CT BHP, Initial meeting and ICM/Peer Tiered Approach: "Engagement, assessment, education, care plan, monitoring,
coordination & reassessment"; Coordination and Collaboration: "Contact collaterals to ensure aftercare plans are
understood and followed"; BC 2.1: "participate in care and discharge planning"; BC 2.4: "accompany clients"."""


class Group(Model):
    """A group session. Nebraska, Staffing Ratio: "a minimum of three participants and a maximum of twelve"."""

    session: LocalId
    """The session's name, the same in the cases of all who took part."""
    participants: Annotated[int, Field(ge=2)]


class Contact(Classified):
    """One meeting, call, video call or e-mail.

    HUSKY, ICM Outreach: "Face-to-Face ... Phone Support ... Video Conferencing"; BC 2.4; CT BHP, Settings.
    """

    id: LocalId
    at: AwareDatetime
    mode: Literal["face-to-face", "phone", "video", "email"]
    setting: Literal[
        "home", "public-place", "shelter", "transitional-housing", "office", "respite", "hospital",
        "observation-unit", "emergency", "skilled-nursing", "corrections", "community",
    ] | None = None  # fmt: skip
    """Where the member was met; needed when face to face."""
    purposes: tuple[Purpose, ...] = ()
    group: Group | None = None
    by: tuple[LocalId, ...] = ()
    """Care team members."""
    beside: tuple[LocalId, ...] = ()
    """Caregiver and relatives who took part."""
    providers: tuple[Provider, ...] = ()
    """CT BHP: "Meet with providers/supports/member to develop short and long-term recovery plans"."""
    member_there: bool = True
    """False: only people beside the member were met (CT BHP: "collaterals")."""
    minutes: Annotated[int, Field(ge=0)] | None = None
    barrier: str | None = None
    """Nebraska, Program Expectations: "telephone is acceptable with documentation regarding the barriers
    preventing in person service delivery". Its sensitivity is the contact's."""

    @model_validator(mode="after")
    def _met_somewhere(self) -> Self:
        if self.mode == "face-to-face" and self.setting is None:
            raise ValueError("a face-to-face contact states its setting")
        if not self.member_there and (self.group or not (self.beside or self.providers)):
            raise ValueError("a contact without the member is with somebody beside them, and no group")
        return self


class Attempt(Classified):
    """An attempt to reach somebody who does not answer.

    CCBH, Discharge Criteria: "The Peer Specialist and the supervisor will send letters to attempt to contact,
    attempt to have consumer sign engagement in services contract, and will attempt to arrange appointments that
    are more convenient"; BC 2.8: "ICMT will attempt to re-engage with the individual".
    """

    id: LocalId
    on: date
    how: Literal["letter", "phone", "visit", "message", "engagement-contract", "convenient-appointment"]
    by: LocalId | None = None
    """Care team member."""
    reached_on: date | None = None
    """When the member answered. Absent: they did not."""
    text: str | None = None

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.reached_on and self.reached_on < self.on:
            raise ValueError("nobody answers before the attempt")
        return self
