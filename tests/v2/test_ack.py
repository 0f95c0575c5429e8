"""Acknowledgments: whom they address, what they say in each version, who wants which."""

from datetime import UTC, datetime

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirgw.errors import (
    DependencyDown,
    GatewayError,
    InvalidElement,
    MalformedMessage,
    MissingElement,
    UnmappedCode,
    UnsupportedMessage,
    VersionConflict,
)
from fhirgw.v2.ack import ERROR_TEXTS, VERSIONS, AckMode, accept_mode, acknowledge, check_envelope
from fhirgw.v2.codec import header, parse

NOW = datetime(2024, 1, 5, 15, 0, 0, tzinfo=UTC)
MISSING = MissingElement("PID-3.1 is empty.", location="PID-3.1")


def message(version="2.5.1", nine="ADT^A01^ADT_A01", rest="", head="MSH|^~\\&"):
    raw = f"{head}|APP|FAC|GW|ICM|20240101||{nine}|77|P|{version}|||{rest}\rPID|1\r"
    return parse(raw.translate(str.maketrans("|^", head[3:5])).encode())


def ack(to, code="AE", errors=(MISSING,)):
    return acknowledge(to, code, errors, now=NOW, control_id="G1")


def test_an_acceptance_swaps_the_parties_and_echoes_the_control_id():
    assert ack(message(), "AA", ()) == (
        b"MSH|^~\\&|GW|ICM|APP|FAC|20240105150000+0000||ACK^A01^ACK|G1|P|2.5.1\rMSA|AA|77\r"
    )


def test_from_version_2_5_err_has_location_code_severity_and_a_text_for_people():
    assert ack(message()).split(b"\r")[1:] == [
        b"MSA|AE|77|PID-3.1 is empty.",
        b"ERR||PID^1^3^1^1|101^Required field missing^HL70357|E||||PID-3.1 is empty.",
        b"",
    ]


def test_before_version_2_5_err_1_holds_every_error():
    errors = (MISSING, UnmappedCode("PV1-2 is no code of table 0004.", location="PV1-2"))
    assert ack(message("2.3"), errors=errors).split(b"\r")[1:] == [
        b"MSA|AE|77|PID-3.1 is empty.",
        b"ERR|PID^1^3^101&Required field missing&HL70357~PV1^1^2^103&Table value not found&HL70357",
        b"",
    ]


@pytest.mark.parametrize(
    ("location", "err_2", "err_7"),
    [
        ("PID", "PID^1", ""),
        ("PID-3", "PID^1^3", ""),
        ("DG1[2]-3[4].1.2", "DG1^2^3^4^1^2", ""),
        ("Patient.name[0]", "", "Patient.name[0]"),
        (None, "", ""),
    ],
)
def test_a_location_is_one_of_the_message_or_diagnostic_information(location, err_2, err_7):
    err = parse(ack(message(), errors=[InvalidElement("Wrong.", location=location)])).first("ERR")
    assert (err.field(2), err.field(7)) == (err_2, err_7)
    err = parse(ack(message("2.4"), errors=[InvalidElement("Wrong.", location=location)])).first("ERR")
    assert (err.get(1, 1) or "", err.get(1, 4)) == (err_2[:3], "102")


def test_an_ack_is_written_in_the_senders_delimiters_and_escapes_its_text():
    errors = [MalformedMessage("Use # or : here | there.", location="NTE-3")]
    answer = parse(ack(message(head="MSH#:;%$"), errors=errors))
    assert answer.header.field(9) == "ACK:A01:ACK"
    assert answer.first("MSA").field(3) == "Use %F% or %S% here | there."
    assert answer.first("MSA").get(3) == errors[0].text


def test_a_sender_with_fewer_delimiters_gets_no_others():
    errors = [MISSING, MISSING]
    answer = ack(message("2.3", head="MSH|^", nine="ADT^A01"), errors=errors)
    assert answer.startswith(b"MSH|^|GW|")
    assert answer.endswith(b"ERR|PID^1^3^101\r")


def test_the_character_set_is_kept():
    raw = b"MSH|^~\\&|APP|F\xc9|GW|ICM|2024||ADT^A01|\xe97|P|2.5.1||||||8859/1\r"
    answer = ack(parse(raw))
    assert (parse(answer).first("MSA").get(2), parse(answer).header.get(18)) == ("é7", "8859/1")
    sixteen = ack(parse(raw.decode("latin-1").encode("utf-16")))
    assert parse(sixteen).first("MSA").get(2) == "é7"
    assert ack(parse(b"\xef\xbb\xbfMSH|^~\\&|A||||||ADT^A01|1|P|2.5\r")).startswith(b"MSH")


def test_a_message_that_cannot_be_parsed_is_answered_by_its_header():
    raw = b"MSH|^~\\&|APP|FAC|GW|ICM|2024||ADT^A01|\xe97|P|2.5.1||||||UNICODE UTF-8\rPID|\xe9\r"
    with pytest.raises(MalformedMessage) as caught:
        parse(raw)
    answer = acknowledge(header(raw), "AE", [caught.value], now=NOW, control_id="G1")
    assert b"\rMSA|AE|\xe97|The bytes are not in the character set" in answer
    assert b"\rERR||MSH^1^18|102^" in answer


def test_without_a_readable_msh_there_is_no_ack():
    assert ack(header(b"PID|1")) == b""


def test_missing_parts_of_msh_have_defaults():
    answer = ack(parse(b"MSH|^~\\&\r"))
    assert answer.startswith(b"MSH|^~\\&|||||20240105150000+0000||ACK|G1|P|2.5.1\rMSA|AE||")


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_python_hl7_reads_every_ack(version):
    read = hl7.parse(ack(message(version)).decode())
    assert str(read.segment("MSA")[1]) == "AE"
    assert read.extract_field("MSH", 1, 9, 1, 2) == "A01"


@given(st.text(max_size=30), st.sampled_from(["MSH|^~\\&", "MSH#:;%$", "MSH|^"]), st.sampled_from(sorted(VERSIONS)))
def test_any_text_makes_an_ack_of_the_same_segments(text, head, version):
    answer = parse(ack(message(version, head=head), errors=[InvalidElement(text, location="PID-3")]))
    assert [segment.name for segment in answer.segments] == ["MSH", "MSA", "ERR"]


@pytest.mark.parametrize(
    ("rest", "mode"),
    [
        ("", AckMode("NE", "AL")),
        ("AL|NE", AckMode("AL", "NE")),
        ("AL", AckMode("AL", "NE")),
        ("|AL", AckMode("NE", "AL")),
        ('""|""', AckMode("NE", "AL")),
        ("er|su", AckMode("ER", "SU")),
        ("??|NE", AckMode("AL", "NE")),
    ],
)
def test_msh_15_and_16_choose_the_mode(rest, mode):
    assert accept_mode(message(rest=rest)) == mode


def test_an_ack_is_never_acknowledged():
    mode = accept_mode(message(nine="ACK^A01"))
    assert (mode.code([]), mode.code([MISSING])) == (None, None)


@pytest.mark.parametrize(
    ("mode", "taken", "wrong", "unacceptable"),
    [
        (AckMode("NE", "AL"), "AA", "AE", "AR"),
        (AckMode("NE", "ER"), None, "AE", "AR"),
        (AckMode("NE", "NE"), None, None, None),
        (AckMode("AL", "AL"), "CA", "CE", "CR"),
        (AckMode("AL", "NE"), "CA", "CE", "CR"),
        (AckMode("ER", "AL"), None, "CE", "CR"),
        (AckMode("SU", "NE"), "CA", None, None),
    ],
)
def test_the_code_follows_the_mode_and_the_worst_error(mode, taken, wrong, unacceptable):
    version = UnsupportedMessage("Version.", err="203")
    assert mode.code([]) == taken
    assert mode.code([MISSING]) == wrong
    for worst in (version, DependencyDown("Later."), VersionConflict("No v2 form.")):
        assert mode.code([MISSING, worst]) == unacceptable


def envelope(raw):
    return [(error.location, error.err, error.msa) for error in check_envelope(parse(raw))]


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_a_good_envelope_has_no_errors(version):
    assert check_envelope(message(version)) == []


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        (b"MSH|^~\\&|A||||||ORU^R01|1|P|2.5\r", [("MSH-9.1", "200", "AR")]),
        (b"MSH|^~\\&|A||||||ADT^A01|1|X|2.5\r", [("MSH-11", "202", "AR")]),
        (b"MSH|^~\\&|A||||||ADT^A01|1|P|2.9\r", [("MSH-12", "203", "AR")]),
        (b"MSH|^~\\&|A||||||ADT^A01|1|P|3\r", [("MSH-12", "203", "AR")]),
        (b"MSH|^~\\&|A||||||ADT^A01||P|2.5\r", [("MSH-10", "101", "AE")]),
        (b'MSH|^~\\&|A||||||ADT^A01|""|P|2.5\r', [("MSH-10", "101", "AE")]),
        (b"MSH|^~\\&\r", [(f"MSH-{field}", "101", "AE") for field in (9, 10, 11, 12)]),
    ],
)
def test_an_envelope_is_refused_field_by_field(raw, errors):
    assert envelope(raw) == errors


def subclasses(kind):
    return {kind} | {one for sub in kind.__subclasses__() for one in subclasses(sub)}


def test_every_error_has_a_text_in_table_0357():
    assert {kind.err for kind in subclasses(GatewayError)} <= set(ERROR_TEXTS)


def test_every_error_fits_into_an_ack():
    for kind in subclasses(GatewayError):
        answer = parse(acknowledge(message(), "AE", [kind("It is so.")], now=NOW, control_id="1"))
        assert answer.first("ERR").get(3) == kind.err
