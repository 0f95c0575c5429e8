"""The hospital's feed is told of as it was answered: a wrong answer, silence, hanging up, all are in the report."""

from datetime import UTC, datetime
from random import Random

import orjson
import pytest
from mllp_certificates import Authority
from typer.testing import CliRunner
from wrong_gateway import accepted, mllp_server

from fhirgw.cli import app
from fhirgw.errors import InvalidElement
from fhirgw.harness.hospital import Course, Plan, run
from fhirgw.harness.hospital.census import House
from fhirgw.harness.hospital.days import Days
from fhirgw.harness.hospital.events import EVENTS
from fhirgw.harness.hospital.expected import TOOK_PLACE, work
from fhirgw.harness.hospital.messages import STRUCTURES, written
from fhirgw.harness.hospital.mishaps import REUSED, WRONGS, Traffic
from fhirgw.harness.hospital.sending import Engine
from fhirgw.mappers.trigger_events import EVENTS as STANDARD
from fhirgw.v2.codec import parse

START = datetime(2026, 3, 2, tzinfo=UTC)


def days(seed=0, length=3, visits=60):
    drawn = Days(Random(seed), "T", START, length, visits)
    drawn.pass_by()
    return drawn


def traffic(drawn, seed=0):
    return Traffic(Random(seed), "T").of(drawn.happened)


def feed(answer, tmp_path, **how):
    with mllp_server(answer) as port:
        engine = Engine("127.0.0.1", port, again=0.0, **how)
        return run(engine, None, Plan("T", START, 1, 25, seed=7), Course())


def failed(report):
    return {one.subject: list(one.notes) for one in report.results if one.status == "failed"}


# --- the hospital ------------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_hospital():
    assert [one.raw for one in traffic(days(3))] == [one.raw for one in traffic(days(3))]
    assert [one.raw for one in traffic(days(3))] != [one.raw for one in traffic(days(4))]


def test_every_event_that_the_hospital_knows_happens():
    happened = {one.trigger for seed in range(6) for one in days(seed).happened}
    assert happened == set(EVENTS) | {"A17", "A24", "A28", "A31", "A37"}
    assert happened == set(STRUCTURES)


def test_messages_name_the_structures_of_the_standard():
    assert {trigger: STANDARD[trigger].structure for trigger in STRUCTURES} == STRUCTURES


def test_nobody_lies_in_a_bed_with_somebody_else():
    for seed in range(6):
        here = list(days(seed).house.inpatients())
        assert len({one.place for one in here}) == len(here)


def test_a_bed_is_free_again_when_its_patient_has_left():
    house, drawn = House(), days(1, length=6)
    beds = set()
    while True:
        try:
            beds.add(house.free())
        except IndexError:
            break
    taken = {one.place for one in drawn.house.inpatients()} | {
        one.place for one in drawn.house.visits if one.status == "onleave"
    }
    left = set()
    while True:
        try:
            left.add(drawn.house.free())
        except IndexError:
            break
    assert left == beds - taken


def test_stays_follow_one_another_and_end_with_the_visit():
    for visit in days(2).house.visits:
        if visit.status in TOOK_PLACE:
            assert all(one.until == other.since for one, other in zip(visit.stays, visit.stays[1:], strict=False))
            assert visit.stays[0].since == visit.start
            assert visit.stays[-1].until == visit.end


def test_a_record_that_was_merged_has_no_visit_any_more():
    drawn = [days(seed) for seed in range(6)]
    assert any(one.merged_into for each in drawn for one in each.people)
    assert not any(visit.person.merged_into for each in drawn for visit in each.house.visits)


def test_work_is_called_for_by_who_somebody_is_and_what_became_of_the_visit():
    visits = [visit for seed in range(6) for visit in days(seed).house.visits]
    for visit in visits:
        called = work(visit)
        assert set(called) <= {"contact-candidate", "plan-revision", "follow-up"}
        assert bool(called) == bool(visit.began and visit.classes & {"I", "E"})
        if visit.status in ("cancelled", "entered-in-error"):
            assert set(called.values()) <= {"cancelled"}


# --- how its messages travel -------------------------------------------------------------------------------------


def test_what_may_go_wrong_on_the_way_goes_wrong():
    sent = [one for seed in range(8) for one in traffic(days(seed), seed)]
    assert {one.sort for one in sent} >= {*WRONGS, REUSED, "sent twice"}
    assert {one.breaking for one in sent} == {None, "half sent", "not waited for"}
    times = [[one.at for one in traffic(days(seed), seed)] for seed in range(8)]
    assert all(one == sorted(one) for one in times)
    assert max(one.count(at) for one in times for at in one) > 5  # a burst
    late = [
        one for one in sent if one.sort in STRUCTURES and parse(one.raw).header.get(7) < f"{one.at:%Y%m%d%H%M%S}"
    ]
    assert late


def test_only_what_is_meant_to_share_a_control_id_does():
    for seed in range(4):
        by_id = {}
        for one in traffic(days(seed), seed):
            if one.sort != REUSED:
                assert by_id.setdefault(one.control_id, one.raw) == one.raw


def test_a_wrong_message_differs_from_the_right_one_in_what_is_wrong():
    (admission, *_) = [one for one in days(0).happened if one.trigger == "A01"]
    right = written(admission, "C1").decode().split("\r")
    for wrong in WRONGS.values():
        lines = wrong.change(written(admission, "C1")).decode().split("\r")
        assert sum(one != other for one, other in zip(right, lines, strict=True)) == 1


# --- gateways that are wrong -------------------------------------------------------------------------------------


def test_a_receiver_that_takes_everything_is_told_what_it_should_not_have_taken(tmp_path):
    async def answer(raw, _onward):
        return accepted(raw)

    report = feed(answer, tmp_path)
    assert set(failed(report)) == {one.sort for one in drawn_wrong()}
    assert not report.passed
    assert all(
        "is answered with AA, and should be with A" in note for notes in failed(report).values() for note in notes
    )


def drawn_wrong():
    """The wrong messages of the plan in ``feed``."""
    random = Random(7)
    drawn = Days(random, "T", START, 1, 25)
    sent = Traffic(random, "T").of(drawn.pass_by())
    wrong = [one for one in sent if one.sort in (*WRONGS, REUSED)]
    assert wrong
    return wrong


def test_a_receiver_that_refuses_what_is_right_is_told_so(tmp_path):
    async def answer(raw, _onward):
        return accepted(raw, code="AE" if parse(raw).header.get(9, 2) == "A03" else None)

    notes = failed(feed(answer, tmp_path))["A03"]
    assert all("(A03) is answered with AE, and should be with" in note for note in notes)


def test_an_answer_for_another_message_is_none(tmp_path):
    async def answer(raw, _onward):
        return accepted(raw, control_id="ANOTHER")

    notes = failed(feed(answer, tmp_path))["A01"]
    assert all("is answered for another message: MSA-2 is ANOTHER" in note for note in notes)


@pytest.mark.parametrize("told", [b"what", b"MSH|^~\\&|||||20260101||ACK|1|P|2.5.1\r"])
def test_what_is_no_acknowledgment_is_none(tmp_path, told):
    async def answer(_raw, _onward):
        return told

    report = feed(answer, tmp_path)
    assert all("has no answer" in note for notes in failed(report).values() for note in notes)
    assert not any(one.status == "passed" for one in report.results if one.capability == "acknowledgment")


def test_a_receiver_that_hangs_up_is_tried_again_and_then_left(tmp_path):
    asked = []

    async def answer(raw, _onward):
        asked.append(raw)

    report = feed(answer, tmp_path, connections=1)
    notes = [note for each in failed(report).values() for note in each]
    assert any("closed the connection without an answer" in note for note in notes)
    assert any("has no answer: not sent" in note for note in notes)
    assert len(asked) <= 8


def test_one_that_hangs_up_once_gets_the_message_again(tmp_path):
    seen = set()

    async def answer(raw, _onward):
        first = raw not in seen
        seen.add(raw)
        return None if first else accepted(raw)

    report = feed(answer, tmp_path)
    assert set(failed(report)) == {one.sort for one in drawn_wrong()}


def test_nobody_there_fails_the_run():
    report = run(Engine("127.0.0.1", 1, again=0.0), None, Plan("T", START, 1, 5), Course())
    assert not report.passed
    assert all(
        "does not take a connection" in one.notes[0] or "not sent" in one.notes[0] for one in report.results[:-1]
    )


def test_a_run_that_is_ended_early_tells_of_what_was_sent():
    async def answer(raw, _onward):
        return accepted(raw)

    def stop(_what, before, _all):
        if before == 5:
            raise KeyboardInterrupt

    with mllp_server(answer) as port:
        report = run(Engine("127.0.0.1", port, connections=1), None, Plan("T", START, 1, 25, seed=7), Course(stop))
    assert report.interrupted
    assert 5 <= report.requests < 20
    assert not any("not sent" in note for one in report.results for note in one.notes)


def test_the_days_pass_at_the_speed_that_is_asked_for(monkeypatch):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr("fhirgw.harness.hospital.sending.asyncio.sleep", sleep)

    async def answer(raw, _onward):
        return accepted(raw)

    feed(answer, None, seconds=86_400.0, connections=1)
    assert 0.5 < max(waits) < 1.5  # a day in a second


# --- the command -------------------------------------------------------------------------------------------------


def test_the_command_reports_and_its_exit_code_says_so(tmp_path):
    async def answer(raw, _onward):
        return accepted(raw)

    page = tmp_path / "report.html"
    with mllp_server(answer) as port:
        asked = ["harness", "--hospital", f"mllp://127.0.0.1:{port}", "--days", "1", "--visits-a-day", "15"]
        done = CliRunner().invoke(app, [*asked, "--seed", "7", "--report", str(page)])
    told = orjson.loads(done.stdout)
    assert done.exit_code == int(told["failed"] > 0) == 1
    assert told["target"] == f"mllp://127.0.0.1:{port}"
    assert "and should be with" in page.read_text("utf-8")


@pytest.mark.parametrize("url", ["http://127.0.0.1:2575", "mllp://127.0.0.1", "127.0.0.1:2575"])
def test_a_feed_goes_to_an_mllp_address(url):
    refused = CliRunner().invoke(app, ["harness", "--hospital", url])
    assert isinstance(refused.exception, InvalidElement)
    assert "mllp://host:port" in refused.exception.text


def test_mllps_asks_for_a_certificate_of_the_authority(tmp_path):
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.server()

    async def answer(raw, _onward):
        return accepted(raw)

    with mllp_server(answer, tls=(certificate, key)) as port:
        asked = ["harness", "--hospital", f"mllps://localhost:{port}", "--days", "1", "--visits-a-day", "2"]
        unknown = orjson.loads(CliRunner().invoke(app, asked).stdout)
        known = orjson.loads(CliRunner().invoke(app, [*asked, "--ca", str(authority.ca)]).stdout)
    assert unknown["passed"] == 1  # the summary of the feed alone
    assert known["passed"] > 1
