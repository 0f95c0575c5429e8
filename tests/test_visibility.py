"""What is kept of a requester is what would be compiled anew, whatever has changed; and it is made for few."""

from random import Random

import pytest
from consented_store import Gateway, encounter
from consented_store import release as roi
from empty_store import empty_store
from sqlalchemy import delete, insert

from fhirgw.asks import History, Read, Requester, Search, VRead
from fhirgw.consent import compile as compiler
from fhirgw.consent.model import ConsentSettings
from fhirgw.consent.predicate import Facts, holds
from fhirgw.errors import NotFound
from fhirgw.store import patterns, policy, repository
from fhirgw.store.database import Database
from fhirgw.store.schema import patient_link
from fhirgw.visibility import PolicyMovedError, Visibilities, whom

PEOPLE = ("p", "q", "s")
ASKERS = [Requester(name, name, "TREAT", (), None, "x") for name in ("a", "b")]
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
START = 1_782_000_000_000_000  # 2026-06-21
NAMED = (
    *["Organization/a"] * 8, "Organization/net", "Organization/b", "Practitioner/bob", "CareTeam/t",
    "Group/g", "PractitionerRole/r",
)  # fmt: skip


def ref(reference):
    return {"reference": reference}


def release(random, name):
    roles = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]
    actors = [{"role": {"coding": roles}, "reference": ref(random.choice(NAMED))}]
    exception = {"type": "deny", "actor": [{"role": {"coding": roles}, "reference": ref(random.choice(NAMED))}]}
    provision = {
        "type": "permit", "actor": actors, "period": {"start": "2026-01-01", "end": random.choice(ENDS)},
        "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
        "securityLabel": [{"system": CONF, "code": "N"}],
    } | ({"provision": [exception]} if random.random() < 0.1 else {})  # fmt: skip
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    patient = ref(f"Patient/{random.choice(PEOPLE)}")
    return {
        "resourceType": "Consent", "id": name, "status": random.choice(("active", "active", "active", "inactive")),
        "scope": {"coding": [scope]}, "patient": patient,
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}], "dateTime": "2026-01-01",
        "performer": [patient], "organization": [ref("Organization/icm")],
        "sourceReference": ref("DocumentReference/d"), "provision": provision,
    }  # fmt: skip


ENDS = ("2026-06-22", "2026-06-23", "2026-12-31", "2026-12-31")
ORGANIZATIONS = ("Organization/a", "Organization/b", "Organization/net", "Organization/new")


def party(random):
    """Somebody whom Consents name, or through whom they reach somebody."""
    organization = random.choice(ORGANIZATIONS)
    return random.choice((
        lambda: {"resourceType": "Organization", "id": random.choice(("a", "b", "net", "new")),
                 "partOf": ref(organization)},
        lambda: {"resourceType": "Organization", "id": random.choice(("a", "b", "net", "new"))},
        lambda: {"resourceType": "PractitionerRole", "id": random.choice(("r", "r2")),
                 "practitioner": ref(random.choice(("Practitioner/bob", "Practitioner/ann"))),
                 "organization": ref(organization)},
        lambda: {"resourceType": "Practitioner", "id": "bob",
                 "identifier": [{"system": "npi", "value": random.choice("12")}]},
        lambda: {"resourceType": "CareTeam", "id": "t", "subject": ref("Patient/p"),
                 "participant": [{"member": ref(random.choice((organization, "Practitioner/bob"))),
                                  "period": {"end": random.choice(ENDS)}}]},
        lambda: {"resourceType": "Group", "id": "g", "type": "person", "actual": True,
                 "member": [{"entity": ref(random.choice(("Practitioner/bob", "CareTeam/t")))}]},
        lambda: {"resourceType": "OrganizationAffiliation", "id": "m",
                 "participatingOrganization": ref(organization), "network": [ref("Organization/net")],
                 "code": [{"coding": [{"system": "http://hl7.org/fhir/organization-role", "code": "member"}]}]},
    ))()  # fmt: skip


def join(tx, random):
    """Two records are linked, or parted, as ``identity.regraph`` leaves it."""
    one, other = random.sample(PEOPLE, 2)
    links = patient_link.c
    pairs = [
        {"patient": one, "other": other, "type": "seealso"},
        {"patient": other, "other": one, "type": "seealso"},
    ]
    both = (links.patient.in_((one, other))) & (links.other.in_((one, other)))
    tx.connection.execute(delete(patient_link).where(both))
    if random.random() < 0.5:
        tx.connection.execute(insert(patient_link), pairs)
    for each in PEOPLE:
        policy.bump(tx, each)


def step(tx, random):
    """Anything that may decide."""
    kinds = ("PractitionerRole/r", "Organization/net", "CareTeam/t", "OrganizationAffiliation/m", "Consent/c1")
    random.choice((
        *[lambda: repository.put(tx, release(random, f"c{random.randint(1, 6)}"))] * 6,
        *[lambda: repository.put(tx, party(random))] * 5,
        lambda: repository.delete(tx, *random.choice(kinds).split("/")),
        lambda: policy.enrol(tx, random.choice(PEOPLE), "ICM", "opted-out"),
        *[lambda: policy.enrol(tx, random.choice(PEOPLE), "ICM", "active")] * 4,
        lambda: join(tx, random),
    ))()  # fmt: skip


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
    opened = Database(empty_store(tmp_path / "visibility.db"), clock=lambda: START)
    opened.write_sync(
        lambda tx: (
            [repository.put(tx, {"resourceType": "Patient", "id": one}) for one in PEOPLE]
            + [policy.enrol(tx, one, "ICM", "active") for one in PEOPLE]
        )
    )
    yield opened
    opened.close()


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
