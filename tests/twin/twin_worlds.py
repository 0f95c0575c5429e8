"""Worlds for the twin test: what happens to a few patients, and what of it the recipient may see.

Every resource states the sensitivity it carries in plain words (``tags``), and every part of it likewise. From
that, and from what each patient allows, ``twin`` writes the second script: the same events without what is hidden.
It knows nothing of labels, guards or predicates: it is the specification's idea of the visible projection.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from twin_surroundings import ACT, CLEARED, DERIVED, Json

PATIENTS = ("p1", "p2", "p3")
NOTHING: frozenset[str] = frozenset()
NEVER = frozenset({"?"})
"""The tag of what no permit covers: text nobody reviewed, references to somebody else's record."""


@dataclass(frozen=True)
class Allowed:
    """What one patient lets the recipient see: these types (None: all), with no tags but these.

    Nothing that has this code anywhere, none of these resources (``Condition/c1``, whosever it is).
    """

    name: str
    tags: frozenset[str] | None
    types: frozenset[str] | None = None
    code: str = ""
    instances: frozenset[str] = NOTHING

    def singles_out(self, version: "Version") -> bool:
        """Whether a rule about content hides it."""
        named = version.reference.removesuffix(version.patient) in self.instances
        return named or (bool(self.code) and f"'code': '{self.code}'" in str(version.body(version.parts)))

    def see(self, kind: str, tags: Iterable[str]) -> bool:
        permitted = self.types is None or kind in self.types
        return self.tags is not None and permitted and frozenset(tags) <= self.tags


NARROW = frozenset({"Patient", "CarePlan", "Goal", "Task", "Provenance"})
INSTANCES = frozenset({"Condition/c1", "Goal/g1", "Encounter/e1", "CarePlan/k1", "ServiceRequest/s1"})
SCENARIOS = (
    Allowed("normal", NOTHING),
    Allowed("sud", frozenset({"SUD"})),
    Allowed("class", NOTHING, NARROW),
    Allowed("except", frozenset({"SUD", "PSY"})),
    Allowed("several", frozenset({"SUD", "PSY", "HIV"})),
    Allowed("code", frozenset({"SUD", "PSY", "HIV"}), code="F20.9"),
    Allowed("instance", frozenset({"SUD", "PSY", "HIV"}), instances=INSTANCES),
    Allowed("network", NOTHING),
    Allowed("none", None),
    Allowed("revoked", None),
    Allowed("other", None),
    Allowed("partner", None),
    Allowed("refusal", None),
    Allowed("dv", None),
    Allowed("opted-out", None),
    Allowed("expired", None),
)


@dataclass(frozen=True)
class Part:
    """An element that can be hidden alone: an item of a list, or a single element.

    ``derived`` comes with it, unless it is there; ``behind`` is hidden from everybody, and comes in the one store.
    """

    name: str
    value: Any
    tags: frozenset[str] = NOTHING
    target: str | None = None
    derived: tuple[str, ...] = ()
    item: bool = True
    behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Version:
    """One state of a resource. ``mandatory``: without this part it is withheld."""

    kind: str
    id: str
    patient: str
    base: Json
    tags: frozenset[str] = NOTHING
    carried: frozenset[str] = NOTHING
    cleared: bool = True
    parts: tuple[Part, ...] = ()
    mandatory: str | None = None

    @property
    def reference(self) -> str:
        return f"{self.kind}/{self.id}"

    @property
    def own(self) -> frozenset[str]:
        return self.tags | self.carried

    def body(self, parts: Iterable[Part]) -> Json:
        meta: Json = {"tag": [CLEARED]} if self.cleared else {}
        if self.carried:
            meta["security"] = [{"system": ACT, "code": code} for code in sorted(self.carried)]
        body: Json = {"resourceType": self.kind, "id": self.id} | ({"meta": meta} if meta else {}) | self.base
        for part in parts:
            if part.item:
                body[part.name] = [*body.get(part.name, []), part.value]
            else:
                body[part.name] = part.value
        return body


@dataclass(frozen=True)
class Put:
    version: Version


@dataclass(frozen=True)
class Delete:
    reference: str


Step = Put | Delete


@dataclass(frozen=True)
class World:
    """What happened, in order, and what each patient allows."""

    steps: tuple[Step, ...]
    allowed: dict[str, Allowed] = field(hash=False)

    def settled(self) -> "World":
        """Without deletions of nothing, and without closures over what is not there yet."""
        there: set[str] = set()
        kept: list[Step] = []
        for step in self.steps:
            if isinstance(step, Delete):
                if step.reference in there:
                    kept.append(step)
                there.discard(step.reference)
                continue
            mandatory = [part for part in step.version.parts if part.name == step.version.mandatory]
            closures = [part for part in step.version.parts if part.name in CLOSURES.get(step.version.kind, ())]
            if any(part.target not in there for part in (*mandatory, *closures)):
                continue
            there.add(step.version.reference)
            kept.append(step)
        return replace(self, steps=tuple(kept))


CLOSURES = {"Task": ("focus",), "Provenance": ("target",), "Observation": ("hasMember",)}


# -- the visible projection, as the specification says it ----------------------------------------------------------


def whole(world: World) -> Iterator[tuple[int, list[Json], str | None]]:
    """The script of the store with everything: (step, resources to put, reference to delete)."""
    for at, step in enumerate(world.steps):
        if isinstance(step, Delete):
            yield at, [], step.reference
        else:
            parts = step.version.parts
            behind = [DERIVED[name] for part in parts for name in part.behind]
            yield at, [*behind, *_beside(parts), step.version.body(parts)], None


def twin(world: World) -> Iterator[tuple[int, list[Json], str | None]]:
    """The script of the store without what is hidden.

    What becomes hidden is deleted, what was never visible never comes; a reference stays if what it refers to was
    ever visible.
    """
    ever = _ever_visible(world)
    present: set[str] = set()
    for at, step in enumerate(world.steps):
        reference = step.reference if isinstance(step, Delete) else step.version.reference
        if isinstance(step, Put) and visible(world, step.version):
            parts = [part for part in step.version.parts if _kept(world, step.version, part, ever)]
            present.add(reference)
            yield at, [*_beside(parts), step.version.body(parts)], None
        elif reference in present:
            present.discard(reference)
            yield at, [], reference


def visible(world: World, version: Version) -> bool:
    """Also of what must be about something: that is, or was, visible."""
    allowed = world.allowed[version.patient]
    if not allowed.see(version.kind, version.own) or allowed.singles_out(version):
        return False
    return all(
        allowed.see(str(part.target).split("/", maxsplit=1)[0], part.tags) and _was_visible(world, part.target)
        for part in version.parts
        if part.name == version.mandatory
    )


def _was_visible(world: World, reference: str | None) -> bool:
    return any(
        step.version.reference == reference and visible(world, step.version)
        for step in world.steps
        if isinstance(step, Put)
    )


def left(world: World) -> dict[str, Version]:
    """What is there at the end, by reference."""
    there: dict[str, Version] = {}
    for step in world.steps:
        if isinstance(step, Put):
            there[step.version.reference] = step.version
        else:
            there.pop(step.reference, None)
    return there


def _ever_visible(world: World) -> set[str]:
    return {
        step.version.reference for step in world.steps if isinstance(step, Put) and visible(world, step.version)
    }


def _kept(world: World, version: Version, part: Part, ever: set[str]) -> bool:
    see = world.allowed[version.patient].see
    return see(version.kind, version.own | part.tags) and (part.target is None or part.target in ever)


def _beside(parts: Iterable[Part]) -> list[Json]:
    return [DERIVED[name] for part in parts for name in part.derived]
