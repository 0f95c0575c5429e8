"""Most messages have nothing wrong with them, and that can be seen without mapping them.

What is not plainly sound here is for ``extract`` to judge, which finds every error and its place; so a refusal has
one home, and nothing is accepted here that ``extract`` would refuse for a required field
(docs/decisions/0125-what-is-plainly-sound.md).
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from fhirgw.mappers.event import MapContext
from fhirgw.mappers.trigger_events import EVENTS, EventSemantics
from fhirgw.settings import Sender
from fhirgw.terminology import CODE_MAPS
from fhirgw.v2.codec import NULL, Message, Segment
from fhirgw.v2.encoding import Delimiters

_CLASSES = CODE_MAPS["0004"]
_VALIDITY = 7  # CX-7 and CX-8 are dates, which may be broken
_TIME = re.compile(r"(\d{8})(?:(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?)?(?:[+-](?:0\d|1[0-3])[0-5]\d)?", re.ASCII)


class Places(NamedTuple):
    """Which segment is the EVN, the PID and the PV1 of a message; None: there is none."""

    evn: int | None
    pid: int
    pv1: int | None


def is_plainly_sound(message: Message, context: MapContext) -> bool:
    """Whether MSH-7, MSH-9, EVN, PID-2, PID-3 and PV1-2 are as an ordinary event's should be.

    False where it cannot be told at first sight.

    Not for events about two records, nor for senders whose own segments stand in for fields of the standard.
    """
    event = plain_event(message.header, context.sender)
    where = _places([segment.name for segment in message.segments])
    if event is None or where is None:
        return False
    evn, pid, pv1 = (None if at is None else message.segments[at].fields() for at in where)
    return pid is not None and are_sound(
        event, context.sender, message.delimiters, message.header.field(7), evn, pid, pv1
    )


def plain_event(msh: Segment, sender: Sender) -> EventSemantics | None:
    """The event that MSH-9 names, if it can be told of at first sight."""
    kind = msh.field(9).split(msh.delimiters.component)
    event = EVENTS.get(kind[1]) if len(kind) > 1 and kind[0] == "ADT" else None
    return None if event is None or event.grouped or event.requires or sender.z else event


def starting_places(starts: tuple[str, ...]) -> Places | None:
    """Where the segments are that count, of lines that start so; None where one cannot tell at first sight."""
    return _places([start[:3] for start in starts])


def _places(names: Sequence[str]) -> Places | None:
    if "MRG" in names or "PID" not in names or any(names.count(name) > 1 for name in ("EVN", "PID", "PV1")):
        return None
    evn, pv1 = (names.index(name) if name in names else None for name in ("EVN", "PV1"))
    return Places(evn, names.index("PID"), pv1)


def are_sound(
    event: EventSemantics,
    sender: Sender,
    delimiters: Delimiters,
    msh_7: str,
    evn: Sequence[str] | None,
    pid: Sequence[str],
    pv1: Sequence[str] | None,
) -> bool:
    """Whether these are as they should be.

    Args:
        event: The event.
        sender: Who sent it.
        delimiters: What its fields are written with.
        msh_7: The time of the message.
        evn: The fields of EVN, as they stand on the wire, up to EVN-6 at least; None: there is none.
        pid: Those of PID, up to PID-3.
        pv1: Those of PV1, up to PV1-2.
    """
    said = {msh_7} if evn is None else {msh_7, _at(evn, 2), _at(evn, 6)}
    said.discard("")
    if not said or (evn is not None and _at(evn, 3)):
        return False
    for text in said:  # most often one
        if not _is_time(text):
            return False
    return _is_identified(_at(pid, 2), _at(pid, 3), delimiters, sender) and (
        event.pv1 == "numbered" or _is_classed(pv1, sender, required=event.pv1 == "required")
    )


def _at(fields: Sequence[str], number: int) -> str:
    return fields[number] if number < len(fields) else ""


def _is_time(text: str) -> bool:
    """Whether it is YYYYMMDD, maybe with HHMM or HHMMSS, maybe with an offset."""
    found = _TIME.fullmatch(text)
    return found is not None and _is_day(found[1])


@lru_cache(maxsize=1024)  # a feed's messages are of few days
def _is_day(text: str) -> bool:
    with suppress(ValueError):
        datetime.fromisoformat(text)
        return True
    return False


def _is_identified(other: str, text: str, delimiters: Delimiters, sender: Sender) -> bool:
    """Some repetition of PID-3 has a number and an authority; nothing in PID-2 or PID-3 could be a broken date."""
    named = False
    if (delimiters.escape and delimiters.escape in text) or other.count(delimiters.component) > _VALIDITY - 2:
        return False
    for repetition in text.split(delimiters.repetition) if delimiters.repetition else (text,):
        parts = repetition.split(delimiters.component)
        if len(parts) >= _VALIDITY:
            return False
        number = parts[0]
        if delimiters.subcomponent:
            number = number.partition(delimiters.subcomponent)[0]
        named = named or (_is_said(number) and _has_authority(parts, sender, delimiters.subcomponent))
    return named


def _has_authority(parts: list[str], sender: Sender, subcomponent: str) -> bool:
    if sender.default_authority:
        return True
    text = parts[3] if len(parts) > 3 else ""
    return _is_said(text.partition(subcomponent)[0] if subcomponent else text)


def _is_said(text: str) -> bool:
    text = text.strip()
    return bool(text) and text != NULL


def _is_classed(pv1: Sequence[str] | None, sender: Sender, *, required: bool) -> bool:
    """PV1-2 is a code of table 0004, in the sender's codes or the table's."""
    if pv1 is None:
        return not required
    code = _at(pv1, 2)
    return bool(code) and sender.codes.get("0004", {}).get(code, code) in _CLASSES
