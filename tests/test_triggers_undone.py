"""What was raised goes when what called for it is taken back; any order of a history raises the same."""

import itertools

from composed_gateway import composed
from example_counts import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trigger_visits import PROFILE, PSYCHIATRIC, adt, cancel, day, enrol, names, raised, stay

from fhirgw.ingest.precedence import put


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
