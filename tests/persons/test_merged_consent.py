"""What a merge may not open: a permission and a refusal stay with the record they were given for (leak 49)."""

import orjson
from composed_gateway import ALMA
from person_messages import TWO, adt, mrg, pv1, second, visit_of

from fhirgw.asks import Read, Search
from fhirgw.store import policy, repository


async def seen(whole, patient, kind="Encounter", client="pcmh-elm"):
    released = await whole.gateway.share.release(
        whole.requester(client), Search(kind, (("patient", patient), ("_count", "100")))
    )
    return {one["resource"]["id"] for one in orjson.loads(released.body).get("entry", ())}


async def test_a_permission_does_not_move_with_a_merge(whole):
    """Nobody sees more by a merge that no person has looked at: by the survivor's release or the other's."""
    two, alma = await second(whole), whole.patient(ALMA)
    await whole.take(adt("A01", 1, pv1("V-1"), person=TWO), adt("A01", 2, pv1("V-2")))
    before = await seen(whole, alma)
    patient = await whole.gateway.share.release(whole.requester("pcmh-elm"), Read("Patient", alma))
    await whole.take(adt("A40", 3, mrg("MRN-2002^^^ELMHOSP^MR")))
    assert await seen(whole, alma) == before
    again = await whole.gateway.share.release(whole.requester("pcmh-elm"), Read("Patient", alma))
    assert b"MRN-2002" not in again.body
    assert orjson.loads(again.body).get("name") == orjson.loads(patient.body).get("name")
    (task,) = [one for one in whole.bodies("Task") if one["code"]["coding"][0]["code"] == "merge-review"]
    assert task["status"] == "requested"
    await whole.gateway.ingest.persons.confirm(alma, two)
    moved = resource_id_of(whole, "V-1")
    assert await seen(whole, alma) == before | {moved}
    (task,) = [one for one in whole.bodies("Task") if one["code"]["coding"][0]["code"] == "merge-review"]
    assert task["status"] == "completed"


def resource_id_of(whole, number):
    return visit_of(whole, number)["id"]


async def test_a_release_of_the_merged_record_opens_nothing_of_the_survivor(whole):
    """Alma's own releases end; the other record still has the same: it must not stand in for them."""
    two, alma = await second(whole), whole.patient(ALMA)
    await whole.take(adt("A01", 2, pv1("V-2")))
    elm = whole.requester("pcmh-elm")
    tokens = frozenset({f"Organization/{elm.organization}"})
    await whole.gateway.ingest.resources.revoke(alma, tokens, written=True)
    assert await seen(whole, alma) == set()
    await whole.gateway.ingest.persons.merge(alma, two)
    assert await seen(whole, alma) == set()


async def test_who_left_under_one_record_has_left_under_both(whole):
    two, alma = await second(whole), whole.patient(ALMA)
    await whole.take(adt("A01", 2, pv1("V-2")))
    assert await seen(whole, alma)
    await whole.gateway.database.write(lambda tx: policy.enrol(tx, two, "ct-bhp", "opted-out"))
    assert await seen(whole, alma)
    await whole.gateway.ingest.persons.merge(alma, two)
    assert await seen(whole, alma) == set()
    await whole.gateway.ingest.persons.unmerge(alma, two)
    assert await seen(whole, alma)


async def test_a_moved_visit_leaves_no_version_behind(whole):
    """Its history is the new patient's; the old one's recipients see nothing of it."""
    two, alma = await second(whole), whole.patient(ALMA)
    await whole.take(adt("A01", 1, pv1("V-1")))
    there = visit_of(whole, "V-1")["id"]
    assert there in await seen(whole, alma)
    await whole.take(
        adt(
            "A45",
            3,
            mrg("MRN-1001^^^ELMHOSP^MR", visit="V-1^^^ELMHOSP^VN"),
            pv1("V-1"),
            person=TWO,
            name="TESTPERSON^ALMA",
        )
    )
    assert there not in await seen(whole, alma)
    assert there in await seen(whole, two)
    assert visit_of(whole, "V-1")["subject"] == {"reference": f"Patient/{two}"}
    with whole.gateway.database.read() as connection:
        left = {one.id for one in repository.compartment(connection, alma) if one.type == "Provenance"}
        come = [one.body["target"] for one in repository.compartment(connection, two) if one.type == "Provenance"]
        assert [{"reference": f"Encounter/{there}"}] in come
    assert not [
        one
        for one in whole.bodies("Provenance")
        if one["id"] in left and one["target"][0]["reference"].endswith(there)
    ]


async def test_a_refusal_under_one_record_counts_under_both(whole):
    """The deny of a record that was merged, or only linked, is a deny of the person."""
    two, alma = await second(whole), whole.patient(ALMA)
    await whole.take(adt("A01", 2, pv1("V-2")))
    elm = whole.requester("pcmh-elm").organization
    refusal = {
        "resourceType": "Consent",
        "id": "refusal-of-two",
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}],
        "patient": {"reference": f"Patient/{two}"},
        "dateTime": "2026-03-01",
        "policy": [{"uri": "http://fhirgw.org/fhir/policy/refusal"}],
        "provision": {
            "type": "deny",
            "actor": [
                {
                    "role": {
                        "coding": [
                            {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}
                        ]
                    },
                    "reference": {"reference": f"Organization/{elm}"},
                }
            ],
        },
    }
    await whole.gateway.database.write(lambda tx: repository.put(tx, refusal))
    assert await seen(whole, alma)
    for join in (whole.gateway.ingest.persons.link, whole.gateway.ingest.persons.merge):
        await join(alma, two)
        assert await seen(whole, alma) == set()
        await whole.gateway.ingest.persons.unlink(alma, two)
        assert await seen(whole, alma)
