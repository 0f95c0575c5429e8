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
        ("", AckMode("", "")),
        ("AL|NE", AckMode("AL", "NE")),
        ("AL", AckMode("AL", "NE")),
        ("|AL", AckMode("NE", "AL")),
        ("NE|NE", AckMode("NE", "NE")),
        ('""|""', AckMode("", "")),
        ("er|su", AckMode("ER", "SU")),
        ("??|NE", AckMode("AL", "NE")),
    ],
)
def test_msh_15_and_16_choose_the_mode(rest, mode):
    assert accept_mode(message(rest=rest)) == mode


@pytest.mark.parametrize("rest", ["", "AL|AL", "NE|NE"])
@pytest.mark.parametrize(
    ("registered", "mode"),
    [
        ("original", AckMode()),
        ("aa-only", AckMode()),
        ("AL/NE", AckMode("AL", "NE")),
        ("NE/ER", AckMode("NE", "ER")),
    ],
)
def test_a_registration_chooses_before_the_message(rest, registered, mode):
    assert accept_mode(message(rest=rest), registered) == mode


def test_an_ack_is_never_acknowledged():
    for registered in ("message", "original", "AL/AL"):
        mode = accept_mode(message(nine="ACK^A01"), registered)
        assert (mode.at_once([]), mode.at_once([MISSING]), mode.follows) == (None, None, None)


VERSION, AWAY = UnsupportedMessage("Version.", err="203"), DependencyDown("Later.")
# What is sent at once for a message that is taken, wrong, not acceptable, or met a failure of ours; what follows
# the processing of a taken one that was processed, or parked.
ALL_MODES = {
    ("", ""): "AA AE AR AR - -",
    ("NE", "AL"): "-  AE AR AR AA AE",
    ("NE", "ER"): "-  AE AR AR -  AE",
    ("NE", "SU"): "-  -  -  -  AA -",
    ("NE", "NE"): "-  -  -  -  -  -",
    ("AL", "AL"): "CA CE CR CE AA AE",
    ("AL", "ER"): "CA CE CR CE -  AE",
    ("AL", "SU"): "CA CE CR CE AA -",
    ("AL", "NE"): "CA CE CR CE -  -",
    ("ER", "AL"): "-  CE CR CE AA AE",
    ("ER", "ER"): "-  CE CR CE -  AE",
    ("ER", "SU"): "-  CE CR CE AA -",
    ("ER", "NE"): "-  CE CR CE -  -",
    ("SU", "AL"): "CA -  -  -  AA AE",
    ("SU", "ER"): "CA -  -  -  -  AE",
    ("SU", "SU"): "CA -  -  -  AA -",
    ("SU", "NE"): "CA -  -  -  -  -",
}


@pytest.mark.parametrize(("pair", "codes"), ALL_MODES.items())
def test_every_pair_of_conditions_gives_the_acknowledgments_of_the_standard(pair, codes):
    mode = accept_mode(message(rest="|".join(pair)))
    assert mode == AckMode(*pair)
    sent = [
        *(mode.at_once(errors) for errors in ([], [MISSING], [MISSING, VERSION], [AWAY])),
        *(mode.after_processing(errors) for errors in ([], [MISSING])),
    ]
    assert [code or "-" for code in sent] == codes.split()
    assert (mode.follows is None) == (codes.split()[4:] == ["-", "-"])


def test_an_error_without_an_hl7_form_is_ours():
    assert AckMode().at_once([VersionConflict("No v2 form.")]) == "AR"


@pytest.mark.parametrize(
    ("version", "nine", "told"),
    [
        ("2.1", "ADT^A01", "ACK^A01"),
        ("2.2", "ADT^A01", "ACK^A01"),
        ("2.3", "ADT^A01", "ACK^A01"),
        ("2.3.1", "ADT^A01", "ACK^A01^ACK"),
        ("2.8.2", "ADT^A01^ADT_A01", "ACK^A01^ACK"),
        ("2.1", "ADT", "ACK"),
        ("2.8", "ADT", "ACK"),
        ("9.9", "ADT^A01", "ACK^A01^ACK"),
    ],
)
def test_msh_9_of_the_ack_has_the_parts_its_version_has(version, nine, told):
    assert parse(ack(message(version, nine), "AA", ())).header.field(9) == told


@pytest.mark.parametrize(
    ("parties", "swapped"),
    [
        ("APP|FAC|GW|ICM", "GW|ICM|APP|FAC"),
        ("|||", "|||"),
        ("APP|||", "||APP|"),
        ("|FAC^1.2.3^ISO||^^", "|^^||FAC^1.2.3^ISO"),
        (r"A\T\B|F||", r"||A\T\B|F"),
    ],
)
def test_the_parties_are_swapped_as_they_were_written(parties, swapped):
    raw = f"MSH|^~\\&|{parties}|2024||ADT^A01|1|T|2.4^USA^7|||||USA|8859/1".encode()
    header_of_ack = ack(parse(raw), "AA", ()).split(b"\r")[0].decode().split("|")
    assert "|".join(header_of_ack[2:6]) == swapped
    assert header_of_ack[9] == "G1"
    assert header_of_ack[10:] == ["T", "2.4^USA^7", "", "", "", "", "USA", "8859/1"]


def test_an_application_ack_apart_says_that_nobody_acknowledges_it():
    answer = acknowledge(message(rest="AL|AL"), "AA", (), now=NOW, control_id="G", apart=True)
    assert parse(answer).header.field(15) == parse(answer).header.field(16) == "NE"
    assert parse(ack(message(rest="AL|AL"), "CA", ())).header.field(15) == ""


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
