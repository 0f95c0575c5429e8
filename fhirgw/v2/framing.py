"""MLLP framing, pure: bytes as they arrive in, frames out.

A frame is ``0B`` message ``1C 0D``. See: HL7 Implementation Guide, appendix C (lower layer protocols), "MLLP".
What peers do beyond it, and is taken here: frames split anywhere, several in one read, NULs and line ends between
frames, doubled start and end bytes, a missing CR after ``1C``.
"""

from dataclasses import dataclass

START, END = b"\x0b", b"\x1c"
HEAD_BYTES = 4096  # enough to hold MSH, so that an oversized message can be answered

BATCH_STARTS = tuple(
    mark + name.encode(codec)
    for codec, marks in (
        ("ascii", (b"", b"\xef\xbb\xbf")),
        ("utf-16-le", (b"", b"\xff\xfe")),
        ("utf-16-be", (b"", b"\xfe\xff")),
    )
    for mark in marks
    for name in ("FHS", "BHS")
)
_TOLD = 8  # bytes by which a batch is told from a message

_ORDINARY, _WHOLE = START + b"MSH", END + b"\r"  # how a frame that holds one message begins, and ends
_AFTER_END = b"\r\n\x0b\x1c"  # elsewhere 1C is content: cutting a message short there would lose its rest unseen
_BETWEEN = b"\r\n\0 \t\x1c"  # what stands between frames without meaning anything


@dataclass(frozen=True, slots=True)
class Frame:
    """The content of one frame."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Junk:
    """Bytes outside any frame, or of a frame that a new one began in."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Oversized:
    """A frame over the cap, reported once, when the cap is passed; the rest is skipped.

    Attributes:
        head: The segments that are whole within its first 4 KiB.
    """

    head: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a frame that holds a batch: those are given as they come, for they may be of any size.

    Attributes:
        last: The frame has ended with it.
    """

    content: bytes
    last: bool


Event = Frame | Junk | Oversized | Part


def frame(content: bytes) -> bytes:
    """One frame around the content."""
    return b"\x0b%b\x1c\r" % content


class Deframer:
    """Cuts a stream into frames; holds at most one frame up to the cap.

    Law: however the stream is cut into ``feed`` calls, the frames are the same (for content without ``1C``).
    """

    def __init__(self, max_bytes: int, *, whole: bool = False) -> None:
        """Cut.

        Args:
            max_bytes: Cap of a frame that is given whole.
            whole: Frames with batches are given whole too.
        """
        self._whole = whole
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._scanned = 0
        self._in_frame = False
        self._skipping = False
        self._streaming: bool | None = None  # None: not enough of the frame is here to tell

    @property
    def pending(self) -> bytes:
        """The half frame held now, empty between frames."""
        return bytes(self._buffer)

    def feed(self, received: bytes) -> list[Event]:
        """Take what was read from the stream; give what it completes."""
        if not self._buffer and not self._in_frame:
            whole = self._one_frame(received)
            if whole:
                return [whole]
        self._buffer += received
        events: list[Event] = []
        while self._buffer and (self._finish_frame(events) if self._in_frame else self._find_start(events)):
            pass
        return events

    def _one_frame(self, received: bytes) -> Frame | None:
        """The frame that this is, if it is nothing else: what a sender sends that waits for each ACK."""
        if not (received.startswith(_ORDINARY) and received.endswith(_WHOLE)):
            return None
        content = received[1:-2]
        if len(content) > self._max_bytes or content.find(END) >= 0 or content.find(START) >= 0:  # "in" is slow
            return None
        return Frame(content)

    def _find_start(self, events: list[Event]) -> bool:
        start = self._buffer.find(START)
        junk = bytes(self._buffer if start < 0 else self._buffer[:start]).strip(_BETWEEN)
        if junk:
            events.append(Junk(junk))
        if start < 0:
            self._buffer.clear()
            return False
        del self._buffer[: start + 1]
        self._in_frame, self._scanned = True, 0
        return True

    def _finish_frame(self, events: list[Event]) -> bool:
        end = self._find_end()
        if self._streaming is None and (end >= 0 or len(self._buffer) >= _TOLD):
            self._streaming = not self._whole and self._buffer.lstrip(START + b"\r\n").startswith(BATCH_STARTS)
        if self._streaming:
            return self._pass_on(end, events)
        if (len(self._buffer) if end < 0 else end) > self._max_bytes and not self._skipping:
            head = bytes(self._buffer[: HEAD_BYTES if end < 0 else min(end, HEAD_BYTES)]).lstrip(START)
            events.append(Oversized(head[: max(head.rfind(b"\r"), head.rfind(b"\n")) + 1] or head))
            self._skipping = True
        if end < 0:
            if self._skipping:
                self._buffer.clear()
                self._scanned = 0
            return False
        if not self._skipping:
            _complete(bytes(self._buffer[:end]), events)
        self._leave_frame(end)
        return True

    def _pass_on(self, end: int, events: list[Event]) -> bool:
        events.append(Part(bytes(self._buffer if end < 0 else self._buffer[:end]), last=end >= 0))
        if end < 0:
            self._buffer.clear()
            self._scanned = 0
            return False
        self._leave_frame(end)
        return True

    def _leave_frame(self, end: int) -> None:
        del self._buffer[: end + 1]
        self._in_frame = self._skipping = False
        self._streaming = None

    def _find_end(self) -> int:
        """Position of the ``1C`` that ends the frame, -1 when it has not arrived.

        A ``1C`` last in the buffer counts: waiting for a CR that some peers never send would deadlock with them.
        """
        buffer = self._buffer
        end = buffer.find(END, self._scanned)
        while end >= 0 and end + 1 < len(buffer) and buffer[end + 1] not in _AFTER_END:
            end = buffer.find(END, end + 1)
        self._scanned = len(buffer)
        return end


def _complete(content: bytes, events: list[Event]) -> None:
    content = content.lstrip(START)
    unfinished, restart, last = content.rpartition(START + b"MSH")
    if restart:  # the peer gave up a message and began the next one on the same connection
        events.append(Junk(unfinished))
        content = b"MSH" + last
    events.append(Frame(content))
