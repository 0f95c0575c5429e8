"""What becomes of a kept message and of a case: the same whatever the order, whole or not at all."""

import itertools

import orjson
import pytest
from composed_gateway import FENN, composed, message, msa
from sqlalchemy import func, select

from fhirgw import metrics
from fhirgw.asks import Read
from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import NotFound
from fhirgw.store import identity
from fhirgw.store.schema import visit_event

ADMITTED, CHANGED = message("A01/member.hl7"), message("A08/update.hl7")
LEFT, STAYED = message("A03/member.hl7"), message("A13/cancel-discharge.hl7")
CANDIDATE = message("A01/candidate.hl7")
CANCELLED = message("A11/cancel-admit.hl7")
RIVER = """
[senders.river-hospital]
facility = "RIVERHOSP"
part2 = true

[senders.river-hospital.authorities]
CTMEDICAID = "http://fhirgw.org/fhir/sid/ct-medicaid"
"""


def senders(whole):
    return whole.gateway.settings.data_dir / "senders.toml"


# --- messages -----------------------------------------------------------------------------------------------------


async def test_every_order_and_repetition_of_a_visit_gives_the_same_bytes(tmp_path):
    stores = []
    orders = [*itertools.permutations([ADMITTED, LEFT, STAYED]), (ADMITTED, STAYED, ADMITTED, LEFT, STAYED, LEFT)]
    for number, order in enumerate(orders):
        folder = tmp_path / str(number)
        with composed(folder) as whole:
            for raw in order:
                await whole.take(raw)
            stores.append(whole.everything())
    assert all(store == stores[0] for store in stores)
    encounter = next(
        orjson.loads(body) for (kind, _), (body, _) in stores[0].items() if kind == "Encounter" and b'"IMP"' in body
    )
    assert encounter["status"] == "in-progress"


async def test_a_discharge_before_its_admission_ends_as_one_finished_visit(whole):
    before = len(whole.stored("Encounter"))
    await whole.take(LEFT, ADMITTED, CHANGED)
    assert len(whole.stored("Encounter")) == before + 1
    (visit,) = [one for one in whole.bodies("Encounter") if one["class"]["code"] == "IMP"]
    assert (visit["status"], visit["period"]["end"]) == ("finished", "2026-03-09T10:00:00-05:00")


async def test_a_cancelled_admission_and_a_cancelled_discharge_are_told_by_the_status(whole):
    await whole.take(CANDIDATE, CANCELLED, ADMITTED, LEFT)

    def status(number):
        (found,) = [
            one
            for one in whole.bodies("Encounter")
            if number in [each["value"] for each in one.get("identifier", ())]
        ]
        return found["status"]

    assert (status("V-5001"), status("V-5002")) == ("finished", "cancelled")
    await whole.take(STAYED)
    assert status("V-5001") == "in-progress"


async def test_a_message_about_a_stranger_leaves_its_row_and_nothing_else(whole):
    before = whole.everything()
    await whole.take(message("A04/stranger.hl7"))
    assert whole.everything() == before
    with whole.gateway.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(visit_event)) == 0
        assert not identity.find(connection, [("http://fhirgw.org/fhir/sid/elm-hospital-mrn", "MRN-9001")])
    assert [row.state for row in whole.rows()] == ["processed"]


async def test_a_message_whose_identifiers_belong_to_two_people_is_parked(whole):
    before = whole.everything()
    both = message("A01/member.hl7", ("MRN-1001^^^ELMHOSP^MR", "CT-TEST-0006^^^CTMEDICAID^MA"))
    await whole.take(both, CANDIDATE)
    parked, other = whole.rows()
    assert (parked.state, parked.error_location, other.state) == ("parked", "PID-3", "processed")
    assert not any(b"F33.1" in body for key, (body, _) in whole.everything().items() if key not in before)


async def test_a_message_that_fails_after_its_ack_is_parked_told_and_replayed_after_the_fix(whole):
    text = senders(whole).read_text("utf-8")
    unmapped = message("A01/unmapped-class.hl7")
    code = unmapped.decode().split("PV1|")[1].split("|")[1]
    taught = f'{text}\n[senders.elm-hospital.codes.0004]\n"{code}" = "I"\n'
    senders(whole).write_text(taught, "utf-8")
    answer = await whole.receive(unmapped)
    assert msa(answer)[0] == "AA"
    counted = metrics.processed.labels("elm-hospital", "parked")._value.get()
    senders(whole).write_text(text, "utf-8")
    await whole.take(ADMITTED)
    parked, other = whole.rows()
    assert (parked.state, parked.error_code, parked.error_location) == ("parked", "103", "PV1-2")
    assert (parked.ack_code, other.state) == ("AA", "processed")
    assert metrics.processed.labels("elm-hospital", "parked")._value.get() == counted + 1
    assert await whole.receive(unmapped) == answer
    senders(whole).write_text(taught, "utf-8")
    assert await whole.gateway.ingest.messages.process(whole.row(parked.id)) == "processed"
    assert [(row.state, row.error_text) for row in whole.rows()] == [("processed", None)] * 2


async def test_a_failure_of_our_own_parks_the_message_without_a_trace_of_it(whole, monkeypatch):
    before = whole.everything()
    with monkeypatch.context() as broken:
        broken.setattr("fhirgw.referral.Referrals.settle", lambda *_: {}["ALMA"])
        await whole.take(ADMITTED)
    assert whole.everything() == before
    (row,) = whole.rows()
    assert (row.state, row.error_code) == ("parked", "207")
    assert "ALMA" not in row.error_text
    assert await whole.gateway.ingest.messages.process(whole.row(row.id)) == "processed"
    assert whole.everything() != before


async def test_a_replay_of_what_was_processed_changes_nothing(whole):
    await whole.take(ADMITTED, CANDIDATE, LEFT)
    before = whole.everything()
    for row in whole.rows():
        assert await whole.gateway.ingest.messages.process(whole.row(row.id)) == "processed"
    assert whole.everything() == before


async def test_a_candidate_is_referred_once_with_a_due_time(whole):
    await whole.take(CANDIDATE)
    fenn = {"reference": f"Patient/{whole.patient(FENN)}"}
    again = message("A01/candidate.hl7", ("ADT^A01^", "ADT^A08^"), ("EVN|A01", "EVN|A08"), control="AGAIN")
    await whole.take(again, message("A01/candidate.hl7", control="ONCE-MORE"))
    (request,) = [one for one in whole.bodies("ServiceRequest") if one["subject"] == fenn]
    (task,) = [one for one in whole.bodies("Task") if one["for"] == fenn]
    assert task["focus"] == {"reference": f"ServiceRequest/{request['id']}"}
    assert task["restriction"]["period"]["end"] > task["authoredOn"]


# --- Part 2 -------------------------------------------------------------------------------------------------------


def from_river(raw):
    return raw.replace(b"ELMHOSP", b"RIVERHOSP").replace(b"V-5001", b"V-7001")


@pytest.mark.parametrize("river_first", [True, False])
async def test_what_a_part_2_programme_sends_is_labelled_and_leaves_the_person_as_they_were(whole, river_first):
    senders(whole).write_text(senders(whole).read_text("utf-8") + RIVER, "utf-8")
    person = whole.stored("Patient")
    before = whole.everything()
    shared = ("Practitioner", "PractitionerRole")  # by their content: the same doctor works for both
    if not river_first:
        await whole.take(ADMITTED)
        person, before = whole.stored("Patient"), whole.everything()
    await whole.take(from_river(ADMITTED))
    assert whole.stored("Patient") == person
    news = {key: labels for key, (_, labels) in whole.everything().items() if key not in before}
    assert {"Encounter", "Condition", "Task"} <= {kind for kind, _ in news}
    assert all(labels & BITS["SUD"] for labels in news.values())
    assert {key: value for key, value in whole.everything().items() if key in before} == before
    if river_first:
        await whole.take(ADMITTED)
    doctors = {key: labels for key, (_, labels) in whole.everything().items() if key[0] in shared}
    assert not any(labels & BITS["SUD"] for labels in doctors.values())


async def test_a_part_2_label_outlives_an_update_by_the_programme_and_a_replay(whole):
    senders(whole).write_text(senders(whole).read_text("utf-8") + RIVER, "utf-8")
    await whole.take(from_river(ADMITTED))
    (task,) = [
        one
        for one in whole.bodies("Task")
        if one["code"]["coding"][0]["code"] == "plan-revision" and "encounter" in one
    ]
    icm = whole.requester("icm-system")
    await whole.gateway.ingest.resources.write(icm, {**task, "status": "completed"}, id=task["id"], if_match=None)
    body, labels = whole.stored("Task")[task["id"]]
    assert orjson.loads(body)["status"] == "completed"
    assert labels & BITS["SUD"]
    with pytest.raises(NotFound):
        await whole.gateway.share.release(whole.requester("pcmh-elm"), Read("Task", task["id"]))


async def test_one_part_2_event_labels_its_visit_whatever_the_order(tmp_path):
    stores = []
    for number, order in enumerate(
        itertools.permutations([ADMITTED, LEFT.replace(b"ADTSYS|ELMHOSP", b"ADTSYS|RIVERHOSP")])
    ):
        with composed(tmp_path / str(number)) as whole:
            senders(whole).write_text(
                senders(whole).read_text("utf-8")
                + RIVER.replace(
                    "[senders.river-hospital.authorities]",
                    '[senders.river-hospital.authorities]\nELMHOSP = "http://fhirgw.org/fhir/sid/elm-hospital-mrn"',
                ),
                "utf-8",
            )
            await whole.take(*order)
            stores.append(whole.everything())
    visits = [
        {key: value for key, value in store.items() if key[0] == "Encounter" and b'"IMP"' in value[0]}
        for store in stores
    ]
    assert visits[0] == visits[1]
    assert all(labels & BITS["SUD"] for _, labels in visits[0].values())
