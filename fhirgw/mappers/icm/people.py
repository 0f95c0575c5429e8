"""The member, who stands beside them, staff, the organizations, the coverage."""

from collections.abc import Iterator

from fhirgw.icm.base import Coded, Identified, Organization, Person, Provider
from fhirgw.icm.member import Caregiver, Indigenous, Member, Relative
from fhirgw.icm.plan import MEMBER
from fhirgw.icm.team import Qualification, TeamMember
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
    extension,
    human_name,
    identifier,
    instant,
    local,
    never_shared,
    organization,
    organization_ref,
    period,
    postal_address,
    reference_to,
)
from fhirgw.terminology import LANGUAGE, US_CORE_ETHNICITY, US_CORE_RACE

_CA_BASELINE = "http://hl7.org/fhir/ca/baseline/StructureDefinition/"
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
                *_indigenous(member.indigenous),
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


def _omb(url: str, value: Coded | None) -> Iterator[Json]:
    """US Core race and ethnicity: the OMB category, and the text that the extension asks for."""
    if value:
        category = {"url": "ombCategory", "valueCoding": coded(value)}
        text = {"url": "text", "valueString": value.display or value.code}
        yield {"url": url, "extension": [category, text]}


def _indigenous(stated: Indigenous | None) -> Iterator[Json]:
    """CA Baseline's extensions, by their published names."""
    if stated:
        yield {"url": f"{_CA_BASELINE}ext-aboriginalidentityindicator", "valueCoding": coded(stated.identifies)}
        if stated.people:
            yield {"url": f"{_CA_BASELINE}ext-aboriginalidentitygroup", "valueCoding": coded(stated.people)}


def beside(scope: Scope) -> Iterator[Json]:
    """The programme's Organization; a RelatedPerson for everybody beside the member; Coverage with its payer."""
    member = scope.case.member
    run_by = scope.program.organization
    yield organization(
        scope.key,
        Organization(identifier=Identified(system=run_by.system, value=run_by.value), name=run_by.name),
    )
    if caregiver := member.caregiver:
        decides = [concept(local("icm-relationship", "substitute-decision-maker", "Substitute decision maker"))]
        yield _related(scope, caregiver, decides if caregiver.decides else [])
    for relative in member.relatives:
        yield _related(scope, relative, [concept(local("icm-relationship", _PART[relative.part]))])
    if coverage := member.coverage:
        payer = organization(scope.key, coverage.payer)
        yield payer
        yield compact(
            {
                "resourceType": "Coverage",
                "id": scope.id("Coverage", coverage.id),
                "status": "active",
                "type": concept(coded(coverage.kind)) if coverage.kind else None,
                "subscriberId": coverage.member_id,
                "beneficiary": scope.patient,
                "period": period(coverage.starts_on, coverage.ends_on),
                "payor": [reference_to(payer)],
            }
        )


def _related(scope: Scope, person: Caregiver | Relative, part: list[Json]) -> Json:
    """Somebody beside the member: what they are to them, and what part they have."""
    stated = [concept(coded(person.relationship))] if person.relationship else []
    return compact(
        {
            "resourceType": "RelatedPerson",
            "id": scope.id("RelatedPerson", person.id),
            "active": True,
            "patient": scope.patient,
            "relationship": [*stated, *part],
            "name": [human_name(person.name)],
            "telecom": [contact_point(telecom) for telecom in person.telecom],
        }
    )


def beside_ref(scope: Scope, local_id: str) -> Json:
    """A reference to the caregiver or to a relative."""
    return scope.ref("RelatedPerson", local_id)


def actor_ref(scope: Scope, local_id: str) -> Json:
    """A reference to the member, to somebody beside them, or to a care team member."""
    if local_id == MEMBER:
        return scope.patient
    return beside_ref(scope, local_id) if local_id in scope.case.beside() else staff_ref(scope, local_id)


def practitioner(scope: Scope, person: TeamMember | Provider) -> Json:
    """Practitioner: a fact about nobody's care, so its id is its content."""
    qualified = person.qualifications if isinstance(person, TeamMember) else ()
    return _practitioner(scope.key, person, [_qualification(scope, one) for one in qualified])


def _practitioner(key: bytes, person: TeamMember | Provider, qualifications: list[Json] | None = None) -> Json:
    return by_content(
        key,
        compact(
            {
                "resourceType": "Practitioner",
                "identifier": [identifier(person.identifier)] if person.identifier else [],
                "active": True,
                "name": [human_name(person.name)],
                "qualification": qualifications,
            }
        ),
    )


def _qualification(scope: Scope, stated: Qualification) -> Json:
    codes = [coded(stated.code)] if stated.code else []
    held = [one for one in scope.program.licences if one.code == stated.licence]
    codes += [local("icm-licence", f"{scope.program.id}.{one.code}", one.name) for one in held]
    issuer = reference_to(organization(scope.key, stated.issuer)) if stated.issuer else None
    return compact(
        {
            "identifier": [identifier(stated.number)] if stated.number else [],
            "code": concept(*codes, local("icm-qualification", stated.kind), text=stated.text),
            "period": period(stated.starts_on, stated.ends_on),
            "issuer": issuer,
        }
    )


def practitioner_role(scope: Scope, person: TeamMember) -> Json:
    """PractitionerRole: who works where as what, and whom they answer to."""
    employer = person.organization
    works_for = (
        organization_ref(scope.key, employer.identifier.system, employer.identifier.value)
        if employer
        else scope.manager
    )
    lived, above = person.lived_experience, person.supervisor
    return by_content(
        scope.key,
        compact(
            {
                "resourceType": "PractitionerRole",
                "extension": [
                    *([extension("icm-lived-experience", valueCode=lived)] if lived else []),
                    *([extension("icm-supervisor", valueReference=staff_ref(scope, above))] if above else []),
                ],
                "active": True,
                "practitioner": reference_to(practitioner(scope, person)),
                "organization": works_for,
                "code": [role(scope, person)],
            }
        ),
    )


def role(scope: Scope, person: TeamMember) -> Json:
    """The programme's own role code, beside the nearest of the provider taxonomy."""
    known = next(one for one in scope.program.roles if one.code == person.role)
    nucc = [coding(NUCC, known.nucc, known.nucc_display)] if known.nucc else []
    return concept(*nucc, local("icm-role", f"{scope.program.id}.{known.code}", known.name))


def staff_ref(scope: Scope, local_id: str) -> Json:
    """A reference to the PractitionerRole of a care team member."""
    if local_id not in scope.staff:
        person = next(one for one in scope.case.care_team if one.id == local_id)
        scope.staff[local_id] = reference_to(practitioner_role(scope, person))
    return scope.staff[local_id]


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
