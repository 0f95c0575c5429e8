"""Batches: a stream of bytes cut into messages, headers and trailers, and the answer to one. Pure.

``[FHS] { [BHS] { [MSH …] } [BTS] } [FTS]``, and the bare concatenations that many systems write instead. Law: the
messages are the same however the stream is cut into ``feed`` calls, and at most one of them is held.
See: HL7 v2.5.1 ch. 2.10.3 (batch protocol) and 2.14.2 (BHS) to 2.14.11 (FTS).
"""

import re
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fhirgw.v2.codec import Message, build, encode, header
from fhirgw.v2.encoding import escape
from fhirgw.v2.framing import HEAD_BYTES

HEADERS = ("FHS", "BHS", "MSH")
TRAILERS = ("BTS", "FTS")

_SEAM = 16  # bytes in which the beginning of a segment may still be incomplete
_FRAMING = b"\x0b\x1c\0"  # a file of MLLP frames, or of messages with NULs between them
_BLANK = b"\xef\xbb\xbf\r\n\t " + _FRAMING
# A segment of ours begins a line; what separates its fields follows its name.
_EDGE = re.compile(rb'[\r\n\x0b\x1c\0][ \t]*((?:FHS|BHS|MSH)[^\w\s"]|(?:BTS|FTS)(?:[^\w\s"]|[\r\n]|\Z))')
_FRAME_END = re.compile(rb"[\x0b\x1c\0][\x0b\x1c\0\r\n]*\Z")
_BLANK_LINES = re.compile(rb"(\r\n?+|\n)[\r\n \t]+\Z")
_WIDE = {
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
    **{name[:1].encode(codec): codec for name in HEADERS for codec in ("utf-16-le", "utf-16-be")},
}


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of the stream.

    Attributes:
        name: ``MSH`` for a whole message; ``FHS``, ``BHS``, ``BTS``, ``FTS``; empty for what is none of these.
        raw: Its bytes, in the encoding of the stream; the first segments of it when it was truncated.
        truncated: It is over the cap, and the rest of it is not here.
    """

    name: str
    raw: bytes
    truncated: bool = False


class Splitter:
    """Cuts a stream into messages and the segments around them.

    A stream in UTF-16 is cut as UTF-8; its pieces are in UTF-16 again.
    """

    def __init__(self, max_bytes: int) -> None:
        """Split.

        Args:
            max_bytes: Cap of one message.
        """
        self._max_bytes = max_bytes
        self._start: bytes | None = b""  # until there is enough of it to know the encoding
        self._codec: str | None = None
        self._decoder: IncrementalDecoder
        self._buffer = bytearray()
        self._scanned = 1
        self._skipping = False

    def feed(self, received: bytes) -> Iterator[Cut]:
        """Take what was read; give what it completes."""
        self._take(received, final=False)
        ready = len(self._buffer) - _SEAM
        while (edge := _EDGE.search(self._buffer, self._scanned)) and edge.start(1) < ready:
            yield from self._piece(edge.start(1))
            ready = len(self._buffer) - _SEAM
        self._scanned = max(1, ready - _SEAM)
        if len(self._buffer) > self._max_bytes + 2 * _SEAM:
            if not self._skipping:
                yield self._cut(bytes(self._buffer), truncated=True)
            self._skipping, self._scanned = True, 1
            del self._buffer[: -2 * _SEAM]

    def finish(self) -> Iterator[Cut]:
        """The stream has ended; give the rest."""
        self._take(b"", final=True)
        while edge := _EDGE.search(self._buffer, self._scanned):
            yield from self._piece(edge.start(1))
        yield from self._piece(len(self._buffer))

    def _take(self, received: bytes, *, final: bool) -> None:
        if self._start is not None:
            self._start += received
            if len(self._start) < 2 and not final:
                return
            received, self._start = self._start, None
            self._codec = _WIDE.get(received[:2])
            if self._codec:
                self._decoder = getincrementaldecoder(self._codec)("surrogatepass" if not final else "replace")
        if self._codec:
            received = self._decoder.decode(received).encode("utf-8", "surrogatepass")
        self._buffer += received

    def _piece(self, end: int) -> Iterator[Cut]:
        raw = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._scanned = 1
        skipped, self._skipping = self._skipping, False
        if skipped or not raw.strip(_BLANK):
            return
        if b"\x1c" in raw or b"\0" in raw or b"\x0b" in raw:
            raw = _FRAME_END.sub(b"", raw).lstrip(_FRAMING)
        yield self._cut(_BLANK_LINES.sub(rb"\1", raw), truncated=len(raw) > self._max_bytes)

    def _cut(self, raw: bytes, *, truncated: bool) -> Cut:
        name = raw[:64].lstrip(_BLANK)[:3].decode("latin-1")
        raw = head(raw) if truncated else raw
        if self._codec:
            raw = raw.decode("utf-8", "surrogatepass").encode(self._codec, "surrogatepass")
        return Cut(name if name in HEADERS + TRAILERS else "", raw, truncated)


def head(raw: bytes) -> bytes:
    """The first whole segments, enough to answer a message that is not kept whole."""
    first = raw[:HEAD_BYTES]
    return first[: max(first.rfind(b"\r"), first.rfind(b"\n")) + 1] or first


def is_batch(raw: bytes) -> bool:
    """Whether these bytes hold more than one message, or a header or trailer of a batch.

    Cheap for a single message: it is asked of every frame.
    """
    if raw.startswith(b"MSH") and raw.find(b"MSH", 3) < 0:
        return False
    if raw[:2] in _WIDE:
        raw = raw.decode(_WIDE[raw[:2]], "replace").encode("utf-8")
    if raw[:64].lstrip(_BLANK)[:3] in (b"FHS", b"BHS"):
        return True
    return raw.count(b"MSH") > 1 and _EDGE.search(raw, 1) is not None and raw[:64].lstrip(_BLANK)[:3] == b"MSH"


@dataclass(slots=True)
class Tally:
    """What was in the batches so far, held against what their trailers say.

    Attributes:
        total: Messages in all.
        remarks: What does not agree, in words.
    """

    total: int = 0
    remarks: list[str] = field(default_factory=list)
    _messages: int = 0
    _batches: int = 0
    _open: bool = False

    def take(self, cut: Cut) -> None:
        """Count a piece."""
        if cut.name == "MSH":
            self._batches += not (self._messages or self._open)
            self._messages += 1
            self.total += 1
        elif cut.name == "BHS":
            self.end()
            self._open = True
            self._batches += 1
        elif cut.name == "BTS":
            self._compare("BTS-1", cut, self._messages, "messages")
            self._open, self._messages = False, 0
        elif cut.name == "FTS":
            self._compare("FTS-1", cut, self._batches, "batches")

    def end(self) -> None:
        """The batch is over."""
        if self._open:
            self.remarks.append("A batch has no BTS.")
        self._open, self._messages = False, 0

    def _compare(self, name: str, trailer: Cut, counted: int, what: str) -> None:
        fields = trailer.raw.replace(b"\0", b"").strip(_BLANK).splitlines()[0]
        stated = fields.split(fields[3:4])[1].strip() if len(fields) > 4 else b""
        if stated and stated.lstrip(b"0") != str(counted or "").encode():
            said = stated.decode() if stated.isdigit() and len(stated) < 10 else "something else"
            self.remarks.append(f"{name} says {said}; there are {counted} {what}.")


def read_header(cut: Cut) -> Message | None:
    """FHS, BHS or MSH of a piece, as a message of one segment that is called MSH; None when it cannot be read."""
    for codec in ("ascii", *dict.fromkeys(_WIDE.values())):
        name = cut.name.encode(codec)
        at = cut.raw.find(name, 0, 128) if name else -1
        if at >= 0:
            return header("MSH".encode(codec) + cut.raw[at + len(name) :])
    return None


def opening(name: str, told: Message, reference: int, *, now: datetime, control_id: str) -> bytes:
    """FHS or BHS of an answer: the parties of ``told`` swapped, and its control id as the reference in field 12.

    Args:
        name: FHS or BHS.
        told: Header of what is answered.
        reference: Which of its fields is its control id: 11, or 10 of a message without a batch header.
        now: For field 7.
        control_id: Field 11 of the answer.
    """
    of = told.header
    parties = (of.field(5), of.field(6), of.field(3), of.field(4))
    stamp = now.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")
    title = of.field(9) if reference == 11 else ""
    fields = [name, "", "", *parties, stamp, "", title, "", escape(control_id, told.delimiters)]
    return encode(build([[*fields, of.field(reference)]], told.delimiters))


def closing(name: str, count: int, remark: str, like: Message) -> bytes:
    """BTS or FTS of an answer: how many, and what is to be said."""
    return encode(build([[name, str(count), escape(remark, like.delimiters)]], like.delimiters))
