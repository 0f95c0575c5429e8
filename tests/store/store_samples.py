"""Small synthetic resources and visibilities for the tests of the store."""

from collections.abc import Iterable
from typing import Any

from fhirgw.consent.labels import TABLE_VERSION
from fhirgw.consent.predicate import ALWAYS, ConfAtMost, Grant, LabelsWithin, Predicate, TypeIn, Visibility, both
from fhirgw.consent.vocabulary import BITS, HIGH
from fhirgw.store import repository
from fhirgw.store.database import Database

Json = dict[str, Any]
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
CLEARED = {"tag": [{"system": "http://fhirgw.org/fhir/CodeSystem/icm-text-review", "code": "cleared"}]}
ICM = "http://fhirgw.org/fhir/CodeSystem/icm-consent-category"

INSIDE = Visibility((Grant(None, None, ALWAYS),), inside=True, revision=0, label_table=TABLE_VERSION)
NORMAL = both([LabelsWithin(0), ConfAtMost(3)])
"""Nothing sensitive."""


def outside(*patients: str, predicate: Predicate = NORMAL, types: Iterable[str] = ()) -> Visibility:
    """What an outside recipient sees: these patients, as far as the predicate goes, of these types or all."""
    whole = both([predicate, TypeIn(frozenset(types))]) if types else predicate
    grant = Grant(frozenset(patients), None, whole)
    return Visibility((grant,), inside=False, revision=0, label_table=TABLE_VERSION)


def sud() -> Predicate:
    """Substance use, too."""
    return both([LabelsWithin(BITS["SUD"] | BITS["OPIOIDUD"]), ConfAtMost(HIGH)])


def ref(kind: str, logical: str) -> Json:
    return {"reference": f"{kind}/{logical}"}


def concept(code: str, system: str = ICD) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def patient(logical: str = "p", family: str = "Núñez", **more: Any) -> Json:
    name = [{"family": family, "given": ["Ana"]}]
    return {"resourceType": "Patient", "id": logical, "meta": CLEARED, "name": name, **more}


def goal(logical: str, code: str, who: str = "p", **more: Any) -> Json:
    base = {"resourceType": "Goal", "id": logical, "lifecycleStatus": "active", "description": concept(code)}
    return {**base, "subject": ref("Patient", who), **more}


def plan(logical: str, goals: Iterable[str] = (), who: str = "p", **more: Any) -> Json:
    base = {"resourceType": "CarePlan", "id": logical, "meta": CLEARED, "status": "active", "intent": "plan"}
    listed = {"goal": [ref("Goal", one) for one in goals]} if goals else {}
    return {**base, "subject": ref("Patient", who), **listed, **more}


def condition(logical: str, code: str, who: str = "p", **more: Any) -> Json:
    return {
        "resourceType": "Condition",
        "id": logical,
        "subject": ref("Patient", who),
        "code": concept(code),
        **more,
    }


def task(logical: str, focus: Json, who: str = "p") -> Json:
    base = {"resourceType": "Task", "id": logical, "status": "requested", "intent": "order", "focus": focus}
    return {**base, "for": ref("Patient", who)}


def consent(logical: str, category: str = "release-of-information", who: str = "p", **more: Any) -> Json:
    base = {"resourceType": "Consent", "id": logical, "status": "active", "patient": ref("Patient", who)}
    scope = concept("patient-privacy", "http://terminology.hl7.org/CodeSystem/consentscope")
    return {**base, "scope": scope, "category": [concept(category, ICM)], **more}


def naming(*actors: Json) -> Json:
    """A provision that permits to these actors."""
    role = concept("IRCP", "http://terminology.hl7.org/CodeSystem/v3-ParticipationType")
    return {"provision": {"type": "permit", "actor": [{"role": role, "reference": actor} for actor in actors]}}


def put(database: Database, *resources: Json, **options: Any) -> list[repository.Stored]:
    return database.write_sync(lambda tx: [repository.put(tx, one, **options) for one in resources])
