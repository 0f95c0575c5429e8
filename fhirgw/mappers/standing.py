"""What stands of a segment that repeats, after all messages: the last set, or what action codes left of it.

A segment's set in a later message replaces the one before (v2.5.1 ch. 2.10.4, snapshot mode); where a segment has
an action code, it adds or takes out one.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fhirgw.mappers.datatypes import Json
from fhirgw.mappers.event import AdtEvent


class Standing(NamedTuple):
    """The facts of a segment after all events, by key.

    Attributes:
        ever: Every one that a message told of, as the last one told it.
        now: Those that stand.
    """

    ever: Mapping[str, Json]
    now: frozenset[str]


_NONE = Standing({}, frozenset())


def standing(events: Sequence[AdtEvent], name: str) -> Standing:
    """What stands of a segment that repeats; events once each and in order."""
    for event in events:
        if name in event.repeated:
            break
    else:  # of most segments no message has any
        return _NONE
    ever: dict[str, Json] = {}
    now: set[str] = set()
    for event in events:
        if event.trigger == "A29":  # all that was said of the person is deleted
            now = set()
        facts = event.repeated.get(name)
        if facts is None:
            continue
        told = keyed(facts)
        acting = [fact for fact in facts if "action" in fact]
        if not acting:
            now = set()
        ever |= told
        now |= told.keys()
        if acting:
            now -= {key for key, fact in told.items() if fact.get("action") == "D"}
    return Standing(ever, frozenset(now))


def keyed(facts: Sequence[Json]) -> dict[str, Json]:
    """A message's facts by key; two with one key are told apart by their place."""
    found: dict[str, Json] = {}
    for fact in facts:
        key = fact.get("key", "")
        if not found:
            found[key] = fact
            continue
        again = sum(known == key or known.startswith(f"{key}#") for known in found)
        found[f"{key}#{again}" if again else key] = fact
    return found


def last_of(events: Sequence[AdtEvent], name: str) -> list[Json]:
    """The facts of a segment as the last message that has it tells them; events in order."""
    told = [event.repeated[name] for event in events if name in event.repeated]
    return list(told[-1]) if told else []


def roles(events: Sequence[AdtEvent], of: str) -> list[Json]:
    """Who takes part (ROL, PRT) in what a segment is about, of those that stand."""
    found = []
    for name in ("ROL", "PRT"):
        stands = standing(events, name)
        found += [fact for key, fact in stands.ever.items() if key in stands.now and fact["of"] == of]
    return found
