"""The decision: pure, total, no I/O, no clock (consent specification §2.6 to §2.8).

Stages: 1 types nobody outside sees, 2 legal hard stops, 3 refusals by the patient, 4 emergency, 5 required by law,
6 programme enrolment, 7 the release-of-information consents, 8 the minimum necessary.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final

from fhirgw.consent import vocabulary
from fhirgw.consent.applied import SUD, AppliedConsent, Ruling, apply
from fhirgw.consent.authority import Authority, authorities, turns, unmet
from fhirgw.consent.elements import NEVER_OUTSIDE, patients_of
from fhirgw.consent.labels import TABLE_VERSION, ElementLabel, Labels
from fhirgw.consent.matching import is_person
from fhirgw.consent.minimum import narrowing
from fhirgw.consent.model import ConsentSettings, Decision, Json, PatientPolicy, Profile, Request
from fhirgw.consent.predicate import Facts, holds
from fhirgw.consent.vocabulary import MARKS, PSYCHOTHERAPY

COVERED: Final = frozenset({"covered-entity", "business-associate"})
"""Roles of a recipient that HIPAA lets redisclose what a TPO consent released (42 CFR 2.33(b)(1))."""
EMERGENCY: Final = 4
RELEASE: Final = 7
Verdict = tuple[bool, int, str, tuple[Ruling, ...]]
"""Whether it is permitted, the stage that said so, its reason, and the rules that decided."""
PUSH_CHANNELS: Final = frozenset({"push", "notification", "adt", "fax", "print", "mirror"})


def decide(
    request: Request, resource: Json, labels: Labels, policy: PatientPolicy, settings: ConsentSettings
) -> Decision:
    """Whether the request may have this resource of this patient, and why."""
    return Case(request, policy, settings).decide(resource, labels)


def decide_by(case_of: Callable[[str], "Case | None"], resource: Json, labels: Labels, at: datetime) -> Decision:
    """Decide a resource by everybody it is about: every patient must permit; nobody, or an unknown one: deny.

    Args:
        case_of: The request prepared for a patient, by logical id; None: nothing is known of them.
        resource: What is asked about.
        labels: Its labels.
        at: The instant of the request.
    """
    patients = patients_of(resource)
    if len(patients) == 1:
        [patient] = patients
        case = case_of(patient.removeprefix("Patient/"))
        return _unknown(at) if case is None else case.decide(resource, labels)
    cases = [case_of(patient.removeprefix("Patient/")) for patient in sorted(patients)]
    decisions = [case.decide(resource, labels) for case in cases if case is not None]
    if not decisions or len(decisions) < len(cases):
        return _unknown(at)
    first = next((each for each in decisions if each.effect == "DENY"), decisions[0])
    return replace(
        first,
        considered=tuple(dict.fromkeys(pair for each in decisions for pair in each.considered)),
        redactions=tuple(dict.fromkeys(pair for each in decisions for pair in each.redactions))
        if first.effect == "PERMIT"
        else (),
        obligations=tuple(dict.fromkeys(name for each in decisions for name in each.obligations))
        if first.effect == "PERMIT"
        else (),
        expires_at=earliest(each.expires_at for each in decisions),
    )


def _unknown(at: datetime) -> Decision:
    """About nobody, or about somebody whose policy is not known."""
    return Decision("DENY", 7, "patient-unknown", label_table=TABLE_VERSION, decided_at=at)


@dataclass(frozen=True)
class Case:
    """One request about one patient, prepared for any number of resources."""

    request: Request
    policy: PatientPolicy
    settings: ConsentSettings

    @cached_property
    def consents(self) -> tuple[AppliedConsent, ...]:
        """The patient's Consents, judged for the request."""
        return apply(self.request, self.policy, self.settings)

    @cached_property
    def enrolment(self) -> str | None:
        """Why the enrolment forbids every disclosure; None when it does not, or is not judged."""
        if self.policy.enrolments is None:
            return None
        states = {enrolment.status for enrolment in self.policy.enrolments}
        if "opted-out" in states:
            return "opted-out"
        return None if states & {"active", "finished"} else "not-enrolled"

    @cached_property
    def lacks_own_authorization(self) -> bool:
        """Whether the purpose needs an authorization of its own, and no Consent gives one (§2.7 row 2)."""
        given = any(
            ruling.rule.effect == "permit" for consent in self.consents for ruling in consent.rulings
        )  # a permit that can fire has named the purpose
        return bool(vocabulary.own_authorization(self.request.purpose)) and not given

    @cached_property
    def authorities(self) -> tuple[Authority, ...]:
        """What permits without a release (stages 4 and 5). The person who claims an emergency may be refused."""
        found = authorities(self.request, self.policy, self.settings)
        return tuple(one for one in found if one.stage != EMERGENCY or not self.person_refused)

    @cached_property
    def person_refused(self) -> bool:
        """Whether a rule that denies a person may speak of this one: "never Dr Bob" is a refusal (row 3)."""
        return any(
            ruling.rule.effect == "deny"
            and any(is_person(actor, self.policy) for actor in ruling.rule.actors or ())
            for consent in self.consents
            for ruling in consent.rulings
        )

    def decide(self, resource: Json, labels: Labels) -> Decision:
        """Decide one resource; its elements too, for what must be redacted."""
        kind = str(resource.get("resourceType", ""))
        found = self._decided.get((kind, labels))
        if found is None:
            found = self._decided[kind, labels] = self._decide(kind, labels)
        return found

    @cached_property
    def _decided(self) -> dict[tuple[str, Labels], Decision]:
        """What was decided, by all that it depends on: most resources have the labels of many others."""
        return {}

    def _decide(self, kind: str, labels: Labels) -> Decision:
        facts = Facts(kind, labels.labels, labels.conf)
        effect, stage, reason, rules = self.judge(facts)
        hidden = self._hidden(facts, labels) if effect else []
        decided = self.request.at
        push = self.request.channel in PUSH_CHANNELS
        return Decision(
            effect="PERMIT" if effect else "DENY",
            stage=stage,
            reason=reason,
            rules=tuple(ruling.ref for ruling in rules),
            considered=self._considered(rules),
            redactions=tuple(
                (path_text(element), "|".join(vocabulary.names(element.labels))) for element in hidden
            ),
            obligations=self._obligations(facts, labels, hidden, stage) if effect else (),
            revision=self.policy.revision,
            label_table=TABLE_VERSION,
            decided_at=decided,
            expires_at=decided if push else self.next_change,
        )

    @cached_property
    def next_change(self) -> datetime | None:
        """The next instant at which a Consent, or something else that permits, begins or ends."""
        ends = (one.until for one in self.authorities)
        turn = turns(self.request, self.settings)
        return earliest([*(consent.next_change for consent in self.consents), *ends, *turn])

    def permits(self, facts: Facts) -> bool:
        """Whether facts of this patient may be seen, nothing else."""
        return self.judge(facts)[0]

    @cached_property
    def profile(self) -> Profile | None:
        """What is narrowed to the minimum necessary (§2.7 row 8); the same for every patient."""
        return narrowing(self.request, self.settings.minimum)

    def judge(self, facts: Facts) -> Verdict:
        """The first authority that speaks (§2.7): effect, stage, reason, and the rules that decided."""
        said = self._authorized(facts)
        if said[0] and self.profile is not None and not self.profile.has(facts.type):
            return False, 8, "minimum-necessary", ()
        return said

    def _authorized(self, facts: Facts) -> Verdict:
        if facts.type in NEVER_OUTSIDE:
            return False, 1, "type-not-released", ()
        if self.lacks_own_authorization:
            return False, 2, "purpose-needs-own-authorization", ()
        if facts.labels & PSYCHOTHERAPY and not any(
            consent.notes and _any(consent, facts, "permit") for consent in self.consents
        ):
            return False, 2, "psychotherapy-notes-need-own-consent", ()
        for consent in self.consents:
            refused = _fired(consent, facts) if consent.standing.refusal else ()
            if consent.standing.refusal and refused:
                return False, 3, consent.standing.refusal, tuple(refused)
        for authority in self.authorities:
            if holds(authority.covers, facts):
                return True, authority.stage, authority.reason, ()
        if self.enrolment is not None:
            return False, 6, self.enrolment, ()
        return self._release(facts)

    def _release(self, facts: Facts) -> Verdict:
        """Stage 7: any DENY wins, else any PERMIT, else deny (§2.6)."""
        permits: list[Ruling] = []
        denies: list[Ruling] = []
        for consent in self.consents:
            if consent.standing.refusal:
                continue
            kept = _kept(consent, facts)
            refused = [ruling for ruling in kept if ruling.rule.effect == "deny"]
            denies += refused
            permits += [] if refused else kept
        if denies:
            return False, 7, "denied", tuple(denies)
        return (True, 7, "permitted", tuple(permits)) if permits else (False, 7, "no-permit", ())

    def _considered(self, rules: Iterable[Ruling]) -> tuple[tuple[str, str], ...]:
        decided = {ruling.ref.consent for ruling in rules}
        silent = [(consent.id, consent.why_not()) for consent in self.consents if consent.id not in decided]
        if self.request.emergency is not None:
            lacks = unmet(self.request, self.policy, self.settings)
            refused = ("refused",) if self.person_refused else ()
            silent += [("emergency", ",".join((*lacks, *refused)))] if lacks or refused else []
        return tuple(silent)

    def _hidden(self, facts: Facts, labels: Labels) -> list[ElementLabel]:
        return [element for element in labels.elements if not element_visible(self.permits, facts, element)]

    def _obligations(self, facts: Facts, labels: Labels, hidden: list[ElementLabel], stage: int) -> tuple[str, ...]:
        """What the recipient's copy must carry, and what the ledger must count (§5.1, 42 CFR 2.32, 2.25)."""
        released = facts.labels
        for element in labels.elements:
            released |= 0 if element in hidden else element.labels
        tpo = vocabulary.is_tpo([self.request.purpose])
        owed = {
            "REDACT": bool(hidden),
            "NOTICE(part2-short)": bool(released & SUD),
            "SCOPE_STATEMENT": bool(released & SUD) and stage == RELEASE,
            "AOD": bool(released & SUD) or not tpo or stage != RELEASE,
            "ALERT": stage == EMERGENCY,
            "NORDSCLCD": bool(released & SUD) and not (tpo and self.request.recipient.roles & COVERED),
        }
        narrowed = (f"MINIMUM({self.profile.name})",) if self.profile else ()
        return (*(name for name, due in owed.items() if due), *narrowed)


def element_visible(visible: Callable[[Facts], bool], facts: Facts, element: ElementLabel) -> bool:
    """Whether an element of a visible resource is visible: as part of it, and its target on its own."""
    # What its target is singled out by says nothing of the part.
    inside = Facts(facts.type, facts.labels | element.labels & ~MARKS, max(facts.conf, element.conf))
    if not visible(inside):
        return False
    return element.target is None or visible(Facts(element.target, element.labels, element.conf))


def path_text(element: ElementLabel) -> str:
    """``goal[0]``: the path as a FHIRPath expression."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in element.path).lstrip(".")


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """The first of those instants that are known."""
    return min((moment for moment in moments if moment is not None), default=None)


def _fired(consent: AppliedConsent, facts: Facts) -> list[Ruling]:
    return [ruling for ruling in consent.rulings if holds(ruling.fires, facts)]


def _any(consent: AppliedConsent, facts: Facts, effect: str) -> bool:
    return any(ruling.rule.effect == effect for ruling in _fired(consent, facts))


def _kept(consent: AppliedConsent, facts: Facts) -> list[Ruling]:
    """The fired rules without those that have a fired rule below them (§2.5 step 5)."""
    fired = _fired(consent, facts)
    overridden = {path for ruling in fired for path in ruling.rule.above}
    return [ruling for ruling in fired if ruling.rule.path not in overridden]
