"""What is hidden changes no answer of a search; patterns find what names find; reading and searching agree."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from empty_store import empty_store
from example_counts import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from searched_store import SUD, of_everybody, run
from store_samples import (
    CLEARED,
    ICD,
    INSIDE,
    SNOMED,
    condition,
    goal,
    outside,
    patient,
    plan,
    put,
    ref,
    sud,
    task,
)

from fhirgw.consent.pattern import Phase
from fhirgw.consent.predicate import TypeIn, both
from fhirgw.consent.redact import redact
from fhirgw.store import patterns, repository
from fhirgw.store.database import Database


def stay(logical, whose, where):
    return {
        "resourceType": "Encounter",
        "id": logical,
        "status": "finished",
        "class": {"code": "IMP"},
        "subject": ref("Patient", whose),
        "location": [{"location": ref("Location", where)}],
    }


HIDDEN = [
    goal("hg", SUD, target=[{"dueDate": "2020-01-01"}]),
    condition("hc", SUD, recordedDate="2020-01-01"),
    task("ht", ref("Goal", "hg")),
    stay("he", "q", "hl"),
]
VISIBLE = [
    patient("p"),
    patient("q"),
    {"resourceType": "Location", "id": "l", "name": "Ward", "status": "active"},
    {"resourceType": "Location", "id": "hl", "name": "Detox ward", "status": "active"},
    stay("e", "p", "l"),
    goal("g1", "I10"),
    goal("g2", "E11.9"),
    condition("c1", "I10", recordedDate="2026-01-01"),
    condition("c2", "E11.9"),
    {
        "resourceType": "CarePlan",
        "id": "k1",
        "meta": CLEARED,
        "status": "active",
        "intent": "plan",
        "subject": ref("Patient", "p"),
        "goal": [ref("Goal", "g1")],
    },
    plan("k2", []),
]


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two stores that differ in hidden resources, hidden elements and hidden edits alone."""
    stores = []
    for hidden in (False, True):
        address = empty_store(tmp_path_factory.mktemp("twin") / "store.db")
        fixed = [1_790_000_000_000_000]
        store = Database(address, clock=lambda fixed=fixed: fixed[0])
        for step, one in enumerate(VISIBLE):
            fixed[0] = 1_790_000_000_000_000 + step * 1_000_000
            put(store, one)
        put_patterns(store)
        if hidden:
            fixed[0] += 100_000_000
            put(store, *HIDDEN)
            put(store, plan("k1", ["hg", "g1"], addresses=[ref("Condition", "hc")]), plan("k2", ["hg"]))
            put(store, condition("hc", SUD, recordedDate="2021-01-01"))
        stores.append(store)
    yield stores
    for store in stores:
        store.close()


def put_patterns(store):
    """Of each of the two a pattern, which they had when the searches are made, and another before."""
    since = datetime(2026, 9, 1, tzinfo=UTC)
    for who in ("p", "q"):
        some = (Phase(None, since, "before"), Phase(since, None, f"of-{who}"))
        store.write_sync(lambda tx, who=who, some=some: patterns.keep(tx.connection, who, some))


codes = st.sampled_from([f"{ICD}|I10", "F11.20", f"{ICD}|", f"{SNOMED}|1"])
dates = st.sampled_from(["2026", "ne2026", "gt2020", "lt2021", "sa2020", "eb2026", "ap2026-01-01", "le2020-06"])
goals = st.sampled_from(["g1", "Goal/hg", "Goal/g2", "hg"])
SHAPES = {
    "CarePlan": [
        st.tuples(st.just("goal"), goals),
        st.tuples(st.just("goal:missing"), st.sampled_from(["true", "false"])),
        st.tuples(st.just("condition"), st.sampled_from(["hc", "Condition/c1"])),
        st.tuples(st.just("condition:missing"), st.just("false")),
        st.tuples(st.just("status:not"), st.sampled_from(["active", "draft"])),
        st.tuples(
            st.just("_include"), st.sampled_from(["CarePlan:goal", "CarePlan:condition", "CarePlan:patient"])
        ),
        st.tuples(st.just("_sort"), st.sampled_from(["goal", "-goal", "condition,-_id"])),
    ],
    "Goal": [
        st.tuples(st.just("target-date"), dates),
        st.tuples(st.just("target-date:missing"), st.just("true")),
        st.tuples(st.just("_sort"), st.sampled_from(["target-date", "-lifecycle-status"])),
    ],
    "Condition": [
        st.tuples(st.sampled_from(["code", "code:not"]), codes),
        st.tuples(st.just("recorded-date"), dates),
        st.tuples(st.just("_sort"), st.sampled_from(["recorded-date", "-code"])),
    ],
    "Task": [st.tuples(st.just("focus"), goals), st.tuples(st.just("focus:missing"), st.just("true"))],
    "Location": [st.tuples(st.just("name"), st.sampled_from(["w", "detox"]))],
    "Encounter": [
        st.tuples(st.just("location"), st.sampled_from(["l", "hl"])),
        st.tuples(st.just("_include"), st.just("Encounter:location")),
    ],
}
COMMON = [
    st.tuples(
        st.just("_lastUpdated"), st.sampled_from(["gt2026", "ge2026-09-21T13:54:00Z", "lt2026-09-21T13:54:00Z"])
    ),
    st.tuples(st.just("_sort"), st.sampled_from(["_lastUpdated", "-_lastUpdated", "-_id"])),
    st.tuples(st.just("_count"), st.sampled_from(["0", "1", "2", "50"])),
    st.tuples(st.just("_id"), st.sampled_from(["hg", "k1", "k1,hc,l,hl", "c1"])),
]


@st.composite
def searches(draw):
    kind = draw(st.sampled_from(sorted(SHAPES)))
    subject = [] if kind == "Location" else [st.tuples(st.just("patient"), st.sampled_from(["p", "q", "zz"]))]
    return kind, draw(st.lists(st.one_of(*SHAPES[kind], *COMMON, *subject), max_size=4))


def visible_answer(store, kind, asked, visibility):
    """Everything of a search that leaves the store, all pages of it."""
    answer, after = [], None
    while True:
        page = run(store, kind, *asked, visibility=visibility, after=after)
        for one in (*page.matches, *page.included):
            predicate = (
                visibility.predicate_for(one.patient) if one.standing == "member" else INSIDE.grants[0].predicate
            )
            body = redact(one.body, one.labels, predicate)
            assert body is not None, "selected, and then withheld: the page would be short"
            answer.append((one.type, one.id, one.updated_at, body))
        answer.append((page.total, page.after))
        after = page.after
        if after is None:
            return answer


@given(searches())
@settings(
    max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_hidden_data_changes_no_answer(twins, asked):
    """Law (non-interference): matches, order, totals, keys, instants and includes are those of the twin."""
    kind, parameters = asked
    types = TypeIn(frozenset({"CarePlan", "Goal", "Condition", "Task", "Patient", "Encounter"}))
    seen = outside("p", predicate=both([outside("p").grants[0].predicate, types]))
    plain, full = (visible_answer(store, kind, parameters, seen) for store in twins)
    assert full == plain
    assert visible_answer(twins[1], kind, parameters, of_everybody(seen)) == plain


@given(searches())
@settings(
    max_examples=examples(80), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_by_pattern_or_by_name_the_same_is_found(twins, asked):
    """Whether a statement names the patients, or joins the patterns of their policies."""
    kind, parameters = asked
    each = [outside("p"), outside("q", predicate=sud())]
    both_of_them = replace(each[0], grants=(*each[0].grants, *each[1].grants))
    for seen in (*each, both_of_them, outside("p", "q", types=["CarePlan", "Goal", "Encounter"])):
        by_name, by_pattern = (
            visible_answer(twins[1], kind, parameters, one) for one in (seen, of_everybody(seen))
        )
        assert by_pattern == by_name


@given(st.sampled_from([(one["resourceType"], one["id"]) for one in [*VISIBLE, *HIDDEN]]), st.booleans())
@settings(
    max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_read_and_search_agree(twins, which, wide):
    """A read shows exactly what a search by _id shows, instant included."""
    kind, logical = which
    for store in twins:
        for visibility in (INSIDE, outside("p", predicate=sud()) if wide else outside("p")):
            with store.read() as connection:
                one = repository.read(connection, kind, logical, visibility)
            assert run(store, kind, ("_id", logical), visibility=visibility).matches == ([one] if one else [])
