"""Marks in the store: what a rule singles out by content is hidden from every read and search, at once."""

from datetime import UTC, datetime

from sqlalchemy import insert
from store_samples import concept, condition, patient, plan, put, ref

from fhirgw.consent.compile import compile_visibility
from fhirgw.consent.model import ConsentSettings, Recipient, Request
from fhirgw.store import policy, repository, search
from fhirgw.store.schema import patient_link
from fhirgw.store.versions import kept_versions

LOINC = "http://loinc.org"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ELM = Recipient(frozenset({"Organization/elm"}))


def roi(logical="c", to="Organization/elm", **provision):
    """A complete, signed release of what is not sensitive."""
    return {
        "resourceType": "Consent", "id": logical, "status": "active", "patient": ref("Patient", "p"),
        "scope": concept("patient-privacy", "http://terminology.hl7.org/CodeSystem/consentscope"),
        "category": [concept("64292-6", LOINC)], "dateTime": "2026-01-01", "performer": [ref("Patient", "p")],
        "organization": [ref("Organization", "icm")], "sourceReference": ref("DocumentReference", "d"),
        "provision": {
            "type": "permit", "purpose": [{"system": REASON, "code": "TREAT"}],
            "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": to}}],
            "securityLabel": [{"system": CONF, "code": "N"}], **provision,
        },
    }  # fmt: skip


def deny(**dimensions):
    return [{"type": "deny", **dimensions}]


def visibility(connection, recipient=ELM):
    request = Request(recipient, "TREAT", "access", "api", datetime(2026, 9, 1, tzinfo=UTC))
    policies = policy.load(connection, policy.candidates(connection, recipient.tokens, {"p", "q"}))
    return compile_visibility(request, policies, ConsentSettings(), revision=1)


def found(database, kind="Condition", *parameters, recipient=ELM):
    """What a search finds and reads give, which is the same."""
    with database.read() as connection:
        seen = visibility(connection, recipient)
        page = search.run(connection, search.parse(kind, parameters, strict=True), seen, after=None)
        names = {one.id for one in page.matches}
        assert page.total == len(names)
        if not parameters:
            read = {one for one in "xyzk" if repository.read(connection, kind, one, seen)}
            assert read == names
        return names


def stored(database, *consents):
    put(database, {"resourceType": "Organization", "id": "elm"}, patient())
    database.write_sync(lambda tx: policy.enrol(tx, "p", "husky", "active"))
    put(database, *consents)
    put(database, condition("x", "I10", onsetDateTime="2026-02-01"), condition("y", "E11.9", onsetDateTime="2025"))
    put(database, plan("k", addresses=[ref("Condition", "x"), ref("Condition", "y")]))


def test_a_code_that_a_release_names_is_all_that_it_releases(database):
    stored(database, roi(code=[concept("I10")]))
    assert found(database) == {"x"}
    assert found(database, "CarePlan") == set()


def test_a_code_that_an_exception_names_is_gone_with_what_refers_to_it(database):
    stored(database, roi(provision=deny(code=[concept("I10")])))
    assert found(database) == {"y"}
    assert found(database, "Condition", ("code", "I10")) == set()
    assert found(database, "CarePlan") == {"k"}
    assert found(database, "CarePlan", ("condition", "Condition/x")) == set()
    assert found(database, "CarePlan", ("condition", "Condition/y")) == {"k"}


def test_dates_are_asked_of_what_has_one(database):
    stored(database, roi(dataPeriod={"start": "2026"}))
    assert found(database) == {"x"}
    put(database, condition("x", "I10", onsetDateTime="2025-12-31"))
    assert found(database) == set()


def test_a_consent_that_comes_later_marks_what_is_there(database):
    """Of this patient and of nobody else."""
    stored(database, roi())
    put(database, patient("q"), condition("z", "I10", who="q"))
    put(database, roi("other", to="Organization/oak") | {"patient": ref("Patient", "q")})
    assert found(database) == {"x", "y"}
    put(database, roi(provision=deny(data=[{"meaning": "instance", "reference": ref("Condition", "y")}])))
    assert found(database) == {"x"}
    put(database, roi(provision=deny(code=[concept("I10")], dataPeriod={"start": "2026"})))
    assert found(database) == {"y"}
    put(database, roi())
    assert found(database) == {"x", "y"}


def test_a_deleted_exception_hides_no_more(database):
    stored(database, roi(), roi("d", type="deny", code=[concept("I10")]))
    assert found(database) == {"y"}
    database.write_sync(lambda tx: repository.delete(tx, "Consent", "d"))
    assert found(database) == {"x", "y"}


def test_what_the_named_resource_refers_to_changes_with_it(database):
    """Related: the plan, what it refers to, what refers to it; in one unit of work or in several."""
    stored(database, roi(provision=deny(data=[{"meaning": "related", "reference": ref("CarePlan", "k")}])))
    assert found(database) == set()
    put(database, plan("k", addresses=[ref("Condition", "y")]))
    assert found(database) == {"x"}

    def unit(tx):
        repository.put(tx, plan("k", addresses=[ref("Condition", "z")]))
        repository.put(tx, condition("z", "J45", onsetDateTime="2026"))

    database.write_sync(unit)
    assert found(database) == {"x", "y"}
    database.write_sync(lambda tx: repository.delete(tx, "CarePlan", "k"))
    assert found(database) == {"x", "y", "z"}


def test_an_author_is_known_by_identifiers_that_come_later(database):
    named = [{"meaning": "authoredby", "reference": ref("Practitioner", "bob")}]
    npi = [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1"}]
    bob = {"resourceType": "Practitioner", "id": "bob", "identifier": npi}
    put(database, bob, {"resourceType": "Practitioner", "id": "b", "active": True})
    stored(database, roi(provision=deny(data=named)))
    assert found(database) == set()  # nobody recorded them: perhaps Bob
    put(database, condition("x", "I10", recorder=ref("Practitioner", "b")))
    assert found(database) == {"x"}
    put(database, {"resourceType": "Practitioner", "id": "b", "identifier": npi})
    assert found(database) == set()


def test_versions_are_marked_as_they_were(database):
    stored(database, roi(provision=deny(code=[concept("I10")])))
    put(database, condition("x", "E11.9", onsetDateTime="2026-02-01"))
    assert found(database) == {"x", "y"}
    with database.read() as connection:
        seen = visibility(connection)
        labelled = [one.labels.labels for one in kept_versions(connection, "Condition", "x", seen)]
    assert [bool(labels) for labels in labelled] == [True, False]


def test_the_members_of_a_team_are_candidates_and_see(database):
    team = {"resourceType": "CareTeam", "id": "t", "status": "active", "subject": ref("Patient", "p"),
            "participant": [{"member": ref("Organization", "elm")}]}  # fmt: skip
    put(database, patient(), team)
    stored(database, roi(to="CareTeam/t"))
    assert found(database) == {"x", "y"}
    put(database, team | {"participant": [{"member": ref("Organization", "oak")}]})
    assert found(database) == set()


def test_marks_are_settled_when_records_are_joined(database):
    """What another record of the person denies is marked in this one."""
    stored(database, roi())
    put(database, patient("q"))
    other = roi("d", type="deny", code=[concept("I10")])
    put(database, other | {"patient": ref("Patient", "q")})

    def join(tx):
        rows = [{"patient": one, "other": two, "type": "seealso"} for one, two in ("pq", "qp")]
        tx.connection.execute(insert(patient_link), rows)
        repository.settle(tx, "p")

    database.write_sync(join)
    assert found(database) == {"y"}
