"""How the member is: SF-12, the Acuity Assessment and its tier."""

from datetime import date
from typing import Annotated, Literal, Self, get_args

from pydantic import AwareDatetime, Field, model_validator

from fhirgw.icm.base import LocalId, Model, Signed

AcuityDomain = Literal[
    "safety",
    "mental-health-substance-use",
    "medical-conditions",
    "medication",
    "treatment-participation",
    "care-coordination",
    "financial-transportation-housing",
    "cultural-social-support",
]
"""CT BHP, Care Plan Development: "Safety; Mental Health / Substance Use Disorder Status; Medical health
conditions; Medication knowledge and adherence; Treatment Participation; Care Coordination needs; Financial,
transportation, housing needs; Cultural issues and social support"."""

ACUITY_DOMAINS: tuple[str, ...] = get_args(AcuityDomain)


class Sf12(Model):
    """CT BHP, Initial meeting: "Completion of SF12 (functional assessment tool)"."""

    id: LocalId
    taken_at: AwareDatetime
    answers: dict[str, int]
    """By item mnemonic: GH1 PF02 PF04 RP2 RP3 RE2 RE3 BP2 MH3 VT2 MH4 SF2. No wording: a site licenses the
    form."""


class Acuity(Model):
    """An Acuity Assessment and the tier it leads to.

    CT BHP, Care Plan Development: "ICM Performs the Acuity Assessment, following a face to face interview
    with the member to fully capture the scope and severity of the member's needs".
    """

    id: LocalId
    taken_on: date
    contact: LocalId
    """The contact that was the interview; it must be face to face."""
    domains: dict[AcuityDomain, Annotated[int, Field(ge=0, le=3)]]
    """Severity of each of the eight domains, 0 none to 3 acute: the source names no scale, this one is ours."""
    tier: str
    """Code of one of the programme's tiers."""
    assessor: LocalId | None = None
    """Care team member."""
    signed: tuple[Signed, ...] = ()
    """BC B.2: the team leader signs off "on all assessments"."""

    @model_validator(mode="after")
    def _all_domains(self) -> Self:
        if set(self.domains) != set(ACUITY_DOMAINS):
            raise ValueError("an acuity assessment states all eight domains")
        return self
