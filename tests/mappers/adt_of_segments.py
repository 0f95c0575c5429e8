"""A message of a few segments, and the resources that it makes; of each segment, values in every field."""

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


# Of each segment: values in every field (of the last field of v2.8.2), and what another field needs to make sense.
WHOLE = {
    "EVN": {1: "A14", 3: "20260503", 4: "02", 5: "OP-1^EXAMPLE^OTTO", 6: "20260502080000", 7: "NORTH"}
    | {2: "20260502081400"},
    "PV1": {
        2: "I", 3: "4E^412^A", 4: "E", 5: "PRE-1", 6: "ED^1", 7: "D-1^DEMO^DORA", 8: "D-2^DEMO^DREW",
        9: "D-3^DEMO^DINA", 10: "MED", 11: "RAD^2", 13: "R", 14: "7", 15: "A2", 16: "V", 17: "D-4^DEMO^DEAN",
        18: "OBS", 19: "V-1", 22: "GUEST", 36: "01", 37: "HOME^20260509", 38: "LOWSALT", 39: "NORTH",
        42: "4F^1", 43: "LAB^3", 44: "20260502080000", 45: "20260509080000", 50: "ALT-1", 52: "D-5^DEMO^DORO",
        53: "Programme", 54: "EP-1",
    },
    "PV2": {
        2: "PRIV", 3: "R06.02^Short of breath^I10C", 7: "TE", 8: "20260501", 9: "20260505", 11: "4",
        13: "D-6^DEMO^DOT", 18: "ES", 22: "Y", 25: "2", 38: "A", 39: "A", 40: "AC", 41: "D", 42: "S", 43: "Y",
        44: "Y", 45: "DNR", 50: "20260420",
    },
    "DB1": {3: "DIS-1", 4: "Y", 5: "20200101", 6: "20271231", 7: "20280101", 8: "20200101"},
    "OBX": {
        2: "NM", 3: "29463-7^Weight^LN", 4: "1", 5: "82", 6: "kg^^UCUM", 7: "50-90", 8: "N", 10: "A", 11: "F",
        14: "20260502", 15: "LABX", 16: "D-7^DEMO^DEB", 17: "SCALE^Scale^99E", 18: "DEV-1", 19: "20260502",
        20: "LA", 21: "OBS-1", 23: "Example Lab^^LAB-1", 24: "1 SAMPLE ST^^HARTFORD", 25: "D-8^DEMO^DOM",
    },
    "AL1": {2: "DA", 3: "7980^Penicillin G^RXNORM", 4: "SV", 5: "271807003^Rash^SCT", 6: "20190501"},
    "IAM": {
        2: "DA", 3: "7980^Penicillin G^RXNORM", 4: "SV", 5: "271807003^Rash^SCT", 6: "D", 7: "ALG-1", 8: "Tested",
        9: "IN", 11: "2019", 13: "20260601", 14: "TESTPERSON^BEA", 15: "SEL", 17: "S", 18: "",
        23: "D-9^DEMO^DAN", 27: "70618^Penicillin^RXNORM",
    },
    "DG1": {
        2: "I10C", 3: "I50.9^Heart failure", 4: "Weak heart", 5: "20260502", 6: "W", 15: "1", 16: "D-1^DEMO^DORA",
        17: "D", 18: "Y", 19: "20260502", 20: "DX-1", 22: "DX-0", 26: "Y",
    },
    "DRG": {1: "291^Heart failure^MSDRG", 2: "20260502", 10: "Y"},
    "PR1": {
        2: "C4", 3: "93306^Echo", 4: "Echo of the heart", 5: "202605020700", 6: "D", 7: "45", 8: "D-1^DEMO^DORA",
        9: "L", 11: "D-2^DEMO^DREW", 12: "D-3^DEMO^DINA", 15: "I50.9^Heart failure^I10C", 16: "26", 19: "PR-1",
        23: "CARD^1", 25: "PR-0",
    },
    "NTE": {3: "Weighed with the brace on.", 5: "D-7^DEMO^DEB", 6: "20260502", 9: ""},
}  # fmt: skip
