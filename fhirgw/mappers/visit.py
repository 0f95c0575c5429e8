"""The visit as a fold: its resources from all its events, in any order and any number of times, to the same bytes.

First the course of the visit is settled (``course``: which events were undone, what status followed which), then
the facts are laid over one another in order, then the resources are written. Nothing is remembered between folds.

See: the standard's words in ``event.EVENTS``; ``docs/decisions/0022-visit-status.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import orjson

from fhirgw.mappers.course import Course, course
from fhirgw.mappers.datatypes import Json, utc
from fhirgw.mappers.event import AdtEvent, in_order, lay_over
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.person import fold_person, merge_patient
from fhirgw.mappers.segments.person import practitioner_reference
from fhirgw.terminology import (
    CONDITION_CATEGORY,
    CONDITION_VERIFICATION,
    CONFIDENTIALITY,
    PARTICIPATION,
    PROVENANCE_AGENT,
    VERIFICATION,
    sid,
)

__all__ = ["fold_person", "fold_visit", "merge_patient"]

_PARTICIPANTS = {
    "ADM": "admitter",
    "ATND": "attender",
    "CON": "consultant",
    "PART": "Participation",
    "REF": "referrer",
}
_HOSPITALIZATION = ("admitSource", "reAdmission", "dischargeDisposition")
_LOCATION_STATUS = {"in-progress": "active", "finished": "completed", "planned": "planned"}
_ENCOUNTER_DIAGNOSIS = {
    "coding": [{"system": CONDITION_CATEGORY, "code": "encounter-diagnosis", "display": "Encounter Diagnosis"}]
}
_UNRANKED = 1 << 30


def fold_visit(events: Sequence[AdtEvent], patient_id: str, id_key: bytes) -> list[Json]:
    """Everything that is known of one visit, no reference before what it refers to.

    Organization, Locations and Practitioners (by their content, so that an id never changes what it stands for),
    Conditions, the Encounter, its Provenance.

    Args:
        events: All events of the visit; None of them: no resources.
        patient_id: Logical id of the Patient.
        id_key: Key of the logical ids.
    """
    ordered = in_order(events)
    if not ordered or ordered[0].visit is None:
        return []
    key = ordered[0].visit
    visit = _Visit(ordered, key, patient_id, id_key, course(ordered), resource_id(id_key, "Encounter", *key))
    encounter = visit.encounter()
    return [*visit.beside.values(), encounter, visit.provenance()]


@dataclass(slots=True)
class _Visit:
    """One fold at work; ``beside`` gathers the resources that the Encounter refers to, by reference."""

    events: list[AdtEvent]
    key: tuple[str, str]
    patient_id: str
    id_key: bytes
    course: Course
    encounter_id: str
    beside: dict[str, Json] = field(default_factory=dict)

    @property
    def subject(self) -> Json:
        return {"reference": f"Patient/{self.patient_id}"}

    def encounter(self) -> Json:
        """The Encounter; see v2-to-FHIR, PV1[Encounter], PV2[Encounter], DG1[Encounter]."""
        facts: Json = {}
        for event in self.course.counted:
            facts = lay_over(facts, event.encounter, event.deletes, "Encounter")
        elements = {
            "meta": {"security": facts["security"]} if "security" in facts else None,
            "extension": [
                one for name in sorted(facts) if name[:10] == "extension." for one in facts[name]["extension"]
            ],
            "identifier": [facts[name] for name in sorted(facts) if name.startswith("identifier.")],
            "status": self.course.status,
            "statusHistory": self._history(facts),
            "class": facts["class"]["coding"],
            "type": [facts["type"]] if "type" in facts else None,
            "serviceType": facts.get("serviceType"),
            "subject": self.subject,
            "participant": self._participants(facts),
            "period": _period(facts.get("period.start") or self.course.start, self.course.end),
            "reasonCode": facts.get("reasonCode"),
            "hospitalization": self._hospitalization(facts),
            "serviceProvider": self._organization(),
            "location": self._locations(),
            "diagnosis": self._diagnoses(),
        }
        named = {"resourceType": "Encounter", "id": self.encounter_id}
        return named | {name: value for name, value in elements.items() if value}

    def provenance(self) -> Json:
        """Who says so, from which messages; see v2-to-FHIR, EVN[Provenance], MSH[Provenance-Source]."""
        ids = dict.fromkeys((event.sender, event.control_id) for event in self.events if event.control_id)
        sources = [{"identifier": {"system": sid(sender, "message"), "value": value}} for sender, value in ids]
        author = {"system": PROVENANCE_AGENT, "code": "author", "display": "Author"}
        provenance: Json = {
            "resourceType": "Provenance",
            "id": resource_id(self.id_key, "Provenance", *self.key),
            "target": [{"reference": f"Encounter/{self.encounter_id}"}],
            "recorded": max((event.recorded for event in self.events), key=utc),
            "agent": [{"type": {"coding": [author]}, "who": self._organization()}],
        }
        if sources:
            provenance["entity"] = [{"role": "source", "what": what} for what in sources]
        return provenance

    def _by_content(self, content: Json) -> Json:
        """A reference to a resource that is about no patient, under an id that is a hash of all it says."""
        name = _content_id(self.id_key, content["resourceType"], orjson.dumps(content, option=orjson.OPT_SORT_KEYS))
        reference = f"{content['resourceType']}/{name}"
        self.beside.setdefault(reference, content | {"id": name})
        return {"reference": reference}

    def _organization(self) -> Json:
        organization = self.events[-1].organization
        return organization if "reference" in organization else self._by_content(organization)

    def _practitioner(self, practitioner: Json) -> Json:
        """A Practitioner of ours needs a name and an identifier; of less there is only what the message says."""
        if "identifier" in practitioner and "family" in practitioner.get("name", [{}])[0]:
            return self._by_content(practitioner)
        return practitioner_reference(practitioner)

    def _participants(self, facts: Json) -> list[Json]:
        participants = []
        for code, display in _PARTICIPANTS.items():
            kind = [{"coding": [{"system": PARTICIPATION, "code": code, "display": display}]}]
            participants += [
                {"type": kind, "individual": self._practitioner(practitioner)}
                for practitioner in facts.get(f"participant.{code}", ())
            ]
        return participants

    def _hospitalization(self, facts: Json) -> Json:
        said = {name: facts.get(f"hospitalization.{name}") for name in _HOSPITALIZATION}
        if self.course.status != "finished":
            said["dischargeDisposition"] = None  # of a discharge that was undone
        return {name: value for name, value in said.items() if value}

    def _history(self, facts: Json) -> list[Json]:
        """The statuses before the present one."""
        history = []
        for index, (change, following) in enumerate(pairwise(self.course.changes)):
            start = (facts.get("period.start") if index == 0 else None) or change.moment
            history.append({"status": change.status, "period": _stretch(start, following.moment)})
        return history

    def _locations(self) -> list[Json]:
        """Where the patient was: a new entry where the assigned location (PV1-3) differs from the one before."""
        stays: list[tuple[str | None, list[Json]]] = []
        for event in self.course.counted:
            chain = event.encounter.get("location")
            if chain and (not stays or stays[-1][1] != chain):
                stays.append((self.course.start if not stays else event.occurred, chain))
        entries = []
        for index, (start, chain) in enumerate(stays):
            last = index == len(stays) - 1
            entry: Json = {"location": self._place(chain)}
            status = _LOCATION_STATUS.get(self.course.status) if last else "completed"
            period = _stretch(start, self.course.end if last else stays[index + 1][0])
            entries.append(entry | ({"status": status} if status else {}) | ({"period": period} if period else {}))
        return entries

    def _place(self, chain: list[Json]) -> Json:
        reference: Json = {}
        for location in chain:
            reference = self._by_content(location | ({"partOf": reference} if reference else {}))
        return reference

    def _diagnoses(self) -> list[Json]:
        """Conditions of every diagnosis any counted event names, and the Encounter's list of those not in error."""
        found: dict[tuple[str, str, str], Json] = {}
        for event in self.course.counted:
            for diagnosis in event.repeated.get("DG1", ()):
                key = (*_code_key(diagnosis["code"]), diagnosis["kind"])
                found[key] = found.get(key, {}) | diagnosis
        places = []
        for key, diagnosis in found.items():
            reference = self._condition(key, diagnosis)
            if not diagnosis["error"]:
                place = {"condition": reference, "use": diagnosis.get("use"), "rank": diagnosis.get("rank")}
                places.append({name: value for name, value in place.items() if value})
        return sorted(places, key=lambda place: place.get("rank", _UNRANKED))

    def _condition(self, key: tuple[str, str, str], diagnosis: Json) -> Json:
        """One diagnosis; see v2-to-FHIR, DG1[Condition]; US Core 6.1.0, Condition Encounter Diagnosis."""
        name = resource_id(self.id_key, "Condition", *self.key, *key)
        verification = "entered-in-error" if diagnosis["error"] else VERIFICATION.get(diagnosis["kind"])
        restricted = {"system": CONFIDENTIALITY, "code": "R", "display": "restricted"}
        elements = {
            "meta": {"security": [restricted]} if diagnosis.get("restricted") else None,
            "verificationStatus": {"coding": [{"system": CONDITION_VERIFICATION, "code": verification}]}
            if verification
            else None,
            "category": [_ENCOUNTER_DIAGNOSIS],
            "code": diagnosis["code"],
            "subject": self.subject,
            "encounter": {"reference": f"Encounter/{self.encounter_id}"},
            "onsetDateTime": diagnosis.get("onset"),
            "recordedDate": diagnosis.get("recorded"),
            "asserter": self._practitioner(diagnosis["asserter"]) if "asserter" in diagnosis else None,
        }
        condition = {"resourceType": "Condition", "id": name}
        reference = f"Condition/{name}"
        self.beside[reference] = condition | {element: value for element, value in elements.items() if value}
        return {"reference": reference}


@lru_cache(maxsize=4096)  # beds and doctors come again and again
def _content_id(id_key: bytes, resource_type: str, canonical: bytes) -> str:
    return resource_id(id_key, resource_type, "content", canonical.decode())


def _code_key(code: Json) -> tuple[str, str]:
    coding = code.get("coding", [{}])[0]
    return coding.get("system", ""), coding.get("code") or code.get("text", "").casefold()


def _period(start: str | None, end: str | None) -> Json:
    return {name: moment for name, moment in (("start", start), ("end", end)) if moment}


def _stretch(start: str | None, end: str | None) -> Json:
    """A part of the visit; without its end where messages disagree so far that it would lie before its start."""
    return _period(start, None if start and end and utc(end, latest=True) < utc(start) else end)
