"""A visit that is hidden as a whole leaves nothing outside: not on the person, not in what it raised (leak 24)."""

import orjson
import pytest
from composed_gateway import ALMA, FENN, message

from fhirgw.asks import Search
from fhirgw.consent.vocabulary import HIGH, NORMAL
from fhirgw.store import policy, repository

ADMITTED = message("A01/member.hl7")
REASON = "PV2|||^Low mood and withdrawal"
PROTECTED = message("A01/member.hl7", (REASON, REASON + 19 * "|" + "Y"))
"""PV2-22, visit protection indicator."""
CANDIDATE = message("A01/candidate.hl7", ("DG1|1", "PV2" + 22 * "|" + "Y\rDG1|1"))
MRN = "MRN-1001"
KIN_AND_COVER = (
    "NK1|1|TESTPERSON^BEA|SPO\r"
    "GT1|1||TESTPERSON^BEA\r"
    "IN1|1|HMO^Plan H|INS-1|EXAMPLE PLAN|||||||||||||TESTPERSON^BEA|SPO|||||||||||||||||||POL-1\r"
    "AL1|1|DA|7980^Penicillin^RXNORM|SV\r"
    "DG1|1"
)
RECORD = ("RelatedPerson", "Coverage", "Account", "CareTeam", "AllergyIntolerance")
INSURED = message("A01/member.hl7", ("DG1|1", KIN_AND_COVER))
HIDDEN_AND_INSURED = message("A01/member.hl7", (REASON, REASON + 19 * "|" + "Y"), ("DG1|1", KIN_AND_COVER))


def person(whole):
    return orjson.loads(whole.stored("Patient")[whole.patient(ALMA)][0])


async def test_an_open_visit_brings_the_hospitals_number(whole):
    await whole.take(ADMITTED)
    assert MRN in {one["value"] for one in person(whole)["identifier"]}


async def test_a_protected_visit_leaves_the_person_as_they_were(whole):
    """The record number of the hospital would tell of a stay there."""
    before = person(whole)
    await whole.take(PROTECTED)
    assert person(whole) == before


async def test_a_visit_that_becomes_protected_takes_back_what_it_brought(whole):
    before = person(whole)
    await whole.take(ADMITTED)
    later = (
        PROTECTED.replace(b"ADT^A01", b"ADT^A08").replace(b"EVN|A01", b"EVN|A08").replace(b"ELM-000101", b"LATER")
    )
    await whole.take(later.replace(b"20260305143000", b"20260305153000"))
    assert person(whole) == before


async def test_a_protected_visit_still_identifies_its_person(whole):
    """What is not shown is known: the next message may bring the hospital's number alone."""
    await whole.take(PROTECTED)
    assert whole.patient(("http://fhirgw.org/fhir/sid/elm-hospital-mrn", MRN)) == whole.patient(ALMA)


@pytest.mark.parametrize(("raw", "who"), [(PROTECTED, ALMA), (CANDIDATE, FENN)])
async def test_what_a_protected_visit_raises_is_as_protected(whole, raw, who):
    """The Task to revise a plan, the referral of a candidate and the Task to call them."""
    there = set(whole.everything())
    await whole.take(raw)
    raised = [
        key for key in whole.everything().keys() - there if key[0] in ("Task", "ServiceRequest", "Provenance")
    ]
    assert {kind for kind, _ in raised} >= {"Task", "Provenance"}
    with whole.gateway.database.read() as connection:
        levels = {key: repository.current(connection, *key).labels.conf for key in raised}
        assert policy.enrolments(connection, whole.patient(who))
    assert levels == dict.fromkeys(raised, HIGH)


def told_by_the_hospital(whole):
    """Relatives, cover, accounts, teams and allergies that messages brought, by type and id."""
    return {key for key in whole.everything() if key[0] in RECORD}


def later(raw):
    return raw.replace(b"20260305143000", b"20260305153000")


def levels_of(whole, keys):
    with whole.gateway.database.read() as connection:
        return {repository.current(connection, *key).labels.conf for key in keys}


async def seen(whole, client, kind, patient):
    """Ids of what a client finds of a type."""
    wanted = Search(kind, (("patient", patient), ("_count", "100")))
    released = await whole.gateway.share.release(whole.requester(client), wanted)
    return {one["resource"]["id"] for one in orjson.loads(released.body).get("entry", ())}


async def test_an_open_visit_brings_relatives_cover_and_allergies(whole):
    before = told_by_the_hospital(whole)
    await whole.take(INSURED)
    brought = told_by_the_hospital(whole) - before
    assert {kind for kind, _ in brought} == {"RelatedPerson", "Coverage", "AllergyIntolerance"}
    assert levels_of(whole, brought) == {NORMAL}


async def test_what_a_protected_visit_tells_of_the_person_is_there_for_those_who_may_know_of_it(whole):
    """An allergy that was told in a visit that others may not know of is one all the same: staff see it."""
    before = whole.everything().keys()
    await whole.take(HIDDEN_AND_INSURED)
    new = whole.everything().keys() - before
    brought = {key for key in new if key[0] in RECORD}
    assert {kind for kind, _ in brought} == {"RelatedPerson", "Coverage", "AllergyIntolerance"}
    assert levels_of(whole, brought) == {HIGH}
    patient, knows = whole.patient(ALMA), {}
    for client in ("icm-system", "pcmh-elm", "pcmh-oak", "agency-dss"):
        found = {(kind, one) for kind in (*RECORD, "Encounter") for one in await seen(whole, client, kind, patient)}
        knows[client] = any(key[0] == "Encounter" for key in new & found)
        assert brought & found == (brought if knows[client] else set())
    assert knows["icm-system"]
    assert not knows["pcmh-oak"]


async def test_what_open_visits_tell_of_the_person_does_not_depend_on_a_protected_one(whole):
    """Its list of relatives and cover replaces none that was given openly, and is replaced by none."""
    await whole.take(INSURED)
    openly = {key: whole.everything()[key] for key in told_by_the_hospital(whole)}
    other = HIDDEN_AND_INSURED.replace(b"V-5001", b"V-5002").replace(b"ELM-000101", b"OTHER")
    await whole.take(later(other.replace(b"TESTPERSON^BEA", b"TESTPERSON^CY").replace(b"POL-1", b"POL-2")))
    after = whole.everything()
    assert {key: after[key] for key in openly} == openly
    assert levels_of(whole, told_by_the_hospital(whole) - openly.keys()) == {HIGH}


async def test_a_visit_that_becomes_protected_takes_along_what_it_told(whole):
    before = told_by_the_hospital(whole)
    await whole.take(INSURED)
    openly = told_by_the_hospital(whole) - before
    raw = HIDDEN_AND_INSURED.replace(b"ADT^A01", b"ADT^A08").replace(b"EVN|A01", b"EVN|A08")
    await whole.take(later(raw.replace(b"ELM-000101", b"LATER")))
    now = told_by_the_hospital(whole) - before
    assert not now & openly
    assert {kind for kind, _ in now} == {kind for kind, _ in openly}
    assert levels_of(whole, now) == {HIGH}
