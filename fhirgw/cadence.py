"""How often somebody is met: what a programme's tier asks for, and what a member's plan says."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Cadence(BaseModel):
    """CT BHP, ICM/Peer Tiered Approach: "One to three contacts per month"; CCBH: "a few hours each week"."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    frequency: Annotated[int, Field(ge=1)] = 1
    frequency_max: Annotated[int, Field(ge=1)] | None = None
    period: Annotated[int, Field(ge=1)] = 1
    period_max: Annotated[int, Field(ge=1)] | None = None
    unit: Literal["d", "wk", "mo"]
    minutes: Annotated[int, Field(ge=1)] | None = None
    """How long each time."""

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if self.frequency_max is not None and self.frequency_max <= self.frequency:
            raise ValueError("frequency_max is above frequency")
        if self.period_max is not None and self.period_max <= self.period:
            raise ValueError("period_max is above period")
        return self
