"""The programme as a HealthcareService: who provides it, for whom it is, and what it is like."""

from collections.abc import Iterator

from fhirgw.mappers.definitional.canonical import passages
from fhirgw.mappers.definitional.codes import own
from fhirgw.mappers.icm.shape import Json, compact, concept, program_concept
from fhirgw.programs import Program


def service(program: Program) -> Json:
    """Who provides it is told by identifier: a logical id would be one gateway's own."""
    run_by = program.organization
    return compact(
        {
            "resourceType": "HealthcareService",
            "id": program.id,
            "active": True,
            "providedBy": {
                "type": "Organization",
                "identifier": {"system": run_by.system, "value": run_by.value},
                "display": run_by.name,
            },
            "type": [program_concept(program)],
            "name": program.name,
            "comment": f"After: {program.document}",
            "eligibility": [
                {"code": {"text": criterion.text}, "comment": passages(criterion)}
                for criterion in program.admission
            ],
            "program": [program_concept(program)],
            "characteristic": list(_characteristics(program)),
        }
    )


def _characteristics(program: Program) -> Iterator[Json]:
    for cohort in program.cohorts:
        yield concept(own("icm-cohort", program, cohort))
    if program.part2:
        yield {"text": "A federally assisted programme under 42 CFR Part 2."}
    if program.phone_needs_barrier:
        yield {"text": "By telephone only where what keeps the member from meeting in person is documented."}
    for caseload in program.caseloads:
        role = next(role.name for role in program.roles if role.code == caseload.role)
        yield {"text": f"{role}: {caseload.maximum} members at most. {passages(caseload)}"}
    if program.groups:
        size = f"Groups of {program.groups.smallest} to {program.groups.largest}."
        yield {"text": f"{size} {passages(program.groups)}"}
