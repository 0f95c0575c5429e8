"""Trials of two stores: what is drawn, asked of both and held against each other; over HTTP, too."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from twin_asks import asks, follow, requesters, sweep
from twin_histories import worlds
from twin_stores import Twins, requester
from twin_worlds import World

from fhirgw.asks import History, NextPage, Read, Search, VRead
from fhirgw.consult import Consult
from fhirgw.document import Document, Presentation
from fhirgw.lookup import Match

PER_WORLD = 60


def thrifty(number):
    """Settings for examples that each are two stores: ``narrowed`` does what shrinking would."""
    return settings(
        max_examples=number, deadline=None, suppress_health_check=list(HealthCheck), database=None,
        phases=(Phase.generate,), print_blob=False, report_multiple_bugs=False,
    )  # fmt: skip


async def same(twins: Twins, who, ask) -> bytes | None:
    """The body of both answers, which are one; None where there is none."""
    ours, theirs = await twins.ask(who, ask)
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


def requests_of(ask):
    """Over HTTP: method, URL, and what httpx takes beside them."""
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
