"""Search: FHIR's parameters, and nothing of what is hidden — in matches, totals, order, pages or includes."""

import random

import pytest
from searched_store import BASE, SUD, ids, of_everybody, run
from sqlalchemy import event
from store_samples import (
    ICD,
    INSIDE,
    condition,
    goal,
    outside,
    patient,
    plan,
    put,
    sud,
)

from fhirgw.consent.predicate import Grant, Visibility
from fhirgw.errors import InvalidElement, NotSupported
from fhirgw.store import policy, repository, search


@pytest.fixture
def people(database):
    put(
        database,
        patient(
            "ana", "Núñez", identifier=[{"system": "urn:mrn", "value": "1"}], gender="female", birthDate="1970-05"
        ),
        patient("bo", "Nunn", identifier=[{"value": "1"}], birthDate="1970-05-20"),
        patient("cy", "O'Neil", identifier=[{"system": "urn:mrn", "value": "2,3"}], birthDate="1980"),
    )
    return database


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([], ["ana", "bo", "cy"]),
        ([("_id", "ana,cy,zz")], ["ana", "cy"]),
        ([("identifier", "1")], ["ana", "bo"]),
        ([("identifier", "urn:mrn|1")], ["ana"]),
        ([("identifier", "|1")], ["bo"]),
        ([("identifier", "urn:mrn|")], ["ana", "cy"]),
        ([("identifier", r"urn:mrn|2\,3")], ["cy"]),
        ([("identifier", "urn:mrn|1,urn:mrn|9")], ["ana"]),
        ([("gender:not", "female")], ["bo", "cy"]),
        ([("gender:missing", "true")], ["bo", "cy"]),
        ([("gender:missing", "false")], ["ana"]),
        ([("family", "nun")], ["ana", "bo"]),
        ([("family", "NÚÑ")], ["ana", "bo"]),
        ([("family:exact", "Núñez")], ["ana"]),
        ([("family:exact", "Nunez")], []),
        ([("family:contains", "EI")], ["cy"]),
        ([("family:contains", "%")], []),
        ([("name", "ana")], ["ana", "bo", "cy"]),
        ([("name", "ana"), ("family", "nunn")], ["bo"]),
        ([("birthdate", "1970")], ["ana", "bo"]),
        ([("birthdate", "1970-05-20")], ["bo"]),
        ([("birthdate", "ne1970")], ["cy"]),
        ([("birthdate", "gt1970-05-25")], ["ana", "cy"]),
        ([("birthdate", "lt1970-05-20")], ["ana"]),
        ([("birthdate", "ge1970-05"), ("birthdate", "le1979")], ["ana", "bo"]),
        ([("birthdate", "sa1970-05")], ["cy"]),
        ([("birthdate", "eb1980")], ["ana", "bo"]),
        ([("birthdate", "ap1970-05-21")], ["ana", "bo"]),
        ([("birthdate", "1960,1980")], ["cy"]),
        ([("_lastUpdated", "ge2026")], ["ana", "bo", "cy"]),
        ([("_lastUpdated", "lt2026")], []),
        ([("_sort", "family,_id")], ["ana", "bo", "cy"]),
        ([("_sort", "-family")], ["cy", "bo", "ana"]),
        ([("_sort", "-birthdate")], ["cy", "bo", "ana"]),
        ([("_sort", "gender,-_id")], ["ana", "cy", "bo"]),
        ([("_count", "0")], []),
    ],
)
def test_parameters_and_modifiers(people, asked, expected):
    """As R4 search.html says of each."""
    page = run(people, "Patient", *asked)
    assert [one.id for one in page.matches] == expected
    if ("_count", "0") not in asked:
        assert page.total == len(expected)


@pytest.mark.parametrize("value", ["Patient/ana", "ana", f"{BASE}/Patient/ana", "Patient/ana/_history/1"])
def test_references_in_every_form(people, value):
    """By id, by type and id, by our own absolute URL; and patient is subject."""
    put(people, goal("g", "I10", who="ana"), goal("h", "I10", who="bo"))
    assert ids(people, "Goal", ("patient", value)) == ["g"]
    assert ids(people, "Goal", ("subject:Patient", "ana")) == ["g"]
    assert ids(people, "Goal", ("subject", "https://other.example/fhir/Patient/ana")) == []


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (("colour", "x"), NotSupported),
        (("_security", "x"), NotSupported),
        (("_tag", "x"), NotSupported),
        (("_sort", "colour"), NotSupported),
        (("name:above", "x"), NotSupported),
        (("general-practitioner.name", "x"), NotSupported),
        (("general-practitioner:Nobody", "x"), NotSupported),
        (("_lastUpdated:missing", "true"), NotSupported),
        (("birthdate", "yesterday"), InvalidElement),
        (("birthdate", "gt"), InvalidElement),
        (("gender", ""), InvalidElement),
        (("identifier", "|"), InvalidElement),
        (("identifier", "a|b|c"), InvalidElement),
        (("gender:missing", "maybe"), InvalidElement),
        (("_count", "-1"), InvalidElement),
        (("_total", "some"), InvalidElement),
        (("_include", "Goal:subject"), InvalidElement),
        (("_include", "Patient:name"), InvalidElement),
        (("general-practitioner", "a/b"), InvalidElement),
    ],
)
def test_what_is_refused(asked, error):
    """The same way for everybody: before any data is looked at, and without repeating the value."""
    with pytest.raises(error) as caught:
        search.parse("Patient", [asked], strict=True)
    assert caught.value.location
    assert "yesterday" not in caught.value.text


def test_lenient_handling_reports_what_was_ignored():
    """Unknown parameters are named once; unknown modifiers are errors all the same."""
    query = search.parse("Patient", [("colour", "x"), ("colour", "y"), ("gender", "female")], strict=False)
    assert (query.ignored, len(query.clauses)) == (("colour",), 1)
    with pytest.raises(NotSupported):
        search.parse("Patient", [("name:above", "x")], strict=False)
    assert search.parse("Patient", [("_count", "9999")], strict=True).count == 200


def test_an_element_is_found_only_by_who_may_see_it(database):
    """A plan's hidden goal is no way to find the plan, to sort it, to miss it or to include it."""
    put(database, patient(), goal("g", "I10"), goal("h", SUD), plan("c", ["h", "g"]), plan("d", ["h"]))
    seen, more = outside("p"), outside("p", predicate=sud())
    assert ids(database, "CarePlan", ("goal", "h"), visibility=seen) == []
    assert ids(database, "CarePlan", ("goal", "h"), visibility=more) == ["c", "d"]
    assert ids(database, "CarePlan", ("goal:missing", "true"), visibility=seen) == ["d"]
    assert ids(database, "CarePlan", ("_sort", "goal"), visibility=seen) == ["c", "d"]
    assert ids(database, "CarePlan", ("_sort", "-goal,-_id"), visibility=more) == ["d", "c"]
    page = run(database, "CarePlan", ("_include", "CarePlan:goal"), visibility=seen)
    assert [one.id for one in page.included] == ["g"]
    page = run(database, "CarePlan", ("_include", "CarePlan:goal"), visibility=more)
    assert [one.id for one in page.included] == ["g", "h"]


def test_a_type_that_is_not_released_is_not_included(database):
    """An include shows what a read would: goals, if goals are released."""
    put(database, patient(), goal("g", "I10"), plan("c", ["g"]))
    asked = (("patient", "p"), ("_include", "CarePlan:goal"), ("_include", "CarePlan:patient"))
    page = run(database, "CarePlan", *asked, visibility=outside("p", types=["CarePlan"]))
    assert ([one.id for one in page.matches], page.included) == (["c"], [])
    page = run(database, "CarePlan", *asked)
    assert [(one.type, one.id) for one in page.included] == [("Goal", "g"), ("Patient", "p")]
    page = run(database, "CarePlan", ("_include", "CarePlan:subject:Group"))
    assert page.included == []


def test_pages_are_the_whole_in_order(database):
    """Whatever the page size and the sort, with ties and missing keys: the pages joined are the one long page."""
    numbers = random.Random(1)
    put(
        database,
        patient(),
        *(
            condition(
                f"c{n}",
                numbers.choice(["I10", "E11.9", SUD]),
                **numbers.choice(
                    [
                        {},
                        {"recordedDate": "2026-01"},
                        {"recordedDate": "2026-02-03"},
                        {"recordedDate": "2025"},
                    ]
                ),
            )
            for n in range(30)
        ),
    )
    for visibility in (INSIDE, outside("p")):
        for sort in ("recorded-date", "-recorded-date", "code,-recorded-date", "-_lastUpdated", "-_id"):
            whole = run(database, "Condition", ("_sort", sort), ("_count", "200"), visibility=visibility)
            for count in ("1", "7"):
                found, after = [], None
                while True:
                    asked = (("_sort", sort), ("_count", count))
                    page = run(database, "Condition", *asked, visibility=visibility, after=after)
                    assert page.total == whole.total == len(whole.matches)
                    found += [one.id for one in page.matches]
                    after = page.after
                    if after is None:
                        break
                assert found == [one.id for one in whole.matches]


def test_a_new_page_sees_the_new_policy(database):
    """The key of a page opens nothing: the next page is computed for what is visible now."""
    put(database, patient(), *(condition(f"c{n}", "I10") for n in range(5)))
    first = run(database, "Condition", ("_count", "2"), visibility=outside("p"))
    later = run(database, "Condition", ("_count", "2"), visibility=outside(), after=first.after)
    assert (later.matches, later.total, later.after) == ([], 0, None)


def test_staff_of_a_programme_see_its_members(database):
    """Grants by programme follow enrolment."""
    put(database, patient("p"), patient("q"))
    database.write_sync(lambda tx: policy.enrol(tx, "q", "husky", "active"))
    grant = Grant(None, frozenset({"husky"}), INSIDE.grants[0].predicate)
    staff = Visibility((grant,), inside=True, revision=0, label_table="")
    assert ids(database, "Patient", visibility=staff) == ["q"]
    with database.read() as connection:
        assert repository.read(connection, "Patient", "p", staff) is None
        assert repository.read(connection, "Patient", "q", staff) is not None


def test_each_patient_by_their_own_consent(database):
    """Grants with different predicates do not lend each other what they show, rows included."""
    for who in ("p", "q"):
        put(database, patient(who), goal(f"h{who}", SUD, who=who), plan(f"c{who}", [f"h{who}"], who=who))
    seen = Visibility(
        (*outside("p").grants, *outside("q", predicate=sud()).grants), inside=False, revision=0, label_table=""
    )
    assert ids(database, "CarePlan", visibility=seen) == ["cp", "cq"]
    assert ids(database, "Goal", visibility=seen) == ["hq"]
    assert ids(database, "CarePlan", ("goal", "Goal/hp,Goal/hq"), visibility=seen) == ["cq"]
    assert ids(database, "CarePlan", ("goal:missing", "true"), visibility=seen) == ["cp"]


# Plans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "asked", "index"),
    [
        ("Condition", ("code", f"{ICD}|I10"), "ix_search_token_type_param_code_system"),
        ("Patient", ("identifier", "urn:mrn|1"), "ix_search_token_type_param_code_system"),
        ("Condition", ("patient", "p"), "ix_search_reference_type_param_target_id_target_type"),
        ("Patient", ("family", "nu"), "ix_search_string_type_param_value"),
        ("Condition", ("recorded-date", "2026-01-01"), "ix_search_date_type_param_low_high"),
        ("Condition", ("_id", "c"), "uq_resource_type_id"),
    ],
)
@pytest.mark.parametrize("visibility", [INSIDE, outside("p"), outside("p", "q"), of_everybody(outside("p", "q"))])
def test_searches_use_an_index(database, kind, asked, index, visibility):
    """No search scans an index table, the resources or the guards."""
    statements: list[str] = []

    def listen(connection, *_):
        connection.set_trace_callback(statements.append)

    event.listen(database._readers, "connect", listen)
    put(database, patient(identifier=[{"system": "urn:mrn", "value": "1"}]), condition("c", "I10"))
    run(database, kind, asked, visibility=visibility)
    with database.read() as connection:
        selects = [one for one in statements if one.startswith(("SELECT", "WITH"))]
        plans = [row[3] for one in selects for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}")]
    scans = [one for one in plans if one.startswith("SCAN") and "VIRTUAL TABLE" not in one]
    assert [one for one in scans if "anon" not in one and one not in ("SCAN found", "SCAN lead")] == []
    assert any(index in one for one in plans) or asked[0] == "_id"
