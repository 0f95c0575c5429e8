"""What was found, done and observed, as folds: Conditions, Procedures, Observations, AllergyIntolerances.

Law: a function of the set of events, and whatever one event names stays named: what was undone, deleted or left off
a list has a status that says so, and never only ceases to be written, or the order of arrival would decide whether
it is there. Diagnoses, procedures and observations are united over the messages of a visit; the allergies of AL1
are a list that each message gives anew.

See: ``docs/decisions/0101-clinical-segments.md``, ``docs/decisions/0102-allergies.md``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fhirgw.mappers.beside import Beside
from fhirgw.mappers.datatypes import Json, sound_period, utc
from fhirgw.mappers.event import AdtEvent, in_order
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.segments.occurrence import DELETED
from fhirgw.mappers.segments.visit import OBSERVED
from fhirgw.terminology import CONDITION_CATEGORY, CONDITION_VERIFICATION, THO, V2_FIELD, VERIFICATION, VITAL_SIGNS

Key = tuple[str, ...]

_ENCOUNTER_DIAGNOSIS = {
    "coding": [{"system": CONDITION_CATEGORY, "code": "encounter-diagnosis", "display": "Encounter Diagnosis"}]
}
_PROBLEM = {"coding": [{"system": CONDITION_CATEGORY, "code": "problem-list-item", "display": "Problem List Item"}]}
_VITAL_SIGNS = {
    "coding": [{"system": THO + "observation-category", "code": "vital-signs", "display": "Vital Signs"}]
}
_ABSENT = {"coding": [{"system": THO + "data-absent-reason", "code": "unknown", "display": "Unknown"}]}
_DUE_TO = "http://hl7.org/fhir/StructureDefinition/condition-dueTo"
_UNRANKED = 1 << 30
_OBSERVED = frozenset(f"observed.{name}" for name in OBSERVED)
_OF_THE_PERSON = frozenset({"AL1", "IAM"})  # whatever the visit


@dataclass(slots=True)
class Chart:
    """One fold at work: of a visit, or of a person apart from any visit.

    Attributes:
        scope: What owns the ids: the key of the visit, or the sender and the person.
        subject: Reference to the Patient.
        encounter: Reference to the Encounter; None apart from any visit.
        beside: Where practitioners, places and organizations go.
        events: All events, each once, in order.
        counted: Digests of those that were not undone.
        security: Labels that the visit carries as a whole: what was found and done there carries them too.
        resources: What was made, by reference.
    """

    scope: Key
    subject: Json
    encounter: Json | None
    beside: Beside
    events: Sequence[AdtEvent]
    counted: frozenset[str]
    security: list[Json] = field(default_factory=list)
    resources: dict[str, Json] = field(default_factory=dict)

    def reference(self, kind: str, *parts: str) -> str:
        """The reference of a resource of this chart."""
        return f"{kind}/{resource_id(self.beside.id_key, kind, *self.scope, *parts)}"

    def add(self, reference: str, elements: Json) -> Json:
        """Keep a resource, without its empty elements; the Reference to it."""
        kind, _, name = reference.partition("/")
        about = {"subject": self.subject, "encounter": self.encounter}
        own = (elements.get("meta") or {}).get("security", ())
        security = [*self.security, *[one for one in own if one not in self.security]]
        meta = {"security": security} if security else None
        made = {"resourceType": kind, "id": name, **elements, "meta": meta}
        if "patient" not in elements:
            made |= about
        self.resources[reference] = {
            name: value for name, value in made.items() if value or (value is not None and value in (0, ""))
        }
        return {"reference": reference}


def _stand(chart: Chart, kind: str, *, distinct: bool = False) -> dict[Key, Json]:
    """What is said of each thing that any event names; undone ones are marked deleted.

    Args:
        chart: The fold.
        kind: Segment name.
        distinct: Whether equal keys in one message are things of their own.
    """
    for event in chart.events:
        if kind in event.repeated:
            break
    else:  # of most segments no message has any
        return {}
    standing: dict[Key, Json] = {}
    undone: dict[Key, Json] = {}
    for event in chart.events:
        into = standing if event.digest in chart.counted else undone
        times: dict[Key, int] = {}
        for fact in event.repeated.get(kind, ()):
            key = tuple(fact["key"])
            if distinct:
                times[key] = again = times.get(key, 0) + 1
                key = (*key, str(again)) if again > 1 else key
            gone = fact.get("deletes", ())
            before = into.get(key)
            kept = {name: value for name, value in before.items() if name not in gone} if before else {}
            into[key] = kept | fact["said"]
            standing.setdefault(key, {})
    return {key: said or undone[key] | {DELETED: True} if key in undone else said for key, said in standing.items()}


def _security(said: Json) -> Json | None:
    return {"security": said["security"]} if "security" in said else None


def _extensions(said: Json) -> list[Json]:
    found: list[Json] = []
    for name in sorted([name for name in said if name[:10] == "extension."]):
        found += said[name] if isinstance(said[name], list) else [said[name]]
    return found


def _listed(said: Json, prefix: str) -> list[Json]:
    """The lists of the facts of that prefix, in the order of their names."""
    return [one for name in sorted([name for name in said if name.startswith(prefix)]) for one in said[name]]


# Conditions -------------------------------------------------------------------------------------------------------


def conditions(chart: Chart) -> list[Json]:
    """Add the Conditions; the Encounter's list of those that are not in error (Encounter.diagnosis).

    See: v2-to-FHIR, DG1[Condition], DG1[Encounter]; US Core 6.1.0, Condition Encounter Diagnosis, Problems.
    """
    found = {key: said for key, said in _stand(chart, "DG1").items() if "code" in said}
    places = []
    for key, said in found.items():
        reference = _condition(chart, key, said, found)
        if not said.get(DELETED):
            place = {"condition": reference, "use": said.get("use"), "rank": said.get("rank")}
            places.append({name: value for name, value in place.items() if value})
    return sorted(places, key=lambda place: place.get("rank", _UNRANKED))


def _condition(chart: Chart, key: Key, said: Json, found: dict[Key, Json]) -> Json:
    error = bool(said.get(DELETED))
    verification = "entered-in-error" if error else VERIFICATION.get(said.get("kind", ""))
    category = [_ENCOUNTER_DIAGNOSIS if chart.encounter else _PROBLEM]
    if "classification" in said:
        category.append(said["classification"])
    active = {"coding": [{"system": THO + "condition-clinical", "code": "active"}]}
    verified = {"coding": [{"system": CONDITION_VERIFICATION, "code": verification}]}
    elements = {
        "meta": _security(said),
        "extension": [*_extensions(said), *_due_to(chart, said, found)],
        "identifier": said.get("identifier"),
        "clinicalStatus": None if chart.encounter or error else active,
        "verificationStatus": verified if verification else None,
        "category": category,
        "code": said["code"],
        "onsetDateTime": said.get("onsetDateTime"),
        "recordedDate": said.get("recordedDate"),
        "asserter": chart.beside.placed(said.get("asserter")),
        "note": chart.beside.placed(said.get("note")),
    }
    return chart.add(chart.reference("Condition", *key), elements)


def _due_to(chart: Chart, said: Json, found: dict[Key, Json]) -> list[Json]:
    """DG1-22: the Condition of that identifier where the visit has it, else the identifier."""
    parent = said.get("dueTo")
    if parent is None:
        return []
    key = ("id", parent["system"], parent["value"])
    known = {"reference": chart.reference("Condition", *key)}
    return [
        {"url": _DUE_TO, "valueReference": known if key in found else {"type": "Condition", "identifier": parent}}
    ]


# Procedures -------------------------------------------------------------------------------------------------------


def procedures(chart: Chart) -> None:
    """Add the Procedures. See: v2-to-FHIR, PR1[Procedure]; US Core 6.1.0, Procedure."""
    found = {key: said for key, said in _stand(chart, "PR1").items() if "code" in said}
    if not found:
        return
    latest = max(utc(event.recorded) for event in chart.events)
    for key, said in found.items():
        performed = said.get("performed", {})
        elements = {
            "identifier": said.get("identifier"),
            "partOf": _part_of(chart, said, found),
            "status": _procedure_status(said, performed, latest),
            "category": said.get("category"),
            "code": said["code"],
            **performed,
            "performer": chart.beside.placed(_listed(said, "performer.")),
            "location": chart.beside.placed(said.get("location")),
            "reasonCode": said.get("reasonCode"),
            "usedCode": said.get("usedCode"),
            "note": chart.beside.placed(said.get("note")),
        }
        chart.add(chart.reference("Procedure", *key), elements)


def _procedure_status(said: Json, performed: Json, latest: str) -> str:
    """PR1 tells no status: what lies after the last event has not been done yet, what has no time may be either."""
    start = performed.get("performedDateTime") or performed.get("performedPeriod", {}).get("start")
    if said.get(DELETED):
        return "entered-in-error"
    if start is None:
        return "unknown"
    return "completed" if utc(start) <= latest else "preparation"


def _part_of(chart: Chart, said: Json, found: dict[Key, Json]) -> list[Json]:
    """PR1-25: the Procedure of that identifier where the visit has it, else the identifier."""
    parent = said.get("partOf")
    if parent is None:
        return []
    key = ("id", parent["system"], parent["value"])
    known = {"reference": chart.reference("Procedure", *key)}
    return [known if key in found else {"type": "Procedure", "identifier": parent}]


# Observations -----------------------------------------------------------------------------------------------------


def observations(chart: Chart) -> None:
    """Add what OBX, DB1, DRG and PV2 observe. See: v2-to-FHIR, OBX[Observation]; US Core 6.1.0, Observation."""
    for key, said in _stand(chart, "OBX", distinct=True).items():
        _observation(chart, key, said["code"], said)
    for key, said in _stand(chart, "DB1").items():
        _observation(chart, ("DB1", *key), _field("DB1-4", "Disability Indicator"), _disability(said))
    for key, said in _stand(chart, "DRG").items():
        values = [{"valueCodeableConcept": one} for one in said["value"]]
        told = said | {"value": values, "status": {"status": "final"}}
        _observation(chart, key, _field("DRG-1", "Diagnostic Related Group"), told)
    observed = any(not _OBSERVED.isdisjoint(event.encounter) for event in chart.events)
    for name, (_, __, display) in OBSERVED.items() if observed else ():
        for said in _observed(chart, name):
            _observation(chart, (name,), _field(name, display), said)


def _field(name: str, display: str) -> Json:
    """The question that a field of HL7 v2 asks, as a code."""
    return {"coding": [{"system": V2_FIELD, "code": name, "display": display}]}


def _disability(said: Json) -> Json:
    period = {end: moment for end in ("start", "end") if (moment := said.get(f"effectivePeriod.{end}"))}
    components = [
        {"code": _field(name, display), "valueDateTime": moment}
        for name, display in (
            ("DB1-7", "Disability Return to Work Date"),
            ("DB1-8", "Disability Unable to Work Date"),
        )
        if (moment := said.get(f"component.{name}"))
    ]
    return said | {"effectivePeriod": sound_period(period), "component": components, "status": {"status": "final"}}


def _observed(chart: Chart, name: str) -> Iterator[Json]:
    """What the last counted event says of a field of PV2; in error once nothing says it any more."""
    fact = f"observed.{name}"
    said: Json | None = None
    for event in chart.events:
        if fact in event.encounter:
            said = said or {DELETED: True}
        if event.digest not in chart.counted:
            continue
        if f"Encounter.{fact}" in event.deletes:
            said = said and {DELETED: True}
        if fact in event.encounter:
            values = [{"valueCodeableConcept": one} for one in event.encounter[fact]]
            moment = event.encounter.get(f"verified.{name}") or event.occurred
            said = {"value": values, "status": {"status": "final"}, "effectiveDateTime": moment}
    if said:
        yield said


def _observation(chart: Chart, key: Key, code: Json, said: Json) -> None:
    status = {"status": "entered-in-error"} if said.get(DELETED) else said.get("status", {"status": "unknown"})
    values = said.get("value") or []
    first = values[0] if len(values) == 1 else {}
    components = [{"code": code, **one} for one in values] if len(values) > 1 else []
    components += said.get("component", ())
    absent = said.get("absent") or status.get("dataAbsentReason") or _ABSENT
    vital = any(coding.get("code") in VITAL_SIGNS for coding in code.get("coding", ()))
    elements = {
        "meta": _security(said),
        "extension": [*_extensions(said), *first.get("extension", ())],
        "identifier": said.get("identifier"),
        **{name: value for name, value in status.items() if name != "dataAbsentReason"},
        "category": [_VITAL_SIGNS] if vital else None,
        "code": code,
        "effectiveDateTime": said.get("effectiveDateTime"),
        "effectivePeriod": said.get("effectivePeriod"),
        "performer": chart.beside.placed(_listed(said, "performer.")),
        **{name: value for name, value in first.items() if name != "extension"},
        "dataAbsentReason": None if values or components else absent,
        "interpretation": said.get("interpretation"),
        "note": chart.beside.placed(said.get("note")),
        "bodySite": said.get("bodySite"),
        "method": said.get("method"),
        "device": said["device"][0] if said.get("device") else None,
        "referenceRange": said.get("referenceRange"),
        "component": components,
    }
    chart.add(chart.reference("Observation", *key), elements)


# Allergies --------------------------------------------------------------------------------------------------------


def allergies(chart: Chart) -> None:
    """Add the AllergyIntolerances. See: v2-to-FHIR, AL1[…], IAM[…]; US Core 6.1.0, AllergyIntolerance."""
    lists = [event for event in chart.events if event.digest in chart.counted and "AL1" in event.repeated]
    present = {tuple(fact["key"]) for fact in lists[-1].repeated["AL1"]} if lists else set()
    for key, said in _stand(chart, "AL1").items():
        if "code" in said:
            _allergy(chart, ("AL1", *key), said | {"listed": key in present and not said.get(DELETED)})
    for key, said in _stand(chart, "IAM").items():
        if "code" in said:
            _allergy(chart, ("IAM", *key), said | {"listed": said["listed"] and not said.get(DELETED)})


def _allergy(chart: Chart, key: Key, said: Json) -> None:
    status = said.get("status", {})
    verification = status.get("verification")
    clinical = status.get("clinical", "active") if said["listed"] else "inactive"
    if verification == "entered-in-error":
        clinical = None
    clinical_status = {"coding": [{"system": THO + "allergyintolerance-clinical", "code": clinical}]}
    verified = {"coding": [{"system": THO + "allergyintolerance-verification", "code": verification}]}
    note = [{"text": said["reason"]}] if "reason" in said else []
    elements = {
        "identifier": said.get("identifier"),
        "clinicalStatus": clinical_status if clinical else None,
        "verificationStatus": verified if verification else None,
        **said.get("kind", {}),
        **said.get("sensitivity", {}),
        "code": said["code"],
        "patient": chart.subject,
        "onsetDateTime": said.get("onsetDateTime"),
        "onsetString": None if "onsetDateTime" in said else said.get("onsetString"),
        "recordedDate": said.get("recordedDate"),
        "recorder": chart.beside.placed(said.get("recorder")),
        "asserter": _asserter(chart, said.get("asserter")),
        "note": [*note, *chart.beside.placed(said.get("note", []))],
        **_reaction(said),
    }
    chart.add(chart.reference("AllergyIntolerance", *key), elements)


def _asserter(chart: Chart, who: Json | None) -> Json | None:
    if who is None or "resourceType" in who:
        return chart.beside.refer(who) if who else None
    return chart.subject if who["type"] == "Patient" else who


def _reaction(said: Json) -> Json:
    """The severity is of the reaction where there is one, else the criticality of the allergy."""
    told: Json = said.get("severity", {})
    severity, criticality = told.get("severity"), told.get("criticality", {})
    if not said.get("manifestation"):
        return dict(criticality)
    reaction = {"manifestation": said["manifestation"]} | ({"severity": severity} if severity else {})
    return {"reaction": [reaction]} | ({} if severity else criticality)


# What belongs to no visit -----------------------------------------------------------------------------------------


def fold_chart(events: Sequence[AdtEvent], patient_id: str, id_key: bytes, source: str = "") -> list[Json]:
    """The allergies that one sender tells of, and what its messages without a visit say was found, done, observed.

    Args:
        events: Events of one person from one sender, in any order, any number of times.
        patient_id: Logical id of the Patient.
        id_key: Key of the logical ids.
        source: What the ids are made of beside the person; none: the sender's name.
    """
    ordered = in_order(events)
    visited = all(event.visit for event in ordered)
    if visited and all(_OF_THE_PERSON.isdisjoint(event.repeated) for event in ordered):
        return []
    beside, subject = Beside(id_key), {"reference": f"Patient/{patient_id}"}
    every = frozenset(event.digest for event in ordered)
    scope = (source or ordered[0].sender, patient_id)
    made = Chart(scope, subject, None, beside, ordered, every)
    allergies(made)
    if visited:
        return [*beside.resources.values(), *made.resources.values()]
    apart = Chart(scope, subject, None, beside, [event for event in ordered if not event.visit], every)
    conditions(apart)
    procedures(apart)
    observations(apart)
    return [*beside.resources.values(), *made.resources.values(), *apart.resources.values()]
