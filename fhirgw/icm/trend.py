"""How a score moves: each result beside the one before it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Change:
    """The difference from the result before; ``better`` is None where nothing has changed."""

    by: float
    better: bool | None


def changes(results: Iterable[tuple[str, datetime, float]], *, higher_is_better: bool) -> dict[str, Change]:
    """Id of a result → its change from the one before it in time; the first has none.

    Args:
        results: Id, instant and value of every result of one score.
        higher_is_better: As in the SF-12; not so in the PHQ, PSS, HITS and HARK.
    """
    in_time = sorted(results, key=lambda result: (result[1], result[0]))
    found: dict[str, Change] = {}
    for (_, _, before), (name, _, value) in pairwise(in_time):
        by = round(value - before, 5)
        found[name] = Change(by, None if by == 0 else (by > 0) == higher_is_better)
    return found
