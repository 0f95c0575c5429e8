"""What a Consent permits and denies, in plain words, and what is wrong with it: for whoever writes or receives one.

Findings: ``unenforceable`` (something is not understood: its permits never fire), ``contradictory`` (two of its
rules say the opposite of the same), ``shadowed`` (a permit that another rule always denies), ``incomplete`` (what
the law asks of a written consent), ``ambiguous`` (it may stop more than was meant), ``narrow`` (it may stop less),
``not-in-force``, ``residual``, ``expiring``, and ``void`` (entered in error).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from fhirgw.consent import vocabulary
from fhirgw.consent.closure import Supporting
from fhirgw.consent.criteria import Criteria
from fhirgw.consent.elements import bare
from fhirgw.consent.instants import Span
from fhirgw.consent.legal import completeness
from fhirgw.consent.model import ConsentSettings, Json, PatientPolicy
from fhirgw.consent.rules import Actor, Rule
from fhirgw.consent.standing import Standing, reading_of, standing

Kind = Literal[
    "unenforceable", "contradictory", "shadowed", "incomplete", "ambiguous", "narrow", "not-in-force", "residual",
    "expiring", "void",
]  # fmt: skip
SOON: Final = timedelta(days=30)
_LEVELS: Final = {level: code for code, level in vocabulary.LEVELS.items()}
_WORDS: Final = {
    "scope": "its scope is not patient privacy",
    "category": "its category is none of those that make a release of information",
    "patient": "nobody can say whose it is",
    "date": "it is not dated, or dated later",
    "period": "the instant is outside its period",
    "signature": "there is no source document and no verification",
    "performer": "whoever signed has no recorded authority",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that whoever wrote the Consent should know; ``path`` where it is about one provision."""

    kind: Kind
    text: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One Consent in plain words."""

    consent: str
    permits: tuple[str, ...]
    denies: tuple[str, ...]
    findings: tuple[Finding, ...]


def lint(consents: Sequence[Json], supporting: Supporting, at: datetime, settings: ConsentSettings) -> list[Report]:
    """Read Consents of one or several patients; what one says of another's permits counts within a patient."""
    reports = []
    for consent in consents:
        patient = _patient(consent, supporting)
        policy = supporting.policy(patient.removeprefix("Patient/"), tuple(consents))
        others = [one for one in consents if one is not consent and _patient(one, supporting) == patient]
        reports.append(report(consent, others, policy, at, settings))
    return reports


def report(
    consent: Json, others: Sequence[Json], policy: PatientPolicy, at: datetime, settings: ConsentSettings
) -> Report:
    """Read one Consent beside the others of its patient."""
    reading = reading_of(consent, settings.zone)
    judged = standing(consent, reading, policy, at, settings)
    denies = [
        (str(other.get("id", "")), rule)
        for other in others
        if other.get("status") == "active"
        for rule in reading_of(other, settings.zone).rules
        if rule.effect == "deny"
    ]
    findings = [
        *(Finding("unenforceable", f"not understood: {problem}") for problem in reading.problems),
        *_among(reading.rules),
        *_by_others(reading.rules, denies),
        *_legal(consent, reading.rules, judged, settings),
        *_reach(reading.rules),
        *_in_time(judged, reading.rules, at),
    ]
    said = {effect: tuple(_words(rule) for rule in reading.rules if rule.effect == effect)
            for effect in ("permit", "deny")}  # fmt: skip
    return Report(str(consent.get("id", "")), said["permit"], said["deny"], tuple(findings))


def _patient(consent: Json, supporting: Supporting) -> str:
    reference = consent.get("patient")
    named: Json = reference if isinstance(reference, dict) else {}
    return bare(named.get("reference")) or supporting.patient(named.get("identifier"))


# Findings -------------------------------------------------------------------------------------------------------


def _among(rules: Sequence[Rule]) -> Iterator[Finding]:
    """Within one Consent: a rule overrides its ancestors alone, so that siblings may contradict."""
    for permit in rules:
        for deny in rules:
            if permit.effect != "permit" or deny.effect != "deny" or deny.path in permit.above:
                continue
            if _covers(deny, permit):
                kind: Kind = "contradictory" if _covers(permit, deny) else "shadowed"
                yield Finding(kind, f"what it permits, {deny.path} denies: the deny counts", permit.path)


def _by_others(rules: Sequence[Rule], denies: Sequence[tuple[str, Rule]]) -> Iterator[Finding]:
    for permit in rules:
        for other, deny in denies:
            if permit.effect == "permit" and _covers(deny, permit):
                yield Finding("shadowed", f"what it permits, Consent/{other} denies: the deny counts", permit.path)


def _covers(deny: Rule, permit: Rule) -> bool:
    """Whether the one certainly speaks of all that the other does."""
    return (
        not deny.broken
        and not deny.periods
        and _names_all(deny.actors, permit.actors)
        and all(
            wide is None or (narrow is not None and narrow <= wide)
            for wide, narrow in (
                (deny.purposes, permit.purposes),
                (deny.actions, permit.actions),
                (deny.types, permit.types),
            )
        )
        and (deny.labels is None or deny.labels == permit.labels)
        and (deny.criteria is None or deny.criteria == permit.criteria)
    )


def _names_all(wide: tuple[Actor, ...] | None, narrow: tuple[Actor, ...] | None) -> bool:
    if wide is None:
        return True
    tokens = {token for actor in wide for token in actor.tokens}
    return narrow is not None and all(actor.tokens & tokens for actor in narrow)


def _legal(consent: Json, rules: Sequence[Rule], judged: Standing, settings: ConsentSettings) -> Iterator[Finding]:
    for rule in rules:
        if rule.effect != "permit":
            continue
        missing = completeness(consent, rule, judged.when, settings)
        if missing.unlimited:
            yield Finding(
                "incomplete", "it has no end and is for more than treatment, payment and operations", rule.path
            )
        if missing.part2:
            without = ", ".join(missing.part2)
            yield Finding("incomplete", f"42 CFR 2.31 also asks for: {without}; no Part 2 data", rule.path)
        if missing.authorization:
            without = ", ".join(missing.authorization)
            yield Finding("incomplete", f"45 CFR 164.508 also asks for: {without}; no authorization", rule.path)


def _reach(rules: Sequence[Rule]) -> Iterator[Finding]:
    """What a deny may stop more or less of than its author meant."""
    for rule in rules:
        if rule.effect == "permit":
            continue
        if any(not actor.kind for actor in rule.actors or ()):
            said = "it names somebody by an identifier, and not whether a person: every system may be theirs"
            yield Finding("ambiguous", said, rule.path)
        if rule.criteria is not None and rule.criteria.codes:
            said = "it stops these codes: what is coded otherwise stays released, unless a category is denied"
            yield Finding("narrow", said, rule.path)


def _in_time(judged: Standing, rules: Sequence[Rule], at: datetime) -> Iterator[Finding]:
    for test in judged.failed:
        if test != "unenforceable":
            yield Finding("not-in-force", _WORDS.get(test, test.replace("status-", "its status is ")))
    if "status-entered-in-error" in judged.failed:
        yield Finding("void", "it was entered in error, and nothing of it counts: ask what the member wanted")
    if judged.residual and any(rule.nested and rule.effect == "deny" for rule in rules):
        yield Finding("residual", "it has ended; its exceptions still deny until a person settles them")
    end = judged.when[1] if judged.when else None
    if end is not None and at <= end <= at + SOON:
        yield Finding("expiring", f"it ends on {end.date()}, in {(end - at).days} days")


# Words ----------------------------------------------------------------------------------------------------------


def _words(rule: Rule) -> str:
    """One rule as a sentence; what it does not state is not limited."""
    parts = [
        _actors(rule.actors),
        f"for {' or '.join(sorted(rule.purposes))}" if rule.purposes else "for any purpose",
        f"to {' or '.join(sorted(rule.actions))}" if rule.actions else "",
        " or ".join(sorted(rule.types)) if rule.types else "any type",
        _labels(rule),
        _criteria(rule.criteria) if rule.criteria else "",
        f"during {_period(rule.periods[0])}" if rule.periods else "",
        "and something that is not understood" if rule.broken else "",
    ]
    return f"{rule.path}: " + ", ".join(part for part in parts if part)


def scope_of(rule: Rule, when: Span | None) -> str:
    """What one permit releases, in words for those whom it names: neither whom else, nor what is denied."""
    ends = when[1] if when else None
    parts = [
        f"for {' or '.join(sorted(rule.purposes))}" if rule.purposes else "for any purpose",
        " or ".join(sorted(rule.types)) if rule.types else "any type of record",
        _labels(rule),
        _criteria(rule.criteria) if rule.criteria else "",
        f"until {ends.date()}" if ends else "",
    ]
    return "released with the patient's consent " + ", ".join(part for part in parts if part)


def _actors(actors: tuple[Actor, ...] | None) -> str:
    if actors is None:
        return "anybody"
    named = [actor.literal or " ".join(sorted(actor.tokens)) for actor in actors]
    return " or ".join(
        name if actor.role == "recipient" else f"{name} ({actor.role})"
        for name, actor in zip(named, actors, strict=True)
    )


def _labels(rule: Rule) -> str:
    if rule.labels is None:
        return "" if rule.effect == "deny" else "nothing of a category that must be named"
    named = " or ".join(vocabulary.names(rule.labels.listed))
    if rule.effect == "permit":
        highest = rule.labels.highest
        upto = "" if highest is None else f", confidentiality {_LEVELS[highest]} or lower"
        return f"no category but {named}{upto}" if named else f"no category that must be named{upto}"
    lowest = rule.labels.lowest
    said = [named] if named else []
    said += [] if lowest is None else [f"confidentiality {_LEVELS[lowest]} or higher"]
    return "labelled " + " or ".join(said)


def _criteria(asked: Criteria) -> str:
    said = [f"code {code}" for _, code in sorted(asked.codes or ())]
    said += [f"{kind} {code}" for kind, code in sorted(asked.classes or ())]
    said += [f"{one.meaning} {one.literal or ' '.join(one.tokens)}" for one in sorted(asked.data or ())]
    dated = [f"dated {_span(asked.period)}"] if asked.period else []
    return " or ".join(said) + (", " if said and dated else "") + "".join(dated)


def _span(period: Span) -> str:
    first, last = (moment.date().isoformat() if moment else "" for moment in period)
    return f"{f'from {first} ' if first else ''}{f'until {last}' if last else ''}".strip()


def _period(period: Json) -> str:
    return f"{period.get('start', '…')} to {period.get('end', '…')}"
