"""A sender's own segments, by its registration: a field of theirs stands in for a standard one, or is an extension.

``[senders.NAME.z]`` maps ``ZPV-3`` (or ``ZPV-3.2``) to ``PV1-44``, or to ``Encounter https://…`` and
``Patient https://…``. What is not registered stays in the journal's bytes. See:
``docs/decisions/0083-z-segments.md``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from fhirgw.mappers.datatypes import Json
from fhirgw.mappers.segments.reading import Facts
from fhirgw.v2.codec import NULL, Message, Segment

_PLACE = re.compile(r"(\w{3})-(\d+)(?:\.(\d+))?", re.ASCII)


@lru_cache(maxsize=256)
def _place(path: str) -> tuple[str, int, int | None] | None:
    """Segment, field and component of ``ZPV-3.2``; None for a target that is an extension."""
    match = _PLACE.fullmatch(path)
    return (match[1], int(match[2]), int(match[3]) if match[3] else None) if match else None


def with_z_fields(message: Message, table: Mapping[str, str]) -> Message:
    """The message with standard fields filled from the sender's own; what the standard field says itself stands.

    A segment that the message does not have is made. The bytes of the result are nobody's: take digests before.
    """
    for path, target in table.items():
        place = _place(target)
        raw = next(_written(message, path), "") if place else ""
        if place and raw:
            message = _filled(message, place[0], place[1], raw)
    return message


def _filled(message: Message, name: str, number: int, raw: str) -> Message:
    segments = list(message.segments)
    at = next((at for at, segment in enumerate(segments) if segment.name == name), None)
    if at is None:
        made = Segment(name, name, message.delimiters).with_field(number, raw)
        return replace(message, segments=[*segments, made], terminators=[*message.terminators, "\r"])
    if segments[at].field(number):
        return message
    segments[at] = segments[at].with_field(number, raw)
    return replace(message, segments=segments)


def z_to_extensions(message: Message, table: Mapping[str, str], *facts: Facts) -> None:
    """Map registered Z fields to facts ``extension.ZPV-3``, one extension a repetition; ``""`` deletes.

    A resource that the message says nothing else of (no PV1, no Encounter) is passed over.
    """
    said = {one.resource: one for one in facts if one.values}
    for path, target in table.items():
        resource, _, url = target.partition(" ")
        if not url or resource not in said:
            continue
        if NULL in _written(message, path):
            said[resource].deletes.append(f"{resource}.extension.{path}")
            continue
        texts = [text.strip() for text in _texts(message, path)]
        extensions: list[Json] = [{"url": url, "valueString": text} for text in texts if text]
        if extensions:
            said[resource].values[f"extension.{path}"] = {"extension": extensions}


def _written(message: Message, path: str) -> Iterator[str]:
    """What stands at a place on the wire, in every occurrence of the segment; a component in every repetition."""
    name, number, component = _place(path) or ("", 0, None)
    for segment in message.all(name):
        if component is None:
            raw = segment.field(number)
            if raw:
                yield raw
            continue
        for element in segment.repetitions(number):
            parts = element.raw.split(message.delimiters.component)
            if component <= len(parts) and parts[component - 1]:
                yield parts[component - 1]


def _texts(message: Message, path: str) -> Iterator[str]:
    name, number, component = _place(path) or ("", 0, None)
    for segment in message.all(name):
        for element in segment.repetitions(number):
            yield (element.text if component is None else element.get(component)) or ""
