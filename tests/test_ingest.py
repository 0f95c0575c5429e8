"""What becomes of a kept message and of a case: the same whatever the order, whole or not at all."""

import itertools

import orjson
import pytest
from composed_gateway import ALMA, FENN, FIXTURES, MEDICAID, case, composed, message, msa
from sqlalchemy import func, select

from fhirgw import metrics
from fhirgw.asks import Read, Search
from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import InvalidElement, NotFound, ProfileViolation
from fhirgw.icm.statements import read_case
from fhirgw.ingest import register_organization
from fhirgw.store import identity, parties, repository
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


async def search(whole, client, kind, *parameters):
    released = await whole.gateway.share.release(whole.requester(client), Search(kind, tuple(parameters)))
    return orjson.loads(released.body)


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


# --- cases --------------------------------------------------------------------------------------------------------


async def test_a_case_imported_again_changes_nothing(whole):
    before = whole.everything()
    assert await whole.gateway.ingest.cases.store(case("ct-bhp.json")) is False
    reworded = case("ct-bhp.json", lambda body: body["member"]["name"].update(given=["Alma", "Q"]))
    assert await whole.gateway.ingest.cases.store(reworded) is True
    assert await whole.gateway.ingest.cases.store(reworded) is False
    changed = {key for key, value in whole.everything().items() if before.get(key) != value}
    assert changed == {("Patient", whole.patient(ALMA))}


def unfit(body):
    body["key"] = "unfit"
    body["care_team"][0]["role"] = "astronaut"
    body["acuity"][0]["tier"] = "no-such-tier"
    body["care_plan"]["sections"][0]["kind"] = "no-such-section"


async def test_a_case_that_does_not_fit_is_refused_whole_with_everything_that_is_wrong(whole):
    before = whole.everything()
    with pytest.raises(ExceptionGroup) as refused:
        await whole.gateway.ingest.cases.store(case("husky.json", unfit))
    assert len({error.location for error in refused.value.exceptions}) == 3
    assert whole.everything() == before


def test_a_case_that_cannot_be_read_is_told_all_that_is_wrong():
    body = orjson.loads((FIXTURES / "icm" / "ct-bhp.json").read_bytes())
    body["member"]["birth_date"] = "yesterday"
    body["no_such"] = 1
    del body["entered"]
    with pytest.raises(ExceptionGroup) as refused:
        read_case(orjson.dumps(body))
    assert {error.location for error in refused.value.exceptions} == {"member.birth_date", "no_such", "entered"}
    assert "yesterday" not in str([error.args for error in refused.value.exceptions])


async def test_a_case_that_fails_on_its_last_resource_leaves_nothing(whole, monkeypatch):
    before = whole.everything()
    put, count = repository.put, itertools.count()

    def failing(tx, resource, **how):
        if next(count) == 20:
            raise ProfileViolation("The last one fails.")
        return put(tx, resource, **how)

    monkeypatch.setattr(repository, "put", failing)
    other = case(
        "husky.json", lambda body: (body.update(key="new"), body["member"]["identifiers"][0].update(value="NEW"))
    )
    with pytest.raises(ProfileViolation):
        await whole.gateway.ingest.cases.store(other)
    assert whole.everything() == before
    with whole.gateway.database.read() as connection:
        assert identity.case(connection, "new") is None
        assert not identity.find(connection, [(MEDICAID, "NEW")])


async def test_a_case_of_a_programme_that_is_not_here_is_refused(whole):
    with pytest.raises(InvalidElement):
        await whole.gateway.ingest.cases.store(case("husky.json", lambda body: body.update(program="none")))


async def test_a_known_person_is_found_by_any_identifier_in_any_order(whole):
    second = {"system": "http://fhirgw.org/fhir/sid/other", "value": "O-1"}
    alma, people = whole.patient(ALMA), len(whole.stored("Patient"))
    for at in (0, 1):
        changed = case("ct-bhp.json", lambda body, at=at: body["member"]["identifiers"].insert(at, second))
        assert await whole.gateway.ingest.cases.store(changed) is True
    assert len(whole.stored("Patient")) == people
    assert whole.patient(("http://fhirgw.org/fhir/sid/other", "O-1")) == alma
    assert {one["subject"]["reference"] for one in whole.bodies("CarePlan")} >= {f"Patient/{alma}"}


async def test_a_case_never_passes_to_another_person(whole):
    before = whole.everything()
    stolen = case("ct-bhp.json", lambda body: body["member"]["identifiers"][0].update(value="CT-TEST-0002"))
    with pytest.raises(ProfileViolation):
        await whole.gateway.ingest.cases.store(stolen)

    def both(body):
        body["member"]["identifiers"].append({"system": MEDICAID, "value": "CT-TEST-0002"})

    with pytest.raises(ProfileViolation):
        await whole.gateway.ingest.cases.store(case("ct-bhp.json", both))
    assert whole.everything() == before


async def test_a_registered_organization_is_the_operators_word(whole):
    gateway = whole.gateway
    npi = ("http://hl7.org/fhir/sid/us-npi", "1234567893")
    logical = gateway.database.write_sync(
        lambda tx: register_organization(tx, gateway.keys.ids, *npi, "Elm, renamed")
    )

    def other(body):
        body["releases"][0]["recipient"]["name"] = "Elm as the form has it"

    assert await gateway.ingest.cases.store(case("ct-bhp.json", other)) is True
    assert orjson.loads(whole.stored("Organization")[logical][0])["name"] == "Elm, renamed"


# --- consent ------------------------------------------------------------------------------------------------------


async def plans(whole, client="pcmh-elm"):
    return (await search(whole, client, "CarePlan", ("patient", whole.patient(ALMA))))["total"]


async def revoke(whole, client="pcmh-elm"):
    with whole.gateway.database.read() as connection:
        tokens = parties.organization_tokens(connection, whole.requester(client).organization)
    return await whole.gateway.ingest.resources.revoke(whole.patient(ALMA), tokens, written=False)


async def test_a_revoked_release_stays_revoked_until_it_is_signed_again(whole):
    assert await plans(whole) > 0
    assert len(await revoke(whole)) == 1
    assert await plans(whole) == 0
    reworded = case("ct-bhp.json", lambda body: body["member"]["name"].update(given=["Alma", "Q"]))
    assert await whole.gateway.ingest.cases.store(reworded) is True
    assert await plans(whole) == 0
    assert await plans(whole, "agency-dss") > 0
    whole.clock.tick(days=2)
    signed = case("ct-bhp.json", lambda body: body["releases"][0].update(signed_at="2026-09-22T12:00:00Z"))
    assert await whole.gateway.ingest.cases.store(signed) is True
    assert await plans(whole) > 0


def opted_out(body):
    body["status"] = "opted-out"
    body["opt_in"]["withdrawn_at"] = "2026-01-05T10:00:00-05:00"


async def test_opting_out_closes_everything_also_when_an_older_case_comes_after(whole):
    assert await plans(whole, "agency-dss") > 0
    assert await whole.gateway.ingest.cases.store(case("ct-bhp.json", opted_out)) is True
    for client in ("pcmh-elm", "agency-dss"):
        assert (await search(whole, client, "Patient", ("identifier", "|".join(ALMA))))["total"] == 0
        assert await plans(whole, client) == 0
    assert await whole.gateway.ingest.cases.store(case("ct-bhp.json")) is True
    assert await plans(whole, "agency-dss") == 0
    await whole.take(ADMITTED)
    revisions = [
        one
        for one in whole.bodies("Task")
        if one["code"]["coding"][0]["code"] == "plan-revision" and "encounter" in one
    ]
    assert revisions == []

    def joined_again(body):
        body["opt_in"]["agreed_at"] = "2026-02-01T10:00:00-05:00"

    assert await whole.gateway.ingest.cases.store(case("ct-bhp.json", joined_again)) is True
    assert await plans(whole, "agency-dss") > 0


def refusing(stated, withdrawn=None):
    person = {"id": "ex", "kind": "related", "name": {"family": "Example", "given": ["Ed"]}}

    def change(body):
        entry = {"id": "r1", "person": person, "stated_at": stated}
        body["refusals"] = [entry | ({"withdrawn_at": withdrawn} if withdrawn else {})]

    return case("ct-bhp.json", change)


async def test_a_refusal_stands_until_a_statement_that_is_not_older_takes_it_back(whole):
    first, again = "2026-01-05T10:00:00Z", "2026-03-05T10:00:00Z"
    stated = refusing(first), refusing(first, "2026-02-05T10:00:00Z"), refusing(again)
    before = set(whole.stored("Consent"))

    async def status(one):
        await whole.gateway.ingest.cases.store(one)
        ((body, _),) = [value for key, value in whole.stored("Consent").items() if key not in before]
        return orjson.loads(body)["status"]

    order = [stated[0], stated[1], stated[2], stated[1], stated[0]]
    assert [await status(one) for one in order] == ["active", "inactive", "active", "active", "active"]
