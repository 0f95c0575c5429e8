"""What one ADT message says, as facts that outlive its bytes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import orjson

from fhirgw.mappers.trigger_events import EVENTS, Effect, Identity
from fhirgw.settings import Sender

Json = dict[str, Any]


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
        account: The same of the account (PID-18), its value after ``account ``; None where it names none.
        others: Identifiers of the other record: of MRG, or of the second PID.
        succeeds: (earlier key, present key) of visits and accounts whose number was merged or changed.
        moves: Keys of visits and accounts that now belong to this person.
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
    account: tuple[str, str] | None = None
    others: tuple[tuple[str, str, str | None], ...] = ()
    succeeds: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = ()
    moves: tuple[tuple[str, str], ...] = ()

    @property
    def effect(self) -> Effect:
        """What it does to its visit."""
        return EVENTS[self.trigger].effect

    @property
    def identity(self) -> Identity:
        """What it does to the identity graph."""
        return EVENTS[self.trigger].identity

    @property
    def told(self) -> tuple[str, ...]:
        """When it was recorded and sent; at the same instant, what undoes comes after what is undone."""
        return self.order[1:]

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
        loaded["account"] = tuple(loaded["account"]) if loaded["account"] else None
        loaded["others"] = tuple((system, value, kind) for system, value, kind in loaded["others"])
        loaded["succeeds"] = tuple((tuple(earlier), tuple(later)) for earlier, later in loaded["succeeds"])
        loaded["moves"] = tuple((system, value) for system, value in loaded["moves"])
        return cls(**loaded)


_FIELDS = tuple(field.name for field in fields(AdtEvent))


def lay_over(facts: Json, later: Json, deletes: Collection[str], resource: str) -> Json:
    """Facts as they stand after a later event: what it deletes is gone, what it says replaces, the rest stays."""
    if not deletes:
        return facts | later
    gone = {path.removeprefix(f"{resource}.") for path in deletes if path.startswith(f"{resource}.")}
    return {name: value for name, value in facts.items() if name not in gone} | later


def assemble_patient(facts: Json) -> Json:
    """A Patient of these facts; lists that several facts contribute to are joined in the facts' name order."""
    patient: Json = {"resourceType": "Patient"}
    for fact in sorted(facts):
        for name, value in facts[fact].items():
            if value:
                patient[name] = [*patient[name], *value] if name in patient and isinstance(value, list) else value
            elif value != []:  # a fact may say that there is none
                patient[name] = value
    security = patient.pop("security", None)  # of several facts; a Patient has it in meta
    if security:
        patient["meta"] = {"security": _once(security)}
    return patient


def _once(values: list[Json]) -> list[Json]:
    return [value for at, value in enumerate(values) if value not in values[:at]]


def in_order(events: Sequence[AdtEvent]) -> list[AdtEvent]:
    """The events once each, in their order; whatever order, and however often, they came.

    The same bytes read under two states of a sender's registration are two pictures of one event: one of them is
    taken, always the same.
    """
    if len(events) < 2:
        return list(events)
    once: dict[str, AdtEvent] = {}
    for event in events:
        seen = once.setdefault(event.digest, event)
        if seen is not event and seen.to_json() < event.to_json():
            once[event.digest] = event
    return sorted(once.values(), key=lambda event: event.order)
