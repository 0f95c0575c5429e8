"""Messages about people and their numbers: merges, links, moves; and a second person to merge with."""

import re
from zlib import crc32

import orjson
from composed_gateway import MEDICAID, case, composed

from fhirgw.store.compartment import PATIENT_FREE

OTHER = (MEDICAID, "CT-TEST-0099")
MRN = "http://fhirgw.org/fhir/sid/elm-hospital-mrn"


def adt(event, hour, *lines, person="MRN-1001^^^ELMHOSP^MR~CT-TEST-0001^^^CTMEDICAID^MA", name="TESTPERSON^ALMA"):
    """A message of Elm Hospital; ``{pid}`` in the lines is its PID."""
    at = f"202603{5 + hour // 24:02}{hour % 24:02}0000-0500"
    control = f"{event}-{hour}-{crc32(repr((lines, person)).encode())}"
    head = [
        f"MSH|^~\\&|ADTSYS|ELMHOSP|||{at}||ADT^{event}|{control}|P|2.5.1",
        f"EVN|{event}|{at}",
        f"PID|1||{person}||{name}||19840302|F",
    ]
    return "\r".join([*head, *lines]).encode() + b"\r"


def pv1(number, *, bed="4E^412^A^ELMHOSP", patient_class="I"):
    fields = ["PV1", "1", patient_class, bed, *[""] * 15, f"{number}^^^ELMHOSP^VN"]
    return "|".join(fields)


def mrg(person="", *, account="", visit=""):
    return f"MRG|{person}||{account}||{visit}"


OLD = "MRN-0777^^^ELMHOSP^MR"
TWO = "MRN-2002^^^ELMHOSP^MR~CT-TEST-0099^^^CTMEDICAID^MA"


async def second(whole, change=lambda body: None):
    """Another member: the same person under another number, as somebody registered them twice."""

    def altered(body):
        body["key"] = "second"
        body["member"]["identifiers"] = [{"system": MEDICAID, "value": OTHER[1]}]
        change(body)

    assert await whole.gateway.ingest.cases.store(case("ct-bhp.json", altered))
    return whole.patient(OTHER)


def body(whole, kind, logical):
    return orjson.loads(whole.stored(kind)[logical][0])


def visit_of(whole, number):
    """The Encounter that has this number now, if one is there."""
    found = [
        one
        for one in whole.bodies("Encounter")
        if any(each["value"] == number and each.get("use") != "old" for each in one.get("identifier", ()))
    ]
    assert len(found) < 2
    return found[0] if found else None


def home(number):
    return (MRN, number)


async def final(folder, messages):
    """Everything, once the messages were taken in this order."""
    with composed(folder) as whole:
        whole.clock.tick(seconds=60)
        await second(whole)
        await whole.take(*messages)
        assert {row.state for row in whole.rows()} <= {"processed", "waiting"}
        return told(whole)


def told(whole):
    """All that is told of anybody: bytes and labels.

    Not Tasks, which tell when they were raised; nor places and doctors that nothing refers to (any more), which are
    nobody's and may stay (docs/decisions/0004).
    """
    everything = {key: value for key, value in whole.everything().items() if key[0] != "Task"}
    front = {key for key in everything if key[0] not in PATIENT_FREE}
    reached = set()
    while front:
        reached |= front
        named = {name for key in front for name in REFERENCE.findall(everything[key][0].decode())}
        front = (named & everything.keys()) - reached
    return {key: everything[key] for key in reached}


REFERENCE = re.compile(r'"reference":"(\w+)/([^"]+)"')
