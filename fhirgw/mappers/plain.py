"""Most messages have nothing wrong with them, and that can be seen without mapping them.

What is not plainly sound here is for ``extract`` to judge, which finds every error and its place; so a refusal has
one home, and nothing is accepted here that ``extract`` would refuse for a required field
(docs/decisions/0125-what-is-plainly-sound.md).
"""

from contextlib import suppress
from datetime import datetime

from fhirgw.mappers.event import EVENTS, MapContext
from fhirgw.settings import Sender
from fhirgw.terminology import CODE_MAPS
from fhirgw.v2.codec import NULL, Message, Segment

_CLASSES = CODE_MAPS["0004"]
_VALIDITY = 7  # CX-7 and CX-8 are dates, which may be broken
_LENGTHS = frozenset({8, 12, 14})  # YYYYMMDD, with HHMM, with SS


def is_plainly_sound(message: Message, context: MapContext) -> bool:
    """Whether MSH-7, MSH-9, EVN, PID-2, PID-3 and PV1-2 are as an ordinary event's should be.

    False where it cannot be told at first sight.

    Not for events about two records, nor for senders whose own segments stand in for fields of the standard.
    """
    sender = context.sender
    first = {segment.name: segment for segment in reversed(message.segments)}
    msh, evn, pid = message.header, first.get("EVN"), first.get("PID")
    kind = msh.field(9).split(message.delimiters.component)
    event = EVENTS.get(kind[1]) if len(kind) > 1 and kind[0] == "ADT" else None
    if event is None or pid is None or event.grouped or event.requires or sender.z or "MRG" in first:
        return False
    if any(segment.name == "EVN" and segment.field(3) for segment in message.segments):
        return False
    return (
        _is_dated(msh, evn)
        and _is_identified(pid, sender)
        and (event.pv1 == "numbered" or _is_classed(first.get("PV1"), sender, required=event.pv1 == "required"))
    )


def _is_dated(msh: Segment, evn: Segment | None) -> bool:
    """Some of EVN-6, EVN-2 and MSH-7 are there, and those that are there are local times that exist."""
    said = {msh.field(7)}
    if evn is not None:
        said |= {evn.field(2), evn.field(6)}
    said.discard("")
    return bool(said) and all(map(_is_time, said))


def _is_time(text: str) -> bool:
    if text[-5:-4] in ("+", "-"):
        text, offset = text[:-5], text[-4:]
        if not (offset.isdecimal() and offset.isascii() and offset < "1400" and offset[2:] < "60"):
            return False
    if len(text) not in _LENGTHS or not (text.isdecimal() and text.isascii()) or text[8:10] > "23":
        return False
    with suppress(ValueError):
        datetime.fromisoformat(f"{text[:8]}T{text[8:]}" if text[8:] else text)
        return True
    return False


def _is_identified(pid: Segment, sender: Sender) -> bool:
    """Some repetition of PID-3 has a number and an authority; nothing in PID-2 or PID-3 could be a broken date."""
    delimiters = pid.delimiters
    text, named = pid.field(3), False
    if (delimiters.escape and delimiters.escape in text) or pid.field(2).count(
        delimiters.component
    ) > _VALIDITY - 2:
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


def _is_classed(pv1: Segment | None, sender: Sender, *, required: bool) -> bool:
    """PV1-2 is a code of table 0004, in the sender's codes or the table's."""
    if pv1 is None:
        return not required
    code = pv1.field(2)
    return bool(code) and sender.codes.get("0004", {}).get(code, code) in _CLASSES
