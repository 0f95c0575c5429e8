"""A visit that is hidden as a whole leaves nothing outside: not on the person, not in what it raised (leak 24)."""

import orjson
import pytest
from composed_gateway import ALMA, FENN, composed, message

from fhirgw.consent.vocabulary import HIGH
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
    "DG1|1"
)
RECORD = ("RelatedPerson", "Coverage", "Account", "CareTeam")
INSURED = message("A01/member.hl7", ("DG1|1", KIN_AND_COVER))
HIDDEN_AND_INSURED = message("A01/member.hl7", (REASON, REASON + 19 * "|" + "Y"), ("DG1|1", KIN_AND_COVER))


@pytest.fixture
def whole(tmp_path):
    with composed(tmp_path) as gateway:
        yield gateway


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
    """Relatives, cover, accounts and teams that messages brought, by type and id."""
    return {key for key in whole.everything() if key[0] in RECORD}


async def test_an_open_visit_brings_relatives_and_cover(whole):
    before = told_by_the_hospital(whole)
    await whole.take(INSURED)
    assert {kind for kind, _ in told_by_the_hospital(whole) - before} == {"RelatedPerson", "Coverage"}


async def test_a_protected_visit_brings_neither_relatives_nor_cover(whole):
    before = whole.everything()
    await whole.take(HIDDEN_AND_INSURED)
    after = whole.everything()
    assert {key: after[key] for key in after if key[0] in (*RECORD, "Patient")} == {
        key: before[key] for key in before if key[0] in (*RECORD, "Patient")
    }


async def test_a_visit_that_becomes_protected_takes_relatives_and_cover_back(whole):
    before = told_by_the_hospital(whole)
    await whole.take(INSURED)
    later = (
        HIDDEN_AND_INSURED.replace(b"ADT^A01", b"ADT^A08")
        .replace(b"EVN|A01", b"EVN|A08")
        .replace(b"ELM-000101", b"LATER")
    )
    await whole.take(later.replace(b"20260305143000", b"20260305153000"))
    assert told_by_the_hospital(whole) == before
