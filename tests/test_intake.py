"""At the door: what is answered is what is on disk, whatever the bytes are."""

import asyncio
import contextlib
import sqlite3
from datetime import UTC, datetime

import pytest
from composed_gateway import PEER, composed, err, message, msa
from example_counts import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intake_messages import GOOD, TEXT, UNACCEPTABLE, WRONG, in_mode, with_msh

from fhirgw.errors import DependencyDown
from fhirgw.store import database, journal, writer
from fhirgw.v2.codec import parse

NOW = datetime(2026, 9, 21, tzinfo=UTC)


@contextlib.contextmanager
def locked(whole):
    """Another process holds the write lock."""
    path = whole.gateway.settings.data_dir / "fhirgw.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


BAD = {
    "truncated in MSH": (TEXT[:20].encode(), "AE", None),
    "truncated before PV1": (TEXT.split("PV1|")[0].encode(), "AE", "100"),
    "without PID": (message("A01/no-patient.hl7"), "AE", "100"),
    "without PID-3": (message("A01/missing-identifier.hl7"), "AE", "101"),
    "unknown code": (message("A01/unmapped-class.hl7"), "AE", "103"),
    "unknown character set": (with_msh(18, "KLINGON").replace(b"ALMA", b"\xc9L\xc9"), "AE", "103"),
    "bytes of another character set": (with_msh(18, "UNICODE UTF-8").replace(b"ALMA", b"\xc9L\xc9"), "AE", "102"),
    "unknown version": (with_msh(12, "9.9"), "AR", "203"),
    "unknown event": (message("A20/unknown-event.hl7"), "AR", "201"),
    "unknown message type": (with_msh(9, "ORU^R01"), "AR", "200"),
    "unknown processing id": (with_msh(11, "X"), "AR", "202"),
    "no control id": (with_msh(10, ""), "AE", "101"),
    "several problems": (message("A03/many-problems.hl7"), "AE", None),
}


@pytest.mark.parametrize(("raw", "code", "error"), BAD.values(), ids=BAD)
async def test_a_bad_message_is_refused_with_its_reason_kept_and_harms_nothing(whole, raw, code, error):
    answer = await whole.receive(raw)
    assert msa(answer) == (code, parse_control(raw))
    assert error in (None, err(answer)[1])
    text = parse(answer).first("ERR").get(8)
    assert text
    (row,) = whole.rows()
    assert (row.state, row.ack_code, row.error_text) == ("rejected", code, text)
    assert whole.row(row.id).raw == raw
    before = whole.everything()
    await whole.process()
    assert whole.everything() == before
    assert msa(await whole.receive(GOOD)) == ("AA", "GOOD")
    await whole.process()
    assert [row.state for row in whole.rows()] == ["rejected", "processed"]


def parse_control(raw):
    fields = raw.split(b"\r")[0].split(b"|")
    return fields[9].decode() or None if len(fields) > 9 else None


@pytest.mark.parametrize("raw", [b"", b"\r", b"GET / HTTP/1.1\r\n\r\n", b"MS", b"PID|1\r", b"\xff\xfe\x00"])
async def test_what_has_no_header_is_kept_and_nobody_is_answered(whole, raw):
    assert await whole.receive(raw) is None
    (row,) = whole.rows()
    assert (row.state, row.ack_code, whole.row(row.id).raw) == ("rejected", None, raw)
    assert msa(await whole.receive(GOOD)) == ("AA", "GOOD")


async def test_a_message_over_the_cap_is_refused_even_if_what_came_of_it_is_whole(whole):
    answer = await whole.receive(GOOD, truncated=True)
    assert msa(answer) == ("AE", "GOOD")
    assert [row.state for row in whole.rows()] == ["rejected"]
    assert msa(await whole.receive(GOOD)) == ("AA", "GOOD")


# --- duplicates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processed", [True, False])
async def test_the_same_bytes_again_get_the_stored_ack_byte_for_byte_and_no_second_row(whole, processed):
    first = await whole.receive(GOOD)
    if processed:
        await whole.process()
    whole.clock.tick(seconds=60)
    assert await whole.receive(GOOD) == first
    assert len(whole.rows()) == 1


async def test_a_control_id_used_for_other_bytes_is_refused_and_kept(whole):
    first = await whole.receive(GOOD)
    other = GOOD.replace(b"ALMA", b"ALMINA")
    answer = await whole.receive(other)
    assert (msa(answer), err(answer)) == (("AE", "GOOD"), ("MSH^1^10", "205"))
    assert await whole.receive(GOOD) == first
    kept, refused = whole.rows()
    assert (kept.state, refused.state, whole.row(refused.id).raw) == ("received", "rejected", other)


async def test_a_control_id_may_be_used_again_after_the_window_and_by_another_sender(whole):
    await whole.receive(GOOD)
    foreign = GOOD.replace(b"ADTSYS|ELMHOSP", b"ADTSYS|OAKHOSP")
    assert msa(await whole.receive(foreign)) == ("AA", "GOOD")
    other = GOOD.replace(b"ALMA", b"ALMINA")
    whole.clock.tick(days=6)
    assert msa(await whole.receive(other)) == ("AE", "GOOD")
    whole.clock.tick(days=2)
    assert msa(await whole.receive(other)) == ("AA", "GOOD")


async def test_a_corrected_message_may_use_its_control_id_again(whole):
    assert msa(await whole.receive(with_msh(11, "X"))) == ("AR", "GOOD")
    answer = await whole.receive(GOOD)
    assert msa(answer) == ("AA", "GOOD")
    assert await whole.receive(GOOD) == answer
    assert [row.state for row in whole.rows()] == ["rejected", "received"]


async def test_what_an_operator_took_in_after_its_rejection_is_taken_when_it_is_sent_again(whole):
    wrong = message("A01/unmapped-class.hl7")
    assert msa(await whole.receive(wrong))[0] == "AE"
    senders = whole.gateway.settings.data_dir / "senders.toml"
    code = wrong.decode().split("PV1|")[1].split("|")[1]
    senders.write_text(
        f'{senders.read_text("utf-8")}\n[senders.elm-hospital.codes.0004]\n"{code}" = "I"\n', "utf-8"
    )
    (row,) = whole.rows()
    assert (await whole.gateway.ingest.messages.replay(row.id)).state == "processed"
    before = whole.everything()
    answer = await whole.receive(wrong)
    assert msa(answer)[0] == "AA"
    assert await whole.receive(wrong) == answer
    await whole.process()
    assert whole.everything() == before
    assert [(one.state, one.ack_code) for one in whole.rows()] == [("processed", "AA")]


async def test_what_was_replayed_in_vain_is_processed_when_it_is_sent_again_after_the_fix(whole):
    wrong = message("A01/unmapped-class.hl7")
    assert msa(await whole.receive(wrong))[0] == "AE"
    assert (await whole.gateway.ingest.messages.replay(1)).state == "parked"
    assert msa(await whole.receive(wrong))[0] == "AE"
    rows = len(whole.rows())
    code = wrong.decode().split("PV1|")[1].split("|")[1]
    whole.register(codes={"0004": {code: "I"}})
    assert msa(await whole.receive(wrong))[0] == "AA"
    await whole.process()
    assert len(whole.rows()) == rows
    assert whole.row(1).state == "processed"


async def test_a_message_that_is_refused_again_for_the_same_reason_gets_the_stored_ack_and_no_second_row(whole):
    wrong = message("A01/unmapped-class.hl7")
    answer = await whole.receive(wrong)
    whole.clock.tick(seconds=60)
    assert await whole.receive(wrong) == answer
    assert len(whole.rows()) == 1
    whole.clock.tick(days=8)
    assert await whole.receive(wrong) != answer
    assert len(whole.rows()) == 2


# --- enhanced mode ------------------------------------------------------------------------------------------------

MODES = {
    ("", ""): "AA AE AR",
    **{
        (accept, application): sent
        for accept, sent in {"AL": "CA CE CR", "SU": "CA - -", "ER": "- CE CR"}.items()
        for application in ("AL", "ER", "SU", "NE")
    },
    ("NE", "AL"): "- AE AR",
    ("NE", "ER"): "- AE AR",
    ("NE", "SU"): "- - -",
    ("NE", "NE"): "- - -",
}


@pytest.mark.parametrize(("mode", "sent"), MODES.items())
async def test_enhanced_mode_answers_what_was_asked_for_and_keeps_all(whole, mode, sent):
    raws = [in_mode(raw, *mode) for raw in (GOOD, WRONG, UNACCEPTABLE)]
    answers = [await whole.receive(raw) for raw in raws]
    assert [msa(answer)[0] if answer else "-" for answer in answers] == sent.split()
    assert [row.state for row in whole.rows()] == ["received", "rejected", "rejected"]
    assert await whole.receive(raws[0]) == answers[0]
    assert len(whole.rows()) == 3


# --- the store is away --------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    """Another process that writes is waited for no longer than a millisecond."""
    for module in (database, writer):
        monkeypatch.setattr(module, "BUSY_MS", 1)


async def test_what_cannot_be_stored_is_refused_and_taken_once_it_can(tmp_path, impatient):
    with composed(tmp_path) as whole:
        with locked(whole):
            answer = await whole.receive(GOOD)
            assert (msa(answer), err(answer)[1]) == (("AR", "GOOD"), "207")
            for mode, code in ((("AL", "NE"), "CE"), (("NE", "AL"), "AR"), (("SU", "NE"), None)):
                answer = await whole.receive(in_mode(GOOD, *mode))
                assert (msa(answer)[0] if answer else None) == code
            await whole.gateway.intake.discard(b"junk", PEER)
            await whole.gateway.intake.delivered([1], sent=True)
        assert whole.rows() == []
        await whole.take(GOOD)
        assert [row.state for row in whole.rows()] == ["processed"]


async def test_a_kept_message_waits_for_a_store_that_is_away(tmp_path, impatient):
    with composed(tmp_path) as whole:
        await whole.receive(GOOD)
        with locked(whole), pytest.raises(DependencyDown):
            await whole.process()
        assert [row.state for row in whole.rows()] == ["received"]
        await whole.process()
        assert [row.state for row in whole.rows()] == ["processed"]


async def test_what_comes_while_others_are_judged_is_kept_with_them(whole, monkeypatch):
    intake, together = whole.gateway.intake, []
    await whole.receive(GOOD)
    write = intake._database.write_here
    monkeypatch.setattr(
        intake._database, "write_here", lambda unit: together.append(len(intake._keeper._waiting)) or write(unit)
    )
    told = [intake.receive(with_msh(10, f"A{number}"), "mllp", PEER) for number in range(2)]
    late = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: intake.take(with_msh(10, "LATE"), "mllp", PEER, late.set_result))
    assert [received.code for received in await asyncio.gather(*told, late)] == ["AA"] * 3
    assert msa(await whole.receive(with_msh(10, "LONE"))) == ("AA", "LONE")
    assert together == [3, 1]


async def test_a_failure_of_our_own_is_never_a_positive_answer(whole, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(journal, "keep_sound", lambda *_, **__: 1 / 0)
        assert msa(await whole.receive(GOOD))[0] == "AR"
    assert whole.rows() == []
    await whole.take(GOOD)


async def test_an_unreadable_senders_file_leaves_the_last_one_in_force(whole):
    await whole.take(GOOD)
    senders = whole.gateway.settings.data_dir / "senders.toml"
    text = senders.read_text("utf-8")
    for broken in ("[senders", '[senders.elm-hospital]\nno_such = "setting"\n'):
        senders.write_text(text + broken, "utf-8")
        assert msa(await whole.receive(message("A03/member.hl7", control=f"C{len(broken)}")))[0] == "AA"
    await whole.process()
    assert {(row.sender, row.state) for row in whole.rows()} == {("elm-hospital", "processed")}


# --- any bytes ----------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        b"|",
        b"^",
        b"~",
        b"\\",
        b"&",
        b"\r",
        b"\n",
        b"\x00",
        b"\xff",
        b'""',
        b"MSH|^~\\&|",
        b"PID|",
        b"\\X0\\",
        b"\x1c",
    ]
)


@st.composite
def damaged(draw):
    """A good message with pieces cut out and put in."""
    raw = GOOD
    for _ in range(draw(st.integers(1, 6))):
        at, length = draw(st.integers(0, len(raw))), draw(st.integers(0, 40))
        raw = raw[:at] + draw(PIECES | st.binary(max_size=4)) + raw[at + length :]
    return raw


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with composed(tmp_path_factory.mktemp("door")) as gateway:
        yield gateway


@settings(
    max_examples=examples(300), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(raw=damaged() | st.binary(max_size=200))
def test_whatever_the_bytes_they_are_judged_and_answered(door, raw):
    intake = door.gateway.intake
    judged = intake._judge(raw, PEER, truncated=False)
    code, answer = intake._keeper._answer(judged, judged.errors, NOW)
    assert (answer is None) == (code is None)
    if answer and judged.message.header.get(10):
        assert parse(answer, charset="8859/1").first("MSA").get(1) == code
