"""MLLP framing: what real peers send, cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fhirgw.v2.framing import BATCH_STARTS, HEAD_BYTES, Deframer, Frame, Junk, Oversized, frame

contents = st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\x0b\x1c"))


def feed(*chunks, max_bytes=1000):
    deframer = Deframer(max_bytes)
    return [event for chunk in chunks for event in deframer.feed(chunk)]


def cut(stream, cuts):
    points = [0, *sorted(point % (len(stream) + 1) for point in cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(points)]


@given(st.lists(contents, max_size=5), st.sampled_from([b"", b"\r", b"\0\0", b"\r\n"]), st.lists(st.integers(0)))
def test_frames_are_the_same_however_the_stream_is_cut(messages, between, cuts):
    assume(not any(message.startswith(BATCH_STARTS) for message in messages))  # those are given in parts
    stream = between.join(map(frame, messages)) + between
    assert feed(*cut(stream, cuts)) == [Frame(message) for message in messages]


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_bytes_pass_and_the_next_frame_is_found(chunks):
    deframer = Deframer(50)
    for chunk in chunks:
        deframer.feed(chunk)
    assert deframer.feed(b"\x1c\r" + frame(b"MSH|next"))[-1] == Frame(b"MSH|next")
    assert deframer.pending == b""


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"\x0b\x0bMSH|1\x1c\r\x1c\r", [Frame(b"MSH|1")]),
        (b"\x0bMSH|1\x1c\x0bMSH|2\x1c", [Frame(b"MSH|1"), Frame(b"MSH|2")]),
        (b"\x0bMSH|1\x1c\n\x0bMSH|2\x1c\r", [Frame(b"MSH|1"), Frame(b"MSH|2")]),
        (b"GET / HTTP/1.1\r\n\r\n", [Junk(b"GET / HTTP/1.1")]),
        (b"xx\x0bMSH|1\x1c\ryy", [Junk(b"xx"), Frame(b"MSH|1"), Junk(b"yy")]),
        (b"\x0bMSH|lost\r\x0bMSH|1\x1c\r", [Junk(b"MSH|lost\r"), Frame(b"MSH|1")]),
        (b"\x0b\x1c\r", [Frame(b"")]),
        (b"\x0bMSH|a\x1cb\x1c\r", [Frame(b"MSH|a\x1cb")]),
        ("\x0b“”\x1c\r".encode("utf-16-be").replace(b"\0\x0b", b"\x0b").replace(b"\0\x1c\0\r", b"\x1c\r"),
         [Frame("“”".encode("utf-16-be"))]),
    ],
)  # fmt: skip
def test_what_peers_do_beyond_the_standard(stream, events):
    assert feed(stream) == events


def test_end_bytes_alone_in_a_second_packet():
    assert feed(b"\x0bMSH|1", b"\x1c\r") == feed(b"\x0bMSH|1\x1c", b"\r") == [Frame(b"MSH|1")]


def test_a_frame_over_the_cap_is_reported_once_and_the_next_one_read():
    head = b"MSH|1\r"
    big = b"\x0b" + head + b"x" * 200
    chunks = [big, b"x" * 5000, b"x\x1c", b"\r" + frame(b"MSH|2")]
    assert feed(*chunks, max_bytes=100) == [Oversized(head), Frame(b"MSH|2")]
    assert feed(b"".join(chunks), max_bytes=100) == [Oversized(head), Frame(b"MSH|2")]


def test_a_frame_of_exactly_the_cap_passes():
    assert feed(frame(b"x" * 100), max_bytes=100) == [Frame(b"x" * 100)]
    assert feed(frame(b"x" * 101), max_bytes=100) == [Oversized(b"x" * 101)]


def test_the_head_of_an_oversized_frame_is_bounded_and_ends_with_a_segment():
    (event,) = feed(frame(b"MSH|1\nPID|" + b"x" * 100_000), max_bytes=50_000)
    assert event == Oversized(b"MSH|1\n")
    (event,) = feed(frame(b"x" * 100_000), max_bytes=50_000)
    assert len(event.head) == HEAD_BYTES


def test_memory_is_bounded_by_the_cap():
    deframer = Deframer(100)
    deframer.feed(b"\x0b")
    for _ in range(100):
        deframer.feed(b"x" * 1000)
        assert len(deframer.pending) <= 1100
