"""What a person has to do about a member's Consents, and when that changes by itself (§2.4 no. 8, exceptions).

A finding (``lint``) is for whoever writes a Consent; of a Consent that counts, some are the staff's work, until it
is corrected, replaced or settled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fhirgw.consent.applied import AppliedConsent, apply
from fhirgw.consent.elements import bare
from fhirgw.consent.instants import changes
from fhirgw.consent.lint import SOON, Finding, Report, report
from fhirgw.consent.model import ConsentSettings, Json, PatientPolicy, Recipient, Request
from fhirgw.consent.standing import Standing

REVIEW: Final = "consent-review"
"""Code of the Task that a duty about a Consent raises."""
_IN_FORCE: Final = frozenset({"unenforceable", "contradictory", "shadowed", "expiring"})
_OVER: Final = frozenset({"residual"})
_VOID: Final = frozenset({"void"})


@dataclass(frozen=True, slots=True)
class Duty:
    """Something for a person to do.

    Attributes:
        kind: That of a finding, or ``break-glass``.
        of: What it is about: ``Consent/x``, or the Task that claims an emergency.
        text: What is wrong.
        version: Of the Consent.
        task: The Task that asks for it; '' where none was raised.
    """

    kind: str
    of: str
    text: str
    version: str = ""
    task: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """One Consent of a member, whoever asks."""

    consent: Json
    applied: AppliedConsent
    report: Report

    @property
    def releases(self) -> bool:
        """Whether it is a release of information, or a refusal; else it is about something else."""
        standing = self.applied.standing
        return standing.refusal is not None or not {"category", "scope"} & set(standing.failed)

    @property
    def record(self) -> str:
        """Logical id of the Patient that it names."""
        reference = self.consent.get("patient")
        literal = bare(reference.get("reference")) if isinstance(reference, dict) else ""
        return literal.removeprefix("Patient/")

    def to_settle(self) -> Iterator[Finding]:
        """Of what is wrong with it, what is somebody's work."""
        if self.releases:
            wanted = _to_settle(self.applied.standing)
            yield from (one for one in self.report.findings if one.kind in wanted)


def judged(policy: PatientPolicy, settings: ConsentSettings, at: datetime) -> tuple[Judged, ...]:
    """All Consents of a member, each beside the others."""
    nobody = Request(recipient=Recipient(frozenset()), purpose="TREAT", action="access", channel="api", at=at)
    return tuple(
        Judged(
            consent,
            applied,
            report(consent, [one for one in policy.consents if one is not consent], policy, at, settings),
        )
        for consent, applied in zip(policy.consents, apply(nobody, policy, settings), strict=True)
    )


def duties(consents: tuple[Judged, ...]) -> Iterator[Duty]:
    """A duty for each Consent and kind; what is wrong with several of its rules is one."""
    for one in consents:
        texts: dict[str, list[str]] = {}
        for finding in one.to_settle():
            texts.setdefault(finding.kind, []).append(finding.text)
        for kind, said in texts.items():
            name, version = one.applied.id, one.applied.version
            yield Duty(kind, f"Consent/{name}", "; ".join(dict.fromkeys(said)), version)


def next_turn(consents: tuple[Judged, ...], at: datetime) -> datetime | None:
    """When a Consent begins, is soon to end, or ends."""
    spans = [one.applied.standing.when for one in consents]
    moments = [moment for when in spans for moment in changes(when)]
    moments += [when[1] - SOON for when in spans if when is not None and when[1] is not None]
    return min((moment for moment in moments if moment > at), default=None)


def _to_settle(standing: Standing) -> frozenset[str]:
    """An exception that a later release has settled, and a draft that was thrown away, are nobody's work."""
    if not standing.nested_deny:
        return _VOID
    return _OVER if standing.residual else _IN_FORCE


def task_about(task: Json) -> tuple[str, str]:
    """Of a Task that a duty raised: about which Consent, and of which kind."""
    return bare(task.get("focus", {}).get("reference")), str(task.get("reasonCode", {}).get("text"))
