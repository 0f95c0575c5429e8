"""Batches: the same messages however the stream is cut, trailers held to account, answers that can be read."""

import tracemalloc
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirgw.v2.batch import Cut, Splitter, Tally, closing, is_batch, opening, read_header
from fhirgw.v2.framing import HEAD_BYTES, frame

NOW = datetime(2024, 1, 5, 15, 0, 0, tzinfo=UTC)
FHS = b"FHS|^~\\&|APP|FAC|GW|ICM|2024||file.hl7||F1\r"
BHS = b"BHS|^~\\&|APP|FAC|GW|ICM|2024||ADT||B1\r"


def adt(control, end=b"\r"):
    return end.join((f"MSH|^~\\&|APP|FAC|GW|ICM|2024||ADT^A01|{control}|P|2.5".encode(), b"PID|1||9", b""))


def split(*chunks, cap=10_000):
    splitter = Splitter(cap)
    return [cut for chunk in chunks for cut in splitter.feed(chunk)] + list(splitter.finish())


def names(cuts):
    return [cut.name for cut in cuts]


def cut_at(stream, cuts):
    points = [0, *sorted(point % (len(stream) + 1) for point in cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(points)]


WHOLE = FHS + BHS + adt(1) + adt(2) + b"BTS|2\r" + BHS + adt(3) + b"BTS|1\rFTS|2\r"


def test_a_file_of_batches_is_cut_into_its_parts():
    cuts = split(WHOLE)
    assert names(cuts) == ["FHS", "BHS", "MSH", "MSH", "BTS", "BHS", "MSH", "BTS", "FTS"]
    assert [cut.raw for cut in cuts if cut.name == "MSH"] == [adt(1), adt(2), adt(3)]


@given(
    st.sampled_from(
        [WHOLE, WHOLE.replace(b"\r", b"\n"), WHOLE.decode().encode("utf-16"), b"".join(map(adt, "abc"))]
    ),
    st.lists(st.integers(0), max_size=8),
)
def test_the_parts_are_the_same_however_the_stream_is_cut(stream, cuts):
    assert split(*cut_at(stream, cuts)) == split(stream)


@given(
    st.lists(st.sampled_from([b"MSH|", b"\r", b"\n", b"BTS", b"FHS|", b"\x0b", b"\x1c", b"\0", b"x", b"\xff\xfe"]))
)
def test_any_bytes_are_cut_and_none_of_a_message_is_lost(pieces):
    stream = adt(1) + b"".join(pieces)
    cuts = split(stream)
    assert cuts[0].raw.startswith(adt(1))


@pytest.mark.parametrize("between", [b"", b"\r", b"\r\n\r\n", b"\0", b"\r \r"])
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_a_bare_concatenation_is_cut_at_each_msh(between, end):
    messages = [adt(n, end) for n in range(3)]
    assert [cut.raw for cut in split(between.join(messages))] == messages


def test_a_file_of_mllp_frames_gives_the_messages_as_they_were_in_them():
    messages = [adt(n) for n in range(3)]
    assert [cut.raw for cut in split(b"".join(map(frame, messages)))] == messages


def test_a_file_without_a_last_line_end_and_with_a_mark_is_whole():
    assert names(split(b"\xef\xbb\xbf" + WHOLE.rstrip())) == names(split(WHOLE))


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_parts_of_a_stream_in_utf_16_are_in_utf_16(codec):
    cuts = split(WHOLE.decode().encode(codec))
    assert names(cuts) == names(split(WHOLE))
    assert read_header(cuts[2]).header.get(10) == "1"
    assert read_header(cuts[0]).header.get(11) == "F1"


def test_a_name_inside_a_field_begins_nothing():
    inside = adt(1) + b"ERR|MSH^1^9|MSH|BTS\rNTE|1||FHS BHS BTS\r"
    assert [cut.raw for cut in split(inside)] == [inside]
    assert not is_batch(inside)


def test_what_is_none_of_these_is_given_apart():
    assert names(split(b"hello\r\r" + adt(1))) == ["", "MSH"]
    assert split(b"") == split(b"\r\n\r\n") == []


def test_a_message_over_the_cap_is_given_by_its_head_and_the_next_one_whole():
    big = adt(1) + b"OBX|1||" + b"x" * 50_000 + b"\r"
    cuts = split(*cut_at(big + adt(2), range(0, 50_000, 4096)), cap=5000)
    assert [(cut.truncated, cut.raw) for cut in cuts] == [(True, adt(1)), (False, adt(2))]
    assert len(cuts[0].raw) <= HEAD_BYTES


def test_memory_does_not_grow_with_the_stream():
    splitter = Splitter(1_000_000)
    piece = b"".join(adt(n) for n in range(500))
    for _ in splitter.feed(piece):
        pass
    tracemalloc.start()
    for _ in range(40):
        for _ in splitter.feed(piece):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * len(piece)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (adt(1), False),
        (adt(1) + adt(2), True),
        (WHOLE, True),
        (BHS, True),
        (b"\xef\xbb\xbf" + BHS, True),
        (b"\n" + FHS, True),
        (WHOLE.decode().encode("utf-16"), True),
        (adt(1).decode().encode("utf-16-le"), False),
        ((adt(1) + adt(2)).decode().encode("utf-16-be"), True),
        (b"", False),
        (b"GET / MSH|\rMSH|", False),
    ],
)
def test_a_batch_is_told_from_a_message(raw, said):
    assert is_batch(raw) is said


def remarks(raw):
    tally = Tally()
    for cut in split(raw):
        tally.take(cut)
    tally.end()
    return tally.remarks


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (WHOLE, []),
        (adt(1) + adt(2), []),
        (BHS + adt(1) + b"BTS\r", []),
        (BHS + b"BTS|0\r", []),
        (BHS + adt(1) + b"BTS|01\r", []),
        (BHS + adt(1) + b"BTS|3\r", ["BTS-1 says 3; there are 1 messages."]),
        (BHS + b"BTS|1\r", ["BTS-1 says 1; there are 0 messages."]),
        (BHS + adt(1), ["A batch has no BTS."]),
        (BHS + adt(1) + BHS + adt(2) + b"BTS|1\r", ["A batch has no BTS."]),
        (WHOLE.replace(b"FTS|2", b"FTS|7"), ["FTS-1 says 7; there are 2 batches."]),
        (BHS + b"BTS|many\r", ["BTS-1 says something else; there are 0 messages."]),
        (BHS + b"BTS|99999999999\r", ["BTS-1 says something else; there are 0 messages."]),
    ],
)
def test_trailers_are_held_against_what_was_there(raw, found):
    assert remarks(raw) == found


def test_an_answer_is_addressed_to_the_sender_and_refers_to_its_control_id():
    told = read_header(Cut("BHS", BHS))
    assert opening("BHS", told, 11, now=NOW, control_id="G") == (
        b"BHS|^~\\&|GW|ICM|APP|FAC|20240105150000+0000||ADT||G|B1\r"
    )
    assert closing("BTS", 2, "2 taken, 0 refused.", told) == b"BTS|2|2 taken, 0 refused.\r"
    message = read_header(Cut("MSH", adt(7)))
    assert opening("BHS", message, 10, now=NOW, control_id="G").endswith(b"||||G|7\r")


def test_a_header_that_cannot_be_read_is_none():
    assert read_header(Cut("BHS", b"BHS")) is None
    assert read_header(Cut("", b"x")) is None
