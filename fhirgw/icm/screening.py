"""Screens with their scores, suicide risk, and assessments by life domain."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from fhirgw.icm.base import Classified, Line, LocalId, Model, Signed

InstrumentCode = Literal["vr12-phone", "vr12-mail", "phq2", "phq9", "pss10", "hits", "hark"]


class Screen(Model):
    """One filled-in instrument.

    HUSKY, ICM Assessment Components: "Perceived Stress Scale", "Depression screening", "Domestic violence
    screening"; VR-12 where a site has no licence for the SF-12. Scores: ``fhirgw.icm.instruments``.
    """

    id: LocalId
    instrument: InstrumentCode
    taken_at: AwareDatetime
    by: LocalId | None = None
    """Care team member who asked. Absent: the member filled it in."""
    answers: dict[str, int]
    """By item mnemonic or number. No wording."""
    handled_at: AwareDatetime | None = None
    """When somebody saw to an answer that calls for a person at once (PHQ-9, item 9)."""


class SuicideRisk(Classified):
    """A screening for suicide risk.

    Nebraska: screenings "identify strengths, ability, and at-risk behavior, including suicide risk, at admission
    and throughout program; if imminent danger is identified appropriate steps must be taken to minimize risk".
    """

    id: LocalId
    at: AwareDatetime
    by: LocalId | None = None
    """Care team member."""
    level: Literal["none", "low", "moderate", "high", "imminent"]
    """The source names "imminent danger" only; the other levels are ours."""
    steps: str | None = None
    """What was done. Its sensitivity is the screening's."""
    handled_at: AwareDatetime | None = None


class DomainFinding(Classified):
    """What was found in one life domain."""

    domain: Line
    """Code of one of the programme's assessment domains."""
    text: Line
    asset: bool = False
    """BC 1.4: "Strengths Assessment in Life Domains": this is what the client brings."""


class Assessment(Model):
    """An assessment of the whole life.

    BC 1.4: "an ongoing and in depth assessment to inform care planning and delivery is conducted"; HUSKY, ICM
    Assessment Components; Nebraska: "screenings are used to identify strengths, ability, and at-risk behavior".
    """

    id: LocalId
    at: AwareDatetime
    by: LocalId | None = None
    """Care team member."""
    contact: LocalId | None = None
    findings: Annotated[tuple[DomainFinding, ...], Field(min_length=1)]
    signed: tuple[Signed, ...] = ()
    """BC B.2: team leader and psychiatrist sign off "on all assessments"."""
