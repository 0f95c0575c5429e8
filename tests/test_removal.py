"""The programme's own system deletes what it wrote: nothing that others state, nothing that holds something up."""

from dataclasses import replace

import orjson
import pytest
from composed_gateway import ALMA, composed, message
from sqlalchemy import select

from fhirgw.asks import History, Read, VRead
from fhirgw.errors import Forbidden, NotFound, StillNeeded, VersionConflict
from fhirgw.store.schema import ledger

SCRATCH = "http://example.org/scratch"


@pytest.fixture
def gateway(tmp_path):
    with composed(tmp_path) as running:
        yield running


async def written(gateway, *resources):
    """Write them as the programme's own system."""
    icm = gateway.requester("icm-system")
    for one in resources:
        await gateway.gateway.ingest.resources.write(icm, one, id=one["id"], if_match=None)
    return icm


async def deleted(gateway, reference, *, who="icm-system", if_match=None):
    kind, _, logical = reference.partition("/")
    remove = gateway.gateway.ingest.resources.delete
    return await remove(gateway.requester(who), kind, logical, if_match=if_match)


def patient(name="one"):
    return {
        "resourceType": "Patient",
        "id": f"p-{name}",
        "identifier": [{"system": SCRATCH, "value": name}],
        "name": [{"family": "Testperson"}],
    }


def condition(name, of, code="I10", **more):
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}
    whose = {"subject": {"reference": f"Patient/{of}"}}
    return {"resourceType": "Condition", "id": name, "code": {"coding": [coding]}, **whose, **more}


def accounted(gateway):
    with gateway.gateway.database.read() as connection:
        found = connection.execute(select(ledger).order_by(ledger.c.seq))
        return [orjson.loads(row.event) for row in found]


async def test_what_was_written_is_gone_and_its_versions_remain(gateway):
    icm = await written(gateway, patient(), condition("c1", "p-one"))
    assert await deleted(gateway, "Condition/c1") == 2
    release = gateway.gateway.share.release
    with pytest.raises(NotFound):
        await release(icm, Read("Condition", "c1"))
    assert orjson.loads((await release(icm, VRead("Condition", "c1", "1"))).body)["code"]["coding"]
    history = orjson.loads((await release(icm, History("Condition", "c1", ()))).body)
    assert [one["request"]["method"] for one in history["entry"]] == ["DELETE", "PUT"]


async def test_a_deletion_is_accounted_for_once(gateway):
    await written(gateway, patient(), condition("c1", "p-one"))
    before = len(accounted(gateway))
    assert [await deleted(gateway, "Condition/c1") for _ in range(2)] == [2, 2]
    (entry,) = accounted(gateway)[before:]
    assert "Condition/c1/_history/2" in orjson.dumps(entry["entity"]).decode()
    assert (entry["subtype"][0]["code"], entry["action"]) == ("delete", "D")


async def test_what_is_deleted_may_be_written_again(gateway):
    await written(gateway, patient(), condition("c1", "p-one"))
    await deleted(gateway, "Condition/c1")
    await written(gateway, condition("c1", "p-one"))
    assert "c1" in gateway.stored("Condition")


async def test_only_the_version_that_was_read_is_deleted(gateway):
    await written(gateway, patient(), condition("c1", "p-one"), condition("c1", "p-one", "E11.9"))
    with pytest.raises(VersionConflict):
        await deleted(gateway, "Condition/c1", if_match='W/"1"')
    assert await deleted(gateway, "Condition/c1", if_match='W/"2"') == 3


async def test_nobody_outside_the_programme_deletes_and_nothing_is_told_of_what_is_there(gateway):
    await written(gateway, patient(), condition("c1", "p-one"))
    for reference in ("Condition/c1", "Condition/nothing"):
        with pytest.raises(Forbidden, match="may not write"):
            await deleted(gateway, reference, who="pcmh-elm")
    with pytest.raises(NotFound):
        await deleted(gateway, "Condition/nothing")


@pytest.mark.parametrize("if_match", [None, 'W/"1"', 'W/"2"'])
async def test_what_is_of_another_programme_is_answered_as_what_never_was(gateway, if_match):
    icm = await written(gateway, patient(), condition("c1", "p-one"))
    other, write = replace(icm, inside=frozenset({"another"})), gateway.gateway.ingest.resources.write
    said = []
    for name in ("c1", "nothing"):
        with pytest.raises((NotFound, VersionConflict)) as refused:
            await write(other, condition(name, "p-one"), id=name, if_match=if_match)
        said.append((refused.type, refused.value.text))
        with pytest.raises(NotFound):
            await gateway.gateway.ingest.resources.delete(other, "Condition", name, if_match=if_match)
    assert said[0] == said[1]
    assert gateway.stored("Condition").keys() >= {"c1"}


async def test_what_a_hospital_told_is_taken_back_by_its_messages_alone(gateway):
    before = set(gateway.stored("Encounter"))
    await gateway.take(message("A01/member.hl7"))
    (encounter,) = set(gateway.stored("Encounter")) - before
    with pytest.raises(StillNeeded, match="hospital"):
        await deleted(gateway, f"Encounter/{encounter}")


async def test_what_a_rule_called_for_is_closed_by_its_status(gateway):
    await gateway.take(message("A01/member.hl7"))
    (task, *_) = [one for one in gateway.bodies("Task") if "groupIdentifier" in one]
    with pytest.raises(StillNeeded, match="status"):
        await deleted(gateway, f"Task/{task['id']}")


async def test_what_a_case_states_is_taken_back_by_its_system(gateway):
    alma = gateway.patient(ALMA)
    (plan, *_) = [one for one in gateway.bodies("CarePlan") if one["subject"]["reference"] == f"Patient/{alma}"]
    with pytest.raises(StillNeeded, match="statement"):
        await deleted(gateway, f"CarePlan/{plan['id']}")


async def test_somebody_with_a_record_is_not_deleted(gateway):
    await written(gateway, patient(), condition("c1", "p-one"))
    for reference in ("Patient/p-one", f"Patient/{gateway.patient(ALMA)}"):
        with pytest.raises(StillNeeded, match="more of this person"):
            await deleted(gateway, reference)


async def test_who_was_deleted_is_nobody_here(gateway):
    await written(gateway, patient(), condition("c1", "p-one"))
    await deleted(gateway, "Condition/c1")
    await deleted(gateway, "Patient/p-one")
    await written(gateway, patient("other") | {"identifier": patient()["identifier"]})
    assert set(gateway.stored("Patient")) & {"p-one", "p-other"} == {"p-other"}


async def test_what_a_record_refers_to_and_is_about_nobody_stays(gateway):
    doctor = {"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Example"}]}
    await written(gateway, patient(), doctor, condition("c1", "p-one", recorder={"reference": "Practitioner/d1"}))
    with pytest.raises(StillNeeded, match="refers to it"):
        await deleted(gateway, "Practitioner/d1")
    await deleted(gateway, "Condition/c1")
    await deleted(gateway, "Practitioner/d1")
    assert "d1" not in gateway.stored("Practitioner")


async def test_nothing_becomes_less_sensitive_because_what_made_it_so_is_deleted(gateway):
    whose = {"status": "active", "intent": "order", "subject": {"reference": "Patient/p-one"}}
    request = {
        "resourceType": "ServiceRequest",
        "id": "s1",
        **whose,
        "supportingInfo": [{"reference": "Condition/hiv"}],
    }
    await written(gateway, patient(), condition("hiv", "p-one", "B20"), request)
    labelled = gateway.stored("ServiceRequest")["s1"]
    with pytest.raises(StillNeeded, match="sensitive because of it"):
        await deleted(gateway, "Condition/hiv")
    assert gateway.stored("ServiceRequest")["s1"] == labelled
    assert "hiv" in gateway.stored("Condition")
    await deleted(gateway, "ServiceRequest/s1")
    await deleted(gateway, "Condition/hiv")


async def test_a_reference_to_what_was_hidden_and_is_deleted_stays_hidden(gateway):
    alma = gateway.patient(ALMA)
    plan = {"resourceType": "CarePlan", "id": "plan1", "status": "active", "intent": "plan",
            "subject": {"reference": f"Patient/{alma}"},
            "addresses": [{"reference": "Condition/hiv"}, {"reference": "Condition/bp"}]}  # fmt: skip
    await written(gateway, condition("hiv", alma, "B20"), condition("bp", alma), plan)
    elm, release = gateway.requester("pcmh-elm"), gateway.gateway.share.release
    before = await release(elm, Read("CarePlan", "plan1"))
    await deleted(gateway, "Condition/hiv")
    after = await release(elm, Read("CarePlan", "plan1"))
    assert after == before
    assert b"Condition/bp" in after.body
    assert b"Condition/hiv" not in after.body


async def test_what_refers_to_itself_in_a_circle_can_be_deleted(gateway):
    visit = {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"},
             "subject": {"reference": "Patient/p-one"},
             "diagnosis": [{"condition": {"reference": "Condition/c1"}}]}  # fmt: skip
    await written(gateway, patient(), condition("c1", "p-one", encounter={"reference": "Encounter/e1"}), visit)
    for reference in ("Encounter/e1", "Condition/c1", "Patient/p-one"):
        await deleted(gateway, reference)
