"""Rows 30, 35 and 36: what is logged and counted of the asks is the same with and without what is hidden.

Times apart: those are measured (docs/measurements.md), and never asserted.
"""

import asyncio

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from twin_asks import asks
from twin_histories import worlds
from twin_stores import Twins, bearer, over_http, requester
from twin_surroundings import CLEARED
from twin_trials import requests_of, thrifty
from twin_worlds import PATIENTS, Allowed, World

from fhirgw import metrics
from fhirgw.asks import Read, Search
from fhirgw.errors import NotFound
from fhirgw.store import repository

SPEAKS_OF_TIME = ("_sum", "_bucket", "_created")
SECRET = "Tmotwordofthefile"


def counted():
    """Every counter, but those of time."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if not sample.name.endswith(SPEAKS_OF_TIME)
    }


async def traces(gateway, asked):
    """What is logged and counted of the asks: no time in it."""
    before = counted()
    headers = bearer("elm", "TREAT", gateway.now)
    with capture_logs() as lines:
        for ask in asked:
            for method, url, more in requests_of(ask):
                await over_http(gateway, method, url, headers, **more)
    logged = [{name: value for name, value in line.items() if name != "milliseconds"} for line in lines]
    after = counted()
    return logged, {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}


def test_logs_and_counters_are_those_of_a_store_without_what_is_hidden(template, folders):
    logged = 0

    @thrifty(5)
    @given(worlds(), st.lists(asks, min_size=40, max_size=60))
    def holds(world, asked):
        nonlocal logged
        twins = Twins(world, next(folders), template)

        async def both():
            return await traces(twins.whole, asked), await traces(twins.twin, asked)

        try:
            ours, theirs = asyncio.run(both())
        finally:
            twins.close()
        assert ours == theirs
        logged += len(ours[0])

    holds()
    assert logged > 100


def test_no_log_line_holds_what_was_asked_or_shown(template, folders):
    """Ids, values and names that the twins' asks use are in their URLs, and in no line."""

    @thrifty(2)
    @given(worlds(), st.lists(asks, min_size=40, max_size=60))
    def holds(world, asked):
        twins = Twins(world, next(folders), template)
        try:
            lines, samples = asyncio.run(traces(twins.whole, asked))
        finally:
            twins.close()
        for line in lines:
            assert line.keys() <= {"event", "log_level", "request_id", "method", "route", "status", "client"}
            assert line["client"] in ("elm", None)
        assert {name for _, labels in samples for name, _ in labels} <= {"route", "method", "status"}

    holds()


# --- attachments (row 30) -----------------------------------------------------------------------------------------


def document(logical, code, **more):
    return {
        "resourceType": "DocumentReference", "id": logical, "status": "current",
        "subject": {"reference": "Patient/p1"},
        "category": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]}],
        "content": [{"attachment": {"title": SECRET, "hash": "AAAA", "size": 4711, "url": "Binary/b"}}],
    } | more  # fmt: skip


BINARY = {"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "AAAA",
          "securityContext": {"reference": "Patient/p1"}}  # fmt: skip


@pytest.fixture
def twins(template, folders):
    """Two stores, of which one has a file that nobody reviewed and one of substance use."""
    permissive = Allowed("normal", frozenset())
    made = Twins(World((), dict.fromkeys(PATIENTS, permissive)), next(folders), template)
    hidden = [BINARY, document("unread", "E11.9"), document("sud", "F11.20", meta={"tag": [CLEARED]})]
    made.whole.database.write_sync(lambda tx: [repository.put(tx, one) for one in hidden])
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["DocumentReference", "Binary"])
async def test_neither_a_hidden_file_nor_its_title_size_or_hash_shows(twins, kind):
    for ask in (Search(kind, ()), Search(kind, (("_sort", "-_lastUpdated"),))):
        ours, theirs = await twins.ask(requester(), ask)
        assert ours == theirs
    for logical in ("unread", "sud", "b"):
        ours, theirs = await twins.ask(requester(), Read(kind, logical))
        assert ours == theirs
        with pytest.raises(NotFound):
            await twins.whole.share.release(requester(), Read(kind, logical))
    inside = await twins.whole.share.release(requester("staff"), Search("DocumentReference", ()))
    assert orjson.loads(inside.body)["total"] == 2
    assert SECRET.encode() in inside.body
