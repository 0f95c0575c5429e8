"""One ADT message: what is checked before it is acknowledged, and what it says.

``extract`` is pure and cheap: it runs before the ACK. Everything wrong with a message is reported at once.
See: HL7 v2.5.1 ch. 2.14 (MSH) and 3.4 (EVN, PID, PV1); the v2-to-FHIR guide for the maps.
"""

import hashlib
from collections.abc import Callable, Mapping

from fhirgw.errors import MissingElement, UnsupportedMessage
from fhirgw.mappers.datatypes import Json, Scope, datetime_to_instant, hd_to_system, utc
from fhirgw.mappers.event import EVENTS, AdtEvent, Effect, EventSemantics, MapContext
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.person import fold_person, merge_patient
from fhirgw.mappers.record import fold_record
from fhirgw.mappers.segments.person import nk1_to_contacts, obx_to_patient, pd1_to_patient, pid_to_patient
from fhirgw.mappers.segments.reading import Facts, Reading, valued
from fhirgw.mappers.segments.visit import dg1_to_diagnosis, pv1_to_encounter, pv2_to_encounter, visit_identifier
from fhirgw.mappers.visit import fold_visit
from fhirgw.mappers.zsegments import with_z_fields, z_to_extensions
from fhirgw.terminology import BASE, URI_IDENTIFIER, sid
from fhirgw.v2.codec import Message, Segment, encode

__all__ = ["EVENTS", "AdtEvent", "Effect", "EventSemantics", "MapContext", "extract", "map_message"]

Identifiers = tuple[tuple[str, str, str | None], ...]

REPEATED: Mapping[str, Callable[[Segment, Reading], Json | None]] = {"DG1": dg1_to_diagnosis}
"""Segments that repeat, and what reads one of them; None of it where the segment says nothing."""


def extract(message: Message, context: MapContext) -> AdtEvent:
    """The event that a message tells of.

    Raises:
        ExceptionGroup: Every GatewayError found. UnsupportedMessage (MSH-9) comes alone: what the rest of such a
            message should hold is not known.
    """
    msh = message.segments[0]
    trigger = _trigger(message)
    digest = hashlib.sha256(encode(message)).hexdigest()
    message = with_z_fields(message, context.sender.z)
    reading = Reading(Scope(context.name, valued(msh, 4), context.sender, context.sender.tz))
    person, encounter = Facts("Patient"), Facts("Encounter")
    identifiers = _person(message, person, reading)
    _visit(message, EVENTS[trigger], encounter, reading)
    z_to_extensions(message, context.sender.z, person, encounter)
    repeated = _repeated(message, reading)
    occurred, recorded, sent = _times(message, reading)
    if reading.problems:
        raise ExceptionGroup("the message cannot be mapped", reading.problems)
    return AdtEvent(
        trigger=trigger,
        control_id=valued(msh, 10),
        sender=context.name,
        digest=digest,
        order=(utc(occurred), utc(recorded), utc(sent), str(EVENTS[trigger].rank), digest),
        occurred=occurred,
        recorded=datetime_to_instant(recorded, reading.scope.zone),
        identifiers=identifiers,
        visit=_visit_key(encounter.values, identifiers, occurred, reading.scope),
        organization=_organization(msh, context, reading.scope),
        person=person.values,
        encounter=encounter.values,
        repeated=repeated,
        deletes=(*person.deletes, *encounter.deletes),
    )


def map_message(message: Message, context: MapContext) -> Json:
    """A transaction Bundle of this message alone: no history, no store, the same bytes for the same message.

    ``Bundle.identifier.value`` is MSH-10, or the digest of the bytes where it is empty.

    Raises:
        ExceptionGroup: As ``extract``.
    """
    event = extract(message, context)
    system, value, _ = event.identifiers[0]
    patient_id = resource_id(context.id_key, "Patient", system, value)
    resources = [merge_patient(patient_id, {context.name: fold_person([event])})]
    if event.visit:
        resources += fold_visit([event], patient_id, context.id_key)
    resources += fold_record([event], patient_id, context.id_key)
    return {
        "resourceType": "Bundle",
        "identifier": {"system": sid(context.name, "message"), "value": event.control_id or event.digest},
        "type": "transaction",
        "timestamp": event.recorded,
        "entry": [_entry(resource) for resource in resources],
    }


def _entry(resource: Json) -> Json:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": f"{BASE}/{url}", "resource": resource, "request": {"method": "PUT", "url": url}}


def _trigger(message: Message) -> str:
    """MSH-9.2, or EVN-1 where a sender of before v2.3.1 leaves MSH-9.2 out."""
    msh, evn = message.segments[0], message.first("EVN")
    if valued(msh, 9) != "ADT":
        text = "This gateway takes ADT messages."
        raise ExceptionGroup("unsupported", [UnsupportedMessage(text, location="MSH-9.1", err="200")])
    trigger = valued(msh, 9, 2) or (valued(evn, 1) if evn else "")
    if trigger not in EVENTS:
        text = f"This gateway takes the events {', '.join(EVENTS)}."
        raise ExceptionGroup("unsupported", [UnsupportedMessage(text, location="MSH-9.2", err="201")])
    return trigger


def _times(message: Message, reading: Reading) -> tuple[str, str, str]:
    """When it occurred (EVN-6), was recorded (EVN-2), was sent (MSH-7), each falling back on the others."""
    evn = message.first("EVN")
    known = len(reading.problems)
    occurred, recorded = reading.time(evn, 6), reading.time(evn, 2)
    sent = reading.time(message.segments[0], 7)
    if not (occurred or recorded or sent) and len(reading.problems) == known:
        text = "Neither EVN-6, EVN-2 nor MSH-7 says when this happened."
        reading.problems.append(MissingElement(text, location="MSH-7"))
    return (
        occurred or recorded or sent or "",
        recorded or sent or occurred or "",
        sent or recorded or occurred or "",
    )


def _person(message: Message, facts: Facts, reading: Reading) -> Identifiers:
    """Read the person; the identifiers that name an authority, without one of which nobody is identified."""
    pid = message.first("PID")
    if pid is None:
        text = "The message has no PID segment."
        reading.problems.append(MissingElement(text, location="PID", err="100"))
        return ()
    before = len(reading.problems)
    pid_to_patient(pid, facts, reading)
    pd1 = message.first("PD1")
    if pd1:
        pd1_to_patient(pd1, facts, reading)
    nk1_to_contacts(message.all("NK1"), facts, reading)
    obx_to_patient(message.all("OBX"), facts)
    found = facts.values.get("identifier", {}).get("identifier", [])
    if not found and not any(problem.location == "PID-3" for problem in reading.problems[before:]):
        reading.problems.append(MissingElement("The patient has no identifier.", location="PID-3"))
    named = tuple(
        (identifier["system"], identifier["value"], _kind(identifier))
        for identifier in found
        if "system" in identifier
    )
    if found and not named:
        text = "No patient identifier names its assigning authority, and the sender has no default one registered."
        reading.problems.append(MissingElement(text, location="PID-3.4"))
    return named


def _kind(identifier: Json) -> str | None:
    kind: str | None = identifier["type"]["coding"][0]["code"] if "type" in identifier else None
    return kind


def _visit(message: Message, semantics: EventSemantics, facts: Facts, reading: Reading) -> None:
    """Read the visit."""
    pv1 = message.first("PV1")
    if pv1 is None:
        if semantics.visit:
            text = "The message has no PV1 segment, and its event is about a visit."
            reading.problems.append(MissingElement(text, location="PV1", err="100"))
        return
    pv1_to_encounter(pv1, facts, reading)
    pv2, pid = message.first("PV2"), message.first("PID")
    if pv2:
        pv2_to_encounter(pv2, facts, reading)
    if pid and "identifier.1" not in facts.values:
        account = visit_identifier(pid, 18, reading, "AN")
        if account:
            facts.values["identifier.2"] = account


def _repeated(message: Message, reading: Reading) -> dict[str, tuple[Json, ...]]:
    """The facts of the segments that repeat, by segment name."""
    found = {
        name: tuple(fact for segment in message.all(name) if (fact := read(segment, reading)))
        for name, read in REPEATED.items()
    }
    return {name: facts for name, facts in found.items() if facts}


def _visit_key(encounter: Json, identifiers: Identifiers, occurred: str, scope: Scope) -> tuple[str, str] | None:
    """What makes messages one visit: PV1-19, else PID-18, else the person and the admission time.

    See: ``docs/decisions/0021-visit-key.md``.
    """
    if not encounter:
        return None
    for name, prefix in (("identifier.1", ""), ("identifier.2", "account ")):
        if name in encounter:
            return encounter[name]["system"], prefix + encounter[name]["value"]
    system, value, _ = min(identifiers, key=lambda identifier: (identifier[2] != "MR", *identifier[:2]))
    stay = "|".join((system, value, utc(encounter.get("period.start") or occurred)))
    return sid(scope.name, scope.facility, "stay"), stay


def _organization(msh: Segment, context: MapContext, scope: Scope) -> Json:
    """The sending facility: the registered Organization, else one made of MSH-4 (MSH-3, the sender's name)."""
    if context.sender.organization:
        return {"reference": f"Organization/{context.sender.organization}"}
    name = scope.facility or valued(msh, 3) or context.name
    identifier = {"system": sid(context.name, "facility"), "value": name}
    universal = hd_to_system(None, valued(msh, 4, 2) or None, valued(msh, 4, 3) or None, scope)
    if universal and universal.startswith("urn:"):
        identifier = {"system": URI_IDENTIFIER, "value": universal}
    return {"resourceType": "Organization", "identifier": [identifier], "active": True, "name": name}
