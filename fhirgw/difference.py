"""What differs between two versions of a resource, element by element."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Change:
    """One element that differs.

    Attributes:
        path: As in FHIRPath, ``Patient.name[0].family``; of a list, the place after the change, or before it where
            the element is gone.
        before: None: it was not there.
        after: None: it is not there any more.
    """

    path: str
    before: Any
    after: Any

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


def differences(path: str, before: Any, after: Any) -> Iterator[Change]:
    """The smallest elements that differ; members of a list are paired by their content, not by their place."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            yield from differences(f"{path}.{name}", before.get(name), after.get(name))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _in_lists(path, before, after)
    else:
        yield Change(path, before, after)


def _in_lists(path: str, before: list[Any], after: list[Any]) -> Iterator[Change]:
    old, new = ([orjson.dumps(one, option=orjson.OPT_SORT_KEYS) for one in many] for many in (before, after))
    for what, first, last, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        pairs = min(last - first, end - start)
        for number in range(pairs):
            yield from differences(f"{path}[{start + number}]", before[first + number], after[start + number])
        for number in range(first + pairs, last):
            yield Change(f"{path}[{number}]", before[number], None)
        for number in range(start + pairs, end):
            yield Change(f"{path}[{number}]", None, after[number])
