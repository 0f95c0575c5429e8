"""The programme's clocks of one case as Tasks: when something is due, and whether it was done in time.

No clock is read here: a Task is ``open`` until the case states that it was met; ``fhirgw.clocks`` says
which of the open ones are overdue at an instant.
"""

from collections.abc import Iterator
from datetime import date, datetime

from fhirgw.mappers.icm.shape import Json, Scope, compact, concept, instant, local, noon
from fhirgw.programs import Clock


def clock_tasks(scope: Scope) -> Iterator[Json]:
    """One Task for each clock that this case has started and that has a length."""
    dates = _anchors(scope)
    for clock in scope.program.clocks:
        started = _start(clock, dates)
        if started and clock.due and scope.case.status != "finished":
            due = scope.program.due(clock.due, started)
            yield _task(scope, clock, started, due, _met(clock, started, dates))


def _anchors(scope: Scope) -> dict[str, list[date]]:
    """Every dated fact that a clock may run from or be met by, by anchor."""
    case, plan, day = scope.case, scope.case.care_plan, scope.program.day
    met = sorted(day(contact.at) for contact in case.contacts)
    dates: dict[str, list[date]] = {
        "referral": [day(case.referral.received_at)] if case.referral else [],
        "first-contact": met[:1],
        "contact": met,
        "eligibility": [case.eligible_on] if case.eligible_on else [],
        "admission": [case.admitted_on] if case.admitted_on else [],
        "plan": [plan.created_on] if plan else [],
        "plan-review": list(plan.reviewed_on) if plan else [],
        "assessment": [one.taken_on for one in case.acuity]
        + [day(one.taken_at) for one in case.sf12]
        + [day(one.taken_at) for one in case.screens]
        + [day(one.at) for one in case.assessments],
        "medication-review": [review.on for review in case.medicine_reviews],
        "consultation": [one.on for one in case.consultations if one.kind == "clinical-consultation"],
        "crisis": [one.on for one in case.incidents if one.kind == "crisis"],
        "low-contact": [case.low_contact_on] if case.low_contact_on else [],
        "withdrawal": _withdrawn(scope),
    }
    return dates


def _withdrawn(scope: Scope) -> list[date]:
    """BC 2.8: who leaves is flagged as inactive first."""
    case = scope.case
    if case.inactive_on:
        return [case.inactive_on]
    return [scope.program.day(case.opt_in.withdrawn_at)] if case.opt_in and case.opt_in.withdrawn_at else []


def _start(clock: Clock, dates: dict[str, list[date]]) -> date | None:
    """The first start of a clock that runs once, the latest of one that recurs."""
    starts = dates.get(clock.starts, [])
    if clock.recurs and not starts and clock.first_from:
        starts = dates.get(clock.first_from, [])
    return (max(starts) if clock.recurs else min(starts)) if starts else None


def _met(clock: Clock, started: date, dates: dict[str, list[date]]) -> date | None:
    after = [day for day in dates.get(clock.met_by or "", []) if day >= started]
    return min(after) if after else None


def _task(scope: Scope, clock: Clock, started: date, due: datetime, met: date | None) -> Json:
    standing = "open" if met is None else "met" if met <= due.date() else "breached"
    return compact(
        {
            "resourceType": "Task",
            "id": scope.id("Task", "clock", clock.id, instant(started)),
            "instantiatesCanonical": f"http://fhirgw.org/fhir/PlanDefinition/{scope.program.id}",
            "status": "requested" if met is None else "completed",
            "businessStatus": concept(local("icm-clock-status", standing)),
            "intent": "plan",
            "code": concept(local("icm-clock", clock.id, clock.title)),
            "focus": _focus(scope, clock),
            "for": scope.patient,
            "executionPeriod": {"end": instant(met)} if met else None,
            "authoredOn": instant(noon(scope, started)),
            "owner": scope.manager,
            "restriction": {"period": {"end": instant(due)}},
        }
    )


def _focus(scope: Scope, clock: Clock) -> Json:
    case = scope.case
    if clock.starts == "referral" and case.referral:
        return scope.ref("ServiceRequest", "referral", case.referral.id)
    if clock.starts == "plan-review" and case.care_plan:
        return scope.ref("CarePlan")
    return scope.ref("EpisodeOfCare")
