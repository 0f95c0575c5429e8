"""How a case ends: who agreed, who does what afterwards, and how to come back."""

from collections.abc import Iterator

from fhirgw.icm.base import Provider
from fhirgw.icm.enrolment import Aftercare, Agreement, Closure
from fhirgw.mappers.icm.people import actor_ref, practitioner
from fhirgw.mappers.icm.shape import (
    Json,
    Scope,
    coding,
    concept,
    instant,
    labelled,
    local,
    noon,
    organization,
    reference_to,
)
from fhirgw.terminology import THO


def closure(scope: Scope) -> Iterator[Json]:
    """Agreements as Provenance of the enrolment, aftercare as requests, the way back as an explanation."""
    if (stated := scope.case.closure) is None:
        return
    for agreement in stated.agreements:
        yield from _agreement(scope, agreement)
    for one in stated.aftercare:
        yield organization(scope.key, one.by)
        yield _aftercare(scope, stated, one)
    if stated.way_back:
        yield _way_back(scope, stated, stated.way_back)


def _agreement(scope: Scope, agreement: Agreement) -> Iterator[Json]:
    """HUSKY: "The member, caregiver, and provider agree that the member's healthcare goals have been met"."""
    if isinstance(agreement.by, Provider):
        person = practitioner(scope, agreement.by)
        yield person
        who, name = reference_to(person), agreement.by.id
    else:
        name = agreement.by or ""
        who = actor_ref(scope, agreement.by) if agreement.by else scope.patient
    yield {
        "resourceType": "Provenance",
        "id": scope.id("Provenance", "closure", agreement.party, name),
        "target": [scope.ref("EpisodeOfCare")],
        "recorded": instant(noon(scope, agreement.on)),
        "activity": concept(local("icm-activity", "closure-agreed", "Agreed to the closure")),
        "agent": [
            {
                "type": concept(coding(f"{THO}provenance-participant-type", "attester", "Attester")),
                "role": [concept(local("icm-party", agreement.party))],
                "who": who,
            }
        ],
    }


def _aftercare(scope: Scope, stated: Closure, one: Aftercare) -> Json:
    return labelled(
        {
            "resourceType": "ServiceRequest",
            "id": scope.id("ServiceRequest", "aftercare", one.id),
            "status": "active" if one.agreed_on else "draft",
            "intent": "plan",
            "category": [concept(local("icm-service", "aftercare"))],
            "code": {"text": one.role},
            "subject": scope.patient,
            "authoredOn": instant(one.agreed_on or stated.on),
            "requester": scope.manager,
            "performer": [reference_to(organization(scope.key, one.by))],
        },
        one,
    )


def _way_back(scope: Scope, stated: Closure, words: str) -> Json:
    """BC 2.8: "A clear re-admission process is established for each discharged individual"."""
    return labelled(
        {
            "resourceType": "Communication",
            "id": scope.id("Communication", "way-back"),
            "status": "completed",
            "category": [concept(local("icm-explanation", "way-back"))],
            "medium": [concept(local("icm-consent-mode", "written"))],
            "subject": scope.patient,
            "sent": instant(stated.on),
            "recipient": [scope.patient],
            "sender": scope.manager,
            "payload": [{"contentString": words}],
        },
        stated,
    )
