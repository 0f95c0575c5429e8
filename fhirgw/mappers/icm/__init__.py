"""An ICM case to FHIR R4: pure and deterministic; the same case, programme and key give the same bytes."""

from collections.abc import Iterable, Iterator

from fhirgw.icm.model import Case
from fhirgw.mappers.icm import (
    assessments,
    clock_tasks,
    closure,
    conditions,
    consents,
    contacts,
    eligibility,
    enrolment,
    findings,
    incidents,
    people,
    plan,
    rights,
    screening,
    signing,
    team,
)
from fhirgw.mappers.icm.binding import bound
from fhirgw.mappers.icm.rules import require_fit
from fhirgw.mappers.icm.shape import (
    CANONICAL,
    Json,
    Scope,
    coding,
    concept,
    instant,
    reference_to,
    revealed,
)
from fhirgw.mappers.ids import resource_id
from fhirgw.programs import Program
from fhirgw.terminology import THO

_PARTS = (
    people.beside,
    team.team,
    team.consultations,
    enrolment.referral,
    eligibility.eligibility,
    enrolment.episode,
    consents.consents,
    rights.rights,
    enrolment.history,
    contacts.contacts,
    incidents.incidents,
    assessments.assessments,
    screening.screens,
    findings.findings,
    conditions.conditions,
    plan.care_plan,
    signing.sign_offs,
    closure.closure,
    clock_tasks.clock_tasks,
)
_ABOUT_NOBODY = {"Organization", "Practitioner", "PractitionerRole"}


def person(case: Case, id_key: bytes) -> Json:
    """The care-management system's picture of the Patient, without an id; the store merges it with others."""
    return bound(people.picture(case.member, id_key))


def map_case(case: Case, program: Program, id_key: bytes, *, patient_id: str | None = None) -> list[Json]:
    """Every resource of a case: the Patient, after who their doctor is; no reference before what it refers to.

    Ids: Patient by its first identifier, Organization by its own, Practitioner and PractitionerRole by their whole
    content, everything else by the case key and the local id in the case.

    Args:
        case: What the care-management system holds.
        program: The case's programme.
        id_key: Key of the ids.
        patient_id: Logical id of the Patient where the person is known already, by whichever identifier.

    Raises:
        ExceptionGroup: The case does not fit its programme.
        InvalidElement, MissingElement: An SF-12 cannot be scored.
    """
    require_fit(case, program)
    known = patient_id or resource_id(id_key, "Patient", *case.identifiers()[0])
    scope = Scope(case, program, id_key, known)
    patient = {"resourceType": "Patient", "id": scope.patient_id, **people.picture(case.member, id_key)}
    mapped = _once(
        [
            *people.primary_care(case.member, id_key),
            patient,
            *(resource for part in _PARTS for resource in part(scope)),
        ]
    )
    return [bound(resource) for resource in (*mapped, *_provenance(scope, mapped))]


def case_bundle(case: Case, program: Program, id_key: bytes, *, patient_id: str | None = None) -> Json:
    """The case as a transaction Bundle; its identifier is the case key."""
    return {
        "resourceType": "Bundle",
        "identifier": {"system": f"{CANONICAL}/sid/icm-case", "value": case.key},
        "type": "transaction",
        "entry": [_entry(resource) for resource in map_case(case, program, id_key, patient_id=patient_id)],
    }


def _entry(resource: Json) -> Json:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": f"{CANONICAL}/{url}", "resource": resource, "request": {"method": "PUT", "url": url}}


def _once(resources: Iterable[Json]) -> list[Json]:
    """Each resource once: an Organization may be named in several places."""
    return list({(one["resourceType"], one["id"]): one for one in resources}.values())


def _provenance(scope: Scope, resources: list[Json]) -> Iterator[Json]:
    """Who entered the case: one Provenance for each resource type and what it reveals.

    INVARIANT: no Provenance names both a sensitive resource and one that is not, so that the visible one never
    points at a hidden one.
    """
    groups: dict[tuple[str, ...], list[Json]] = {}
    for resource in resources:
        if resource["resourceType"] not in _ABOUT_NOBODY | {"Provenance"}:
            key = (resource["resourceType"], *revealed(resource))
            groups.setdefault(key, []).append(resource)
    entered = scope.case.entered
    who = people.staff_ref(scope, entered.by) if entered.by else scope.manager
    for key, targets in sorted(groups.items()):
        yield {
            "resourceType": "Provenance",
            "id": scope.id("Provenance", "entered", *key),
            "target": [reference_to(target) for target in targets],
            "recorded": instant(entered.at),
            "agent": [
                {
                    "type": concept(coding(f"{THO}provenance-participant-type", "enterer", "Enterer")),
                    "who": who,
                    "onBehalfOf": scope.manager,
                }
            ],
        }
