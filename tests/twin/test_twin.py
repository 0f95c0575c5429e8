"""Non-interference: what is hidden leaves no trace in any answer (consent specification, law (f) and §4).

Every world is asked some 400 things: what hypothesis draws, pages to their end, versions that histories name, and
every id of every type. ``TWIN_EXAMPLES=100000 pytest -m slow tests/twin`` asks so many in all.
"""

import asyncio
import os
import re
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from example_counts import examples
from hypothesis import given
from hypothesis import strategies as st
from twin_asks import IDS, asks, sweep
from twin_histories import worlds
from twin_stores import BASE, Twins, bearer, claim, claim_signed, over_http, requester
from twin_trials import hold, put_to_both, requests_of, same, thrifty, trials
from twin_worlds import Allowed, left, visible

from fhirgw.answer import show
from fhirgw.asks import Read, Search
from fhirgw.consent.decide import decide
from fhirgw.consent.model import ConsentSettings
from fhirgw.store import policy, repository
from fhirgw.visibility import request_of

ASKS = int(os.environ.get("TWIN_EXAMPLES", "8000"))


@pytest.mark.hypothesis
def test_a_hidden_thing_changes_no_answer(template, folders):
    @thrifty(examples(12))
    @given(trials())
    def holds(trial):
        hold(trial, folders, template)

    holds()


@pytest.mark.slow
def test_a_hidden_thing_changes_none_of_very_many_answers(template, folders):
    @thrifty(max(1, ASKS // 400))
    @given(trials())
    def holds(trial):
        hold(trial, folders, template)

    holds()


@pytest.mark.hypothesis
def test_what_is_released_is_what_the_specification_and_the_decision_say(template, folders):
    """Agreement: over every resource the words of the world, ``decide``, and ``Share`` say the same.

    And the two stores differ, so that their agreement means something.
    """
    differing, tried = 0, examples(16)

    @thrifty(tried)
    @given(worlds())
    def holds(world):
        nonlocal differing
        twins = Twins(world, next(folders), template)
        try:
            expected = {name for name, version in left(world).items() if visible(world, version)}
            assert asyncio.run(_released(twins, left(world))) == expected
            assert _decided(twins) == expected
            differing += len(expected) < len(left(world))
        finally:
            twins.close()

    holds()
    assert differing >= tried // 2


async def _released(twins: Twins, references) -> set[str]:
    found = set()
    for reference in references:
        ours, _ = await twins.ask(requester(), Read(*reference.split("/")))
        if isinstance(ours[0], bytes):
            found.add(reference)
    return found


def _decided(twins: Twins) -> set[str]:
    found = set()
    share = twins.whole.share
    with twins.whole.database.read() as connection:
        visibility = share.visibilities.of(connection, requester(), twins.whole.now)
        request = request_of(connection, requester(), datetime.fromtimestamp(twins.whole.now / 1e6, UTC))
        for one in policy.load(connection, set(twins.world.allowed)):
            for stored in repository.compartment(connection, one.patient):
                decision = decide(request, stored.body, stored.labels, one, ConsentSettings())
                if decision.effect == "PERMIT" and show(stored, visibility):
                    found.add(f"{stored.type}/{stored.id}")
    return found


def test_inside_the_programme_nothing_is_hidden(template, folders):
    """The programme's own staff read all of the store with everything."""

    @thrifty(3)
    @given(worlds())
    def holds(world):
        twins = Twins(world, next(folders), template)
        try:
            assert asyncio.run(_inside(twins)) == set(left(world))
        finally:
            twins.close()

    holds()


async def _inside(twins: Twins) -> set[str]:
    """All that the staff find, but for their own work about Consents, which no world tells of."""
    found = set()
    for kind in {name.split("/")[0] for name in left(twins.world)}:
        ours, _ = await twins.ask(requester("staff"), Search(kind, (("_count", "200"),)))
        bundle = orjson.loads(ours[0])
        assert bundle["total"] == len(bundle["entry"])
        resources = [entry["resource"] for entry in bundle["entry"]]
        found |= {f"{kind}/{one['id']}" for one in resources if not is_about_a_consent(one)}
    return found


def is_about_a_consent(resource) -> bool:
    return resource.get("focus", {}).get("reference", "").startswith("Consent/")


@pytest.mark.hypothesis
def test_over_http_both_stores_answer_alike(template, folders):
    """Status, headers and bytes, through the application."""

    @thrifty(examples(8))
    @given(worlds(), st.lists(asks, min_size=40, max_size=60))
    def holds(world, asked):
        twins = Twins(world, next(folders), template)

        async def all_of_them():
            for name in ("elm", "oak"):  # who may not claim, and who may
                for patient in IDS["Patient"]:
                    form = claim_signed(name, patient, twins.whole.now)
                    await _same_reply(twins, "POST", "/auth/token", data=form)
            for ask in asked:
                for method, url, more in requests_of(ask):
                    await _same_reply(twins, method, url, **more)

        try:
            asyncio.run(all_of_them())
        finally:
            twins.close()

    holds()


def test_a_claim_by_whom_the_patient_refused_opens_nothing(template, folders):
    """Dr Barker claims an emergency about each patient, whose refusal names him; and about nobody."""

    @thrifty(1)
    @given(worlds(), st.sampled_from(["refusal", "dv"]))
    def holds(world, kind):
        refusing = replace(world, allowed=dict.fromkeys(world.allowed, Allowed(kind, None))).settled()
        twins = Twins(refusing, next(folders), template)

        async def all_of_them():
            for patient in IDS["Patient"]:
                barker = requester("oak", "BTG", claim=claim(patient, now=twins.whole.now))
                for ask in sweep():
                    await put_to_both(twins, barker, ask)
                assert orjson.loads(await same(twins, barker, Search("Patient", ())))["total"] == 0

        try:
            asyncio.run(all_of_them())
        finally:
            twins.close()

    holds()


async def _same_reply(twins: Twins, method: str, url: str, **more) -> None:
    headers = bearer("elm", "TREAT", twins.whole.now)
    ours = await over_http(twins.whole, method, url, headers, **more)
    theirs = await over_http(twins.twin, method, url, headers, **more)
    assert theirs == ours, url
    assert ours[0] in ((403,) if method == "DELETE" else (200, 400, 404)), ours
    onward = re.search(rb'"relation":"next","url":"([^"]+)"', ours[2])
    if onward:
        await _same_reply(twins, "GET", onward[1].decode().replace(BASE, "/fhir"))
