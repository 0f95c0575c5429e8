"""The journal's bytes go when nobody needs them, and leave no trace in the files."""

import asyncio

import pytest
from composed_gateway import ALMA, message
from sqlalchemy import func, select

from fhirgw.errors import NotFound
from fhirgw.retention import Periods, Retention
from fhirgw.settings import Settings
from fhirgw.store import identity, journal, retention
from fhirgw.store.schema import visit_event

STRANGER = message("A04/stranger.hl7")
ADMITTED, LEFT = message("A01/member.hl7"), message("A03/member.hl7")
NAME = "ZYXWVUTSRQ"
"""A name that stands nowhere else."""


def keeper(whole, **days):
    periods = {"stranger": 14, "member": 90, "parked": 90, "rejected": 30, "returned": 90} | days
    return Retention(whole.gateway.database, Periods(**periods), whole.gateway.keys.ids)


def stranger(number, name=NAME):
    """Another stranger, with an address that makes the message longer than a page now and then."""
    control = STRANGER.split(b"|")[9].decode()
    surname = STRANGER.split(b"\rPID|")[1].split(b"|")[4].decode()
    raw = message(
        "A04/stranger.hl7", (control, f"S{number}"), (surname, f"{name}^N{number}"), ("MRN-9001", f"X{number}")
    )
    return raw + b"NTE|1||" + name.encode() * (number % 900) + b"\r"


def traces(whole, word=NAME):
    """Files of the database in which the word stands."""
    folder = whole.gateway.settings.data_dir
    return {path.name for path in folder.glob("fhirgw.db*") if word.encode() in path.read_bytes()}


async def test_of_a_stranger_no_file_keeps_a_trace_after_its_time(whole):
    """DESIGN §4: its journal row expires by retention; neither file, free page nor write-ahead log has the name."""
    others = [message("A01/member.hl7", control=f"M{number}") for number in range(20)]
    for number in range(120):
        await whole.take(stranger(number))
        if number % 6 == 0:
            await whole.take(others[number // 6])
    assert traces(whole)
    whole.clock.tick(days=15)
    done = await keeper(whole).run()
    assert (done["stranger"], done["scrubbed"]) == (120, 1)
    assert traces(whole) == set()
    assert {row.control_id for row in whole.rows()} == {f"M{number}" for number in range(20)}


async def test_a_stranger_is_kept_for_their_days_and_no_longer(whole):
    await whole.take(STRANGER)
    whole.clock.tick(days=13)
    assert (await keeper(whole).run())["stranger"] == 0
    whole.clock.tick(days=1, seconds=1)
    assert (await keeper(whole).run())["stranger"] == 1
    assert whole.rows() == []


async def test_who_becomes_a_candidate_later_has_no_history_from_before(whole):
    await whole.take(stranger(1))
    whole.clock.tick(days=15)
    await keeper(whole).run()
    before = whole.everything()
    patient = whole.patient(ALMA)
    system = "http://fhirgw.org/fhir/sid/elm-hospital-mrn"
    whole.gateway.database.write_sync(lambda tx: identity.bind(tx, [(system, "X1")], patient))
    await whole.process()
    assert whole.everything() == before


async def test_of_a_member_the_bytes_go_and_the_facts_stay(whole):
    await whole.take(ADMITTED, LEFT)
    folded = whole.everything()
    whole.clock.tick(days=91)
    assert (await keeper(whole).run())["member"] == 2
    rows = whole.rows()
    assert [(row.state, row.ack) for row in rows] == [("expired", None)] * 2
    assert [bytes(whole.row(row.id).raw) for row in rows] == [b"", b""]
    assert not traces(whole, "Opioid dependence, uncomplicated^I10C")
    with whole.gateway.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(visit_event)) == 2
    await whole.take(message("A08/update.hl7"))
    kept = {key for key, _ in whole.everything().items()}
    assert {key for key in folded if key[0] == "Encounter"} <= kept


async def test_a_visit_that_is_not_closed_keeps_its_bytes(whole):
    await whole.take(ADMITTED)
    whole.clock.tick(days=900)
    assert (await keeper(whole).run())["member"] == 0
    await whole.take(LEFT)
    assert (await keeper(whole).run())["member"] == 0
    whole.clock.tick(days=91)
    assert (await keeper(whole).run())["member"] == 2


async def test_an_expired_message_cannot_be_replayed_and_stays_what_it_was(whole):
    await whole.take(ADMITTED, LEFT)
    whole.clock.tick(days=91)
    await keeper(whole).run()
    before = whole.everything()
    row = whole.row(whole.rows()[0].id)
    with pytest.raises(NotFound, match="expired"):
        await whole.gateway.ingest.messages.process(row)
    assert (whole.row(row.id).state, whole.everything()) == ("expired", before)


@pytest.mark.parametrize(("kind", "days"), [("parked", 90), ("rejected", 30)])
async def test_what_was_parked_or_refused_goes_after_its_own_time(whole, kind, days):
    if kind == "parked":
        await whole.take(message("A01/member.hl7", ("MRN-1001^^^ELMHOSP^MR", "CT-TEST-0006^^^CTMEDICAID^MA")))
    else:
        await whole.receive(
            b"MSH|^~\\&|ADTSYS|ELMHOSP|||20260305||ADT^A01|BROKEN|P|2.5.1\rPID|1||||" + NAME.encode()
        )
    assert [row.state for row in whole.rows()] == [kind]
    whole.clock.tick(days=days - 1)
    assert (await keeper(whole).run())[kind] == 0
    whole.clock.tick(days=1, seconds=1)
    assert (await keeper(whole).run())[kind] == 1
    assert whole.rows() == []
    assert not traces(whole)


async def test_a_run_that_is_stopped_is_taken_up_by_the_next(whole, monkeypatch):
    for number in range(9):
        await whole.take(stranger(number))
    whole.clock.tick(days=15)
    monkeypatch.setattr("fhirgw.retention.BATCH", 4)
    removed = retention.remove
    calls = []

    def stops(tx, rows):
        calls.append(len(rows))
        if len(calls) == 2:
            raise asyncio.CancelledError
        removed(tx, rows)

    with monkeypatch.context() as broken:
        broken.setattr("fhirgw.store.retention.remove", stops)
        with pytest.raises(asyncio.CancelledError):
            await keeper(whole).run()
    assert len(whole.rows()) == 5
    assert (await keeper(whole).run())["stranger"] == 5
    assert whole.rows() == []


async def test_no_period_is_shorter_than_the_time_in_which_a_repetition_must_be_known(whole):
    settings = Settings(journal_stranger_days=0, journal_rejected_days=3, duplicate_window_days=7)
    assert Periods.of(settings) == Periods(stranger=7, member=90, parked=90, rejected=7, returned=90)
    await whole.take(STRANGER)
    whole.clock.tick(days=6)
    await Retention(whole.gateway.database, Periods.of(settings), whole.gateway.keys.ids).run()
    with whole.gateway.database.read() as connection:
        assert journal.counts(connection) == {"processed": 1}


async def test_what_waits_to_be_processed_is_never_removed(whole):
    await whole.receive(STRANGER)
    whole.clock.tick(days=900)
    await keeper(whole).run()
    assert [row.state for row in whole.rows()] == ["received"]
