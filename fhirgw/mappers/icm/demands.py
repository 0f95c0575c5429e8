"""What a programme demands of the people, groups, signatures and closures of a case, as its file states it."""

from collections.abc import Iterator

from fhirgw.errors import GatewayError, ProfileViolation
from fhirgw.icm.model import Case
from fhirgw.icm.plan import CarePlan
from fhirgw.icm.team import TeamMember
from fhirgw.programs import Program, Role, Span


def demands(case: Case, program: Program) -> Iterator[GatewayError]:
    """Everything that a case does not do as its programme asks."""
    yield from _contacts(case, program)
    yield from _staff(case, program)
    if case.care_plan:
        yield from _plan(case, case.care_plan, program)
    yield from _closure(case, program)


def _contacts(case: Case, program: Program) -> Iterator[GatewayError]:
    for index, contact in enumerate(case.contacts):
        if program.phone_needs_barrier and contact.mode == "phone" and not contact.barrier:
            yield ProfileViolation(
                "A telephone contact documents the barrier that prevented meeting in person.",
                location=f"contacts[{index}].barrier",
            )
        sizes, group = program.groups, contact.group
        if sizes and group and not sizes.smallest <= group.participants <= sizes.largest:
            yield ProfileViolation(
                f"A group is one of {sizes.smallest} to {sizes.largest}.",
                location=f"contacts[{index}].group.participants",
            )


def _staff(case: Case, program: Program) -> Iterator[GatewayError]:
    roles = {one.code: one for one in program.roles}
    for index, person in enumerate(case.care_team):
        if role := roles.get(person.role):
            for field, text in _lacking(case, person, role, program):
                yield ProfileViolation(text, location=f"care_team[{index}].{field}")


def _lacking(case: Case, person: TeamMember, role: Role, program: Program) -> Iterator[tuple[str, str]]:
    """(field, sentence) of everything that somebody lacks for their role."""
    if role.licences and not _held(person) & set(role.licences):
        yield "qualifications", "The programme asks for one of its licences in this role."
    if role.lived_experience and person.lived_experience is None:
        yield "lived_experience", "The programme asks for lived experience in this role."
    if person.caseload and not role.caseload:
        yield "caseload", "Nobody in this role holds a caseload."
    if role.age_from and person.birth_date:
        began = person.starts_on or program.day(case.entered.at)
        if person.birth_date > Span(amount=12 * role.age_from, unit="month").before(began):
            yield "birth_date", f"The programme asks for an age of {role.age_from} years in this role."


def _held(person: TeamMember) -> set[str]:
    return {one.licence for one in person.qualifications if one.licence}


def _plan(case: Case, plan: CarePlan, program: Program) -> Iterator[GatewayError]:
    asked = {one.code for one in program.interventions if one.on_request}
    for index, step in enumerate(plan.interventions):
        if step.kind in asked and step.asked_for_on is None:
            yield ProfileViolation(
                "This is done when the member asks for it.",
                location=f"care_plan.interventions[{index}].asked_for_on",
            )
    staff = {one.id: one for one in case.care_team}
    revealed = [set(problem.codes) for problem in plan.problems]
    for index, sign in enumerate(plan.sign_offs):
        limits = _limits(staff[sign.by], program)
        if limits is not None and any(not codes & limits for codes in revealed):
            yield ProfileViolation(
                "Who signs has a licence for a part of what the plan addresses only.",
                location=f"care_plan.sign_offs[{index}].by",
            )


def _limits(person: TeamMember, program: Program) -> set[str] | None:
    """What somebody's licences are limited to; None: they have one without a limit, or none that is known."""
    held = [one for one in program.licences if one.code in _held(person)]
    if not held or any(not one.only for one in held):
        return None
    return {code for one in held for code in one.only}


def _closure(case: Case, program: Program) -> Iterator[GatewayError]:
    closure = case.closure
    reason = next((one for one in program.discharge if closure and one.code == closure.reason), None)
    if closure is None or reason is None:
        return
    needed = set(reason.agreed_by) - (set() if case.member.caregiver else {"caregiver"})
    if needed - {one.party for one in closure.agreements}:
        text = f"For this reason a case is closed when these agree: {', '.join(sorted(needed))}."
        yield ProfileViolation(text, location="closure.agreements")
    if set(reason.attempts) - {one.how for one in case.attempts}:
        text = f"For this reason a case is closed after these attempts: {', '.join(reason.attempts)}."
        yield ProfileViolation(text, location="attempts")
