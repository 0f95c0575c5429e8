"""Conditions, cohorts, cautions, medicines and their reviews."""

from collections.abc import Iterator

from fhirgw.icm.conditions import Caution, Cohort, Diagnosis, Medicine, MedicineReview
from fhirgw.mappers.icm.people import practitioner, staff_ref
from fhirgw.mappers.icm.shape import (
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
    period,
    reference_to,
)
from fhirgw.terminology import THO

_FLAG_CATEGORY = {"safety": "safety", "trauma": "behavioral", "communication": "contact"}


def conditions(scope: Scope) -> Iterator[Json]:
    """Everything about the member's health that is no plan."""
    case = scope.case
    yield from (_diagnosis(scope, one) for one in case.conditions)
    yield from (_cohort(scope, one) for one in case.cohorts)
    yield from (_caution(scope, one) for one in case.cautions)
    yield from (_medicine(scope, one) for one in case.medicines)
    for review in case.medicine_reviews:
        yield from _review(scope, review)


def _diagnosis(scope: Scope, stated: Diagnosis) -> Json:
    verified = "confirmed" if stated.verified else "unconfirmed"
    return labelled(
        compact(
            {
                "resourceType": "Condition",
                "id": scope.id("Condition", "diagnosis", stated.id),
                "extension": [extension("icm-treated", valueBoolean=stated.treated)]
                if stated.treated is not None
                else [],
                "clinicalStatus": concept(coding(f"{THO}condition-clinical", stated.status)),
                "verificationStatus": concept(coding(f"{THO}condition-ver-status", verified)),
                "category": [concept(coding(f"{THO}condition-category", "problem-list-item", "Problem List Item"))],
                "code": concept(*([coded(stated.code)] if stated.code else []), text=stated.text),
                "subject": scope.patient,
                "onsetDateTime": instant(stated.onset_on) if stated.onset_on else None,
                "recordedDate": instant(stated.noted_on),
            }
        ),
        stated,
    )


def _cohort(scope: Scope, cohort: Cohort) -> Json:
    """A Flag of the programme's own: whom a member is cared for with."""
    known = next(one for one in scope.program.cohorts if one.code == cohort.code)
    return labelled(
        {
            "resourceType": "Flag",
            "id": scope.id("Flag", "cohort", cohort.id),
            "status": "inactive" if cohort.ends_on else "active",
            "category": [concept(local("icm-flag", "cohort"))],
            "code": concept(local("icm-cohort", f"{scope.program.id}.{known.code}", known.name)),
            "subject": scope.patient,
            "period": period(cohort.starts_on, cohort.ends_on),
        },
        *([cohort] if cohort.codes else []),
        codes=known.sensitivity,
    )


def _caution(scope: Scope, caution: Caution) -> Json:
    category = coding(f"{THO}flag-category", _FLAG_CATEGORY[caution.kind])
    return labelled(
        {
            "resourceType": "Flag",
            "id": scope.id("Flag", "caution", caution.id),
            "status": "inactive" if caution.ends_on else "active",
            "category": [concept(category, local("icm-flag", caution.kind))],
            "code": {"text": caution.text},
            "subject": scope.patient,
            "period": period(caution.starts_on, caution.ends_on),
        },
        caution,
    )


def _medicine(scope: Scope, medicine: Medicine) -> Json:
    """MedicationStatement: a drug tells its indication, so only a person's word clears it."""
    return labelled(
        compact(
            {
                "resourceType": "MedicationStatement",
                "id": scope.id("MedicationStatement", medicine.id),
                "status": medicine.status,
                "medicationCodeableConcept": concept(
                    *([coded(medicine.code)] if medicine.code else []), text=medicine.text
                ),
                "subject": scope.patient,
                "effectivePeriod": period(medicine.starts_on, medicine.ends_on),
                "dateAsserted": instant(medicine.noted_on),
                "informationSource": staff_ref(scope, medicine.source) if medicine.source else scope.patient,
                "dosage": [{"text": medicine.dose}] if medicine.dose else [],
            }
        ),
        medicine,
    )


def _review(scope: Scope, review: MedicineReview) -> Iterator[Json]:
    """List of what was reviewed; it takes the sensitivity of its entries in the store."""
    reviewer = practitioner(scope, review.by)
    looked_at = {one.id: one for one in scope.case.medicines if one.id in review.medicines}
    yield reviewer
    yield labelled(
        compact(
            {
                "resourceType": "List",
                "id": scope.id("List", "medicine-review", review.id),
                "status": "current",
                "mode": "snapshot",
                "code": concept(local("icm-list", "medicine-review", "Medication review")),
                "subject": scope.patient,
                "date": instant(review.on),
                "source": reference_to(reviewer),
                "note": [{"text": review.note}] if review.note else [],
                "entry": [{"item": scope.ref("MedicationStatement", one)} for one in review.medicines],
            }
        ),
        *([review] if review.note else []),
        codes=sorted({code for one in looked_at.values() for code in one.codes} | set(review.codes)),
    )
