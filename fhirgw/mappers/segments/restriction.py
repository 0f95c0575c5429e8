"""ARV, PD1-12 and MSH-26/27: what a sender restricts, as security labels. They raise, and never lower.

See: HL7 v2.8.2 ch. 3.4.14 (ARV), table 0717; the guide has no map
(``docs/decisions/0097-access-restrictions.md``).
"""

from collections.abc import Mapping, Sequence

from fhirgw.mappers.datatypes import Json, local_code
from fhirgw.mappers.segments.reading import Facts, Reading, valued
from fhirgw.terminology import ACT_CODE, CONFIDENTIALITY, NOT_RESTRICTING, RESTRICTED_TOPIC
from fhirgw.v2.codec import Message, Segment

ARV_LEFT: Mapping[int, str] = {
    1: "a line number",
    **dict.fromkeys((4, 5), "why, and words for the staff; the restriction holds for everybody"),
    6: "the restriction holds until the sender takes it back",
    **dict.fromkeys((8, 9, 10), "instructions to a recipient; consent decides what leaves here"),
}
"""Fields of ARV that make nothing, and why."""
RESTRICTED = {"system": CONFIDENTIALITY, "code": "R", "display": "restricted"}
VERY_RESTRICTED = {"system": CONFIDENTIALITY, "code": "V", "display": "very restricted"}


def restrict(message: Message, person: Facts, encounter: Facts, reading: Reading) -> None:
    """Note what the sender restricts: MSH-26 of all of it, an ARV of the PID or the PV1 that it follows.

    A message without ARV leaves what an earlier one restricted.
    """
    labels = classification(message.header, 26)
    if labels:
        person.values["security.msh"] = {"security": labels}
        encounter.values |= {"security.msh": labels} if encounter.values else {}
    if message.first("ARV") is None:
        return
    found: dict[str, list[Segment]] = {}
    of = "PID"
    for segment in message.segments:
        if segment.name == "ARV":
            found.setdefault(of, []).append(segment)
        elif segment.name in ("PID", "PV1"):
            of = segment.name
    if "PID" in found:
        person.values["security.arv"] = {"security": arv_to_security(found["PID"], reading)}
    if "PV1" in found and encounter.values:
        encounter.values["security.arv"] = arv_to_security(found["PV1"], reading)


def arv_to_security(arvs: Sequence[Segment], reading: Reading) -> list[Json]:
    """The security labels of the ARV segments that follow one segment; [] where they lift every restriction.

    ARV-2 ``D`` takes a restriction back; ARV-3: what the sender restricts, whatever it is, is R, and a topic
    carries its sensitivity as well; ARV-7 → the confidentiality that it names.
    """
    found: list[Json] = []
    for arv in arvs:
        if valued(arv, 2) == "D":
            continue
        for element in arv.repetitions(3):
            code = local_code("0717", (element.get() or "").strip(), reading.scope)
            if code and code not in NOT_RESTRICTING:
                topic = RESTRICTED_TOPIC.get(code)
                found += [RESTRICTED, *([{"system": ACT_CODE, "code": topic}] if topic else [])]
        found += classification(arv, 7)
    return [label for at, label in enumerate(found) if label not in found[:at]]


def classification(segment: Segment, number: int) -> list[Json]:
    """A security classification tag (table 0952): R and V restrict, any other is no more than normal."""
    code = valued(segment, number)
    return {"R": [RESTRICTED], "V": [VERY_RESTRICTED]}.get(code, [])
