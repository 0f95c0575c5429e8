"""The minimum necessary leaves no trace of what it cuts: non-interference for a recipient that is narrowed."""

import asyncio
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from twin_asks import sweep
from twin_histories import worlds
from twin_stores import LEAST, Twins, requester
from twin_trials import put_to_both, same, thrifty, trials
from twin_worlds import SCENARIOS, Put, World

from fhirgw.asks import Read, Search
from fhirgw.consent.minimum import is_kept

PAYER = requester("payer")


def narrowed(world: World) -> World:
    """The world as the profile leaves it: other types never were, and other elements were never said."""
    steps = [replace(step, version=_cut(step.version)) if isinstance(step, Put) else step for step in world.steps]
    allowed = {
        patient: replace(one, types=LEAST.types if one.types is None else one.types & LEAST.types)
        for patient, one in world.allowed.items()
    }
    return World(tuple(steps), allowed).settled()


def _cut(version):
    def kept(name):
        return is_kept(LEAST, version.kind, name)

    base = {name: value for name, value in version.base.items() if kept(name)}
    return replace(version, base=base, parts=tuple(part for part in version.parts if kept(part.name)))


def decided_by_labels(world: World) -> World:
    """Whether a code is anywhere in a resource is decided on the whole of it: not a matter of what is cut."""
    wide = next(one for one in SCENARIOS if one.name == "several")
    return replace(world, allowed={who: wide if one.name == "code" else one for who, one in world.allowed.items()})


def test_what_is_cut_changes_no_answer(template, folders):
    refused = 0

    @thrifty(2)
    @given(trials())
    def holds(trial):
        nonlocal refused
        world = decided_by_labels(trial.world)
        twins = Twins(world, next(folders), template, narrowed(world))

        async def all_of_them():
            nonlocal refused
            for ask in (*(ask for _, ask in trial.asked), *sweep()):
                refused += isinstance(ask, Search) and await same(twins, PAYER, ask) is None
                await put_to_both(twins, PAYER, ask)

        try:
            asyncio.run(all_of_them())
        except AssertionError as error:
            pytest.fail(str(error), pytrace=False)  # hypothesis would print the world
        finally:
            twins.close()

    holds()
    assert refused


def test_what_is_left_is_what_the_profile_says(template, folders):
    """And something is cut, so that the agreement of the stores means something."""
    cut = 0

    @thrifty(3)
    @given(worlds())
    def holds(world):
        nonlocal cut
        twins = Twins(world, next(folders), template)

        async def both():
            nonlocal cut
            for kind in ("Patient", "Encounter", "Condition", "CarePlan", "Goal", "Observation"):
                ours, _ = await twins.ask(PAYER, Search(kind, (("_count", "200"),)))
                wide, _ = await twins.ask(requester(), Search(kind, (("_count", "200"),)))
                shown = [one["resource"] for one in orjson.loads(ours[0]).get("entry", ())]
                whole = {one["resource"]["id"]: one["resource"] for one in orjson.loads(wide[0]).get("entry", ())}
                for one in shown:
                    names = {name for name in whole[one["id"]] if name == "meta" or is_kept(LEAST, kind, name)}
                    assert one.keys() == names
                    assert ("lastUpdated" in one["meta"]) is (kind == "Goal")
                    cut += one.keys() < whole[one["id"]].keys()
                assert len(shown) == (len(whole) if LEAST.has(kind) else 0)

        try:
            asyncio.run(both())
        finally:
            twins.close()

    holds()
    assert cut


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (("family", "doep1"), 0),
        (("birthdate", "ge1900"), 0),
        (("birthdate:missing", "true"), 1),
        (("identifier", "p1"), 1),
    ],
)
def test_a_search_by_what_is_cut_is_a_search_of_what_has_none(template, folders, asked, found):
    @thrifty(1)
    @given(worlds())
    def holds(drawn):
        normal = next(one for one in SCENARIOS if one.name == "several")
        none = next(one for one in SCENARIOS if one.name == "none")
        world = replace(drawn, allowed={"p1": normal, "p2": none, "p3": none})
        twins = Twins(world, next(folders), template)
        try:
            ours, _ = asyncio.run(twins.ask(PAYER, Search("Patient", (asked,))))
            wide, _ = asyncio.run(twins.ask(requester(), Read("Patient", "p1")))
        finally:
            twins.close()
        assert orjson.loads(ours[0])["total"] == found * isinstance(wide[0], bytes)

    holds()
