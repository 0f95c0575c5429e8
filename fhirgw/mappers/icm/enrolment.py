"""Referral, enrolment, history."""

from collections.abc import Iterator, Mapping
from datetime import date

from fhirgw.icm.enrolment import Referral
from fhirgw.icm.model import Case
from fhirgw.mappers.icm.people import named_person, staff_ref
from fhirgw.mappers.icm.shape import (
    CANONICAL,
    CASE_KEY,
    Json,
    Scope,
    coding,
    compact,
    concept,
    extension,
    instant,
    labelled,
    local,
    organization,
    period,
    program_concept,
    reference_to,
)
from fhirgw.programs import Section
from fhirgw.terminology import ACT_CODE, INLINE_LABEL

_EPISODE_STATUS = {
    "candidate": "planned",
    "waitlist": "waitlist",
    "active": "active",
    "inactive": "onhold",
    "finished": "finished",
    "opted-out": "finished",
}

_REVEALS = {"relapse": ("SUD",), "crisis": ("BH",)}
"""What it reveals why somebody came back; it labels that element alone."""
_PAST: Mapping[str, tuple[str, str]] = {
    "inpatient": ("IMP", "inpatient encounter"),
    "inpatient-psychiatric": ("IMP", "inpatient encounter"),
    "crisis-residential": ("NONAC", "inpatient non-acute"),
    "state-hospital": ("IMP", "inpatient encounter"),
    "emergency": ("EMER", "emergency"),
    "walk-in-crisis": ("AMB", "ambulatory"),
    "mobile-crisis": ("FLD", "field"),
}


def episode(scope: Scope) -> Iterator[Json]:
    """EpisodeOfCare: the relation to the programme."""
    case = scope.case
    lead = next((one.id for one in case.care_team if one.lead), None)
    yield compact(
        {
            "resourceType": "EpisodeOfCare",
            "id": scope.id("EpisodeOfCare"),
            "extension": list(_said(scope)),
            "identifier": [{"system": CASE_KEY, "value": case.key}],
            "status": _EPISODE_STATUS[case.status],
            "statusHistory": [
                {"status": _EPISODE_STATUS[one.status], "period": period(one.starts_on, one.ends_on)}
                for one in case.past_statuses
            ],
            "type": [program_concept(scope.program)],
            "patient": scope.patient,
            "managingOrganization": scope.manager,
            "period": period(case.admitted_on, _ended_on(case)),
            "referralRequest": [scope.ref("ServiceRequest", "referral", case.referral.id)] if case.referral else [],
            "careManager": staff_ref(scope, lead) if lead else None,
            "team": [scope.ref("CareTeam")] if case.care_team else [],
        }
    )


def _ended_on(case: Case) -> date | None:
    if case.closure:
        return case.closure.on
    return case.opt_in.withdrawn_at if case.opt_in else None


def _said(scope: Scope) -> Iterator[Json]:
    """What R4 has no element for: the steps of the process, the earlier enrolment, why it ended and with what."""
    case, program = scope.case, scope.program
    for phase in case.phases:
        code = local("icm-phase", f"{program.id}.{phase.code}", _name(program.phases, phase.code))
        parts = [{"url": "phase", "valueCoding": code}, {"url": "start", "valueDate": instant(phase.on)}]
        yield {"url": f"{CANONICAL}/StructureDefinition/icm-phase", "extension": parts}
    if again := case.reentry:
        earlier = {"url": "enrolment", "valueIdentifier": {"system": CASE_KEY, "value": again.key}}
        why = {"url": "after", "valueCode": again.after}
        label = [
            {"url": INLINE_LABEL, "valueCoding": coding(ACT_CODE, code)} for code in _REVEALS.get(again.after, ())
        ]
        yield {"url": f"{CANONICAL}/StructureDefinition/icm-reentry", "extension": [earlier, why, *label]}
    if closure := case.closure:
        reason = next(one for one in program.discharge if one.code == closure.reason)
        code = local("icm-closure-reason", f"{program.id}.{reason.code}", reason.text)
        yield extension("icm-closure-reason", valueCoding=code)
        for outcome in closure.outcomes:
            code = local("icm-outcome", f"{program.id}.{outcome}", _name(program.outcomes, outcome))
            yield extension("icm-outcome", valueCoding=code)


def _name(facts: tuple[Section, ...], code: str) -> str:
    return next(one.name for one in facts if one.code == code)


def referral(scope: Scope) -> Iterator[Json]:
    """ServiceRequest of the referral; its source is a category, for the requester may not be on record."""
    case = scope.case
    if (stated := case.referral) is None:
        return
    if stated.organization:
        yield organization(scope.key, stated.organization)
    who = named_person(scope, stated.person) if stated.person else None
    if who:
        yield who
    requester = (
        reference_to(who)
        if who
        else reference_to(organization(scope.key, stated.organization))
        if stated.organization
        else scope.patient
        if stated.source == "self"
        else None
    )
    yield labelled(
        compact(
            {
                "resourceType": "ServiceRequest",
                "id": scope.id("ServiceRequest", "referral", stated.id),
                "extension": _referring(scope, stated) if who else [],
                "status": "active" if case.relation == "candidate" else "completed",
                "intent": "order",
                "category": [concept(local("icm-referral-source", stated.source))],
                "code": program_concept(scope.program),
                "subject": scope.patient,
                "authoredOn": instant(stated.received_at),
                "requester": requester,
                "performer": [scope.manager],
                "reasonCode": [{"text": stated.reason}] if stated.reason else [],
            }
        ),
        *([stated] if stated.reason else []),
    )


def _referring(scope: Scope, stated: Referral) -> list[Json]:
    """The organization that somebody referred for: ``requester`` names one only."""
    if stated.organization is None:
        return []
    behind = organization(scope.key, stated.organization)
    return [extension("icm-referring-organization", valueReference=reference_to(behind))]


def history(scope: Scope) -> Iterator[Json]:
    """An Encounter for every visit that came with the referral; what kind of place it was says it is sensitive."""
    for visit in scope.case.history:
        code, display = _PAST[visit.kind]
        general = visit.kind in ("inpatient", "emergency")
        yield labelled(
            compact(
                {
                    "resourceType": "Encounter",
                    "id": scope.id("Encounter", "history", visit.id),
                    "status": "finished" if visit.ends_on else "unknown",
                    "class": coding(ACT_CODE, code, display),
                    "type": [concept(local("icm-past-visit", visit.kind))],
                    "serviceType": concept(local("icm-past-visit", visit.kind)),
                    "subject": scope.patient,
                    "period": compact(
                        {
                            "start": instant(visit.starts_on),
                            "end": instant(visit.ends_on) if visit.ends_on else None,
                        }
                    ),
                }
            ),
            *([visit] if visit.codes else []),
            codes=() if general else ("MH",),
        )
