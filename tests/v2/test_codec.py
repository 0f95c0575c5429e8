"""The ER7 codec: its laws, and the dialects it reads."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from refused_message import refused

from fhirgw.errors import GatewayError
from fhirgw.v2.codec import NULL, Message, build, encode, facility, group, header, parse, traced
from fhirgw.v2.encoding import Delimiters, escape

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v2"
ALL = sorted(FIXTURES.glob("**/*.hl7"))
DIALECTS = FIXTURES / "dialects"
MSH = b"MSH|^~\\&|APP|FAC|GW|ICM|20240101||ADT^A01|7|P|2.5.1\r"

segments = st.lists(
    st.one_of(
        st.sampled_from(
            [b"PID|1||9^^^H^MR", b"EVN|A01|2024", b"ZPD|x~y", b'PV1|1|""', b"DG1", b"", b"  ", b"text"]
        ),
        st.binary(max_size=12),
    ),
    max_size=8,
)
ends = st.sampled_from([b"\r", b"\n", b"\r\n", b"\n\r", b"\r\r", b"\n\n", b""])
messages = st.builds(
    lambda mark, head, end, rest, ends: (
        mark + head + end + b"".join(a + b for a, b in zip(rest, ends, strict=False))
    ),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\r\n", b" \0"]),
    st.sampled_from(
        [MSH[:-1], b"MSH|^~", b"MSH#:;%$#A", b"MSH|^~\\&|" + b"|" * 15 + b"8859/1", b"MSH|^~&|x", b"MSH"]
    ),
    ends,
    segments,
    st.lists(ends, min_size=8, max_size=8),
)


@given(
    st.one_of(messages, messages.map(lambda raw: raw.decode("latin-1").encode("utf-16")), st.binary(max_size=64))
)
@example(MSH)
@example(b" \t\0\n" + MSH)
@example(MSH + b"NTE|1||a\n\nb\r")
@example(MSH + b"\n\r\nPID|1\n\n  EVN|A01")
def test_any_bytes_are_a_message_that_encodes_to_the_same_bytes_or_a_gateway_error(raw):
    try:
        message = parse(raw)
    except GatewayError:
        return
    assert encode(message) == raw
    for segment in message.segments:
        for number in range(len(segment) + 2):
            segment.get(number, 2, 2, 1)
            assert (message.delimiters.repetition or "-").join(
                one.raw for one in segment.repetitions(number)
            ) == segment.field(number)


@given(messages)
def test_a_message_that_parse_reads_has_a_header(raw):
    try:
        message = parse(raw)
    except GatewayError:
        return
    alone = header(raw)
    assert alone is not None
    assert alone.header.get(9) == message.header.get(9)
    assert alone.delimiters.encoding_characters == message.delimiters.encoding_characters


def facility_of_header(raw: bytes) -> str:
    top = header(raw)
    return (top.header.get(4) if top else None) or ""


@given(
    st.lists(st.sampled_from([b"MSH", b"|", b"^~\\&", b"ELM", b"H", b"\r", b"\n", b"^", b"EVN", b" "]), max_size=12)
)
@example([b"MSH"])
@example([b"MSH|^~\\&|A\rEVN|A01|B|C"])
def test_the_facility_is_what_the_header_says(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    if header(raw) is not None:
        assert facility(raw) == facility_of_header(raw)
    facility(raw)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_the_facility_of_every_fixture_is_what_its_header_says(path: Path) -> None:
    raw = path.read_bytes()
    assert facility(raw) == facility_of_header(raw)


@given(st.binary(max_size=300))
def test_header_takes_any_bytes(raw):
    found = header(b"MSH|^~\\&|" + raw)
    assert found is None or found.header.get(1) == "|"
    assert header(b"xMSH" + raw) is None


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\r\t"), max_size=40))
def test_escaped_text_is_read_back(text):
    delimiters = parse(MSH).delimiters
    message = build([["MSH", "", "", "APP"], ["NTE", "1", "", escape(text, delimiters)]], delimiters)
    read = parse(encode(message)).segments[1].get(3)
    assert (read or "") == text


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(FIXTURES).as_posix())
def test_every_fixture_encodes_to_its_own_bytes(path):
    raw = path.read_bytes()
    message = parse(raw)
    assert encode(message) == raw


NAMES = {
    "latin-1.hl7": "MÜNOZ",
    "utf-8.hl7": "MUÑOZ",
    "utf-16.hl7": "MUÑOZ",
    "utf-16-be-no-mark.hl7": "MUÑOZ",
    "utf-16-le-mark.hl7": "MUÑOZ",
    "declared-ascii-is-utf-8.hl7": "MUÑOZ",
    "declared-8859-1-is-utf-8.hl7": "MUÑOZ",
    "declared-8859-1-is-windows-1252.hl7": "O\u2019MUÑOZ",
    "declared-utf-16-is-utf-8.hl7": "MUÑOZ",
    "latin-9.hl7": "ŠMUÑOZ",
    "latin-2.hl7": "MUŃOZ",
    "charset-repetitions.hl7": "MUÑOZ",
    "escapes.hl7": "O&BRIEN\\R|SA\nbold C:\\temp",
}
ONE_IDENTIFIER = {"component-only.hl7"}  # without a repetition separator there is one of everything
UNTOLD = {"no-structure.hl7"}


@pytest.mark.parametrize("path", sorted(DIALECTS.glob("*.hl7")), ids=lambda path: path.stem)
def test_a_dialect_says_the_same_as_the_standard_form(path):
    message = parse(path.read_bytes())
    pid, pv1 = message.first("PID"), message.first("PV1")
    assert pid.get(5) == NAMES.get(path.name, "QUILL")
    identifiers = [("990017", "MERCY", "MR"), ("12345", "STATE", "MA")]
    found = [(one.get(), one.get(4), one.get(5)) for one in pid.repetitions(3)]
    assert found == (identifiers[:1] if path.name in ONE_IDENTIFIER else identifiers)
    assert (pv1.get(19), pv1.get(7, 2)) == ("V8812", "ADAMS")
    assert message.header.get(9, 3) == (None if path.name in UNTOLD else "ADT_A01")
    assert [dg1.get(3, 2) for dg1 in message.all("DG1")] == ["Essential hypertension"]


def test_a_line_feed_inside_a_field_does_not_split_it():
    message = parse((DIALECTS / "line-feed-in-field.hl7").read_bytes())
    assert message.segments[-1].get(5) == "first line\nsecond line\n\nlast"
    assert message.segments[-1].get(11) == "F"


def test_a_short_word_after_a_line_feed_is_no_segment_in_a_message_that_ends_segments_with_cr():
    assert parse(MSH + b"NTE|1||dizzy\nSOB|RE\r").segments[-1].get(3) == "dizzy\nSOB"


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_a_line_feed_inside_msh_hides_nothing_of_it(end):
    raw = MSH.replace(b"|20240101|", b"|2024\n0101|").rstrip() + b"|" * 6 + b"8859/1" + end + b"PID|\xd1" + end
    assert parse(raw).header.get(10) == header(raw).header.get(10) == "7"
    assert parse(raw).segments[1].get(1) == "Ñ"


def test_fields_components_subcomponents_and_repetitions():
    segment = parse(MSH + b"ZZ1|a^b&c^~d|||x&y\r").segments[1]
    assert [segment.get(1), segment.get(1, 2), segment.get(1, 2, 2), segment.get(1, 3), segment.get(1, 4)] == [
        "a", "b", "c", None, None,
    ]  # fmt: skip
    assert (segment.get(1, repetition=1), segment.get(1, repetition=2)) == ("d", None)
    assert (segment.get(4), segment.get(4, 1, 2), segment.get(4, 1, 3), segment.get(4, 2)) == ("x", "y", None, None)
    assert (segment.get(2), segment.get(99), segment.get(1, 2, 3)) == (None, None, None)
    assert [one.text for one in segment.repetitions(1)] == ["a^b&c^", "d"]
    assert segment.repetitions(3) == []
    assert segment.get(0) == segment.name == "ZZ1"


def test_msh_is_counted_by_the_standard():
    msh = parse(MSH).header
    assert [msh.get(1), msh.get(2), msh.get(3), msh.get(9, 2), msh.get(12)] == ["|", "^~\\&", "APP", "A01", "2.5.1"]
    assert msh.repetitions(2)[0].raw == "^~\\&"


def test_null_is_told_from_absent():
    segment = parse(MSH + b'PID|1||""||""^x\r').segments[1]
    assert (segment.get(3), segment.get(2), segment.get(3, 2)) == (NULL, None, None)
    assert [segment.repetitions(3)[0].is_null, segment.repetitions(5)[0].is_null] == [True, False]


def test_segments_are_found_by_name():
    message = parse(MSH + b"DG1|1\rDG1|2\r")
    assert [one.get(1) for one in message.all("DG1")] == ["1", "2"]
    assert message.first("DG1").get(1) == "1"
    assert (message.first("PID"), message.all("PID")) == (None, [])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"a\F\b\S\c\R\d\T\e\E\f", "a|b^c~d&e\\f"),
        (r"\X0D0A\x\.br\y", "\r\nx\ny"),
        (r"\XC3A9\ \XZZ\ \X\ \XC3\ ", "é \\XZZ\\ \\X\\ \\XC3\\ "),
        (r"\E\R\ ", "\\R\\ "),
        (r"C:\dir\T\x", "C:\\dir&x"),
        (r"\Zloc\ \h\ \.xx\ \.br4x\ \.in+4.5\ ", r"\Zloc\ \h\ \.xx\ \.br4x\ \.in+4.5\ "),
        (r"\C2842\abc\M2442\def\C2D41\ ", r"\C2842\abc\M2442\def\C2D41\ "),
        (r"\H\bold\N\ \H\\N\x", "bold x"),
        (r"a\.br\b\.sp\c\.sp3\d\.sp 2\e\.ce\f", "a\nb\nc\n\n\nd\n\ne\nf"),
        (r"\.fi\a\.nf\b\.in+4\c\.in-2\d\.ti5\e\.sk\f\.sk 4\g", "abcde f    g"),
        (r"\.sp0\a\.sp-1\b", "a\nb"),
        (r"\X00\ \X4100\ \X09\ ", "\\X00\\ \\X4100\\ \t "),
        ("a\0b\x0bc\x1bd\te\x7f", "a b c d\te\x7f"),
        (r"\X\ \X4\ \X4142\ \x41\ ", r"\X\ \X4\ AB \x41\ "),
        ("end\\", "end\\"),
        (r"\P\ ", r"\P\ "),
    ],
)
def test_escape_sequences_are_decoded_and_unknown_ones_kept(written, read):
    assert parse(MSH + f"NTE|1||{written}\r".encode()).segments[1].get(3) == read


def test_the_truncation_character_has_an_escape_where_it_is_declared():
    assert parse(b"MSH|^~\\&#|A\rNTE|1||x\\P\\y\r").segments[1].get(3) == "x#y"


@pytest.mark.parametrize(
    ("raw", "location", "err"),
    [
        (b"", "MSH", "100"),
        (b"MSH", "MSH", "100"),
        (b"PID|1", "MSH", "100"),
        (b"\x0b" + MSH, "MSH", "100"),
        (b"MSH|", "MSH-2", "101"),
        (b"MSH||APP", "MSH-2", "101"),
        (b"MSH|^^", "MSH-2", "102"),
        (b"MSH|^~\\&#+|", "MSH-2", "102"),
        (b"MSH|^~ |", "MSH-2", "102"),
        (b"MSHA^~\\&A", "MSH-1", "102"),
        ("MSH¦^~\\&¦".encode(), "MSH-1", "102"),
        (MSH + b"stray text\rPID|1\r", None, "100"),
        (MSH + b"PID|1\r" + MSH, "MSH", "100"),
        (b"MSH|^~\\&|" + b"|" * 15 + b"KLINGON\rPID|\xe9\r", "MSH-18", "103"),
        (b"MSH|^~\\&|" + b"|" * 15 + b"GB 18030-2000\rPID|\x1b$A\r", "MSH-18", "103"),
        (b"MSH|^~\\&|" + b"|" * 15 + b"ISO IR87\r", "MSH-18", "103"),
        (b"MSH|^~\\&|" + b"|" * 15 + b"8859/12\rPID|\xe9\r", "MSH-18", "103"),
        (b"MSH|^~\\&|" + b"|" * 15 + b"ASCII\rPID|\xe9\r", "MSH-18", "102"),
        (b"MSH|^~\\&|" + b"|" * 15 + b"UNICODE UTF-8\rPID|\xe9\r", "MSH-18", "102"),
        (b"MSH|^~\\&|" + b"|" * 15 + b"8859/3\rPID|\xa5\r", "MSH-18", "102"),
        (b"\xef\xbb\xbf" + MSH + b"PID|\xe9\r", "MSH-18", "102"),
        (b"\xff\xfe" + MSH.decode().encode("utf-16-le") + b"P", "MSH-18", "102"),
        (MSH + b"PID|\xe9\r", "MSH-18", "102"),
    ],
)
def test_what_is_no_message_is_refused_with_its_location(raw, location, err):
    assert refused(raw) == (location, err)


def test_what_a_message_shows_of_itself_holds_nothing_of_its_content():
    message = parse(MSH + b"PID|1||990017\r")
    assert "990017" not in repr(message) + repr(message.segments) + str(message.first("PID"))


def test_without_an_escape_character_a_delimiter_in_text_becomes_a_space():
    delimiters = parse(b"MSH|^~|A\r").delimiters
    assert escape("a|b^c&d", delimiters) == "a b c&d"
    assert isinstance(delimiters, Delimiters)


def test_text_that_the_character_set_lacks_is_replaced():
    assert escape("Ω|", parse(b"MSH|^~\\&|" + b"|" * 15 + b"ASCII\r").delimiters) == "?\\F\\"


def test_build_drops_empty_fields_at_the_end():
    built = build([["MSH", "", "", "A", ""], ["EVN", "", ""]], parse(MSH).delimiters)
    assert isinstance(built, Message)
    assert encode(built) == b"MSH|^~\\&|A\rEVN\r"


def test_groups_begin_at_each_segment_of_the_name():
    message = parse(MSH + b"EVN|A17\rPID|1\rPV1|1\rPID|2\rPD1|2\rPV1|2\rOBX|2\r")
    groups = group(message, "PID")
    assert [[one.name for one in each] for each in groups] == [["PID", "PV1"], ["PID", "PD1", "PV1", "OBX"]]
    assert [each[0].get(1) for each in groups] == ["1", "2"]
    assert group(message, "MRG") == []


@given(st.lists(st.sampled_from(["PID", "PV1", "MRG", "ZPD"]), max_size=9))
def test_groups_are_the_message_from_the_first_of_them_on(names):
    message = parse(MSH + b"".join(f"{name}|{at}\r".encode() for at, name in enumerate(names)))
    after = message.segments[1:]
    while after and after[0].name != "PID":
        after = after[1:]
    assert [one for each in group(message, "PID") for one in each] == list(after)


def test_a_segment_with_another_field_reads_as_if_it_had_been_sent_so():
    pid = parse(MSH + b"PID|1||9~8\r").segments[1]
    changed = pid.with_field(5, "QUILL^ELENA")
    assert (changed.raw, changed.get(5, 2), changed.get(3)) == ("PID|1||9~8||QUILL^ELENA", "ELENA", "9")
    assert (pid.raw, pid.get(5)) == ("PID|1||9~8", None)
    header_with = parse(MSH).header.with_field(10, "8")
    assert (header_with.get(10), header_with.raw) == ("8", MSH.decode().rstrip("\r").replace("|7|", "|8|"))


def test_a_traced_message_knows_what_was_asked_of_it():
    message, segments = traced(parse(MSH + b"PID|1||9~8\r"))
    assert message.first("PID").get(3) == "9"
    message.first("PID").repetitions(5)
    assert [one.asked for one in segments] == [set(), {3, 5}]
    assert encode(message) == MSH + b"PID|1||9~8\r"
