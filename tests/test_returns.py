"""What is written through FHIR comes back to the case's own system, which alone changes the case."""

from dataclasses import replace

import orjson
import pytest
from composed_gateway import ALMA, case
from sqlalchemy import select

from fhirgw.came_back import Returns
from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import Forbidden, InvalidElement, NotFound
from fhirgw.icm.statements import statement
from fhirgw.retention import Periods, Retention
from fhirgw.store.schema import icm_case, icm_return, ledger

CT = "ct-bhp:CT-TEST-0001"
BASE = "http://fhirgw.org/fhir"


@pytest.fixture
def icm(whole):
    return whole.requester("icm-system")


def answers(whole, given, form="phq9", **more):
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{BASE}/Questionnaire/{form}",
        "status": "completed",
        "subject": {"reference": f"Patient/{whole.patient(ALMA)}"},
        "authored": "2026-03-02T12:30:00-05:00",
        "item": [{"linkId": item, "answer": [{"valueInteger": value}]} for item, value in given.items()],
        **more,
    }


PHQ9 = {str(item): 1 for item in range(1, 10)}


async def write(whole, requester, resource, **how):
    how = {"id": resource.get("id"), "if_match": None, **how}
    return await whole.gateway.ingest.resources.write(requester, resource, **how)


async def told(whole, requester, after=0):
    released = await whole.gateway.share.release(requester, Returns(after))
    return orjson.loads(released.body)["returns"]


def kept(whole):
    with whole.gateway.database.read() as connection:
        return {row.key: bytes(row.body) for row in connection.execute(select(icm_case))}


async def test_answers_come_back_scored_and_the_case_is_changed_by_its_system_alone(whole, icm):
    before = kept(whole)
    written = await write(whole, icm, answers(whole, PHQ9))
    assert kept(whole) == before
    [one] = await told(whole, icm)
    assert one["resource"] == f"QuestionnaireResponse/{written.id}"
    assert one["statement"]["case"] == CT
    [screen] = one["statement"]["records"]["screens"]
    assert (screen["instrument"], screen["answers"]) == ("phq9", PHQ9)
    stored = whole.everything()
    kinds = {kind for kind, _ in stored if orjson.loads(stored[kind, _][0]).get("derivedFrom")}
    assert kinds >= {"Observation"}
    danger = [one for one in whole.bodies("Task") if one["code"]["coding"][0]["code"] == "safety"]
    assert [task["status"] for task in danger][-1:] == ["requested"]


async def test_what_its_system_states_of_a_return_is_what_was_written(whole, icm):
    await write(whole, icm, answers(whole, PHQ9))
    [one] = await told(whole, icm)
    before = whole.everything()
    assert await whole.gateway.ingest.cases.take(statement(one["statement"]))
    after = whole.everything()
    same = ("QuestionnaireResponse", "Observation", "Task")
    assert {key: after[key] for key in before if key[0] in same} == {
        key: value for key, value in before.items() if key[0] in same
    }
    assert {key for key in after.keys() - before.keys() if key[0] == "QuestionnaireResponse"} == set()


async def test_a_return_is_told_once_in_order_and_to_its_programme_alone(whole, icm):
    first = await write(whole, icm, answers(whole, PHQ9))
    await write(whole, icm, answers(whole, {"1": 0, "2": 0}, form="phq2"))
    same = answers(whole, PHQ9, id=first.id)
    await write(whole, icm, same)
    one, other = await told(whole, icm)
    assert one["number"] < other["number"]
    assert await told(whole, icm, after=one["number"]) == [other]
    assert await told(whole, icm, after=other["number"]) == []
    await write(whole, icm, answers(whole, PHQ9 | {"1": 3}, id=first.id))
    assert [late["resource"] for late in await told(whole, icm, after=other["number"])] == [one["resource"]]
    assert await told(whole, replace(icm, inside=frozenset({"husky"}))) == []
    with pytest.raises(Forbidden):
        await told(whole, replace(icm, inside=None))


async def test_what_comes_back_is_accounted_for_as_access(whole, icm):
    written = await write(whole, icm, answers(whole, PHQ9))
    await told(whole, icm)
    with whole.gateway.database.read() as connection:
        entry = connection.execute(select(ledger).order_by(ledger.c.seq.desc())).first()
    assert entry.patient == whole.patient(ALMA)
    assert any(f"{written.id}/_history/1".encode() in one for one in entry if isinstance(one, bytes))


async def test_a_suggestion_and_then_what_became_of_it(whole, icm):
    plan = next(one for one in whole.bodies("CarePlan") if is_main(whole, one))
    sender = next(one for one in whole.bodies("Practitioner") if one.get("name"))
    said = {
        "resourceType": "Communication",
        "status": "completed",
        "category": [{"coding": [{"system": f"{BASE}/CodeSystem/icm-collaboration", "code": "suggestion"}]}],
        "subject": {"reference": f"Patient/{whole.patient(ALMA)}"},
        "about": [{"reference": f"CarePlan/{plan['id']}"}],
        "sent": "2026-03-02T12:30:00-05:00",
        "sender": {"reference": f"Practitioner/{sender['id']}"},
        "payload": [{"contentString": "Ask about the bus."}],
    }
    written = await write(whole, icm, said)
    task = next(
        one
        for one in whole.bodies("Task")
        if one.get("focus", {}).get("reference") == f"Communication/{written.id}"
    )
    assert task["status"] == "requested"
    done = {**task, "status": "completed", "executionPeriod": {"end": "2026-03-05"}}
    await write(whole, icm, done)
    first, second = [one["statement"]["records"]["care_plan"]["suggestions"][0] for one in await told(whole, icm)]
    assert "decision" not in first
    assert second == first | {"decision": "accepted", "decided_on": "2026-03-05"}
    await write(whole, icm, task)
    assert len(await told(whole, icm)) == 3, "who takes it back says so"


async def test_what_came_back_is_kept_until_its_system_had_time_and_has_stated_the_case(whole, icm):
    await write(whole, icm, answers(whole, PHQ9))
    await write(whole, icm, answers(whole, {"1": 0, "2": 0}, form="phq2"))
    keeper = Retention(whole.gateway.database, Periods(14, 90, 90, 30, returned=90), whole.gateway.keys.ids)
    whole.clock.tick(days=100)
    assert (await keeper.run())["returned"] == 0, "its system has not asked yet"
    first, _ = await told(whole, icm)
    await whole.gateway.ingest.cases.take(statement(first["statement"]))
    await write(whole, icm, answers(whole, PHQ9 | {"9": 1}))
    assert (await keeper.run())["returned"] == 2
    [late] = await told(whole, icm)
    whole.clock.tick(days=89)
    assert (await keeper.run())["returned"] == 0
    assert await told(whole, icm) == [late]


async def test_what_a_provider_proposes_comes_back_as_a_suggestion(whole, icm):
    doctor = next(one for one in whole.bodies("Practitioner") if one.get("name"))
    sender, member = {"reference": f"Practitioner/{doctor['id']}"}, {"reference": f"Patient/{whole.patient(ALMA)}"}
    goal = {
        "resourceType": "Goal", "lifecycleStatus": "proposed", "subject": member, "statusDate": "2026-03-02",
        "description": {"text": "Sleeps through."}, "expressedBy": sender,
    }  # fmt: skip
    service = {
        "resourceType": "ServiceRequest", "status": "active", "intent": "proposal", "subject": member,
        "code": {"text": "A sleep clinic."}, "authoredOn": "2026-03-02T12:30:00-05:00", "requester": sender,
    }  # fmt: skip
    written = [await write(whole, icm, one) for one in (goal, service)]
    came = await told(whole, icm)
    said = [one["statement"]["records"]["care_plan"]["suggestions"][0] for one in came]
    assert [(one["kind"], one["text"]) for one in said] == [
        ("goal", "Sleeps through."),
        ("service", "A sleep clinic."),
    ]
    assert [one["resource"] for one in came] == [f"{one.type}/{one.id}" for one in written]
    focus = {one.get("focus", {}).get("reference") for one in whole.bodies("Task")}
    assert {one["resource"] for one in came} <= focus
    before = whole.everything()
    await whole.gateway.ingest.cases.take(statement(came[0]["statement"]))
    kept_goal = ("Goal", written[0].id)
    assert whole.everything()[kept_goal] == before[kept_goal]


def is_main(whole, plan):
    return plan["subject"]["reference"] == f"Patient/{whole.patient(ALMA)}" and "partOf" not in plan


async def test_what_cannot_come_back_is_refused_and_nothing_of_it_is_stored(whole, icm):
    before = whole.everything()
    with pytest.raises(ExceptionGroup) as error:
        await write(whole, icm, answers(whole, PHQ9 | {"9": 7}))
    assert error.value.exceptions[0].location == "QuestionnaireResponse.item.where(linkId='9')"
    with pytest.raises(InvalidElement) as named:
        await write(whole, icm, answers(whole, PHQ9, id="mine"))
    assert named.value.location == "id"
    with pytest.raises(NotFound):
        await write(whole, replace(icm, inside=frozenset({"husky"})), answers(whole, PHQ9 | {"9": 7}))
    assert whole.everything() == before
    with whole.gateway.database.read() as connection:
        assert connection.execute(select(icm_return)).all() == []


async def test_a_programme_of_part_2_says_so_of_what_comes_back(whole, icm):
    returns = whole.gateway.ingest.resources._returns
    programs = returns._programs
    returns._programs = {**programs, "ct-bhp": programs["ct-bhp"].model_copy(update={"part2": True})}
    written = await write(whole, icm, answers(whole, PHQ9))
    assert whole.everything()["QuestionnaireResponse", written.id][1] & BITS["SUD"]


async def test_a_case_with_findings_takes_records(whole):
    stated = case("bc-client.json")
    assert stated.findings
    await whole.gateway.ingest.cases.store(stated)
    records = {"case": stated.key, "version": 9, "records": {"member": {"telecom": []}}}
    assert await whole.gateway.ingest.cases.take(statement(records))
