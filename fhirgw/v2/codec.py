"""The ER7 codec of the hot path: bytes to a lazily split message, and back to the same bytes.

Law: ``encode(parse(raw)) == raw`` for every input that ``parse`` accepts. ``parse`` answers any bytes with a
Message or a GatewayError, never with another exception.

Character sets, delimiters and escapes are ``encoding``'s, the ends of segments ``lines``'s. See: HL7 v2.5.1 ch.
2.5. The dialects accepted beyond the standard are listed in ``docs/decisions/0010-er7-dialects.md``.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import pairwise

from fhirgw.errors import MalformedMessage
from fhirgw.v2.encoding import CONTROLS, MARKS, Delimiters, decode, delimiters_of, unescape
from fhirgw.v2.lines import first_line, split_lines

NULL = '""'  # v2.5.1 ch. 2.5.3: the stored value is to be deleted; nothing between delimiters says nothing

_BEFORE = "\r\n \t\0"
_MOST_FIELDS = 100  # that a segment of the standard has: IN2 has 72
_START = 256  # bytes: most often MSH-4 ends before
_HEADERS = ("MSH", "FHS", "BHS")  # their first two fields are the delimiters themselves


class Element:
    """One repetition of a field."""

    __slots__ = ("_delimiters", "raw")

    def __init__(self, raw: str, delimiters: Delimiters) -> None:
        self.raw = raw
        self._delimiters = delimiters

    def get(self, component: int = 1, subcomponent: int = 1) -> str | None:
        """Decoded text; None when absent or empty; ``NULL`` only where the sender wrote ``""``."""
        return _read(self.raw, component, subcomponent, self._delimiters)

    @property
    def is_null(self) -> bool:
        """Whether the whole repetition is ``""``."""
        return self.raw == NULL

    @property
    def text(self) -> str:
        """The whole repetition with escapes decoded, its component separators as written."""
        return unescape(self.raw, self._delimiters)


class Segment:
    """One segment; its fields are split when the first is read.

    Fields are counted as in the standard, MSH-1 and MSH-2 included. A control character reads as a space.
    """

    __slots__ = ("_fields", "delimiters", "name", "raw")

    def __init__(self, name: str, raw: str, delimiters: Delimiters) -> None:
        self.name = name
        self.raw = raw
        self.delimiters = delimiters
        self._fields: list[str] | None = None

    def get(self, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 0) -> str | None:
        """Decoded text; None when absent or empty; ``NULL`` only where the sender wrote ``""``.

        A null of the whole field is read at its first component; ``repetitions(n)[0].is_null`` asks for it.
        """
        fields = self._fields
        if fields is None:
            fields = self._split()
        text = fields[field] if field < len(fields) else ""
        if not text:
            return None
        if text.isalnum():  # most fields: no delimiter, no escape
            return text if component == 1 and subcomponent == 1 and not repetition else None
        if field < 3 and self.name in _HEADERS:
            return text
        delimiters = self.delimiters
        separator = delimiters.repetition
        if separator and separator in text:
            parts = text.split(separator)
            if repetition >= len(parts):
                return None
            text = parts[repetition]
        elif repetition:
            return None
        return _read(text, component, subcomponent, delimiters)

    def fields(self) -> Sequence[str]:
        """Each field as it stands on the wire, by its number; the name of the segment is the first."""
        return self._fields if self._fields is not None else self._split()

    def field(self, number: int) -> str:
        """The field as it stands on the wire, undecoded; empty when absent."""
        fields = self._fields
        if fields is None:
            fields = self._split()
        return fields[number] if number < len(fields) else ""

    def repetitions(self, field: int) -> list[Element]:
        """The repetitions of a field, empty ones included so that they keep their place; [] when absent."""
        text = self.field(field)
        if not text:
            return []
        separator = self.delimiters.repetition
        literal = field < 3 and self.name in _HEADERS
        parts = [text] if literal or not separator else text.split(separator)
        return [Element(part, self.delimiters) for part in parts]

    def with_field(self, number: int, raw: str) -> "Segment":
        """This segment with another field, as it would stand on the wire."""
        fields = list(self._fields if self._fields is not None else self._split())
        fields += [""] * (number + 1 - len(fields))
        fields[number] = raw
        changed = copy(self)
        changed._fields = fields
        written = fields[:1] + fields[2:] if self.name in _HEADERS else fields
        changed.raw = self.delimiters.field.join(written)
        return changed

    def __len__(self) -> int:
        """The number of the last field."""
        return len(self._fields if self._fields is not None else self._split()) - 1

    def __repr__(self) -> str:
        return f"<Segment {self.name}>"  # never content: a repr ends up in logs

    def _split(self) -> list[str]:
        raw = self.raw
        if not raw.isprintable():  # a tab and line ends are not either; they stay
            raw = raw.translate(CONTROLS)
        fields = raw.split(self.delimiters.field)
        if self.name in _HEADERS:
            fields.insert(1, self.delimiters.field)
        self._fields = fields
        return fields


class _Watched(list[str]):
    """Fields that note which of them are looked at, those too that were not sent."""

    __slots__ = ("asked",)

    def __init__(self, fields: Sequence[str], asked: set[int]) -> None:
        super().__init__([*fields, *[""] * (_MOST_FIELDS - len(fields))])
        self.asked = asked

    def __getitem__(self, number: int) -> str:  # type: ignore[override]  # no slices: fields are asked for by number
        self.asked.add(number)
        return super().__getitem__(number)


class TracedSegment(Segment):
    """A segment that remembers which fields were asked for: what a mapper reads can be told from the rest.

    Attributes:
        asked: The numbers of the fields.
        parts: (field, repetition, component, subcomponent) of what was asked for by its place inside a field.
        whole: The numbers of the fields whose repetitions were asked for.
    """

    __slots__ = ("asked", "parts", "whole")

    def __init__(self, name: str, raw: str, delimiters: Delimiters) -> None:
        super().__init__(name, raw, delimiters)
        self.asked: set[int] = set()
        self.parts: set[tuple[int, int, int, int]] = set()
        self.whole: set[int] = set()

    def get(self, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 0) -> str | None:
        """See ``Segment.get``."""
        self.asked.add(field)
        self.parts.add((field, repetition, component, subcomponent))
        return super().get(field, component, subcomponent, repetition)

    def fields(self) -> Sequence[str]:
        """See ``Segment.fields``."""
        return _Watched(super().fields(), self.asked)

    def field(self, number: int) -> str:
        """See ``Segment.field``."""
        self.asked.add(number)
        return super().field(number)

    def repetitions(self, field: int) -> list[Element]:
        """See ``Segment.repetitions``."""
        self.whole.add(field)
        return super().repetitions(field)


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A message: its segments in order, and what lies around them, so that the same bytes can be written.

    Attributes:
        segments: Never empty; the first is MSH.
        delimiters: From MSH-1 and MSH-2.
        codec: Python codec the bytes were decoded with.
        terminators: What follows each segment: terminator, blank lines and indentation of the next.
        mark: Byte order mark.
        lead: Line ends, blanks and NULs before MSH.
    """

    segments: Sequence[Segment]
    delimiters: Delimiters
    codec: str
    terminators: Sequence[str]
    mark: bytes = b""
    lead: str = ""
    _firsts: dict[str, Segment] = field(default_factory=dict, init=False, compare=False)

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        firsts = self._firsts
        if not firsts:
            firsts.update([(segment.name, segment) for segment in reversed(self.segments)])
        return firsts.get(name)

    def all(self, name: str) -> list[Segment]:
        """All segments of that name, in order."""
        return [segment for segment in self.segments if segment.name == name]


def parse(raw: bytes, *, charset: str | None = None) -> Message:
    """Read one ER7 message (no MLLP frame around it).

    Args:
        raw: The bytes.
        charset: Overrides MSH-18: a name of table 0211 or its usual spelling. A byte order mark overrides both.

    Raises:
        MalformedMessage: with the location; its text holds nothing of the message.
    """
    text, codec, mark = decode(raw, charset)
    lead = ""
    if not text.startswith("MSH"):
        stripped = text.lstrip(_BEFORE)
        lead, text = text[: len(text) - len(stripped)], stripped
    delimiters = delimiters_of(text, codec)
    lines, terminators = split_lines(text, delimiters.field)
    segments = [Segment(line[:3], line, delimiters) for line in lines]
    return Message(segments, delimiters, codec, terminators, mark, lead)


def group(message: Message, name: str) -> list[Sequence[Segment]]:
    """The segment groups that each begin with a segment of this name: the patients of A17, A24 or A40 by ``PID``.

    What stands before the first of them belongs to the whole message (MSH, EVN), and is in none.
    """
    starts = [at for at, segment in enumerate(message.segments) if segment.name == name]
    return [message.segments[start:end] for start, end in pairwise([*starts, len(message.segments)])]


def traced(message: Message) -> tuple[Message, Sequence[TracedSegment]]:
    """The same message, of segments that remember what is asked of them."""
    segments = [TracedSegment(one.name, one.raw, one.delimiters) for one in message.segments]
    return replace(message, segments=segments), segments


def header(raw: bytes) -> Message | None:
    """MSH alone, of a message that ``parse`` may refuse: enough to answer it. None when there is no readable MSH.

    Bytes are taken as ISO 8859-1 here, whatever MSH-18 says: any byte passes, and an ACK echoes the same ones.
    """
    _, mark, codec = next((entry for entry in MARKS if raw.startswith(entry[0])), (b"", b"", "iso8859-1"))
    text = raw[len(mark) : len(mark) + 8192].decode(codec, "ignore").lstrip(_BEFORE)
    line = first_line(text)
    try:
        delimiters = delimiters_of(line, codec)
    except MalformedMessage:
        return None
    return Message([Segment("MSH", line, delimiters)], delimiters, codec, [""], mark)


def facility(raw: bytes) -> str:
    """MSH-4.1, as ``header`` reads it; empty where there is none."""
    if raw[:3] == b"MSH" and len(raw) > 3:
        fields = raw[:_START].split(raw[3:4], 4)
        if len(fields) > 4 and fields[3].isalnum() and len((fields[1] + fields[2]).splitlines()) == 1:
            return fields[3].decode("ascii")
    top = header(raw)
    return (top.header.get(4) if top else None) or ""


def encode(message: Message) -> bytes:
    """The bytes of a message; those it was parsed from, if it was."""
    pieces = [message.lead]
    for segment, terminator in zip(message.segments, message.terminators, strict=True):
        pieces += (segment.raw, terminator)
    return message.mark + "".join(pieces).encode(message.codec)


def build(segments: Sequence[Sequence[str]], delimiters: Delimiters) -> Message:
    """A message from fields as they stand on the wire (see ``encoding.escape``), each segment ended by CR.

    A header segment is given with its MSH-1 and MSH-2 (whatever they hold): ours are written from ``delimiters``.
    """
    built = [Segment(fields[0], line(fields, delimiters), delimiters) for fields in segments]
    return Message(built, delimiters, delimiters.codec, ["\r"] * len(built))


def line(fields: Sequence[str], delimiters: Delimiters) -> str:
    """One segment as ``build`` writes it, without its terminator."""
    name, *given = fields
    written = [name, delimiters.encoding_characters, *given[2:]] if name in _HEADERS else [name, *given]
    while not written[-1]:
        written.pop()
    return delimiters.field.join(written)


def _read(text: str, component: int, subcomponent: int, delimiters: Delimiters) -> str | None:
    separator = delimiters.component
    if separator in text:
        parts = text.split(separator, component)
        if component > len(parts):
            return None
        text = parts[component - 1]
    elif component > 1:
        return None
    if text.isalnum() and subcomponent == 1:  # most components: no delimiter, no escape
        return text
    return component_text(text, subcomponent, delimiters) or None


def component_text(text: str, subcomponent: int, delimiters: Delimiters) -> str:
    """Decoded text of a subcomponent of a component as it stands on the wire; empty when absent."""
    separator = delimiters.subcomponent
    if separator and separator in text:
        parts = text.split(separator, subcomponent)
        if subcomponent > len(parts):
            return ""
        text = parts[subcomponent - 1]
    elif subcomponent > 1:
        return ""
    mark = delimiters.escape
    return unescape(text, delimiters) if mark and mark in text else text
