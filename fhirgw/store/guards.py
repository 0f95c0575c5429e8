"""What must be permitted for an element to be seen, from how its resource is labelled.

See: docs/decisions/0345-labelled-alike-guarded-alike.md.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

import orjson

from fhirgw.consent.elements import is_mandatory
from fhirgw.consent.labels import Labels
from fhirgw.consent.model import Json
from fhirgw.consent.vocabulary import MARKS

Path = tuple[str | int, ...]
Need = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Guard:
    """What must be permitted for an element to be seen: all of its needs, each a (type, labels, conf).

    Attributes:
        id: Hash of the kind and the needs.
        kind: Type of the resource that has the element.
        needs: Of the resource, of each labelled element on the way, of everything they refer to.
    """

    id: int
    kind: str
    needs: frozenset[Need]


class Guards:
    """The guards of the elements of resources that are labelled alike, whoever's they are."""

    def __init__(self, kind: str, labels: Labels) -> None:
        self._kind = kind
        self._base = (kind, labels.labels, labels.conf)
        self._needs: dict[Path, set[Need]] = defaultdict(set)
        self._below: dict[Path, list[Path]] = defaultdict(list)
        self._steps: dict[Path, set[str | int]] = defaultdict(set)
        self._made: dict[int, Guard] = {}
        self._around: dict[Path, Guard] = {}
        self._whole: dict[Path, Guard] = {}
        for element in labels.elements:
            path = tuple(element.path)
            # As consent.decide.element_visible: as part of the resource, and its target on its own.
            inside = labels.labels | element.labels & ~MARKS
            self._needs[path].add((kind, inside, max(labels.conf, element.conf)))
            if element.target:
                self._needs[path].add((element.target, element.labels, element.conf))
            for end in range(len(path)):
                self._below[path[:end]].append(path)
                self._steps[path[:end]].add(path[end])

    def labelled(self, path: Path) -> bool:
        """Whether this very element is labelled."""
        return path in self._needs

    def steps(self, path: Path) -> Collection[str | int]:
        """The elements of an element that are labelled, or have something labelled in them."""
        return self._steps.get(path, ())

    def around(self, path: Path) -> Guard:
        """The guard of an element by itself: the resource and whatever is labelled on the way to it."""
        found = self._around.get(path)
        if found is None:
            found = self._around[path] = self._guard(path[:end] for end in range(1, len(path) + 1))
        return found

    def whole(self, path: Path) -> Guard:
        """The guard of an element with all it holds: what a value taken from it may have come from."""
        found = self._whole.get(path)
        if found is None:
            below = self._below.get(path, ()) if path else ()
            found = self._guard([*(path[:end] for end in range(1, len(path) + 1)), *below])
            self._whole[path] = found
        return found

    def required(self, resource: Json) -> Guard:
        """The guard of the resource: without its mandatory elements it is withheld (redact.redact).

        Of a mandatory list one visible item is enough; where all are labelled, all are asked for: stricter than
        redaction, and the same for every route.
        """
        paths: list[Path] = []
        for name in map(str, self.steps(())):
            if name not in resource or not is_mandatory(self._kind, name):
                continue
            value = resource[name]
            parts = [(name, at) for at in range(len(value))] if isinstance(value, list) else [(name,)]
            if all(self.labelled(path) for path in parts):
                paths += parts
        return self._guard(paths)

    def numbered(self, number: int) -> Guard:
        """One that was asked for."""
        return self._made[number]

    def _guard(self, paths: Iterable[Path]) -> Guard:
        needs = (self._needs[path] for path in paths if path in self._needs)
        guard = _guard_of(self._kind, frozenset({self._base}.union(*needs)))
        return self._made.setdefault(guard.id, guard)


guards_of = lru_cache(maxsize=1024)(Guards)
"""Most resources of a type are labelled as many others."""


@lru_cache(maxsize=4096)  # most elements share a guard
def _guard_of(kind: str, needs: frozenset[Need]) -> Guard:
    digest = hashlib.sha256(orjson.dumps([kind, sorted(needs)])).digest()
    return Guard(int.from_bytes(digest[:8]) >> 1, kind, needs)
