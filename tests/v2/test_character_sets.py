"""Which character set a message is read in: what MSH-18, the registration and the bytes say."""

import pytest
from refused_message import refused

from fhirgw.v2.codec import encode, parse


def declaring(charset, content=b""):
    return b"MSH|^~\\&|" + b"|" * 15 + charset.encode() + b"|x\rPID|" + content + b"\r"


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("", "utf-8"),
        ("ASCII", "ascii"),
        *((f"8859/{part}", f"iso8859-{part}") for part in (*range(1, 12), 13, 14, 15, 16)),
        ("UNICODE", "utf-8"),
        ("UNICODE UTF-8", "utf-8"),
        ("unicode utf-8", "utf-8"),
        ("UTF-8", "utf-8"),
        ("8859/2~ISO IR87", "iso8859-2"),
        ("~ISO IR87", "utf-8"),
        ('""', "utf-8"),
        ("ISO-8859-1", "iso8859-1"),
    ],
)
def test_the_first_repetition_of_msh_18_names_the_character_set(declared, codec):
    assert parse(declaring(declared)).codec == codec


@pytest.mark.parametrize("part", [*range(1, 12), 13, 14, 15, 16])
def test_text_in_every_part_of_iso_8859_is_read_in_it(part):
    """But for the pairs of bytes that make UTF-8 of what is declared as western Europe's."""
    text = bytes([*range(0xA0, 0x100)]).decode(f"iso8859-{part}", "ignore")
    raw = declaring(f"8859/{part}", text.encode(f"iso8859-{part}"))
    assert parse(raw).segments[1].field(1) == text
    assert encode(parse(raw)) == raw


@pytest.mark.parametrize(
    ("declared", "content", "text"),
    [
        ("ASCII", "Ñ€".encode(), "Ñ€"),
        ("8859/1", "Ññ".encode(), "Ññ"),
        ("8859/15", "Ñ".encode(), "Ñ"),
        ("8859/1", b"O\x92NEIL \xd1", "O\u2019NEIL Ñ"),
        ("8859/1", b"\x81\xd1", "\x81Ñ"),
        ("WINDOWS-1252", b"\x81\xd1", "\x81Ñ"),
        ("WINDOWS-1252", "Ñ".encode(), "Ñ"),
        ("UNICODE UTF-16", "Ñ".encode(), "Ñ"),
        ("8859/5", "\u0422\u0410".encode("iso8859-5"), "\u0422\u0410"),  # two bytes that are UTF-8 too
    ],
)
def test_a_declaration_that_the_bytes_refute_gives_way_to_what_cannot_be_mistaken(declared, content, text):
    raw = declaring(declared, content)
    message = parse(raw)
    assert message.segments[1].get(1) == text
    assert encode(message) == raw


@pytest.mark.parametrize("charset", ["ASCII", "UTF-8", "UTF-16"])
def test_a_registration_that_the_bytes_refute_is_the_operators_to_correct(charset):
    assert refused(declaring("8859/1", b"\xd1"), charset=charset) == ("MSH-18", "102")


def test_what_is_ascii_and_nothing_else_needs_no_known_set():
    message = parse(declaring("CAN", b"1|LEE"))
    assert message.segments[1].get(2) == "LEE"
    assert encode(message) == declaring("CAN", b"1|LEE")


def test_a_registration_is_not_second_guessed():
    assert parse(declaring("", "Ñ".encode()), charset="8859/1").segments[1].get(1) == "Ã\x91"


def test_hexadecimal_data_is_bytes_of_the_message_or_utf_8_where_that_has_16_bit_units():
    assert parse(declaring("8859/1", rb"\XD1\ ")).segments[1].get(1) == "Ñ "
    assert parse("MSH|^~\\&|\\XC391\\ \\X0D0A\\".encode("utf-16")).header.get(3) == "Ñ \r\n"


def test_msh_18_is_looked_for_in_msh_alone():
    assert parse(b"MSH|^~\\&|A\rPID|" + b"|" * 16 + b"8859/1\r").codec == "utf-8"


def test_a_registration_overrides_msh_18_and_a_byte_order_mark_both():
    raw = b"MSH|^~\\&|" + b"|" * 15 + b"ASCII\rPID|\x80\r"
    assert parse(raw, charset="WINDOWS-1252").segments[1].get(1) == "€"
    assert refused(raw, charset="KLINGON") == ("MSH-18", "103")
    assert parse(b"\xef\xbb\xbfMSH|^~\\&|A", charset="8859/1").codec == "utf-8"
    assert parse("MSH|^~\\&|Ω\r".encode("utf-16-be")).header.get(3) == "Ω"
