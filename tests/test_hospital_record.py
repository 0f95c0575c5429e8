"""Relatives, cover and accounts that hospitals tell of: outside nobody sees them without a release for them."""

import orjson
import pytest
from composed_gateway import ALMA
from told_record import TOLD

from fhirgw.asks import Read, Search
from fhirgw.consent.labels import LabelContext, label
from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import NotFound
from fhirgw.store import parties

RIVER = """
[senders.river-hospital]
facility = "RIVERHOSP"
part2 = true

[senders.river-hospital.authorities]
CTMEDICAID = "http://fhirgw.org/fhir/sid/ct-medicaid"
"""
KINDS = ("RelatedPerson", "Coverage", "Account", "CareTeam", "Observation")


def from_river(raw: bytes) -> bytes:
    return raw.replace(b"ELMHOSP", b"RIVERHOSP").replace(b"V-5001", b"V-7001")


async def total(whole, client, kind):
    released = await whole.gateway.share.release(
        whole.requester(client), Search(kind, (("patient", whole.patient(ALMA)),))
    )
    return orjson.loads(released.body)["total"]


def new(whole, before):
    return {key: labels for key, (_, labels) in whole.everything().items() if key not in before}


async def test_what_the_hospital_tells_is_about_the_member(whole):
    """Compartment: each of them is found by its patient, and by nobody else's."""
    before = whole.everything()
    await whole.take(TOLD)
    brought = new(whole, before)
    assert {"RelatedPerson", "Coverage", "Account", "CareTeam"} <= {kind for kind, _ in brought}
    for kind in ("RelatedPerson", "Coverage", "Account", "CareTeam"):
        inside = await total(whole, "icm-system", kind)
        assert inside >= sum(one == kind for one, _ in brought)


async def test_without_a_release_nobody_outside_sees_any_of_it(whole):
    before = whole.everything()
    answers = {kind: await total(whole, "pcmh-oak", kind) for kind in KINDS}
    await whole.take(TOLD)
    assert {kind: await total(whole, "pcmh-oak", kind) for kind in KINDS} == answers == dict.fromkeys(KINDS, 0)
    for kind, logical in new(whole, before):
        if kind in KINDS:
            with pytest.raises(NotFound):
                await whole.gateway.share.release(whole.requester("pcmh-oak"), Read(kind, logical))


async def test_a_release_shows_what_it_covers_and_a_revocation_ends_it(whole):
    await whole.take(TOLD)
    assert await total(whole, "pcmh-elm", "Coverage") > 0
    with whole.gateway.database.read() as connection:
        tokens = parties.organization_tokens(connection, whole.requester("pcmh-elm").organization)
    await whole.gateway.ingest.resources.revoke(whole.patient(ALMA), tokens, written=False)
    assert [await total(whole, "pcmh-elm", kind) for kind in KINDS] == [0] * len(KINDS)


@pytest.mark.parametrize("river_first", [True, False])
async def test_a_part_2_programmes_record_carries_its_label_and_changes_nobody_elses(whole, river_first):
    """Nor does a payor or an employer of the same name become hidden, or open, by it."""
    path = whole.gateway.settings.data_dir / "senders.toml"
    path.write_text(path.read_text("utf-8") + RIVER, "utf-8")
    if not river_first:
        await whole.take(TOLD)
    before = whole.everything()
    await whole.take(from_river(TOLD))
    assert all(labels & BITS["SUD"] for labels in new(whole, before).values())
    assert {key: value for key, value in whole.everything().items() if key in before} == before
    if river_first:
        await whole.take(TOLD)
    open_ones = [labels for key, labels in new(whole, before).items() if key[0] == "Organization"]
    assert river_first is False or any(not labels & BITS["SUD"] for labels in open_ones)


async def test_a_plan_that_tells_of_a_condition_is_labelled(whole):
    """v3-ActCode SUBPOL is a substance use policy."""
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUBPOL"}
    coverage = {"resourceType": "Coverage", "id": "c", "status": "active", "type": {"coding": [coding]},
                "beneficiary": {"reference": "Patient/p"}, "payor": [{"display": "x"}]}  # fmt: skip
    assert label(coverage, LabelContext(lambda _: None)).labels & BITS["SUD"]
