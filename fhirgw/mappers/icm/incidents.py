"""Crises and critical incidents as Observations, and what they call for as Tasks."""

from collections.abc import Iterator
from datetime import date

from fhirgw.icm.incidents import Incident
from fhirgw.mappers.icm.people import staff_ref
from fhirgw.mappers.icm.shape import Json, Scope, compact, concept, instant, labelled, local, noon, reference_to

_LABELS = ("BH",)
"""What the mere record of a crisis reveals."""


def incidents(scope: Scope) -> Iterator[Json]:
    """Of every incident: what happened, the follow-up, the review."""
    for incident in scope.case.incidents:
        yield from _incident(scope, incident)


def _incident(scope: Scope, incident: Incident) -> Iterator[Json]:
    said = [incident] if incident.text or incident.codes else []
    what = compact(
        {
            "resourceType": "Observation",
            "id": scope.id("Observation", "incident", incident.id),
            "status": "final",
            "category": [concept(local("icm-observation-category", "incident"))],
            "code": concept(local("icm-finding", incident.kind)),
            "subject": scope.patient,
            "effectiveDateTime": instant(incident.on),
            "performer": [staff_ref(scope, incident.by)] if incident.by else [],
            "note": [{"text": incident.text}] if incident.text else [],
            "component": [
                {
                    "code": concept(local("icm-finding", "incident-response")),
                    "valueCodeableConcept": concept(local("icm-incident-response", response)),
                }
                for response in incident.response
            ],
        }
    )
    yield labelled(what, *said, codes=_LABELS)
    for code, done in (("incident-follow-up", incident.followed_up_on), ("incident-review", incident.reviewed_on)):
        yield labelled(_called_for(scope, incident, what, code, done), *said, codes=_LABELS)


def _called_for(scope: Scope, incident: Incident, what: Json, code: str, done: date | None) -> Json:
    """BC 2.2: reviewed "following every crisis incident"; BC B.4: follow-up "following each crisis incident"."""
    return compact(
        {
            "resourceType": "Task",
            "id": scope.id("Task", code, incident.id),
            "status": "completed" if done else "requested",
            "intent": "order",
            "code": concept(local("icm-task", code)),
            "focus": reference_to(what),
            "for": scope.patient,
            "executionPeriod": {"end": instant(done)} if done else None,
            "authoredOn": instant(noon(scope, incident.on)),
            "owner": scope.manager,
        }
    )
