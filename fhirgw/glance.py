"""Most messages of a feed begin as the one before and have nothing wrong with them: that can be seen at a glance.

What follows from MSH alone (but for MSH-7 and MSH-10) is remembered of the messages that ``intake`` has read and
taken; the rest is looked at where it stands, by the rules of ``mappers.plain``. What is not plainly in order is
read in full, as ever (docs/decisions/0153).
"""

from dataclasses import dataclass
from functools import lru_cache

from fhirgw.keeping import Judged
from fhirgw.mappers.plain import Places, are_sound, plain_event, starting_places
from fhirgw.mappers.trigger_events import EventSemantics
from fhirgw.settings import Sender, Senders
from fhirgw.v2.ack import AckMode, Form, check_envelope
from fhirgw.v2.codec import Message
from fhirgw.v2.encoding import Delimiters
from fhirgw.v2.lines import REMEMBERED, are_segments

OPENINGS = 1024
"""Openings that are remembered: senders by message types, several times over."""
MSH_7, MSH_10 = 6, 9  # where they stand in MSH, split: MSH-1 is no part
ALLOWED = b"-._"  # in a control id, beside letters and digits: neither delimiters nor escaped


@dataclass(frozen=True, slots=True)
class Opening:
    """What messages have in common whose MSH differs in MSH-7 and MSH-10 alone.

    Attributes:
        sender: Its name in the senders file.
        registered: What the senders file says of it.
        mode: Which acknowledgments are given.
        code: MSA-1 when it is taken; None: there is no answer.
        form: The answer then.
        event: What MSH-9 names.
        trigger: MSH-9.2.
        delimiters: From MSH-1 and MSH-2.
    """

    sender: str
    registered: Sender
    mode: AckMode
    code: str | None
    form: Form | None
    event: EventSemantics
    trigger: str | None
    delimiters: Delimiters


class Glance:
    """Judges what is plainly in order, and leaves all the rest. One instance serves every channel."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._openings: dict[tuple[bytes, ...], Opening] = {}
        self._senders: Senders | None = None

    def look(self, raw: bytes, senders: Senders) -> Judged | None:
        """The message, if it is in order; None where that cannot be told so soon."""
        key, time, control = _cut(raw)
        opening = self._openings.get(key)
        if opening is None or senders is not self._senders or not _is_ordinary(raw, control):
            return None
        lines = raw.decode("ascii").split("\r")
        if not lines[-1]:
            del lines[-1]
        field = opening.delimiters.field
        where = _places(tuple([line[:4] for line in lines]), field) if len(lines) <= REMEMBERED else None
        if where is None:
            return None
        pid = lines[where.pid].split(field, 4)
        sound = are_sound(
            opening.event,
            opening.registered,
            opening.delimiters,
            time.decode("ascii"),
            None if where.evn is None else lines[where.evn].split(field, 7),
            pid,
            None if where.pv1 is None else lines[where.pv1].split(field, 3),
        )
        # Control characters read as spaces: of what was looked at, that could make a difference to PID-3 alone.
        return _judged(raw, opening, control.decode("ascii")) if sound and pid[3].isprintable() else None

    def learn(self, raw: bytes, senders: Senders, judged: Judged) -> None:
        """Remember how a message began that was read in full and is to be taken."""
        message = judged.message
        if message is None or judged.errors or not raw.startswith(b"MSH"):
            return
        key, _, control = _cut(raw)
        event = plain_event(message.header, judged.registered)
        delimiters = message.delimiters
        if event is None or not _is_ordinary(raw, control) or check_envelope(message):
            return
        if set(delimiters.encoding_characters + delimiters.field) & set(ALLOWED.decode()):
            return
        if senders is not self._senders or len(self._openings) >= OPENINGS:
            self._openings.clear()
            self._senders = senders
        self._openings[key] = _opening(message, judged, event)


@lru_cache(maxsize=4096)
def _places(starts: tuple[str, ...], field: str) -> Places | None:
    """Where the segments are that count, of lines that start so; None where it cannot be told at first sight."""
    return starting_places(starts) if are_segments(starts, field) else None


def _cut(raw: bytes) -> tuple[tuple[bytes, ...], bytes, bytes]:
    """The fields of MSH without MSH-7 and MSH-10, and these two; nothing where it has not so many."""
    end = raw.find(b"\r")
    separator = raw[3:4]
    fields = raw[:end].split(separator) if end > 0 and separator else []
    if len(fields) <= MSH_10:
        return (), b"", b""
    time, control = fields[MSH_7], fields[MSH_10]
    fields[MSH_7] = fields[MSH_10] = b""
    return tuple(fields), time, control


def _is_ordinary(raw: bytes, control: bytes) -> bool:
    """Whether it is ASCII, its segments end in CR, and nothing in MSH-10 could mean anything but itself."""
    return raw.isascii() and raw.find(b"\n") < 0 and control.translate(None, ALLOWED).isalnum()


def _opening(message: Message, judged: Judged, event: EventSemantics) -> Opening:
    code = judged.mode.at_once(())
    return Opening(
        judged.sender,
        judged.registered,
        judged.mode,
        code,
        Form.of(message, code) if code else None,
        event,
        judged.trigger,
        message.delimiters,
    )


def _judged(raw: bytes, opening: Opening, control_id: str) -> Judged:
    return Judged(
        raw,
        opening.sender,
        opening.registered,
        opening.mode,
        control_id=control_id,
        trigger=opening.trigger,
        code=opening.code,
        form=opening.form,
    )
