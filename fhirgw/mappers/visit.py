"""The visit as a fold: its resources from all its events, in any order and any number of times, to the same bytes.

First the course of the visit is settled (``course``: which events were undone, what status followed which), then
the facts are laid over one another in order, then the resources are written. Nothing is remembered between folds.

See: the standard's words in ``trigger_events.EVENTS``; ``docs/decisions/0022-visit-status.md``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from fhirgw.mappers.beside import Beside
from fhirgw.mappers.clinical import Chart, conditions, observations, procedures
from fhirgw.mappers.course import Course, course
from fhirgw.mappers.datatypes import Json, utc
from fhirgw.mappers.event import AdtEvent, in_order, lay_over
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.person import fold_person, merge_patient
from fhirgw.mappers.provenance import agents, recorded, sources
from fhirgw.mappers.standing import last_of, roles
from fhirgw.mappers.stays import classes, doctors, places, stretch
from fhirgw.mappers.trigger_events import Effect
from fhirgw.terminology import PARTICIPATION, PLANNED_END, PLANNED_START, PROVENANCE_AGENT

__all__ = ["fold_person", "fold_visit", "merge_patient"]

_PARTICIPANTS: Mapping[str, list[Json]] = {
    code: [{"coding": [{"system": PARTICIPATION, "code": code, "display": display}]}]
    for code, display in (
        ("ADM", "admitter"),
        ("ATND", "attender"),
        ("CON", "consultant"),
        ("PART", "Participation"),
        ("REF", "referrer"),
    )
}
_HOSPITALIZATION = {
    name: f"hospitalization.{name}"
    for name in (
        "preAdmissionIdentifier",
        "admitSource",
        "reAdmission",
        "dietPreference",
        "specialCourtesy",
        "specialArrangement",
        "destination",
        "dischargeDisposition",
    )
}
"""Elements, and the facts that they come from."""
_NUMBERED = ("arrangement", "courtesy", "extension", "security", "type")
"""What several fields make facts of, or several facts of one field."""
_OF_DISCHARGE = ("destination", "dischargeDisposition")
_OPERATOR = {"coding": [{"system": PROVENANCE_AGENT, "code": "enterer", "display": "Enterer"}]}
_UNKNOWN = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
    "code": "UNK",
    "display": "unknown",
}
"""The class of a visit of which only merges and moves were told."""


def fold_visit(
    events: Sequence[AdtEvent], patient_id: str, id_key: bytes, key: tuple[str, str] | None = None
) -> list[Json]:
    """Everything that is known of one visit, no reference before what it refers to.

    Organization, Locations and Practitioners (by their content, so that an id never changes what it stands for),
    Conditions, the Encounter, its Provenance.

    Args:
        events: All events of the visit; None of them: no resources.
        patient_id: Logical id of the Patient.
        id_key: Key of the logical ids.
        key: What the visit is known by now, where it was merged or renumbered; None: by its events' own key.
    """
    ordered = [event for event in in_order(events) if event.visit]
    if not ordered:
        return []
    key = key or ordered[0].visit or ("", "")
    encounter_id = resource_id(id_key, "Encounter", *key)
    settled, beside = course(ordered), Beside(id_key)
    subject = {"reference": f"Patient/{patient_id}"}
    counted = frozenset(event.digest for event in settled.counted)
    chart = Chart(key, subject, {"reference": f"Encounter/{encounter_id}"}, beside, ordered, counted)
    visit = _Visit(ordered, key, subject, beside, chart, settled, encounter_id)
    encounter, provenance = visit.encounter(), visit.provenance()
    diagnosed = len(chart.resources)  # the Encounter refers to its Conditions; what comes later refers to it
    procedures(chart)
    observations(chart)
    made = list(chart.resources.values())
    return [*beside.resources.values(), *made[:diagnosed], encounter, provenance, *made[diagnosed:]]


@dataclass(slots=True)
class _Visit:
    """One fold at work; ``chart`` and ``beside`` gather the resources that the Encounter refers to."""

    events: list[AdtEvent]
    key: tuple[str, str]
    subject: Json
    beside: Beside
    chart: Chart
    course: Course
    encounter_id: str

    def encounter(self) -> Json:
        """The Encounter; see v2-to-FHIR, PV1[Encounter], PV2[Encounter], DG1[Encounter]."""
        facts: Json = {}
        for event in self.course.told:
            facts = lay_over(facts, _planned(event) | event.encounter, event.deletes, "Encounter")
        numbered = _numbered(facts)
        self.chart.security = _once(one for security in numbered["security"] for one in security)
        elements = {
            "meta": {"security": self.chart.security} if self.chart.security else None,
            "extension": [one for said in numbered["extension"] for one in said["extension"]]
            + last_of(self.course.told, "ACC"),
            "identifier": self._identifiers(facts),
            "status": self.course.status,
            "statusHistory": self._history(facts),
            "class": facts["class"]["coding"] if "class" in facts else _UNKNOWN,
            "classHistory": [{"class": one.value, "period": one.period} for one in classes(self.course)],
            "type": [one for said in numbered["type"] for one in (said if isinstance(said, list) else [said])],
            "serviceType": facts.get("serviceType"),
            "priority": facts.get("priority"),
            "subject": self.subject,
            "episodeOfCare": [facts["episode"]] if "episode" in facts else None,
            "participant": self._participants(),
            "period": stretch(facts.get("period.start") or self.course.start, self.course.end),
            "length": facts.get("length"),
            "reasonCode": facts.get("reasonCode"),
            "hospitalization": self._hospitalization(facts, numbered),
            "serviceProvider": self._organization(),
            "location": self._locations(),
            "diagnosis": conditions(self.chart),
        }
        named = {"resourceType": "Encounter", "id": self.encounter_id}
        return named | {name: value for name, value in elements.items() if value}

    def provenance(self) -> Json:
        """Who says so, from which messages; see v2-to-FHIR, EVN[Provenance], MSH[Provenance-Source]."""
        provenance: Json = {
            "resourceType": "Provenance",
            "id": resource_id(self.beside.id_key, "Provenance", *self.key),
            "target": [{"reference": f"Encounter/{self.encounter_id}"}],
            "recorded": recorded(self.events),
            "agent": agents(self.events, self.beside),
        }
        times = sorted([event.occurred for event in self.events], key=utc)
        if len(times) > 1:
            provenance["occurredPeriod"] = stretch(times[0], times[-1])
        else:
            provenance["occurredDateTime"] = times[0]
        said = [fact for event in self.events for fact in event.repeated.get("EVN", ())]
        operators = _once(one for fact in said for one in fact.get("operator", ()))
        places = [fact["facility"] for fact in said if "facility" in fact]
        provenance["agent"] += [{"type": _OPERATOR, "who": self.beside.refer(one)} for one in operators]
        more = {
            "reason": _once(fact["reason"] for fact in said if "reason" in fact),
            "location": self.beside.refer(places[-1]) if places else None,
            "entity": sources(self.events),
        }
        return provenance | {name: value for name, value in more.items() if value}

    def _organization(self) -> Json:
        return self.beside.party(self.events[-1].organization)

    def _identifiers(self, facts: Json) -> list[Json]:
        """What the visit is numbered by; a number that it had before is an old one."""
        numbers = [event.encounter.get("identifier.1") for event in self.course.told]
        present = next((one for one in numbers if one and (one["system"], one["value"]) == self.key), None)
        listed = facts | ({"identifier.1": present} if present else {})
        old = {orjson.dumps(one): one for one in numbers if one and present and one["value"] != present["value"]}
        others = listed.get("identifier.3", [])
        return [listed[name] for name in ("identifier.1", "identifier.2") if name in listed] + [
            *others,
            *(one | {"use": "old"} for _, one in sorted(old.items())),
        ]

    def _participants(self) -> list[Json]:
        participants = []
        for code, taking_part in doctors(self.course).items():
            for one in taking_part:
                when = {"period": one.period} if one.period else {}
                individual = self.beside.refer(one.value)
                participants.append({"type": _PARTICIPANTS[code], **when, "individual": individual})
        others = map(self._role, roles(self.course.told, "PV1"))
        return participants + [one for one in others if one not in participants]

    def _role(self, fact: Json) -> Json:
        """Who takes part by ROL or PRT; see v2-to-FHIR, ROL[Encounter-PractitionerRole]."""
        when = {"period": fact["period"]} if "period" in fact else {}
        kind = {"type": [fact["role"]]} if "role" in fact else {}
        return {**kind, **when, "individual": self.beside.refer(fact["member"])}

    def _hospitalization(self, facts: Json, numbered: Mapping[str, list[Any]]) -> Json:
        said = {name: facts[fact] for name, fact in _HOSPITALIZATION.items() if fact in facts}
        if self.course.status != "finished":
            for name in _OF_DISCHARGE:  # of one that was undone
                said.pop(name, None)
        if "dietPreference" in said:
            said["dietPreference"] = [said["dietPreference"]]
        if "destination" in said:
            said["destination"] = self.beside.placed(said["destination"])
        said["specialCourtesy"] = numbered["courtesy"]
        said["specialArrangement"] = _once(one for arrangement in numbered["arrangement"] for one in arrangement)
        return {name: said[name] for name in _HOSPITALIZATION if said.get(name)}

    def _history(self, facts: Json) -> list[Json]:
        """The statuses before the present one."""
        history = []
        for index, (change, following) in enumerate(pairwise(self.course.changes)):
            start = (facts.get("period.start") if index == 0 else None) or change.moment
            history.append({"status": change.status, "period": stretch(start, following.moment)})
        return history

    def _locations(self) -> list[Json]:
        """Where the patient was, is and is to go."""
        entries = []
        for one in places(self.course):
            entry = {"location": self.beside.refer(one.value), "status": one.status, "period": one.period}
            entries.append({name: value for name, value in entry.items() if value})
        return entries


def _planned(event: AdtEvent) -> Json:
    """EVN-3, the time an event is planned to occur, as facts of the visit that it plans to begin or to end."""
    what = "end" if event.trigger == "A16" else "start" if event.effect is Effect.PLAN else None
    if what is None:
        return {}
    moment = next((fact["planned"] for fact in event.repeated.get("EVN", ()) if "planned" in fact), None)
    if moment is None:
        return {}
    url = {"start": PLANNED_START, "end": PLANNED_END}[what]
    return {f"extension.planned{what.title()}": {"extension": [{"url": url, "valueDateTime": moment}]}}


def _once(values: Iterable[Json]) -> list[Json]:
    """Each thing once, in the order in which they came."""
    found: list[Json] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _numbered(facts: Json) -> Mapping[str, list[Any]]:
    """The facts by what they are facts of: ``type`` has ``type.1`` and ``type.2``, in the order of their names."""
    numbered: dict[str, list[Any]] = {name: [] for name in _NUMBERED}
    for name in sorted([name for name in facts if name.partition(".")[0] in numbered]):
        numbered[name.partition(".")[0]].append(facts[name])
    return numbered
