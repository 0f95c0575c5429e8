"""From bytes to text and back: the character set, the delimiters and the escapes of one message.

See: HL7 v2.5.1 ch. 2.5.4 (delimiters), 2.7 (escape sequences), 2.14.9.18 (MSH-18); table 0211. The dialects
accepted beyond the standard are listed in ``docs/decisions/0010-er7-dialects.md``.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from fhirgw.errors import MalformedMessage

# Table 0211, and the spellings that senders and registrations use for the same sets, upper-cased. ISO 8859-12 was
# never published. ``UNICODE`` alone (withdrawn in v2.5) is UTF-8 here: 16-bit units are recognized before.
CHARSETS = {
    "ASCII": "ascii",
    "US-ASCII": "ascii",
    "ISO IR6": "ascii",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UTF-16": "utf-16",
    "UTF-16LE": "utf-16",
    "UTF-16BE": "utf-16",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
    **{f"{prefix}8859{dash}{part}": f"iso8859-{part}"
       for prefix in ("", "ISO-", "ISO", "ISO ") for dash in ("/", "-") for part in range(1, 17) if part != 12},
}  # fmt: skip

# Sets of table 0211 in which bytes of ASCII are something else; others begin those with an escape or a shift.
_SEVEN_BITS = frozenset({"ISO IR14", "ISO IR87", "ISO IR159"})
_SHIFTS = re.compile(rb"[\x0e\x0f\x1b]")

# A byte order mark, or MSH in 16-bit units, says more about the bytes than MSH-18 does.
MARKS = (
    (b"\xef\xbb\xbf", b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", b"\xfe\xff", "utf-16-be"),
    (b"M\0S\0H\0", b"", "utf-16-le"),
    (b"\0M\0S\0H", b"", "utf-16-be"),
)

# No text: NULs that pad a field, what a terminal left behind. FHIR strings may not hold them either.
CONTROLS = {code: " " for code in range(32) if chr(code) not in "\t\r\n"}

# MSH, with a line feed inside it: one that no segment follows.
_HEADER_BYTES = re.compile(rb"[\r\n \t\0]*(MSH(?:[^\r\n]|\n(?![ \t\r\n]*(?:[A-Z][A-Z0-9]{2}[^A-Za-z0-9]|\Z)))+)")

_WIDE = frozenset({"utf-16-le", "utf-16-be"})

# What bytes beyond ASCII are, by the set that MSH-18 declares: the first that they fit. Text of western Europe is
# never UTF-8 by chance (that would take pairs like "Ã±" throughout), and what is called 8859/1 is Windows-1252.
_READINGS = {
    "ascii": ("utf-8",),
    "iso8859-1": ("utf-8", "cp1252", "iso8859-1"),
    "iso8859-15": ("utf-8", "iso8859-15"),
    "cp1252": ("utf-8", "cp1252", "iso8859-1"),
}

# What the escape sequences of formatted text and of highlighting come to in plain text (v2.5.1 ch. 2.7.2, 2.7.6).
# A command that asks for a new line, or for so many of them, or spaces, gives those; how wide and how bold the rest
# is to look has no place in plain text.
_FORMAT = re.compile(r"\.(br|sp|sk|ce|fi|nf|in|ti) ?([+-]?\d{0,3})")
_LAYOUT = {"br": "\n", "ce": "\n", "sp": "\n", "sk": " ", "fi": "", "nf": "", "in": "", "ti": ""}
_COUNTED = frozenset({"sp", "sk"})


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


def decode(raw: bytes, charset: str | None) -> tuple[str, str, bytes]:
    """The text of a message, the Python codec it was read with, and its byte order mark.

    Law: ``mark + text.encode(codec) == raw``. See: ``docs/decisions/0080-character-sets.md``.

    Args:
        raw: The message.
        charset: Overrides MSH-18 and is not corrected. A byte order mark overrides both.

    Raises:
        MalformedMessage: The set is not one we read, or the bytes are not in it.
    """
    mark, codec = charset_of(raw, charset)
    if raw.isascii() and codec not in _WIDE:  # ASCII is a part of all the others
        return raw.decode("ascii"), codec, mark
    declared = mark or charset is not None
    for reading in (codec,) if declared else _READINGS.get(codec, (codec,)):
        with suppress(UnicodeDecodeError):
            return (raw[len(mark) :] if mark else raw).decode(reading), reading, mark
    text = (
        "The bytes are not in the character set that MSH-18 or the sender's registration names (UTF-8 where neither"
        " does): correct MSH-18, or register the sender's charset."
    )
    raise MalformedMessage(text, location="MSH-18", err="102")


def charset_of(raw: bytes, charset: str | None) -> tuple[bytes, str]:
    """The byte order mark and the Python codec that a message, or its sender's registration, declares.

    Raises:
        MalformedMessage: The set is not one we read.
    """
    if raw[:1] != b"M" or raw[1:2] == b"\0":
        for prefix, mark, codec in MARKS:
            if raw.startswith(prefix):
                return mark, codec
    declared = charset if charset is not None else _declared(raw)
    if not declared:
        return b"", "utf-8"  # ASCII by the standard, of which UTF-8 is the superset that cannot be mistaken
    known = CHARSETS.get(declared.upper())
    if known is None:
        if charset is None and _is_ascii(raw, declared):
            return b"", "utf-8"
        raise MalformedMessage("The character set in MSH-18 is not one we read.", location="MSH-18", err="103")
    if known == "utf-16":  # and yet MSH is in 8-bit units
        if charset is None:
            return b"", "utf-8"
        text = "The sender is registered as UTF-16, but the bytes are not in 16-bit units."
        raise MalformedMessage(text, location="MSH-18", err="102")
    return b"", known


def _is_ascii(raw: bytes, declared: str) -> bool:
    """Whether it makes no difference that nobody knows the set that is declared."""
    return raw.isascii() and declared.upper() not in _SEVEN_BITS and not _SHIFTS.search(raw)


def _declared(raw: bytes) -> str:
    """MSH-18.1 of bytes in a superset of ASCII; its first repetition is the message's default set."""
    line = raw[: max(raw.find(b"\r"), 0)]
    if not line.startswith(b"MSH") or b"\n" in line:  # most often it is a line of its own
        header = _HEADER_BYTES.match(raw)
        line = header[1] if header else b""
    fields = line.split(line[3:4], 18) if line[3:] else []
    if len(fields) < 18:
        return ""
    repetition = fields[1][1:2]
    name = fields[17].split(repetition)[0] if repetition else fields[17]
    return name.strip().decode("latin-1") if name != b'""' else ""


def delimiters_of(text: str, codec: str) -> Delimiters:
    """The delimiters that a message declares.

    Raises:
        MalformedMessage: It does not begin with an MSH that declares usable ones.
    """
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
    escapes = {code: value for code, value in meanings.items() if value} | {".br": "\n", "H": "", "N": ""}
    return Delimiters(field, component, repetition, mark, subcomponent, truncation, codec, escapes)


def _is_delimiter(character: str) -> bool:
    return character.isascii() and character.isprintable() and not character.isalnum() and character not in ' "'


def escape(text: str, delimiters: Delimiters) -> str:
    """Text as it may stand in a field: delimiters and line ends escaped, what the charset lacks as ``?``.

    Where the sender declares no escape character, what would need one becomes a space.
    """
    if text.isascii() and text.isalnum():  # no delimiter is either, and every charset has them
        return text
    text = text.encode(delimiters.codec, "replace").decode(delimiters.codec)
    mark = delimiters.escape
    codes = {value: code for code, value in delimiters.escapes.items() if len(value) == 1 and code != ".br"}
    codes |= {"\r": "X0D", "\n": ".br"}
    return "".join((f"{mark}{codes[c]}{mark}" if mark else " ") if c in codes else c for c in text)


def unescape(text: str, delimiters: Delimiters) -> str:
    """The text that stands in a field; an unknown escape sequence is kept as it is."""
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
    """The text of an escape code; None for one that has none: of another character set (C, M), a sender's own."""
    known = delimiters.escapes.get(code)
    if known is not None:
        return known
    if code[:1] == ".":
        command = _FORMAT.fullmatch(code)
        return _layout(command[1], command[2]) if command else None
    if code[:1] != "X" or not code[1:].isalnum():
        return None
    codec = "utf-8" if delimiters.codec.startswith("utf-16") else delimiters.codec  # pairs of digits are bytes
    try:
        text = bytes.fromhex(code[1:]).decode(codec)
    except ValueError:
        return None
    return None if any(ord(character) in CONTROLS for character in text) else text


def _layout(command: str, count: str) -> str:
    if command not in _COUNTED:
        return _LAYOUT[command]
    return _LAYOUT[command] * (int(count) if count.isdecimal() else 1)
