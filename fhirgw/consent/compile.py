"""Compile the rules of one request into predicates over type and labels (DESIGN §6).

Law (agreement): ``decide`` says PERMIT exactly where the compiled predicate holds.
"""

from collections.abc import Iterable

from fhirgw.consent.authority import turns
from fhirgw.consent.decide import Case, earliest
from fhirgw.consent.elements import NEVER_OUTSIDE
from fhirgw.consent.labels import TABLE_VERSION
from fhirgw.consent.minimum import narrowing
from fhirgw.consent.model import ConsentSettings, PatientPolicy, Request
from fhirgw.consent.predicate import (
    ALWAYS,
    NEVER,
    Grant,
    Predicate,
    TypeIn,
    Visibility,
    both,
    either,
    negation,
)


def compile_visibility(
    request: Request, policies: Iterable[PatientPolicy], settings: ConsentSettings, *, revision: int
) -> Visibility:
    """What the request may see of these patients."""
    cases = [Case(request, policy, settings) for policy in policies]
    grants = (grant_of(case) for case in cases)
    return Visibility(
        tuple(grant for grant in grants if grant is not None), inside=False, revision=revision,
        label_table=TABLE_VERSION, profile=narrowing(request, settings.minimum),
        expires_at=earliest([*(case.next_change for case in cases), *turns(request, settings)]),
    )  # fmt: skip


def grant_of(case: Case) -> Grant | None:
    """What the request may see of one patient; None: nothing."""
    predicate = compile_case(case)
    if predicate == NEVER:
        return None
    agreed = frozenset(one.agreement for one in case.authorities if one.agreement)
    return Grant(frozenset({case.policy.patient}), None, predicate, _permitting(case), agreed)


def compile_case(case: Case) -> Predicate:
    """The predicate of one patient: each stage of ``Case.judge`` that can refuse, negated, and stage 7.

    Psychotherapy notes need no term: no permit covers them but that of their own consent (``applied.py``), and no
    other authority does. Which SQL carries which dimension: actors, purposes, actions, periods and enrolment are
    constant in a request and select the patients of the grant; types, labels and confidentiality are columns;
    codes, data, dates and other classes are marks, bits of the labels' column (``marks.py``).
    """
    if case.lacks_own_authorization:
        return NEVER
    refused = (ruling.fires for consent in case.consents if consent.standing.refusal for ruling in consent.rulings)
    permitted = either([*(one.covers for one in case.authorities), _released(case)])
    if permitted == NEVER:
        return NEVER
    kept = ALWAYS if case.profile is None else TypeIn(case.profile.types)
    return both([negation(TypeIn(NEVER_OUTSIDE)), *(negation(fires) for fires in refused), permitted, kept])


def _released(case: Case) -> Predicate:
    """Stages 6 and 7."""
    if case.enrolment is not None:
        return NEVER
    permits: list[Predicate] = []
    denies: list[Predicate] = []
    for consent in case.consents:
        if not consent.standing.refusal:
            for ruling, kept in consent.kept():
                (permits if ruling.rule.effect == "permit" else denies).append(kept)
    permitted = either(permits)
    return NEVER if permitted == NEVER else both([permitted, *(negation(fires) for fires in denies)])


def _permitting(case: Case) -> frozenset[tuple[str, str]]:
    """(id, version) of the Consents that can release something."""
    return frozenset(
        (consent.id, consent.version)
        for consent in case.consents
        if any(ruling.rule.effect == "permit" for ruling in consent.rulings)
    )
