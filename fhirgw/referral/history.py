"""A person's visits as the store has them: as they are now, and as they were told before anything was undone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Any

from fhirgw.consent.vocabulary import NORMAL
from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.trigger_events import Effect
from fhirgw.referral.criteria import Diagnosis, Visit
from fhirgw.store import repository, visits
from fhirgw.store.database import Transaction
from fhirgw.terminology import BASE, CONDITION_VERIFICATION

Json = dict[str, Any]

CONTACT_MODE = f"{BASE}/CodeSystem/icm-contact-mode"
"""Encounters with a type of this system are the programme's own contacts."""
EXPIRED = frozenset({"20", "40", "41", "42", "exp"})
"""Discharge dispositions of the dead: NUBC, Patient Discharge Status 20, 40, 41, 42 (HL7 v2.5.1 table 0112); FHIR
R4 discharge-disposition ``exp``."""
_NO_VISIT = frozenset({"planned", "cancelled", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Both:
    """A visit as it is, and as it was told: with every class it was given, and without what was undone since.

    What the second meets and the first does not has been withdrawn.
    """

    now: Visit
    told: Visit


class Person:
    """What rules read of one person, in one unit of work."""

    def __init__(self, tx: Transaction, patient: str, id_key: bytes) -> None:
        """Read nothing yet: most rules ask of one visit alone."""
        self._tx, self.patient, self._key = tx, patient, id_key

    @cached_property
    def picture(self) -> Json:
        """The Patient as outsiders may see it: no hidden visit has left anything on it."""
        found = repository.present(self._tx, "Patient", self.patient)
        return found.body if found else {}

    @cached_property
    def birth(self) -> date | None:
        """Patient.birthDate, where it is a day."""
        moment = _instant(self.picture.get("birthDate"))
        return moment.date() if moment else None

    @cached_property
    def visits(self) -> list[Both]:
        """All of them, with the history that came with a referral; not the programme's own contacts."""
        found = repository.of_patient(self._tx.connection, self.patient, "Encounter")
        return [self._both(one, self._told(one)) for one in found if not _is_contact(one.body)]

    def visit(self, encounter: str, events: Sequence[AdtEvent]) -> Both | None:
        """One visit, of which this was told, if it is this person's."""
        found = repository.present(self._tx, "Encounter", encounter)
        return self._both(found, events) if found is not None and found.patient == self.patient else None

    def encounter(self, key: tuple[str, str]) -> str:
        """Logical id of the visit's Encounter."""
        return resource_id(self._key, "Encounter", *key)

    def task(self, *what: str) -> Json | None:
        """The person's own Task of this name (``task_id``), whatever its status."""
        found = repository.present(self._tx, "Task", self.task_id(*what))
        return found.body if found else None

    def task_id(self, *what: str) -> str:
        """Logical id of a Task of which a person has one."""
        return resource_id(self._key, "Task", *what, self.patient)

    def organization(self, system: str, value: str) -> str:
        """Reference to an Organization by its first identifier."""
        return f"Organization/{resource_id(self._key, 'Organization', system, value)}"

    def _told(self, stored: repository.Stored) -> list[AdtEvent]:
        return [told.event for told in visits.of_encounter(self._tx.direct, stored.id)]

    def _both(self, stored: repository.Stored, events: Sequence[AdtEvent]) -> Both:
        body = stored.body
        status = body["status"]
        visit = Visit(
            id=stored.id,
            counts=status not in _NO_VISIT,
            finished=status == "finished",
            died=status == "finished" and bool(EXPIRED & set(_codes(_disposition(body)))),
            classes=frozenset(_classes(body)),
            services=frozenset(_codes(body.get("serviceType"))),
            units=frozenset(_units(events)),
            senders=frozenset(event.sender for event in events),
            start=_instant(body.get("period", {}).get("start")),
            end=_instant(body.get("period", {}).get("end")) if status == "finished" else None,
            diagnoses=tuple(self._diagnoses(body)),
            level=(stored.labels.labels, stored.labels.conf),
            hospital=body.get("serviceProvider", {}).get("reference"),
        )
        ended = (event for event in events if visit.end and _ends(event) and _end(event) == visit.end)
        visit = replace(visit, told=_recorded(events), told_end=_recorded(ended))
        return Both(visit, _as_told(visit, events))

    def _diagnoses(self, body: Json) -> Iterable[Diagnosis]:
        for place in body.get("diagnosis", ()):
            reference = place.get("condition", {}).get("reference", "")
            found = repository.present(self._tx, "Condition", reference.partition("/")[2])
            if found is None or found.patient != self.patient:
                continue
            verified = found.body.get("verificationStatus", {}).get("coding", [])
            if {"system": CONDITION_VERIFICATION, "code": "entered-in-error"} in verified:
                continue
            level = (found.labels.labels, found.labels.conf)
            for code in _codes(found.body.get("code")):
                yield Diagnosis(reference, code.replace(".", ""), level)


def is_open(level: tuple[int, int]) -> bool:
    """Whether what has these labels may be known to whoever may see the person."""
    return level[0] == 0 and level[1] <= NORMAL


def _recorded(events: Iterable[AdtEvent]) -> datetime | None:
    """When the hospital first recorded one of these."""
    return min((at for event in events if (at := _instant(event.recorded))), default=None)


def _ends(event: AdtEvent) -> bool:
    return event.effect is Effect.CLOSE or "period.end" in event.encounter


def _end(event: AdtEvent) -> datetime | None:
    return _instant(event.encounter.get("period.end") or event.occurred)


def _as_told(visit: Visit, events: Sequence[AdtEvent]) -> Visit:
    """A function of the set of events, as the fold is: whoever heard them in another order has the same."""
    began = [event for event in events if event.effect is Effect.OPEN]
    ended = [event for event in events if _ends(event)]
    if not events:
        return visit
    starts = [_instant(event.encounter.get("period.start") or event.occurred) for event in began]
    classes = {event.encounter["class"]["coding"]["code"] for event in events if "class" in event.encounter}
    services = {code for event in events for code in _codes(event.encounter.get("serviceType"))}
    return replace(
        visit,
        counts=visit.counts or bool(began or ended),
        finished=visit.finished or bool(ended),
        classes=visit.classes | classes,
        services=visit.services | services,
        start=visit.start or min((at for at in starts if at), default=None),
        end=max((at for at in (visit.end, *map(_end, ended)) if at), default=None),
        told_end=visit.told_end or _recorded(ended),
    )


def _classes(body: Json) -> Iterable[str]:
    yield body["class"].get("code", "")
    for before in body.get("classHistory", ()):
        yield before.get("class", {}).get("code", "")


def _codes(concept: Json | None) -> Iterable[str]:
    """The codes of a CodeableConcept; its text where it has none."""
    codings = (concept or {}).get("coding", [])
    for coding in codings:
        if "code" in coding:
            yield coding["code"]
    if concept and not codings and "text" in concept:
        yield concept["text"]


def _disposition(body: Json) -> Json | None:
    found: Json | None = body.get("hospitalization", {}).get("dischargeDisposition")
    return found


def _units(events: Iterable[AdtEvent]) -> Iterable[str]:
    """Names of the places, innermost to outermost, that any event gives."""
    for event in events:
        place = event.encounter.get("location")
        while place:
            yield from (place[name] for name in ("name",) if name in place)
            yield from (one["value"] for one in place.get("identifier", ()) if "value" in one)
            place = place.get("partOf")


def _is_contact(body: Json) -> bool:
    return any(
        coding.get("system") == CONTACT_MODE for kind in body.get("type", ()) for coding in kind.get("coding", ())
    )


def _instant(moment: str | None) -> datetime | None:
    """An instant of a dateTime; a day without a time is that day everywhere; of less, nothing can be counted."""
    if moment is None or len(moment) < 10:
        return None
    if len(moment) == 10:
        return datetime.combine(date.fromisoformat(moment), time(12), UTC)
    return datetime.fromisoformat(moment)
