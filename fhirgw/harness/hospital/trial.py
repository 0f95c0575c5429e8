"""A run against a gateway: the days pass, their messages are sent, and what came of them is held to the books."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random

from fhirgw.errors import DependencyDown, GatewayError
from fhirgw.harness.hospital.answers import answers, timing
from fhirgw.harness.hospital.days import Days
from fhirgw.harness.hospital.mishaps import Traffic
from fhirgw.harness.hospital.sending import Answered, Engine, deliver
from fhirgw.harness.hospital.stored import Check, Stored
from fhirgw.harness.report import Report
from fhirgw.harness.result import Result, Status, Unmet
from fhirgw.harness.session import Session
from fhirgw.harness.synthetic import Run
from fhirgw.harness.target import Offers, Target

SETTLE_SECONDS = 30.0
"""After so long without any change, what is still otherwise stays so."""
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent.

    Attributes:
        tag: In every number of the run.
        start: When the days begin.
        days: How many.
        visits_a_day: How many visits begin on each.
        seed: Of everything that is left to chance.
    """

    tag: str
    start: datetime
    days: int = 2
    visits_a_day: int = 30
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Course:
    """How a run goes.

    Attributes:
        progress: Told before each step: what, the number of steps before it, and of all.
        settle: How many seconds without a change are waited for.
        clock: Seconds.
        sleep: Waits.
    """

    progress: Callable[[str, int, int], None] = lambda _what, _before, _all: None
    settle: float = SETTLE_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def run(engine: Engine, target: Target | None, plan: Plan, course: Course) -> Report:
    """Send the days to the gateway, and hold its answers, and its FHIR side, to the books.

    Args:
        engine: The hospital's interface.
        target: The FHIR side of the same gateway; None: the answers alone are held.
        plan: What is sent.
        course: How.

    Raises:
        DependencyDown: No FHIR server answers there.
    """
    random = Random(plan.seed)  # noqa: S311 - a drawn hospital, not a secret
    days = Days(random, plan.tag, plan.start, plan.days, plan.visits_a_day)
    happened = days.pass_by()
    messages = [Answered(one) for one in Traffic(random, plan.tag).of(happened)]
    report = Report(engine.url, "hospital feed", plan.tag)
    stored = None
    try:
        if target is not None:
            stored = Stored(_session(target, plan.tag), days.people, days.house.visits)
            report.target = f"{engine.url}, {target.base}"
            course.progress("state the cases", 0, 1)
            report.add(_cases(stored))
        if all(one.status is Status.PASSED for one in report.results):
            _send(messages, engine, course, report)
            if stored is not None:
                _compare(stored, course, report)
    except KeyboardInterrupt:
        report.interrupted = True
    report.requests = (target.requests if target else 0) + sum(one.attempts for one in messages)
    report.waited = target.waited if target else 0.0
    return report


def _session(target: Target, tag: str) -> Session:
    return Session(target, Offers.ask(target), Run(tag, b""), None)


def _cases(stored: Stored) -> Result:
    started = time.monotonic()
    try:
        notes = [f"{stored.state_cases()} members and candidates stated"]
    except (Unmet, GatewayError) as error:
        return Result("cases", "", Status.FAILED, time.monotonic() - started, _reasons(error))
    return Result("cases", "", Status.PASSED, time.monotonic() - started, notes)


def _send(messages: list[Answered], engine: Engine, course: Course, report: Report) -> None:
    """Send everything; what was sent before it was ended early is in the report as well."""
    sent = 0

    def told() -> None:
        nonlocal sent
        sent += 1
        course.progress("send", sent, len(messages))

    started = time.monotonic()
    try:
        deliver(messages, engine, told)
    except KeyboardInterrupt:
        messages = [one for one in messages if one.attempts]
        raise
    finally:
        for result in answers(messages):
            report.add(result)
    seconds = time.monotonic() - started
    notes = [f"{len(messages)} messages in {seconds:.1f} s over {engine.connections} connections", timing(messages)]
    report.add(Result("feed", "", Status.PASSED, seconds, notes))


def _compare(stored: Stored, course: Course, report: Report) -> None:
    """Look until all is as it should be, or nothing changes any more."""
    started = course.clock()
    checks = stored.checks()
    found = _look(checks, course, "compare")
    wrong, changed = {key: problems for key, problems in found.items() if problems}, course.clock()
    while wrong and course.clock() - changed < course.settle:
        course.sleep(LOOK_SECONDS)
        again = _look({key: checks[key] for key in wrong}, course, "compare again")
        changed = course.clock() if again != wrong else changed
        found |= again
        wrong = {key: problems for key, problems in again.items() if problems}
    seconds = (course.clock() - started) / max(1, len(found))
    for (kind, name), problems in found.items():
        status = Status.FAILED if problems else Status.PASSED
        report.add(Result(kind, name, status, seconds, problems or ["as the hospital has it"]))


def _look(checks: dict[tuple[str, str], Check], course: Course, what: str) -> dict[tuple[str, str], list[str]]:
    found = {}
    for number, (key, check) in enumerate(checks.items()):
        course.progress(what, number, len(checks))
        try:
            found[key] = check()
        except DependencyDown:
            raise
        except (Unmet, GatewayError, KeyError, TypeError, ValueError) as error:
            found[key] = _reasons(error)
    return found


def _reasons(error: Exception) -> list[str]:
    if isinstance(error, Unmet):
        return list(error.problems)
    if isinstance(error, GatewayError):
        return [error.text]
    return [f"The answer has not the form it should have: {type(error).__name__}."]
