"""What one ADT message says, as facts that outlive its bytes; and what each trigger event means for a visit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import orjson

from fhirgw.settings import Sender

Json = dict[str, Any]


class Effect(StrEnum):
    """What an event does to its visit."""

    OPEN = "open"
    CLOSE = "close"
    UPDATE = "update"
    UNDO_OPEN = "undo-open"
    UNDO_CLOSE = "undo-close"


@dataclass(frozen=True, slots=True)
class EventSemantics:
    """One trigger event.

    Attributes:
        effect: What it does to the visit.
        rank: Its place among events of the same instant.
        visit: Whether it is about a visit, so that PV1 is required; else PV1 is read if it is there.
        standard: The words of the standard (v2.5.1 ch. 3.3) that decide.
    """

    effect: Effect
    rank: int
    visit: bool
    standard: str


EVENTS: Mapping[str, EventSemantics] = {
    "A01": EventSemantics(
        Effect.OPEN,
        0,
        visit=True,
        standard="It signals the beginning of a patient's stay in a healthcare facility.",
    ),
    "A03": EventSemantics(
        Effect.CLOSE,
        2,
        visit=True,
        standard="An A03 event signals the end of a patient's stay in a healthcare facility.",
    ),
    "A04": EventSemantics(
        Effect.OPEN,
        0,
        visit=True,
        standard="The patient has arrived or checked in as a one-time, or recurring outpatient, "
        "and is not assigned to a bed.",
    ),
    "A08": EventSemantics(
        Effect.UPDATE,
        1,
        visit=False,
        standard="Used when any patient information has changed but when no other trigger event has occurred.",
    ),
    "A11": EventSemantics(
        Effect.UNDO_OPEN,
        4,
        visit=True,
        standard="Sent when an A01 event (for non-admitted patients, an A04) is cancelled, either because of an "
        "erroneous entry or because of a decision not to admit the patient after all.",
    ),
    "A13": EventSemantics(
        Effect.UNDO_CLOSE,
        3,
        visit=True,
        standard="Sent when an A03 event is cancelled, either because of erroneous entry of the A03 event or "
        "because of a decision not to discharge or end the visit of the patient after all.",
    ),
}


@dataclass(frozen=True, slots=True)
class MapContext:
    """Whose messages are mapped, and with which key ids are made.

    Attributes:
        name: The sender's registered name; it scopes identifiers that no registry names.
        sender: Its settings.
        id_key: Key of the logical ids.
    """

    name: str
    sender: Sender
    id_key: bytes


@dataclass(frozen=True, slots=True, repr=False)
class AdtEvent:
    """What one message says.

    ``person`` and ``encounter`` hold one fact a v2 field; an absent field has none, and a later event's fact
    replaces an earlier one's, so that folding is laying them over one another in order.

    Attributes:
        trigger: MSH-9.2, a key of EVENTS.
        control_id: MSH-10; empty when the sender left it so.
        sender: Registered name of the sender.
        digest: SHA-256 of the bytes, hexadecimal: the same message twice is one event.
        order: When it takes its place: EVN-6, EVN-2, MSH-7 (each falling back on the next) as UTC texts, the rank
            of the trigger, the digest.
        occurred: The event's own time, dateTime.
        recorded: When the sender recorded it, instant.
        identifiers: (system, value, type code) of PID-3, those that name an authority.
        visit: (system, value) of the visit; None for an event without one.
        organization: The sending facility: a Reference to a registered Organization, or an Organization without id.
        person: Fact name → elements of Patient.
        encounter: Fact name → its value.
        repeated: Segment name → one fact per occurrence, in message order; no key for a segment that is absent.
        deletes: Facts that the sender wrote as ``""``: ``Patient.birthDate``, ``Encounter.reasonCode``.
    """

    trigger: str
    control_id: str
    sender: str
    digest: str
    order: tuple[str, ...]
    occurred: str
    recorded: str
    identifiers: tuple[tuple[str, str, str | None], ...]
    visit: tuple[str, str] | None
    organization: Json
    person: Json
    encounter: Json
    repeated: Mapping[str, tuple[Json, ...]]
    deletes: tuple[str, ...]

    @property
    def effect(self) -> Effect:
        """What it does to its visit."""
        return EVENTS[self.trigger].effect

    @property
    def patient(self) -> Json:
        """The message's own picture of the Patient, without an id."""
        return assemble_patient(self.person)

    def to_json(self) -> bytes:
        """Canonical bytes: what the journal keeps of the message after the bytes expire."""
        return orjson.dumps({name: getattr(self, name) for name in _FIELDS}, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, facts: bytes) -> "AdtEvent":
        """The event of ``to_json``."""
        loaded: Json = orjson.loads(facts)
        loaded["order"] = tuple(loaded["order"])
        loaded["identifiers"] = tuple((system, value, kind) for system, value, kind in loaded["identifiers"])
        loaded["visit"] = tuple(loaded["visit"]) if loaded["visit"] else None
        loaded["repeated"] = {name: tuple(facts) for name, facts in loaded["repeated"].items()}
        loaded["deletes"] = tuple(loaded["deletes"])
        return cls(**loaded)


_FIELDS = tuple(field.name for field in fields(AdtEvent))


def lay_over(facts: Json, later: Json, deletes: Iterable[str], resource: str) -> Json:
    """Facts as they stand after a later event: what it deletes is gone, what it says replaces, the rest stays."""
    gone = {path.removeprefix(f"{resource}.") for path in deletes if path.startswith(f"{resource}.")}
    return {name: value for name, value in facts.items() if name not in gone} | later


def assemble_patient(facts: Json) -> Json:
    """A Patient of these facts; lists that several facts contribute to are joined in the facts' name order."""
    patient: Json = {"resourceType": "Patient"}
    for _, elements in sorted(facts.items()):
        for name, value in elements.items():
            patient[name] = [*patient[name], *value] if isinstance(value, list) and name in patient else value
    return patient


def in_order(events: Iterable[AdtEvent]) -> list[AdtEvent]:
    """The events once each, in their order; whatever order, and however often, they came.

    The same bytes read under two states of a sender's registration are two pictures of one event: one of them is
    taken, always the same.
    """
    once: dict[str, AdtEvent] = {}
    for event in events:
        seen = once.setdefault(event.digest, event)
        if seen is not event and seen.to_json() < event.to_json():
            once[event.digest] = event
    return sorted(once.values(), key=lambda event: event.order)
