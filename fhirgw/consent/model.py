"""What a decision is made of: the request, the policy of one patient, the resource's facts, the decision.

See: the consent specification, §2.3 (inputs) and §2.8 (decision).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson

from fhirgw.settings import ZONE

Json = dict[str, Any]
Effect = Literal["PERMIT", "DENY"]


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who asks: the closure of verified identities.

    Attributes:
        tokens: ``Organization/id`` references and ``system|value`` identifiers of the person, the organization
            and its parents. Empty means unknown, and an unknown requester never gains by it.
        roles: Role codes held now.
        person: Whether a single person is identified (None: a system asks, its persons are unknown).
        networks: Tokens of the networks and organizations that it is plainly a member of now.
        partners: Tokens of what it may be a member of: enough for a deny, never for a permit.
        until: When its memberships change by themselves; None: never.
    """

    tokens: frozenset[str]
    roles: frozenset[str] = frozenset()
    person: bool | None = None
    networks: frozenset[str] = frozenset()
    partners: frozenset[str] = frozenset()
    until: datetime | None = None

    @property
    def named_by(self) -> frozenset[str]:
        """Whatever a Consent may name to mean the recipient for certain."""
        return self.tokens | self.networks


@dataclass(frozen=True, slots=True)
class Request:
    """One ask, with exactly one purpose of use, at one instant.

    Attributes:
        purpose: v3-ActReason code.
        action: ``access`` (inbound read) or ``disclose`` (outbound push), ``collect``, ``correct``.
        at: Decision time, aware; one instant for the whole response.
        emergency: The break-glass claim, or None: ``patient`` (``Patient/x``), ``person`` (the name),
            ``affiliation`` (with which facility), ``reason``; ``since``, an instant, unless it is made just now.
    """

    recipient: Recipient
    purpose: str
    action: str
    channel: str
    at: datetime
    emergency: Json | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A member's relation to a programme, as far as consent asks: opted in, or opted out and since when."""

    program: str
    status: Literal["candidate", "active", "finished", "opted-out"]


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a CareTeam or Group.

    Attributes:
        literal: ``Practitioner/x``; '' when there is an identifier alone.
        kind: Type of who it is.
        tokens: Identifiers that the team states.
        when: From when to when; None where that cannot be read.
        held: Whether the membership holds, its period aside: False when it or the team is inactive.
    """

    literal: str
    kind: str
    tokens: frozenset[str]
    when: tuple[datetime | None, datetime | None] | None
    held: bool | None


@dataclass(frozen=True, slots=True)
class PatientPolicy:
    """Everything of one patient that a decision reads, at one policy revision.

    Attributes:
        patient: Logical id of the Patient.
        consents: Current versions of the FHIR Consents, refusals and DV safety lists included.
        enrolments: None where enrolment is not judged (the ``consent decide`` command on foreign consents).
        actors: Reference (``Organization/x``) to the tokens of the resource behind it. A reference that is
            not a key cannot be resolved, and is therefore unknown.
        affiliations: Reference to a person (``Practitioner/x``) to the tokens of the organizations they work
            for, parents and networks included; empty where it is known that there are none. Absent means unknown.
        members: Reference to a team (``CareTeam/x``, ``Group/x``) to who is in it. Absent means unknown.
        authorities: Reference to a substitute (``RelatedPerson/x``) to the (first, last) instant at which a
            recorded authority lets them sign for the patient; None is open-ended.
        revision: Policy revision of this patient.
        others: Logical ids of Patients that were merged or linked with this one: what they refused counts here
            too, what they permitted does not (§4 row 49).
    """

    patient: str
    consents: tuple[Json, ...]
    enrolments: tuple[Enrolment, ...] | None
    actors: Mapping[str, frozenset[str]] = field(default_factory=dict)
    revision: int = 0
    affiliations: Mapping[str, frozenset[str]] = field(default_factory=dict)
    authorities: Mapping[str, tuple[datetime | None, datetime | None]] = field(default_factory=dict)
    others: frozenset[str] = frozenset()
    members: Mapping[str, tuple[Member, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Agreement:
    """A written, dated agreement under which the law has data disclosed (42 CFR 2.53; §2.7 row 5).

    Attributes:
        name: What the ledger calls it.
        tokens: Whom it names.
        purposes: v3-ActReason codes, what is below them included.
        types: Resource types of its scope.
        labels: Sensitivity bits of its scope; an explicit-only category only where it is named.
        highest: Highest confidentiality of its scope.
        period: First and last instant, both stated.
    """

    name: str
    tokens: frozenset[str]
    purposes: frozenset[str]
    types: frozenset[str]
    labels: int
    highest: int
    period: tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Profile:
    """The minimum that a class of recipients needs for a purpose (§2.7 row 8; ``minimum.py``).

    Attributes:
        name: What the decision calls it.
        classes: Classes of recipients, any of them.
        purposes: v3-ActReason codes, what is below them included.
        kept: Type to the top-level elements that are kept, choice elements by their stem; None: all. No other type.
    """

    name: str
    classes: frozenset[str]
    purposes: frozenset[str]
    kept: tuple[tuple[str, frozenset[str] | None], ...]

    @property
    def types(self) -> frozenset[str]:
        """The types of which anything is kept."""
        return frozenset(kind for kind, _ in self.kept)

    def has(self, kind: str) -> bool:
        """Whether anything of the type is kept."""
        return any(kind == one for one, _ in self.kept)

    def stems(self, kind: str) -> frozenset[str] | None:
        """The elements of the type that are kept; None: all."""
        return next((stems for one, stems in self.kept if one == kind), frozenset())


@dataclass(frozen=True, slots=True)
class ConsentSettings:
    """The switches of the ``consent decide`` command, for judging foreign consents (DESIGN §9)."""

    require_explicit_sensitive: bool = True
    require_signature: bool = True
    require_complete: bool = True
    roi_categories: frozenset[str] | None = None
    """``system|code`` of the categories that make a Consent an ROI; None: the built-in list."""
    any_category: bool = False
    zone: str = ZONE
    """Of the organization: for dates in a Consent that does not say its own (``instants.zone_of``)."""
    agreements: tuple[Agreement, ...] = ()
    minimum: tuple[Profile, ...] = ()
    """Profiles of the minimum necessary, by class of recipient and purpose; none: nothing is narrowed."""
    break_glass_minutes: int = 60
    disclosers: frozenset[str] = frozenset()
    """Tokens of the organization that discloses: compared with a custodian or author actor. None: unknown."""


def digest(settings: ConsentSettings) -> str:
    """Of the switches, so that it can be said whether they are the same."""
    said = orjson.dumps(settings, default=sorted, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).hexdigest()


@dataclass(frozen=True, slots=True)
class RuleRef:
    """A rule that decided: Consent id, its version, the path of the provision (``provision.provision[0]``)."""

    consent: str
    version: str
    path: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided and why. ``external`` is all that the requester may be told."""

    effect: Effect
    stage: int
    reason: str
    rules: tuple[RuleRef, ...] = ()
    considered: tuple[tuple[str, str], ...] = ()
    redactions: tuple[tuple[str, str], ...] = ()
    obligations: tuple[str, ...] = ()
    revision: int = 0
    label_table: str = ""
    decided_at: datetime | None = None
    expires_at: datetime | None = None
    external: str = "Answers are released under consent and may be incomplete."
