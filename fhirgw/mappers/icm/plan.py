"""The care plan, in the MCC eCare Plan's shape: every activity a referenced request, never ``activity.detail``.

See: HL7/fhir-us-mcc, mccCarePlan and MCCGoal; US Core 6.1.0 CarePlan (category assess-plan is required).
"""

from collections.abc import Iterator
from datetime import date

from fhirgw.icm.plan import CarePlan, Intervention, OnCall, Section, Step
from fhirgw.mappers.icm.assessments import ACUITY_LABELS
from fhirgw.mappers.icm.collaboration import around, connections, other_plans
from fhirgw.mappers.icm.goals import concerns, goals, reveals
from fhirgw.mappers.icm.people import actor_ref, role, staff_ref
from fhirgw.mappers.icm.shape import (
    CANONICAL,
    CUSTODIAN,
    PERTAINS_TO_GOAL,
    US_CORE_CODES,
    Json,
    Scope,
    coded,
    coding,
    compact,
    concept,
    contact_point,
    extension,
    instant,
    labelled,
    labelled_inline,
    local,
    period,
    reference_to,
    timing,
)

_ASSESS_PLAN = concept(coding(f"{US_CORE_CODES}careplan-category", "assess-plan"))


def care_plan(scope: Scope) -> Iterator[Json]:
    """What the CarePlan names, then the CarePlan, then one for each section, then what refers to them."""
    if (plan := scope.case.care_plan) is None:
        return
    linked = list(connections(scope, plan))
    requests = [
        *_contact_requests(scope, plan),
        *(_intervention(scope, plan, one) for one in plan.interventions),
        *(one for one in linked if one["resourceType"] == "ServiceRequest"),
    ]
    yield from other_plans(scope, plan)
    yield from concerns(scope, plan)
    yield from goals(scope, plan)
    yield from (one for one in linked if one["resourceType"] != "ServiceRequest")
    yield from requests
    yield _main(scope, plan, requests)
    yield from (_section(scope, plan, section) for section in plan.sections)
    yield from around(scope, plan)


def _contact_requests(scope: Scope, plan: CarePlan) -> Iterator[Json]:
    """How often each role meets the member in the latest tier.

    Who may not know of the assessment learns neither the tier nor the cadence that goes with it: both are labelled
    as the assessment is, and left out alone.
    """
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
                "code": concept(local("icm-service", "contact", "Contact")),
                "subject": scope.patient,
                "occurrenceTiming": labelled_inline(timing(tier.cadence), ACUITY_LABELS),
                "authoredOn": instant(plan.created_on),
                "requester": scope.manager,
                "reasonCode": [
                    labelled_inline(
                        concept(local("icm-tier", f"{scope.program.id}.{tier.code}", tier.name)), ACUITY_LABELS
                    )
                ],
                "performerType": role(scope, staff[0]) if staff else None,
                "performer": [staff_ref(scope, one.id) for one in staff],
            }
        )


def _intervention(scope: Scope, plan: CarePlan, step: Intervention) -> Json:
    """INVARIANT: a request carries the sensitivity of the goals it serves, for it points at them."""
    served = [goal for goal in plan.goals if goal.id in step.goals]
    known = next((one for one in scope.program.interventions if one.code == step.kind), None)
    kinds = [local("icm-intervention", f"{scope.program.id}.{known.code}", known.name)] if known else []
    asked = step.asked_for_on
    return labelled(
        compact(
            {
                "resourceType": "ServiceRequest",
                "id": scope.id("ServiceRequest", step.id),
                "extension": [
                    *({"url": PERTAINS_TO_GOAL, "valueReference": scope.ref("Goal", goal.id)} for goal in served),
                    *([extension("icm-asked-for", valueDate=instant(asked))] if asked else []),
                ],
                "status": step.status,
                "intent": "plan",
                "category": [concept(local("icm-service", "intervention", "Intervention"))],
                "code": concept(*([coded(step.code)] if step.code else []), *kinds, text=step.text),
                "subject": scope.patient,
                **_occurrence(step),
                "authoredOn": instant(plan.created_on),
                "requester": scope.manager,
                "performer": [actor_ref(scope, one) for one in step.performers],
                "locationCode": [concept(local("icm-contact-setting", step.setting))] if step.setting else [],
            }
        ),
        step,
        codes=[*(code for goal in served for code in reveals(scope, goal)), *(known.sensitivity if known else ())],
    )


def _occurrence(step: Intervention) -> Json:
    """BC 1.5: "where and how often services are delivered, timelines for initiation of services"."""
    if step.cadence:
        return {"occurrenceTiming": timing(step.cadence, step.starts_on)}
    return {"occurrencePeriod": period(step.starts_on, None)} if step.starts_on else {}


def _main(scope: Scope, plan: CarePlan, requests: list[Json]) -> Json:
    case = scope.case
    resource = compact(
        {
            **_head(scope, plan, plan.reviewed_on, "CarePlan"),
            "instantiatesCanonical": [f"{CANONICAL}/PlanDefinition/{scope.program.id}"],
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
            "supportingInfo": list(_support(scope, plan)),
            "goal": [scope.ref("Goal", goal.id) for goal in plan.goals],
            "activity": [{"reference": reference_to(request)} for request in requests],
        }
    )
    return labelled(resource, *([plan] if plan.summary or plan.codes else []))


def _support(scope: Scope, plan: CarePlan) -> Iterator[Json]:
    """HUSKY: "medications, barriers, strengths"; the scores and tiers; plans of other providers."""
    case = scope.case
    yield from (scope.ref("Observation", "tier", one.id) for one in case.acuity)
    for one in case.sf12:
        yield from (scope.ref("Observation", code, one.id) for code in ("sf12v1-pcs", "sf12v1-mcs"))
    yield from (scope.ref("Observation", "finding", one.id) for one in case.findings if one.kind == "strength")
    taken = ("active", "on-hold", "not-taken")
    yield from (scope.ref("MedicationStatement", one.id) for one in case.medicines if one.status in taken)
    yield from (scope.ref("DocumentReference", "plan", one.id) for one in plan.based_on)


def _section(scope: Scope, plan: CarePlan, section: Section) -> Json:
    """A plan of its own under the main one; the main one does not name it, so hiding it leaves no trace there."""
    known = next(one for one in scope.program.sections if one.code == section.kind)
    head = _head(scope, plan, section.reviewed_on, "CarePlan", "section", section.id)
    head["extension"] += [*map(_step, section.steps), *map(_on_call, section.on_call)]
    return labelled(
        {
            **head,
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


def _step(step: Step) -> Json:
    """Nebraska: "defining early warning signs and triggers and response"."""
    parts = [{"url": "kind", "valueCode": step.kind}, {"url": "what", "valueString": step.text}]
    return {"url": f"{CANONICAL}/StructureDefinition/icm-plan-step", "extension": parts}


def _on_call(service: OnCall) -> Json:
    """BC 2.2: "a list of the services available on-call"."""
    parts: list[Json] = [
        {"url": "name", "valueString": service.name},
        {"url": "telecom", "valueContactPoint": contact_point(service.telecom)},
    ]
    parts += [{"url": "hours", "valueString": service.hours}] if service.hours else []
    return {"url": f"{CANONICAL}/StructureDefinition/icm-on-call", "extension": parts}


def _head(scope: Scope, plan: CarePlan, reviewed_on: tuple[date, ...], *parts: str) -> Json:
    return {
        "resourceType": "CarePlan",
        "id": scope.id(*parts),
        "extension": [
            {"url": CUSTODIAN, "valueReference": scope.manager},
            *(extension("icm-reviewed", valueDate=instant(day)) for day in reviewed_on),
        ],
        "status": plan.status,
        "intent": "plan",
    }
