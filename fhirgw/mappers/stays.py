"""What held for a part of a visit: its classes, its places, its doctors, each from when to when.

Consecutive events that say the same are one stretch. See: R4, Encounter.classHistory, .location, .participant;
http://hl7.org/fhir/R4/valueset-encounter-location-status.html.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from fhirgw.mappers.course import Course
from fhirgw.mappers.datatypes import Json, utc
from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.trigger_events import Effect

_LOCATION_STATUS = {"in-progress": "active", "finished": "completed", "planned": "planned", "onleave": "reserved"}
_MOVED = frozenset({Effect.TRANSFER, Effect.CLOSE})
_PRIOR = ("location.prior", "location.priorTemporary")
_ELSEWHERE = frozenset({*_PRIOR, "location.temporary", "location.pending"})
"""Facts of places beside the one that is assigned."""


class Stretch(NamedTuple):
    """A value, and the period in which it held; an empty period says nothing of when."""

    value: Any
    period: Json
    status: str | None = None


def period(start: str | None, end: str | None) -> Json:
    """A Period of what is known."""
    return {name: moment for name, moment in (("start", start), ("end", end)) if moment}


def stretch(start: str | None, end: str | None) -> Json:
    """A part of the visit; without its end where messages disagree so far that it would lie before its start."""
    return period(start, None if start and end and utc(end, latest=True) < utc(start) else end)


def classes(course: Course) -> list[Stretch]:
    """The classes before the present one."""
    said = [(e, e.encounter["class"]["coding"]) for e in course.counted if "class" in e.encounter]
    if len(said) < 2:
        return []
    stays = _changes(said, course.start)
    return [Stretch(value, stretch(start, following[0])) for (start, value), following in pairwise(stays)]


def places(course: Course) -> list[Stretch]:
    """Where the patient was (PV1-3), is for a while (PV1-11), is to go (PV1-42), and was before any message."""
    known = [*_assigned(course)]
    if all(event.encounter.keys().isdisjoint(_ELSEWHERE) for event in course.counted):
        return known
    known += [*_temporary(course), *_pending(course)]
    return [*known, *_prior(course, [one.value for one in known])]


def _prior(course: Course, known: list[Any]) -> Iterator[Stretch]:
    """PV1-6 and PV1-43: places the patient has left, of which no message tells when."""
    for event in course.counted:
        for fact in _PRIOR:
            place = event.encounter.get(fact)
            if place and place not in known:
                known.append(place)
                yield Stretch(place, {}, "completed")


@dataclass(slots=True)
class _Named:
    """Whom an event names in a role: facts (``participant.REF.2``) and those that it takes back."""

    event: AdtEvent
    news: dict[str, list[Json]]
    gone: set[str]


def doctors(course: Course) -> dict[str, list[Stretch]]:
    """By role, who took part as the messages named them: each person once for each time they came and went."""
    roles: dict[str, list[_Named]] = {}
    for event in course.counted:
        for name, value in event.encounter.items():
            if name[:12] == "participant.":
                _named(roles, event, name).news[name] = value
        for path in event.deletes:
            if path[:22] == "Encounter.participant.":
                _named(roles, event, path[10:]).gone.add(path[10:])
    return {role: _came_and_went(course, roles[role]) for role in sorted(roles)}


def _named(roles: dict[str, list[_Named]], event: AdtEvent, fact: str) -> _Named:
    told = roles.setdefault(fact.split(".")[1], [])
    if not told or told[-1].event is not event:
        told.append(_Named(event, {}, set()))
    return told[-1]


def _came_and_went(course: Course, told: list[_Named]) -> list[Stretch]:
    said: dict[str, list[Json]] = {}
    present: dict[bytes, tuple[str | None, Json]] = {}
    past: list[Stretch] = []
    for stated, named_by in enumerate(told):
        event = named_by.event
        said = {name: value for name, value in said.items() if name not in named_by.gone} | named_by.news
        every = [one for _, value in sorted(said.items()) for one in value]
        if len(told) == 1 == len(every):  # nobody came, and nobody went
            return [Stretch(every[0], {})]
        named = {orjson.dumps(one, option=orjson.OPT_SORT_KEYS): one for one in every}
        for key in [key for key in present if key not in named]:
            since, left = present.pop(key)
            past.append(Stretch(left, stretch(since or course.start, event.occurred)))
        since = event.occurred if stated else None
        present = {key: present.get(key, (since, one)) for key, one in named.items()}
    return [*past, *(Stretch(one, period(since, None)) for since, one in present.values())]


def _changes(said: Sequence[tuple[AdtEvent, Any]], start: str | None) -> list[tuple[str | None, Any]]:
    """When it became what, consecutive ones different; the first from the beginning of the visit."""
    stays: list[tuple[str | None, Any]] = []
    for event, value in said:
        if not stays or stays[-1][1] != value:
            stays.append(((start or event.occurred) if not stays else event.occurred, value))
    return stays


def _assigned(course: Course) -> Iterator[Stretch]:
    """PV1-3: a new stretch where it differs from the one before; a plan tells where only until somebody came."""
    came = course.start is not None
    said = [
        (event, event.encounter["location"])
        for event in course.counted
        if event.encounter.get("location") and not (came and event.effect is Effect.PLAN)
    ]
    stays: list[tuple[str | None, Any]] = []
    for event, chain in said:
        if not stays or stays[-1][1] != chain:
            since = event.occurred if stays or event.effect is Effect.TRANSFER else None
            stays.append((since or course.start, chain))
    for (start, chain), following in pairwise(stays):
        yield Stretch(chain, stretch(start, following[0]), "completed")
    for start, chain in stays[-1:]:
        away = bool(_away(course)) and course.status == "in-progress"
        status = "reserved" if away else _LOCATION_STATUS.get(course.status)
        yield Stretch(chain, stretch(start, course.end), status)


def _away(course: Course) -> tuple[AdtEvent, Any] | None:
    """The event since which the patient is in a temporary place (PV1-11), and the place."""
    last: tuple[AdtEvent, Any] | None = None
    for event in course.counted:
        if event.encounter.get("location.temporary"):
            last = (event, event.encounter["location.temporary"])
        elif event.effect in _MOVED or event.effect is Effect.TRACK:
            last = None
    return last


def _temporary(course: Course) -> Iterator[Stretch]:
    away: tuple[AdtEvent, Any] | None = None
    for event in course.counted:
        place = event.encounter.get("location.temporary")
        ends = place or event.effect in _MOVED or event.effect is Effect.TRACK
        if away and ends and place != away[1]:
            yield Stretch(away[1], stretch(away[0].occurred, event.occurred), "completed")
            away = None
        if place and not away:
            away = (event, place)
    if away:
        over = course.status == "finished"
        status = _LOCATION_STATUS.get(course.status)
        yield Stretch(away[1], stretch(away[0].occurred, course.end if over else None), status)


def _pending(course: Course) -> Iterator[Stretch]:
    """Of the last plan to move the patient that nothing has carried out: the place is planned."""
    plan: Any = None
    for event in course.counted:
        if event.effect is Effect.PEND and event.encounter.get("location.pending"):
            plan = event.encounter["location.pending"]
        elif event.effect in _MOVED:
            plan = None
    if plan and course.status in ("in-progress", "onleave", "planned"):
        yield Stretch(plan, {}, "planned")
