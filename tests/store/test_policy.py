"""Policy: whatever may change a decision moves the revision, and candidates are never too few."""

from datetime import UTC, datetime

from store_samples import consent, naming, patient, put, ref

from fhirgw.consent.model import Enrolment
from fhirgw.store import parties, policy, repository


def revision(database, who=""):
    with database.read() as connection:
        return policy.revision(connection, who)


def candidates(database, *tokens):
    with database.read() as connection:
        return policy.candidates(connection, tokens, {"p", "q", "r"})


def test_what_decides_moves_the_revision(database):
    """Consents, enrolment and actors move it; the same again, and clinical content, do not."""
    seen = [revision(database)]

    def moved() -> bool:
        seen.append(revision(database))
        return seen[-1] > seen[-2]

    put(database, patient())
    assert not moved()
    put(database, consent("c"))
    assert moved()
    assert revision(database, "p") == 1
    put(database, consent("c"))
    assert not moved()
    database.write_sync(lambda tx: policy.enrol(tx, "p", "husky", "active"))
    assert moved()
    database.write_sync(lambda tx: policy.enrol(tx, "p", "husky", "active"))
    assert not moved()
    database.write_sync(lambda tx: policy.enrol(tx, "p", "husky", "opted-out"))
    assert moved()
    put(database, {"resourceType": "Organization", "id": "o"})
    assert moved()
    database.write_sync(lambda tx: repository.delete(tx, "Consent", "c"))
    assert moved()


def test_candidates_by_reference_identifier_or_anybody(database):
    """A patient is found by whom a consent names, by reference or identifier, or when it names nobody."""
    put(database, patient("p"), patient("q"), patient("r"))
    put(database, consent("a", **naming(ref("Organization", "o"))))
    put(database, consent("b", who="q", **naming({"identifier": {"system": "urn:npi", "value": "1"}})))
    put(database, consent("c", who="r", provision={"type": "permit"}))
    assert candidates(database, "Organization/o") == {"p", "r"}
    assert candidates(database, "urn:npi|1") == {"q", "r"}
    assert candidates(database) == {"r"}
    database.write_sync(lambda tx: repository.delete(tx, "Consent", "c"))
    assert candidates(database) == set()


def test_candidates_by_the_resource_behind_an_actor(database):
    """A role stands for its practitioner; whoever comes later, or changes, counts at once."""
    put(database, patient(), consent("a", **naming(ref("PractitionerRole", "role"))))
    assert candidates(database, "urn:npi|7") == set()
    bob = {"resourceType": "Practitioner", "id": "bob", "identifier": [{"system": "urn:npi", "value": "7"}]}
    role = {"resourceType": "PractitionerRole", "id": "role", "practitioner": ref("Practitioner", "bob")}
    put(database, bob, role)
    assert candidates(database, "urn:npi|7") == {"p"}
    before = revision(database)
    put(database, {**bob, "identifier": [{"system": "urn:npi", "value": "8"}]})
    assert (candidates(database, "urn:npi|7"), candidates(database, "urn:npi|8")) == (set(), {"p"})
    assert revision(database) > before


def test_a_policy_holds_all_that_a_decision_reads(database):
    """Current consents with their versions, enrolments, and the tokens behind each actor that is here."""
    organization = {"resourceType": "Organization", "id": "o", "identifier": [{"system": "urn:npi", "value": "1"}]}
    put(database, patient(), patient("q"), organization)
    put(database, consent("a", **naming(ref("Organization", "o"), ref("Organization", "gone"))))
    database.write_sync(lambda tx: policy.enrol(tx, "p", "husky", "active"))
    with database.read() as connection:
        found = policy.load(connection, {"p", "q"})
        assert policy.load(connection, set()) == []
    first, second = found
    assert [one["meta"]["versionId"] for one in first.consents] == ["1"]
    assert first.enrolments == (Enrolment("husky", "active"),)
    assert first.actors["Organization/o"] == {"Organization/o", "urn:npi|1"}
    assert "Organization/gone" not in first.actors
    assert (second.consents, second.enrolments) == ((), ())


def test_who_is_named_by_an_identifier_alone_is_whoever_bears_it(database):
    """An organization is then told apart from others; a person who bears it too may be the one who is meant."""
    npi = {"identifier": [{"system": "urn:npi", "value": "1"}]}
    put(database, patient(), consent("a", **naming({"identifier": npi["identifier"][0]})))

    def bearers():
        with database.read() as connection:
            [found] = policy.load(connection, {"p"})
        return found.actors.keys() - {"Patient/p"}

    assert bearers() == set()
    put(database, {"resourceType": "Organization", "id": "o", **npi})
    assert bearers() == {"Organization/o"}
    put(database, {"resourceType": "Practitioner", "id": "b", **npi})
    assert bearers() == {"Organization/o", "Practitioner/b"}


def test_an_organization_includes_its_parents(database):
    """A practice is also its network; a loop of parents ends."""
    put(
        database,
        {"resourceType": "Organization", "id": "a", "partOf": ref("Organization", "b")},
        {"resourceType": "Organization", "id": "b", "partOf": ref("Organization", "a"),
         "identifier": [{"system": "urn:npi", "value": "2"}]},
    )  # fmt: skip
    with database.read() as connection:
        tokens = parties.organization_tokens(connection, "a")
    assert tokens == {"Organization/a", "Organization/b", "urn:npi|2"}


def test_releases_are_the_active_consents_that_name_a_recipient(database):
    """What a revocation ends."""
    put(
        database,
        patient(),
        consent("a", **naming(ref("Organization", "o"))),
        consent("b", **naming(ref("Organization", "x"))),
    )
    with database.read() as connection:
        assert [one["id"] for one in policy.releases(connection, "p", {"Organization/o"})] == ["a"]
    put(database, {**consent("a", **naming(ref("Organization", "o"))), "status": "inactive"})
    with database.read() as connection:
        assert policy.releases(connection, "p", {"Organization/o"}) == []


def test_a_policy_knows_where_a_named_person_works_and_who_may_sign(database):
    """A refused person's organizations and a guardian's authority come with the policy; unknown stays unknown."""
    actors = [{"reference": ref("Practitioner", who)} for who in ("bob", "ann")]
    refusal = {
        **consent("refusal"),
        "performer": [{"reference": "RelatedPerson/mo"}],
        "provision": {"type": "deny", "actor": actors},
    }
    guardian = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "GUARD"}]}
    resources = [
        {"resourceType": "Organization", "id": "system", "identifier": [{"system": "urn:x", "value": "S"}]},
        {"resourceType": "Organization", "id": "oak", "partOf": {"reference": "Organization/system"}},
        {"resourceType": "Practitioner", "id": "bob"},
        {"resourceType": "Practitioner", "id": "ann"},
        {
            "resourceType": "PractitionerRole",
            "id": "role",
            "practitioner": {"reference": "Practitioner/bob"},
            "organization": {"reference": "Organization/oak"},
        },
        {
            "resourceType": "RelatedPerson",
            "id": "mo",
            "patient": {"reference": "Patient/p"},
            "relationship": [guardian],
        },
        refusal,
    ]
    for resource in resources:
        database.write_sync(lambda tx, resource=resource: repository.put(tx, resource))
    with database.read() as connection:
        [found] = policy.load(connection, {"p"})
    assert {"Organization/oak", "Organization/system", "urn:x|S"} <= found.affiliations["Practitioner/bob"]
    assert "Practitioner/ann" not in found.affiliations
    assert "RelatedPerson/mo" in found.authorities
    assert found.actors["Practitioner/bob"] == {"Practitioner/bob"}


def affiliation(**more):
    code = {"coding": [{"system": "http://hl7.org/fhir/organization-role", "code": "member"}]}
    return {
        "resourceType": "OrganizationAffiliation", "id": "m", "code": [code],
        "participatingOrganization": ref("Organization", "a"), "network": [ref("Organization", "net")],
    } | more  # fmt: skip


def test_a_network_is_who_is_in_it_now(database):
    """Its participants are found by the index; whatever changes that moves the revision."""
    at = datetime(2026, 6, 15, tzinfo=UTC)

    def found():
        with database.read() as connection:
            who = parties.recipient(connection, "a", frozenset({"payer"}), at)
            assert who.roles == {"payer"}
            return policy.candidates(connection, who.named_by, {"p", "q", "r"}), policy.revision(connection)

    network = {"resourceType": "Organization", "id": "net", "identifier": [{"system": "urn:npi", "value": "9"}]}
    named = naming(ref("Organization", "net"))
    put(database, patient("p"), {"resourceType": "Organization", "id": "a"}, network, consent("c", **named))
    outside = found()
    put(database, affiliation())
    inside = found()
    put(database, affiliation(period={"end": "2026-01-01"}))
    over = found()
    put(database, affiliation(network=[{"identifier": {"system": "urn:npi", "value": "9"}}]))
    by_identifier = found()
    database.write_sync(lambda tx: repository.delete(tx, "OrganizationAffiliation", "m"))
    who, revisions = zip(outside, inside, over, by_identifier, found(), strict=True)
    assert who == (set(), {"p"}, set(), {"p"}, set())
    assert len(set(revisions)) == 5
