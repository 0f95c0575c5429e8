"""The plan among others: their plans, connections to services, what was shared, what they suggest."""

from collections.abc import Iterator

from fhirgw.icm.collaboration import Connection, OtherPlan, Shared, Suggestion
from fhirgw.icm.plan import CarePlan
from fhirgw.mappers.icm.goals import reveals
from fhirgw.mappers.icm.people import practitioner, staff_ref
from fhirgw.mappers.icm.shape import (
    PERTAINS_TO_GOAL,
    Json,
    Scope,
    by_content,
    coded,
    compact,
    concept,
    instant,
    labelled,
    local,
    never_shared,
    noon,
    organization,
    reference_to,
)

_REQUEST = {
    "requested": "active",
    "accepted": "active",
    "connected": "completed",
    "declined": "revoked",
    "failed": "revoked",
}
CONNECTED = {
    "requested": "requested",
    "accepted": "accepted",
    "connected": "completed",
    "declined": "rejected",
    "failed": "failed",
}
DECIDED = {"pending": "requested", "accepted": "completed", "declined": "rejected"}
_GOAL = {"pending": "proposed", "accepted": "accepted", "declined": "rejected"}
_SERVICE = {"pending": "active", "accepted": "completed", "declined": "revoked"}
SUGGESTED = {"advice": "Communication", "goal": "Goal", "service": "ServiceRequest"}
"""Kind of a suggestion → the type of its resource."""


def other_plans(scope: Scope, plan: CarePlan) -> Iterator[Json]:
    """A DocumentReference for every plan of another provider."""
    for one in plan.based_on:
        yield organization(scope.key, one.by)
        yield _other_plan(scope, one)


def connections(scope: Scope, plan: CarePlan) -> Iterator[Json]:
    """A ServiceRequest for every connection, with the service's Organization before it."""
    for one in plan.connections:
        yield organization(scope.key, one.to)
        yield _connection(scope, plan, one)


def around(scope: Scope, plan: CarePlan) -> Iterator[Json]:
    """What refers to the plan or to its requests: closed loops, what was shared, what is suggested."""
    yield from (_loop(scope, plan, one) for one in plan.connections)
    for shared in plan.shared:
        if shared.to:
            yield organization(scope.key, shared.to)
        yield _shared(scope, plan, shared)
    for suggestion in plan.suggestions:
        yield from _suggestion(scope, suggestion)


def _other_plan(scope: Scope, one: OtherPlan) -> Json:
    made_by = organization(scope.key, one.by)
    return labelled(
        {
            "resourceType": "DocumentReference",
            "id": scope.id("DocumentReference", "plan", one.id),
            "status": "current",
            "type": concept(local("icm-document", one.kind)),
            "category": [concept(local("icm-document-category", "plan"))],
            "subject": scope.patient,
            "date": instant(scope.case.entered.at),
            "author": [reference_to(made_by)],
            "content": [{"attachment": {"url": one.url, "title": one.title, "creation": instant(one.made_on)}}],
        },
        one,
    )


def _named(scope: Scope, plan: CarePlan, one: Connection) -> list[str]:
    """What the goals and barriers that it names reveal."""
    said = [code for goal in plan.goals if goal.id in one.goals for code in reveals(scope, goal)]
    return said + [code for problem in plan.problems if problem.id in one.barriers for code in problem.codes]


def _connection(scope: Scope, plan: CarePlan, one: Connection) -> Json:
    """INVARIANT: it carries the sensitivity of the goals and barriers that it points at."""
    goals = [{"url": PERTAINS_TO_GOAL, "valueReference": scope.ref("Goal", goal)} for goal in one.goals]
    return labelled(
        compact(
            {
                "resourceType": "ServiceRequest",
                "id": scope.id("ServiceRequest", "connection", one.id),
                "extension": goals,
                "status": _REQUEST[one.status],
                "intent": "order",
                "category": [concept(local("icm-service", "connection"))],
                "code": {"text": one.service},
                "subject": scope.patient,
                "authoredOn": instant(one.on),
                "requester": staff_ref(scope, one.by) if one.by else scope.manager,
                "performer": [reference_to(organization(scope.key, one.to))],
                "reasonReference": [scope.ref("Condition", barrier) for barrier in one.barriers],
            }
        ),
        one,
        codes=_named(scope, plan, one),
    )


def _loop(scope: Scope, plan: CarePlan, one: Connection) -> Json:
    """Gravity SDOH: a Task follows the request until it is settled."""
    return labelled(
        compact(
            {
                "resourceType": "Task",
                "id": scope.id("Task", "connection", one.id),
                "status": CONNECTED[one.status],
                "intent": "order",
                "code": concept(local("icm-task", "connect", "See that the member is connected")),
                "focus": scope.ref("ServiceRequest", "connection", one.id),
                "for": scope.patient,
                "executionPeriod": {"end": instant(one.settled_on)} if one.settled_on else None,
                "authoredOn": instant(noon(scope, one.on)),
                "owner": staff_ref(scope, one.by) if one.by else scope.manager,
            }
        ),
        *([one] if one.codes else []),
        codes=_named(scope, plan, one),
    )


def _shared(scope: Scope, plan: CarePlan, shared: Shared) -> Json:
    """A copy for the member is theirs to know; what others were given tells of a permission."""
    communication = compact(
        {
            "resourceType": "Communication",
            "id": scope.id("Communication", "shared", shared.id),
            "status": "completed",
            "category": [concept(local("icm-collaboration", "plan-shared"))],
            "medium": [concept(local("icm-sharing", shared.how))],
            "subject": scope.patient,
            "about": [scope.ref("CarePlan")],
            "sent": instant(shared.on),
            "recipient": [reference_to(organization(scope.key, shared.to)) if shared.to else scope.patient],
            "sender": scope.manager,
        }
    )
    if shared.to:
        return never_shared(communication, codes=sorted({*shared.codes, *plan.codes}))
    return labelled(communication, *([shared] if shared.codes else []))


def _suggestion(scope: Scope, one: Suggestion) -> Iterator[Json]:
    """The provider's words, and a Task to consider them. They change nothing by themselves."""
    *before, sender = _who_suggests(scope, one)
    yield from (*before, sender)
    kind = SUGGESTED[one.kind]
    head = {"resourceType": kind, "id": scope.id(kind, "suggestion", one.id)}
    said = labelled(head | _SAID[one.kind](scope, one, reference_to(sender)), one)
    yield said
    yield labelled(_consider(scope, one, said), one)


def _advice(scope: Scope, one: Suggestion, sender: Json) -> Json:
    return {
        "status": "completed",
        "category": [concept(local("icm-collaboration", "suggestion"))],
        "subject": scope.patient,
        "about": [scope.ref("CarePlan")],
        "sent": instant(one.at),
        "recipient": [scope.manager],
        "sender": sender,
        "payload": [{"contentString": one.text}],
    }


def _goal(scope: Scope, one: Suggestion, sender: Json) -> Json:
    """The provider's words: a goal of the plan is in the member's own, and another resource."""
    return {
        "lifecycleStatus": _GOAL[one.decision],
        "description": _what(one),
        "subject": scope.patient,
        "statusDate": instant(one.decided_on or scope.program.day(one.at)),
        "expressedBy": sender,
    }


def _service(scope: Scope, one: Suggestion, sender: Json) -> Json:
    return {
        "basedOn": [scope.ref("CarePlan")],
        "status": _SERVICE[one.decision],
        "intent": "proposal",
        "category": [concept(local("icm-service", "suggestion", "Suggestion"))],
        "code": _what(one),
        "subject": scope.patient,
        "authoredOn": instant(one.at),
        "requester": sender,
    }


_SAID = {"advice": _advice, "goal": _goal, "service": _service}


def _what(one: Suggestion) -> Json:
    return concept(*([coded(one.code)] if one.code else []), text=one.text)


def _who_suggests(scope: Scope, one: Suggestion) -> Iterator[Json]:
    """The practitioner, and last what sends: their role, where it is known whom they work for."""
    who = practitioner(scope, one.by)
    yield who
    if one.organization:
        employer = organization(scope.key, one.organization)
        yield employer
        works = {
            "resourceType": "PractitionerRole",
            "active": True,
            "practitioner": reference_to(who),
            "organization": reference_to(employer),
            "code": [concept(local("icm-collaboration", "provider"))],
        }
        yield by_content(scope.key, works)


def _consider(scope: Scope, one: Suggestion, said: Json) -> Json:
    return compact(
        {
            "resourceType": "Task",
            "id": scope.id("Task", "suggestion", one.id),
            "status": DECIDED[one.decision],
            "intent": "order",
            "code": concept(local("icm-task", "consider-suggestion", "Consider a suggestion")),
            "focus": reference_to(said),
            "for": scope.patient,
            "executionPeriod": {"end": instant(one.decided_on)} if one.decided_on else None,
            "authoredOn": instant(one.at),
            "owner": staff_ref(scope, one.decided_by) if one.decided_by else scope.manager,
            "note": [{"text": one.reason}] if one.reason else [],
        }
    )
