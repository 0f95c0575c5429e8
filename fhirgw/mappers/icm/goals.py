"""What the plan addresses, and what the member wants. MCC: MCCChronCondHealthConcern, MCCGoal."""

from collections.abc import Iterator

from fhirgw.icm.plan import CarePlan, Evidence, Goal, Problem
from fhirgw.mappers.icm.people import actor_ref, practitioner
from fhirgw.mappers.icm.shape import (
    HL7_EXTENSIONS,
    US_CORE_CODES,
    Json,
    Scope,
    coded,
    coding,
    compact,
    concept,
    extension,
    instant,
    labelled,
    local,
    reference_to,
)
from fhirgw.terminology import CONDITION_CATEGORY, CONDITION_VERIFICATION, THO

_PROBLEM = concept(coding(CONDITION_CATEGORY, "problem-list-item", "Problem List Item"))
_CONCERN = concept(coding(f"{US_CORE_CODES}condition-category", "health-concern", "Health Concern"))


def concerns(scope: Scope, plan: CarePlan) -> Iterator[Json]:
    """A Condition for every problem, need, barrier and opportunity."""
    yield from (_concern(scope, problem) for problem in plan.problems)


def goals(scope: Scope, plan: CarePlan) -> Iterator[Json]:
    """A Goal for every goal, the steps before what they are steps of."""
    steps = [goal for goal in plan.goals if goal.term == "short"]
    yield from (_goal(scope, plan, goal) for goal in (*steps, *(one for one in plan.goals if one.term == "long")))


def reveals(scope: Scope, goal: Goal) -> list[str]:
    """What a goal reveals: its words, its progress, the area it is in."""
    areas = [one.sensitivity for one in scope.program.goal_areas if one.code == goal.area]
    return [
        *goal.codes,
        *(code for told in goal.progress for code in told.codes),
        *(code for one in areas for code in one),
    ]


def _concern(scope: Scope, problem: Problem) -> Json:
    is_problem = problem.kind == "problem"
    kind = local("icm-concern", problem.kind)
    return labelled(
        compact(
            {
                "resourceType": "Condition",
                "id": scope.id("Condition", problem.id),
                "clinicalStatus": concept(coding(f"{THO}condition-clinical", problem.status)),
                "verificationStatus": concept(coding(CONDITION_VERIFICATION, "confirmed")),
                "category": [_PROBLEM if is_problem else _CONCERN, concept(kind)],
                "code": concept(*([coded(problem.code)] if problem.code else []), text=problem.text),
                "subject": scope.patient,
                "abatementDateTime": instant(problem.resolved_on) if problem.resolved_on else None,
                "recordedDate": instant(problem.noted_on),
                "evidence": [{"detail": [_shown_by(scope, one)]} for one in problem.evidence],
            }
        ),
        problem,
    )


def _shown_by(scope: Scope, evidence: Evidence) -> Json:
    case = scope.case
    if evidence.domain:
        return scope.ref("Observation", "domain", evidence.of, evidence.domain)
    if evidence.of in {one.id for one in case.acuity}:
        return scope.ref("Observation", "tier", evidence.of)
    if evidence.of in {one.id for one in case.screens}:
        return scope.ref("QuestionnaireResponse", "screen", evidence.of)
    return scope.ref("Observation", "finding", evidence.of)


def _goal(scope: Scope, plan: CarePlan, goal: Goal) -> Json:
    """The member's own words stand in ``description.text``, as they are."""
    achieved = goal.achievement
    area = next((one for one in scope.program.goal_areas if one.code == goal.area), None)
    areas = [concept(local("icm-goal-area", f"{scope.program.id}.{area.code}", area.name))] if area else []
    return labelled(
        compact(
            {
                "resourceType": "Goal",
                "id": scope.id("Goal", goal.id),
                "extension": [_acceptance(scope, goal), *_said(scope, plan, goal)],
                "lifecycleStatus": goal.status,
                "achievementStatus": concept(coding(f"{THO}goal-achievement", achieved)) if achieved else None,
                "category": [concept(local("icm-goal-term", f"{goal.term}-term")), *areas],
                "priority": concept(coding(f"{THO}goal-priority", f"{goal.priority}-priority"))
                if goal.priority
                else None,
                "description": {"text": goal.words},
                "subject": scope.patient,
                "startDate": instant(goal.starts_on) if goal.starts_on else None,
                "target": _target(goal),
                "statusDate": instant(goal.status_on) if goal.status_on else None,
                "expressedBy": scope.patient,
                "addresses": [scope.ref("Condition", problem) for problem in goal.addresses],
                "note": _progress(scope, goal),
            }
        ),
        goal,
        *goal.progress,
        codes=reveals(scope, goal),
    )


def _acceptance(scope: Scope, goal: Goal) -> Json:
    """CT BHP: "Members have a choice in which goals they want to work on"."""
    return {
        "url": f"{HL7_EXTENSIONS}goal-acceptance",
        "extension": [
            {"url": "individual", "valueReference": scope.patient},
            {"url": "status", "valueCode": goal.acceptance},
        ],
    }


def _said(scope: Scope, plan: CarePlan, goal: Goal) -> Iterator[Json]:
    """Why it was declined, its steps, who works on it, which plans of others it fits."""
    if goal.declined_because:
        yield {
            "url": f"{HL7_EXTENSIONS}goal-reasonRejected",
            "valueCodeableConcept": {"text": goal.declined_because},
        }
    for step in plan.goals:
        if step.toward == goal.id:
            kind = {
                "url": "type",
                "valueCodeableConcept": concept(coding(f"{THO}goal-relationship-type", "milestone")),
            }
            target = {"url": "target", "valueReference": scope.ref("Goal", step.id)}
            yield {"url": f"{HL7_EXTENSIONS}goal-relationship", "extension": [kind, target]}
    for one in goal.helpers:
        yield extension("icm-works-on-goal", valueReference=actor_ref(scope, one))
    for one in goal.aligned_with:
        yield extension("icm-aligned-with", valueReference=scope.ref("DocumentReference", "plan", one))


def _target(goal: Goal) -> list[Json]:
    """FHIR goal-invariant gol-1: a detail needs a measure."""
    amount = goal.amount
    target = compact(
        {
            "measure": {"text": goal.measure} if goal.measure else None,
            "detailQuantity": compact(
                {
                    "value": amount.value,
                    "comparator": amount.comparator,
                    "unit": amount.unit,
                    "system": "http://unitsofmeasure.org",
                    "code": amount.unit,
                }
            )
            if amount
            else None,
            "detailString": goal.achieved_when,
            "dueDate": instant(goal.target_on) if goal.target_on else None,
        }
    )
    return [target] if target else []


def _progress(scope: Scope, goal: Goal) -> list[Json]:
    """An Annotation is by a Practitioner, or by the member: R4 allows no role there."""
    staff = {one.id: one for one in scope.case.care_team}
    return [
        {
            "authorReference": reference_to(practitioner(scope, staff[one.by])) if one.by else scope.patient,
            "time": instant(one.on),
            "text": one.text,
        }
        for one in goal.progress
    ]
