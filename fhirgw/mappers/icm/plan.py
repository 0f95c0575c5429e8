"""The care plan, in the MCC eCare Plan's shape: every activity a referenced request, never ``activity.detail``.

See: HL7/fhir-us-mcc, mccCarePlan and MCCGoal; US Core 6.1.0 CarePlan (category assess-plan is required).
"""

from collections.abc import Iterator

from fhirgw.icm.plan import CarePlan, Goal, Intervention, Problem, Section
from fhirgw.mappers.icm.people import role, staff_ref
from fhirgw.mappers.icm.shape import (
    US_CORE_CODES,
    Json,
    Scope,
    coded,
    coding,
    compact,
    concept,
    instant,
    labelled,
    local,
    reference_to,
    timing,
)
from fhirgw.terminology import CONDITION_CATEGORY, CONDITION_VERIFICATION, THO

_ACCEPTANCE = "http://hl7.org/fhir/StructureDefinition/goal-acceptance"
_PERTAINS = "http://hl7.org/fhir/StructureDefinition/resource-pertainsToGoal"
_CUSTODIAN = "http://hl7.org/fhir/us/mcc/StructureDefinition/custodian"
_ASSESS_PLAN = concept(coding(f"{US_CORE_CODES}careplan-category", "assess-plan"))
_PROBLEM = concept(coding(CONDITION_CATEGORY, "problem-list-item", "Problem List Item"))
_CONCERN = concept(coding(f"{US_CORE_CODES}condition-category", "health-concern", "Health Concern"))


def care_plan(scope: Scope) -> Iterator[Json]:
    """Conditions, Goals, ServiceRequests, then the CarePlan that names them, then one CarePlan per section."""
    if (plan := scope.case.care_plan) is None:
        return
    requests = [*_contact_requests(scope, plan), *(_intervention(scope, plan, one) for one in plan.interventions)]
    yield from (_condition(scope, problem) for problem in plan.problems)
    yield from (_goal(scope, goal) for goal in plan.goals)
    yield from requests
    yield _main(scope, plan, requests)
    yield from (_section(scope, plan, section) for section in plan.sections)


def _condition(scope: Scope, problem: Problem) -> Json:
    is_problem = problem.kind == "problem"
    kind = local("icm-concern", problem.kind)
    return labelled(
        {
            "resourceType": "Condition",
            "id": scope.id("Condition", problem.id),
            "clinicalStatus": concept(coding(f"{THO}condition-clinical", problem.status)),
            "verificationStatus": concept(coding(CONDITION_VERIFICATION, "confirmed")),
            "category": [_PROBLEM if is_problem else _CONCERN, concept(kind)],
            "code": concept(*([coded(problem.code)] if problem.code else []), text=problem.text),
            "subject": scope.patient,
            "recordedDate": instant(problem.noted_on),
        },
        problem,
    )


def _goal(scope: Scope, goal: Goal) -> Json:
    """The member's own words stand in ``description.text``, as they are."""
    return labelled(
        compact(
            {
                "resourceType": "Goal",
                "id": scope.id("Goal", goal.id),
                "extension": [_acceptance(scope, goal)],
                "lifecycleStatus": goal.status,
                "achievementStatus": concept(coding(f"{THO}goal-achievement", goal.achievement))
                if goal.achievement
                else None,
                "category": [concept(local("icm-goal-term", f"{goal.term}-term"))],
                "priority": concept(coding(f"{THO}goal-priority", f"{goal.priority}-priority"))
                if goal.priority
                else None,
                "description": {"text": goal.words},
                "subject": scope.patient,
                "startDate": instant(goal.starts_on) if goal.starts_on else None,
                "target": _target(goal),
                "expressedBy": scope.patient,
                "addresses": [scope.ref("Condition", problem) for problem in goal.addresses],
            }
        ),
        goal,
    )


def _acceptance(scope: Scope, goal: Goal) -> Json:
    """CT BHP: "Members have a choice in which goals they want to work on"."""
    return {
        "url": _ACCEPTANCE,
        "extension": [
            {"url": "individual", "valueReference": scope.patient},
            {"url": "status", "valueCode": goal.acceptance},
        ],
    }


def _target(goal: Goal) -> list[Json]:
    """FHIR goal-invariant gol-1: a detail needs a measure."""
    target = compact(
        {
            "measure": {"text": goal.measure} if goal.measure else None,
            "dueDate": instant(goal.target_on) if goal.target_on else None,
        }
    )
    return [target] if target else []


def _contact_requests(scope: Scope, plan: CarePlan) -> Iterator[Json]:
    """How often each role meets the member in the latest tier."""
    latest = max(scope.case.acuity, key=lambda one: one.taken_on, default=None)
    tier = next((one for one in scope.program.tiers if latest and one.code == latest.tier), None)
    if tier is None:
        return
    for code in tier.roles:
        staff = [one for one in scope.case.care_team if one.role == code]
        yield compact(
            {
                "resourceType": "ServiceRequest",
                "id": scope.id("ServiceRequest", "contact", code),
                "status": "active" if plan.status == "active" else "on-hold",
                "intent": "plan",
                "category": [concept(local("icm-service", "contact", "Contact"))],
                "code": concept(local("icm-tier", f"{scope.program.id}.{tier.code}", tier.name)),
                "subject": scope.patient,
                "occurrenceTiming": timing(tier.cadence),
                "authoredOn": instant(plan.created_on),
                "requester": scope.manager,
                "performerType": role(scope, staff[0]) if staff else None,
                "performer": [staff_ref(scope, one.id) for one in staff],
            }
        )


def _intervention(scope: Scope, plan: CarePlan, step: Intervention) -> Json:
    """INVARIANT: a request carries the sensitivity of the goals it serves, for it points at them."""
    served = [goal for goal in plan.goals if goal.id in step.goals]
    return labelled(
        compact(
            {
                "resourceType": "ServiceRequest",
                "id": scope.id("ServiceRequest", step.id),
                "extension": [{"url": _PERTAINS, "valueReference": scope.ref("Goal", goal.id)} for goal in served],
                "status": step.status,
                "intent": "plan",
                "category": [concept(local("icm-service", "intervention", "Intervention"))],
                "code": concept(*([coded(step.code)] if step.code else []), text=step.text),
                "subject": scope.patient,
                "occurrenceTiming": timing(step.cadence) if step.cadence else None,
                "authoredOn": instant(plan.created_on),
                "requester": scope.manager,
                "performer": [staff_ref(scope, step.performer)] if step.performer else [],
            }
        ),
        step,
        codes=[code for goal in served for code in goal.codes],
    )


def _main(scope: Scope, plan: CarePlan, requests: list[Json]) -> Json:
    case = scope.case
    evidence = [scope.ref("Observation", "tier", one.id) for one in case.acuity]
    evidence += [
        scope.ref("Observation", code, one.id) for one in case.sf12 for code in ("sf12v1-pcs", "sf12v1-mcs")
    ]
    resource = compact(
        {
            **_head(scope, plan, "CarePlan"),
            "category": [
                _ASSESS_PLAN,
                concept(local("icm-plan", scope.program.plan.code, scope.program.plan.name)),
            ],
            "description": plan.summary,
            "subject": scope.patient,
            "period": {"start": instant(plan.created_on)},
            "created": instant(plan.created_on),
            "contributor": [staff_ref(scope, one.id) for one in case.care_team],
            "careTeam": [scope.ref("CareTeam")] if case.care_team else [],
            "addresses": [scope.ref("Condition", problem.id) for problem in plan.problems],
            "supportingInfo": evidence,
            "goal": [scope.ref("Goal", goal.id) for goal in plan.goals],
            "activity": [{"reference": reference_to(request)} for request in requests],
        }
    )
    return labelled(resource, *([plan] if plan.summary or plan.codes else []))


def _section(scope: Scope, plan: CarePlan, section: Section) -> Json:
    """A plan of its own under the main one; the main one does not name it, so hiding it leaves no trace there."""
    known = next(one for one in scope.program.sections if one.code == section.kind)
    return labelled(
        {
            **_head(scope, plan, "CarePlan", "section", section.id),
            "partOf": [scope.ref("CarePlan")],
            "category": [
                _ASSESS_PLAN,
                concept(local("icm-plan-section", f"{scope.program.id}.{known.code}", known.name)),
            ],
            "description": section.text,
            "subject": scope.patient,
            "created": instant(plan.created_on),
        },
        section,
    )


def _head(scope: Scope, plan: CarePlan, *parts: str) -> Json:
    return {
        "resourceType": "CarePlan",
        "id": scope.id(*parts),
        "extension": [{"url": _CUSTODIAN, "valueReference": scope.manager}],
        "status": plan.status,
        "intent": "plan",
    }


def sign_offs(scope: Scope) -> Iterator[Json]:
    """Provenance of every sign-off. Nebraska: the clinical consultant signs; BC B.3: professional staff sign."""
    plan = scope.case.care_plan
    for sign in plan.sign_offs if plan else ():
        yield {
            "resourceType": "Provenance",
            "id": scope.id("Provenance", "sign-off", sign.by, instant(sign.at)),
            "target": [scope.ref("CarePlan")],
            "recorded": instant(sign.at),
            "agent": [
                {
                    "type": concept(coding(f"{THO}provenance-participant-type", "verifier", "Verifier")),
                    "who": staff_ref(scope, sign.by),
                    "onBehalfOf": scope.manager,
                }
            ],
        }
