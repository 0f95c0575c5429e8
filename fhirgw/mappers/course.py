"""The course of a visit: which of its events were undone, and what status followed which.

Law: a function of the set of events. Their times decide, never their arrival.

* A13 undoes every discharge that was recorded before it.
* A11 undoes the admission or registration whose time its EVN-6 repeats ("on a cancellation event, this field should
  contain the date/time that the event being canceled occurred", v2.5.1 ch. 3.4.1.6), else the last one recorded
  before it.
* A PV1-45 outside a discharge is undone by a later ``""`` as well.
* What was undone leaves no trace in the status; the resource history shows that it was once believed.
* Admission (PV1-44, else the event's time) and discharge (PV1-45, else the event's time) take their places by the
  clock of the hospital, so that a late or repeated A01 does not reopen a visit that has ended since.

See: ``docs/decisions/0022-visit-status.md``.
"""

from dataclasses import dataclass

from fhirgw.mappers.datatypes import utc
from fhirgw.mappers.event import AdtEvent, Effect
from fhirgw.terminology import CLASS_STATUS


@dataclass(frozen=True, slots=True)
class Change:
    """A status, and the dateTime from which it held."""

    moment: str
    status: str


@dataclass(frozen=True, slots=True)
class Course:
    """What became of a visit.

    Attributes:
        status: Encounter.status.
        changes: How it came to that, consecutive ones different.
        start: When the visit began, as far as an event says so.
        end: When it ended; None unless it is finished.
        counted: The events whose facts count, in order.
    """

    status: str
    changes: tuple[Change, ...]
    start: str | None
    end: str | None
    counted: tuple[AdtEvent, ...]


def course(events: list[AdtEvent]) -> Course:
    """The course of a visit from its events, each once and in order (``in_order``)."""
    opens = [event for event in events if event.effect is Effect.OPEN]
    closes = [event for event in events if event.effect is Effect.CLOSE or _says_ended(event)]
    undone_opens = _undone_opens(events, opens)
    undone_closes = _undone_closes(events, closes)
    opens_left = [event for event in opens if event.digest not in undone_opens]
    closes_left = [event for event in closes if event.digest not in undone_closes | undone_opens]
    cancelled = not opens_left and any(event.effect is Effect.UNDO_OPEN for event in events)
    if cancelled:
        return Course("cancelled", (), _start(opens), None, tuple(events))
    changes = _changes(opens_left, closes_left)
    status = changes[-1].status if changes else _status_of_updates(events)
    ended = [event for event in closes_left if status == "finished"]
    counted = [e for e in events if e.digest not in undone_opens and e.effect is not Effect.UNDO_OPEN]
    return Course(status, changes, _start(opens_left), _end(ended[-1]) if ended else None, tuple(counted))


def _says_ended(event: AdtEvent) -> bool:
    """PV1-45 means finished in any message (v2-to-FHIR, PV1[Encounter]), save those that undo."""
    return event.effect in (Effect.OPEN, Effect.UPDATE) and "period.end" in event.encounter


def _undone_opens(events: list[AdtEvent], opens: list[AdtEvent]) -> set[str]:
    undone: set[str] = set()
    cancels = [event for event in events if event.effect is Effect.UNDO_OPEN]
    for cancel in sorted(cancels, key=_recorded):
        before = [e for e in opens if e.digest not in undone and _recorded(e) < _recorded(cancel)]
        if before:
            times = {event.order[0] for event in before}
            time = cancel.order[0] if cancel.order[0] in times else max(before, key=_recorded).order[0]
            undone |= {event.digest for event in before if event.order[0] == time}
    return undone


def _undone_closes(events: list[AdtEvent], closes: list[AdtEvent]) -> set[str]:
    undoing = max((_recorded(e) for e in events if e.effect is Effect.UNDO_CLOSE), default=())
    clearing = max((_recorded(e) for e in events if "Encounter.period.end" in e.deletes), default=())
    return {
        event.digest
        for event in closes
        if _recorded(event) < undoing or (event.effect is not Effect.CLOSE and _recorded(event) < clearing)
    }


def _recorded(event: AdtEvent) -> tuple[str, ...]:
    """When it was recorded and sent; at the same instant, what undoes comes after what is undone."""
    return event.order[1:]


def _changes(opens: list[AdtEvent], closes: list[AdtEvent]) -> tuple[Change, ...]:
    moments = [(utc(_begin(e)), 0, _begin(e), CLASS_STATUS.get(e.encounter["class"]["code"])) for e in opens]
    ends = [(utc(_end(event), latest=True), 1, _end(event), "finished") for event in closes]
    changes: list[Change] = []
    for _, _, moment, status in sorted([*moments, *ends], key=lambda change: change[:3]):
        known = status or "in-progress"
        if not changes or changes[-1].status != known:
            changes.append(Change(moment, known))
    return tuple(changes)


def _status_of_updates(events: list[AdtEvent]) -> str:
    """No admission or discharge is known: an A13 says that the visit goes on, an A08 only what its class says."""
    if any(event.effect is Effect.UNDO_CLOSE for event in events):
        return "in-progress"
    return "planned" if events[-1].encounter["class"]["code"] == "P" else "unknown"


def _begin(event: AdtEvent) -> str:
    moment: str = event.encounter.get("period.start") or event.occurred
    return moment


def _end(event: AdtEvent) -> str:
    moment: str = event.encounter.get("period.end") or event.occurred
    return moment


def _start(opens: list[AdtEvent]) -> str | None:
    return min((_begin(event) for event in opens), key=utc, default=None)
