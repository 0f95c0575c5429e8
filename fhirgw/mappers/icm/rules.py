"""What a programme asks of its cases: its own codes, and Nebraska's rule about the telephone."""

from collections.abc import Iterator

from fhirgw.errors import GatewayError, InvalidElement, ProfileViolation, UnmappedCode
from fhirgw.icm.base import Model, Organization
from fhirgw.icm.model import Case
from fhirgw.programs import Program


def require_fit(case: Case, program: Program) -> None:
    """Refuse a case that does not fit its programme, with everything that is wrong.

    Raises:
        ExceptionGroup: Of UnmappedCode, InvalidElement and ProfileViolation, each with its place in the case.
    """
    if problems := list(_problems(case, program)):
        raise ExceptionGroup("the case does not fit its programme", problems)


def _problems(case: Case, program: Program) -> Iterator[GatewayError]:
    if case.program != program.id:
        yield InvalidElement("The case belongs to another programme.", location="program")
    yield from _unknown_codes(case, program)
    yield from _contradicted_organizations(case)
    if program.phone_needs_barrier:
        for index, contact in enumerate(case.contacts):
            if contact.mode == "phone" and not contact.barrier:
                yield ProfileViolation(
                    "A telephone contact documents the barrier that prevented meeting in person.",
                    location=f"contacts[{index}].barrier",
                )


def _unknown_codes(case: Case, program: Program) -> Iterator[GatewayError]:
    plan = case.care_plan
    stated = {
        "role": [(f"care_team[{i}].role", one.role) for i, one in enumerate(case.care_team)],
        "tier": [(f"acuity[{i}].tier", one.tier) for i, one in enumerate(case.acuity)],
        "plan section": [(f"care_plan.sections[{i}].kind", one.kind) for i, one in enumerate(plan.sections)]
        if plan
        else [],
        "discharge reason": [("closure.reason", case.closure.reason)] if case.closure else [],
        "criterion": [
            (f"screenings[{i}].answers[{j}].criterion", answer.criterion)
            for i, one in enumerate(case.screenings)
            for j, answer in enumerate(one.answers)
        ],
        "assessment domain": [
            (f"assessments[{i}].findings[{j}].domain", found.domain)
            for i, one in enumerate(case.assessments)
            for j, found in enumerate(one.findings)
        ],
        "cohort": [(f"cohorts[{i}].code", one.code) for i, one in enumerate(case.cohorts)],
    }
    known = {
        "role": program.roles,
        "tier": program.tiers,
        "plan section": program.sections,
        "discharge reason": program.discharge,
        "criterion": (*program.admission, *program.continued),
        "assessment domain": program.domains,
        "cohort": program.cohorts,
    }
    for what, places in stated.items():
        codes = {fact.code for fact in known[what]}
        for location, code in places:
            if code not in codes:
                yield UnmappedCode(f"The programme has no such {what}.", location=location)


def _contradicted_organizations(case: Case) -> Iterator[GatewayError]:
    """One identifier, one organization: of two names for it, one would be lost."""
    known: dict[tuple[str, str], Organization] = {}
    for location, stated in _organizations(case, ""):
        key = (stated.identifier.system, stated.identifier.value)
        if known.setdefault(key, stated) != stated:
            text = "The case says two different things of the organization with this identifier."
            yield InvalidElement(text, location=location)


def _organizations(part: object, location: str) -> Iterator[tuple[str, Organization]]:
    if isinstance(part, Organization):
        yield location, part
    elif isinstance(part, Model):
        for name in type(part).model_fields:
            yield from _organizations(getattr(part, name), f"{location}.{name}" if location else name)
    elif isinstance(part, tuple):
        for index, one in enumerate(part):
            yield from _organizations(one, f"{location}[{index}]")
