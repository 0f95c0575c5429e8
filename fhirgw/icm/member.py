"""The member: who they are, who stands beside them, and who pays."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from fhirgw.icm.base import Address, Coded, HumanName, Identified, LocalId, Model, Organization, Telecom


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


class Coverage(Model):
    """CCBH, Authorization For Services: "CCBH pays for services with authorization"."""

    id: LocalId
    member_id: str | None = None
    payer: Organization
    kind: Coded | None = None
    starts_on: date | None = None
    ends_on: date | None = None


class Member(Model):
    """HUSKY: "member"; BC: "client"; Nebraska: "individual"; CCBH: "consumer"."""

    identifiers: Annotated[tuple[Identified, ...], Field(min_length=1)]
    """The first one names the person to the gateway."""
    name: HumanName
    birth_date: date
    gender: Literal["male", "female", "other", "unknown"]
    address: Address | None = None
    telecom: tuple[Telecom, ...] = ()
    languages: tuple[str, ...] = ()
    """BCP-47, the preferred one first. HUSKY, ICM Approach: "culturally and linguistically appropriate
    services"."""
    race: Coded | None = None
    """OMB category (CDC race and ethnicity), where the member states it."""
    ethnicity: Coded | None = None
    caregiver: Caregiver | None = None
    coverage: Coverage | None = None
