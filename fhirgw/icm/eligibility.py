"""May the person take part: recommendation, what must be there before, screening, the decision and its reason."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from fhirgw.icm.base import Classified, Coded, Line, LocalId, Model, Organization, Provider


class Recommendation(Classified):
    """A physician's recommendation.

    CCBH, Referrals: "Admission requires a physician's recommendation as well as a referral by another
    individual".
    """

    id: LocalId
    by: Provider
    on: date
    diagnosis: Coded | None = None
    """CCBH, Admission Criteria: "a significant mental illness prescribed by a physician"."""
    reason: str | None = None


class Prerequisite(Classified):
    """An assessment by a licensed clinician that the programme must have before it begins.

    Nebraska, Program Expectations: "must have been completed prior to initiating peer support services and
    recommends this level of care. A copy of the assessment(s) should be found in the individual's peer support
    file; if unable to obtain, documentation will be found describing efforts to obtain".
    """

    id: LocalId
    kind: Literal["mental-health-assessment", "substance-use-assessment"]
    by: Provider | None = None
    on: date | None = None
    recommends: bool | None = None
    """Whether it recommends this level of care."""
    copy_url: str | None = None
    """Where the copy in the file is."""
    efforts: str | None = None
    """What was done to obtain it. Its sensitivity is the assessment's."""
    efforts_on: tuple[date, ...] = ()


class Answer(Model):
    """Whether one criterion is met."""

    criterion: Line
    """Code of one of the programme's admission or continued-stay criteria."""
    met: Literal["yes", "no", "unknown"]


class Explanation(Model):
    """BC 1.3: "notified and the decision is explained either verbally or in writing"."""

    on: date
    how: Literal["verbal", "written"]
    to: Annotated[tuple[Literal["client", "family", "referral-source"], ...], Field(min_length=1)]
    """BC 1.3, Intended Outcome: "explain to client/family/referral source reason for the decision"."""


class LinkOut(Classified):
    """BC 1.3: "actively linked by the team to services that are best suited to meet their needs"."""

    id: LocalId
    to: Organization
    service: Line
    on: date


class Lateness(Model):
    """BC 1.3, Guidelines: "attempts to contact ... are made and extenuating circumstances are documented"."""

    attempted_on: tuple[date, ...] = ()
    circumstances: Line


class Screening(Classified):
    """Screening for eligibility, and whether it still holds.

    BC 1.3: "Screening for eligibility determines whether or not the ICMT can meet the needs of the referred
    client"; CCBH, Admission Criteria and Continued Stay Criteria; Nebraska, Admission and Continued Stay
    Guidelines. Its sensitivity is that of the reason.
    """

    id: LocalId
    kind: Literal["admission", "continued-stay"] = "admission"
    screened_at: AwareDatetime
    by: LocalId | None = None
    """Care team member."""
    answers: tuple[Answer, ...] = ()
    outcome: Literal["eligible", "ineligible", "exception"]
    """CCBH, Authorization For Services: "Exceptions can be granted"."""
    reason: str | None = None
    explanation: Explanation | None = None
    link_outs: tuple[LinkOut, ...] = ()
    late: Lateness | None = None


class Authorization(Classified):
    """The payer's word on paying for the programme.

    CCBH, Authorization For Services: "CCBH pays for services with authorization provided for individuals who
    meet medical necessity criteria. Exceptions can be granted for individuals who do not meet the diagnostic
    criteria".
    """

    id: LocalId
    number: str | None = None
    decision: Literal["requested", "approved", "exception", "denied"]
    decided_on: date
    starts_on: date | None = None
    ends_on: date | None = None
    reason: str | None = None
