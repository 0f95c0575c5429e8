"""What a programme asks of its cases: its own codes, and Nebraska's rule about the telephone."""

from collections.abc import Iterator

from fhirgw.errors import GatewayError, InvalidElement, ProfileViolation, UnmappedCode
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
    }
    known = {
        "role": program.roles,
        "tier": program.tiers,
        "plan section": program.sections,
        "discharge reason": program.discharge,
    }
    for what, places in stated.items():
        codes = {fact.code for fact in known[what]}
        for location, code in places:
            if code not in codes:
                yield UnmappedCode(f"The programme has no such {what}.", location=location)
