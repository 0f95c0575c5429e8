"""What every part of a case is made of: codes, texts with a stated sensitivity, people, organizations.

Titles of the sources, as cited in this package: *CT BHP* is "ICM/Peer Engagement Process" (Connecticut
Behavioral Health Partnership); *HUSKY* is "Intensive Care Management Program" (CHNCT, HUSKY Health);
*Nebraska* is "Service Definition: Peer Support" (Nebraska DHHS); *BC* is "Intensive Case Management Team
Model of Care Standards and Guidelines" (British Columbia); *CCBH* is "What is Peer Support?" (Community
Care Behavioral Health, Pennsylvania).
"""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

SensitivityCode = Literal[
    "ETH", "SUD", "ETHUD", "OPIOIDUD", "BH", "MH", "PSY", "PSYTHPN", "HIV", "SDV", "VIO", "MST", "SEX", "STD",
    "GDIS", "COGN", "DVD", "EMOTDIS", "SCA", "PREGNANT", "LIVARG", "REL",
]  # fmt: skip
"""Codes of v3-ActCode (InformationSensitivityPolicy), THO v11.0.0."""

Sensitivity = Literal["none"] | Annotated[tuple[SensitivityCode, ...], Field(min_length=1)] | None
"""What the person who entered a text says it reveals: ``"none"``, or codes. Absent: nobody has classified it,
and it is then released only where every restricted category is (consent specification §2.3)."""

LocalId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
"""A name for one thing inside one case; stable over the versions of the case, for the FHIR id comes from it."""

Line = Annotated[str, Field(min_length=1)]


class Model(BaseModel):
    """Frozen, and closed: an unknown field is an error, never silently lost."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Coded(Model):
    """A code of a published system, with its display."""

    system: Line
    code: Line
    display: str | None = None


class Identified(Model):
    """An identifier: its system (URI) and value."""

    system: Line
    value: Line


class Classified(Model):
    """Something with a text by a person, and what that person says the text reveals."""

    sensitivity: Sensitivity = None

    @property
    def codes(self) -> tuple[str, ...]:
        """The stated sensitivity codes; none where nothing is stated."""
        return self.sensitivity if isinstance(self.sensitivity, tuple) else ()

    @property
    def cleared(self) -> bool:
        """Whether a person has classified the text, as harmless or as sensitive."""
        return self.sensitivity is not None


class HumanName(Model):
    """A name; ``text`` where the parts are not known."""

    family: str | None = None
    given: tuple[str, ...] = ()
    text: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.family or self.given or self.text):
            raise ValueError("a name has at least one part")
        return self


class Address(Model):
    """Where somebody lives. BC 1.2 expects people without one: then there is none."""

    lines: tuple[str, ...] = ()
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    use: Literal["home", "temp", "old"] = "home"
    fixed: bool = True
    """False: no fixed address; the rest says where the member can be found."""


class Telecom(Model):
    """Phone, e-mail or text message."""

    system: Literal["phone", "email", "sms"]
    value: Line
    use: Literal["home", "work", "mobile"] | None = None


class Organization(Model):
    """An organization, known by its first identifier (an NPI first)."""

    identifier: Identified
    name: Line
    telecom: tuple[Telecom, ...] = ()


class Provider(Model):
    """A practitioner who is not on the care team."""

    id: LocalId
    name: HumanName
    identifier: Identified | None = None


class Person(Provider):
    """Somebody who is named: a practitioner, or a person in the member's life.

    BC 1.6: clients have a right to "refuse to have certain people involved in their care".
    """

    kind: Literal["practitioner", "related"]
    relationship: Coded | None = None
    """v3-RoleCode, e.g. GUARD, HPOWATT, SPS; only for a related person."""

    @model_validator(mode="after")
    def _related_to_the_member(self) -> Self:
        if self.relationship is not None and self.kind != "related":
            raise ValueError("only somebody in the member's life has a relationship to them")
        return self


class Signed(Model):
    """A signature by somebody of the care team.

    Nebraska: "The clinical consultant is responsible for reviewing and signing off on the Wellness and
    Recovery Service Plan"; BC B.2: team leader and psychiatrist sign off "on all assessments, care plans and
    discharge plans".
    """

    by: LocalId
    at: AwareDatetime
