"""The course of a run: its steps in order, and the cleaning up that comes after them whatever happened."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fhirgw.errors import DependencyDown, GatewayError
from fhirgw.harness import checks
from fhirgw.harness.comparison import Json
from fhirgw.harness.report import Report
from fhirgw.harness.result import Evidence, NotOffered, Result, Status, Unmet
from fhirgw.harness.searches import SEARCHES, search
from fhirgw.harness.session import Session, clean_up, forget
from fhirgw.harness.subscription import subscription
from fhirgw.harness.synthetic import Amount, Run, Sample
from fhirgw.harness.target import Offers, Target
from fhirgw.harness.written import Written

MOST_UNANSWERED = 3
"""After as many steps that the server did not answer, the rest are not tried."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the plan."""

    capability: str
    subject: str
    check: checks.Check


@dataclass(frozen=True, slots=True)
class Options:
    """How a run goes.

    Attributes:
        folder: Where the journal of what is written goes.
        amount: How much is sent.
        keep: Leave on the server what was written.
        progress: Told before each step: what, the number of steps before it, and of all.
    """

    folder: Path
    amount: Amount = "full"
    keep: bool = False
    progress: Callable[[str, int, int], None] = lambda _what, _before, _all: None


def run(target: Target, one: Run, samples: Sequence[Sample], options: Options) -> Report:
    """Try everything that the server offers, and remove what was written.

    Raises:
        DependencyDown: No FHIR server answers there.
    """
    offers = Offers.ask(target)
    for earlier in Written.unfinished(options.folder, target.base):
        clean(target, earlier)
    may_write = offers.deletes or options.keep
    written = Written.begin(options.folder, target.base, one.tag) if may_write else None
    session = Session(target, offers, one, written)
    report = Report(target.base, offers.software, one.tag)
    try:
        _course(session, plan(samples, options.amount), options, report)
    except KeyboardInterrupt:
        report.interrupted = True
    if written is not None:
        if options.keep:
            written.keep()
        else:
            options.progress("clean up", 1, 1)
            for result in _cleaned(session, written):
                report.add(result)
    report.requests, report.waited = target.requests, target.waited
    return report


def clean(target: Target, written: Written) -> list[str]:
    """Remove what an earlier run left; what could not be removed.

    Raises:
        DependencyDown: The server does not answer.
    """
    session = Session(target, Offers.ask(target), Run(written.run, b""), written)
    left = clean_up(session, written)
    if not left:
        with suppress(NotOffered, Unmet):
            forget(session, written)
        written.done()
    return left


def plan(samples: Sequence[Sample], amount: Amount) -> list[Step]:
    """The steps, in order."""
    named = {sample.name: sample for sample in samples}
    return [
        Step("capability statement", "", checks.statement),
        Step("package", "", checks.package),
        *_sample_steps(samples, amount),
        *(Step("search", one.documented, partial(search, one=one, samples=named)) for one in SEARCHES),
        Step("paging", "", checks.paging),
        Step("history", "", checks.history),
        Step("version conflict", "", checks.version_conflict),
        Step("conditional create", "", checks.conditional_create),
        Step("conditional update", "", checks.conditional_update),
        Step("conditional delete", "", checks.conditional_delete),
        Step("delete", "", checks.delete),
        Step("refusals", "", checks.refusals),
        Step("subscription", "", subscription),
    ]


def _sample_steps(samples: Sequence[Sample], amount: Amount) -> Iterator[Step]:
    """Of each sample; a small run validates one resource of each type alone."""
    validated: set[str] = set()
    for sample in samples:
        resources = sample.resources
        if amount == "small":
            first: Mapping[str, Json] = {one["resourceType"]: one for one in reversed(resources)}
            resources = [one for kind, one in first.items() if kind not in validated]
            validated |= set(first)
        if resources:
            check = partial(checks.validate, sample=sample, resources=resources)
            yield Step("validate", sample.name, check)
        yield Step("write", sample.name, partial(checks.write, sample=sample))
        yield Step("read back", sample.name, partial(checks.read_back, sample=sample))


def _course(session: Session, steps: Sequence[Step], options: Options, report: Report) -> None:
    unanswered = 0
    for number, step in enumerate(steps):
        options.progress(f"{step.capability} {step.subject}".strip(), number, len(steps))
        if unanswered >= MOST_UNANSWERED:
            reason = "The server does not answer any more."
            report.add(Result(step.capability, step.subject, Status.SKIPPED, 0.0, [reason]))
            continue
        result, answered = _tried(step.capability, step.subject, partial(step.check, session))
        if not answered:
            unanswered += 1
        elif result.status is not Status.SKIPPED:
            unanswered = 0
        report.add(result)


def _tried(capability: str, subject: str, check: Callable[[], Evidence]) -> tuple[Result, bool]:
    """The result of a check, and whether the server answered."""
    started = time.monotonic()

    def result(status: Status, notes: Sequence[str], evidence: Evidence, unmet: Unmet | None = None) -> Result:
        seconds = time.monotonic() - started
        differences = unmet.differences if unmet else ()
        return Result(capability, subject, status, seconds, notes, differences, evidence.tolerated)

    nothing = Evidence()
    try:
        evidence = check()
    except NotOffered as reason:
        return result(Status.SKIPPED, [str(reason)], nothing), True
    except Unmet as unmet:
        return result(Status.FAILED, unmet.problems, nothing, unmet), True
    except DependencyDown as down:
        return result(Status.FAILED, [down.text], nothing), False
    except GatewayError as error:
        return result(Status.FAILED, [error.text], nothing), True
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        told = f"The answer has not the form it should have: {type(error).__name__}."
        return result(Status.FAILED, [told], nothing), True
    return result(Status.PASSED, evidence.notes, evidence), True


def _cleaned(session: Session, written: Written) -> Iterator[Result]:
    """What was written is removed, then its history; after that its journal is needed no more."""

    def removed() -> Evidence:
        if left := clean_up(session, written):
            raise Unmet(f"{len(left)} left: {', '.join(left[:3])}.")
        count = sum(len(group.references) for group in written.groups)
        return Evidence([f"everything is removed: {count} resources written under ids of this run, and the others"])

    result, answered = _tried("clean up", "", removed)
    if result.status is Status.FAILED:
        hint = f"{'Again' if answered else 'Once it answers'}: fhirgw harness --clean {written.path}"
        yield replace(result, notes=[*result.notes, hint])
        return
    yield result
    yield _tried("forget", "", lambda: _forgotten(*forget(session, written)))[0]
    written.done()


def _forgotten(number: int, refused: Mapping[str, str]) -> Evidence:
    notes = [f"no history of {number} resources is left"]
    if refused:
        example, told = next(iter(refused.items()))
        notes.append(f"{len(refused)} were not forgotten, {example} for one: {told}")
    return Evidence(notes)
