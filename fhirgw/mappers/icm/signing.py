"""Who signed what, and whose signature is still to come."""

from collections.abc import Iterator

from fhirgw.icm.base import Signed
from fhirgw.icm.plan import CarePlan
from fhirgw.icm.screening import Assessment
from fhirgw.mappers.icm.people import staff_ref
from fhirgw.mappers.icm.shape import Json, Scope, coding, compact, concept, instant, local, noon
from fhirgw.terminology import THO


def sign_offs(scope: Scope) -> Iterator[Json]:
    """Provenance of every signature; a Task for each that the programme asks for under its plan.

    Nebraska: the clinical consultant signs the WRSP; BC B.2: team leader and psychiatrist sign all assessments,
    care plans and discharge plans.
    """
    case = scope.case
    for acuity in case.acuity:
        target = [scope.ref("QuestionnaireResponse", "acuity", acuity.id)]
        yield from (_signature(scope, sign, target, ("acuity", acuity.id)) for sign in acuity.signed)
    for assessment in case.assessments:
        for labels, targets in sorted(_alike(scope, assessment).items()):
            about = ("assessment", assessment.id, *labels)
            yield from (_signature(scope, sign, targets, about) for sign in assessment.signed)
    if plan := case.care_plan:
        for sign in plan.sign_offs:
            parts = ("section", sign.section) if sign.section else ()
            yield _signature(scope, sign, [scope.ref("CarePlan", *parts)], parts)
        yield from (_asked(scope, plan, role) for role in scope.program.plan.signed_by)


def _alike(scope: Scope, assessment: Assessment) -> dict[tuple[str, ...], list[Json]]:
    """The domains of an assessment by what they reveal: a visible one is never named beside a hidden one.

    INVARIANT: what stands for a group depends on no other group.
    """
    groups: dict[tuple[str, ...], list[Json]] = {}
    known = {one.code: one.sensitivity for one in scope.program.domains}
    for found in assessment.findings:
        labels = tuple(sorted({*found.codes, *known[found.domain], "" if found.cleared else "?"}))
        groups.setdefault(labels, []).append(scope.ref("Observation", "domain", assessment.id, found.domain))
    return groups


def _signature(scope: Scope, sign: Signed, targets: list[Json], about: tuple[str, ...]) -> Json:
    return {
        "resourceType": "Provenance",
        "id": scope.id("Provenance", "sign-off", *about, sign.by, instant(sign.at)),
        "target": targets,
        "recorded": instant(sign.at),
        "agent": [
            {
                "type": concept(coding(f"{THO}provenance-participant-type", "verifier", "Verifier")),
                "who": staff_ref(scope, sign.by),
                "onBehalfOf": scope.manager,
            }
        ],
    }


def _asked(scope: Scope, plan: CarePlan, role: str) -> Json:
    """Done when somebody of the role has signed the plan."""
    staff = [one.id for one in scope.case.care_team if one.role == role]
    signed = [sign.at for sign in plan.sign_offs if sign.section is None and sign.by in staff]
    return compact(
        {
            "resourceType": "Task",
            "id": scope.id("Task", "sign-off", role),
            "status": "completed" if signed else "requested",
            "intent": "order",
            "code": concept(local("icm-task", "sign-off", "Sign the plan")),
            "focus": scope.ref("CarePlan"),
            "for": scope.patient,
            "executionPeriod": {"end": instant(min(signed))} if signed else None,
            "authoredOn": instant(noon(scope, plan.created_on)),
            "owner": staff_ref(scope, staff[0]) if staff else scope.manager,
        }
    )
