"""Eligibility: recommendation, prerequisites, screening with its reason and link-outs, the payer's word."""

from collections.abc import Iterator

from fhirgw.icm.eligibility import Authorization, Explanation, LinkOut, Prerequisite, Recommendation, Screening
from fhirgw.mappers.icm.people import practitioner, staff_ref
from fhirgw.mappers.icm.shape import (
    CANONICAL,
    SURVEY,
    Json,
    Scope,
    coded,
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
from fhirgw.terminology import THO

_OUTCOME = {"requested": "queued", "approved": "complete", "exception": "complete", "denied": "complete"}
_ASSESSMENT_LABELS = {"mental-health-assessment": "MH", "substance-use-assessment": "SUD"}
"""What it reveals that there is such an assessment."""


def eligibility(scope: Scope) -> Iterator[Json]:
    """Everything on the way into the programme beside the referral itself."""
    case = scope.case
    if case.recommendation:
        yield from _recommendation(scope, case.recommendation)
    for prerequisite in case.prerequisites:
        yield from _prerequisite(scope, prerequisite)
    for screening in case.screenings:
        yield from _screening(scope, screening)
    if coverage := case.member.coverage:
        payer = organization(scope.key, coverage.payer)
        yield from (_authorization(scope, one, payer) for one in case.authorizations)


def _recommendation(scope: Scope, stated: Recommendation) -> Iterator[Json]:
    """A second ServiceRequest beside the referral. CCBH: it names a significant mental illness, so it is MH."""
    physician = practitioner(scope, stated.by)
    yield physician
    yield labelled(
        compact(
            {
                "resourceType": "ServiceRequest",
                "id": scope.id("ServiceRequest", "recommendation", stated.id),
                "status": "completed",
                "intent": "proposal",
                "category": [concept(local("icm-referral-source", "physician-recommendation"))],
                "code": program_concept(scope.program),
                "subject": scope.patient,
                "authoredOn": instant(stated.on),
                "requester": reference_to(physician),
                "performer": [scope.manager],
                "reasonCode": [
                    *([concept(coded(stated.diagnosis))] if stated.diagnosis else []),
                    *([{"text": stated.reason}] if stated.reason else []),
                ],
            }
        ),
        *([stated] if stated.reason or stated.codes else []),
        codes=("MH",),
    )


def _prerequisite(scope: Scope, stated: Prerequisite) -> Iterator[Json]:
    """DocumentReference of the copy in the file; a Task that says what was done to obtain it."""
    author = practitioner(scope, stated.by) if stated.by else None
    if author:
        yield author
    codes = (_ASSESSMENT_LABELS[stated.kind],)
    copy = _copy(scope, stated, author) if stated.copy_url else None
    if copy:
        yield labelled(copy, stated, codes=codes)
    yield labelled(
        compact(
            {
                "resourceType": "Task",
                "id": scope.id("Task", "prerequisite", stated.id),
                "status": "completed" if copy else "in-progress",
                "intent": "order",
                "code": concept(local("icm-task", f"obtain-{stated.kind}")),
                "focus": reference_to(copy) if copy else None,
                "for": scope.patient,
                "executionPeriod": {"start": instant(min(stated.efforts_on))} if stated.efforts_on else None,
                "authoredOn": instant(scope.case.entered.at),
                "requester": reference_to(author) if author else None,
                "owner": scope.manager,
                "reasonCode": concept(local("icm-recommends", str(stated.recommends).lower()))
                if stated.recommends is not None
                else None,
                "note": [{"text": stated.efforts}] if stated.efforts else [],
                "input": [
                    *(_input("effort", one) for one in stated.efforts_on),
                    *([_input("assessed", stated.on)] if stated.on else []),
                ],
            }
        ),
        *([stated] if stated.efforts or stated.codes else []),
        codes=codes,
    )


def _input(kind: str, day: object) -> Json:
    return {"type": concept(local("icm-task-input", kind)), "valueDate": str(day)}


def _copy(scope: Scope, stated: Prerequisite, author: Json | None) -> Json:
    return compact(
        {
            "resourceType": "DocumentReference",
            "id": scope.id("DocumentReference", "prerequisite", stated.id),
            "status": "current",
            "type": concept(local("icm-document", stated.kind)),
            "category": [concept(local("icm-document-category", "assessment"))],
            "subject": scope.patient,
            "date": instant(scope.case.entered.at),
            "author": [reference_to(author)] if author else [],
            "content": [
                {
                    "attachment": compact(
                        {"url": stated.copy_url, "creation": instant(stated.on) if stated.on else None}
                    )
                }
            ],
        }
    )


def _screening(scope: Scope, screening: Screening) -> Iterator[Json]:
    """Answers, outcome, decision, explanation, link-outs; all with what the criteria that were asked reveal."""
    criteria = [*scope.program.admission, *scope.program.continued]
    asked = {one.criterion for one in screening.answers}
    codes = sorted(
        {code for one in criteria if one.code in asked for code in one.sensitivity} | set(screening.codes)
    )
    staff = staff_ref(scope, screening.by) if screening.by else None
    answers = compact(
        {
            "resourceType": "QuestionnaireResponse",
            "id": scope.id("QuestionnaireResponse", "screening", screening.id),
            "questionnaire": f"{CANONICAL}/Questionnaire/icm-screening-{scope.program.id}-{screening.kind}",
            "status": "completed",
            "subject": scope.patient,
            "authored": instant(screening.screened_at),
            "author": staff,
            "item": [
                {"linkId": one.criterion, "answer": [{"valueCoding": local("icm-answer", one.met)}]}
                for one in screening.answers
            ],
        }
    )
    yield labelled(answers, codes=codes)
    yield labelled(_outcome(scope, screening, answers, staff), codes=codes)
    said = [screening] if screening.reason or screening.late else []
    yield labelled(_decision(scope, screening, answers), *said, codes=codes)
    if told := screening.explanation:
        words = [screening] if screening.reason else []
        yield labelled(_explanation(scope, screening, told, answers), *words, codes=codes)
    for link in screening.link_outs:
        yield from _link_out(scope, link)


def _outcome(scope: Scope, screening: Screening, answers: Json, staff: Json | None) -> Json:
    return compact(
        {
            "resourceType": "Observation",
            "id": scope.id("Observation", "eligibility", screening.id),
            "status": "final",
            "category": [SURVEY],
            "code": concept(local("icm-score", "eligibility", "Eligibility")),
            "subject": scope.patient,
            "effectiveDateTime": instant(screening.screened_at),
            "performer": [staff] if staff else [],
            "valueCodeableConcept": concept(local("icm-eligibility", screening.outcome)),
            "derivedFrom": [reference_to(answers)],
        }
    )


def _decision(scope: Scope, screening: Screening, answers: Json) -> Json:
    """Task that was done, or rejected with the reason; late with its circumstances."""
    late = screening.late
    return compact(
        {
            "resourceType": "Task",
            "id": scope.id("Task", "screening", screening.id),
            "status": "rejected" if screening.outcome == "ineligible" else "completed",
            "statusReason": {"text": screening.reason} if screening.reason else None,
            "businessStatus": concept(local("icm-clock-status", "extenuating")) if late else None,
            "intent": "order",
            "code": concept(local("icm-task", f"screening-{screening.kind}")),
            "focus": reference_to(answers),
            "for": scope.patient,
            "executionPeriod": {"end": instant(screening.screened_at)},
            "authoredOn": instant(screening.screened_at),
            "owner": scope.manager,
            "note": [{"text": late.circumstances}] if late else [],
            "input": [_input("contact-attempt", day) for day in late.attempted_on] if late else [],
        }
    )


def _explanation(scope: Scope, screening: Screening, told: Explanation, answers: Json) -> Json:
    return compact(
        {
            "resourceType": "Communication",
            "id": scope.id("Communication", "screening", screening.id),
            "extension": [extension("icm-explained-to", valueCode=party) for party in told.to],
            "status": "completed",
            "category": [concept(local("icm-explanation", "eligibility-decision"))],
            "medium": [concept(local("icm-consent-mode", told.how))],
            "subject": scope.patient,
            "about": [reference_to(answers)],
            "sent": instant(told.on),
            "recipient": [scope.patient] if "client" in told.to else [],
            "sender": scope.manager,
            "payload": [{"contentString": screening.reason}] if screening.reason else [],
        }
    )


def _link_out(scope: Scope, link: LinkOut) -> Iterator[Json]:
    """ServiceRequest to the service that suits better."""
    service = organization(scope.key, link.to)
    yield service
    yield labelled(
        {
            "resourceType": "ServiceRequest",
            "id": scope.id("ServiceRequest", "link-out", link.id),
            "status": "active",
            "intent": "order",
            "category": [concept(local("icm-service", "link-out", "Link to another service"))],
            "code": {"text": link.service},
            "subject": scope.patient,
            "authoredOn": instant(link.on),
            "requester": scope.manager,
            "performer": [reference_to(service)],
        },
        link,
    )


def _authorization(scope: Scope, stated: Authorization, payer: Json) -> Json:
    """ClaimResponse of use preauthorization: R4 has no other place for a payer's word before the service."""
    return labelled(
        compact(
            {
                "resourceType": "ClaimResponse",
                "id": scope.id("ClaimResponse", stated.id),
                "extension": [extension("icm-authorization", valueCode=stated.decision)],
                "status": "active",
                "type": concept(coding(f"{THO}claim-type", "professional", "Professional")),
                "use": "preauthorization",
                "patient": scope.patient,
                "created": instant(stated.decided_on),
                "insurer": reference_to(payer),
                "outcome": _OUTCOME[stated.decision],
                "preAuthRef": stated.number,
                "preAuthPeriod": period(stated.starts_on, stated.ends_on),
                "processNote": [{"text": stated.reason}] if stated.reason else [],
            }
        ),
        *([stated] if stated.reason or stated.codes else []),
    )
