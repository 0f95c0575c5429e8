"""A further programme is a file in a folder, and nothing else: cases, clocks, triggers, definitions, consent."""

import io
import shutil
import tarfile
from pathlib import Path

import orjson
import pytest
from composed_gateway import composed
from json_values import codings
from typer.testing import CliRunner

from fhirgw.app import running
from fhirgw.asks import Read, Search
from fhirgw.cli import app
from fhirgw.errors import NotFound
from fhirgw.icm.statements import read_case
from fhirgw.mappers.ids import resource_id
from fhirgw.profiles.validation import problems
from fhirgw.terminology import BASE

HERE = Path(__file__).parent / "programs"
MEMBER = ("http://fhirgw.org/fhir/sid/ct-medicaid", "CT-TEST-0601")
ADMITTED = (
    b"MSH|^~\\&|ADTSYS|ELMHOSP|FHIRGW|ICM|20260304100000||ADT^A01|H1|P|2.5.1\r"
    b"EVN|A01|20260304100000\r"
    b"PID|1||MRN-6001^^^ELMHOSP^MR~CT-TEST-0601^^^CTMEDICAID^MA||TESTPERSON^HARRIET||19790517|F\r"
    b"PV1|1|I|4W^401^B^ELMHOSP||||||||||||||||V-6001^^^ELMHOSP^VN|||||||||||||||||||||||||20260304100000\r"
)


@pytest.fixture
def folder(tmp_path):
    """An operator's folder of programmes."""
    (tmp_path / "programs").mkdir()
    shutil.copy(HERE / "sixth.toml", tmp_path / "programs")
    return tmp_path / "programs"


@pytest.fixture
async def harbour(tmp_path, folder):
    """A gateway that has the programme, and one case of it."""
    with composed(tmp_path, programs_dir=folder, http_port=0) as whole:
        assert await whole.gateway.ingest.cases.store(read_case((HERE / "sixth_case.json").read_bytes()))
        yield whole


def of_the_member(whole):
    """Everything in the member's record."""
    me = {"reference": f"Patient/{whole.patient(MEMBER)}"}
    found = [orjson.loads(body) for body, _ in whole.everything().values()]
    return [one for one in found if me in [one.get(name) for name in ("subject", "for", "patient")]]


def clock(whole, id):
    return next(
        one
        for one in of_the_member(whole)
        if one["resourceType"] == "Task" and one["code"]["coding"][0]["code"] == id
    )


async def test_its_clocks_run(harbour):
    """Five working days from 24 February; two months from 2 March."""
    chart, again = clock(harbour, "HARBOUR-CHART"), clock(harbour, "HARBOUR-REVIEW")
    assert chart["restriction"]["period"]["end"] == "2026-03-03T23:59:59-05:00"
    assert chart["businessStatus"]["coding"][0]["code"] == "met"
    assert again["restriction"]["period"]["end"] == "2026-05-02T23:59:59-04:00"
    assert again["status"] == "requested"
    assert chart["instantiatesCanonical"] == f"{BASE}/PlanDefinition/harbour"


async def test_an_admission_raises_its_task(harbour):
    """Two working days from Wednesday 4 March, with its own holiday on Friday."""
    await harbour.take(ADMITTED)
    task = clock(harbour, "plan-revision")
    assert task["groupIdentifier"]["value"] == "harbour.HARBOUR-ASHORE"
    assert task["code"]["coding"][1]["display"] == "Chart drawn anew"
    assert task["restriction"]["period"]["end"] == "2026-03-09T23:59:59-04:00"


async def test_everything_of_its_case_is_valid_and_stands_in_its_words(harbour):
    found = of_the_member(harbour)
    assert [problem for one in found for problem in problems(one)] == []
    said = {(one["system"], one["code"]) for resource in found for one in codings(resource)}
    assert {
        (f"{BASE}/CodeSystem/icm-program", "harbour"),
        (f"{BASE}/CodeSystem/icm-plan", "harbour-chart"),
        (f"{BASE}/CodeSystem/icm-tier", "harbour.calm"),
        (f"{BASE}/CodeSystem/icm-intervention", "harbour.soundings"),
    } <= said


async def test_consent_decides_over_it(harbour):
    plans = Search("CarePlan", (("patient", harbour.patient(MEMBER)),))

    async def found(client):
        released = await harbour.gateway.share.release(harbour.requester(client), plans)
        return orjson.loads(released.body)["total"]

    assert (await found("pcmh-elm"), await found("pcmh-oak"), await found("icm-system")) == (1, 0, 1)
    elm = resource_id(harbour.gateway.keys.ids, "Organization", "http://hl7.org/fhir/sid/us-npi", "1234567893")
    await harbour.gateway.ingest.resources.revoke(
        harbour.patient(MEMBER), frozenset({f"Organization/{elm}"}), written=False
    )
    assert await found("pcmh-elm") == 0


async def test_its_definitions_are_there_for_every_client_to_read(harbour):
    async with running(harbour.gateway):
        pass
    before = harbour.everything()
    plan = await read(harbour, "pcmh-oak", "PlanDefinition", "harbour")
    assert {"HARBOUR-CHART", "HARBOUR-REVIEW", "harbour.HARBOUR-ASHORE", "plan-revision"} <= {
        one["code"] for one in codings(plan)
    }
    assert (await read(harbour, "pcmh-oak", "HealthcareService", "harbour"))["name"] == "Example Harbour Outreach"
    for name in ("harbour.calm", "harbour.soundings"):
        await read(harbour, "pcmh-oak", "ActivityDefinition", name)
    by_url = Search("Questionnaire", (("url", f"{BASE}/Questionnaire/icm-screening-harbour-admission"),))
    released = await harbour.gateway.share.release(harbour.requester("pcmh-oak"), by_url)
    assert orjson.loads(released.body)["total"] == 1
    async with running(harbour.gateway):
        pass
    assert harbour.everything() == before


async def test_where_the_file_is_not_there_is_no_such_definition(tmp_path):
    with composed(tmp_path) as whole:
        async with running(whole.gateway):
            pass
        assert (await read(whole, "pcmh-oak", "PlanDefinition", "ct-bhp"))["id"] == "ct-bhp"
        with pytest.raises(NotFound):
            await read(whole, "pcmh-oak", "PlanDefinition", "harbour")


async def read(whole, client, kind, logical):
    released = await whole.gateway.share.release(whole.requester(client), Read(kind, logical))
    return orjson.loads(released.body)


def test_it_is_in_the_package(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("FHIRGW_PROGRAMS_DIR", str(folder))
    out = tmp_path / "icm.tgz"
    assert CliRunner().invoke(app, ["package", str(out)]).exit_code == 0
    with tarfile.open(fileobj=io.BytesIO(out.read_bytes())) as archive:
        names = set(archive.getnames())
    assert {"package/PlanDefinition-harbour.json", "package/HealthcareService-harbour.json"} <= names
