"""How a score moves: each result beside the one before it.

For whoever holds all results: no resource carries a change, since one that is visible would tell of an earlier one
that a release does not cover (decision 0163).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Change:
    """The difference from the result before; ``better`` is None where nothing has changed."""

    by: float
    better: bool | None


def changes(results: Iterable[tuple[datetime, float]], *, higher_is_better: bool = True) -> dict[datetime, Change]:
    """Instant of a result → its change from the one before it; the first has none.

    Args:
        results: Instant and value of every result of one score, in any order; one at an instant.
        higher_is_better: As in SF-12 and VR-12; not so in PHQ, PSS, HITS and HARK.
    """
    found: dict[datetime, Change] = {}
    for (_, before), (instant, value) in pairwise(sorted(results)):
        by = round(value - before, 5)
        found[instant] = Change(by, None if by == 0 else (by > 0) == higher_is_better)
    return found
