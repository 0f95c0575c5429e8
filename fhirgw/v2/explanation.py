"""A message explained segment by segment: ``fhirgw lint``.

What the standard calls each field, whether something stands in it, whether the gateway reads it, what is wrong, and
what to do about it. No value of the message passes from here unless it is asked for.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fhirgw.errors import GatewayError, MalformedMessage
from fhirgw.mappers.adt import extract
from fhirgw.mappers.event import MapContext
from fhirgw.v2.ack import VERSIONS, check_envelope
from fhirgw.v2.codec import Message, TracedSegment, traced
from fhirgw.v2.conformance import check, fields_of, structure

TITLES = {  # v2.5.1, appendix A: the segments of ch. 3 and those that go with them
    "ACC": "Accident", "AL1": "Patient allergy", "ARV": "Access restriction", "AUT": "Authorization",
    "CON": "Consent", "DB1": "Disability", "DG1": "Diagnosis", "DRG": "Diagnosis group", "EVN": "Event type",
    "GT1": "Guarantor", "IAM": "Patient adverse reaction", "IN1": "Insurance", "IN2": "Insurance additional",
    "IN3": "Insurance certification", "MRG": "Merge patient", "MSH": "Message header", "NK1": "Next of kin",
    "NPU": "Bed status update", "NTE": "Notes and comments", "OBX": "Observation", "ORC": "Common order",
    "PD1": "Additional demographics", "PDA": "Patient death and autopsy", "PID": "Patient identification",
    "PR1": "Procedures", "PRT": "Participation", "PV1": "Patient visit", "PV2": "Patient visit additional",
    "RF1": "Referral", "ROL": "Role", "SFT": "Software", "UAC": "User authentication", "UB1": "UB82", "UB2": "UB92",
}  # fmt: skip

_ADVICE = {  # by the code of table 0357: what to do where the gateway refuses, and where it does not
    "100": (
        "Send the segments of this event, each whole and on a line of its own, ended by CR.",
        "Nothing has to be done: what the gateway does not read stays in the journal.",
    ),
    "101": (
        "Have the sender fill it.",
        "Have the sender fill it if the fact is wanted; the gateway does without.",
    ),
    "102": (
        "Have the sender correct it.",
        "Look whether the field holds what its name says; the gateway takes it as it is.",
    ),
    "103": (
        "Register what the sender's own code means (codes), or have it send one of the table.",
        "Register the code's meaning (codes) if the table has it; the gateway keeps it as the sender's own.",
    ),
    "200": ("Do not route messages of this type here.",) * 2,
    "201": ("Do not route messages of this event here.",) * 2,
    "202": ("Set MSH-11 to P, T or D.",) * 2,
    "203": ("Set MSH-12 to the version that the message is written in.",) * 2,
}
_CHARSET = "Correct MSH-18, or register the sender's charset."
_EDGE = {"MSH": frozenset({1, 2, 3, 5, 6, 15, 16, 17, 18})}  # read by the codec, or for the ACK
_OTHERWISE = ("Have the sender correct it.", "Nothing has to be done.")


@dataclass(frozen=True, slots=True, repr=False)
class ExplainedField:
    """One field; ``value`` as it stands on the wire."""

    number: int
    name: str
    kind: str
    required: bool
    valued: bool
    read: bool
    value: str


@dataclass(frozen=True, slots=True)
class ExplainedSegment:
    """One segment; ``occurrence`` counts those of its name from 1."""

    name: str
    title: str
    occurrence: int
    fields: Sequence[ExplainedField]


class Weight(StrEnum):
    """What the gateway does about something that is wrong."""

    REFUSED = "refused"
    PARKED = "parked"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: the message is refused for it, parked after its ACK, or taken nevertheless."""

    error: GatewayError
    weight: Weight

    @property
    def advice(self) -> str:
        """What to do."""
        if self.error.location == "MSH-18" and self.weight is not Weight.TAKEN:
            return _CHARSET
        return _ADVICE.get(self.error.err, _OTHERWISE)[1 if self.weight is Weight.TAKEN else 0]


@dataclass(frozen=True, slots=True)
class Explained:
    """A message.

    Attributes:
        trigger: MSH-9.2, or empty where it is no event's code.
        structure: Of the event, as lint holds the message to it.
        version: MSH-12 if it is one.
        sender: Registered name.
        segments: In the message's order; [] where it cannot be read.
        findings: What the gateway refuses it for, then what deviates from the standard.
    """

    trigger: str = ""
    structure: str = ""
    version: str = ""
    sender: str = ""
    segments: Sequence[ExplainedSegment] = ()
    findings: Sequence[Finding] = field(default_factory=list)


def explain(
    raw: bytes,
    read: Callable[[bytes], tuple[Message, MapContext]],
    refusals: Callable[[Message, MapContext], Sequence[GatewayError]],
) -> Explained:
    """Explain a message; nothing that the bytes hold makes it fail.

    Args:
        raw: One message.
        read: Parses it and finds its sender (``mappers.adt.read``).
        refusals: Why it is refused (``intake.refusals``).
    """
    try:
        message, context = read(raw)
    except GatewayError as error:
        return Explained(findings=[Finding(error, Weight.REFUSED)])
    watched, segments = traced(message)
    found = {
        Weight.REFUSED: refusals(message, context),
        Weight.PARKED: [*check_envelope(watched), *_unmappable(watched, context)],
        Weight.TAKEN: check(message),
    }
    version = message.header.get(12) or ""
    trigger = message.header.get(9, 2) or ""
    return Explained(
        trigger=trigger if re.fullmatch(r"[A-Z]\d\d", trigger, re.ASCII) else "",
        structure=_code(structure(message)),
        version=version if version in VERSIONS else "",
        sender=context.name,
        segments=_segments(segments, version),
        findings=list(_weighed(found)),
    )


def _weighed(found: Mapping[Weight, Sequence[GatewayError]]) -> Iterator[Finding]:
    """Each thing once, under the gravest of its weights."""
    seen = set()
    for weight, errors in found.items():
        for error in errors:
            if (error.location, error.err) not in seen:
                yield Finding(error, weight)
        seen |= {(error.location, error.err) for error in errors}


def _code(text: str | None) -> str:
    return text if text and re.fullmatch(r"[A-Z0-9]{3}(_[A-Z0-9]{3})?", text, re.ASCII) else ""


def _unmappable(message: Message, context: MapContext) -> list[GatewayError]:
    """What cannot be mapped; the fields that are read are noted on the way."""
    try:
        extract(message, context)
    except ExceptionGroup as group:
        return [error for error in group.exceptions if isinstance(error, GatewayError)]
    except Exception as error:  # noqa: BLE001 - a failure of ours is a finding, not the end of lint
        return [MalformedMessage(f"The gateway fails on this message ({type(error).__name__}); report it.")]
    return []


def _segments(segments: Sequence[TracedSegment], version: str) -> list[ExplainedSegment]:
    seen: dict[str, int] = {}
    explained = []
    for segment in segments:
        seen[segment.name] = seen.get(segment.name, 0) + 1
        asked = frozenset(segment.asked) | _EDGE.get(segment.name, frozenset())  # before we ask ourselves
        title = TITLES.get(segment.name, "The sender's own" if segment.name[0] == "Z" else "")
        fields = _fields(segment, asked, version)
        explained.append(ExplainedSegment(segment.name, title, seen[segment.name], fields))
    return explained


def _fields(segment: TracedSegment, asked: frozenset[int], version: str) -> list[ExplainedField]:
    definitions = {one.number: one for one in fields_of(segment.name, version)}
    fields = []
    for number in range(1, max(len(segment), *definitions, 0) + 1):
        raw = segment.field(number)
        known = definitions.get(number)
        fields.append(
            ExplainedField(
                number,
                known.name if known else "",
                (known.kind if known else None) or "",
                known.required if known else False,
                bool(raw),
                number in asked,
                raw,
            )
        )
    return fields
