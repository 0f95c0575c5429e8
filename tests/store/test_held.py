"""Laws of what a unit of work holds back: it changes when something is written, never what."""

import itertools

import pytest
from empty_store import empty_store
from example_counts import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from store_samples import condition, goal, patient, plan, put, ref, task

from fhirgw.profiles.validation import problems
from fhirgw.store import repository, visits
from fhirgw.store.database import Database
from fhirgw.store.held import held
from fhirgw.store.schema import (
    guard_need,
    history,
    resource,
    search_date,
    search_reference,
    search_string,
    search_token,
)

VISIT = {
    "resourceType": "Encounter",
    "id": "e",
    "status": "finished",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    "subject": ref("Patient", "p"),
    "diagnosis": [{"condition": ref("Condition", "c")}, {"condition": ref("Condition", "d")}],
}
CIRCLE = (
    patient(),
    condition("c", "F10.20", encounter=ref("Encounter", "e")),
    condition("d", "J45.901", encounter=ref("Encounter", "e")),
    VISIT,
    goal("g", "I10", addresses=[ref("Condition", "c")]),
    plan("k", ["g"]),
    task("t", ref("Encounter", "e")),
    {**VISIT, "status": "in-progress"},
    condition("c", "J45.901", encounter=ref("Encounter", "e")),
)
"""Resources that refer to one another in a circle, and later versions of two of them."""

INDEX = (search_token, search_string, search_date, search_reference)


def written(database):
    """Everything but keys and instants; of guards, those that something is under."""
    with database.read() as connection:
        rows = {
            (row.type, row.id): (row.version, row.patient, row.labels, row.conf, row.elements, row.guard, row.body)
            for row in connection.execute(select(resource))
        }
        keys = {
            row.pk: (row.type, row.id)
            for row in connection.execute(select(resource.c.pk, resource.c.type, resource.c.id))
        }
        index = {
            (table.name, keys[row[1]], *row[2:]) for table in INDEX for row in connection.execute(select(table))
        }
        versions = {(row.type, row.id, row.version, row.body) for row in connection.execute(select(history))}
        needs = set(connection.execute(select(guard_need.c.guard)).scalars())
    assert {guard for *_, guard, _ in rows.values()} <= needs
    return rows, index, versions


@settings(max_examples=examples(20))
@given(st.permutations(CIRCLE), st.sets(st.integers(1, len(CIRCLE) - 1)))
def test_where_units_end_changes_nothing_that_is_written(tmp_path_factory, resources, ends):
    folder = tmp_path_factory.mktemp("held")
    found = []
    for name, cuts in (("each", range(1, len(resources))), ("some", sorted(ends))):
        database = Database(empty_store(folder / name))
        edges = [0, *cuts, len(resources)]
        for start, end in itertools.pairwise(edges):
            put(database, *resources[start:end])
        found.append(written(database))
        database.close()
    assert found[0] == found[1]


def test_whoever_takes_the_connection_sees_what_was_put(database):
    def unit(tx):
        repository.put(tx, patient())
        assert repository.present(tx, "Patient", "p") is not None
        return tx.direct.scalar(select(resource.c.id)), tx.connection.scalar(select(resource.c.id))

    assert database.write_sync(unit) == (None, "p")


def test_a_unit_that_fails_leaves_nothing_of_what_it_held(database):
    def unit(tx):
        repository.put(tx, patient())
        raise LookupError

    with pytest.raises(LookupError):
        database.write_sync(unit)
    assert written(database) == ({}, set(), set())


def test_a_deleted_resource_is_absent_in_the_unit_that_deleted_it(database):
    def unit(tx):
        repository.put(tx, goal("g", "I10"))
        repository.delete(tx, "Goal", "g")
        return repository.present(tx, "Goal", "g")

    assert database.write_sync(unit) is None


def test_what_a_fold_made_in_this_unit_is_known_before_it_is_written(database):
    def unit(tx):
        visits.swept(tx, "visit v", [], [("Patient", "p")])
        repository.put(tx, patient())
        return held(tx).read_folded("visit v"), held(tx).row(("Patient", "p")).version

    assert database.write_sync(unit) == ([("Patient", "p")], 1)


def test_an_element_found_without_fault_before_excuses_no_other_resource():
    inner = {"resourceType": "Practitioner", "id": "x"}
    whole = {**goal("g", "I10"), "contained": [inner], "expressedBy": {"reference": "#x"}}
    assert problems(whole) == []
    assert problems({**goal("g", "I10"), "expressedBy": {"reference": "#x"}}) != []
    assert problems({**goal("g", "I10"), "startDate": "2026-01-01"}) == []
    twice = {**goal("g", "I10"), "startDate": "2026-01-01", "startCodeableConcept": {"text": "now"}}
    assert problems(twice) != []
