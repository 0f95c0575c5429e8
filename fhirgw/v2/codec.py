"""The ER7 codec of the hot path: bytes to a lazily split message, and back to the same bytes.

Law: ``encode(parse(raw)) == raw`` for every input that ``parse`` accepts. ``parse`` answers any bytes with a
Message or a GatewayError, never with another exception.

See: HL7 v2.5.1 ch. 2.5.4 (delimiters), 2.7 (escape sequences), 2.14.9.18 (MSH-18). The dialects accepted beyond the
standard are listed in ``docs/decisions/0010-er7-dialects.md``.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fhirgw.errors import MalformedMessage

NULL = '""'  # v2.5.1 ch. 2.5.3: the stored value is to be deleted; nothing between delimiters says nothing

# Table 0211, and the spellings that senders and registrations use for the same sets, upper-cased.
CHARSETS = {
    "ASCII": "ascii",
    "US-ASCII": "ascii",
    "ISO IR6": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UTF-16": "utf-16",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
    **{f"{prefix}8859{dash}{part}": f"iso8859-{part}"
       for prefix in ("", "ISO-", "ISO", "ISO ") for dash in ("/", "-") for part in (*range(1, 12), 13, 14, 15)},
}  # fmt: skip

# A byte order mark, or MSH in 16-bit units, says more about the bytes than MSH-18 does.
_MARKS = (
    (b"\xef\xbb\xbf", b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", b"\xfe\xff", "utf-16-be"),
    (b"M\0S\0H\0", b"", "utf-16-le"),
    (b"\0M\0S\0H", b"", "utf-16-be"),
)

# Segments of v2.1 to v2.8: what may follow a bare LF in a message whose other segments end in CR.
_STANDARD = """
ABS ACC ADD AFF AIG AIL AIP AIS AL1 APR ARQ ARV AUT BHS BLC BLG BPO BPX BTS BTX CDM CER CM0 CM1 CM2 CNS CON
CSP CSR CSS CTD CTI DB1 DG1 DMI DRG DSC DSP ECD ECR EDU EQP EQU ERR EVN FAC FHS FT1 FTS GOL GP1 GP2 GT1 IAM
IAR IIM ILT IN1 IN2 IN3 INV IPC IPR ISD ITM IVC IVT LAN LCC LCH LDP LOC LRL MFA MFE MFI MRG MSA MSH NCK NDS
NK1 NPU NSC NST NTE OBR OBX ODS ODT OH1 OH2 OH3 OH4 OM1 OM2 OM3 OM4 OM5 OM6 OM7 ORC ORG OVR PAC PCE PCR PD1
PDA PDC PEO PES PID PKG PMT PR1 PRA PRB PRC PRD PRT PSG PSH PSL PSS PTH PV1 PV2 PYE QAK QID QPD QRD QRF RCP
RDF RDT REL RF1 RFI RGS RMI ROL RQ1 RQD RXA RXC RXD RXE RXG RXO RXR RXV SAC SCD SCH SCP SDD SFT SGH SGT SHP
SID SLT SPM STF STZ TCC TCD TQ1 TQ2 TXA UAC UB1 UB2 URD URS VAR VND
"""
STANDARD_SEGMENTS = frozenset(_STANDARD.split())

_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_HEADER_BYTES = re.compile(rb"[\r\n]*(MSH[^\r\n]+)")
_LINE_END = re.compile(r"(\r\n?|\n)")
_BLANKS = " \t"
_HEADERS = ("MSH", "FHS", "BHS")  # their first two fields are the delimiters themselves


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The delimiters a message declares in MSH-1 and MSH-2; an empty string is one that it does not declare.

    Attributes:
        escapes: Escape code (``F``, ``S``, …, ``.br``) to the text it stands for.
        codec: Python codec of the message, by which the hexadecimal escape is read.
    """

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str
    truncation: str
    codec: str
    escapes: dict[str, str]

    @property
    def encoding_characters(self) -> str:
        """MSH-2 as we write it."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


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
        return _unescape(self.raw, self._delimiters)


class Segment:
    """One segment; its fields are split when the first is read.

    Fields are counted as in the standard, MSH-1 and MSH-2 included.
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
        text = self.field(field)
        if not text:
            return None
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

    def __len__(self) -> int:
        """The number of the last field."""
        return len(self._fields if self._fields is not None else self._split()) - 1

    def __repr__(self) -> str:
        return f"<Segment {self.name}>"  # never content: a repr ends up in logs

    def _split(self) -> list[str]:
        fields = self.raw.split(self.delimiters.field)
        if self.name in _HEADERS:
            fields.insert(1, self.delimiters.field)
        self._fields = fields
        return fields


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A message: its segments in order, and what lies around them, so that the same bytes can be written.

    Attributes:
        segments: Never empty; the first is MSH.
        delimiters: From MSH-1 and MSH-2.
        codec: Python codec the bytes were decoded with.
        terminators: What follows each segment: terminator, blank lines and indentation of the next.
        mark: Byte order mark.
        lead: Line ends before MSH.
    """

    segments: Sequence[Segment]
    delimiters: Delimiters
    codec: str
    terminators: Sequence[str]
    mark: bytes = b""
    lead: str = ""

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        for segment in self.segments:
            if segment.name == name:
                return segment
        return None

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
    mark, codec = _codec(raw, charset)
    try:
        text = (raw[len(mark) :] if mark else raw).decode(codec)
    except UnicodeDecodeError as error:
        text_for_people = "The bytes are not in the character set that MSH-18 or the sender's registration names."
        raise MalformedMessage(text_for_people, location="MSH-18", err="102") from error
    lead = ""
    if not text.startswith("MSH"):
        stripped = text.lstrip("\r\n")
        lead, text = text[: len(text) - len(stripped)], stripped
    delimiters = _delimiters(text, codec)
    lines, terminators = _lines(text, delimiters.field)
    segments = [Segment(line[:3], line, delimiters) for line in lines]
    return Message(segments, delimiters, codec, terminators, mark, lead)


def header(raw: bytes) -> Message | None:
    """MSH alone, of a message that ``parse`` may refuse: enough to answer it. None when there is no readable MSH.

    Bytes are taken as ISO 8859-1 here, whatever MSH-18 says: any byte passes, and an ACK echoes the same ones.
    """
    _, mark, codec = next((entry for entry in _MARKS if raw.startswith(entry[0])), (b"", b"", "iso8859-1"))
    text = raw[len(mark) : len(mark) + 8192].decode(codec, "ignore").lstrip("\r\n")
    line = _LINE_END.split(text, maxsplit=1)[0]
    try:
        delimiters = _delimiters(line, codec)
    except MalformedMessage:
        return None
    return Message([Segment("MSH", line, delimiters)], delimiters, codec, [""], mark)


def encode(message: Message) -> bytes:
    """The bytes of a message; those it was parsed from, if it was."""
    pieces = [message.lead]
    for segment, terminator in zip(message.segments, message.terminators, strict=True):
        pieces += (segment.raw, terminator)
    return message.mark + "".join(pieces).encode(message.codec)


def build(segments: Sequence[Sequence[str]], delimiters: Delimiters) -> Message:
    """A message from fields as they stand on the wire (see ``escape``), each segment ended by CR.

    A header segment is given with its MSH-1 and MSH-2 (whatever they hold): ours are written from ``delimiters``.
    """
    built = []
    for name, *given in segments:
        fields = [name, delimiters.encoding_characters, *given[2:]] if name in _HEADERS else [name, *given]
        while not fields[-1]:
            fields.pop()
        built.append(Segment(name, delimiters.field.join(fields), delimiters))
    return Message(built, delimiters, delimiters.codec, ["\r"] * len(built))


def escape(text: str, delimiters: Delimiters) -> str:
    """Text as it may stand in a field: delimiters and line ends escaped, what the charset lacks as ``?``.

    Where the sender declares no escape character, what would need one becomes a space.
    """
    text = text.encode(delimiters.codec, "replace").decode(delimiters.codec)
    mark = delimiters.escape
    codes = {value: code for code, value in delimiters.escapes.items() if len(value) == 1 and code != ".br"}
    codes |= {"\r": "X0D", "\n": ".br"}
    return "".join((f"{mark}{codes[c]}{mark}" if mark else " ") if c in codes else c for c in text)


def _codec(raw: bytes, charset: str | None) -> tuple[bytes, str]:
    for prefix, mark, codec in _MARKS:
        if raw.startswith(prefix):
            return mark, codec
    declared = charset if charset is not None else _declared(raw)
    if not declared:
        return b"", "utf-8"  # ASCII by the standard, of which UTF-8 is the superset that cannot be mistaken
    known = CHARSETS.get(declared.upper())
    if known is None:
        raise MalformedMessage("The character set in MSH-18 is not one we read.", location="MSH-18", err="103")
    if known == "utf-16":
        text = "MSH-18 says UTF-16, but the bytes are not in 16-bit units."
        raise MalformedMessage(text, location="MSH-18", err="102")
    return b"", known


def _declared(raw: bytes) -> str:
    """MSH-18.1 of bytes in a superset of ASCII; its first repetition is the message's default set."""
    header = _HEADER_BYTES.match(raw)
    fields = header[1].split(header[1][3:4], 18) if header else []
    if len(fields) < 18:
        return ""
    repetition = fields[1][1:2]
    name = fields[17].split(repetition)[0] if repetition else fields[17]
    return name.strip().decode("latin-1") if name != b'""' else ""


def _delimiters(text: str, codec: str) -> Delimiters:
    if not text.startswith("MSH") or len(text) < 4:
        raise MalformedMessage("The message does not begin with an MSH segment.", location="MSH")
    encoding = text[4:10].partition(text[3])[0].partition("\r")[0].partition("\n")[0]
    return _declare(text[3], encoding, codec)


@lru_cache(maxsize=256)
def _declare(field: str, encoding: str, codec: str) -> Delimiters:
    if not _is_delimiter(field):
        raise MalformedMessage("MSH-1 is not a character that can separate fields.", location="MSH-1", err="102")
    if not encoding:
        raise MalformedMessage("MSH-2, the encoding characters, is empty.", location="MSH-2", err="101")
    if len(encoding) > 5 or len(set(encoding)) < len(encoding) or not all(map(_is_delimiter, encoding)):
        text = "MSH-2 must hold up to five different punctuation characters."
        raise MalformedMessage(text, location="MSH-2", err="102")
    if len(encoding) == 3 and encoding[2] == "&":  # senders that leave the escape character out of the usual four
        encoding = encoding[:2] + "\0&"
    component, repetition, mark, subcomponent, truncation = (c.strip("\0") for c in encoding.ljust(5, "\0"))
    meanings = {"F": field, "S": component, "R": repetition, "E": mark, "T": subcomponent, "P": truncation}
    escapes = {code: value for code, value in meanings.items() if value} | {".br": "\n"}
    return Delimiters(field, component, repetition, mark, subcomponent, truncation, codec, escapes)


def _is_delimiter(character: str) -> bool:
    return character.isascii() and character.isprintable() and not character.isalnum() and character not in ' "'


def _lines(text: str, field: str) -> tuple[list[str], list[str]]:
    """The text of each segment, and what follows it."""
    if "\n" not in text:
        lines = text.split("\r")
        terminators = ["\r"] * len(lines)
        if lines[-1]:
            terminators[-1] = ""
        else:
            del lines[-1], terminators[-1]
        # The rule of _is_segment for all lines at once, twice as fast; anything else is told apart below.
        names = [line[:3] for line in lines]
        known = names.count("MSH") == 1 and all(map(_NAME.fullmatch, set(names) - STANDARD_SEGMENTS))
        if known and {line[3:4] for line in lines} <= {field, ""}:
            return lines, terminators
    return _tolerant_lines(text, field)


def _tolerant_lines(text: str, field: str) -> tuple[list[str], list[str]]:
    """Segments by the tolerant rule, in one pass.

    CR ends a segment. LF ends one too if a segment follows (in a message that also has CR: one of the standard or a
    Z segment); otherwise it belongs to the field. Blank lines and indentation belong to the terminator.
    """
    pieces = iter((*_LINE_END.split(text), ""))
    only_standard = "\r" in text
    segments: list[list[str]] = []
    terminators: list[list[str]] = []
    for line, end in zip(pieces, pieces, strict=True):
        content = line.lstrip(_BLANKS)
        if segments and not content:
            terminators[-1] += (line, end)
        elif segments and not _begins(content, field, only_standard) and "\r" not in "".join(terminators[-1]):
            segments[-1] += (*terminators[-1], line)
            terminators[-1] = [end]
        elif _is_segment(content, field):
            if segments:
                terminators[-1].append(line[: len(line) - len(content)])
            segments.append([content])
            terminators.append([end])
        else:
            sentence = "is not a segment; a line end inside a field must be sent as an escape sequence."
            raise MalformedMessage(f"Line {len(segments) + 1} {sentence}")
    return _checked(["".join(parts) for parts in segments]), ["".join(parts) for parts in terminators]


def _is_segment(line: str, field: str) -> bool:
    name = line[:3]
    return line[3:4] in ("", field) and (name in STANDARD_SEGMENTS or _NAME.fullmatch(name) is not None)


def _begins(line: str, field: str, only_standard: bool) -> bool:
    if only_standard and line[:3] not in STANDARD_SEGMENTS and line[:1] != "Z":
        return False
    return _is_segment(line, field)


def _checked(lines: list[str]) -> list[str]:
    """INVARIANT: one message; a second one in the same bytes would be lost without a word."""
    if [line[:3] for line in lines].count("MSH") > 1:
        raise MalformedMessage("A second MSH segment: send each message in a frame of its own.", location="MSH")
    return lines


def _read(text: str, component: int, subcomponent: int, delimiters: Delimiters) -> str | None:
    separator = delimiters.component
    if separator in text:
        parts = text.split(separator, component)
        if component > len(parts):
            return None
        text = parts[component - 1]
    elif component > 1:
        return None
    separator = delimiters.subcomponent
    if separator and separator in text:
        parts = text.split(separator, subcomponent)
        if subcomponent > len(parts):
            return None
        text = parts[subcomponent - 1]
    elif subcomponent > 1:
        return None
    if not text:
        return None
    return _unescape(text, delimiters)


def _unescape(text: str, delimiters: Delimiters) -> str:
    if not delimiters.escape or delimiters.escape not in text:
        return text
    return "".join(_unescaped(text.split(delimiters.escape), delimiters))


def _unescaped(parts: list[str], delimiters: Delimiters) -> Iterator[str]:
    """Decode text split at the escape character: an unknown sequence keeps it, its end may begin the next."""
    yield parts[0]
    position = 1
    while position < len(parts):
        code = parts[position]
        meaning = _meaning(code, delimiters) if position + 1 < len(parts) else None
        if meaning is None:
            yield delimiters.escape + code
            position += 1
        else:
            yield meaning + parts[position + 1]
            position += 2


def _meaning(code: str, delimiters: Delimiters) -> str | None:
    if code[:1] != "X":
        return delimiters.escapes.get(code)
    try:
        return bytes.fromhex(code[1:]).decode(delimiters.codec) if code[1:].isalnum() else None
    except ValueError:
        return None
