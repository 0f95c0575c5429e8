"""Why: for the privacy officer, from the function that decides (consent specification §2.8)."""

from collections.abc import Iterable
from dataclasses import replace

from fhirgw.consent import vocabulary
from fhirgw.consent.applied import AppliedConsent
from fhirgw.consent.decide import Case
from fhirgw.consent.labels import Labels
from fhirgw.consent.model import ConsentSettings, Json, PatientPolicy, Request
from fhirgw.consent.wire import decision_json, ref_json


def explain(
    request: Request,
    policy: PatientPolicy,
    settings: ConsentSettings,
    resources: Iterable[tuple[Json, Labels]] = (),
) -> Json:
    """Per Consent whether it counts and why not; per resource the decision; what each revocation would change.

    Its text is for staff with the privacy officer's right: it names what the requester must never learn.
    """
    case = Case(request, policy, settings)
    judged = [(resource, labels, case.decide(resource, labels)) for resource, labels in resources]
    return {
        "patient": f"Patient/{policy.patient}",
        "recipient": sorted(request.recipient.tokens),
        "purpose": request.purpose,
        "action": request.action,
        "at": request.at.isoformat(),
        "enrolment": case.enrolment or "no objection",
        "consents": [_consent(consent, request) for consent in case.consents],
        "decisions": [
            {
                "resource": f"{resource.get('resourceType')}/{resource.get('id')}",
                "labels": vocabulary.names(labels.labels),
                "confidentiality": next(code for code, level in vocabulary.LEVELS.items() if level == labels.conf),
                **decision_json(decision),
            }
            for resource, labels, decision in judged
        ],
        "ifRevoked": [
            {
                "consentId": consent.id,
                "closes": [
                    f"{resource.get('resourceType')}/{resource.get('id')}"
                    for resource, labels, decision in judged
                    if decision.effect == "PERMIT"
                    and _without(case, consent.id).decide(resource, labels).effect == "DENY"
                ],
            }
            for consent in case.consents
            if consent.standing.refusal is None and not consent.standing.failed
        ],
    }  # fmt: skip


def _without(case: Case, consent_id: str) -> Case:
    """The same question after this Consent was revoked: inactive, its exceptions still there."""
    consents = tuple(
        {**consent, "status": "inactive"} if consent.get("id") == consent_id else consent
        for consent in case.policy.consents
    )
    return Case(case.request, replace(case.policy, consents=consents), case.settings)


def _consent(consent: AppliedConsent, request: Request) -> Json:
    until = consent.standing.when[1] if consent.standing.when else None
    return {
        "consentId": consent.id,
        "versionId": consent.version,
        "kind": consent.standing.refusal or "release-of-information",
        "inForce": not consent.standing.failed,
        "whyNot": list(consent.standing.failed),
        "notUnderstood": list(consent.problems),
        "residualException": consent.standing.residual and bool(consent.rulings),
        "daysLeft": max((until - request.at).days, 0) if until is not None else None,
        "rulesForThisRequest": [
            {"effect": ruling.rule.effect, **ref_json(ruling.ref)} for ruling in consent.rulings
        ],
    }  # fmt: skip
