"""Admit, transfer and discharge alerts: which of them a visit gives rise to, and the message that tells of one.

What is told is read from the folded Encounter, not from the trigger event: so it does not matter in which order,
how often or by which event a hospital says that somebody was admitted. An alert whose fact is gone from the
Encounter (a cancelled discharge) is taken back where it was told. Facts are read once from the whole Encounter, to
note what happened, and again from the released one, when it is sent: a transfer into a unit that the recipient may
not know of is no fact there, and the alert about it is not sent (consent specification, leak 32).

See: Da Vinci Unsolicited Notifications 1.1.0, http://hl7.org/fhir/us/davinci-alerts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import Connection

from fhirgw.answer import Shown
from fhirgw.consent.model import Json
from fhirgw.mappers.datatypes import utc
from fhirgw.store import clients, outbox, repository
from fhirgw.store.database import Transaction
from fhirgw.store.endings import RELEASE_ENDED
from fhirgw.store.stored import instant
from fhirgw.terminology import BASE

DAVINCI = "http://hl7.org/fhir/us/davinci-alerts"
EVENT_SYSTEM = f"{DAVINCI}/CodeSystem/notification-event"
ADMIT, TRANSFER, DISCHARGE = "notification-admit", "notification-transfer", "notification-discharge"
DISPLAYS = {ADMIT: "Admit Notification", TRANSFER: "Transfer Notification", DISCHARGE: "Discharge Notification"}
PROFILES = {
    code: f"{DAVINCI}/StructureDefinition/{code.replace('notification-', '')}-notification-messageheader"
    for code in DISPLAYS
}
BEGUN = frozenset({"arrived", "triaged", "in-progress", "onleave", "finished"})
"""Encounter.status of visits that took place; a planned or cancelled one is told to nobody."""

NO_META: Mapping[str, Json] = {}

WITHIN_A_UNIT = frozenset({"ro", "bd"})
"""Location.physicalType of places that are in a ward, a department, or whatever a hospital calls it."""

HELD = frozenset({"active", "completed", "reserved"})
"""Encounter.location.status of beds that the patient has, had, or comes back to."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something about a visit that is told once to each recipient.

    Attributes:
        code: Of the Da Vinci notification events.
        key: What makes it this one and no other of the visit.
        moment: When it happened, dateTime; None when no message says.
    """

    code: str
    key: str
    moment: str | None


def itself(reference: str) -> str:
    """Each place is a unit of its own."""
    return reference


def units(connection: Connection) -> Callable[[str], str]:
    """Of which department a room or a bed is; what is none of these, or in none, is one itself."""

    def unit(reference: str) -> str:
        stored = repository.current(connection, *reference.split("/", 1))
        body = stored.body if stored is not None and not stored.deleted else {}
        kinds = {coding.get("code") for coding in body.get("physicalType", {}).get("coding", ())}
        return unit(body["partOf"]["reference"]) if "partOf" in body and kinds & WITHIN_A_UNIT else reference

    return unit


def facts(encounter: Json, unit: Callable[[str], str] = itself) -> list[Fact]:
    """What is to be told of this visit, in the order in which it happened.

    An admission is one a class: from emergency to inpatient is admitted again. A transfer is one a stay in another
    unit than the one before, but for a trip. A discharge is one an end.

    Args:
        encounter: As folded, or what may be seen of it.
        unit: Of which department a place is.
    """
    if encounter["status"] not in BEGUN:
        return []
    period = encounter.get("period", {})
    found = [Fact(ADMIT, encounter["class"].get("code", ""), period.get("start"))]
    for stay in _transfers(encounter, unit):
        moment = stay["period"]["start"]
        found.append(Fact(TRANSFER, f"{stay['location']['reference']} {utc(moment)}", moment))
    if encounter["status"] == "finished":
        end = period.get("end")
        found.append(Fact(DISCHARGE, utc(end) if end else "", end))
    return found


def _transfers(encounter: Json, unit: Callable[[str], str]) -> Iterator[Json]:
    """The stays that moved the visit to another department (definition of ``notification-transfer``).

    A trip to a temporary place (PV1-11: imaging, a procedure) is none: it begins while the stay in the bed goes on,
    or as the visit ends, and who comes back from it comes back to the bed.
    """
    stays = [stay for stay in encounter.get("location", ()) if "start" in stay.get("period", {})]  # PV1-6 has none
    over = encounter.get("period", {}).get("end")
    for bed, stay in pairwise(_beds(stays)):
        late = over is not None and utc(stay["period"]["start"]) >= utc(over, latest=True)
        if stay.get("status") in HELD and not late and _place(stay, unit) != _place(bed, unit):
            yield stay


def _place(stay: Json, unit: Callable[[str], str]) -> str:
    return unit(stay["location"]["reference"])


def _beds(stays: Sequence[Json]) -> Iterator[Json]:
    """The stays of which none begins before the one before it is over."""
    bed: Json | None = None
    for stay in stays:
        if bed is None or not _goes_on(bed, utc(stay["period"]["start"])):
            bed = stay
            yield stay


def _goes_on(bed: Json, moment: str) -> bool:
    """Whether a stay lasts beyond a moment; one that nobody knows the end of, while it is not said to be over."""
    end = bed["period"].get("end")
    return utc(end) > moment if end else bed.get("status") != "completed"


def note(tx: Transaction, patient: str, encounter: Json, *, oldest: int | None) -> None:
    """Put into the outbox what the clients that take alerts may have to be told of this visit, or told otherwise.

    Each move to another bed is noted, also one within a department: what a client may see of the visit decides
    whether it is a transfer to them, since a stay between the two may be hidden.

    Args:
        tx: The transaction that folds the visit.
        patient: Whom it is about.
        encounter: The whole of it, as folded.
        oldest: Microseconds; what happened before is not told (a feed of old messages). None: all is.
    """
    wanted = {client.id: client.notify_on & DISPLAYS.keys() for client in clients.notified(tx.direct)}
    if not wanted:
        return
    since = "" if oldest is None else utc(instant(oldest))
    happened = [
        (fact.code, fact.key, fact.moment is None or utc(fact.moment, latest=True) >= since)
        for fact in facts(encounter)
    ]
    focus = f"Encounter/{encounter['id']}"
    outbox.announce(tx, patient=patient, focus=focus, happened=happened, wanted=wanted)


def message(
    base: str, code: str, endpoint: str, receiver: str, shown: Sequence[Shown], *, id: str, timestamp: int
) -> Json:
    """The message Bundle (profile notifications-bundle); ``shown[0]`` is the Encounter.

    ``Bundle.id`` and ``MessageHeader.id`` are those of the alert, the same at every attempt to deliver it: a
    receiver that gets it twice, because its answer was lost, knows it again (R4, Messaging §3.4.2).
    """
    header: Json = {
        "resourceType": "MessageHeader",
        "id": f"{id}-header",
        "meta": {"profile": [PROFILES[code]]},
        "eventCoding": {"system": EVENT_SYSTEM, "code": code, "display": DISPLAYS[code]},
        "destination": [{"endpoint": endpoint, "receiver": {"reference": receiver}}],
        "source": {"name": "fhirgw", "endpoint": base},
        "focus": [{"reference": f"Encounter/{shown[0].stored.id}"}],
    }
    if hospital := shown[0].body.get("serviceProvider"):
        header["sender"] = hospital
    meta: Json = {"meta": {"profile": [f"{DAVINCI}/StructureDefinition/notifications-bundle"]}}
    return bundle(base, header, shown, id=id, timestamp=timestamp, meta=meta)


def bundle(
    base: str, header: Json, shown: Sequence[Shown], *, id: str, timestamp: int, meta: Mapping[str, Json] = NO_META
) -> Json:
    """A FHIR message: its header, and what it is about."""
    entries = [{"fullUrl": f"{base}/MessageHeader/{header['id']}", "resource": header}]
    entries += [{"fullUrl": f"{base}/{one.stored.type}/{one.stored.id}", "resource": one.body} for one in shown]
    return {
        "resourceType": "Bundle",
        "id": id,
        **meta,
        "type": "message",
        "timestamp": instant(timestamp),
        "entry": entries,
    }


def release_ended(base: str, endpoint: str, receiver: str, patient: str, *, id: str, timestamp: int) -> Json:
    """The message that a release of this patient to the receiver has ended; it says nothing more."""
    event = {"system": f"{BASE}/CodeSystem/icm-notice", "code": RELEASE_ENDED, "display": "A release has ended"}
    header: Json = {
        "resourceType": "MessageHeader",
        "id": f"{id}-header",
        "eventCoding": event,
        "destination": [{"endpoint": endpoint, "receiver": {"reference": receiver}}],
        "source": {"name": "fhirgw", "endpoint": base},
        "focus": [{"reference": f"{base}/Patient/{patient}"}],
    }
    return bundle(base, header, (), id=id, timestamp=timestamp)
