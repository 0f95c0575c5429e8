"""One ADT message: what is checked before it is acknowledged, and what it says.

``extract`` is pure and cheap: it runs before the ACK. Everything wrong with a message is reported at once.
See: HL7 v2.5.1 ch. 2.14 (MSH) and 3.4 (EVN, PID, PV1); the v2-to-FHIR guide for the maps.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from fhirgw.errors import MissingElement, UnsupportedMessage
from fhirgw.mappers.datatypes import Json, Scope, datetime_to_instant, hd_to_system, utc
from fhirgw.mappers.event import AdtEvent, MapContext
from fhirgw.mappers.groups import groups, mrg_to_other, require_one, second_pid
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.person import LINKS, fold_person, linked, merge_patient, same_person
from fhirgw.mappers.record import fold_record
from fhirgw.mappers.segments.accident import acc_to_accident
from fhirgw.mappers.segments.account import msh_to_source, pd1_to_record, pid_to_record
from fhirgw.mappers.segments.allergy import al1_to_allergy, iam_to_allergy
from fhirgw.mappers.segments.coverage import in1_to_coverage, in2_to_coverage, in3_to_coverage
from fhirgw.mappers.segments.death import pda_to_death
from fhirgw.mappers.segments.diagnosis import dg1_to_diagnosis, drg_to_observation
from fhirgw.mappers.segments.observation import db1_to_observation, obx_to_observation
from fhirgw.mappers.segments.occurrence import nte_to_annotation
from fhirgw.mappers.segments.person import obx_to_patient, pd1_to_patient, pid_to_patient
from fhirgw.mappers.segments.procedure import pr1_to_procedure
from fhirgw.mappers.segments.reading import Alike, Facts, Reading, apart, known_of, remembered, valued
from fhirgw.mappers.segments.relatives import gt1_to_guarantor, nk1_to_relative
from fhirgw.mappers.segments.restriction import restrict
from fhirgw.mappers.segments.roles import prt_to_role, rol_to_role
from fhirgw.mappers.segments.visit import (
    evn_to_provenance,
    pv1_to_encounter,
    pv2_to_encounter,
    visit_identifier,
)
from fhirgw.mappers.trigger_events import EVENTS, Effect, EventSemantics
from fhirgw.mappers.visit import fold_visit
from fhirgw.mappers.zsegments import with_z_fields, z_to_extensions
from fhirgw.settings import Senders
from fhirgw.terminology import BASE, URI_IDENTIFIER, sid
from fhirgw.v2.codec import NULL, Message, Segment, encode, facility, parse

__all__ = [
    "EVENTS",
    "AdtEvent",
    "Effect",
    "EventSemantics",
    "MapContext",
    "extract",
    "extract_all",
    "map_message",
    "read",
]

Identifiers = tuple[tuple[str, str, str | None], ...]

REPEATED: Mapping[str, Callable[[Segment, Reading], Json | None]] = {
    "ACC": acc_to_accident,
    "AL1": al1_to_allergy,
    "DB1": db1_to_observation,
    "DG1": dg1_to_diagnosis,
    "DRG": drg_to_observation,
    "EVN": evn_to_provenance,
    "GT1": gt1_to_guarantor,
    "IAM": iam_to_allergy,
    "IN1": in1_to_coverage,
    "MSH": msh_to_source,
    "NK1": nk1_to_relative,
    "OBX": obx_to_observation,
    "PD1": pd1_to_record,
    "PDA": pda_to_death,
    "PID": pid_to_record,
    "PR1": pr1_to_procedure,
}
"""Segments that repeat, and what reads one of them; None of it where the segment says nothing."""

ADDED: Mapping[str, tuple[str, Callable[[Segment, Json, Reading], None]]] = {
    "IN2": ("IN1", in2_to_coverage),
    "IN3": ("IN1", in3_to_coverage),
}
"""Segments that add to the fact of the segment before them, which that is, and what adds."""

ROLES: Mapping[str, Callable[[Segment, str, Reading], Json | None]] = {"PRT": prt_to_role, "ROL": rol_to_role}
"""Segments that tell who takes part in what the segment before them is about."""
_TAKING_PART = {name: name in ("PID", "PV1") for name in ("PID", "PV1", "DB1", "OBX", "AL1", "PR1", "GT1", "IN1")}
"""Segments that a role may follow, and whether such roles are read."""

_PID, _PD1 = apart("Patient", pid_to_patient), apart("Patient", pd1_to_patient)
_PV1, _PV2 = apart("Encounter", pv1_to_encounter), apart("Encounter", pv2_to_encounter)

CLINICAL = frozenset({"AL1", "DB1", "DG1", "DRG", "EVN", "IAM", "NTE", "OBX", "PR1"})
"""Those of them that a message is refused for; a broken date of a relative's or an insurer's is only left out."""

NOTED = frozenset({"AL1", "DB1", "DG1", "DRG", "IAM", "OBX", "PR1"})
"""Those of them whose resource can hold the notes (NTE) that follow."""


def read(raw: bytes, senders: Senders, id_key: bytes) -> tuple[Message, MapContext]:
    """A message and its sender's context; the sender is known by MSH-4 before its charset is believed.

    Raises:
        MalformedMessage: It cannot be read.
    """
    name, sender = senders.by_facility(facility(raw))
    return parse(raw, charset=sender.charset), MapContext(name, sender, id_key)


def extract(message: Message, context: MapContext) -> AdtEvent:
    """The event that a message tells of; of one about two records, what it says of the first.

    Raises:
        ExceptionGroup: As ``extract_all``.
    """
    return extract_all(message, context)[0]


def new_reading(message: Message, context: MapContext, alike: Alike | None = None) -> Reading:
    """A reading of this message, before anything is read.

    Args:
        message: As it was parsed.
        context: Of its sender.
        alike: What other messages about the same person said.
    """
    scope = Scope(context.name, valued(message.header, 4), context.sender, context.sender.tz)
    known = known_of(scope, message.delimiters)
    return Reading(scope, known, alike.said(known) if alike else None)


def extract_all(message: Message, context: MapContext, reading: Reading | None = None) -> list[AdtEvent]:
    """What a message tells of: one fact for each of its groups, most have one.

    Args:
        message: As it was parsed.
        context: Of its sender.
        reading: Takes what is found on the way (``new_reading``), for those who want to know.

    Raises:
        ExceptionGroup: Every GatewayError found. UnsupportedMessage (MSH-9) comes alone: what the rest of such a
            message should hold is not known.
    """
    trigger = _trigger(message)
    semantics = EVENTS[trigger]
    digest = hashlib.sha256(encode(message)).hexdigest()
    message = with_z_fields(message, context.sender.z)
    reading = reading or new_reading(message, context)
    parts = groups(message, semantics)
    told = [
        _event(part, trigger, f"{digest}/{number}" if number else digest, context, reading)
        for number, part in enumerate(parts)
    ]
    if len(told) > 1:
        seconds = second_pid([event.identifiers for event in told], semantics)
        told = [
            replace(event, others=second) if second else event for event, second in zip(told, seconds, strict=True)
        ]
    require_one(message, semantics, reading)
    if "PID[2]" in semantics.requires and not told[0].others:
        text = "The message names no second patient, which its event needs."
        reading.problems.append(MissingElement(text, location="PID[2]", err="100"))
    if reading.problems:
        raise ExceptionGroup("the message cannot be mapped", reading.problems)
    return told


def _event(message: Message, trigger: str, digest: str, context: MapContext, reading: Reading) -> AdtEvent:
    """One group of a message, or the whole; not to be used where it left problems."""
    msh, semantics = message.header, EVENTS[trigger]
    person, encounter = Facts("Patient"), Facts("Encounter")
    identifiers = _person(message, person, reading)
    _visit(message, semantics, encounter, reading)
    if context.sender.z:
        z_to_extensions(message, context.sender.z, person, encounter)
    restrict(message, person, encounter, reading)
    repeated = _repeated(message, reading)
    occurred, recorded, sent = _times(message, reading)
    visit = _visit_key(encounter.values, identifiers, occurred, reading.scope)
    account = _account(message, reading)
    other = mrg_to_other(message.first("MRG"), semantics, identifiers, (visit, account), reading)
    sound = not reading.problems
    return AdtEvent(
        trigger=trigger,
        control_id=valued(msh, 10),
        sender=context.name,
        digest=digest,
        order=(utc(occurred), utc(recorded), utc(sent), str(semantics.rank), digest) if sound else (),
        occurred=occurred,
        recorded=datetime_to_instant(recorded, reading.scope.zone) if sound else "",
        identifiers=identifiers,
        visit=visit,
        organization=_FACILITY(msh, 4, reading),
        person=person.values,
        encounter=encounter.values,
        repeated=repeated,
        deletes=(*person.deletes, *encounter.deletes),
        account=account,
        others=other.others,
        succeeds=other.succeeds,
        moves=other.moves,
    )


def map_message(message: Message, context: MapContext, reading: Reading | None = None) -> Json:
    """A transaction Bundle of this message alone: no history, no store, the same bytes for the same message.

    ``Bundle.identifier.value`` is MSH-10, or the digest of the bytes where it is empty.

    Args:
        message: As it was parsed.
        context: Of its sender.
        reading: As in ``extract_all``.

    Raises:
        ExceptionGroup: As ``extract``.
    """
    told = extract_all(message, context, reading)
    event = told[0]
    resources: dict[str, Json] = {}
    for one in told:
        for resource in _alone(one, context):
            reference = f"{resource['resourceType']}/{resource['id']}"
            resources[reference] = (
                same_person(resources[reference], resource) if reference in resources else resource
            )
    return {
        "resourceType": "Bundle",
        "identifier": {"system": sid(context.name, "message"), "value": event.control_id or event.digest},
        "type": "transaction",
        "timestamp": event.recorded,
        "entry": [_entry(reference, resource) for reference, resource in resources.items()],
    }


def _alone(event: AdtEvent, context: MapContext) -> list[Json]:
    """What one fact says by itself: the person, the other record where it names one, the visit."""
    patient = _patient_id(_own(event), context)
    resources = [merge_patient(patient, {context.name: fold_person([event])})]
    kinds = LINKS.get(event.identity)
    other = _patient_id(event.others, context) if event.others else patient
    if kinds and other != patient:  # a record that is merged into itself is as it was
        names: list[Json] = [{"system": system, "value": value} for system, value, _ in event.others]
        resources = linked(
            resources[0], other, kinds, {"resourceType": "Patient", "id": other, "identifier": names}
        )
    if event.visit:
        resources += fold_visit([event], patient, context.id_key)
    return resources + fold_record([event], patient, context.id_key)


def _own(event: AdtEvent) -> Identifiers:
    """The person's identifiers, without those of a merged record that are theirs by now, if any other is there."""
    others = {one[:2] for one in event.others}
    return tuple(one for one in event.identifiers if one[:2] not in others) or event.identifiers


def _patient_id(identifiers: Identifiers, context: MapContext) -> str:
    system, value, _ = identifiers[0]
    return resource_id(context.id_key, "Patient", system, value)


def _entry(url: str, resource: Json) -> Json:
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
    facts.add(reading.once(_PID, pid))
    pd1 = message.first("PD1")
    if pd1:
        facts.add(reading.once(_PD1, pd1))
    obx_to_patient(message.all("OBX"), facts, reading)
    numbered = (name for name in ("identifier", "identifier.2", "identifier.4") if name in facts.values)
    found = facts.values.get(next(numbered, ""), {}).get("identifier", [])
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
    """Read the visit; of an event about people only one that has a number, its class or not."""
    pv1, pid = message.first("PV1"), message.first("PID")
    if pv1 is None or (semantics.pv1 == "read" and _is_placeholder(pv1)):
        if semantics.pv1 == "required" or "PV1" in semantics.requires:
            text = "The message has no PV1 segment, and its event is about a visit."
            reading.problems.append(MissingElement(text, location="PV1", err="100"))
        return
    numbered = semantics.pv1 == "numbered"
    if numbered and not valued(pv1, 19):
        if "PV1" in semantics.requires:
            text = "PV1 does not say which visit is meant."
            reading.problems.append(MissingElement(text, location="PV1-19"))
        return
    if not (numbered and not valued(pv1, 2)):
        facts.add(reading.once(_PV1, pv1))
    else:
        number = visit_identifier(pv1, 19, reading, "VN")
        facts.values |= {"identifier.1": number} if number else {}
    pv2 = message.first("PV2")
    if pv2:
        facts.add(reading.once(_PV2, pv2))
    if pid and "identifier.1" not in facts.values:
        account = visit_identifier(pid, 18, reading, "AN")
        if account:
            facts.values["identifier.2"] = account


def _is_placeholder(pv1: Segment) -> bool:
    """Whether it is there for the structure's sake: no class applies (N, table 0004), and nothing else is said."""
    return valued(pv1, 2) == "N" and not any(valued(pv1, number) for number in range(3, len(pv1) + 1))


def _account(message: Message, reading: Reading) -> tuple[str, str] | None:
    pid = message.first("PID")
    account = visit_identifier(pid, 18, reading, "AN") if pid and valued(pid, 18) else None
    return (account["system"], f"account {account['value']}") if account else None


def _repeated(message: Message, reading: Reading) -> dict[str, tuple[Json, ...]]:
    """The facts of the segments that repeat, by segment name; empty where ``""`` takes all of them back.

    An NTE, an IN2, a ROL belongs to the segment that it follows.
    """
    found: dict[str, list[Json]] = {}
    last: tuple[str, Json | None] = ("", None)
    of, problems = "PID", reading.problems
    for segment in message.segments:
        name = segment.name
        of = name if name in _TAKING_PART else of
        known = len(problems)
        if name in REPEATED:
            fact = reading.once(REPEATED[name], segment)
            last = name, fact
            if fact:
                found.setdefault(name, []).append(fact)
            elif _takes_back(segment):
                found.setdefault(name, [])
        elif name in ROLES:
            role = ROLES[name](segment, of, reading) if _TAKING_PART[of] else None
            found.setdefault(name, []).extend([role] if role else [])
        elif name in ADDED or name == "NTE":
            _add(segment, last, reading)
        else:
            last = ("", None)
        if len(problems) > known and name not in CLINICAL:
            reading.set_aside(known, segment)
    return {name: tuple(facts) for name, facts in found.items()}


def _add(segment: Segment, last: tuple[str, Json | None], reading: Reading) -> None:
    """Add a segment to the fact of the one it belongs to; without that it has nothing to say."""
    name, fact = last
    if segment.name in ADDED and fact is not None and name == ADDED[segment.name][0]:
        ADDED[segment.name][1](segment, fact, reading)
    elif segment.name == "NTE" and fact is not None and name in NOTED:
        note = nte_to_annotation(segment, reading)
        if note:
            fact["said"].setdefault("note", []).append(note)


def _takes_back(segment: Segment) -> bool:
    """Whether all that a segment says, but for its number, is ``""`` (v2.5.1 ch. 2.10.4.1)."""
    if NULL not in segment.raw:
        return False
    said = segment.raw.split(segment.delimiters.field)[1:]
    return {text for text in said if text and not text.isdecimal()} == {NULL}


def _visit_key(encounter: Json, identifiers: Identifiers, occurred: str, scope: Scope) -> tuple[str, str] | None:
    """What makes messages one visit: PV1-19, else PID-18, else the person and the admission time.

    See: ``docs/decisions/0021-visit-key.md``.
    """
    if not encounter or not identifiers:
        return None
    for name, prefix in (("identifier.1", ""), ("identifier.2", "account ")):
        if name in encounter:
            return encounter[name]["system"], prefix + encounter[name]["value"]
    system, value, _ = min(identifiers, key=lambda identifier: (identifier[2] != "MR", *identifier[:2]))
    stay = "|".join((system, value, utc(encounter.get("period.start") or occurred)))
    return sid(scope.name, scope.facility, "stay"), stay


def _organization(msh: Segment, number: int, reading: Reading) -> Json:
    """The sending facility: the registered Organization, else one made of MSH-4 (MSH-3, the sender's name)."""
    scope = reading.scope
    if scope.sender.organization:
        return {"reference": f"Organization/{scope.sender.organization}"}
    name = scope.facility or valued(msh, 3) or scope.name
    identifier = {"system": sid(scope.name, "facility"), "value": name}
    universal = hd_to_system(None, valued(msh, number, 2) or None, valued(msh, number, 3) or None, scope)
    if universal and universal.startswith("urn:"):
        identifier = {"system": URI_IDENTIFIER, "value": universal}
    return {"resourceType": "Organization", "identifier": [identifier], "active": True, "name": name}


_FACILITY = remembered(_organization, 3)
