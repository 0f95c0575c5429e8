"""The member, who stands beside them, the team, the organizations, the coverage."""

from collections.abc import Iterator

from fhirgw.icm.base import Coded, Identified, Organization, Person
from fhirgw.icm.member import Member
from fhirgw.icm.plan import TeamMember
from fhirgw.mappers.icm.shape import (
    NUCC,
    Json,
    Scope,
    by_content,
    coded,
    coding,
    compact,
    concept,
    contact_point,
    human_name,
    identifier,
    instant,
    local,
    never_shared,
    organization,
    organization_ref,
    postal_address,
    reference_to,
)
from fhirgw.terminology import LANGUAGE, SNOMED, US_CORE_ETHNICITY, US_CORE_RACE

_PART = {
    "family": "client-identified-family",
    "head-of-household": "head-of-household",
    "substitute-decision-maker": "substitute-decision-maker",
    "support-person": "support-person",
}


def picture(member: Member, key: bytes) -> Json:
    """The Patient as the care-management system knows it, without an id. US Core 6.1.0 Patient."""
    use = {"use": "temp"} if member.identity == "partial" else {}
    return compact(
        {
            "resourceType": "Patient",
            "extension": [
                *_omb(US_CORE_RACE, member.race),
                *_omb(US_CORE_ETHNICITY, member.ethnicity),
            ],
            "identifier": [use | identifier(one) for one in member.identifiers],
            "active": True,
            "name": [human_name(member.name)],
            "telecom": [contact_point(telecom) for telecom in member.telecom],
            "gender": member.gender,
            "birthDate": instant(member.birth_date) if member.birth_date else None,
            "address": [postal_address(member.address)] if member.address else [],
            "communication": [
                compact({"language": concept(coding(LANGUAGE, language)), "preferred": True if rank == 0 else None})
                for rank, language in enumerate(member.languages)
            ],
            "generalPractitioner": [reference_to(one) for one in primary_care(member, key)],
        }
    )


def primary_care(member: Member, key: bytes) -> list[Json]:
    """Who the member's medical home is: a Practitioner, an Organization, or both."""
    home = member.primary_care
    practitioner_ = [_practitioner(key, home.practitioner)] if home and home.practitioner else []
    return [*practitioner_, *([organization(key, home.organization)] if home and home.organization else [])]


def _medical_home(scope: Scope) -> Iterator[Json]:
    """The medical home on the CareTeam, with how it is recognised. HUSKY, ICM Approach."""
    home = scope.case.member.primary_care
    for one in primary_care(scope.case.member, scope.key)[:1]:
        recognised = [local("icm-primary-care", code) for code in (home.recognition if home else ())]
        yield {
            "role": [concept(local("icm-primary-care", "primary-care"), *recognised)],
            "member": reference_to(one),
        }


def _omb(url: str, value: Coded | None) -> Iterator[Json]:
    """US Core race and ethnicity: the OMB category, and the text that the extension asks for."""
    if value:
        category = {"url": "ombCategory", "valueCoding": coded(value)}
        text = {"url": "text", "valueString": value.display or value.code}
        yield {"url": url, "extension": [category, text]}


def beside(scope: Scope) -> Iterator[Json]:
    """RelatedPerson of the caregiver; the programme's Organization; Coverage with its payer."""
    member = scope.case.member
    run_by = scope.program.organization
    yield organization(
        scope.key,
        Organization(identifier=Identified(system=run_by.system, value=run_by.value), name=run_by.name),
    )
    if caregiver := member.caregiver:
        decides = [concept(local("icm-relationship", "substitute-decision-maker", "Substitute decision maker"))]
        yield compact(
            {
                "resourceType": "RelatedPerson",
                "id": scope.id("RelatedPerson", caregiver.id),
                "active": True,
                "patient": scope.patient,
                "relationship": [concept(coded(caregiver.relationship)), *(decides if caregiver.decides else [])],
                "name": [human_name(caregiver.name)],
                "telecom": [contact_point(telecom) for telecom in caregiver.telecom],
            }
        )
    for relative in member.relatives:
        stated = [concept(coded(relative.relationship))] if relative.relationship else []
        yield compact(
            {
                "resourceType": "RelatedPerson",
                "id": scope.id("RelatedPerson", relative.id),
                "active": True,
                "patient": scope.patient,
                "relationship": [*stated, concept(local("icm-relationship", _PART[relative.part]))],
                "name": [human_name(relative.name)],
                "telecom": [contact_point(telecom) for telecom in relative.telecom],
            }
        )
    if coverage := member.coverage:
        payer = organization(scope.key, coverage.payer)
        yield payer
        period = {"start": coverage.starts_on, "end": coverage.ends_on}
        yield compact(
            {
                "resourceType": "Coverage",
                "id": scope.id("Coverage", coverage.id),
                "status": "active",
                "type": concept(coded(coverage.kind)) if coverage.kind else None,
                "subscriberId": coverage.member_id,
                "beneficiary": scope.patient,
                "period": {name: instant(day) for name, day in period.items() if day},
                "payor": [reference_to(payer)],
            }
        )


def beside_ref(scope: Scope, local_id: str) -> Json:
    """A reference to the caregiver or to a relative."""
    return scope.ref("RelatedPerson", local_id)


def practitioner(scope: Scope, person: TeamMember | Person) -> Json:
    """Practitioner: a fact about nobody's care, so its id is its content."""
    return _practitioner(scope.key, person)


def _practitioner(key: bytes, person: TeamMember | Person) -> Json:
    return by_content(
        key,
        compact(
            {
                "resourceType": "Practitioner",
                "identifier": [identifier(person.identifier)] if person.identifier else [],
                "active": True,
                "name": [human_name(person.name)],
                "qualification": [
                    {"code": concept(coded(one))}
                    for one in (person.qualifications if isinstance(person, TeamMember) else ())
                ],
            }
        ),
    )


def practitioner_role(scope: Scope, person: TeamMember) -> Json:
    """PractitionerRole: who works where as what."""
    employer = person.organization
    works_for = (
        organization_ref(scope.key, employer.identifier.system, employer.identifier.value)
        if employer
        else scope.manager
    )
    return by_content(
        scope.key,
        {
            "resourceType": "PractitionerRole",
            "active": True,
            "practitioner": reference_to(practitioner(scope, person)),
            "organization": works_for,
            "code": [role(scope, person)],
        },
    )


def role(scope: Scope, person: TeamMember) -> Json:
    """The programme's own role code, beside the nearest of the provider taxonomy."""
    known = next(one for one in scope.program.roles if one.code == person.role)
    nucc = [coding(NUCC, known.nucc, known.nucc_display)] if known.nucc else []
    return concept(*nucc, local("icm-role", f"{scope.program.id}.{known.code}", known.name))


def staff_ref(scope: Scope, local_id: str) -> Json:
    """A reference to the PractitionerRole of a care team member."""
    return reference_to(practitioner_role(scope, next(one for one in scope.case.care_team if one.id == local_id)))


def team(scope: Scope) -> Iterator[Json]:
    """CareTeam, and a Practitioner and PractitionerRole for each on it. MCC CareTeam: patient and caregiver too."""
    staff = scope.case.care_team
    if not staff:
        return
    for person in staff:
        if person.organization:
            yield organization(scope.key, person.organization)
        yield practitioner(scope, person)
        yield practitioner_role(scope, person)
    caregiver = scope.case.member.caregiver
    beside_them = (
        [
            {
                "role": [concept(coding(SNOMED, "133932002", "Caregiver"))],
                "member": scope.ref("RelatedPerson", caregiver.id),
            }
        ]
        if caregiver
        else []
    )
    yield {
        "resourceType": "CareTeam",
        "id": scope.id("CareTeam"),
        "status": "active" if scope.case.status == "active" else "inactive",
        "subject": scope.patient,
        "participant": [
            {"role": [concept(coding(SNOMED, "116154003", "Patient"))], "member": scope.patient},
            *beside_them,
            *_medical_home(scope),
            *({"role": [role(scope, one)], "member": staff_ref(scope, one.id)} for one in staff),
        ],
        "managingOrganization": [scope.manager],
    }


def named_person(scope: Scope, person: Person, *, codes: tuple[str, ...] = ()) -> Json:
    """Somebody a consent names: a Practitioner, or a RelatedPerson of this member whom nobody else hears of."""
    if person.kind == "practitioner":
        return practitioner(scope, person)
    return never_shared(
        compact(
            {
                "resourceType": "RelatedPerson",
                "id": scope.id("RelatedPerson", "named", person.id),
                "identifier": [identifier(person.identifier)] if person.identifier else [],
                "active": True,
                "patient": scope.patient,
                "relationship": [concept(coded(person.relationship))] if person.relationship else [],
                "name": [human_name(person.name)],
            }
        ),
        codes=codes,
    )
