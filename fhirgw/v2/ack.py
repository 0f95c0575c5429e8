"""Acknowledgments: who wants which, what they say, and the envelope checks that decide between AE and AR.

See: HL7 v2.5.1 ch. 2.9 (processing rules), 2.14.9 (MSH), 2.14.8 (MSA), 2.14.5 (ERR); tables 0008, 0155, 0357.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, Self

from fhirgw.errors import GatewayError, MissingElement, UnsupportedMessage
from fhirgw.v2.codec import NULL, Message, Segment, line
from fhirgw.v2.encoding import CHARSETS, Delimiters, escape

VERSIONS = frozenset(
    ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2")
)
_VERSIONS = {version: tuple(map(int, version.split("."))) for version in VERSIONS}
PROCESSING_IDS = frozenset("PTD")  # table 0103

ERROR_TEXTS = {  # table 0357
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}

OUR_FAILURE = "207"

# Table 0155, by whether the message was taken.
_WANTED = {
    "AL": (True, False),
    "NE": (),
    "ER": (False,),
    "SU": (True,),
}

# MSH-9 of a location as the error tree writes it: PID, PID-3, PID-3.1, DG1[2]-3[1].1.2 (occurrence, repetition).
_LOCATION = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<sequence>\d+)\])?"
    r"(?:-(?P<field>\d+)(?:\[(?P<repetition>\d+)\])?(?:\.(?P<component>\d+)(?:\.(?P<subcomponent>\d+))?)?)?"
)


@dataclass(frozen=True, slots=True)
class AckMode:
    """Which acknowledgments are given (table 0155: AL, NE, ER, SU); both empty is original mode.

    In original mode one answer, AA, AE or AR, leaves when the message is on disk. In enhanced mode the accept
    acknowledgment (CA, CE, CR) does, and the application acknowledgment (AA, AE, AR) follows the processing. A
    message that is refused at the door is never processed: where no accept acknowledgment can say so (NE), the
    application acknowledgment does at once. See: v2.5.1 ch. 2.9.2 and 2.9.3.
    """

    accept: str = ""
    application: str = ""

    def at_once(self, errors: Sequence[GatewayError]) -> str | None:
        """MSA-1 of the answer to send now, None when none is.

        Positive answers release the sender from resending: send them only after the durable commit.
        """
        if self.accept not in ("", "NE"):
            return _code("C", self.accept, errors)
        if self.accept and not errors:
            return None
        return _code("A", self.application or "AL", errors)

    def after_processing(self, errors: Sequence[GatewayError]) -> str | None:
        """MSA-1 of the application acknowledgment of a message that was taken; None when none is wanted."""
        return _code("A", self.application, errors) if self.application else None

    @property
    def follows(self) -> str | None:
        """The condition of an application acknowledgment that may follow the processing; None: none ever does."""
        return None if self.application in ("", "NE") else self.application


ORIGINAL = AckMode()


def _code(kind: str, condition: str, errors: Sequence[GatewayError]) -> str | None:
    """MSA-1 of an acknowledgment of this kind, if it is wanted.

    AR: MSH-9, 11 or 12 is not acceptable, or the failure is ours and the same bytes may pass later. CR is about
    MSH alone; CE is every other reason not to accept, a store that is away included. See: table 0008.
    """
    if (not errors) not in _WANTED[condition]:
        return None
    if not errors:
        return kind + "A"
    rejecting = (error for error in errors if error.msa in {"AR", None})
    if kind == "C":
        rejecting = (error for error in rejecting if error.err != OUR_FAILURE)
    return kind + ("R" if any(rejecting) else "E")


def accept_mode(message: Message, registered: str = "message") -> AckMode:
    """The mode of a message: by its sender's registration, else by MSH-15 and MSH-16.

    Both empty is original mode; an empty one beside a valued one is NE. A condition that table 0155 does not know
    counts as AL: an answer too many is better than a sender waiting. An ACK is never acknowledged.

    Args:
        message: The message.
        registered: ``settings.Sender.ack``.
    """
    msh = message.header
    if msh.get(9) == "ACK":
        return AckMode("NE", "NE")
    if registered != "message":
        accept, _, application = registered.partition("/")
        return AckMode(accept, application) if application else AckMode()
    if not msh.field(15) and not msh.field(16):
        return ORIGINAL
    given = [value if value != NULL else None for value in (msh.get(15), msh.get(16))]
    return AckMode(*map(_condition, given)) if any(given) else AckMode()


def _condition(code: str | None) -> str:
    if code is None:
        return "NE"
    return code.upper() if code.upper() in _WANTED else "AL"


def check_envelope(message: Message) -> list[GatewayError]:
    """What makes MSH-9, 10, 11 or 12 unacceptable, if anything; the trigger event is the event table's matter."""
    msh = message.header
    if _is_ordinary(msh):
        return []
    kind, control, processing, version = (_valued(msh.get(field)) for field in (9, 10, 11, 12))
    errors: list[GatewayError] = [
        MissingElement(f"MSH-{field}, the {name}, is empty.", location=f"MSH-{field}")
        for field, name, value in (
            (9, "message type", kind),
            (10, "message control id", control),
            (11, "processing id", processing),
            (12, "version id", version),
        )
        if value is None
    ]
    if kind is not None and kind != "ADT":
        text = "We take ADT messages; MSH-9.1 names another type."
        errors.append(UnsupportedMessage(text, location="MSH-9.1", err="200"))
    if processing is not None and processing not in PROCESSING_IDS:
        text = "The processing id in MSH-11 must be P, T or D."
        errors.append(UnsupportedMessage(text, location="MSH-11", err="202"))
    if version is not None and version not in VERSIONS:
        text = "We take HL7 versions 2.1 to 2.8.2; MSH-12 names another."
        errors.append(UnsupportedMessage(text, location="MSH-12", err="203"))
    return errors


def _is_ordinary(msh: Segment) -> bool:
    """Whether MSH-9 to 12 are to be taken as they stand, which most are."""
    kind = msh.field(9).partition(msh.delimiters.component)[0]
    numbered = msh.field(10)[:1].isalnum()
    return kind == "ADT" and numbered and msh.field(11) in PROCESSING_IDS and msh.field(12) in VERSIONS


def _valued(text: str | None) -> str | None:
    return None if text is None or text == NULL or not text.strip() else text


def acknowledge(
    message: Message | None,
    code: str,
    errors: Sequence[GatewayError],
    *,
    now: datetime,
    control_id: str,
    apart: bool = False,
) -> bytes:
    """The ACK to a message, in the sender's delimiters, character set and version.

    Args:
        message: The message; None when it has no readable MSH: then there is nobody to address and the answer is
            ``b""``, which is to be sent as nothing.
        code: MSA-1, from ``AckMode.code``.
        errors: Become MSA-3 (the first) and ERR.
        now: For MSH-7.
        control_id: MSH-10 of the ACK.
        apart: It is a message of its own, not the answer to one: MSH-15 and MSH-16 say that nobody acknowledges it.
    """
    if message is None:
        return b""
    delimiters = message.delimiters
    first = escape(errors[0].text, delimiters) if errors else ""
    segments = [
        _header(message, stamp(now), escape(control_id, delimiters), apart=apart),
        ["MSA", code, message.header.field(10), first],
        *_errors(errors, delimiters, _version(message)),
    ]
    mark = message.mark if message.codec.startswith("utf-16") else b""  # UTF-8 needs none, and few peers expect one
    return mark + "".join(f"{line(segment, delimiters)}\r" for segment in segments).encode(delimiters.codec)


class Form(NamedTuple):
    """An ACK without errors, to messages that have the same MSH but for MSH-7 and MSH-10, with three blanks."""

    start: bytes
    after_time: bytes
    after_control_id: bytes
    end: bytes

    @classmethod
    def of(cls, message: Message, code: str) -> Self:
        """The form of the ACK to such a message; its character set must have ASCII as its first half."""
        header = _header(message, _TIME, _OWN, apart=False)
        text = "".join(f"{line(one, message.delimiters)}\r" for one in (header, ["MSA", code, _THEIRS]))
        return cls(*(part.encode(message.codec) for part in _BLANK.split(text)))

    def fill(self, time: bytes, control_id: bytes, answered: bytes) -> bytes:
        """The ACK.

        Args:
            time: MSH-7, by ``stamp``.
            control_id: MSH-10 of the ACK.
            answered: MSH-10 of the message; neither has what would have to be escaped.
        """
        return b"".join((self.start, time, self.after_time, control_id, self.after_control_id, answered, self.end))


_TIME, _OWN, _THEIRS = "\1", "\2", "\3"
_BLANK = re.compile("[\1-\3]")
"""What is to be filled in; no field has these, for control characters read as spaces."""


@lru_cache(maxsize=16)  # those of a group have the same
def stamp(now: datetime) -> str:
    """MSH-7 of an ACK."""
    return now.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")


def _header(message: Message, time: str, control_id: str, *, apart: bool) -> list[str]:
    msh = message.header
    charset = msh.field(18) if (msh.get(18) or "").upper() in CHARSETS else ""  # no answer in what nobody can read
    return [
        *("MSH", "", "", msh.field(5), msh.field(6), msh.field(3), msh.field(4)),
        *(time, "", _type(message), control_id),
        *(msh.field(11) or "P", msh.field(12) or "2.5.1", "", ""),
        *(("NE", "NE") if apart else ("", "")),
        *(msh.field(17), charset),
    ]


def _type(message: Message) -> str:
    """MSH-9 of the ACK: ``ACK``, the trigger where the message names one, the structure since v2.3.1."""
    trigger = escape(_valued(message.header.get(9, 2)) or "", message.delimiters)
    parts = ["ACK", trigger, "ACK" if _version(message) >= (2, 3, 1) else ""] if trigger else ["ACK"]
    return message.delimiters.component.join(part for part in parts if part)


def _version(message: Message) -> tuple[int, ...]:
    return _VERSIONS.get(message.header.get(12) or "", (2, 5, 1))


def _errors(errors: Sequence[GatewayError], delimiters: Delimiters, version: tuple[int, ...]) -> list[list[str]]:
    if not errors:
        return []
    if version >= (2, 5):
        return [_err(error, delimiters) for error in errors]
    codes = [_err_1(error, delimiters) for error in errors]
    return [["ERR", delimiters.repetition.join(codes) if delimiters.repetition else codes[0]]]


def _err(error: GatewayError, delimiters: Delimiters) -> list[str]:
    """ERR of v2.5 and later: location, code, severity, and the text for people in ERR-8.

    A location that is not one of the message (a FHIRPath expression) goes to ERR-7, diagnostic information.
    """
    separator = delimiters.component
    location = _place(error, "segment", "sequence", "field", "repetition", "component", "subcomponent")
    diagnostic = escape(error.location, delimiters) if error.location and not location else ""
    code = separator.join((error.err, ERROR_TEXTS[error.err], "HL70357"))
    text = escape(error.text, delimiters)
    return ["ERR", "", separator.join(location), code, "E", "", "", diagnostic, text]


def _err_1(error: GatewayError, delimiters: Delimiters) -> str:
    """ERR-1 before v2.5: segment ^ sequence ^ field ^ code & text & table."""
    place = _place(error, "segment", "sequence", "field")
    place += [""] * (3 - len(place))
    coded = (error.err, ERROR_TEXTS[error.err], "HL70357")
    code = delimiters.subcomponent.join(coded) if delimiters.subcomponent else error.err
    return delimiters.component.join((*place, code))


def _place(error: GatewayError, *parts: str) -> list[str]:
    """The parts of a message location, as far as they go; the first occurrence where a later part needs one."""
    match = _LOCATION.fullmatch(error.location or "")
    if match is None:
        return []
    values = [match[part] for part in parts]
    while values[-1] is None:
        values.pop()
    return [value or "1" for value in values] if len(values) > 1 else [values[0], "1"]
