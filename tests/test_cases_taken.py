"""What becomes of a case: whole or not at all, in any order; what it states of consent."""

import itertools

import orjson
import pytest
from composed_gateway import ALMA, FIXTURES, MEDICAID, case, message

from fhirgw.errors import InvalidElement, ProfileViolation
from fhirgw.icm.statements import read_case
from fhirgw.ingest import register_organization
from fhirgw.store import identity, parties, repository

ADMITTED = message("A01/member.hl7")


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
    return (await whole.search(client, "CarePlan", ("patient", whole.patient(ALMA))))["total"]


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
        assert (await whole.search(client, "Patient", ("identifier", "|".join(ALMA))))["total"] == 0
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
