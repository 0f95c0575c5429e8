"""Mutations of HL7 v2 messages: what goes wrong on the way, and what a mischievous peer would try.

``mutated(seed, number)`` is the same for the same arguments, whatever else is fuzzed: it reproduces a failure.
"""

import random
import re
from collections.abc import Callable
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures" / "v2"
CORPUS = [path.read_bytes() for path in sorted(FIXTURES.rglob("*.hl7"))]

VALUES = [
    *(
        '""',
        "",
        " ",
        "0",
        "-1",
        "9" * 400,
        "A" * 5000,
        "a|b",
        "^^^^",
        "~~~",
        "&&",
        "\\",
        "\\\\",
        "\\F\\",
        "\\X0D0A\\",
    ),
    *("\\X00\\", "\\XFF\\", "\\XZZ\\", "\\.br\\", "\\.sp999\\", "\\Zx\\", "\\C2842\\", "\\H\\x\\N\\", "\\E\\F\\"),
    *("20261399", "20260230", "2026", "20260401080000.1234567+9999", "20260401080000-0500", "00000000", "19000101"),
    *(
        "MÜNOZ",
        "Ω",
        "日本",
        "\U0001f600",
        "\u202e",
        "\x00",
        "\x1b$B",
        "\x7f",
        "\x85",
        "\n",
        "\nPV1|",
        "\t",
        "\ufeff",
    ),
    *("I", "E", "O", "P", "F", "M", "U", "A01", "A03", "A40", "ADT^A01", "ADT^A08^ADT_A01", "ACK", "ORU^R01"),
    *(
        "x^y^z~x^y^z",
        "1&2&3^4&5",
        "990017^^^ELMHOSP^MR",
        "V1^^^&1.2.3&ISO^VN",
        "1^^^&http://x&URI",
        "^^^^^^^^^^^^^^^^^^",
    ),
    *("AL", "NE", "ER", "SU", "P", "T", "D", "2.1", "2.5.1", "2.8.2", "9.9", "8859/1", "UNICODE UTF-8", "KLINGON"),
    *("<script>", "' OR 1=1 --", "../../etc/passwd", "{{7*7}}", "%00%0a", "http://example.org/|x", "1e309", "NaN"),
]
NAMES = [
    "PID",
    "PV1",
    "PV2",
    "EVN",
    "MSH",
    "DG1",
    "NK1",
    "ZZZ",
    "Z1",
    "MRG",
    "FHS|^~\\&|",
    "BTS|1",
    "pid",
    "P1D",
    "OBX",
]
CHARSETS = [
    "",
    "ASCII",
    "8859/1",
    "8859/2",
    "8859/15",
    "UNICODE UTF-8",
    "UNICODE UTF-16",
    "WINDOWS-1252",
    "ISO IR87",
]
CODECS = ["ascii", "latin-1", "cp1252", "utf-8", "utf-16-le", "utf-16-be", "utf-16", "utf-8-sig", "iso8859-5"]
ENDS = [b"\n", b"\r\n", b"\n\r", b"\r\r", b"\r\r\n", b"", b"\x0b", b"\r \t", b"\0"]
DELIMITERS = [
    b"#:;%$",
    b"!^~\\&",
    b"|:~\\&",
    b"|^~\\&#",
    b"|^",
    b"|^~",
    b"|^~&",
    b"|^~\\",
    b"|^^\\&",
    b"||",
    b"aBCDE",
    b"|\x80\x81",
]


_VISIT = re.compile(rb"[\r\n]PV1(?:\|[^|\r\n]*){18}\|[^|^\r\n]+")  # up to PV1-19.1


def _somewhere(rng: random.Random, raw: bytes) -> int:
    return rng.randrange(len(raw) + 1)


def flip(rng: random.Random, raw: bytes) -> bytes:
    flipped = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        if flipped:
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
    return bytes(flipped)


def cut_out(rng: random.Random, raw: bytes) -> bytes:
    start = _somewhere(rng, raw)
    return raw[:start] + raw[start + rng.choice((1, 2, 5, 30, 300)) :]


def put_in(rng: random.Random, raw: bytes) -> bytes:
    at = _somewhere(rng, raw)
    piece = rng.choice(VALUES).encode("utf-8") if rng.random() < 0.7 else rng.randbytes(rng.randrange(1, 12))
    return raw[:at] + piece + raw[at:]


def repeat_piece(rng: random.Random, raw: bytes) -> bytes:
    start = _somewhere(rng, raw)
    piece = raw[start : start + rng.choice((1, 3, 20, 200))]
    return raw[:start] + piece * rng.choice((2, 3, 10)) + raw[start:]


def truncate(rng: random.Random, raw: bytes) -> bytes:
    return raw[: _somewhere(rng, raw)]


def splice(rng: random.Random, raw: bytes) -> bytes:
    other = rng.choice(CORPUS)
    return raw[: _somewhere(rng, raw)] + other[_somewhere(rng, other) :]


def _lines(raw: bytes) -> list[bytes]:
    return re.split(rb"\r\n?|\n", raw)


def _in_a_segment(rng: random.Random, raw: bytes, change: Callable[[list[bytes]], object]) -> bytes:
    """The message with the fields of any one segment changed."""
    lines = _lines(raw)
    at = rng.randrange(len(lines))
    fields = lines[at].split(b"|")
    change(fields)
    lines[at] = b"|".join(fields)
    return b"\r".join(lines)


def set_field(rng: random.Random, raw: bytes) -> bytes:
    """Another value, or several, in a field, a component, a repetition of any segment."""

    def change(fields: list[bytes]) -> None:
        number = rng.randrange(1, rng.choice((12, 50, 200)))
        fields += [b""] * (number + 1 - len(fields))
        value = rng.choice(VALUES).encode()
        how = rng.random()
        if how < 0.3:
            parts = fields[number].split(b"^")
            parts[rng.randrange(len(parts))] = value
            value = b"^".join(parts)
        elif how < 0.4:
            value = fields[number] + b"~" + value
        fields[number] = value

    return _in_a_segment(rng, raw, change)


def drop_field(rng: random.Random, raw: bytes) -> bytes:
    return _in_a_segment(rng, raw, lambda fields: fields.pop(rng.randrange(len(fields))))


def swap_fields(rng: random.Random, raw: bytes) -> bytes:
    def change(fields: list[bytes]) -> None:
        one, two = rng.randrange(len(fields)), rng.randrange(len(fields))
        fields[one], fields[two] = fields[two], fields[one]

    return _in_a_segment(rng, raw, change)


def drop_segment(rng: random.Random, raw: bytes) -> bytes:
    lines = _lines(raw)
    del lines[rng.randrange(len(lines))]
    return b"\r".join(lines)


def copy_segment(rng: random.Random, raw: bytes) -> bytes:
    lines = _lines(raw)
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return b"\r".join(lines)


def shuffle_segments(rng: random.Random, raw: bytes) -> bytes:
    first, *rest = _lines(raw)
    rng.shuffle(rest)
    return b"\r".join([first, *rest])


def rename_segment(rng: random.Random, raw: bytes) -> bytes:
    lines = _lines(raw)
    at = rng.randrange(len(lines))
    lines[at] = rng.choice(NAMES).encode() + lines[at][3:]
    return b"\r".join(lines)


def new_segment(rng: random.Random, raw: bytes) -> bytes:
    lines = _lines(raw)
    values = "|".join(rng.choice(VALUES) for _ in range(rng.randrange(6)))
    lines.insert(rng.randrange(len(lines) + 1), f"{rng.choice(NAMES)}|{values}".encode())
    return b"\r".join(lines)


def end_lines(rng: random.Random, raw: bytes) -> bytes:
    lines = _lines(raw)
    if rng.random() < 0.5:
        return rng.choice(ENDS).join(lines)
    return b"".join(line + rng.choice((b"\r", *ENDS)) for line in lines)


def redeclare(rng: random.Random, raw: bytes) -> bytes:
    """Bytes in one character set, MSH-18 naming another."""
    text = set_msh(raw, 18, rng.choice(CHARSETS).encode()).decode("latin-1")
    if rng.random() < 0.7:
        text = text.replace("E", rng.choice(("É", "\u20ac", "Ж", "E")))
    return text.encode(rng.choice(CODECS), "replace")


def redelimit(rng: random.Random, raw: bytes) -> bytes:
    """Other delimiters: everywhere, or in MSH alone."""
    new = rng.choice(DELIMITERS)
    if rng.random() < 0.5 or len(new) != 5:
        return raw.replace(b"|^~\\&", new, 1)
    return raw.translate(bytes.maketrans(b"|^~\\&", new))


def set_msh(raw: bytes, number: int, value: bytes) -> bytes:
    line, end, rest = raw.partition(b"\r" if b"\r" in raw else b"\n")
    fields = line.split(b"|")
    fields += [b""] * (number - len(fields))
    fields[number - 1] = value
    return b"|".join(fields) + end + rest


def set_header(rng: random.Random, raw: bytes) -> bytes:
    number = rng.choice((1, 2, 3, 4, 7, 9, 10, 11, 12, 15, 16, 18))
    return set_msh(raw, number, rng.choice(VALUES).encode())


def set_event(rng: random.Random, raw: bytes) -> bytes:
    return set_msh(raw, 9, f"ADT^A{rng.randrange(70):02}".encode())


def lead(rng: random.Random, raw: bytes) -> bytes:
    return rng.choice((b"\r\n", b"\xef\xbb\xbf", b"\xff\xfe", b" ", b"\0", b"\x0b", b"MSH", b"BHS|^~\\&|\r")) + raw


def concatenate(rng: random.Random, raw: bytes) -> bytes:
    return raw + rng.choice((b"", b"\r", b"\n")) + rng.choice(CORPUS)


MUTATIONS = (
    *(
        flip,
        cut_out,
        put_in,
        repeat_piece,
        truncate,
        splice,
        set_field,
        set_field,
        set_field,
        set_field,
        drop_field,
    ),
    *(swap_fields, drop_segment, copy_segment, shuffle_segments, rename_segment, new_segment, end_lines, redeclare),
    *(redelimit, set_header, set_event, lead, concatenate),
)


def mutated(seed: int, number: int) -> tuple[bytes, list[str]]:
    """The message of this number, and its mutations: none to five of them, on a fixture under its own control id.

    Most are about a visit of their own.
    """
    rng = random.Random(f"{seed}:{number}")
    raw = set_msh(rng.choice(CORPUS), 10, f"F{seed}-{number}".encode())
    if rng.random() < 0.8:
        raw = _VISIT.sub(rb"\g<0>-%d" % number, raw, count=1)
    chosen = [rng.choice(MUTATIONS) for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 5)))]
    for mutation in chosen:
        raw = mutation(rng, raw)
    return raw[:60_000], [mutation.__name__ for mutation in chosen]
