"""fhirgw import --fhir: what a FHIR server holds becomes the store's, once, and spoils nothing."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
import structlog
from composed_gateway import ALMA, MEDICAID
from mirrored_gateway import NPI, in_step, mirrored
from typer.testing import CliRunner

from fhirgw.asks import Read
from fhirgw.cli import app
from fhirgw.errors import GatewayError, NotFound
from fhirgw.store import policy, repository

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CASE = "http://fhirgw.org/fhir/CodeSystem/icm-program"
CLEARED = {"system": "http://fhirgw.org/fhir/CodeSystem/icm-text-review", "code": "cleared"}


@pytest.fixture
def pull(whole, upstream, monkeypatch):
    """Import from the server: exit code, lines of stdout, what people are told."""
    monkeypatch.setenv("FHIRGW_DATA_DIR", str(whole.gateway.settings.data_dir))

    def command(*words):
        arguments = ["import", "--fhir", upstream.base, *words]
        with ThreadPoolExecutor(1) as elsewhere:  # a command has an event loop of its own
            done = elsewhere.submit(CliRunner().invoke, app, arguments).result()
        if done.exception and not isinstance(done.exception, (SystemExit, GatewayError)):
            raise done.exception
        return done, [orjson.loads(line) for line in done.stdout.splitlines()]

    def run(*words):
        done, lines = command(*words)
        return done.exit_code, {line["type"]: line for line in lines if "type" in line}, done.stderr

    run.refused = lambda: command("--refused")[1]
    yield run
    structlog.reset_defaults()


def patient(logical="1", value="P-1", **more):
    identifier = [{"system": MEDICAID, "value": value}]
    name = [{"family": "Source", "given": ["Ida"]}]
    return {"resourceType": "Patient", "id": logical, "identifier": identifier, "name": name, "gender": "female",
            "birthDate": "1980-02-03", **more}  # fmt: skip


def condition(logical="2", of="Patient/1", code="E11.9", **more):
    coding = [{"system": ICD, "code": code}]
    return {"resourceType": "Condition", "id": logical, "subject": {"reference": of}, "code": {"coding": coding},
            "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]}, **more}  # fmt: skip


def enrolment(logical="3", status="active"):
    return {"resourceType": "EpisodeOfCare", "id": logical, "status": status, "patient": {"reference": "Patient/1"},
            "type": [{"coding": [{"system": CASE, "code": "ct-bhp"}]}]}  # fmt: skip


def imported(whole, kind):
    """What of a type has a Provenance that names the source."""
    sources = {one["target"][0]["reference"]: one for one in whole.bodies("Provenance") if "entity" in one}
    found = [one for one in whole.bodies(kind) if f"{kind}/{one['id']}" in sources]
    return [(one, sources[f"{kind}/{one['id']}"]["entity"][0]["what"].get("reference")) for one in found]


def test_what_is_there_is_stored_under_ids_of_this_store_with_its_source(whole, upstream, pull):
    upstream.put(patient())
    upstream.put(condition())
    code, counts, _ = pull()
    assert (code, counts["Patient"]["stored"], counts["Condition"]["stored"]) == (0, 1, 1)
    ((stored, source),) = imported(whole, "Condition")
    ((person, _),) = imported(whole, "Patient")
    assert stored["subject"] == {"reference": f"Patient/{person['id']}"}
    assert person["id"] != "1"
    version = upstream.current["Condition/2"]["meta"]["versionId"]
    assert source == f"{upstream.base}/Condition/2/_history/{version}"


def test_the_same_again_changes_nothing(whole, upstream, pull):
    upstream.put(patient())
    upstream.put(condition())
    pull()
    before = whole.everything()
    code, counts, _ = pull()
    assert code == 0
    assert {name for line in counts.values() for name in line} <= {"source", "type", "known"}
    assert whole.everything() == before


def test_a_change_and_a_deletion_are_followed(whole, upstream, pull):
    upstream.put(patient())
    upstream.put(condition())
    upstream.put(condition("4", code="I10"))
    pull()
    upstream.put(condition(onsetDateTime="2026-01-02"))
    upstream.delete("Condition/4")
    code, counts, _ = pull()
    assert (code, counts["Condition"]["stored"], counts["Condition"]["deleted"]) == (0, 1, 1)
    ((stored, _),) = imported(whole, "Condition")
    assert stored["onsetDateTime"] == "2026-01-02"


def test_pages_are_followed(whole, upstream, pull):
    upstream.most = 7
    upstream.put(patient())
    for at in range(30):
        upstream.put(condition(f"c{at}"))
    pull()
    assert len(imported(whole, "Condition")) == 30


def test_a_person_who_is_known_by_an_identifier_is_that_person(whole, upstream, pull):
    alma = whole.patient(ALMA)
    name = next(one for one in whole.bodies("Patient") if one["id"] == alma)["name"]
    upstream.put(patient(value=ALMA[1]))
    upstream.put(condition())
    pull()
    ((stored, _),) = imported(whole, "Condition")
    assert stored["subject"] == {"reference": f"Patient/{alma}"}
    (kept,) = [one for one in whole.bodies("Patient") if one["id"] == alma]
    assert kept["name"][: len(name)] == name


def test_a_bad_resource_spoils_itself_alone_and_is_kept(whole, upstream, pull):
    upstream.put(patient())
    upstream.put(condition())
    upstream.put(condition("bad", clinicalStatus="active"))
    upstream.put(condition("orphan", of="Patient/nobody"))
    code, counts, told = pull()
    assert (code, counts["Condition"]["stored"], counts["Condition"]["refused"]) == (1, 1, 2)
    assert "Condition/bad" in told
    assert "Condition/orphan: Patient: It refers to a Patient" in told
    asked = len(upstream.asked)
    assert [one["resource"] for one in pull.refused()] == ["Condition/bad", "Condition/orphan"]
    assert len(upstream.asked) == asked
    upstream.put(patient("nobody", "P-2"))
    upstream.put(condition("bad"))
    code, *_ = pull()
    assert code == 0
    assert pull.refused() == []
    assert len(imported(whole, "Condition")) == 3


async def test_it_is_shared_under_consent_and_labelled(whole, upstream, pull):
    upstream.put(patient(value=ALMA[1]))
    upstream.put(condition())
    upstream.put(condition("hidden", code="F11.20"))
    upstream.put(condition("noted", note=[{"text": "Words of nobody's review"}], meta={"tag": [CLEARED]}))
    pull()
    stored = {source.split("/")[-3]: one for one, source in imported(whole, "Condition")}
    elm = whole.requester("pcmh-elm")
    released = await whole.gateway.share.release(elm, Read("Condition", stored["2"]["id"]))
    assert b"E11.9" in released.body
    with pytest.raises(NotFound):
        await whole.gateway.share.release(elm, Read("Condition", stored["hidden"]["id"]))
    with whole.gateway.database.read() as connection:
        plain, hidden = (
            repository.levels(connection, "Condition", stored[one]["id"])[0] for one in ("2", "hidden")
        )
    assert (plain, bool(hidden)) == (0, True)
    noted = await whole.gateway.share.release(elm, Read("Condition", stored["noted"]["id"]))
    assert b"Words" not in noted.body


def test_an_episode_of_a_programme_enrols_and_what_was_left_stays_left(whole, upstream, pull):
    upstream.put(patient())
    upstream.put(enrolment())
    pull()
    ((person, _),) = imported(whole, "Patient")

    def standing():
        with whole.gateway.database.read() as connection:
            return policy.enrolments(connection, person["id"])

    assert standing() == [("ct-bhp", "active")]
    upstream.put(enrolment(status="finished"))
    pull()
    assert standing() == [("ct-bhp", "finished")]
    whole.gateway.database.write_sync(lambda tx: policy.enrol(tx, person["id"], "ct-bhp", "opted-out"))
    upstream.put(enrolment(status="active"))
    pull()
    assert standing() == [("ct-bhp", "opted-out")]


def test_an_organization_that_is_registered_here_is_that_one(whole, upstream, pull):
    upstream.put({"resourceType": "Organization", "id": "o", "name": "Elsewhere called so",
                  "identifier": [{"system": NPI, "value": "1234567893"}]})  # fmt: skip
    before = whole.bodies("Organization")
    pull()
    assert whole.bodies("Organization") == before


async def test_a_server_that_is_mirror_and_source_makes_no_loop(whole, upstream, pull):
    upstream.put(patient())
    upstream.put(condition())
    mirror = mirrored(whole, upstream, inside=frozenset({"*"}))
    await in_step(mirror)
    sent = len(upstream.current) - 2
    code, counts, _ = pull()
    assert code == 0
    assert sum(line.get("own", 0) for line in counts.values()) == len(
        [one for one in upstream.current if one.split("/")[0] in counts]
    ) - sum(line.get("stored", 0) for line in counts.values())
    assert sum(line.get("stored", 0) for line in counts.values()) == 2
    whole.clock.tick(days=400)
    await in_step(mirror)
    copied = len(upstream.current)
    assert copied > sent
    code, counts, _ = pull()
    assert (code, sum(line.get("stored", 0) for line in counts.values())) == (0, 0)


async def test_somebody_elses_edit_of_a_copy_is_kept_and_not_taken(whole, upstream, pull):
    mirror = mirrored(whole, upstream, inside=frozenset({"*"}))
    await in_step(mirror)
    (name, *_) = upstream.references("Condition")
    upstream.put({**upstream.current[name], "onsetDateTime": "1999"})
    before = whole.everything()
    code, counts, told = pull()
    assert (code, counts["Condition"]["refused"]) == (1, 1)
    assert "Somebody else's edit" in told
    assert whole.everything() == before


def test_a_link_that_leads_elsewhere_is_not_followed(whole, upstream, pull):
    upstream.put(patient())
    page = upstream.page
    upstream.page = lambda *asked: (
        page(*asked) | {"link": [{"relation": "next", "url": "http://127.0.0.1:1/fhir/Patient"}]}
    )
    code, counts, _ = pull()
    assert (code, counts) == (1, {})
