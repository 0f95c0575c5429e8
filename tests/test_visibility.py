"""What is kept of a requester is what would be compiled anew, whatever has changed; and it is made for few."""

from random import Random

import pytest
from consented_store import Gateway, encounter
from consented_store import release as roi
from drawn_policies import ASKERS, PEOPLE, START, enrolled, ref, release, step

from fhirgw.asks import History, Read, Search, VRead
from fhirgw.consent import compile as compiler
from fhirgw.consent.model import ConsentSettings
from fhirgw.consent.predicate import Facts, holds
from fhirgw.errors import NotFound
from fhirgw.store import patterns, policy, repository
from fhirgw.visibility import PolicyMovedError, Visibilities, whom

FACTS = [
    Facts(kind, labels, conf) for kind in ("Condition", "AuditEvent") for labels in (0, 1) for conf in (2, 3, 4)
]


def seen(connection, visibility):
    """What of whom may be seen, as statements ask it: by the patterns of the policies."""
    predicates = {one: each for each, some in visibility.everybody.patterns.items() for one in some}
    people = patterns.everybody(connection, visibility.instant)
    return {patient: meaning(predicates[pattern]) for patient, pattern in people if pattern in predicates}


def meaning(predicate):
    return [holds(predicate, facts) for facts in FACTS]


@pytest.fixture
def database(tmp_path):
    with enrolled(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_is_what_would_be_compiled_anew(database, seed):
    """Of some, and of everybody."""
    random, kept, now, permitted = Random(seed), Visibilities(ConsentSettings()), START, 0
    for _ in range(30):
        database.write_sync(lambda tx: step(tx, random))
        now += random.choice((0, 0, 3_600_000_000, 20_000_000_000))
        with database.read() as connection:
            for who in ASKERS:
                fresh = Visibilities(ConsentSettings()).of(connection, who, now, frozenset(PEOPLE))
                grants = {one: grant for grant in fresh.grants for one in grant.patients}
                everybody = kept.of(connection, who, now)
                assert seen(connection, everybody) == {one: meaning(each.predicate) for one, each in grants.items()}
                assert {one: everybody.grant_for(one) for one in PEOPLE} == {one: grants.get(one) for one in PEOPLE}
                about = frozenset(random.sample(PEOPLE, random.randint(0, 2)))
                some = kept.of(connection, who, now, about)
                assert some.about == about
                assert {*some.grants} == {one for one in fresh.grants if one.patients <= about}
                permitted += len(fresh.grants)
    assert permitted


def test_a_policy_that_moves_costs_what_that_patient_costs(database, monkeypatch):
    """With however many members: a change of one member's release is compiled once, and so is what all signed."""
    cases = []
    monkeypatch.setattr("fhirgw.visibility.grant_of", lambda case: cases.append(case) or compiler.grant_of(case))
    kept, who = Visibilities(ConsentSettings()), ASKERS[0]

    def compiled(about=None):
        cases.clear()
        with database.read() as connection:
            kept.of(connection, who, START, about)
        return [case.policy.patient for case in cases]

    def released(patient, end):
        random = Random(1)
        whose = ref(f"Patient/{patient}")
        body = release(random, f"c-{patient}") | {"status": "active", "patient": whose, "performer": [whose]}
        body["provision"] |= {"actor": [{"reference": ref("Organization/a")}]}
        body["provision"]["period"]["end"] = end
        database.write_sync(lambda tx: repository.put(tx, body))

    database.write_sync(lambda tx: repository.put(tx, {"resourceType": "Organization", "id": "a"}))
    for patient in PEOPLE:
        released(patient, "2026-12-31")
    assert (compiled(frozenset("q")), compiled(frozenset("q")), compiled()) == (["q"], [], ["p"])
    released("p", "2026-12-30")
    assert (compiled(frozenset("q")), compiled(), compiled(frozenset("p"))) == ([], ["p"], ["p"])
    database.write_sync(lambda tx: repository.put(tx, {"resourceType": "Organization", "id": "elsewhere"}))
    assert (compiled(frozenset("q")), compiled()) == ([], [])
    database.write_sync(lambda tx: repository.put(tx, {"resourceType": "Organization", "id": "a", "name": "A"}))
    assert (compiled(frozenset("q")), compiled()) == (["q"], ["p"])


def test_a_snapshot_that_is_older_than_what_is_kept_is_not_answered_from_it(database):
    kept, who = Visibilities(ConsentSettings()), ASKERS[0]
    with database.read() as before:
        assert policy.revision(before)  # the snapshot begins
        database.write_sync(lambda tx: policy.bump(tx, "p"))
        with database.read() as after:
            kept.of(after, who, START)
        with pytest.raises(PolicyMovedError):
            kept.of(before, who, START)
        assert kept.of(before, who, START, frozenset("p")).revision == policy.revision(before)


@pytest.mark.parametrize(
    ("ask", "about"),
    [
        (Read("Condition", "x"), ({"p"},)),
        (VRead("Condition", "x", "1"), ({"p"},)),
        (History("Condition", "x"), ({"p"},)),
        (History("Condition", None), (None,)),
        (Read("Condition", "nothing"), (set(),)),
        (Read("Organization", "a"), (None,)),
        (Read("Location", "l"), ({"p"}, None)),
        (Search("Condition", (("patient", "Patient/p"),)), ({"p"},)),
        (Search("Condition", (("code", "E11.9"), ("patient", "p"))), ({"p"},)),
        (Search("Condition", (("subject", "Patient/p"),)), ({"p"},)),
        (Search("Condition", (("subject", "Group/p"),)), (None,)),
        (Search("Condition", (("patient", "p,q"),)), (None,)),
        (Search("Condition", (("patient:missing", "false"),)), (None,)),
        (Search("Condition", (("_id", "x"),)), ({"p"},)),
        (Search("Patient", (("_id", "p"),)), ({"p"},)),
        (Search("Patient", (("link", "Patient/p"),)), (None,)),
        (Search("Organization", (("_id", "a"),)), (None,)),
    ],
)
def test_of_whom_an_answer_can_be(database, ask, about):
    database.write_sync(
        lambda tx: [
            repository.put(tx, one)
            for one in (
                {"resourceType": "Organization", "id": "a"},
                {"resourceType": "Condition", "id": "x", "subject": ref("Patient/p")},
                {"resourceType": "Location", "id": "l"},
                {
                    "resourceType": "Encounter",
                    "id": "e",
                    "status": "finished",
                    "class": {"code": "IMP"},
                    "subject": ref("Patient/p"),
                    "location": [{"location": ref("Location/l")}],
                },
            )
        ]
    )
    with database.read() as connection:
        assert whom(connection, ask) == about


def test_what_is_about_nobody_is_seen_through_whomever_it_may_be_seen(tmp_path, monkeypatch):
    """However few are tried first."""
    monkeypatch.setattr("fhirgw.visibility.SOME", 1)
    gateway = Gateway(tmp_path / "store.db")
    gateway.database.write_sync(lambda tx: [policy.enrol(tx, who, "adv", "active") for who in PEOPLE])
    gateway.put({"resourceType": "Organization", "id": "org-elm"}, standing="registry")
    gateway.put({"resourceType": "Location", "id": "l"})
    gateway.put(*(encounter(f"e-{who}", who=who, location=[{"location": ref("Location/l")}]) for who in PEOPLE))
    with pytest.raises(NotFound):
        gateway.body(Read("Location", "l"))
    shown = []
    for who in PEOPLE:
        gateway.put(roi(who))
        shown.append(gateway.body(Read("Location", "l")))
        gateway.put(roi(who, status="inactive"))
    assert shown == [shown[0]] * 3
    with pytest.raises(NotFound):
        gateway.body(Read("Location", "l"))
    gateway.database.close()
