"""What is stored: versions, compartments, labels that follow their sources, and what outsiders see of it."""

import pytest
from store_samples import (
    CLEARED,
    INSIDE,
    SNOMED,
    condition,
    consent,
    goal,
    outside,
    patient,
    plan,
    put,
    ref,
    sud,
    task,
)

from fhirgw.consent.vocabulary import BITS, UNREADABLE
from fhirgw.errors import InvalidElement, VersionConflict
from fhirgw.store import repository, versions

SUD = "F11.20"


def read(database, kind, logical, visibility=INSIDE):
    with database.read() as connection:
        return repository.read(connection, kind, logical, visibility)


def history(database, kind, logical=None, visibility=INSIDE):
    with database.read() as connection:
        return versions.kept_versions(connection, kind, logical, visibility)


def test_a_version_for_each_change_and_none_without(database, clock):
    """The same content again is a no-op, whatever its meta says; other content is the next version."""
    first = put(database, patient())[0]
    clock.tick()
    again = put(database, {**patient(), "meta": {**CLEARED, "versionId": "9", "lastUpdated": "2020-01-01"}})[0]
    changed = put(database, patient(family="Other"))[0]
    assert (first.version, again.version, changed.version) == (1, 1, 2)
    assert again.updated_at == first.updated_at < changed.updated_at
    assert [one.version for one in history(database, "Patient", "p")] == [2, 1]
    assert changed.body["meta"]["versionId"] == "2"


def test_if_match_must_be_current(database):
    """An update of another version than the current, or of nothing, is a conflict and changes nothing."""
    with pytest.raises(VersionConflict):
        put(database, patient(), if_match=1)
    put(database, patient())
    with pytest.raises(VersionConflict):
        put(database, patient(family="X"), if_match=2)
    assert put(database, patient(family="X"), if_match=1)[0].version == 2


def test_deleting_leaves_a_version_without_content(database):
    """Inside it is deleted, outside it never was; written again it goes on counting."""
    put(database, patient(), goal("g", SUD))
    gone = database.write_sync(lambda tx: repository.delete(tx, "Goal", "g"))
    assert (gone.version, gone.deleted) == (2, True)
    assert read(database, "Goal", "g").deleted
    assert read(database, "Goal", "g", outside("p", predicate=sud())) is None
    assert database.write_sync(lambda tx: repository.delete(tx, "Goal", "g")) is None
    assert put(database, goal("g", SUD))[0].version == 3
    assert [one.deleted for one in history(database, "Goal", "g")] == [False, True, False]


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (patient(), ("p", "member")),
        (task("t", ref("CarePlan", "c")), ("p", "member")),
        (
            {"resourceType": "Provenance", "id": "v", "target": [ref("Goal", "g"), ref("Patient", "p")]},
            ("p", "member"),
        ),
        (
            {"resourceType": "Provenance", "id": "v", "target": [ref("Goal", "g"), ref("Goal", "q")]},
            (None, "several"),
        ),
        ({"resourceType": "Provenance", "id": "v", "target": [ref("Organization", "o")]}, (None, "several")),
        (
            {"resourceType": "Account", "id": "a", "subject": [ref("Patient", "p"), ref("Patient", "q")]},
            (None, "several"),
        ),
        (
            {"resourceType": "Goal", "id": "x", "subject": {"reference": "https://a.example/Patient/p"}},
            (None, "several"),
        ),
        ({"resourceType": "Goal", "id": "x"}, (None, "several")),
        ({"resourceType": "Organization", "id": "o"}, (None, "derived")),
        ({"resourceType": "Questionnaire", "id": "o"}, (None, "registry")),
    ],
)
def test_the_compartment_of_a_resource(database, resource, expected):
    """One patient: theirs. Several, or one who cannot be named: nobody's outside. None at all: by type."""
    put(database, patient(), patient("q"), goal("g", "I10"), goal("q", "I10", who="q"))
    stored = put(database, resource)[0]
    assert (stored.patient, stored.standing) == expected


def test_a_standing_must_fit_the_type(database):
    """No caller can make a member's resource public; a registered organization stays registered."""
    with pytest.raises(InvalidElement):
        put(database, patient(), standing="registry")
    put(database, {"resourceType": "Organization", "id": "o"}, standing="registry")
    assert put(database, {"resourceType": "Organization", "id": "o", "name": "A"})[0].standing == "registry"


def test_labels_follow_what_is_referred_to(database):
    """A Task about a substance-use Goal is labelled so, whichever is stored first, and again when that changes."""
    put(database, patient(), task("t", ref("Goal", "g")))
    assert read(database, "Task", "t").labels.labels & UNREADABLE
    put(database, goal("g", SUD))
    assert read(database, "Task", "t").labels.labels & BITS["OPIOIDUD"]
    assert read(database, "Task", "t", outside("p")) is None
    put(database, goal("g", "I10"))
    assert read(database, "Task", "t").labels.labels == 0
    assert read(database, "Task", "t", outside("p")) is not None
    assert read(database, "Task", "t").version == 1


def test_labels_of_the_source_are_kept(database):
    """What a Part 2 programme sent stays theirs when it is labelled anew."""
    put(database, patient())
    put(database, task("t", ref("Goal", "g")), source_labels=BITS["SUD"])
    put(database, goal("g", "I10"))
    assert read(database, "Task", "t").labels.labels == BITS["SUD"]


def test_a_cycle_of_references_comes_to_rest(database):
    """Resources that refer to each other are labelled in finite time, and no less than their content says."""
    loop = [
        {**task("a", ref("Task", "b")), "reasonCode": {"coding": [{"system": SNOMED, "code": "1"}]}},
        task("b", ref("Task", "a")),
    ]
    put(database, patient(), *loop)
    put(database, {**loop[1], "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": SUD}]}})
    assert read(database, "Task", "a").labels.labels & BITS["OPIOIDUD"]


def test_a_dv_safety_list_hides_where_the_person_lives(database):
    """From the moment it is stored until it ends, addresses are labelled."""
    put(database, patient(address=[{"city": "Town"}]))
    put(database, consent("dv", "dv-safety-list"))
    assert any(one.path[0] == "address" for one in read(database, "Patient", "p").labels.elements)
    put(database, {**consent("dv", "dv-safety-list"), "status": "inactive"})
    assert read(database, "Patient", "p").labels.elements == ()


def test_a_hidden_edit_moves_no_visible_instant(database, clock):
    """The instant shown outside is that of the last visible change: hidden goals come, change and go unseen."""
    put(database, patient(), goal("g", "I10"), goal("h", SUD), plan("c", ["g"]))
    seen = outside("p")
    before = read(database, "CarePlan", "c", seen).updated_at
    for goals in (["h", "g"], ["g", "h"], ["g"]):
        clock.tick()
        put(database, plan("c", goals))
        assert read(database, "CarePlan", "c", seen).updated_at == before
    clock.tick()
    put(database, goal("g2", "I10"), plan("c", ["g", "g2"]))
    moved = read(database, "CarePlan", "c", seen).updated_at
    assert moved > before
    clock.tick()
    put(database, plan("c", ["g"]))
    assert read(database, "CarePlan", "c", seen).updated_at > moved


def test_another_recipient_sees_the_same_edit(database, clock):
    """Whoever may see the hidden part sees its change."""
    put(database, patient(), goal("g", "I10"), goal("h", SUD), plan("c", ["g"]))
    seen = outside("p", predicate=sud())
    before = read(database, "CarePlan", "c", seen).updated_at
    clock.tick()
    put(database, plan("c", ["g", "h"]))
    assert read(database, "CarePlan", "c", seen).updated_at > before


def test_what_redaction_withholds_is_not_there(database):
    """A Provenance whose every target is of a type not released has nothing left that it could be shown with."""
    provenance = {"resourceType": "Provenance", "id": "v", "recorded": "2026-01-01T00:00:00Z"}
    provenance |= {"target": [ref("Goal", "g")], "agent": [{"who": ref("Patient", "p")}]}
    put(database, patient(), goal("g", "I10"), provenance)
    shown = [outside("p", types=types) for types in (["Provenance", "Patient"], ["Provenance", "Patient", "Goal"])]
    assert [read(database, "Provenance", "v", one) is not None for one in shown] == [False, True]


def test_a_derived_resource_is_visible_through_a_visible_reference_only(database):
    """A place is known outside if a visible visit names it; inside it always is."""
    place = {"resourceType": "Location", "id": "l", "status": "active"}
    visit = {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "IMP"}}
    visit |= {"subject": ref("Patient", "p"), "location": [{"location": ref("Location", "l")}]}
    put(database, patient(), place, visit)
    assert read(database, "Location", "l", outside("p")) is not None
    assert read(database, "Location", "l", outside("p", types=["Patient"])) is None
    assert read(database, "Location", "l", outside("q")) is None
    assert read(database, "Location", "l", outside()) is None
    put(database, visit, source_labels=BITS["SUD"])
    assert read(database, "Location", "l", outside("p")) is None
    assert read(database, "Location", "l") is not None


def test_history_judges_each_version_by_todays_labels(database):
    """An older version carries its own labels; one about another patient is not in this patient's history."""
    put(database, patient(), patient("q"), condition("c", SUD), condition("c", "I10"))
    versions = history(database, "Condition", "c", outside("p"))
    assert [bool(one.labels.labels) for one in versions] == [False, True]
    put(database, condition("c", "I10", who="q"))
    assert [one.version for one in history(database, "Condition", "c", outside("q"))] == [3]
    assert history(database, "Condition", "c", outside("p")) == []
    assert len(history(database, "Condition")) == 3


def test_put_all_stores_targets_first(database):
    """In whatever order they are given, each of a set of resources is labelled from its targets."""
    put(database, patient())
    resources = [task("t", ref("Goal", "g")), plan("c", ["g"]), goal("g", "I10")]
    stored = database.write_sync(lambda tx: repository.put_all(tx, resources))
    assert {one.type: one.labels.labels for one in stored} == {"Task": 0, "CarePlan": 0, "Goal": 0}
    assert [one.type for one in stored] == ["Goal", "Task", "CarePlan"]
