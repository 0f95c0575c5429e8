"""The way into the programme, through it, out of it, and back."""

from datetime import date
from typing import Literal, Self

from pydantic import AwareDatetime, model_validator

from fhirgw.icm.base import Classified, Line, LocalId, Model, Organization, Person, Provider

Status = Literal["candidate", "waitlist", "active", "inactive", "finished", "opted-out"]
"""CT BHP: "a member who is a candidate for our services"; BC B.5: "wait lists"; BC 2.8: "the file will be flagged
as inactive"; HUSKY: "Case is closed"."""


class Referral(Classified):
    """How the person came to the programme.

    BC 1.2: "Referrals will be received from all sources. Clients may self-refer"; HUSKY, Member
    Identification: "hospital reports, hospital staff, providers, CHNCT's Member Engagement Services, state
    agencies".
    """

    id: LocalId
    received_at: AwareDatetime
    source: Literal[
        "self", "family-community", "hospital", "provider", "state-agency", "social-service", "analytics",
        "member-services", "police", "faith-community", "shelter", "outreach-team",
    ]  # fmt: skip
    organization: Organization | None = None
    person: Person | None = None
    """Who referred, where it was not the member and is known."""
    reason: str | None = None
    """Its sensitivity is the referral's."""


class PastVisit(Classified):
    """Treatment history that came with the referral: look-backs count it beside the visits that hospitals tell of.

    CCBH, Admission Criteria, A (Treatment History): "Two admissions to inpatient psychiatric unit or crisis
    residential"; "walk-in, mobile, or emergency services"; "discharged from SMH in the past 2 years".
    """

    id: LocalId
    kind: Literal[
        "inpatient", "inpatient-psychiatric", "crisis-residential", "state-hospital", "emergency",
        "walk-in-crisis", "mobile-crisis",
    ]  # fmt: skip
    starts_on: date
    ends_on: date | None = None

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.ends_on and self.ends_on < self.starts_on:
            raise ValueError("a visit ends when it began or later")
        return self


class PastStatus(Model):
    """A status that the enrolment had before. BC B.5 (wait list), BC 2.8 (inactive up to three months)."""

    status: Status
    starts_on: date
    ends_on: date


class Phase(Model):
    """A step of the programme's process that the member has come to. HUSKY, ICM Process; BC, Figure 2."""

    code: Line
    """Code of one of the programme's phases."""
    on: date


class Reentry(Model):
    """The enrolment follows an earlier one.

    HUSKY, Achieving Care Plan Goals: "Members can seek ICM services for changes in their health status"; BC 2.2:
    "immediate reassessment of eligibility" of discharged clients in crisis; BC 2.8: "re-admission process".
    """

    key: Line
    """The key of the earlier case."""
    after: Literal["change-in-health", "crisis", "relapse", "own-wish"]


class Agreement(Model):
    """Somebody agrees that the goals are met.

    HUSKY, Achieving Care Plan Goals: "The member, caregiver, and provider agree that the member's healthcare
    goals have been met"; BC 2.8: "agreed to by the client and all service providers".
    """

    party: Literal["member", "caregiver", "provider", "team"]
    on: date
    by: LocalId | Provider | None = None
    """A care team member, somebody beside the member, or a provider. Absent: the member."""

    @model_validator(mode="after")
    def _who(self) -> Self:
        if (self.party == "member") != (self.by is None):
            raise ValueError("an agreement other than the member's names who agrees")
        return self


class Aftercare(Classified):
    """What somebody does after the closure.

    BC 2.8: "the discharge plan clearly articulates roles/activities, and all providers understand and agree to
    their role post-discharge"; "Ongoing access to primary care/attachment will be maintained"; HUSKY: "24/7 Nurse
    Helpline", "Health reminders", "Appointment scheduling assistance".
    """

    id: LocalId
    by: Organization
    role: Line
    agreed_on: date | None = None


class Closure(Classified):
    """Why and when the case was closed, and who agreed.

    HUSKY, Achieving Care Plan Goals: "graduate from the program when"; CCBH, Discharge Criteria; BC 2.8.
    """

    on: date
    reason: str
    """Code of one of the programme's discharge reasons."""
    agreements: tuple[Agreement, ...] = ()
    outcomes: tuple[Line, ...] = ()
    """Codes of the programme's outcomes. HUSKY: "Demonstrates self-advocacy"; Nebraska, Individual Desired
    Outcome."""
    aftercare: tuple[Aftercare, ...] = ()
    way_back: str | None = None
    """How to come back. BC 2.8: "A clear re-admission process is established". Its sensitivity is the closure's."""


class Entered(Model):
    """Who wrote the case into the care-management system, and when. CT BHP: "Documented in Care Connect"."""

    by: LocalId | None = None
    """Care team member; absent: the system itself."""
    at: AwareDatetime
