"""Stages 4 and 5: what permits without a release — an emergency, and what the law requires (§2.7 rows 4 and 5).

Neither lifts a hard stop or a refusal by the patient: those speak first (``decide.py``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fhirgw.consent import vocabulary
from fhirgw.consent.instants import span, within
from fhirgw.consent.model import Agreement, ConsentSettings, Json, PatientPolicy, Request
from fhirgw.consent.predicate import ConfAtMost, LabelsWithin, Predicate, TypeIn, both
from fhirgw.consent.vocabulary import ALL_LABELS, MARKS, PSYCHOTHERAPY, UNREADABLE, covered_by

_EVERYTHING: Final = LabelsWithin((ALL_LABELS & ~UNREADABLE & ~PSYCHOTHERAPY) | MARKS)
"""Not psychotherapy notes; nor what nobody could read, which may be another person's."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Something that permits by itself.

    Attributes:
        stage: 4 or 5.
        reason: ``emergency``, or ``required-by-law`` with the name of the agreement.
        covers: What it permits.
        obligations: What it calls for, apart from what the released content does.
        until: When it ends.
        agreement: The name of the agreement, for the account; '' of an emergency.
    """

    stage: int
    reason: str
    covers: Predicate
    obligations: tuple[str, ...]
    until: datetime | None
    agreement: str = ""


def authorities(request: Request, policy: PatientPolicy, settings: ConsentSettings) -> Iterator[Authority]:
    """Those that hold for the request, in their order."""
    claim = request.emergency
    if claim is not None and not unmet(request, policy, settings):
        until = _made(request, claim) + timedelta(minutes=settings.break_glass_minutes)
        yield Authority(4, "emergency", _EVERYTHING, ("AOD", "ALERT"), until)
    for agreement in settings.agreements:
        if _applies(agreement, request):
            reason = f"required-by-law,{agreement.name}"
            yield Authority(5, reason, _scope(agreement), ("AOD",), agreement.period[1], agreement.name)


def any_agreement(request: Request, settings: ConsentSettings) -> bool:
    """Whether an agreement holds for the request: then it may be about members who released nothing."""
    return any(_applies(agreement, request) for agreement in settings.agreements)


def turns(request: Request, settings: ConsentSettings) -> Iterator[datetime]:
    """When what is the same for every patient changes by itself: an agreement begins, or a membership turns."""
    yield from (each.period[0] for each in settings.agreements if each.period[0] > request.at)
    if request.recipient.until is not None:
        yield request.recipient.until


def unmet(request: Request, policy: PatientPolicy, settings: ConsentSettings) -> tuple[str, ...]:
    """What an emergency claim lacks, by name; nothing: it holds (42 CFR 2.51, and §2.7 row 4).

    A person of the medical personnel, for one patient, in an interactive channel, for as long as it is allowed.
    Named in the claim, as 2.51(c) wants it documented: who, of which facility, why.
    """
    claim = request.emergency or {}
    roles = request.recipient.roles
    made = _made(request, claim)
    conditions = {
        "purpose": "ETREAT" in vocabulary.purpose_line(request.purpose),
        "medical-personnel": bool(roles & vocabulary.MEDICAL_PERSONNEL) and not roles & vocabulary.AGENCIES,
        "channel": request.channel in vocabulary.INTERACTIVE_CHANNELS,
        "patient": claim.get("patient") == f"Patient/{policy.patient}",
        **{fact: _is_told(claim.get(fact)) for fact in ("person", "affiliation", "reason")},
        "time": made <= request.at < made + timedelta(minutes=settings.break_glass_minutes),
    }
    return tuple(name for name, met in conditions.items() if not met)


def _is_told(fact: object) -> bool:
    return isinstance(fact, str) and bool(fact.strip())


def _made(request: Request, claim: Json) -> datetime:
    """When the claim was made: as it says, else with the request. What cannot be read is long over."""
    if "since" not in claim:
        return request.at
    read = span(claim["since"], UTC)
    return datetime.min.replace(tzinfo=UTC) if read is None else read[0]


def _applies(agreement: Agreement, request: Request) -> bool:
    """The requester is named, for this purpose, at this time. Nobody known is nobody named.

    No agreement stands for the authorization that some purposes need of the patient (row 2).
    """
    named = bool(agreement.tokens & request.recipient.tokens)
    purposes = set(vocabulary.purpose_line(request.purpose)) & agreement.purposes
    allowed = bool(purposes) and not vocabulary.own_authorization(request.purpose)
    return named and allowed and within(request.at, agreement.period) is True


def _scope(agreement: Agreement) -> Predicate:
    cover = covered_by(agreement.labels, explicit=True) & ~UNREADABLE & ~PSYCHOTHERAPY
    return both([LabelsWithin(cover | MARKS), ConfAtMost(agreement.highest), TypeIn(agreement.types)])
