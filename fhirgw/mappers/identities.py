"""Who is who, as a fold: bearers of identifiers from what cases say, what messages name together, and merges.

Law: a function of the set of facts. Merges, links, moves and what undoes them take their places by when they were
recorded, never by arrival; what was undone leaves no trace. The same for numbers of visits and accounts.

See: v2.5.1 ch. 3.6 (patient record links); ``docs/decisions/0091-the-identity-graph.md``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.trigger_events import Identity

Name = str
"""An identifier, ``system|value``; or a person whom somebody pointed at here, ``Patient/id``."""


@dataclass(frozen=True, slots=True)
class IdentityFact:
    """A statement that two records are one person, are linked, or are neither any more.

    Attributes:
        key: The digest of the event, or an id of its own for what a person said.
        order: When it was recorded.
        kind: What it says.
        prior: Names of the record that was merged, moved or linked.
        present: Names of the record that it belongs to now.
        confirmed: Whether a person has looked at it.
        sender: Who told of it; empty: a person here.
    """

    key: str
    order: tuple[str, ...]
    kind: Identity
    prior: tuple[Name, ...]
    present: tuple[Name, ...]
    confirmed: bool = False
    sender: str = ""

    @property
    def names(self) -> tuple[Name, ...]:
        """All names it speaks of."""
        return (*self.prior, *self.present)


@dataclass(slots=True)
class Graph:
    """Who bears which name.

    Attributes:
        homes: Name → the Patient it was first known for.
        bearers: Name → the Patient it stands for now.
        moved: Names that an A43 took to another person: beside names that were not, they decide.
        successors: A Patient that was merged → the one that replaced it.
        held: Names that stand for another Patient than before, and nobody here has confirmed it.
        links: Pairs of Patients that were linked and stayed distinct.
    """

    homes: dict[Name, str] = field(default_factory=dict)
    bearers: dict[Name, str] = field(default_factory=dict)
    moved: set[Name] = field(default_factory=set)
    successors: dict[str, str] = field(default_factory=dict)
    held: set[Name] = field(default_factory=set)
    links: set[tuple[str, str]] = field(default_factory=set)


def name(system: str, value: str) -> Name:
    """The name of an identifier."""
    return f"{system}|{value}"


def fact_of(event: AdtEvent) -> IdentityFact | None:
    """What an event says of who is who; None of most."""
    if event.identity is Identity.NONE or not event.others or not event.identifiers:
        return None
    return IdentityFact(
        key=event.digest,
        order=event.told,
        kind=event.identity,
        prior=tuple(sorted(name(system, value) for system, value, _ in event.others)),
        present=tuple(sorted(name(system, value) for system, value, _ in event.identifiers)),
        sender=event.sender,
    )


def graph(known: Mapping[Name, str], records: Sequence[tuple[Name, ...]], facts: Iterable[IdentityFact]) -> Graph:
    """Who bears which name.

    Args:
        known: Names that the programme's own system, or a person, gave to a Patient.
        records: Names that one message gives to one person, in the order of the messages.
        facts: Everything said of who is who, in any order.
    """
    standing = _standing(facts)
    found = Graph(homes=dict(known))
    while True:
        found.successors, held, found.links = _people(found, standing)
        before = len(found.homes)
        for record in records:
            _share(found, record)
        if len(found.homes) > before:
            continue  # what one message says of one person goes before what joins two records
        for fact in standing:
            if fact.kind is not Identity.MOVE:
                _share(found, fact.prior, fact.present)
        if len(found.homes) == before:
            break
    _bear(found, held, standing)
    return found


def whom(event: Iterable[Name], found: Graph) -> set[str]:
    """The people that these names stand for; a name that was moved decides."""
    names = [one for one in event if one in found.bearers]
    decisive = [one for one in names if one in found.moved] or names
    return {found.bearers[one] for one in decisive}


def succession(edges: Iterable[tuple[tuple[str, ...], str, str]]) -> dict[str, str]:
    """What each thing is called now, from (order, earlier, present) in any order; only of what has changed.

    Several of one thing share its last name; a name taken back is the name again.
    """
    called: dict[str, str] = {}
    for _, earlier, present in sorted(set(edges)):
        old, new = called.get(earlier, earlier), called.get(present, present)
        target = present if old == new else new
        called.setdefault(earlier, earlier)
        called.setdefault(present, present)
        called = {one: target if now in (old, new) else now for one, now in called.items()}
    return {one: now for one, now in called.items() if one != now}


def _bear(found: Graph, held: set[str], standing: Sequence[IdentityFact]) -> None:
    """Whom each name stands for: the successor of its home, or whoever it was moved to."""
    for one, home in found.homes.items():
        found.bearers[one] = found.successors.get(home, home)
        found.held |= {one} if home in held else set()
    for fact in standing:
        target = {found.bearers[one] for one in fact.present if one in found.bearers}
        if fact.kind is Identity.MOVE and len(target) == 1:
            for one in fact.prior:
                found.bearers[one] = min(target)
                found.moved.add(one)
                if not fact.confirmed and found.homes.get(one, min(target)) != min(target):
                    found.held.add(one)


def _standing(facts: Iterable[IdentityFact]) -> list[IdentityFact]:
    """What no later unlink took back, in order."""
    ordered = sorted(facts, key=lambda fact: (fact.order, fact.key))
    cuts = [fact for fact in ordered if fact.kind is Identity.UNLINK]
    return [
        fact for fact in ordered if fact.kind is not Identity.UNLINK and not any(_cuts(cut, fact) for cut in cuts)
    ]


def _cuts(cut: IdentityFact, fact: IdentityFact) -> bool:
    sides = [(set(cut.prior), set(cut.present)), (set(cut.present), set(cut.prior))]
    return (fact.order, fact.key) < (cut.order, cut.key) and any(
        one & set(fact.prior) and other & set(fact.present) for one, other in sides
    )


def _homes(found: Graph, names: Iterable[Name]) -> set[str]:
    at = {one.removeprefix("Patient/") for one in names if one.startswith("Patient/")}
    return at | {found.homes[one] for one in names if one in found.homes}


def _people(
    found: Graph, standing: Sequence[IdentityFact]
) -> tuple[dict[str, str], set[str], set[tuple[str, str]]]:
    """Successors, held merges and links between Patients."""
    edges, unconfirmed = [], set()
    links: set[tuple[str, str]] = set()
    for fact in standing:
        prior, present = _homes(found, fact.prior), _homes(found, fact.present)
        if not prior or not present or prior == present or fact.kind is Identity.MOVE:
            continue
        target = min(present)
        for one in sorted(prior - {target}):
            if fact.kind is Identity.LINK:
                links.add((min(one, target), max(one, target)))
            else:
                edges.append(((*fact.order, fact.key), one, target))
                unconfirmed |= set() if fact.confirmed else {one}
    successors = succession(edges)
    confirmed = {
        one
        for fact in standing
        if fact.confirmed and fact.kind is Identity.MERGE
        for one in _homes(found, fact.prior)
    }
    return successors, {one for one in successors if one in unconfirmed - confirmed}, links


def _share(found: Graph, *records: Iterable[Name]) -> None:
    """Names that are one person's: those that nobody bears yet are the bearer's, where there is one."""
    names = [one for record in records for one in record if not one.startswith("Patient/")]
    homes = set().union(*(_homes(found, record) for record in records))
    people = {found.successors.get(home, home) for home in homes}
    if len(people) == 1:
        for one in names:
            found.homes.setdefault(one, min(homes))
