"""Whether a case fits its programme: its codes, what it demands, and that the case does not contradict itself."""

from collections.abc import Iterable, Iterator, Sequence

from fhirgw.errors import GatewayError, InvalidElement, UnmappedCode
from fhirgw.icm.base import Model, Organization
from fhirgw.icm.model import Case
from fhirgw.mappers.icm.demands import demands
from fhirgw.programs import CodedFact, Program


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
    yield from demands(case, program)


def _unknown_codes(case: Case, program: Program) -> Iterator[GatewayError]:
    for what, known, places in _stated(case, program):
        codes = {fact.code for fact in known}
        for location, code in places:
            if code not in codes:
                yield UnmappedCode(f"The programme has no such {what}.", location=location)


def _stated(case: Case, program: Program) -> Iterator[tuple[str, Sequence[CodedFact], list[tuple[str, str]]]]:
    """(what, the programme's facts of it, where the case names which) of every kind of code."""
    plan, closure = case.care_plan, case.closure
    yield "role", program.roles, _each("care_team", case.care_team, "role")
    yield "tier", program.tiers, _each("acuity", case.acuity, "tier")
    yield "phase", program.phases, _each("phases", case.phases, "code")
    yield "cohort", program.cohorts, _each("cohorts", case.cohorts, "code")
    yield "plan section", program.sections, _each("care_plan.sections", plan.sections if plan else (), "kind")
    yield "goal area", program.goal_areas, _each("care_plan.goals", plan.goals if plan else (), "area")
    steps = plan.interventions if plan else ()
    yield "intervention", program.interventions, _each("care_plan.interventions", steps, "kind")
    for index, one in enumerate(case.care_team):
        held = _each(f"care_team[{index}].qualifications", one.qualifications, "licence")
        yield "licence", program.licences, held
    for index, screening in enumerate(case.screenings):
        answers = _each(f"screenings[{index}].answers", screening.answers, "criterion")
        yield "criterion", (*program.admission, *program.continued), answers
    for index, assessment in enumerate(case.assessments):
        found = _each(f"assessments[{index}].findings", assessment.findings, "domain")
        yield "assessment domain", program.domains, found
    if closure:
        yield "discharge reason", program.discharge, [("closure.reason", closure.reason)]
        outcomes = [(f"closure.outcomes[{index}]", code) for index, code in enumerate(closure.outcomes)]
        yield "outcome", program.outcomes, outcomes


def _each(place: str, listed: Iterable[Model], field: str) -> list[tuple[str, str]]:
    """(location, code) of one field of everything in a list."""
    codes = [(f"{place}[{index}].{field}", getattr(one, field)) for index, one in enumerate(listed)]
    return [(location, code) for location, code in codes if code is not None]


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
