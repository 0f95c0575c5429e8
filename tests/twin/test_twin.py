"""Non-interference: what is hidden leaves no trace in any answer (consent specification, law (f) and §4).

Every world is asked some 400 things: what hypothesis draws, pages to their end, versions that histories name, and
every id of every type. ``TWIN_EXAMPLES=100000 pytest -m slow tests/twin`` asks so many in all.
"""

import asyncio
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from example_counts import examples
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twin_stores import (
    BASE,
    IDS,
    Twins,
    asks,
    bearer,
    claim,
    claim_signed,
    follow,
    over_http,
    requester,
    requesters,
    sweep,
)
from twin_worlds import Allowed, World, left, visible, worlds

from fhirgw.answer import show
from fhirgw.asks import History, NextPage, Read, Search, VRead
from fhirgw.consent.decide import decide
from fhirgw.consent.model import ConsentSettings
from fhirgw.consult import Consult
from fhirgw.document import Document, Presentation
from fhirgw.lookup import Match
from fhirgw.store import policy, repository
from fhirgw.store.database import migrate
from fhirgw.visibility import request_of

PER_WORLD = 60
ASKS = int(os.environ.get("TWIN_EXAMPLES", "8000"))
seen = Counter()


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    path = tmp_path_factory.mktemp("twin") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    return (tmp_path_factory.mktemp("world") for _ in count())


def thrifty(number):
    """Settings for examples that each are two stores: ``narrowed`` does what shrinking would."""
    return settings(
        max_examples=number, deadline=None, suppress_health_check=list(HealthCheck), database=None,
        phases=(Phase.generate,), print_blob=False, report_multiple_bugs=False,
    )  # fmt: skip


async def same(twins: Twins, who, ask) -> bytes | None:
    """The body of both answers, which are one; None where there is none."""
    ours, theirs = await twins.ask(who, ask)
    seen[type(ask).__name__] += 1
    assert theirs == ours, ask
    return ours[0] if isinstance(ours[0], bytes) else None


async def put_to_both(twins: Twins, requester, ask) -> None:
    body = await same(twins, requester, ask)
    if body is None or (isinstance(ask, Document) and ask.presentation is not Presentation.BUNDLE):
        return
    assert b"null" not in body
    answer = orjson.loads(body)
    if isinstance(ask, Search):
        await read_on(twins, requester, ask, body)
    for entry in answer.get("entry", ())[:3]:
        one = entry.get("resource", {})
        if answer["type"] == "history" and "id" in one:
            again = VRead(one["resourceType"], one["id"], one["meta"]["versionId"])
            await same(twins, requester, again)


async def read_on(twins: Twins, requester, ask: Search, body: bytes) -> None:
    """To the last page: every match comes once, and they are as many as the first page said."""
    found: list[str] = []
    total = orjson.loads(body)["total"]
    for _ in range(100):
        entries = orjson.loads(body).get("entry", ())
        matches = [one["fullUrl"] for one in entries if one["search"]["mode"] == "match"]
        found += matches
        token = follow(body)
        if token is None:
            break
        body = await same(twins, requester, NextPage(token))
    if ("_count", "0") not in ask.parameters:
        assert len(found) == len(set(found)) == total


@dataclass(frozen=True, repr=False)
class Trial:
    """A world, and what is asked of it."""

    world: World
    asked: list[tuple[Any, Any]]

    def __repr__(self) -> str:
        return "Trial"  # the report is ours: hypothesis would print pages


def fails(
    trial: Trial, folder: Path, template: Path, swept: Sequence[Any] = ()
) -> tuple[Any, AssertionError] | None:
    """The first ask that the stores answer differently."""
    twins = Twins(trial.world, folder, template)

    async def all_of_them() -> tuple[Any, AssertionError] | None:
        for asked in (*trial.asked, *((requester(), ask) for ask in swept)):
            try:
                await put_to_both(twins, *asked)
            except AssertionError as error:
                return asked, error
        return None

    try:
        return asyncio.run(all_of_them())
    finally:
        twins.close()


def narrowed(trial: Trial, folders, template: Path) -> Trial:
    """The same failure with as little of the world as possible: each step is left out that can be."""
    steps = list(trial.world.steps)
    for at in range(len(steps) - 1, -1, -1):
        fewer = replace(trial.world, steps=(*steps[:at], *steps[at + 1 :])).settled()
        if fails(replace(trial, world=fewer), next(folders), template):
            steps = list(fewer.steps)
    return replace(trial, world=replace(trial.world, steps=tuple(steps)))


def hold(trial: Trial, folders, template: Path) -> None:
    failed = fails(trial, next(folders), template, sweep())
    if failed:
        least = narrowed(replace(trial, asked=[failed[0]]), folders, template)
        failed = fails(least, next(folders), template)
        told = "\n".join(f"  {step}" for step in least.world.steps)
        allowed = {name: one.name for name, one in least.world.allowed.items()}
        pytest.fail(f"{failed[0]}\n{failed[1]}\n{allowed}\n{told}", pytrace=False)


@st.composite
def trials(draw: st.DrawFn) -> Trial:
    pairs = st.lists(st.tuples(requesters, asks), min_size=PER_WORLD // 2, max_size=PER_WORLD)
    return Trial(draw(worlds()), draw(pairs))


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
            assert asyncio.run(_inside(twins)) == {**Counter(name.split("/")[0] for name in left(world))}
        finally:
            twins.close()

    holds()


async def _inside(twins: Twins) -> dict[str, int]:
    totals = {}
    for kind in {name.split("/")[0] for name in left(twins.world)}:
        ours, _ = await twins.ask(requester("staff"), Search(kind, (("_count", "200"),)))
        bundle = orjson.loads(ours[0])
        assert bundle["total"] == len(bundle["entry"])
        totals[kind] = bundle["total"]
    return totals


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
                for method, url, more in _requests(ask):
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


def _requests(ask):
    match ask:
        case Read(type=kind, id=logical):
            yield "GET", f"/fhir/{kind}/{logical}", {}
            yield "HEAD", f"/fhir/{kind}/{logical}", {}
            yield "DELETE", f"/fhir/{kind}/{logical}", {}
            yield "POST", f"/fhir/{kind}/$validate", {"json": {"resourceType": kind, "id": logical}}
        case VRead(type=kind, id=logical, version=version):
            yield "GET", f"/fhir/{kind}/{logical}/_history/{version}", {}
        case History(type=kind, id=logical):
            yield "GET", f"/fhir/{kind}/{logical}/_history" if logical else f"/fhir/{kind}/_history", {}
        case Search(type=kind, parameters=parameters, by_post=True):
            yield "POST", f"/fhir/{kind}/_search", {"data": dict(parameters)}
        case Search(type=kind, parameters=parameters):
            yield "GET", f"/fhir/{kind}", {"params": parameters}
        case Document(id=logical, presentation=form, language=language, large=large):
            asked = {"_format": form, "language": language, "largePrint": str(large).lower()}
            yield "GET", f"/fhir/CarePlan/{logical}/$document", {"params": asked}
        case NextPage(token=token):
            yield "GET", f"/fhir?_page={token}", {}
        case Consult():
            yield from _consulted(ask)
        case Match(patient=patient, count=most):
            asked = [{"name": "resource", "resource": patient}, {"name": "count", "valueInteger": most}]
            yield "POST", "/fhir/Patient/$match", {"json": {"resourceType": "Parameters", "parameter": asked}}


def _consulted(ask: Consult):
    """The question by one of its two faces."""
    if ask.patient.startswith("Patient/"):
        named = {"patient": ask.patient, **({"resource": ask.resource} if ask.resource else {})}
        asked = [{"name": name, "valueReference": {"reference": one}} for name, one in named.items()]
        body = {"resourceType": "Parameters", "parameter": asked}
        yield "POST", "/fhir/$consent-decision", {"json": body}
    else:
        system, _, value = ask.patient.partition("|")
        context = {"patientId": [{"system": system, "value": value}], "class": [{"code": one} for one in ask.kinds]}
        body = {"hook": "patient-consent-consult", "hookInstance": "1", "context": context}
        yield "POST", "/cds-services/patient-consent-consult", {"json": body}


async def _same_reply(twins: Twins, method: str, url: str, **more) -> None:
    headers = bearer("elm", "TREAT", twins.whole.now)
    ours = await over_http(twins.whole, method, url, headers, **more)
    theirs = await over_http(twins.twin, method, url, headers, **more)
    assert theirs == ours, url
    assert ours[0] in ((403,) if method == "DELETE" else (200, 400, 404)), ours
    onward = re.search(rb'"relation":"next","url":"([^"]+)"', ours[2])
    if onward:
        await _same_reply(twins, "GET", onward[1].decode().replace(BASE, "/fhir"))
