"""The README's tour, played against the real process with a hospital's and a practice's real clients.

One process serves all of it, and ``test_revocation`` has its own: what one test leaves must not matter to the next.
"""

from pathlib import Path

import hl7.client
import pytest
from gateway_process import ALMA, BRUNO, ROOT, gateway_running

FIXTURES = ROOT / "fixtures" / "v2"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with gateway_running(tmp_path_factory.mktemp("tour")) as running:
        yield running


def hospital_sends(gateway, *names):
    """Python hl7's MLLP client, as a hospital would use it; the MSA-1 of each answer."""
    codes = []
    with hl7.client.MLLPClient("127.0.0.1", gateway.mllp) as client:
        for name in names:
            ack = client.send_message((FIXTURES / name).read_bytes()).decode()
            codes.append(ack.split("MSA|")[1][:2])
    return codes


def total(client, url):
    reply = client.get(url)
    assert reply.status_code == 200, reply.text
    return reply.json()["total"]


def types(bundle):
    return sorted(entry["resource"]["resourceType"] for entry in bundle.get("entry", []))


def test_an_admission_becomes_resources_and_tasks_and_a_stranger_leaves_no_trace(gateway):
    assert hospital_sends(gateway, "A01/member.hl7", "A01/candidate.hl7", "A04/stranger.hl7") == ["AA"] * 3
    gateway.processed()
    alma = gateway.patient(ALMA)
    with gateway.partner("icm-system") as icm:
        encounters = icm.get(f"/Encounter?patient={alma}&identifier=V-5001").json()
        assert encounters["total"] == 1
        assert encounters["entry"][0]["resource"]["status"] == "in-progress"
        assert encounters["entry"][0]["resource"]["class"]["code"] == "IMP"
        assert total(icm, f"/Condition?encounter=Encounter/{encounters['entry'][0]['resource']['id']}") == 2
        tasks = icm.get(f"/Task?patient={alma}&focus=Encounter/{encounters['entry'][0]['resource']['id']}").json()
        assert tasks["total"] == 1
        fenn = gateway.patient("http://fhirgw.org/fhir/sid/ct-medicaid|CT-TEST-0006")
        referral = icm.get(f"/ServiceRequest?patient={fenn}").json()
        assert referral["total"] == 1
        due = icm.get(f"/Task?patient={fenn}").json()["entry"][0]["resource"]
        assert due["restriction"]["period"]["end"]
        assert total(icm, "/Patient") == 6


def test_a_practice_sees_the_plan_without_what_its_release_does_not_name(gateway):
    hospital_sends(gateway, "A01/member.hl7")
    gateway.processed()
    with (
        gateway.partner("pcmh-elm") as elm,
        gateway.partner("pcmh-oak") as oak,
        gateway.partner("icm-system") as icm,
    ):
        found = elm.post("/Patient/_search", data={"identifier": ALMA}).json()
        assert found["total"] == 1
        assert "CT-TEST-0001" not in str(found["link"])
        alma = found["entry"][0]["resource"]["id"]
        url = f"/CarePlan?patient={alma}&_include=CarePlan:goal"
        shared, whole = elm.get(url), icm.get(url)
        assert types(shared.json()).count("CarePlan") >= 1
        assert types(shared.json()).count("Goal") >= 1
        assert types(shared.json()).count("Goal") < types(whole.json()).count("Goal")
        for word in ("sober", "alcohol", "opioid", "F11", "T74", "partner", "SUD", "SDV"):
            assert word.lower() not in shared.text.lower(), word
        plan = next(e["resource"] for e in shared.json()["entry"] if e["resource"]["resourceType"] == "CarePlan")
        assert elm.get(f"/CarePlan/{plan['id']}").status_code == 200
        assert total(elm, f"/Condition?patient={alma}&code=F11.20") == 0
        assert total(icm, f"/Condition?patient={alma}&code=F11.20") == 1

        assert oak.post("/Patient/_search", data={"identifier": ALMA}).json()["total"] == 0
        nothing = oak.get(url).json()
        assert nothing["total"] == 0
        assert "entry" not in nothing
        hidden = oak.get(f"/CarePlan/{plan['id']}")
        absent = oak.get("/CarePlan/neverwas")
        assert hidden.status_code == absent.status_code == 404
        assert hidden.content == absent.content


def test_an_agency_sees_the_members_whose_release_names_it(gateway):
    with gateway.partner("agency-dss") as agency:
        everybody = agency.get("/Patient").json()
        assert everybody["total"] == 2
        roster = f"{ALMA},{BRUNO},http://fhirgw.org/fhir/sid/ne-medicaid|NE-TEST-0003"
        assert agency.post("/Patient/_search", data={"identifier": roster}).json()["total"] == 2
        plans = agency.get("/CarePlan?status=active&_count=50").json()
        assert {plan["resource"]["subject"]["reference"] for plan in plans["entry"]} == {
            f"Patient/{gateway.patient(member)}" for member in (ALMA, BRUNO)
        }


def test_what_was_released_is_explained_and_accounted_for(gateway):
    alma = gateway.patient(ALMA)
    with gateway.partner("pcmh-elm") as elm:
        answer = elm.get(f"/CarePlan?patient={alma}")
        assert answer.json()["total"] >= 1
    [why] = gateway.command(
        "consent", "explain", "--patient", ALMA, "--recipient", "pcmh-elm", "--purpose", "TREAT"
    )
    assert why
    lines = gateway.command("audit", "disclosures", "--patient", ALMA)
    mine = [line for line in lines if line["request_id"] == answer.headers["x-request-id"]]
    assert len(mine) == 1
    assert mine[0]["recipient"] == "pcmh-elm"
    assert mine[0]["consents"]
    assert gateway.command("audit", "verify") == [{"ok": True, "problems": []}]


def test_a_message_that_cannot_be_mapped_is_kept_and_replayed_once_the_map_is_taught(gateway):
    [line] = gateway.command(
        "send", "fixtures/v2/A01/unmapped-class.hl7", "--to", f"mllp://127.0.0.1:{gateway.mllp}", code=1
    )
    assert line["ack"] == "AE"
    assert line["errors"][0]["code"] == "103"
    [kept] = gateway.command("journal", "list", "--state", "rejected")
    assert kept["location"] == "PV1-2"
    code = (FIXTURES / "A01/unmapped-class.hl7").read_text().split("PV1|")[1].split("|")[1]
    senders = gateway.data / "senders.toml"
    senders.write_text(f'{senders.read_text()}\n[senders.elm-hospital.codes.0004]\n"{code}" = "I"\n')
    assert [line["state"] for line in gateway.command("journal", "replay", str(kept["id"]))] == ["processed"]
    assert gateway.command("journal", "list", "--state", "rejected") == []


def test_a_stopped_gateway_starts_again_over_its_data(gateway):
    hospital_sends(gateway, "A01/member.hl7")
    gateway.stop()
    assert gateway.process.returncode == 0
    gateway.start("serve")
    with gateway.partner("icm-system") as icm:
        assert total(icm, f"/Encounter?patient={gateway.patient(ALMA)}&identifier=V-5001") == 1


def test_the_tour_in_the_readme_names_files_that_exist():
    text = (ROOT / "README.md").read_text("utf-8")
    named = {word.strip("`|") for word in text.split() if word.startswith(("fixtures/v2/", "`fixtures/v2/"))}
    assert named
    assert [name for name in named if not Path(ROOT / name.strip("`")).exists()] == []
