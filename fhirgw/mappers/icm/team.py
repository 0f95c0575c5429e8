"""The care team, what its members confer about, and caseloads that are over their maximum."""

from collections.abc import Iterator

from fhirgw.icm.team import Consultation, TeamMember
from fhirgw.mappers.icm.people import practitioner, practitioner_role, primary_care, role, staff_ref
from fhirgw.mappers.icm.shape import (
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
    reference_to,
)
from fhirgw.terminology import SNOMED

_BESIDE = {"support-person": "support-person", "substitute-decision-maker": "substitute-decision-maker"}
"""Relatives who are on the team. BC 1.6: "Clients can have a support person or advocate involved in their care"."""


def team(scope: Scope) -> Iterator[Json]:
    """CareTeam, and a Practitioner and PractitionerRole for each on it. MCC CareTeam: patient and caregiver too."""
    staff = scope.case.care_team
    if not staff:
        return
    for person in _supervisors_first(staff):
        yield from (organization(scope.key, one.issuer) for one in person.qualifications if one.issuer)
        if person.organization:
            yield organization(scope.key, person.organization)
        yield practitioner(scope, person)
        yield practitioner_role(scope, person)
    yield {
        "resourceType": "CareTeam",
        "id": scope.id("CareTeam"),
        "status": "active" if scope.case.relation == "active" else "inactive",
        "subject": scope.patient,
        "participant": [*_around_the_member(scope), *(_participant(scope, one) for one in staff)],
        "managingOrganization": [scope.manager],
    }
    yield from (_over(scope, one) for one in staff if _is_over(scope, one))


def _supervisors_first(staff: tuple[TeamMember, ...]) -> list[TeamMember]:
    """Everybody after whom they answer to: what refers comes after what it refers to."""
    known = {one.id: one for one in staff}

    def rank(one: TeamMember) -> int:
        return 1 + rank(known[one.supervisor]) if one.supervisor else 0

    return sorted(staff, key=rank)


def _around_the_member(scope: Scope) -> Iterator[Json]:
    """The member, who stands beside them, the medical home."""
    member = scope.case.member
    yield {"role": [concept(coding(SNOMED, "116154003", "Patient"))], "member": scope.patient}
    if member.caregiver:
        carer = concept(coding(SNOMED, "133932002", "Caregiver"))
        yield {"role": [carer], "member": scope.ref("RelatedPerson", member.caregiver.id)}
    for one in member.relatives:
        if one.part in _BESIDE:
            stands = concept(local("icm-relationship", _BESIDE[one.part]))
            yield {"role": [stands], "member": scope.ref("RelatedPerson", one.id)}
    for home in primary_care(member, scope.key)[:1]:
        known = member.primary_care.recognition if member.primary_care else ()
        recognised = [local("icm-primary-care", code) for code in known]
        yield {
            "role": [concept(local("icm-primary-care", "primary-care"), *recognised)],
            "member": reference_to(home),
        }


def _participant(scope: Scope, person: TeamMember) -> Json:
    load = person.caseload
    return compact(
        {
            "extension": [extension("icm-caseload", valueUnsignedInt=load)] if load is not None else [],
            "role": [role(scope, person)],
            "member": staff_ref(scope, person.id),
            "period": period(person.starts_on, person.ends_on),
        }
    )


def _is_over(scope: Scope, person: TeamMember) -> bool:
    limits = [one.maximum for one in scope.program.caseloads if one.role == person.role]
    return bool(limits) and (person.caseload or 0) > min(limits)


def _over(scope: Scope, person: TeamMember) -> Json:
    """BC B.5: "When caseload maximums are reached, ... management is made aware"."""
    return {
        "resourceType": "Task",
        "id": scope.id("Task", "caseload", person.id),
        "status": "requested",
        "intent": "order",
        "code": concept(local("icm-task", "caseload", "Caseload over its maximum")),
        "focus": scope.ref("CareTeam"),
        "for": scope.patient,
        "authoredOn": instant(scope.case.entered.at),
        "owner": scope.manager,
    }


def consultations(scope: Scope) -> Iterator[Json]:
    """A Communication between staff for every consultation."""
    yield from (_consultation(scope, one) for one in scope.case.consultations)


def _consultation(scope: Scope, one: Consultation) -> Json:
    return labelled(
        compact(
            {
                "resourceType": "Communication",
                "id": scope.id("Communication", "consultation", one.id),
                "status": "completed",
                "category": [concept(local("icm-consultation", one.kind))],
                "subject": scope.patient,
                "sent": instant(one.on),
                "recipient": [staff_ref(scope, other) for other in one.others],
                "sender": staff_ref(scope, one.by),
                "payload": [{"contentString": one.text}] if one.text else [],
            }
        ),
        *([one] if one.text or one.codes else []),
    )
