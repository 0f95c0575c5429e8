"""Findings and life domains as Observations, each of its own sensitivity.

An assessment of eighteen domains is eighteen Observations and no answer form: references between them would give
each of them what all reveal together (decision 0140).
"""

from collections.abc import Iterator, Mapping

from fhirgw.icm.findings import (
    Circumstance,
    Finding,
    Function,
    Housing,
    PatternOfUse,
    Preference,
    Reading,
    StageOfChange,
    Strength,
)
from fhirgw.icm.screening import Assessment, DomainFinding
from fhirgw.mappers.icm.people import staff_ref
from fhirgw.mappers.icm.shape import (
    CANONICAL,
    FUNCTIONAL,
    SDOH,
    SURVEY,
    Json,
    Scope,
    coding,
    compact,
    concept,
    instant,
    labelled,
    local,
)
from fhirgw.terminology import LOINC

_PREFERENCE_LABELS: Mapping[str, tuple[str, ...]] = {"spiritual": ("REL",), "sexual": ("SEX",), "gender": ("GDIS",)}
"""What it reveals that there is such a preference."""


def findings(scope: Scope) -> Iterator[Json]:
    """Findings, then life domains."""
    for finding in scope.case.findings:
        yield _finding(scope, finding)
    for assessment in scope.case.assessments:
        for found in assessment.findings:
            yield _domain(scope, assessment, found)


def _finding(scope: Scope, finding: Finding) -> Json:
    said, text, codes = _said(finding)
    return labelled(
        compact(
            {
                "resourceType": "Observation",
                "id": scope.id("Observation", "finding", finding.id),
                "status": "final",
                "category": [SURVEY, *said.pop("category", [])],
                "code": said.pop("code"),
                "subject": scope.patient,
                "effectiveDateTime": instant(finding.on),
                "performer": [staff_ref(scope, finding.by) if finding.by else scope.patient],
                **said,
            }
        ),
        *([finding] if text or finding.codes else []),
        codes=codes,
    )


def _said(finding: Finding) -> tuple[Json, str | None, tuple[str, ...]]:
    """What the finding is, its free text if there is one, and what it reveals by its kind."""
    match finding:
        case Strength():
            return {"code": _code("strength"), "valueString": finding.text}, finding.text, ()
        case Preference():
            said: Json = {"code": _code(f"preference-{finding.about}"), "valueString": finding.text}
            return said, finding.text, _PREFERENCE_LABELS.get(finding.about, ())
        case Function():
            value: Json = concept(local("icm-severity", finding.impairment))
            said = {
                "code": _code(f"function-{finding.area}"),
                "category": [FUNCTIONAL],
                "valueCodeableConcept": value,
            }
            return said | _note(finding.text), finding.text, ()
        case StageOfChange():
            value = concept(local("icm-stage-of-change", finding.stage))
            said = {"code": _code("stage-of-change"), "valueCodeableConcept": value}
            return said | _note(finding.behaviour), finding.behaviour, ("SUD",)
        case PatternOfUse():
            return {"code": _code("pattern-of-use"), "valueString": finding.text}, finding.text, ("SUD",)
        case Reading():
            return _reading(finding), None, ()
        case Housing():
            return _housing(finding), finding.history, ()
        case Circumstance():
            value = concept(local("icm-circumstance", finding.what))
            said = {"code": _code("circumstance"), "category": [SDOH], "valueCodeableConcept": value}
            return said | _note(finding.text), finding.text, ()


def _reading(reading: Reading) -> Json:
    """A number; of a blood pressure, two. The codes are ours: the facts name no LOINC codes for them."""
    unit = {"unit": reading.unit, "system": "http://unitsofmeasure.org", "code": reading.unit}
    value: Json = {"value": reading.value} | unit
    if reading.diastolic is None:
        return {"code": _code(f"reading-{reading.what}"), "valueQuantity": value}
    pair = (("systolic", value), ("diastolic", {"value": reading.diastolic} | unit))
    return {
        "code": _code(f"reading-{reading.what}"),
        "component": [{"code": _code(f"reading-{name}"), "valueQuantity": part} for name, part in pair],
    }


def _housing(housing: Housing) -> Json:
    adequate = {
        "affordable": housing.affordable,
        "good-repair": housing.good_repair,
        "uncrowded": housing.uncrowded,
    }
    return {
        "code": concept(coding(LOINC, "71802-3"), local("icm-finding", "housing")),
        "category": [SDOH],
        "valueCodeableConcept": concept(local("icm-housing", housing.category)),
        "component": [
            {"code": _code(f"housing-{name}"), "valueBoolean": value}
            for name, value in adequate.items()
            if value is not None
        ],
    } | _note(housing.history)


def _code(code: str) -> Json:
    return concept(local("icm-finding", code))


def _note(text: str | None) -> Json:
    return {"note": [{"text": text}]} if text else {}


def _domain(scope: Scope, assessment: Assessment, found: DomainFinding) -> Json:
    known = next(one for one in scope.program.domains if one.code == found.domain)
    return labelled(
        compact(
            {
                "resourceType": "Observation",
                "id": scope.id("Observation", "domain", assessment.id, found.domain),
                "identifier": [{"system": f"{CANONICAL}/sid/icm-assessment", "value": assessment.id}],
                "status": "final",
                "category": [SURVEY],
                "code": concept(local("icm-domain", f"{scope.program.id}.{known.code}", known.name)),
                "subject": scope.patient,
                "encounter": scope.ref("Encounter", assessment.contact) if assessment.contact else None,
                "effectiveDateTime": instant(assessment.at),
                "performer": [staff_ref(scope, assessment.by)] if assessment.by else [],
                "valueString": found.text,
                "interpretation": [concept(local("icm-finding", "strength"))] if found.asset else [],
            }
        ),
        found,
        codes=known.sensitivity,
    )
