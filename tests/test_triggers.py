"""The programmes' triggers on the real store: each fires and does not fire, at its boundaries, in any order."""

import itertools
from datetime import date, timedelta

import orjson
import pytest
from composed_gateway import FENN, case, composed
from example_counts import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhirgw.consent.vocabulary import BITS, HIGH
from fhirgw.ingest.precedence import put
from fhirgw.store import policy, repository

PSYCHIATRIC = {"service": "PSY"}
PROFILE = "http://fhirgw.org/fhir/StructureDefinition/"


def adt(
    trigger,
    visit,
    at,
    *,
    told=None,
    ended=None,
    cls="I",
    service="",
    dx=(),
    left="",
    pv2="",
    pid30="",
    born="19951212",
):
    """A message about FENN; times without offset are those of New York."""
    told = told or ended or at
    number = f"{visit}-{trigger}-{told}"
    pv1 = [""] * 46
    pv1[1], pv1[2], pv1[3], pv1[10], pv1[19] = "1", cls, "4W^401^B^ELMHOSP", service, f"{visit}^^^ELMHOSP^VN"
    pv1[36], pv1[44], pv1[45] = left, at, ended or ""
    pid = f"PID|1||MRN-1006^^^ELMHOSP^MR~CT-TEST-0006^^^CTMEDICAID^MA||PLACEHOLDER^FENN||{born}|M"
    lines = [
        f"MSH|^~\\&|ADTSYS|ELMHOSP|FHIRGW|ICM|{told}||ADT^{trigger}|{number}|P|2.5.1",
        f"EVN|{trigger}|{told}",
        pid + ("|" * 22 + pid30 if pid30 else ""),
        "PV1|" + "|".join(pv1[1:]),
        *([pv2] if pv2 else []),
        *(f"DG1|{rank}||{code}^^I10C|||A" for rank, code in enumerate(dx, 1)),
    ]
    return "\r".join(lines).encode() + b"\r"


def day(start, days=0):
    return (date.fromisoformat(start) + timedelta(days=days)).strftime("%Y%m%d1000")


def stay(visit, start, nights, **how):
    """An admission and its discharge."""
    first, last = day(start), day(start, nights)
    return [adt("A01", visit, first, **how), adt("A03", visit, first, ended=last, **how)]


def enrol(whole, program, status):
    patient = whole.patient(FENN)

    def unit(tx):
        policy.enrol(tx, patient, "ct-bhp", "finished")
        policy.enrol(tx, patient, program, status)

    whole.gateway.database.write_sync(unit)


def raised(whole, kind="Task"):
    """What triggers raised for FENN: by rule and code, the body."""
    patient = f"Patient/{whole.patient(FENN)}"
    found = [one for one in whole.bodies(kind) if {"reference": patient} in (one.get("for"), one.get("subject"))]
    rules = {}
    for one in found:
        rule = (one.get("groupIdentifier") or one.get("requisition") or {}).get("value", "")
        code = one["code"]["coding"][0]["code"]
        if rule or code in ("closure-review", "visit-undone"):
            rules.setdefault((rule.partition(".")[2], code), []).append(one)
    return rules


def names(whole, status="requested"):
    return {key for key, tasks in raised(whole).items() if any(one["status"] == status for one in tasks)}


def due(whole, rule, code):
    [task] = raised(whole)[rule, code]
    return task["restriction"]["period"]["end"]


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


# --- undone -------------------------------------------------------------------------------------------------------


def cancel(trigger, visit, start, told):
    return adt(trigger, visit, day(start), told=told)


async def test_a_cancelled_admission_cancels_what_it_raised_and_says_why(whole):
    enrol(whole, "husky", "active")
    await whole.take(adt("A01", "V1", day("20260305")), cancel("A11", "V1", "20260305", "202603051200"))
    assert names(whole) == set()
    [task] = raised(whole)["HUSKY-EVENT", "outreach"]
    assert task["status"] == "cancelled"
    assert task["statusReason"]["coding"][0]["display"] == "The visit was cancelled or corrected"


async def test_a_referral_of_a_cancelled_visit_is_revoked(whole):
    enrol(whole, "ct-bhp", "candidate")
    await whole.take(adt("A01", "V1", day("20260305")), cancel("A11", "V1", "20260305", "202603051200"))
    [request] = raised(whole, "ServiceRequest")["CT-INITIAL-MEETING", "ct-bhp"]
    assert request["status"] == "revoked"


async def test_a_cancelled_discharge_takes_the_follow_up_back_and_the_next_one_asks_again(whole):
    enrol(whole, "husky", "active")
    key = ("HUSKY-DISCHARGED", "follow-up")
    await whole.take(*stay("V1", "20260305", 4), cancel("A13", "V1", "20260305", "202603091200"))
    assert key not in names(whole)
    await whole.take(adt("A03", "V1", day("20260305"), ended="202603101000"))
    assert key in names(whole)


async def test_what_somebody_acted_upon_stays_and_they_are_told(whole):
    enrol(whole, "husky", "active")
    await whole.take(adt("A01", "V1", day("20260305")))
    [task] = raised(whole)["HUSKY-EVENT", "outreach"]
    whole.gateway.database.write_sync(lambda tx: put(tx, task | {"status": "in-progress"}))
    await whole.take(cancel("A11", "V1", "20260305", "202603051200"))
    [kept] = raised(whole)["HUSKY-EVENT", "outreach"]
    [note] = raised(whole)["", "visit-undone"]
    assert kept["status"] == "in-progress"
    assert (note["status"], note["focus"]) == ("requested", {"reference": f"Task/{task['id']}"})
    assert note["meta"]["profile"] == [f"{PROFILE}icm-task"]


async def test_work_that_visits_call_for_names_our_profiles_and_is_held_to_them(whole):
    """put() validates against what meta.profile names (docs/decisions/0162)."""
    enrol(whole, "bc-icmt", "candidate")
    await whole.take(adt("A04", "V1", day("20260305"), cls="E"))
    work = [one for kind in ("Task", "ServiceRequest") for many in raised(whole, kind).values() for one in many]
    assert {(one["resourceType"], *one["meta"]["profile"]) for one in work} == {
        ("Task", f"{PROFILE}icm-task"),
        ("ServiceRequest", f"{PROFILE}icm-referral"),
    }


async def test_a_cancelled_visit_counts_no_more_in_a_look_back(whole):
    enrol(whole, "ccbh-peer", "candidate")
    for number in range(5):
        await whole.take(adt("A04", f"V{number}", day("20260105", number), cls="E"))
    await whole.take(adt("A11", "V2", day("20260105", 2), cls="E", told="202601081200"))
    [task] = raised(whole)["CCBH-CRISIS-CONTACTS", "eligibility-review"]
    assert task["status"] == "cancelled"


HISTORY = [
    *stay("V1", "20260105", 12, **PSYCHIATRIC),
    *stay("V2", "20260201", 8, **PSYCHIATRIC),
    cancel("A13", "V2", "20260201", "202602091200"),
    adt("A03", "V2", day("20260201"), ended=day("20260201", 9), **PSYCHIATRIC),
    adt("A01", "V3", day("20260215")),
    cancel("A11", "V3", "20260215", "202602151200"),
    adt("A04", "V4", day("20260220"), cls="E", dx=["F11.20"]),
]


@settings(
    max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(range(len(HISTORY))), program=st.sampled_from(["ccbh-peer", "husky", "ne-peer"]))
async def test_any_order_of_a_history_raises_the_same_work(tmp_path_factory, order, program):
    status = "active" if program == "husky" else "candidate"
    stores = []
    for messages in (HISTORY, [HISTORY[index] for index in [*order, order[0]]]):
        with composed(tmp_path_factory.mktemp("order")) as whole:
            enrol(whole, program, status)
            await whole.take(*messages)
            stores.append(
                {key: value for key, value in whole.everything().items() if key[0] in ("Task", "ServiceRequest")}
            )
    assert stores[0] == stores[1]


async def test_death_in_any_order_ends_the_same_way(tmp_path):
    messages = [
        adt("A01", "V1", day("20260305")),
        adt("A03", "V1", day("20260305"), ended=day("20260305", 2), left="20"),
        adt("A04", "V0", day("20260301"), cls="E"),
    ]
    stores = []
    for number, order in enumerate(itertools.permutations(messages)):
        with composed(tmp_path / str(number)) as whole:
            enrol(whole, "husky", "active")
            await whole.take(*order)
            stores.append(whole.everything())
    assert all(store == stores[0] for store in stores)


# --- death --------------------------------------------------------------------------------------------------------


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


# --- hidden -------------------------------------------------------------------------------------------------------

PROTECTED = "PV2" + 22 * "|" + "Y"


def outside(whole):
    """Bytes of what carries no label: what may be seen by whoever may see the person."""
    with whole.gateway.database.read() as connection:
        found = {}
        for key, (body, _) in whole.everything().items():
            stored = repository.current(connection, *key)
            if (
                not stored.labels.labels
                and stored.labels.conf < HIGH
                and key[0] in ("Task", "ServiceRequest", "CarePlan")
            ):
                found[key] = body
        return found


async def test_a_hidden_death_changes_nothing_that_is_seen(whole):
    enrol(whole, "husky", "active")
    await whole.take(adt("A01", "V1", day("20260305")))
    before = outside(whole)
    await whole.take(*stay("V9", "20260306", 2, left="20", pv2=PROTECTED))
    assert outside(whole) == before
    assert ("", "closure-review") in names(whole)


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
