"""What became of each segment and field of a message: nothing is lost without a word.

A field is mapped when the mapping read it and made something of it: what is read is traced, what could not be made
into anything the ``Reading`` knows. Everything else that a message fills is named, with the reason; and so are, of
a field that is mapped, the components that nothing reads and the repetitions that have no place.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fhirgw.errors import GatewayError
from fhirgw.mappers.adt import map_message, new_reading
from fhirgw.mappers.datatypes import Components, Json, Scope
from fhirgw.mappers.event import MapContext
from fhirgw.mappers.segments.accident import ACC_LEFT
from fhirgw.mappers.segments.account import MSH_LEFT
from fhirgw.mappers.segments.allergy import AL1_LEFT, IAM_LEFT
from fhirgw.mappers.segments.coverage import IN1_LEFT, IN2_LEFT, IN3_LEFT
from fhirgw.mappers.segments.death import PDA_LEFT
from fhirgw.mappers.segments.diagnosis import DG1_LEFT, DRG_LEFT
from fhirgw.mappers.segments.observation import DB1_LEFT, OBX_LEFT
from fhirgw.mappers.segments.occurrence import NTE_LEFT
from fhirgw.mappers.segments.person import PD1_LEFT, PID_LEFT
from fhirgw.mappers.segments.procedure import PR1_LEFT
from fhirgw.mappers.segments.reading import Reading
from fhirgw.mappers.segments.relatives import GT1_LEFT, NK1_LEFT
from fhirgw.mappers.segments.restriction import ARV_LEFT
from fhirgw.mappers.segments.roles import PRT_LEFT, ROL_LEFT
from fhirgw.mappers.segments.visit import PV1_LEFT, PV2_LEFT
from fhirgw.v2.codec import NULL, Message, Segment, TracedSegment, traced

LEFT: Mapping[str, Mapping[int, str]] = {
    "ACC": ACC_LEFT, "AL1": AL1_LEFT, "ARV": ARV_LEFT, "DB1": DB1_LEFT, "DG1": DG1_LEFT, "DRG": DRG_LEFT,
    "GT1": GT1_LEFT, "IAM": IAM_LEFT, "IN1": IN1_LEFT, "IN2": IN2_LEFT, "IN3": IN3_LEFT, "MSH": MSH_LEFT,
    "NK1": NK1_LEFT, "NTE": NTE_LEFT, "OBX": OBX_LEFT, "PD1": PD1_LEFT, "PDA": PDA_LEFT, "PID": PID_LEFT,
    "PR1": PR1_LEFT, "PRT": PRT_LEFT, "PV1": PV1_LEFT, "PV2": PV2_LEFT, "ROL": ROL_LEFT,
    "EVN": {1: "MSH-9 names the event"},
    "MRG": {**dict.fromkeys((6,), "MRG-5 is the visit"), 7: "the earlier name is in the record that is merged"},
    "SFT": dict.fromkeys(range(1, 7), "the software of the sender"),
}  # fmt: skip
"""Fields that make nothing on purpose, and why."""

REFUSED = "the message is refused"
NO_SENSE = "it could not be made into anything"
NO_MAP = "no map reads it here"
NOT_REGISTERED = "no field of it is registered for the sender"
ONE_PLACE = "the first repetition alone has a place"

T = TypeVar("T")


class _Watched(Components):
    """One repetition that notes which of its parts are looked at."""

    __slots__ = ("seen",)

    def __init__(self, element: Components, segment: Segment) -> None:
        super().__init__(element.raw, segment.delimiters)
        self.seen: set[tuple[int, int]] = set()

    def __getitem__(self, component: int) -> str | None:  # type: ignore[override]  # no slices: one at a time
        self.seen.add((component, 1))
        return super().__getitem__(component)

    @property
    def text(self) -> str:
        """See ``Components.text``: all of it is looked at."""
        self.seen.add((0, 0))
        return super().text

    def part(self, component: int, subcomponent: int) -> str | None:
        """See ``Components.part``."""
        self.seen.add((component, subcomponent))
        return super().part(component, subcomponent)

    def inner(self, component: int) -> Components:
        """See ``Components.inner``: all of that component is looked at."""
        self.seen.add((component, 0))
        return super().inner(component)


class _Forgetful(dict[Any, Any]):
    """Remembers nothing, so that each field is read where it stands."""

    def __setitem__(self, key: object, value: object) -> None:
        """Leave it."""


@dataclass(slots=True)
class _Watching(Reading):
    """A reading that knows which parts of each repetition were looked at."""

    read: dict[tuple[int, int], list[_Watched]] = field(default_factory=dict)

    def each(self, segment: Segment, number: int, map_one: Callable[..., T | None], **options: Any) -> list[T]:
        """See ``Reading.each``."""
        watched = self.read.setdefault((id(segment), number), [])

        def watch(element: Components, scope: Scope, **options: Any) -> T | None:
            watched.append(_Watched(element, segment))
            return map_one(watched[-1], scope, **options)

        return Reading.each(self, segment, number, watch, **options)

    def unread(self, segment: TracedSegment, number: int) -> Iterator[str]:
        """The components, and subcomponents after the first, of a field that hold something nothing looked at."""
        watched = self.read.get((id(segment), number), [])
        asked = {parts[1:] for parts in segment.parts if parts[0] == number}
        plain = Segment.field(segment, number).isalnum()
        if plain or number in segment.whole or not (watched or asked):
            return  # taken as a whole
        for repetition, element in enumerate(Segment.repetitions(segment, number)):
            seen = {(component, part) for which, component, part in asked if which == repetition}
            seen.update(one for other in watched if other.raw == element.raw for one in other.seen)
            if (0, 0) not in seen:
                yield from (f".{component}" + f".{part}" * (part > 1)
                            for component, part in _parts(element.raw, segment)
                            if not {(component, part), (component, 0)} & seen)  # fmt: skip


def report(message: Message, context: MapContext) -> tuple[Json | None, Json, list[GatewayError]]:
    """Map a message and say what became of it.

    Returns:
        The Bundle, or None where the message is refused; the report; what is wrong with the message.
    """
    watched, segments = traced(message)
    reading = _Watching(new_reading(message, context).scope, _Forgetful())
    bundle: Json | None = None
    problems: list[GatewayError] = []
    try:
        bundle = map_message(watched, context, reading)
    except ExceptionGroup as refused:
        problems = [problem for problem in refused.exceptions if isinstance(problem, GatewayError)]
    return bundle, _report(message, segments, reading, bundle, problems), problems


def _report(
    message: Message,
    traces: Sequence[TracedSegment],
    reading: _Watching,
    bundle: Json | None,
    problems: list[GatewayError],
) -> Json:
    segments = [_segment(segment, reading, refused=bundle is None) for segment in traces]
    kinds = Counter(entry["resource"]["resourceType"] for entry in bundle["entry"]) if bundle else Counter()
    header = message.header
    return {
        "control_id": header.get(10),
        "event": "^".join(header.get(9, part) or "" for part in (1, 2)),
        "outcome": "mapped" if bundle else "refused",
        "problems": [{"location": one.location, "text": one.text} for one in problems],
        "resources": dict(sorted(kinds.items())),
        "segments": segments,
        "codes": [
            {"field": field, "system": system, "code": code} for field, system, code in dict.fromkeys(reading.codes)
        ],
    }


def _segment(segment: TracedSegment, reading: _Watching, *, refused: bool) -> Json:
    """The fields that a segment fills: those that are mapped, and those that are not, each with the reason.

    ``parts`` names what is not mapped of fields that are: ``PID-5.9`` a component, ``NK1-13~`` repetitions.
    """
    silent = {number for one, number in reading.silent if one is segment}
    further = {number for one, number in reading.further if one is segment}
    mapped: list[str] = []
    unmapped: dict[str, str] = {}
    parts: dict[str, str] = {}
    for number in filled(segment):
        name = f"{segment.name}-{number}"
        reason = REFUSED if refused else _reason(segment, number, silent)
        if reason is None:
            mapped.append(name)
            parts.update((name + part, NO_MAP) for part in reading.unread(segment, number))
            parts.update({f"{name}~": ONE_PLACE} if number in further else {})
        else:
            unmapped[name] = reason
    return {"segment": segment.name, "mapped": mapped, "unmapped": unmapped, "parts": parts}


def _reason(segment: TracedSegment, number: int, silent: set[int]) -> str | None:
    """Why a field is not mapped; None: it is."""
    left = LEFT.get(segment.name, {}).get(number)
    if left is not None:
        return left
    if number not in segment.asked:
        return NOT_REGISTERED if segment.name.startswith("Z") else NO_MAP
    return NO_SENSE if number in silent else None


def filled(segment: Segment) -> list[int]:
    """The numbers of the fields that hold something, ``""`` included."""
    delimiters = segment.delimiters
    empty = {delimiters.component, delimiters.repetition, delimiters.subcomponent, " "}
    return [
        number
        for number in range(1, len(segment) + 1)
        if (raw := Segment.field(segment, number)) and (raw == NULL or not set(raw) <= empty)
    ]


def _parts(raw: str, segment: Segment) -> Iterator[tuple[int, int]]:
    """(component, subcomponent) of what a repetition fills."""
    delimiters = segment.delimiters
    for component, text in enumerate(raw.split(delimiters.component), 1):
        inside = text.split(delimiters.subcomponent) if delimiters.subcomponent else [text]
        for part, one in enumerate(inside, 1):
            if one.strip() and one != NULL:
                yield component, part


def summary(reports: Iterable[Json]) -> Json:
    """Counts over reports: outcomes, segments, unmapped fields by reason, unknown codes."""
    outcomes: Counter[str] = Counter()
    segments: Counter[str] = Counter()
    unmapped: Counter[tuple[str, str]] = Counter()
    codes: Counter[tuple[str, str, str]] = Counter()
    for one in reports:
        outcomes[one["outcome"]] += 1
        for segment in one.get("segments", ()):
            segments[segment["segment"]] += 1
            unmapped.update(segment["unmapped"].items())
            unmapped.update(segment["parts"].items())
        codes.update((code["field"], code["system"], code["code"]) for code in one.get("codes", ()))
    return {
        "outcomes": dict(sorted(outcomes.items())),
        "segments": dict(sorted(segments.items())),
        "unmapped": [
            {"field": field, "reason": reason, "count": count}
            for (field, reason), count in sorted(unmapped.items())
        ],
        "codes": [
            {"field": field, "system": system, "code": code, "count": count}
            for (field, system, code), count in sorted(codes.items())
        ],
    }
