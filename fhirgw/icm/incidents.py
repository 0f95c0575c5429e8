"""Crises and critical incidents, and what the team made of them."""

from datetime import date
from typing import Literal, Self

from pydantic import model_validator

from fhirgw.icm.base import Classified, LocalId


class Incident(Classified):
    """A crisis, or a critical incident.

    BC 2.2: "reviewed with the client and care team following every crisis incident"; BC B.4: "follow-up with the
    client and crisis service provider following each crisis incident"; BC B.6: "All critical incidents are
    recorded and reviewed by the team"; Nebraska: "liaison with other crisis response services".
    """

    id: LocalId
    kind: Literal["crisis", "critical-incident"]
    on: date
    by: LocalId | None = None
    """Care team member who reports it."""
    response: tuple[Literal["crisis-plan", "team", "crisis-service", "emergency-department", "police"], ...] = ()
    """BC 2.2: the emergency department "only in situations where crisis cannot be resolved" by the crisis plan."""
    text: str | None = None
    followed_up_on: date | None = None
    reviewed_on: date | None = None

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if any(day < self.on for day in (self.followed_up_on, self.reviewed_on) if day):
            raise ValueError("an incident is followed up and reviewed after it happened")
        return self
