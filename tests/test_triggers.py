"""The programmes' triggers on the real store: each fires and does not fire, at its boundaries, in any order."""

from datetime import date, timedelta

import orjson
import pytest
from composed_gateway import FENN, case
from trigger_visits import PROTECTED, PSYCHIATRIC, adt, day, due, enrol, names, outside, raised, stay

from fhirgw.consent.vocabulary import BITS, HIGH
from fhirgw.store import repository

# --- each programme -----------------------------------------------------------------------------------------------


async def test_british_columbia_contacts_in_three_working_days_and_screens_in_seven(whole):
    """BC 1.2; the hospital told at 23:30 in New York on Thursday, which is Thursday in Vancouver."""
    enrol(whole, "bc-icmt", "candidate")
    await whole.take(adt("A04", "V1", "20260305233000", cls="E"))
    assert names(whole) == {("BC-REFERRED", "contact-candidate"), ("BC-REFERRED", "screen-eligibility")}
    assert due(whole, "BC-REFERRED", "contact-candidate") == "2026-03-10T23:59:59-07:00"
    assert due(whole, "BC-REFERRED", "screen-eligibility") == "2026-03-12T23:59:59-07:00"


@pytest.mark.parametrize(("born", "old_enough"), [("20070305", True), ("20070306", False), ("", False)])
async def test_british_columbia_takes_nobody_before_their_nineteenth_birthday(whole, born, old_enough):
    enrol(whole, "bc-icmt", "candidate")
    patient = whole.patient(FENN)

    def unit(tx):
        body = repository.current(tx.connection, "Patient", patient).body
        picture = {name: value for name, value in body.items() if name != "birthDate"}
        birth = f"{born[:4]}-{born[4:6]}-{born[6:]}" if born else None
        tx.connection.exec_driver_sql("UPDATE person_source SET body = ? WHERE patient = ?", (
            orjson.dumps(picture | ({"birthDate": birth} if birth else {})), patient,
        ))  # fmt: skip

    whole.gateway.database.write_sync(unit)
    await whole.take(adt("A04", "V1", day("20260305"), cls="E", born=born))
    assert bool(names(whole)) == old_enough


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        ("E", {("BC-CRISIS", "plan-revision")}),
        ("I", {("BC-IN-HOSPITAL", "plan-revision")}),
        ("O", set()),
    ],
)
async def test_british_columbia_plans_with_the_hospital_and_reviews_after_a_crisis(whole, cls, expected):
    enrol(whole, "bc-icmt", "active")
    await whole.take(adt("A01", "V1", day("20260305"), cls=cls))
    assert names(whole) == expected


@pytest.mark.parametrize(("cls", "fires"), [("I", True), ("E", True), ("O", False)])
async def test_connecticut_arranges_a_first_meeting_in_hospitals(whole, cls, fires):
    enrol(whole, "ct-bhp", "candidate")
    await whole.take(adt("A01", "V1", day("20260305"), cls=cls))
    assert names(whole) == ({("CT-INITIAL-MEETING", "contact-candidate")} if fires else set())


async def test_husky_revises_reaches_out_and_follows_up_after_discharge(whole):
    enrol(whole, "husky", "active")
    admitted, left = stay("V1", "20260305", 4)
    await whole.take(admitted)
    assert names(whole) == {("HUSKY-EVENT", "plan-revision"), ("HUSKY-EVENT", "outreach")}
    await whole.take(left)
    assert names(whole) == {
        ("HUSKY-EVENT", "plan-revision"),
        ("HUSKY-EVENT", "outreach"),
        ("HUSKY-DISCHARGED", "follow-up"),
    }
    assert due(whole, "HUSKY-DISCHARGED", "follow-up") == "2026-03-16T23:59:59-04:00"


@pytest.mark.parametrize(("dx", "fires"), [("E11.9", True), ("J45.909", True), ("E12", False), ("S52.5", False)])
async def test_husky_refers_on_the_conditions_that_its_teams_care_for(whole, dx, fires):
    enrol(whole, "husky", "candidate")
    await whole.take(adt("A04", "V1", day("20260305"), cls="O", dx=[dx]))
    assert names(whole) == ({("HUSKY-CONDITION", "contact-candidate")} if fires else set())


@pytest.mark.parametrize(("days", "again"), [(0, True), (30, True), (31, False)])
async def test_a_readmission_is_within_thirty_days_of_a_discharge(whole, days, again):
    enrol(whole, "husky", "active")
    back = adt("A01", "V2", (date(2026, 3, 9) + timedelta(days=days)).strftime("%Y%m%d2200"))
    await whole.take(*stay("V1", "20260305", 4), back)
    assert (("HUSKY-READMITTED", "readmission-review") in names(whole)) == again
    if again:
        [request] = raised(whole, "ServiceRequest")["HUSKY-READMITTED", "husky"]
        assert len(request["supportingInfo"]) == 2


@pytest.mark.parametrize(("dx", "fires"), [("F32.2", True), ("F11.20", True), ("S52.5", False)])
async def test_nebraska_refers_those_with_a_disorder(whole, dx, fires):
    enrol(whole, "ne-peer", "candidate")
    await whole.take(adt("A04", "V1", day("20260305"), cls="E", dx=[dx]))
    assert names(whole) == ({("NE-REFERRED", "contact-candidate")} if fires else set())


async def test_nebraska_liaises_in_a_crisis(whole):
    enrol(whole, "ne-peer", "active")
    await whole.take(adt("A04", "V1", day("20260305"), cls="E"))
    assert names(whole) == {("NE-CRISIS", "outreach"), ("NE-CRISIS", "plan-revision")}


REVIEW = ("CCBH-ADMISSIONS", "eligibility-review")


@pytest.mark.parametrize(
    ("stays", "met"),
    [
        ([("20250105", 12), ("20260305", 8)], True),  # exactly twenty nights
        ([("20250105", 12), ("20260305", 7)], False),
        ([("20260305", 25)], False),  # one admission
        ([("20240305", 12), ("20260305", 8)], True),  # two years to the day
        ([("20240304", 12), ("20260305", 8)], False),
        ([("20240304", 12), ("20250105", 12), ("20260305", 8)], True),
    ],
)
async def test_two_psychiatric_admissions_of_twenty_days_in_two_years(whole, stays, met):
    enrol(whole, "ccbh-peer", "candidate")
    for number, (start, nights) in enumerate(stays):
        await whole.take(*stay(f"V{number}", start, nights, **PSYCHIATRIC))
    assert (REVIEW in names(whole)) == met


async def test_history_that_came_with_the_referral_counts_in_a_look_back(whole):
    def supplied(body):
        body |= {"program": "ccbh-peer", "key": "ccbh-peer:CT-TEST-0006"}
        stated = {"kind": "inpatient-psychiatric", "starts_on": "2025-01-05", "ends_on": "2025-01-17"}
        body["history"] = [{"id": "h1", **stated}]

    await whole.gateway.ingest.cases.store(case("ct-bhp-candidate.json", supplied))
    assert REVIEW not in names(whole)
    await whole.take(*stay("V1", "20260305", 8, **PSYCHIATRIC))
    assert REVIEW in names(whole)


async def test_an_admission_elsewhere_in_the_hospital_is_none_to_a_psychiatric_unit(whole):
    enrol(whole, "ccbh-peer", "candidate")
    await whole.take(*stay("V1", "20250105", 30, service="MED"), *stay("V2", "20260305", 30, **PSYCHIATRIC))
    assert REVIEW not in names(whole)


async def test_the_fifth_contact_in_two_years_counts_and_the_fourth_does_not(whole):
    enrol(whole, "ccbh-peer", "candidate")
    key = ("CCBH-CRISIS-CONTACTS", "eligibility-review")
    starts = ["20240306", "20240901", "20250101", "20250601"]
    await whole.take(*(adt("A04", f"V{start}", day(start), cls="E") for start in starts))
    assert key not in names(whole)
    await whole.take(adt("A04", "V5", day("20260305"), cls="E"))
    assert key in names(whole)
    [request] = raised(whole, "ServiceRequest")["CCBH-CRISIS-CONTACTS", "ccbh-peer"]
    assert len(request["supportingInfo"]) == 5
    assert "Five or more face to face contacts" in request["reasonCode"][0]["coding"][0]["display"]
    with whole.gateway.database.read() as connection:
        stored = repository.current(connection, "ServiceRequest", request["id"])
    assert stored.labels.labels & BITS["MH"]


async def test_what_was_raised_once_is_not_raised_again(whole):
    enrol(whole, "ccbh-peer", "candidate")
    for number in range(8):
        await whole.take(adt("A04", f"V{number}", day("20260105", number), cls="E"))
    assert len(raised(whole)["CCBH-CRISIS-CONTACTS", "eligibility-review"]) == 1


@pytest.mark.parametrize("status", ["finished", "opted-out"])
async def test_a_former_member_raises_nothing(whole, status):
    enrol(whole, "husky", status)
    await whole.take(*stay("V1", "20260305", 4))
    assert raised(whole) == {}


# --- hidden -------------------------------------------------------------------------------------------------------


async def test_a_hidden_visit_adds_to_a_look_back_only_what_is_as_hidden(whole):
    enrol(whole, "husky", "active")
    enrol(whole, "ccbh-peer", "candidate")
    seen = [adt("A04", f"V{number}", day("20260105", number), cls="E") for number in range(4)]
    await whole.take(*seen)
    before = outside(whole)
    await whole.take(adt("A04", "V9", day("20260201"), cls="E", pv2=PROTECTED))
    assert outside(whole) == before
    [task] = raised(whole)["CCBH-CRISIS-CONTACTS", "eligibility-review"]
    with whole.gateway.database.read() as connection:
        assert repository.current(connection, "Task", task["id"]).labels.conf == HIGH


async def test_a_readmission_after_a_hidden_stay_is_as_hidden_as_the_stay(whole):
    enrol(whole, "husky", "active")
    back = adt("A01", "V2", day("20260312"))
    await whole.take(*stay("V1", "20260305", 4, pv2=PROTECTED), back)
    [task] = raised(whole)["HUSKY-READMITTED", "readmission-review"]
    with whole.gateway.database.read() as connection:
        assert repository.current(connection, "Task", task["id"]).labels.conf == HIGH
    assert not any(b"readmission" in body for body in outside(whole).values())
