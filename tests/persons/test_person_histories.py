"""Any history of merges, links, moves and visits gives the same bytes in any order."""

import asyncio
import itertools
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from composed_gateway import composed
from hypothesis import given, settings
from hypothesis import strategies as st
from person_messages import OLD, TWO, adt, final, mrg, pv1, second, told

from fhirgw.mappers.trigger_events import EVENTS

HISTORIES = {
    "a stranger's record is merged into a member's": [
        adt("A01", 1, pv1("V-1"), person=OLD),
        adt("A02", 2, pv1("V-1", bed="ICU^1^1^ELMHOSP"), person=OLD),
        adt("A40", 3, mrg(OLD)),
        adt("A03", 5, pv1("V-1")),
    ],
    "a merge is undone": [
        adt("A01", 1, pv1("V-1"), person=OLD),
        adt("A24", 3, f"PID|2||{OLD}||TESTPERSON^ALMA"),
        adt("A37", 4, f"PID|2||{OLD}||TESTPERSON^ALMA"),
        adt("A01", 5, pv1("V-2")),
    ],
    "two members are merged": [
        adt("A01", 1, pv1("V-1"), person=TWO),
        adt("A40", 2, mrg("MRN-2002^^^ELMHOSP^MR")),
        adt("A01", 3, pv1("V-2")),
        adt("A08", 4, pv1("V-1"), person=TWO),
    ],
    "a visit is moved to whom it was": [
        adt("A01", 1, pv1("V-1"), person=TWO),
        adt("A45", 3, mrg("MRN-2002^^^ELMHOSP^MR", visit="V-1^^^ELMHOSP^VN"), pv1("V-1")),
        adt("A03", 5, pv1("V-1")),
    ],
    "a stranger's visit is moved to a member": [
        adt("A01", 1, pv1("V-1"), person=OLD),
        adt("A45", 3, mrg(OLD, visit="V-1^^^ELMHOSP^VN"), pv1("V-1")),
        adt("A03", 5, pv1("V-1")),
    ],
    "two visits are one, and renumbered": [
        adt("A04", 1, pv1("V-1", patient_class="E")),
        adt("A01", 2, pv1("V-2")),
        adt("A42", 3, mrg("MRN-1001^^^ELMHOSP^MR", visit="V-1^^^ELMHOSP^VN"), pv1("V-2")),
        adt("A50", 4, mrg("MRN-1001^^^ELMHOSP^MR", visit="V-2^^^ELMHOSP^VN"), pv1("V-3")),
        adt("A03", 5, pv1("V-3")),
    ],
    "a visit is moved to a stranger, who is then linked with whom it was": [
        adt("A55", 7, pv1("V-1"), person=TWO),
        adt("A45", 5, mrg("MRN-2002^^^ELMHOSP^MR", visit="V-1^^^ELMHOSP^VN"), pv1("V-3"), person=OLD),
        adt("A24", 6, f"PID|2||{OLD}||TESTPERSON^ALMA", person=TWO),
    ],
    "a visit is moved to a stranger, who is then merged into somebody else": [
        adt("A09", 8, pv1("V-3"), person=TWO),
        adt("A45", 5, mrg("MRN-2002^^^ELMHOSP^MR", visit="V-1^^^ELMHOSP^VN"), pv1("V-2"), person=OLD),
        adt("A30", 7, mrg(OLD), pv1("V-1")),
    ],
}


@pytest.mark.parametrize("history", HISTORIES, ids=[name.replace(" ", "-") for name in HISTORIES])
async def test_every_order_of_merges_moves_and_visits_gives_the_same_bytes(history, tmp_path):
    """A merge before, between and after what it is about; now and then the same message twice."""
    messages = HISTORIES[history]
    chance = random.Random(history)
    orders = [messages, messages[::-1], [*messages, *messages[:2]]]
    orders += chance.sample(list(itertools.permutations(messages)), 4)
    stores = [await final(tmp_path / str(number), order) for number, order in enumerate(orders)]
    for store in stores[1:]:
        assert store.keys() == stores[0].keys()
        assert store == stores[0]


ALMAS = "MRN-1001^^^ELMHOSP^MR~CT-TEST-0001^^^CTMEDICAID^MA"


def anything(trigger, hour, person, number):
    """A message of this event about one of three records and three visits, with what the event needs."""
    semantics = EVENTS[trigger]
    other = {ALMAS: OLD, OLD: "MRN-2002^^^ELMHOSP^MR", TWO: "MRN-0777^^^ELMHOSP^MR"}[person]
    lines = [pv1(number, bed=f"4E^412^{'AB'[hour % 2]}^ELMHOSP")]
    if "MRG" in semantics.requires:
        lines.insert(
            0, mrg(other, account="ACC-1", visit=f"{'V-1' if number != 'V-1' else 'V-2'}^^^ELMHOSP^VN") + "|ALT"
        )
    if "PID[2]" in semantics.requires:
        lines.append(f"PID|2||{other}||SOMEBODY^ELSE")
    name = "TESTPERSON^ALMA" if person == ALMAS else "SOMEBODY^ELSE"
    return adt(trigger, hour, *lines, person=person, name=name)


ANYTHING = st.lists(
    st.builds(
        anything,
        st.sampled_from(sorted(EVENTS)),
        st.integers(1, 40),
        st.sampled_from([ALMAS, OLD, TWO]),
        st.sampled_from(["V-1", "V-2", "V-3"]),
    ),
    min_size=2,
    max_size=6,
    unique=True,
)


async def test_what_a_stranger_said_of_a_visits_number_counts_no_more(tmp_path):
    """A42 of somebody who was a member's other record until A37: the visit has its own number again."""
    history = [("A60", 6, ALMAS, "V-1"), ("A47", 1, TWO, "V-3"), ("A37", 3, OLD, "V-3"), ("A42", 8, OLD, "V-3")]
    messages = [anything(*one) for one in history]
    orders = [messages, [messages[2], messages[1], messages[0], messages[3]], messages[::-1]]
    stores = [await final(tmp_path / str(number), order) for number, order in enumerate(orders)]
    assert stores[1] == stores[0]
    assert stores[2] == stores[0]


async def test_a_merge_of_two_strangers_counts_once_one_of_them_is_somebody(tmp_path):
    """Also where the visit that it names is kept, since A45 had moved it from them to a member."""
    history = [("A45", 1, ALMAS, "V-1"), ("A36", 1, OLD, "V-1"), ("A01", 1, OLD, "V-3"), ("A01", 1, TWO, "V-1")]
    messages = [anything(*one) for one in history]
    orders = [messages, [messages[1], messages[0], *messages[2:]], messages[::-1]]
    stores = [await final(tmp_path / str(number), order) for number, order in enumerate(orders)]
    assert stores[1] == stores[0]
    assert stores[2] == stores[0]


def held_to_the_law(messages, chance):
    """A history that contradicts itself is a person's to look at; of every other, the order does not matter."""
    shuffled = chance.sample(messages, len(messages))
    with TemporaryDirectory() as folder:
        first, states = asyncio.run(outcome(Path(folder) / "first", messages))
        again, others = asyncio.run(outcome(Path(folder) / "again", [*shuffled, *chance.choices(messages, k=2)]))
    if "parked" not in states | others:
        assert again.keys() == first.keys()
        assert again == first


async def outcome(folder, messages):
    with composed(folder) as whole:
        whole.clock.tick(seconds=60)
        await second(whole)
        await whole.take(*messages)
        return told(whole), {row.state for row in whole.rows()}


@settings(max_examples=8)
@given(ANYTHING, st.randoms(use_true_random=False))
def test_any_history_of_any_events_gives_the_same_bytes_in_any_order(messages, chance):
    held_to_the_law(messages, chance)


@pytest.mark.slow
@settings(max_examples=150)
@given(ANYTHING, st.randoms(use_true_random=False))
def test_many_histories_of_any_events_give_the_same_bytes_in_any_order(messages, chance):
    held_to_the_law(messages, chance)
