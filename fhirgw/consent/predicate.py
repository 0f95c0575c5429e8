"""The predicate algebra: what one request may see of one patient, as a formula over type and labels.

``compile.py`` writes it, ``store/predicate.py`` renders it as SQL, ``holds`` evaluates it in Python. Both
readings must agree: that is the law of agreement of DESIGN §6.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from fhirgw.consent.model import Profile


@dataclass(frozen=True, slots=True)
class Facts:
    """What a predicate may ask of a resource, an element or an index row.

    Attributes:
        type: FHIR resource type (for a reference: the target's type).
        labels: Sensitivity bits and marks (``consent.labels``, ``consent.marks``).
        conf: Confidentiality, 0 (U) to 5 (V).
    """

    type: str
    labels: int
    conf: int


@dataclass(frozen=True, slots=True)
class Constant:
    """Always, or never."""

    value: bool

    def holds(self, _: Facts) -> bool:
        """Whatever the facts are."""
        return self.value


@dataclass(frozen=True, slots=True)
class TypeIn:
    """The resource type is one of these."""

    types: frozenset[str]

    def holds(self, facts: Facts) -> bool:
        """Whether the facts satisfy it."""
        return facts.type in self.types


@dataclass(frozen=True, slots=True)
class LabelsWithin:
    """Every sensitivity bit is among these: ``labels & ~mask == 0``."""

    mask: int

    def holds(self, facts: Facts) -> bool:
        """Whether the facts satisfy it."""
        return facts.labels & ~self.mask == 0


@dataclass(frozen=True, slots=True)
class LabelsMeet:
    """At least one sensitivity bit is among these: ``labels & mask != 0``."""

    mask: int

    def holds(self, facts: Facts) -> bool:
        """Whether the facts satisfy it."""
        return facts.labels & self.mask != 0


@dataclass(frozen=True, slots=True)
class ConfAtMost:
    """Confidentiality is this or lower."""

    level: int

    def holds(self, facts: Facts) -> bool:
        """Whether the facts satisfy it."""
        return facts.conf <= self.level


@dataclass(frozen=True, slots=True)
class Both:
    """All of the parts."""

    parts: tuple["Predicate", ...]

    def holds(self, facts: Facts) -> bool:
        """Whether the facts satisfy it."""
        for part in self.parts:  # noqa: SIM110 -- a generator takes several times as long
            if not part.holds(facts):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of the parts."""

    parts: tuple["Predicate", ...]

    def holds(self, facts: Facts) -> bool:
        """Whether the facts satisfy it."""
        for part in self.parts:  # noqa: SIM110 -- as above
            if part.holds(facts):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Negation:
    """Not the part."""

    part: "Predicate"

    def holds(self, facts: Facts) -> bool:
        """Whether the facts satisfy it."""
        return not self.part.holds(facts)


Predicate = Constant | TypeIn | LabelsWithin | LabelsMeet | ConfAtMost | Both | Either | Negation

ALWAYS = Constant(value=True)
NEVER = Constant(value=False)


def both(parts: Iterable[Predicate]) -> Predicate:
    """The conjunction, flattened and shortened; of nothing: ALWAYS."""
    flat = _flatten(parts, Both)
    if NEVER in flat:
        return NEVER
    kept = tuple(dict.fromkeys(part for part in flat if part != ALWAYS))
    return kept[0] if len(kept) == 1 else Both(kept) if kept else ALWAYS


def either(parts: Iterable[Predicate]) -> Predicate:
    """The disjunction, flattened and shortened; of nothing: NEVER."""
    flat = _flatten(parts, Either)
    if ALWAYS in flat:
        return ALWAYS
    kept = tuple(dict.fromkeys(part for part in flat if part != NEVER))
    return kept[0] if len(kept) == 1 else Either(kept) if kept else NEVER


def negation(part: Predicate) -> Predicate:
    """The opposite, without double negation."""
    if isinstance(part, Constant):
        return Constant(value=not part.value)
    return part.part if isinstance(part, Negation) else Negation(part)


def _flatten(parts: Iterable[Predicate], kind: type[Both | Either]) -> list[Predicate]:
    return [leaf for part in parts for leaf in (part.parts if isinstance(part, kind) else (part,))]


def holds(predicate: Predicate, facts: Facts) -> bool:
    """Whether the facts satisfy the predicate. Total, and the oracle for the SQL rendering."""
    return predicate.holds(facts)


@dataclass(frozen=True, slots=True)
class Grant:
    """What these patients' consents let the request see.

    Attributes:
        patients: Patient ids, or None for every patient (the programme's own staff).
        programs: With ``patients=None``: only members of these programmes; None means of all.
        predicate: What is visible of each of them.
        consents: (Consent id, version) that released it, for the accounting; empty inside the programme.
        agreements: Names of those under which the law has it disclosed.
    """

    patients: frozenset[str] | None
    programs: frozenset[str] | None
    predicate: Predicate
    consents: frozenset[tuple[str, str]] = frozenset()
    agreements: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Everybody:
    """What may be seen of anybody, by what their policy is to a decision (``pattern.py``).

    Attributes:
        patterns: A predicate, and the patterns of those of whom it says what is visible. Of others, nothing is.
    """

    patterns: Mapping[Predicate, frozenset[str]]


@dataclass(frozen=True, eq=False)
class Visibility:
    """The visible projection of the store for one request. No grant: nothing about anybody.

    One is itself alone: there may be a grant for each of very many patients, which nobody is to compare.

    Attributes:
        grants: Disjoint in their patients.
        inside: The programme's own staff: nothing is redacted, versions and times are the store's own.
        revision: The policy revision (rho) it was computed from.
        label_table: Version of the label tables (lambda).
        expires_at: The next instant at which a consent starts or ends; None when there is none.
        profile: What is narrowed to the minimum necessary; None: nothing is.
        about: The patients of whom it says what may be seen, and of nobody else; None: of everybody.
        everybody: Instead of grants: what may be seen of anybody outside the programme.
        instant: At which the patterns are looked at, in microseconds since the epoch.
        compiled: With ``everybody``, compiles the grant of one patient; may be asked while the answer is selected.
    """

    grants: tuple[Grant, ...]
    inside: bool
    revision: int
    label_table: str
    expires_at: datetime | None = None
    profile: Profile | None = None
    about: frozenset[str] | None = None
    everybody: Everybody | None = None
    instant: int = 0
    compiled: Callable[[str], Grant | None] | None = None

    @cached_property
    def unnamed(self) -> tuple[Grant, ...]:
        """The grants that name no patient: of the programme's own staff."""
        return tuple(grant for grant in self.grants if grant.patients is None)

    @cached_property
    def _named(self) -> Mapping[str | None, Grant]:
        return {patient: grant for grant in self.grants for patient in grant.patients or ()}

    @cached_property
    def _met(self) -> dict[str, Grant | None]:
        """Of everybody, those who were asked for."""
        return {}

    def grant_for(self, patient: str | None) -> Grant | None:
        """The grant that names this patient."""
        if self.compiled is None or patient is None:
            return self._named.get(patient)
        if patient not in self._met:
            self._met[patient] = self.compiled(patient)
        return self._met[patient]

    def predicate_for(self, patient: str | None) -> Predicate:
        """What of this patient is visible; NEVER when no grant names them.

        Inside the programme the store has already checked membership, so a grant for all patients answers.
        """
        grant = self.grant_for(patient) or next(iter(self.unnamed), None)
        return NEVER if grant is None else grant.predicate
