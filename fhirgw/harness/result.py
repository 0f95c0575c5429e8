"""What came of a step of the harness: passed, failed or skipped, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fhirgw.harness.comparison import Difference


class Status(StrEnum):
    """Of a step."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class NotOffered(Exception):
    """The server does not offer what the step is about: it is skipped."""


class Unmet(Exception):
    """The server did something else than it should: the step failed.

    Attributes:
        problems: A sentence each.
        differences: What came back otherwise than it was sent.
    """

    def __init__(self, *problems: str, differences: Sequence[Difference] = ()) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.differences = tuple(differences)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a step that passed has to tell.

    Attributes:
        notes: A sentence each: what was counted.
        tolerated: What came back otherwise, for a reason that is known.
    """

    notes: Sequence[str] = ()
    tolerated: Sequence[Difference] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """One step.

    Attributes:
        capability: What is tried: ``read back``.
        subject: On what: ``ct-bhp``, a search; empty where there is one alone.
        status: How it went.
        seconds: How long it took.
        notes: Why it failed or was skipped, or what was counted.
        differences: Those that made it fail.
        tolerated: Those that did not.
    """

    capability: str
    subject: str
    status: Status
    seconds: float
    notes: Sequence[str] = ()
    differences: Sequence[Difference] = field(default=())
    tolerated: Sequence[Difference] = field(default=())
