"""The member's rights: explanations, decisions about care, capability, directives."""

from collections.abc import Iterator

from fhirgw.icm.rights import Capability, CareDecision, Directive, Explained, Request
from fhirgw.mappers.icm.people import beside_ref, staff_ref
from fhirgw.mappers.icm.shape import (
    CANONICAL,
    SURVEY,
    Json,
    Scope,
    coded,
    coding,
    compact,
    concept,
    extension,
    human_name,
    identifier,
    instant,
    labelled,
    local,
    never_shared,
    noon,
    reference_to,
)
from fhirgw.terminology import ACT_CODE, LOINC, THO

_CAPABILITY_LABELS = ("COGN",)
"""What the mere assessment reveals: that somebody doubted the member's ability to decide."""
ASSESSED = {"requested": "requested", "completed": "completed", "declined": "cancelled"}
SETTLED = {"open": "requested", "granted": "completed", "refused": "rejected", "withdrawn": "cancelled"}
_DIRECTIVE = {
    "advance-directive": coding(LOINC, "42348-3", "Advance healthcare directives"),
    "representation-agreement": local("icm-document", "representation-agreement"),
    "ulysses-agreement": local("icm-document", "ulysses-agreement"),
    "mental-health-directive": coding(LOINC, "104144-1", "Mental health Advance directives"),
}
_MENTAL = {"ulysses-agreement", "mental-health-directive"}


def rights(scope: Scope) -> Iterator[Json]:
    """Everything about the member's rights that is no release."""
    case = scope.case
    for explained in case.explained:
        yield _explained(scope, explained)
    for decision in case.decisions:
        yield _decision(scope, decision)
    for capability in case.capability:
        yield from _capability(scope, capability)
    for directive in case.directives:
        yield from _directive(scope, directive)
    for request in case.requests:
        yield _request(scope, request)


def _explained(scope: Scope, explained: Explained) -> Json:
    return compact(
        {
            "resourceType": "Communication",
            "id": scope.id("Communication", "explained", explained.id),
            "status": "completed",
            "category": [concept(local("icm-explanation", topic)) for topic in explained.topics],
            "medium": [concept(local("icm-consent-mode", explained.how))],
            "subject": scope.patient,
            "sent": instant(explained.on),
            "recipient": [scope.patient],
            "sender": staff_ref(scope, explained.by) if explained.by else scope.manager,
        }
    )


def _decision(scope: Scope, decision: CareDecision) -> Json:
    """Consent of scope treatment: about care, and never a permission to disclose, nor a refusal of one."""
    explained = decision.impacts_explained_at
    rule = "permit" if decision.decision == "accepted" else "deny"
    return labelled(
        compact(
            {
                "resourceType": "Consent",
                "id": scope.id("Consent", "decision", decision.id),
                "extension": [
                    extension("icm-consent-mode", valueCode=decision.mode),
                    extension("icm-decision-about", valueString=decision.about),
                    *([extension("icm-impacts-explained", valueDateTime=instant(explained))] if explained else []),
                ],
                "status": "active",
                "scope": concept(coding(f"{THO}consentscope", "treatment")),
                "category": [concept(local("icm-consent-category", "care-decision"))],
                "patient": scope.patient,
                "dateTime": instant(decision.at),
                "performer": [beside_ref(scope, decision.decided_by) if decision.decided_by else scope.patient],
                "organization": [scope.manager],
                "policy": [{"uri": f"{CANONICAL}/policy/care-decision"}],
                "policyRule": concept(coding(ACT_CODE, "OPTIN" if rule == "permit" else "OPTOUT")),
                "provision": {"type": rule},
            }
        ),
        decision,
    )


def _capability(scope: Scope, stated: Capability) -> Iterator[Json]:
    """One Observation with the three domains; a Task for the full assessment that follows where one is missing."""
    staff = staff_ref(scope, stated.by) if stated.by else None
    domains = {
        "personal-safety": stated.personal_safety,
        "access-basic-services": stated.access_basic_services,
        "recognise-consequences": stated.recognise_consequences,
    }
    observation = compact(
        {
            "resourceType": "Observation",
            "id": scope.id("Observation", "capability", stated.id),
            "status": "final",
            "category": [SURVEY],
            "code": concept(local("icm-finding", "capability", "Ability to decide")),
            "subject": scope.patient,
            "effectiveDateTime": instant(stated.on),
            "performer": [staff] if staff else [],
            "component": [
                {"code": concept(local("icm-finding", f"capability-{name}")), "valueBoolean": able}
                for name, able in domains.items()
            ],
        }
    )
    yield labelled(observation, codes=_CAPABILITY_LABELS)
    if stated.full_assessment or not stated.capable:
        yield labelled(
            {
                "resourceType": "Task",
                "id": scope.id("Task", "capability", stated.id),
                "status": ASSESSED[stated.full_assessment or "requested"],
                "intent": "order",
                "code": concept(local("icm-task", "full-capability-assessment")),
                "focus": reference_to(observation),
                "for": scope.patient,
                "authoredOn": instant(stated.on),
                "owner": scope.manager,
            },
            codes=_CAPABILITY_LABELS,
        )


def _directive(scope: Scope, directive: Directive) -> Iterator[Json]:
    """DocumentReference, PACIO ADI's type and category; the agent is a RelatedPerson."""
    codes = ("MH",) if directive.kind in _MENTAL else ()
    agent = directive.agent
    related = (
        compact(
            {
                "resourceType": "RelatedPerson",
                "id": scope.id("RelatedPerson", "agent", directive.id, agent.id),
                "identifier": [identifier(agent.identifier)] if agent.identifier else [],
                "active": True,
                "patient": scope.patient,
                "relationship": [
                    concept(local("icm-relationship", "directive-agent", "Agent of a directive")),
                    *([concept(coded(agent.relationship))] if agent.relationship else []),
                ],
                "name": [human_name(agent.name)],
            }
        )
        if agent
        else None
    )
    if related:
        yield labelled(related, codes=codes)
    yield labelled(
        compact(
            {
                "resourceType": "DocumentReference",
                "id": scope.id("DocumentReference", "directive", directive.id),
                "status": directive.status,
                "type": concept(_DIRECTIVE[directive.kind]),
                "category": [concept(coding(LOINC, "42348-3", "Advance healthcare directives"))],
                "subject": scope.patient,
                "date": instant(scope.case.entered.at),
                "description": directive.summary,
                "content": [{"attachment": {"url": directive.url, "creation": instant(directive.made_on)}}],
                "context": {"related": [reference_to(related)]} if related else None,
            }
        ),
        directive,
        codes=codes,
    )


def _request(scope: Scope, request: Request) -> Json:
    """A Task for the programme. A complaint may be about whoever reads: it is shared with nobody outside."""
    return never_shared(
        compact(
            {
                "resourceType": "Task",
                "id": scope.id("Task", "request", request.id),
                "status": SETTLED[request.outcome],
                "intent": "order",
                "code": concept(local("icm-task", request.kind)),
                "for": scope.patient,
                "executionPeriod": {"end": instant(request.settled_on)} if request.settled_on else None,
                "authoredOn": instant(noon(scope, request.on)),
                "requester": scope.patient,
                "owner": scope.manager,
                "note": [{"text": request.text}] if request.text else [],
            }
        ),
        codes=request.codes,
    )
