"""What is done for members: one ActivityDefinition for each tier's contacts, and for each intervention."""

from collections.abc import Iterator

from fhirgw.mappers.definitional.canonical import SITE_SETS, canonical, citations, head, of_program
from fhirgw.mappers.definitional.codes import own
from fhirgw.mappers.icm.shape import Json, compact, concept, timing
from fhirgw.programs import Program
from fhirgw.programs.facts import CodedFact


def activities(program: Program) -> Iterator[Json]:
    """Contacts by tier, then interventions."""
    for tier in program.tiers:
        yield _activity(program, tier, "icm-tier", tier.name, SITE_SETS if tier.configurable else "") | {
            "timingTiming": timing(tier.cadence),
            "participant": participants(program, tier.roles),
        }
    for one in program.interventions:
        on_request = "Where the member asks for it." if one.on_request else ""
        yield _activity(program, one, "icm-intervention", one.name, on_request)


def activity_url(program: Program, fact: CodedFact) -> str:
    """The canonical of a tier's contacts, or of an intervention: the programme states no code for both."""
    return canonical("ActivityDefinition", f"{program.id}.{fact.code}")


def participants(program: Program, roles: tuple[str, ...]) -> list[Json]:
    """Staff, by role."""
    return [
        {"type": "practitioner", "role": concept(own("icm-role", program, role))}
        for role in program.roles
        if role.code in roles
    ]


def _activity(program: Program, fact: CodedFact, system: str, name: str, more: str) -> Json:
    described = " ".join(part for part in (f"{name}, in {program.name}.", more) if part)
    return compact(
        head(
            "ActivityDefinition",
            f"{program.id}.{fact.code}",
            name,
            described,
            publisher=program.organization.name,
        )
        | of_program(program)
        | {
            "relatedArtifact": citations(program, fact),
            "kind": "ServiceRequest",
            "intent": "plan",
            "code": concept(own(system, program, fact)),
        }
    )
