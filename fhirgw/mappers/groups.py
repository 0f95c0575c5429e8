"""Events about two records: how a message falls into groups, and what MRG or a second PID says of the other one.

ADT_A17, A24, A37 and A43 repeat PID; ADT_A39 repeats PID with MRG; ADT_A45 repeats MRG with PV1 under one PID
(v2.5.1 ch. 3.3). Senders put several MRG under one PID as well. Each group is a fact of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fhirgw.errors import MalformedMessage, MissingElement
from fhirgw.mappers.datatypes import cx_to_identifier
from fhirgw.mappers.segments.reading import Reading, valued
from fhirgw.mappers.segments.visit import visit_identifier
from fhirgw.mappers.trigger_events import EventSemantics, Identity
from fhirgw.v2.codec import Message, Segment

Key = tuple[str, str]
Identifiers = tuple[tuple[str, str, str | None], ...]

_PRIOR_PERSON = (1, 4, 2)  # MRG-1 the list; MRG-4 and MRG-2 the patient id and the alternate one of before v2.3.1


@dataclass(frozen=True, slots=True)
class Other:
    """What a group says of the other record; see ``AdtEvent`` for each of them."""

    others: Identifiers = ()
    succeeds: tuple[tuple[Key, Key], ...] = ()
    moves: tuple[Key, ...] = ()


_NOTHING = Other()


def groups(message: Message, semantics: EventSemantics) -> list[Message]:
    """The groups of a message, each with the header segments of all; the message itself where it has one."""
    if not semantics.grouped:
        return [message]
    head: list[Segment] = []
    found: list[list[Segment]] = []
    person: list[Segment] = []
    for segment in message.segments:
        if segment.name == "PID":
            person = [segment]
            found.append(person)
        elif not found:
            head.append(segment)
        elif segment.name == "MRG" and any(one.name == "MRG" for one in found[-1]):
            found.append([*person[: _first(person, "MRG")], segment])
        else:
            found[-1].append(segment)
    if len(found) < 2:
        return [message]
    return [replace(message, segments=[*head, *one]) for one in found]


def require_one(message: Message, semantics: EventSemantics, reading: Reading) -> None:
    """An event without groups is about one person and one visit: what follows a second one is not the first's."""
    names = () if semantics.grouped else [segment.name for segment in message.segments]
    for name, whom in (("PID", "person"), ("PV1", "visit")):
        if names.count(name) > 1:
            text = f"The event is about one {whom}, and the message has a second {name}: send a message for each."
            reading.problems.append(MalformedMessage(text, location=f"{name}[2]"))


def _first(segments: Sequence[Segment], name: str) -> int:
    return next(at for at, segment in enumerate(segments) if segment.name == name)


def second_pid(found: Sequence[Identifiers], semantics: EventSemantics) -> list[Identifiers]:
    """Of a link: whom each group names as the other record; the first names the second, which names nobody."""
    if semantics.identity not in (Identity.LINK, Identity.UNLINK) or len(found) < 2:
        return [() for _ in found]
    return [tuple(one for group in found[1:] for one in group), *(() for _ in found[1:])]


def mrg_to_other(
    mrg: Segment | None, semantics: EventSemantics, present: Identifiers, keys: tuple[Key | None, Key | None],
    reading: Reading,
) -> Other:  # fmt: skip
    """Read MRG: MRG-1 (MRG-4, MRG-2) → the other record's identifiers, MRG-3 its account, MRG-5 its visit.

    An MRG-1 without an authority is of the authority that PID-3 names: both are "of the same identifier type".

    Args:
        mrg: The segment; None: nothing is said, and what the event needs of it is a problem.
        semantics: Of the event.
        present: Identifiers of PID-3.
        keys: The message's own visit key and account key.
        reading: Collects the problems.
    """
    _require(mrg, semantics, reading)
    if mrg is None:
        return _NOTHING
    default = min(present, key=lambda one: (one[2] != "MR", one))[0] if present else None
    prior = [
        (one["system"], one["value"], None)
        for number in _PRIOR_PERSON
        for one in reading.each(mrg, number, cx_to_identifier, default=default)
        if "system" in one
    ]
    visit = visit_identifier(mrg, 5, reading, "VN")
    account = visit_identifier(mrg, 3, reading, "AN")
    earlier = {
        "visit": (visit["system"], visit["value"]) if visit else None,
        "account": (account["system"], f"account {account['value']}") if account else None,
    }
    later = dict(zip(("visit", "account"), keys, strict=True))
    old, new = earlier.get(semantics.numbers), later.get(semantics.numbers)
    moved = later.get(semantics.moves) or earlier.get(semantics.moves)
    return Other(
        others=tuple(dict.fromkeys(prior)),
        succeeds=((old, new),) if old and new and old != new else (),
        moves=(moved,) if moved else (),
    )


def _require(mrg: Segment | None, semantics: EventSemantics, reading: Reading) -> None:
    if mrg is None:
        if "MRG" in semantics.requires:
            text = "The message has no MRG segment, which its event needs."
            reading.problems.append(MissingElement(text, location="MRG", err="100"))
        return
    for needed in semantics.requires:
        number = int(needed.removeprefix("MRG-")) if needed.startswith("MRG-") else 0
        where = _PRIOR_PERSON if number == 1 else (number,)
        if number and not any(valued(mrg, one) for one in where):
            reading.problems.append(
                MissingElement("MRG does not say which earlier record is meant.", location=needed)
            )
