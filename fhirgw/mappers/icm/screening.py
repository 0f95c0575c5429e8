"""Screens with their scores, and suicide risk: whatever calls for a person at once is a Task of its own."""

from collections.abc import Iterator
from datetime import datetime

from fhirgw.icm.instruments import INSTRUMENTS, Instrument, Result, score
from fhirgw.icm.screening import Screen, SuicideRisk
from fhirgw.mappers.icm.people import staff_ref
from fhirgw.mappers.icm.shape import (
    CANONICAL,
    SURVEY,
    Json,
    Scope,
    coding,
    compact,
    concept,
    instant,
    labelled,
    local,
    reference_to,
)
from fhirgw.terminology import LOINC, THO

_SUICIDE_LABELS = ("MH",)
_DANGER = {"high", "imminent"}


def screens(scope: Scope) -> Iterator[Json]:
    """Every screen and every screening for suicide risk."""
    for screen in scope.case.screens:
        yield from _screen(scope, screen)
    for risk in scope.case.suicide_risk:
        yield from _suicide_risk(scope, risk)


def _screen(scope: Scope, screen: Screen) -> Iterator[Json]:
    """Answers by mnemonic, an Observation for each score, a Task where an answer is a danger.

    Raises:
        InvalidElement, MissingElement: It cannot be scored.
    """
    instrument = INSTRUMENTS[screen.instrument]
    result = score(screen.instrument, screen.answers)
    who = staff_ref(scope, screen.by) if screen.by else None
    answers = compact(
        {
            "resourceType": "QuestionnaireResponse",
            "id": scope.id("QuestionnaireResponse", "screen", screen.id),
            "questionnaire": f"{CANONICAL}/Questionnaire/{screen.instrument}",
            "status": "completed",
            "subject": scope.patient,
            "authored": instant(screen.taken_at),
            "author": who,
            "source": scope.patient,
            "item": [
                {"linkId": item, "answer": [{"valueInteger": screen.answers[item]}]} for item in instrument.items
            ],
        }
    )
    yield labelled(answers, codes=instrument.sensitivity)
    scores = [_score(scope, screen, name, instrument, result) for name in instrument.scores]
    for observation in scores:
        observation["derivedFrom"] = [reference_to(answers)]
        yield labelled(observation, codes=instrument.sensitivity)
    if result.danger:
        yield labelled(
            _safety(scope, ("screen", screen.id), scores[0], screen.taken_at, screen.handled_at),
            codes=instrument.sensitivity,
        )


def _score(scope: Scope, screen: Screen, name: str, instrument: Instrument, result: Result) -> Json:
    verdict = {True: ("POS", "Positive"), False: ("NEG", "Negative")}
    system = f"{THO}v3-ObservationInterpretation"
    found = [concept(coding(system, *verdict[result.positive]))] if result.positive is not None else []
    found += [concept(local("icm-severity", result.band.replace(" ", "-")))] if result.band else []
    return compact(
        {
            "resourceType": "Observation",
            "id": scope.id("Observation", "screen", screen.id, name),
            "status": "final",
            "category": [SURVEY],
            "code": concept(
                coding(LOINC, instrument.scores[name]), local("icm-score", f"{screen.instrument}-{name}")
            ),
            "subject": scope.patient,
            "effectiveDateTime": instant(screen.taken_at),
            "performer": [staff_ref(scope, screen.by) if screen.by else scope.patient],
            "valueQuantity": {
                "value": result.scores[name],
                "unit": "{score}",
                "system": "http://unitsofmeasure.org",
                "code": "{score}",
            },
            "interpretation": found,
        }
    )


def _suicide_risk(scope: Scope, risk: SuicideRisk) -> Iterator[Json]:
    staff = staff_ref(scope, risk.by) if risk.by else None
    observation = compact(
        {
            "resourceType": "Observation",
            "id": scope.id("Observation", "suicide-risk", risk.id),
            "status": "final",
            "category": [SURVEY],
            "code": concept(local("icm-finding", "suicide-risk", "Suicide risk")),
            "subject": scope.patient,
            "effectiveDateTime": instant(risk.at),
            "performer": [staff] if staff else [],
            "valueCodeableConcept": concept(local("icm-severity", f"risk-{risk.level}")),
            "note": [{"text": risk.steps}] if risk.steps else [],
        }
    )
    said = [risk] if risk.steps or risk.codes else []
    yield labelled(observation, *said, codes=_SUICIDE_LABELS)
    if risk.level in _DANGER or risk.handled_at:
        yield labelled(
            _safety(scope, ("suicide-risk", risk.id), observation, risk.at, risk.handled_at),
            *said,
            codes=_SUICIDE_LABELS,
        )


def _safety(
    scope: Scope, parts: tuple[str, str], about: Json, noticed_at: datetime, handled_at: datetime | None
) -> Json:
    """Nebraska: "if imminent danger is identified appropriate steps must be taken to minimize risk"."""
    return compact(
        {
            "resourceType": "Task",
            "id": scope.id("Task", "safety", *parts),
            "status": "completed" if handled_at else "requested",
            "intent": "order",
            "priority": "stat",
            "code": concept(local("icm-task", "safety", "See to the member's safety")),
            "focus": reference_to(about),
            "for": scope.patient,
            "executionPeriod": {"end": instant(handled_at)} if handled_at else None,
            "authoredOn": instant(noticed_at),
            "owner": scope.manager,
        }
    )
