"""Who can see what of a member, and why: for the privacy officer, by the function that decides (§2.8).

INVARIANT: what is told here names what recipients must never learn. It is for staff with the privacy officer's
right, and no answer of the gateway is made from it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from fhirgw.consent import vocabulary
from fhirgw.consent.decide import Case
from fhirgw.consent.duties import REVIEW, Duty, Judged, duties, judged, task_about
from fhirgw.consent.labels import Labels
from fhirgw.consent.lint import Finding, Report
from fhirgw.consent.model import ConsentSettings, Decision, Json, PatientPolicy, Request, RuleRef

_SIGNING: Final = frozenset({"status-draft", "status-proposed", "date", "signature", "performer"})
"""Tests of stage 0 that the member's signature, today, would meet."""
_EMERGENCY: Final = "emergency-review"
"""Of the Task that a claim of an emergency raises."""
_OPEN: Final = frozenset({"requested", "received", "accepted", "in-progress", "ready", "on-hold", "draft"})
_LEVELS: Final = {level: code for code, level in vocabulary.LEVELS.items()}

Record = Sequence[tuple[Json, Labels]]


@dataclass(frozen=True, slots=True)
class Asker:
    """A recipient, as it would ask now."""

    client: str
    name: str
    request: Request


@dataclass(frozen=True, slots=True)
class Decided:
    """Resources of one type with the same labels, about which the same was decided for the same reason.

    Attributes:
        type: Resource type.
        effect: PERMIT or DENY.
        stage: Which authority spoke (§2.7).
        reason: Its reason code.
        rules: The rules that decided.
        labels: Sensitivity codes that the resources carry.
        confidentiality: Their confidentiality code.
        left_out: Categories of what is left out of them.
        resources: References.
    """

    type: str
    effect: str
    stage: int
    reason: str
    rules: tuple[RuleRef, ...]
    labels: tuple[str, ...]
    confidentiality: str
    left_out: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What one recipient may see, for one purpose; ``objection``: why the enrolment forbids everything."""

    client: str
    name: str
    purpose: str
    objection: str | None
    decided: tuple[Decided, ...]

    @property
    def seen(self) -> int:
        """How many resources it may see, whole or in part."""
        return sum(len(one.resources) for one in self.decided if one.effect == "PERMIT")


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of one Consent would close and open to a recipient."""

    client: str
    name: str
    purpose: str
    closes: tuple[str, ...]
    opens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """One Consent of the member.

    Attributes:
        id: Consent id.
        version: Its version.
        kind: ``release-of-information``, ``named-person-refusal``, ``dv-safety-list``; else ``other``.
        in_force: Whether its permits count now.
        why_not: The tests of stage 0 that they fail.
        permits: Its permits in plain words, each after its path.
        denies: Its denies likewise.
        findings: What is wrong with it, or soon will be.
        ends: The last instant of its period; None: it has none.
        days_left: Until then.
        if_revoked: What its end would change; of a Consent in force.
        if_signed: What the member's signature would change; of one that lacks no more.
    """

    id: str
    version: str
    kind: str
    in_force: bool
    why_not: tuple[str, ...]
    permits: tuple[str, ...]
    denies: tuple[str, ...]
    findings: tuple[Finding, ...]
    ends: datetime | None
    days_left: int | None
    if_revoked: tuple[Change, ...]
    if_signed: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that the privacy officer asks about one member."""

    patient: str
    at: datetime
    revision: int
    enrolments: tuple[tuple[str, str], ...]
    views: tuple[View, ...]
    consents: tuple[Explained, ...]
    duties: tuple[Duty, ...]


def explain(
    askers: Sequence[Asker], policy: PatientPolicy, record: Record, settings: ConsentSettings, at: datetime
) -> Explanation:
    """Explain one member's consent.

    Args:
        askers: Recipients, each as it would ask now; their requests are of the instant ``at``.
        policy: The member's policy.
        record: The member's resources, each with its labels.
        settings: The switches of the specification.
        at: The instant of it all.
    """
    cases = [(asker, Case(asker.request, policy, settings)) for asker in askers]
    changes = _Changes(cases, record)
    consents = judged(policy, settings, at)
    return Explanation(
        patient=f"Patient/{policy.patient}",
        at=at,
        revision=policy.revision,
        enrolments=tuple((one.program, one.status) for one in policy.enrolments or ()),
        views=tuple(_view(asker, case, record) for asker, case in cases),
        consents=tuple(_consent(one, policy, at, changes) for one in consents),
        duties=(*_settle(consents, record), *_reviews(record)),
    )


# Who sees what ----------------------------------------------------------------------------------------------------


def _view(asker: Asker, case: Case, record: Record) -> View:
    grouped: dict[Decided, list[str]] = defaultdict(list)
    for resource, labels in record:
        grouped[_decided(resource, labels, case.decide(resource, labels))].append(_reference(resource))
    ordered = sorted(grouped.items(), key=lambda pair: (pair[0].effect == "DENY", pair[0].type, pair[1]))
    decided = tuple(replace(one, resources=tuple(sorted(names))) for one, names in ordered)
    return View(asker.client, asker.name, asker.request.purpose, case.enrolment, decided)


def _decided(resource: Json, labels: Labels, decision: Decision) -> Decided:
    return Decided(
        type=str(resource.get("resourceType")),
        effect=decision.effect,
        stage=decision.stage,
        reason=decision.reason,
        rules=decision.rules,
        labels=tuple(vocabulary.names(labels.labels)),
        confidentiality=_LEVELS[labels.conf],
        left_out=tuple(sorted({code for _, category in decision.redactions for code in category.split("|")})),
        resources=(),
    )


def _reference(resource: Json) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"


# What would change ------------------------------------------------------------------------------------------------


class _Changes:
    """What each recipient may see now, to compare with."""

    def __init__(self, cases: Sequence[tuple[Asker, Case]], record: Record) -> None:
        self._cases = cases
        self._record = record
        self._now = [self._seen(case) for _, case in cases]

    def of(self, consent_id: str, changed: Mapping[str, object]) -> Iterator[Change]:
        """The recipients to whom anything closes or opens when this Consent has these elements."""
        for (asker, case), now in zip(self._cases, self._now, strict=True):
            consents = tuple(
                {**one, **changed} if one.get("id") == consent_id else one for one in case.policy.consents
            )
            then = self._seen(Case(case.request, replace(case.policy, consents=consents), case.settings))
            if then != now:
                closes, opens = tuple(sorted(now - then)), tuple(sorted(then - now))
                yield Change(asker.client, asker.name, asker.request.purpose, closes, opens)

    def _seen(self, case: Case) -> frozenset[str]:
        return frozenset(
            _reference(resource)
            for resource, labels in self._record
            if case.decide(resource, labels).effect == "PERMIT"
        )


def _revoked() -> Mapping[str, object]:
    """Inactive; its exceptions stay there."""
    return {"status": "inactive"}


def _signed(consent: Json, policy: PatientPolicy, at: datetime) -> Mapping[str, object]:
    """As if the member had signed it at this instant."""
    member = {"reference": f"Patient/{policy.patient}"}
    moment = at.isoformat()
    verified = {"verified": True, "verifiedWith": member, "verificationDate": moment}
    return {
        "status": "active",
        "dateTime": moment if consent.get("status") != "active" else consent.get("dateTime", moment),
        "performer": [member],
        "verification": [verified],
    }


# The Consents -----------------------------------------------------------------------------------------------------


def _consent(judged: Judged, policy: PatientPolicy, at: datetime, changes: _Changes) -> Explained:
    read, applied = judged.report, judged.applied
    standing = applied.standing
    ends = standing.when[1] if standing.when else None
    counts = not standing.failed or bool(standing.refusal and standing.root_deny)
    unsigned = bool(standing.failed) and set(standing.failed) <= _SIGNING and standing.refusal is None
    signed = _signed(judged.consent, policy, at)
    return Explained(
        id=applied.id,
        version=applied.version,
        kind=standing.refusal or ("release-of-information" if judged.releases else "other"),
        in_force=counts,
        why_not=() if counts else standing.failed,
        permits=read.permits,
        denies=read.denies,
        findings=_findings(read, counts=counts) if judged.releases else (),
        ends=ends,
        days_left=max((ends - at).days, 0) if ends is not None else None,
        if_revoked=tuple(changes.of(applied.id, _revoked())) if counts else (),
        if_signed=tuple(changes.of(applied.id, signed)) if unsigned else (),
    )


def _findings(read: Report, *, counts: bool) -> tuple[Finding, ...]:
    """A refusal needs no paper: what it lacks is no finding (§2.4)."""
    return tuple(one for one in read.findings if not (counts and one.kind == "not-in-force"))


# What a person has to do ------------------------------------------------------------------------------------------


def _tasks(record: Record, code: str) -> Iterator[Json]:
    """The open Tasks with this code."""
    for resource, _ in record:
        codes = {coding.get("code") for coding in resource.get("code", {}).get("coding", ())}
        if resource.get("resourceType") == "Task" and code in codes and resource.get("status") in _OPEN:
            yield resource


def _settle(consents: tuple[Judged, ...], record: Record) -> Iterator[Duty]:
    """What is wrong with Consents now, each with the Task that asks for it."""
    raised = {task_about(task): _reference(task) for task in _tasks(record, REVIEW)}
    for duty in duties(consents):
        yield replace(duty, task=raised.get((duty.of, duty.kind), ""))


def _reviews(record: Record) -> Iterator[Duty]:
    """Emergency access that nobody has reviewed: its open Tasks."""
    for task in _tasks(record, _EMERGENCY):
        said = {one.get("type", {}).get("text"): one.get("valueString") for one in task.get("input", ())}
        told = (said.get(fact) or "not told" for fact in ("person", "affiliation", "reason"))
        name = _reference(task)
        yield Duty("break-glass", name, ", ".join((str(task.get("authoredOn")), *told)), task=name)
