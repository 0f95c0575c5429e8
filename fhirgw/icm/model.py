"""One member's case in one programme, as the care-management system states it."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Self

from pydantic import Field, model_validator

from fhirgw.icm.assessment import Acuity, Sf12
from fhirgw.icm.base import Model
from fhirgw.icm.conditions import Caution, Cohort, Diagnosis, Medicine, MedicineReview
from fhirgw.icm.contacts import Attempt, Contact
from fhirgw.icm.eligibility import Authorization, Prerequisite, Recommendation, Screening
from fhirgw.icm.enrolment import Closure, Entered, PastStatus, PastVisit, Phase, Reentry, Referral, Status
from fhirgw.icm.findings import Finding
from fhirgw.icm.incidents import Incident
from fhirgw.icm.member import Member
from fhirgw.icm.plan import MEMBER, CarePlan
from fhirgw.icm.release import OptIn, Refusal, Release, SafetyEntry
from fhirgw.icm.rights import Capability, CareDecision, Directive, Explained, Request
from fhirgw.icm.screening import Assessment, Screen, SuicideRisk
from fhirgw.icm.team import Consultation, TeamMember


class Case(Model):
    """A member (or candidate) of one programme: the unit of import."""

    key: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^\S+$")]
    """The care-management system's own key of the case; all ids come from it."""
    version: Annotated[int, Field(ge=0)] | None = None
    """Counts what its system states of the case: an older statement undoes no newer one."""
    program: str
    member: Member
    status: Status
    entered: Entered
    reentry: Reentry | None = None
    past_statuses: tuple[PastStatus, ...] = ()
    phases: tuple[Phase, ...] = ()
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
    inactive_on: date | None = None
    """BC 2.8: "the file will be flagged as inactive"."""
    low_contact_on: date | None = None
    """BC 2.8: since when weekly contacts were not required."""
    opt_in: OptIn | None = None
    releases: tuple[Release, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    safety_list: tuple[SafetyEntry, ...] = ()
    explained: tuple[Explained, ...] = ()
    decisions: tuple[CareDecision, ...] = ()
    capability: tuple[Capability, ...] = ()
    directives: tuple[Directive, ...] = ()
    requests: tuple[Request, ...] = ()
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
    consultations: tuple[Consultation, ...] = ()
    contacts: tuple[Contact, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    incidents: tuple[Incident, ...] = ()
    closure: Closure | None = None

    def identifiers(self) -> list[tuple[str, str]]:
        """(system, value) of everything the member is known by; the first names the Patient."""
        return [(one.system, one.value) for one in self.member.identifiers]

    @property
    def relation(self) -> str:
        """What the status comes to for the rules: who waits is a candidate, who is inactive still a member."""
        return {"waitlist": "candidate", "inactive": "active"}.get(self.status, self.status)

    @model_validator(mode="after")
    def _status_fits(self) -> Self:
        enrolled = self.status in {"active", "inactive", "finished"}
        if enrolled and (self.opt_in is None or self.admitted_on is None):
            raise ValueError("the programmes are voluntary: a member has an opt-in and an admission date")
        if (self.status == "finished") != (self.closure is not None):
            raise ValueError("a case is finished exactly when its closure is stated")
        if self.status == "inactive" and self.inactive_on is None:
            raise ValueError("an inactive case says since when")
        withdrawn = self.opt_in is not None and self.opt_in.withdrawn_at is not None
        if self.status == "active" and withdrawn:
            raise ValueError("a member whose opt-in is withdrawn is opted-out")
        return self

    @model_validator(mode="after")
    def _ids_unique(self) -> Self:
        for part in (self, self.member, self.care_plan, self.closure):
            for name, ids in _ids(part) if part else ():
                if len(set(ids)) != len(ids):
                    raise ValueError(f"{name}: an id is used twice")
        if {one.id for one in self.care_team} & self.beside():
            raise ValueError("somebody is on the care team or beside the member, not both")
        if MEMBER in {one.id for one in self.care_team} | self.beside():
            raise ValueError("the id of the member is nobody else's")
        return self

    def beside(self) -> set[str]:
        """Who stands beside the member: the caregiver and the relatives."""
        return {one.id for one in (self.member.caregiver, *self.member.relatives) if one}

    @model_validator(mode="after")
    def _staff_is_on_the_team(self) -> Self:
        team = {person.id for person in self.care_team}
        if set(self._staff()) - team:
            raise ValueError("somebody is named who is not on the care team")
        if set(self._doers()) - team - self.beside() - {MEMBER}:
            raise ValueError("somebody is to do something who is neither on the team nor beside the member")
        for person in self.care_team:
            _chain(person.id, {one.id: one.supervisor for one in self.care_team})
        return self

    def _staff(self) -> Iterator[str]:
        """Everybody who is named as one of the care team."""
        reported = (
            *self.screenings, *self.explained, *self.capability, *self.screens, *self.suicide_risk,
            *self.assessments, *self.findings, *self.attempts, *self.incidents, *self.consultations,
        )  # fmt: skip
        yield from (one.by for one in reported if one.by)
        yield from (by for contact in self.contacts for by in contact.by)
        yield from (one.assessor for one in self.acuity if one.assessor)
        yield from (sign.by for acuity in self.acuity for sign in acuity.signed)
        yield from (sign.by for assessment in self.assessments for sign in assessment.signed)
        yield from (one.source for one in self.medicines if one.source)
        yield from (other for one in self.consultations for other in one.others)
        yield from (one.supervisor for one in self.care_team if one.supervisor)
        yield from [self.entered.by] if self.entered.by else []
        if plan := self.care_plan:
            yield from (sign.by for sign in plan.sign_offs)
            yield from (one.by for one in plan.connections if one.by)
            yield from (one.decided_by for one in plan.suggestions if one.decided_by)
            yield from (told.by for goal in plan.goals for told in goal.progress if told.by)

    def _doers(self) -> Iterator[str]:
        """Everybody who does something for the plan or agrees to its end."""
        if plan := self.care_plan:
            yield from (one for goal in plan.goals for one in goal.helpers)
            yield from (one for step in plan.interventions for one in step.performers)
        yield from (one for contact in self.contacts for one in contact.beside)
        if self.closure:
            yield from (one.by for one in self.closure.agreements if isinstance(one.by, str))

    @model_validator(mode="after")
    def _names_what_it_states(self) -> Self:
        decided = [one.decided_by for one in self.decisions]
        decided += [self.opt_in.agreed_by] if self.opt_in else []
        if {one for one in decided if one} - self.beside():
            raise ValueError("somebody decides who is neither caregiver nor relative")
        if {one.contact for one in self.assessments if one.contact} - {one.id for one in self.contacts}:
            raise ValueError("an assessment was made at a contact that is not there")
        met = {contact.id for contact in self.contacts if contact.mode == "face-to-face"}
        if {one.contact for one in self.acuity} - met:
            raise ValueError("an acuity assessment follows a face to face interview")
        stated = {one.id for one in self.medicines}
        if {one for review in self.medicine_reviews for one in review.medicines} - stated:
            raise ValueError("a review looks at a medicine that is not there")
        if self.authorizations and self.member.coverage is None:
            raise ValueError("an authorization is by the payer of a coverage")
        return self

    @model_validator(mode="after")
    def _problems_show_in_something(self) -> Self:
        whole = {one.id for one in (*self.findings, *self.screens, *self.acuity)}
        domains = {(one.id, found.domain) for one in self.assessments for found in one.findings}
        for problem in self.care_plan.problems if self.care_plan else ():
            for one in problem.evidence:
                if (one.of, one.domain) not in domains and (one.domain or one.of not in whole):
                    raise ValueError("a problem shows in something that is not there")
        return self


def _ids(part: Model) -> Iterator[tuple[str, list[str]]]:
    """The local ids of every list."""
    for name in type(part).model_fields:
        listed = getattr(part, name)
        if isinstance(listed, tuple) and listed and hasattr(listed[0], "id"):
            yield name, [one.id for one in listed]


def _chain(person: str, supervisors: dict[str, str | None]) -> None:
    """Follow the supervisors of somebody to the top.

    Raises:
        ValueError: It goes round: nobody supervises themselves.
    """
    seen: set[str] = set()
    while (above := supervisors.get(person)) is not None:
        if above in seen or above == person:
            raise ValueError("somebody supervises themselves")
        seen.add(person)
        person = above
