"""A message of a few segments, and the resources that it makes."""

from fhirgw.mappers.adt import map_message
from fhirgw.mappers.event import MapContext
from fhirgw.settings import Sender
from fhirgw.v2.codec import parse

CONTEXT = MapContext("elm", Sender(facility="ELMHOSP"), b"test")
MSH = "MSH|^~\\&|ADTSYS|ELMHOSP|||20260502081500-0400||ADT^A01^ADT_A01|M-1|P|2.5.1"
EVN = "EVN|A01|20260502081500-0400||||20260502080000-0400"
PID = "PID|1||MRN-1^^^ELMHOSP^MR||TESTPERSON^ALMA"
PV1 = "PV1|1|I|4E^412^A|||||||||||||||||||||||||||||||||||||||||20260502080000-0400"


def segment(name: str, fields: dict[int, str]) -> str:
    """A segment of these fields."""
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def mapped(*segments: str, context: MapContext = CONTEXT) -> dict:
    return map_message(parse("\r".join(segments).encode() + b"\r"), context)


def all_of(kind: str, *segments: str) -> list[dict]:
    """The resources of that type that a message of these segments, and what it must have, makes."""
    given = {one[:3] for one in segments}
    head = [one for one in (MSH, EVN, PID, PV1) if one[:3] not in given]
    order = ("MSH", "EVN", "PID", "PV1")
    lines = sorted([*head, *segments], key=lambda one: order.index(one[:3]) if one[:3] in order else len(order))
    return [e["resource"] for e in mapped(*lines)["entry"] if e["resource"]["resourceType"] == kind]


def only(kind: str, *segments: str) -> dict:
    found = all_of(kind, *segments)
    assert len(found) == 1
    return found[0]
