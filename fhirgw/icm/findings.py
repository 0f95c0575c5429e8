"""What is known of the member besides scores: strengths, function, housing, readings."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fhirgw.icm.base import Classified, Line, LocalId


class _Found(Classified):
    id: LocalId
    on: date
    by: LocalId | None = None
    """Care team member."""


class Strength(_Found):
    """BC 1.5: "Client's strengths and assets"; HUSKY: "strengths"; Nebraska: "identify strengths, ability"."""

    kind: Literal["strength"] = "strength"
    text: Line


class Preference(_Found):
    """BC 1.5: "preferences"; HUSKY, Leading ICM Program Goals: "preferences, cultural values and strengths"."""

    kind: Literal["preference"] = "preference"
    about: Literal["cultural", "spiritual", "sexual", "gender", "care"]
    text: Line


class Function(_Found):
    """How the member gets on.

    CCBH, Admission Criteria, D: "limits performance in educational, social, vocational, and/or
    self-maintenance"; Nebraska, Admission Guidelines, I.3.
    """

    kind: Literal["function"] = "function"
    area: Literal["educational", "social", "vocational", "self-maintenance"]
    impairment: Literal["none", "mild", "moderate", "severe"]
    text: str | None = None


class StageOfChange(_Found):
    """BC, Stages of Change: "precontemplative, contemplative, preparation, action and maintenance"."""

    kind: Literal["stage-of-change"] = "stage-of-change"
    stage: Literal["precontemplation", "contemplation", "preparation", "action", "maintenance"]
    behaviour: str | None = None
    """Of what: BC 2.5 means substance use."""


class PatternOfUse(_Found):
    """BC 2.5, Harm Reduction: the client's patterns of substance use."""

    kind: Literal["pattern-of-use"] = "pattern-of-use"
    text: Line


class Housing(_Found):
    """Where the member lives.

    BC 1.4, footnote 9 (Canadian Definition of Homelessness): "1) unsheltered, 2) emergency sheltered, 3)
    provisionally accommodated and 4) at risk of homelessness"; BC 2.7: what adequate housing is.
    """

    kind: Literal["housing"] = "housing"
    category: Literal["unsheltered", "emergency-sheltered", "provisionally-accommodated", "at-risk", "housed"]
    affordable: bool | None = None
    """At most 30 % of income."""
    good_repair: bool | None = None
    uncrowded: bool | None = None
    history: str | None = None


class Circumstance(_Found):
    """What services are adapted to.

    Nebraska: "such as veterans, transitional age youth, families, and those with law enforcement contact".
    """

    kind: Literal["circumstance"] = "circumstance"
    what: Literal["veteran", "transition-age-youth", "family", "law-enforcement-contact"]
    text: str | None = None


class Reading(_Found):
    """A number that the member knows.

    HUSKY, Coaching & Education: "Knowing Numbers: Blood pressure, Blood glucose, Cholesterol, Weight, Peak flows".
    """

    kind: Literal["reading"] = "reading"
    what: Literal["blood-pressure", "blood-glucose", "cholesterol", "weight", "peak-flow"]
    value: float
    """Of a blood pressure: the systolic one."""
    diastolic: float | None = None
    unit: Line
    """UCUM."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.what == "blood-pressure") != (self.diastolic is not None):
            raise ValueError("a blood pressure is two numbers, any other reading is one")
        return self


Finding = Annotated[
    Strength | Preference | Function | StageOfChange | PatternOfUse | Housing | Circumstance | Reading,
    Field(discriminator="kind"),
]
