"""One request against one patient's Consents: what is constant is judged, what depends on the resource remains.

Both readers use it: ``decide`` asks it about one resource, ``compile`` writes it as one predicate.
See: the consent specification, §2.5 step 3 to 5 and §2.7.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final, Literal

from fhirgw.consent import matching, vocabulary
from fhirgw.consent.instants import Span, changes, period_span, within, zone_of
from fhirgw.consent.kleene import Kleene, conjunction
from fhirgw.consent.legal import completeness
from fhirgw.consent.marks import Marks, assign
from fhirgw.consent.model import ConsentSettings, Json, PatientPolicy, Request, RuleRef
from fhirgw.consent.predicate import (
    ALWAYS,
    NEVER,
    ConfAtMost,
    LabelsMeet,
    LabelsWithin,
    Predicate,
    TypeIn,
    both,
    either,
    negation,
)
from fhirgw.consent.rules import Reading, Rule
from fhirgw.consent.standing import Standing, reading_of, standing, superseded
from fhirgw.consent.vocabulary import (
    ALL_LABELS,
    BITS,
    EXPLICIT,
    MARKS,
    PSYCHOTHERAPY,
    UNREADABLE,
    covered_by,
    reached_by,
)

SUD: Final = covered_by(BITS["SUD"], explicit=True)
NotesOwn = Literal["psychotherapy", "counseling"] | None
_BEHAVIORAL: Final = covered_by(BITS["BH"], explicit=False)


@dataclass(frozen=True, slots=True)
class Ruling:
    """A rule for this request: ``fires`` says for which resources it does."""

    ref: RuleRef
    rule: Rule
    fires: Predicate


@dataclass(frozen=True, slots=True)
class AppliedConsent:
    """One Consent for this request.

    Attributes:
        rulings: The rules that can fire at all; of a refusal (stage 3), denies alone.
        notes: Whose notes it is the separate consent for that they need.
        next_change: The next instant at which one of its periods begins or ends.
    """

    id: str
    version: str
    rulings: tuple[Ruling, ...]
    standing: Standing
    problems: tuple[str, ...]
    notes: "NotesOwn"
    next_change: datetime | None

    def why_not(self) -> str:
        """Which tests its permits failed, or that it holds and said nothing here."""
        residual = ("RESIDUAL_EXCEPTION",) if self.standing.residual and self.rulings else ()
        return ",".join((*self.standing.failed, *residual)) or "no-rule-matched"

    def kept(self) -> Iterator[tuple[Ruling, Predicate]]:
        """Each rule with the condition that it fires and no rule below it does (§2.5 step 5)."""
        for ruling in self.rulings:
            below = (other.fires for other in self.rulings if ruling.rule.path in other.rule.above)
            yield ruling, both([ruling.fires, *(negation(fires) for fires in below)])


def apply(request: Request, policy: PatientPolicy, settings: ConsentSettings) -> tuple[AppliedConsent, ...]:
    """Judge everything about the request that is the same for every resource of the patient."""
    successors = superseded(policy.consents, settings)
    readings = [reading_of(consent, settings.zone) for consent in policy.consents]
    marks = assign(readings)
    applied = []
    for consent, reading in zip(policy.consents, readings, strict=True):
        judged = standing(consent, reading, policy, request.at, settings)
        by = successors.get(str(consent.get("id")), [])
        if by:
            settled = any(
                not standing(later, reading_of(later, settings.zone), policy, request.at, settings).failed
                for later in by
            )
            judged = replace(
                judged,
                failed=(*judged.failed, "superseded"),
                root_deny=judged.root_deny and not settled,
                nested_deny=judged.nested_deny and not settled,
            )
        applied.append(_Application(consent, reading, judged, marks, request, policy, settings).run())
    return tuple(applied)


@dataclass(frozen=True, slots=True)
class _Application:
    consent: Json
    reading: Reading
    standing: Standing
    marks: Marks
    request: Request
    policy: PatientPolicy
    settings: ConsentSettings

    def run(self) -> AppliedConsent:
        meta = self.consent.get("meta")
        name = str(self.consent.get("id", ""))
        version = str(meta.get("versionId", "")) if isinstance(meta, dict) else ""
        own = _notes_of_their_own(self.reading)
        rulings = [
            Ruling(RuleRef(name, version, rule.path), rule, self._fires(rule, own)) for rule in self.reading.rules
        ]
        spans = [self.standing.when, *self._memberships()] + [
            period_span(period, self.zone) for rule in self.reading.rules for period in rule.periods
        ]
        return AppliedConsent(
            name,
            version,
            tuple(ruling for ruling in rulings if ruling.fires != NEVER),
            self.standing,
            self.reading.problems,
            own,
            min((moment for when in spans for moment in changes(when) if moment > self.request.at), default=None),
        )

    def _memberships(self) -> Iterator[Span | None]:
        """When somebody joins or leaves a team: all teams of the patient, where this Consent names one."""
        if any(actor.team for rule in self.reading.rules for actor in rule.actors or ()):
            yield from (member.when for members in self.policy.members.values() for member in members)

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.consent, self.settings.zone)

    def _constant(self, rule: Rule) -> Kleene:
        """All dimensions that do not depend on the resource."""
        return conjunction(
            [
                matching.actor(rule, self.request, self.policy, self.settings),
                matching.purpose(rule, self.request),
                matching.action(rule, self.request),
                *(within(self.request.at, period_span(period, self.zone)) for period in rule.periods),
                None if rule.broken else True,
            ]
        )

    def _fires(self, rule: Rule, own: NotesOwn) -> Predicate:
        return self._permit(rule, own) if rule.effect == "permit" else self._deny(rule)

    def _permit(self, rule: Rule, own: NotesOwn) -> Predicate:
        if self.standing.failed or self.standing.refusal or self._constant(rule) is not True:
            return NEVER
        missing = completeness(self.consent, rule, self.standing.when, self.settings)
        if missing.unlimited or (missing.authorization and not vocabulary.is_tpo([self.request.purpose])):
            return NEVER
        explicit = self.settings.require_explicit_sensitive
        listed = rule.labels.listed if rule.labels else 0
        cover = covered_by(listed, explicit=explicit) if listed else ALL_LABELS & ~(EXPLICIT if explicit else 0)
        cover &= ~UNREADABLE & ~(SUD if missing.part2 else 0)
        cover &= ~(PSYCHOTHERAPY if missing.authorization or own is None else 0)
        parts: list[Predicate] = [LabelsWithin(cover | MARKS), self._singled_out(rule)]
        if rule.types is not None:
            parts.append(TypeIn(rule.types))
        if own == "counseling":
            parts.append(either([negation(LabelsMeet(PSYCHOTHERAPY)), LabelsMeet(SUD)]))
        if rule.labels and rule.labels.highest is not None:
            parts.append(ConfAtMost(rule.labels.highest))
        elif rule.labels:
            parts.append(LabelsMeet(cover))  # sensitivity alone never releases what carries none
        return both(parts)

    def _deny(self, rule: Rule) -> Predicate:
        holds = self.standing.nested_deny if rule.nested else self.standing.root_deny
        if not holds or self._constant(rule) is False or self._not_its_time(rule):
            return NEVER
        parts: list[Predicate] = [ALWAYS if rule.types is None else TypeIn(rule.types), self._singled_out(rule)]
        if rule.labels is not None:
            lowest = rule.labels.lowest
            high_enough = NEVER if lowest is None else ALWAYS if lowest == 0 else negation(ConfAtMost(lowest - 1))
            listed = LabelsMeet(reached_by(rule.labels.listed)) if rule.labels.listed else NEVER
            parts.append(either([high_enough, listed]))
        return both(parts)

    def _singled_out(self, rule: Rule) -> Predicate:
        """What the rule asks of content: the mark that says so, or for a deny the mark that says otherwise."""
        if rule.criteria is None:
            return ALWAYS
        bit = self.marks.of(rule.effect, rule.criteria)
        if rule.effect == "permit":
            return NEVER if bit is None else LabelsMeet(bit)
        return ALWAYS if bit is None else negation(LabelsMeet(bit))

    def _not_its_time(self, rule: Rule) -> bool:
        """A root deny ends with its period; a nested one outlives the Consent, and begins no sooner."""
        when = self.standing.when
        if not rule.nested:
            return within(self.request.at, when) is False
        return rule.from_root and when is not None and within(self.request.at, (when[0], None)) is False


def _notes_of_their_own(reading: Reading) -> NotesOwn:
    """Whose notes a Consent is the separate one for.

    For psychotherapy notes an authorization is combined with no other (45 CFR 164.508(b)(3)(ii)), nor is a consent
    for the notes of SUD counselling (42 CFR 2.31(b)), which carry both labels.
    """
    listed = [rule.labels.listed if rule.labels else 0 for rule in reading.rules if rule.effect == "permit"]
    if not listed or not all(mask & PSYCHOTHERAPY for mask in listed):
        return None
    if not any(mask & ~_BEHAVIORAL for mask in listed):
        return "psychotherapy"
    counseling = all(mask & SUD and not mask & ~(SUD | PSYCHOTHERAPY) for mask in listed)
    return "counseling" if counseling else None
