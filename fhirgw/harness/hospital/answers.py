"""Whether every message was answered as it had to be."""

from collections.abc import Iterator, Sequence
from statistics import quantiles

from fhirgw.harness.hospital.sending import Answered
from fhirgw.harness.result import Result, Status

CAPABILITY = "acknowledgment"
MOST_TOLD = 20


def answers(messages: Sequence[Answered]) -> list[Result]:
    """A result for each event, and for each thing that was wrong."""
    sorts: dict[str, list[Answered]] = {}
    for one in messages:
        sorts.setdefault(one.sent.sort, []).append(one)
    return [_result(sort, ones) for sort, ones in sorted(sorts.items())]


def timing(messages: Sequence[Answered]) -> str:
    """How long answers took, in words."""
    times = sorted(one.seconds * 1000 for one in messages if one.code is not None)
    if len(times) < 2:
        return "too few answers to say how long they took"
    steps = quantiles(times, n=100)
    again = sum(one.attempts > 1 for one in messages)
    return f"an answer took {steps[49]:.0f} ms (median), {steps[98]:.0f} ms (99 of 100); {again} sent again"


def _result(sort: str, messages: Sequence[Answered]) -> Result:
    wrong = [problem for one in messages for problem in _problems(one)]
    seconds = sum(one.seconds for one in messages)
    if wrong:
        more = [f"and {len(wrong) - MOST_TOLD} more"] if len(wrong) > MOST_TOLD else []
        return Result(CAPABILITY, sort, Status.FAILED, seconds, [*wrong[:MOST_TOLD], *more])
    expected = sorted({_told(one.sent.expected, one.sent.error) for one in messages})
    return Result(
        CAPABILITY, sort, Status.PASSED, seconds, [f"{len(messages)} answered with {' or '.join(expected)}"]
    )


def _problems(one: Answered) -> Iterator[str]:
    """What is wrong with the answer to one message, a sentence each."""
    name = f"{one.sent.control_id} ({one.sent.sort})"
    if one.code is None:
        yield f"{name} has no answer: {one.trouble}"
        return
    should = _told(one.sent.expected, one.sent.error)
    if one.code != one.sent.expected or (one.sent.error and one.error != one.sent.error):
        yield f"{name} is answered with {_told(one.code, one.error)}, and should be with {should}"
    if one.control_id != one.sent.control_id:
        yield f"{name} is answered for another message: MSA-2 is {one.control_id or 'empty'}"


def _told(code: str, error: str | None) -> str:
    return f"{code} {error}" if error else code
