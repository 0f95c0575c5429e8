"""Who is who as a fold: what was said, in any order and any number of times, gives the same graph."""

import random

from hypothesis import given
from hypothesis import strategies as st

from fhirgw.mappers.identities import Graph, IdentityFact, graph, succession, whom
from fhirgw.mappers.trigger_events import Identity

NAMES = ["s|1", "s|2", "s|3", "s|4", "t|1"]
KNOWN = {"s|1": "alma", "s|2": "bruno", "Patient/alma": "alma", "Patient/bruno": "bruno"}


def fact(at, kind, prior, present, *, confirmed=False):
    order = (f"2026-03-{at:02}",)
    return IdentityFact(f"{at}-{kind}-{prior}-{present}", order, kind, (prior,), (present,), confirmed)


FACTS = st.builds(
    fact,
    st.integers(1, 9),
    st.sampled_from([Identity.MERGE, Identity.LINK, Identity.UNLINK, Identity.MOVE]),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    confirmed=st.booleans(),
)


@given(st.lists(FACTS, max_size=7), st.randoms(use_true_random=False))
def test_any_order_and_repetition_give_the_same_graph(facts: list[IdentityFact], chance: random.Random):
    told = list({one.key: one for one in facts}.values())
    shuffled = chance.sample(told, len(told))
    records = [("s|3", "t|1")]
    assert graph(KNOWN, records, shuffled) == graph(KNOWN, records, told)


@given(st.lists(FACTS, max_size=5))
def test_whoever_was_replaced_bears_nothing(facts: list[IdentityFact]):
    found = graph(KNOWN, [], list({one.key: one for one in facts}.values()))
    for replaced in found.successors:
        assert replaced not in {bearer for name, bearer in found.bearers.items() if name not in found.moved}
        assert found.successors[replaced] not in found.successors


@given(st.sampled_from([Identity.MERGE, Identity.LINK]), st.permutations([0, 1]))
def test_what_was_parted_is_as_if_it_had_never_been_joined(kind, order):
    facts = [fact(1, kind, "s|2", "s|1"), fact(2, Identity.UNLINK, "s|2", "s|1")]
    assert graph(KNOWN, [], [facts[one] for one in order]) == graph(KNOWN, [], [])


def test_a_merge_after_the_parting_counts():
    facts = [fact(2, Identity.UNLINK, "s|2", "s|1"), fact(3, Identity.MERGE, "s|2", "s|1")]
    assert graph(KNOWN, [], facts).successors == {"bruno": "alma"}


def test_a_merge_that_nobody_confirmed_holds_what_it_moved():
    held = graph(KNOWN, [("s|2", "s|3")], [fact(1, Identity.MERGE, "s|2", "s|1")])
    assert held.bearers["s|3"] == "alma"
    assert held.held == {"s|2", "s|3", "Patient/bruno"}
    sure = graph(KNOWN, [("s|2", "s|3")], [fact(1, Identity.MERGE, "s|2", "s|1", confirmed=True)])
    assert sure.held == set()


def test_who_is_nobody_here_has_nothing_to_confirm():
    found = graph(KNOWN, [], [fact(1, Identity.MERGE, "s|3", "s|1")])
    assert (found.bearers["s|3"], found.held, found.successors) == ("alma", set(), {})


def test_a_number_that_was_moved_decides_beside_others():
    found = graph(KNOWN, [("s|2", "s|3")], [fact(1, Identity.MOVE, "s|3", "s|1")])
    assert whom(["s|2", "s|3"], found) == {"alma"}
    assert whom(["s|2"], found) == {"bruno"}
    assert found.held == {"s|3"}


def test_a_message_goes_before_a_merge_that_came_first():
    """The merge gave the number to the survivor; the message says whose it was."""
    found = graph(KNOWN, [("s|2", "s|3")], [fact(1, Identity.MERGE, "s|3", "s|1")])
    assert found.homes["s|3"] == "bruno"
    assert found.successors == {"bruno": "alma"}


def test_links_join_what_is_nobody_and_leave_two_people_two():
    found = graph(KNOWN, [], [fact(1, Identity.LINK, "s|2", "s|1"), fact(2, Identity.LINK, "s|4", "s|1")])
    assert found.links == {("alma", "bruno")}
    assert found.bearers["s|2"] == "bruno"
    assert found.bearers["s|4"] == "alma"
    assert isinstance(found, Graph)


EDGES = st.lists(
    st.tuples(st.integers(1, 9).map(lambda at: (str(at),)), st.sampled_from("abcd"), st.sampled_from("abcd")),
    max_size=6,
    unique_by=lambda edge: edge[0],
)


@given(EDGES, st.randoms(use_true_random=False))
def test_any_order_of_changes_gives_the_same_numbers(edges, chance: random.Random):
    told = [*edges, *chance.sample(edges, len(edges) // 2)]
    chance.shuffle(told)
    called = succession(edges)
    assert succession(told) == called
    assert not set(called.values()) & set(called)


def test_numbers_follow_one_another_and_come_back():
    assert succession([(("1",), "a", "b"), (("2",), "b", "c")]) == {"a": "c", "b": "c"}
    assert succession([(("1",), "b", "c"), (("2",), "a", "b")]) == {"a": "c", "b": "c"}
    assert succession([(("1",), "a", "b"), (("2",), "b", "a")]) == {"b": "a"}
