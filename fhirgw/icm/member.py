"""The member: who they are, who stands beside them, and who pays."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fhirgw.icm.base import Address, Coded, HumanName, Identified, LocalId, Model, Organization, Provider, Telecom


class Caregiver(Model):
    """Somebody who cares for the member, or decides for them.

    HUSKY, Leading ICM Program Goals: "members" "may also refer to the member's caregiver or the head of
    household"; BC 1.6: "the name of the substitute decision maker, and relationship to client ... is
    recorded".
    """

    id: LocalId
    name: HumanName
    relationship: Coded
    """v3-RoleCode, e.g. GUARD (guardian), HPOWATT (healthcare power of attorney), SPS (spouse)."""
    telecom: tuple[Telecom, ...] = ()
    decides: bool = False
    """Whether this is the substitute decision maker (BC 1.6)."""


class Relative(Model):
    """Family as the member sees it, the head of the household, a support person.

    BC, Family: "whomever the client defines"; HUSKY: "the head of household"; BC 1.6, Guidelines: "Clients can
    have a support person or advocate involved in their care".
    """

    id: LocalId
    part: Literal["family", "head-of-household", "substitute-decision-maker", "support-person"]
    name: HumanName
    relationship: Coded | None = None
    """v3-RoleCode."""
    telecom: tuple[Telecom, ...] = ()


class PrimaryCare(Model):
    """The member's medical home.

    HUSKY, ICM Approach: the "primary care practice acts as the hub"; BC 2.3: "attached to a primary care
    practitioner or clinic".
    """

    practitioner: Provider | None = None
    organization: Organization | None = None
    recognition: tuple[Literal["pcmh-ncqa", "pcmh-joint-commission", "fqhc"], ...] = ()

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.practitioner is None and self.organization is None:
            raise ValueError("primary care is a practitioner, an organization, or both")
        return self


class Coverage(Model):
    """CCBH, Authorization For Services: "CCBH pays for services with authorization"."""

    id: LocalId
    member_id: str | None = None
    payer: Organization
    kind: Coded | None = None
    starts_on: date | None = None
    ends_on: date | None = None


class Indigenous(Model):
    """Whether the member says they are Indigenous, and of which people: CA Baseline's two extensions, for BC.

    BC 2.5: care is "culturally safe"; "Assumptions are not made" from ethnicity. Only what the member states.
    """

    identifies: Coded
    """Code of the site's own value set for self-identification (CA Baseline prefers Canada Health Infoway's)."""
    people: Coded | None = None


class Member(Model):
    """HUSKY: "member"; BC: "client"; Nebraska: "individual"; CCBH: "consumer"."""

    identifiers: Annotated[tuple[Identified, ...], Field(min_length=1)]
    """The first one names the person to the gateway."""
    identity: Literal["established", "partial"] = "established"
    """BC 1.1: outreach meets people before it is known who they are; their identifier is then a temporary one."""
    name: HumanName
    birth_date: date | None = None
    """Absent only while the identity is partial."""
    gender: Literal["male", "female", "other", "unknown"]
    address: Address | None = None
    telecom: tuple[Telecom, ...] = ()
    languages: tuple[str, ...] = ()
    """BCP-47, the preferred one first. HUSKY, ICM Approach: "culturally and linguistically appropriate
    services"."""
    race: Coded | None = None
    """OMB category (CDC race and ethnicity), where the member states it."""
    ethnicity: Coded | None = None
    indigenous: Indigenous | None = None
    caregiver: Caregiver | None = None
    relatives: tuple[Relative, ...] = ()
    primary_care: PrimaryCare | None = None
    coverage: Coverage | None = None

    @model_validator(mode="after")
    def _born_when(self) -> Self:
        if self.birth_date is None and self.identity == "established":
            raise ValueError("only somebody whose identity is partial has no birth date")
        return self
