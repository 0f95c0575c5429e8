"""SF-12 and the Acuity Assessment: the answers, the scores, the tier."""

from collections.abc import Iterator

from fhirgw.icm.assessment import ACUITY_DOMAINS, Acuity, Sf12
from fhirgw.icm.sf12 import ITEMS, score
from fhirgw.mappers.icm.people import staff_ref
from fhirgw.mappers.icm.shape import (
    CANONICAL,
    FUNCTIONAL,
    SURVEY,
    Json,
    Scope,
    compact,
    concept,
    instant,
    labelled,
    local,
    reference_to,
)

_DOMAIN_LABELS = {"mental-health-substance-use": ("MH", "SUD")}
"""What the mere answer to a domain reveals, whatever it is."""
ACUITY_LABELS = tuple(code for labels in _DOMAIN_LABELS.values() for code in labels)
"""What an Acuity Assessment reveals, and so the tier that it leads to."""


def assessments(scope: Scope) -> Iterator[Json]:
    """QuestionnaireResponse and Observations of every assessment."""
    for sf12 in scope.case.sf12:
        yield from _sf12(scope, sf12)
    for acuity in scope.case.acuity:
        yield from _acuity(scope, acuity)


def _sf12(scope: Scope, sf12: Sf12) -> Iterator[Json]:
    """Answers by mnemonic, and the two scores.

    No LOINC code for SF-12 scores was found: the codes are ours, and the VR-12 codes are another
    instrument's.
    """
    scores = score(sf12.answers)
    answers = {
        "resourceType": "QuestionnaireResponse",
        "id": scope.id("QuestionnaireResponse", "sf12", sf12.id),
        "questionnaire": f"{CANONICAL}/Questionnaire/sf12v1",
        "status": "completed",
        "subject": scope.patient,
        "authored": instant(sf12.taken_at),
        "source": scope.patient,
        "item": [{"linkId": item, "answer": [{"valueInteger": sf12.answers[item]}]} for item in ITEMS],
    }
    yield answers
    for code, display, value in (
        ("sf12v1-pcs", "SF-12 v1 physical component summary", scores.pcs12),
        ("sf12v1-mcs", "SF-12 v1 mental component summary", scores.mcs12),
    ):
        yield {
            "resourceType": "Observation",
            "id": scope.id("Observation", code, sf12.id),
            "status": "final",
            "category": [SURVEY, FUNCTIONAL],
            "code": concept(local("icm-score", code, display)),
            "subject": scope.patient,
            "effectiveDateTime": instant(sf12.taken_at),
            "performer": [scope.patient],
            "valueQuantity": {
                "value": value,
                "unit": "{score}",
                "system": "http://unitsofmeasure.org",
                "code": "{score}",
            },
            "derivedFrom": [reference_to(answers)],
        }


def _acuity(scope: Scope, acuity: Acuity) -> Iterator[Json]:
    tier = next(one for one in scope.program.tiers if one.code == acuity.tier)
    interview = scope.ref("Encounter", acuity.contact)
    assessor = staff_ref(scope, acuity.assessor) if acuity.assessor else None
    answers = labelled(
        compact(
            {
                "resourceType": "QuestionnaireResponse",
                "id": scope.id("QuestionnaireResponse", "acuity", acuity.id),
                "questionnaire": f"{CANONICAL}/Questionnaire/icm-acuity",
                "status": "completed",
                "subject": scope.patient,
                "encounter": interview,
                "authored": instant(acuity.taken_on),
                "author": assessor,
                "item": [
                    {"linkId": domain, "answer": [{"valueInteger": severity}]}
                    for domain in ACUITY_DOMAINS
                    for known, severity in acuity.domains.items()
                    if known == domain
                ],
            }
        ),
        codes=ACUITY_LABELS,
    )
    yield answers
    yield compact(
        {
            "resourceType": "Observation",
            "id": scope.id("Observation", "tier", acuity.id),
            "status": "final",
            "category": [SURVEY],
            "code": concept(local("icm-score", "tier", "ICM tier")),
            "subject": scope.patient,
            "encounter": interview,
            "effectiveDateTime": instant(acuity.taken_on),
            "performer": [assessor] if assessor else [],
            "valueCodeableConcept": concept(local("icm-tier", f"{scope.program.id}.{tier.code}", tier.name)),
            "derivedFrom": [reference_to(answers)],
        }
    )
