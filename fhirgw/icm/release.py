"""What the member agrees to and refuses: opt-in, release of information, named refusals, safety list."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from fhirgw.icm.base import Line, LocalId, Model, Organization, Person, SensitivityCode

Purpose = Literal["TREAT", "COC", "ETREAT", "HPAYMT", "HOPERAT", "PATRQT", "PUBHLTH"]
"""v3-ActReason. COC, not CAREMGT, is the purpose of care coordination: CAREMGT "explicitly excludes" it."""


Statement = Literal[
    "right-to-revoke", "conditioning", "redisclosure", "redisclosure-except-proceedings", "consequences-of-refusal",
    "copy-to-member", "purpose-and-authority-of-collection",
]  # fmt: skip
"""What a form tells the member. 45 CFR 164.508(c)(2): right to revoke, conditioning, redisclosure; (c)(4): copy; 42
CFR 2.31(a): redisclosure except in proceedings against the patient; BC FIPPA s.27: purpose and authority."""


class Form(Model):
    """The signed form. 45 CFR 164.508(c) and 42 CFR 2.31 ask for statements that belong to its version."""

    uri: Line = Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$")
    version: str | None = None
    title: str | None = None
    url: str | None = None
    """Where the scanned form is kept."""
    content_type: str = "application/pdf"
    statements: tuple[Statement, ...] = ()
    """What this version of the form states."""
    copy_given_on: date | None = None
    """45 CFR 164.508(c)(4): the individual is given a copy."""


class Signature(Model):
    """45 CFR 164.508(c)(1)(vi): "Signature of the individual and date"; 42 CFR 2.31(a): electronic ones too."""

    kind: Literal["handwritten", "electronic", "mark"]
    witness: Person | None = None
    """Who saw it: a mark, or a member who could not write."""


class Representative(Model):
    """Who signed for the member, with the authority.

    45 CFR 164.508(c)(1)(vi): "a description of such representative's authority to act for the individual"; BC
    1.6: substitute decision maker.
    """

    person: Person
    authority: Literal["GUARD", "GUADLTM", "HPOWATT", "POWATT", "DPOWATT", "PRN"]
    """v3-RoleCode."""
    description: str | None = None
    """The authority in words: the order of which court, the paper of which day."""


class Exclusion(Model):
    """Something the member keeps back from this release: a person, or a category of information."""

    id: LocalId
    person: Person | None = None
    category: SensitivityCode | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.person is None) == (self.category is None):
            raise ValueError("an exclusion names either a person or a category")
        return self


class Release(Model):
    """A release of information (ROI): who may be told what, why and until when.

    CT BHP, Initial meeting: "Explanation and signing of Release Of Information forms"; HUSKY, Coordination &
    Collaboration: the plan of care "is shared with the providers if the member agrees"; BC 1.6: "Informed
    consent of clients is required for sharing of information". Elements: 45 CFR 164.508(c)(1), 42 CFR
    2.31(a).
    """

    id: LocalId
    recipient: Organization | Person
    intermediary: Organization | None = None
    """42 CFR 2.31(a): an intermediary through which the recipient gets it is named."""
    discloser: str | None = None
    """42 CFR 2.31(a): the person, or class of persons, permitted to disclose. Absent: the programme."""
    description: str | None = None
    """45 CFR 164.508(c)(1)(i): "A description of the information to be used or disclosed", in the form's words."""
    purposes: Annotated[tuple[Purpose, ...], Field(min_length=1)]
    categories: tuple[SensitivityCode, ...] = ()
    """Categories that the form names. Empty: none of those that must be named (SUD, HIV, psychotherapy, DV)."""
    confidentiality: Literal["U", "L", "M", "N", "R", "V"] = "R"
    """The highest v3-Confidentiality that is released."""
    starts_on: date
    ends_on: date | None = None
    expiry_event: str | None = None
    """42 CFR 2.31(a): "date, event, or condition upon which the consent will expire"."""
    signed_at: AwareDatetime
    signature: Signature | None = None
    """How it was signed; the day is ``signed_at``."""
    representative: Representative | None = None
    """Absent: the member signed."""
    law: Literal["hipaa", "part2", "fippa"] = "hipaa"
    """Under which rule the form was made: 45 CFR 164.508, 42 CFR 2.31, or BC FIPPA s.33 (written consent)."""
    form: Form
    exclusions: tuple[Exclusion, ...] = ()
    status: Literal["draft", "active", "revoked", "entered-in-error"] = "active"
    revoked_at: AwareDatetime | None = None
    revoked_in: Literal["writing", "speech"] | None = None
    """45 CFR 164.508(b)(5): in writing; a programme may heed the spoken word too."""

    @model_validator(mode="after")
    def _revoked_when(self) -> Self:
        if (self.status == "revoked") != (self.revoked_at is not None):
            raise ValueError("a release is revoked exactly when revoked_at is stated")
        if self.revoked_in and self.revoked_at is None:
            raise ValueError("how a release was revoked is stated only of one that was")
        if self.ends_on is not None and self.ends_on < self.starts_on:
            raise ValueError("a release ends before it starts")
        return self


class OptIn(Model):
    """The member's agreement to take part.

    CT BHP, Initial meeting: "Member agreement to participate/ 'opt-in'"; HUSKY: "a voluntary program". BC
    1.6: "Consent may be implied, verbal or written as appropriate".
    """

    agreed_at: AwareDatetime
    mode: Literal["written", "verbal", "implied"] = "verbal"
    form: Form | None = None
    agreed_by: LocalId | None = None
    """The caregiver or relative who decided for the member (BC 1.6). Absent: the member."""
    withdrawn_at: AwareDatetime | None = None


class Refusal(Model):
    """Somebody whom the member does not want involved.

    BC 1.6, Minimum Standards: "clients have a right to refuse services or refuse to have certain people
    involved in their care; impacts of those rights are clearly explained to clients".
    """

    id: LocalId
    person: Person
    stated_at: AwareDatetime
    impacts_explained_at: AwareDatetime | None = None
    withdrawn_at: AwareDatetime | None = None


class SafetyEntry(Model):
    """Somebody from whom the member must be kept safe.

    HUSKY, ICM Assessment Components: "Domestic violence screening"; "Safety of living environment".
    """

    id: LocalId
    person: Person
    stated_at: AwareDatetime
    withdrawn_at: AwareDatetime | None = None
