"""Who says what a fold made, from which messages.

See: v2-to-FHIR, Segment MSH[Provenance-Source], EVN[Provenance].
"""

from collections.abc import Sequence

from fhirgw.mappers.beside import Beside
from fhirgw.mappers.datatypes import Json, utc
from fhirgw.mappers.event import AdtEvent
from fhirgw.terminology import PROVENANCE_AGENT, sid

AUTHOR = {"coding": [{"system": PROVENANCE_AGENT, "code": "author", "display": "Author"}]}
PERFORMER = {"coding": [{"system": PROVENANCE_AGENT, "code": "performer", "display": "Performer"}]}


def agents(events: Sequence[AdtEvent], beside: Beside) -> list[Json]:
    """The authors by the last event: the sending facility (MSH-4), and who is responsible for it (MSH-22)."""
    told: list[Json] = [{"type": AUTHOR, "who": beside.party(events[-1].organization)}]
    sources = events[-1].repeated.get("MSH", ())
    responsible = [one["responsible"] for one in sources if "responsible" in one]
    return [*told, *({"type": AUTHOR, "who": beside.party(one)} for one in responsible)]


def recorded(events: Sequence[AdtEvent]) -> str:
    """When the last of them was recorded."""
    return max([event.recorded for event in events], key=utc)


def sources(events: Sequence[AdtEvent]) -> list[Json]:
    """The messages, by number (MSH-10) and event (MSH-9), and the applications that sent them (MSH-3)."""
    messages: dict[tuple[str, str], Json] = {}
    applications: dict[tuple[str, str], Json] = {}
    for event in events:
        said = next(iter(event.repeated.get("MSH", ())), {})
        if event.control_id:
            identifier = {"system": sid(event.sender, "message"), "value": event.control_id}
            told = {"identifier": identifier} | ({"display": said["event"]} if said.get("event") else {})
            messages.setdefault((event.sender, event.control_id), told)
        if "application" in said:
            name = said["application"]
            device = {"type": "Device", "identifier": {"system": sid(event.sender, "application"), "value": name}}
            applications.setdefault((event.sender, name), device | {"display": name})
    return [{"role": "source", "what": what} for what in (*messages.values(), *applications.values())]
