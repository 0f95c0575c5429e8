"""What a death ends, and what gives it back."""

import orjson
from composed_gateway import FENN
from trigger_visits import PROTECTED, adt, cancel, day, enrol, names, outside, raised, stay

from fhirgw.ingest.precedence import put


async def test_death_ends_outreach_and_asks_for_a_review_of_the_closure(whole):
    enrol(whole, "husky", "active")
    await whole.take(adt("A01", "V1", day("20260305")))
    await whole.take(adt("A03", "V1", day("20260305"), ended=day("20260305", 2), left="20"))
    assert names(whole) == {("", "closure-review")}
    [task] = raised(whole)["HUSKY-EVENT", "outreach"]
    assert task["statusReason"]["coding"][0]["display"] == "The person has died"
    await whole.take(adt("A04", "V2", day("20260309"), cls="E"))
    assert names(whole) == {("", "closure-review")}


async def test_a_death_said_of_the_person_counts_as_one_said_by_the_visit(whole):
    enrol(whole, "husky", "active")
    await whole.take(
        adt("A01", "V1", day("20260305")), adt("A08", "V1", day("20260305"), told="202603061000", pid30="Y")
    )
    assert names(whole) == {("", "closure-review")}


async def test_a_death_taken_back_gives_the_work_back(whole):
    enrol(whole, "husky", "active")
    admitted = adt("A01", "V1", day("20260305"))
    await whole.take(admitted)
    before = {key: one for key, one in whole.everything().items() if key[0] == "Task"}
    await whole.take(adt("A03", "V1", day("20260305"), ended=day("20260305", 2), left="20"))
    await whole.take(cancel("A13", "V1", "20260305", "202603081200"))
    after = whole.everything()
    assert {key: orjson.loads(after[key][0]) for key in before} == {
        key: orjson.loads(body) for key, (body, _) in before.items()
    }
    assert names(whole) == {("HUSKY-EVENT", "plan-revision"), ("HUSKY-EVENT", "outreach")}


async def test_care_plans_of_the_dead_are_revoked_and_come_back(whole):
    enrol(whole, "husky", "active")
    patient = whole.patient(FENN)
    plan = {
        "resourceType": "CarePlan", "id": "plan-fenn", "status": "active", "intent": "plan",
        "subject": {"reference": f"Patient/{patient}"},
    }  # fmt: skip
    whole.gateway.database.write_sync(lambda tx: put(tx, plan))

    def status():
        return next(one for one in whole.bodies("CarePlan") if one["id"] == "plan-fenn")["status"]

    await whole.take(*stay("V1", "20260305", 2, left="20")[1:])
    assert status() == "revoked"
    await whole.take(cancel("A13", "V1", "20260305", "202603081200"))
    assert status() == "active"


async def test_a_hidden_death_changes_nothing_that_is_seen(whole):
    enrol(whole, "husky", "active")
    await whole.take(adt("A01", "V1", day("20260305")))
    before = outside(whole)
    await whole.take(*stay("V9", "20260306", 2, left="20", pv2=PROTECTED))
    assert outside(whole) == before
    assert ("", "closure-review") in names(whole)
