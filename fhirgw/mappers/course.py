"""The course of a visit: which of its events were undone, and what status followed which.

Law: a function of the set of events. Their times decide, never their arrival.

* A13 undoes every discharge that was recorded before it.
* Every other cancel undoes, of the events it names (``EVENTS``), the one whose time its EVN-6 repeats ("on a
  cancellation event, this field should contain the date/time that the event being canceled occurred", v2.5.1 ch.
  3.4.1.6), else the last one recorded before it.
* A23 deletes what was recorded before it.
* A PV1-45 outside a discharge is undone by a later ``""`` as well.
* What was undone leaves no trace in the status; the resource history shows that it was once believed.
* Admission (PV1-44, else the event's time) and discharge (PV1-45, else the event's time) take their places by the
  clock of the hospital, so that a late or repeated A01 does not reopen a visit that has ended since.

See: ``docs/decisions/0022-visit-status.md``.
"""

from collections.abc import Iterable
from typing import NamedTuple

from fhirgw.mappers.datatypes import utc
from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.trigger_events import EVENTS, Effect
from fhirgw.terminology import CLASS_STATUS

_BEGINS = frozenset({Effect.OPEN, Effect.RECLASS})
_STAYS = frozenset({Effect.TRANSFER, Effect.TRACK, Effect.PEND, Effect.RETURN, Effect.RECLASS, Effect.OPEN})
_LEAVES = {Effect.LEAVE: (2, "onleave"), Effect.RETURN: (3, "in-progress")}
"""Their place among what happens at the same instant, and the status that follows."""
_UNPLANS = frozenset({"A11", "A27", "A38"})
"""Cancels after which nothing may be left of the visit; they say nothing of it themselves."""


class Change(NamedTuple):
    """A status, and the dateTime from which it held."""

    moment: str
    status: str


class Course(NamedTuple):
    """What became of a visit.

    Attributes:
        status: Encounter.status.
        changes: How it came to that, consecutive ones different.
        start: When the visit began, as far as an event says so.
        end: When it ended; None unless it is finished.
        counted: The events whose facts count, in order; none of a visit that was deleted.
        told: The events that say what the visit itself is, deleted or not.
    """

    status: str
    changes: tuple[Change, ...]
    start: str | None
    end: str | None
    counted: tuple[AdtEvent, ...]
    told: tuple[AdtEvent, ...]


def course(events: list[AdtEvent]) -> Course:
    """The course of a visit from its events, each once and in order (``in_order``)."""
    left = _undeleted(events)
    if not left:
        begun = [event for event in events if event.effect in _BEGINS]
        return Course("entered-in-error", (), _start(begun), None, (), tuple(events))
    undone = _undone(left)
    stood = [event for event in left if event.digest not in undone]
    opens = [event for event in stood if event.effect in _BEGINS]
    plans = [event for event in stood if event.effect is Effect.PLAN]
    closes = _closes(left, undone)
    if not (opens or plans) and any(event.trigger in _UNPLANS for event in left):
        begun = [event for event in left if event.effect in _BEGINS]
        return Course("cancelled", (), _start(begun), None, tuple(left), tuple(left))
    changes = _changes(opens, plans, stood, closes)
    status = changes[-1].status if changes else _status_of_updates(left)
    end = _end(closes[-1]) if closes and status == "finished" else None
    counted = tuple(event for event in stood if event.trigger not in _UNPLANS)
    return Course(status, changes, _start(opens), end, counted, counted)


def _undeleted(events: list[AdtEvent]) -> list[AdtEvent]:
    """What no A23 deletes; all of it, when there is none."""
    deletions = [event.told for event in events if event.effect is Effect.DELETE]
    if not deletions:
        return events
    deleted = max(deletions)
    return [event for event in events if event.told > deleted]


def _undone(events: list[AdtEvent]) -> set[str]:
    """Digests of the events that a cancel took back; A13, which takes back every discharge, is ``_closes``'."""
    undone: set[str] = set()
    cancels = [event for event in events if event.effect is Effect.CANCEL and event.trigger != "A13"]
    if not cancels:
        return undone
    for cancel in sorted(cancels, key=lambda event: event.told):
        undoes = EVENTS[cancel.trigger].undoes
        before = [e for e in events if e.trigger in undoes and e.digest not in undone and e.told < cancel.told]
        if before:
            times = {event.order[0] for event in before}
            latest = max(before, key=lambda event: event.told)
            time = cancel.order[0] if cancel.order[0] in times else latest.order[0]
            undone |= {event.digest for event in before if event.order[0] == time}
    return undone


def _closes(events: list[AdtEvent], undone: set[str]) -> list[AdtEvent]:
    """The discharges that stand: of A03, and of a PV1-45 in any event that cancels nothing."""
    closes = [event for event in events if event.effect is Effect.CLOSE or _says_ended(event)]
    if not closes:
        return []
    undoing = max((e.told for e in events if e.trigger == "A13"), default=())
    clearing = max((e.told for e in events if "Encounter.period.end" in e.deletes), default=())
    return [
        event
        for event in closes
        if event.digest not in undone
        and event.told > undoing
        and (event.effect is Effect.CLOSE or event.told > clearing)
    ]


def _says_ended(event: AdtEvent) -> bool:
    """PV1-45 means finished in any message (v2-to-FHIR, PV1[Encounter]), save those that undo."""
    return event.effect is not Effect.CANCEL and _stated_end(event) is not None


def _stated_end(event: AdtEvent) -> str | None:
    """PV1-45; None where the same message says that the visit began later (PV1-44): one of them is wrong."""
    end: str | None = event.encounter.get("period.end")
    if end is None:
        return None
    start = event.encounter.get("period.start")
    return None if start and end and utc(end, latest=True) < utc(start) else end


def _changes(
    opens: list[AdtEvent], plans: list[AdtEvent], stood: list[AdtEvent], closes: list[AdtEvent]
) -> tuple[Change, ...]:
    moments = [(utc(event.occurred), 0, event.occurred, "planned") for event in plans]
    moments += [(utc(_begin(e)), 1, _begin(e), CLASS_STATUS.get(_class(e)) or "in-progress") for e in opens]
    if not opens:  # the admission is not known; but who is moved is here
        here = (e for e in stood if e.effect in _STAYS)
        moments += [(utc(event.occurred), 1, event.occurred, "in-progress") for event in here]
    for event in stood:
        if event.effect in _LEAVES:
            place, status = _LEAVES[event.effect]
            moments.append((utc(event.occurred), place, event.occurred, status))
    moments += [(utc(_end(event), latest=True), 4, _end(event), "finished") for event in closes]
    changes: list[Change] = []
    for _, _, moment, status in sorted(moments):
        if not changes or changes[-1].status != status:
            changes.append(Change(moment, status))
    return tuple(changes)


def _status_of_updates(events: list[AdtEvent]) -> str:
    """Nothing that begins, moves or ends is known: its cancel says that the visit goes on, an update nothing."""
    if any(event.effect is Effect.CANCEL and event.trigger not in ("A55", "A62") for event in events):
        return "in-progress"
    classes = [code for event in events if (code := _class(event))]
    return "planned" if classes and classes[-1] == "P" else "unknown"


def _class(event: AdtEvent) -> str:
    code: str = event.encounter.get("class", {}).get("code", "")
    return code


def _begin(event: AdtEvent) -> str:
    moment: str = event.encounter.get("period.start") or event.occurred
    return moment


def _end(event: AdtEvent) -> str:
    return _stated_end(event) or event.occurred


def _start(opens: Iterable[AdtEvent]) -> str | None:
    return min((_begin(event) for event in opens), key=utc, default=None)
