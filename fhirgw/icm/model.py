"""One member's case in one programme, as the care-management system states it."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from fhirgw.icm.assessment import Acuity, Sf12
from fhirgw.icm.base import Classified, LocalId, Model, Organization, Person
from fhirgw.icm.conditions import Caution, Cohort, Diagnosis, Medicine, MedicineReview
from fhirgw.icm.eligibility import Authorization, Prerequisite, Recommendation, Screening
from fhirgw.icm.findings import Finding
from fhirgw.icm.member import Member
from fhirgw.icm.plan import CarePlan, Contact, TeamMember
from fhirgw.icm.release import OptIn, Refusal, Release, SafetyEntry
from fhirgw.icm.rights import Capability, CareDecision, Directive, Explained
from fhirgw.icm.screening import Assessment, Screen, SuicideRisk

Status = Literal["candidate", "active", "finished", "opted-out"]


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


class Closure(Model):
    """Why and when the case was closed, and who agreed.

    HUSKY, Achieving Care Plan Goals: "The member, caregiver, and provider agree that the member's healthcare
    goals have been met"; CCBH, Discharge Criteria; BC 2.8.
    """

    on: date
    reason: str
    """Code of one of the programme's discharge reasons."""
    agreed_by: tuple[Literal["member", "caregiver", "provider"], ...] = ()


class Event(Model):
    """A dated fact that a clock runs from.

    Nebraska: "Clinical consultation ... must occur every 90 days"; BC 2.3: "Medication reviews"; BC 2.2:
    "every crisis incident"; BC 2.8: not "at least weekly contacts".
    """

    kind: Literal["consultation", "medication-review", "crisis", "low-contact"]
    on: date


class Entered(Model):
    """Who wrote the case into the care-management system, and when. CT BHP: "Documented in Care Connect"."""

    by: LocalId | None = None
    """Care team member; absent: the system itself."""
    at: AwareDatetime


class Case(Model):
    """A member (or candidate) of one programme: the unit of import."""

    key: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^\S+$")]
    """The care-management system's own key of the case; all ids come from it."""
    program: str
    member: Member
    status: Status
    """CT BHP: "a member who is a candidate for our services"; HUSKY: "Case is closed"."""
    entered: Entered
    referral: Referral | None = None
    history: tuple[PastVisit, ...] = ()
    """Supplied with the referral."""
    recommendation: Recommendation | None = None
    prerequisites: tuple[Prerequisite, ...] = ()
    screenings: tuple[Screening, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    eligible_on: date | None = None
    """BC 1.3: "Those who meet the eligibility criteria"."""
    admitted_on: date | None = None
    """Nebraska: "within 30 days following admission"."""
    opt_in: OptIn | None = None
    releases: tuple[Release, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    safety_list: tuple[SafetyEntry, ...] = ()
    explained: tuple[Explained, ...] = ()
    decisions: tuple[CareDecision, ...] = ()
    capability: tuple[Capability, ...] = ()
    directives: tuple[Directive, ...] = ()
    sf12: tuple[Sf12, ...] = ()
    acuity: tuple[Acuity, ...] = ()
    screens: tuple[Screen, ...] = ()
    suicide_risk: tuple[SuicideRisk, ...] = ()
    assessments: tuple[Assessment, ...] = ()
    findings: tuple[Finding, ...] = ()
    conditions: tuple[Diagnosis, ...] = ()
    cohorts: tuple[Cohort, ...] = ()
    cautions: tuple[Caution, ...] = ()
    medicines: tuple[Medicine, ...] = ()
    medicine_reviews: tuple[MedicineReview, ...] = ()
    care_plan: CarePlan | None = None
    care_team: tuple[TeamMember, ...] = ()
    contacts: tuple[Contact, ...] = ()
    events: tuple[Event, ...] = ()
    closure: Closure | None = None

    def identifiers(self) -> list[tuple[str, str]]:
        """(system, value) of everything the member is known by; the first names the Patient."""
        return [(one.system, one.value) for one in self.member.identifiers]

    @model_validator(mode="after")
    def _status_fits(self) -> Self:
        if self.status in {"active", "finished"} and (self.opt_in is None or self.admitted_on is None):
            raise ValueError("the programmes are voluntary: a member has an opt-in and an admission date")
        if (self.status == "finished") != (self.closure is not None):
            raise ValueError("a case is finished exactly when its closure is stated")
        withdrawn = self.opt_in is not None and self.opt_in.withdrawn_at is not None
        if self.status == "active" and withdrawn:
            raise ValueError("a member whose opt-in is withdrawn is opted-out")
        return self

    @model_validator(mode="after")
    def _ids_unique(self) -> Self:
        listed = {name: ids for part in (self, self.member, self.care_plan) if part for name, ids in _ids(part)}
        for name, ids in listed.items():
            if len(set(ids)) != len(ids):
                raise ValueError(f"{name}: an id is used twice")
        return self

    @model_validator(mode="after")
    def _references_resolve(self) -> Self:
        team = {person.id for person in self.care_team}
        plan = self.care_plan
        named = [by for contact in self.contacts for by in contact.by]
        named += [one.assessor for one in self.acuity if one.assessor]
        named += [one.by for one in self._by_staff() if one.by]
        named += [one.source for one in self.medicines if one.source]
        named += [self.entered.by] if self.entered.by else []
        if plan:
            named += [step.performer for step in plan.interventions if step.performer]
            named += [sign.by for sign in plan.sign_offs]
        if set(named) - team:
            raise ValueError("somebody is named who is not on the care team")
        met = {contact.id for contact in self.contacts if contact.mode == "face-to-face"}
        if {one.contact for one in self.acuity} - met:
            raise ValueError("an acuity assessment follows a face to face interview")
        return self

    def _by_staff(self) -> list[Screening | Explained | Capability | Screen | SuicideRisk | Assessment | Finding]:
        """What somebody of the care team did."""
        return [
            *self.screenings, *self.explained, *self.capability, *self.screens, *self.suicide_risk,
            *self.assessments, *self.findings,
        ]  # fmt: skip

    @model_validator(mode="after")
    def _names_what_it_states(self) -> Self:
        member = self.member
        beside = {one.id for one in (member.caregiver, *member.relatives) if one}
        decided = [one.decided_by for one in self.decisions]
        decided += [self.opt_in.agreed_by] if self.opt_in else []
        if {one for one in decided if one} - beside:
            raise ValueError("somebody decides who is neither caregiver nor relative")
        if {one.contact for one in self.assessments if one.contact} - {one.id for one in self.contacts}:
            raise ValueError("an assessment was made at a contact that is not there")
        if {one for review in self.medicine_reviews for one in review.medicines} - {
            one.id for one in self.medicines
        }:
            raise ValueError("a review looks at a medicine that is not there")
        if self.authorizations and member.coverage is None:
            raise ValueError("an authorization is by the payer of a coverage")
        return self


def _ids(part: Model) -> Iterator[tuple[str, list[str]]]:
    """The local ids of every list."""
    for name in type(part).model_fields:
        listed = getattr(part, name)
        if isinstance(listed, tuple) and listed and hasattr(listed[0], "id"):
            yield name, [one.id for one in listed]
