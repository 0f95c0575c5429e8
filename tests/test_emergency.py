"""Break-glass, from the signed assertion to the account: what it opens, what it never does, and what it leaves."""

import orjson
import pytest
from composed_gateway import ALMA, FENN
from signed_hospital import ADA, NPI, REASON, Hospital
from sqlalchemy import select
from structlog.testing import capture_logs

from fhirgw import metrics
from fhirgw.audit import verify
from fhirgw.errors import InvalidElement
from fhirgw.notify import Notifier
from fhirgw.profiles.validation import problems
from fhirgw.store import clients, repository
from fhirgw.store.schema import ledger, outbox


@pytest.fixture
def hospital(whole, tmp_path):
    return Hospital(whole, tmp_path)


def rows(whole):
    with whole.gateway.database.read() as connection:
        return connection.execute(select(ledger).where(ledger.c.recipient == "oak-hospital")).all()


def reviews(whole):
    return [
        one for one in whole.bodies("Task") if one["code"]["coding"][0]["code"] == "emergency-review"
    ]  # fmt: skip


async def test_a_claim_opens_one_patient_and_nobody_else(whole, hospital):
    alma, fenn = whole.patient(ALMA), whole.patient(FENN)
    ordinary = await hospital.bearer(None)
    assert (await hospital.ask("GET", f"/fhir/Patient/{alma}", ordinary)).status_code == 404
    headers = await hospital.bearer("|".join(ALMA))
    assert (await hospital.ask("GET", f"/fhir/Patient/{alma}", headers)).status_code == 200
    found = (await hospital.ask("GET", "/fhir/Condition?_count=200", headers)).json()
    assert {one["resource"]["subject"]["reference"] for one in found["entry"]} == {f"Patient/{alma}"}
    assert (await hospital.ask("GET", f"/fhir/Patient/{fenn}", headers)).status_code == 404
    assert (await hospital.ask("GET", "/fhir/Patient", headers)).json()["total"] == 1


async def test_a_claim_is_documented_told_and_to_be_reviewed_before_anything_is_asked(whole, hospital):
    """42 CFR 2.51(c): who, of which facility, by whom, when, and the nature of the emergency."""
    counted = metrics.registry.get_sample_value("fhirgw_emergency_claims_total")
    with capture_logs() as lines:
        await hospital.bearer("|".join(ALMA))
    assert metrics.registry.get_sample_value("fhirgw_emergency_claims_total") == counted + 1
    [told] = [line for line in lines if "emergency" in line["event"]]
    assert (told["client"], told["log_level"]) == ("oak-hospital", "warning")
    assert "Ada" not in str(lines)
    assert whole.patient(ALMA) not in str(lines)
    [task] = reviews(whole)
    assert problems(task) == []
    assert task["for"]["reference"] == f"Patient/{whole.patient(ALMA)}"
    said = {one["type"]["text"]: one["valueString"] for one in task["input"]}
    assert (said["person"], said["affiliation"]) == (ADA["subject_name"], ADA["organization_name"])
    assert (said["reason"], said["client"]) == (REASON, "oak-hospital")
    [row] = rows(whole)
    event = orjson.loads(row.event)
    assert problems(event) == []
    assert (row.patient, event["subtype"][0]["code"]) == (whole.patient(ALMA), "emergency-claim")
    assert REASON in str(event)
    assert ADA["subject_id"] in str(event)


async def test_everything_released_under_a_claim_is_accounted_for_with_it(whole, hospital):
    headers = await hospital.bearer("|".join(ALMA))
    await hospital.ask("GET", "/fhir/Condition", headers)
    claimed, released = rows(whole)
    assert released.disclosure
    assert not claimed.disclosure
    event = orjson.loads(released.event)
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "BTG"
    assert [one["who"].get("display") for one in event["agent"] if one["requestor"]] == [ADA["subject_name"]]
    assert [one["description"] for one in event["entity"] if "description" in one] == [REASON]
    with whole.gateway.database.read() as connection:
        assert list(verify(connection, whole.gateway.keys.audit)) == []


async def test_after_an_hour_a_claim_opens_nothing(whole, hospital):
    headers = await hospital.bearer("|".join(ALMA))
    whole.clock.tick(seconds=3599)
    assert (await hospital.ask("GET", f"/fhir/Patient/{whole.patient(ALMA)}", headers)).status_code == 200
    whole.clock.tick(seconds=1)
    assert (await hospital.ask("GET", f"/fhir/Patient/{whole.patient(ALMA)}", headers)).status_code == 401


@pytest.mark.parametrize("named", ["Patient/nobody", "http://example.org/mrn|nobody"])
async def test_a_claim_about_nobody_is_answered_as_one_about_somebody(whole, hospital, named):
    """And it leaves an entry of the ledger, for somebody tried."""
    known, unknown = await hospital.token("|".join(ALMA)), await hospital.token(named)
    headers = {"Authorization": f"Bearer {unknown.json()['access_token']}"}
    assert {name: value for name, value in known.json().items() if name != "access_token"} == {
        name: value for name, value in unknown.json().items() if name != "access_token"
    }
    assert (await hospital.ask("GET", "/fhir/Patient", headers)).json()["total"] == 0
    assert [row.patient for row in rows(whole)] == [whole.patient(ALMA), None]


def practitioner(whole, logical, *identifiers):
    body = {"resourceType": "Practitioner", "id": logical, "name": [{"family": "Alvarez"}]}
    if identifiers:
        body["identifier"] = [{"system": NPI, "value": one} for one in identifiers]
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, body))


def refusal(whole, who):
    alma = whole.patient(ALMA)
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}
    category = {"system": "http://fhirgw.org/fhir/CodeSystem/icm-consent-category", "code": "named-person-refusal"}
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    body = {
        "resourceType": "Consent", "id": "never", "status": "active", "scope": {"coding": [scope]},
        "category": [{"coding": [category]}], "patient": {"reference": f"Patient/{alma}"}, "dateTime": "2026-01-01",
        "provision": {"type": "deny", "actor": [{"role": role, "reference": {"reference": who}}]},
    }  # fmt: skip
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, body))


@pytest.mark.parametrize(
    ("identifiers", "shown"),
    [
        pytest.param([ADA["subject_id"]], 0, id="it is she"),
        pytest.param(["1999999984"], 1, id="it is another"),
        pytest.param([], 0, id="it may be she: nothing is known by which the two could be told apart"),
    ],
)
async def test_a_person_whom_the_patient_refused_opens_nothing_and_is_not_told(whole, hospital, identifiers, shown):
    practitioner(whole, "refused", *identifiers)
    refusal(whole, "Practitioner/refused")
    headers = await hospital.bearer("|".join(ALMA))
    assert (await hospital.ask("GET", "/fhir/Patient", headers)).json()["total"] == shown
    assert len(reviews(whole)) == 1


async def test_the_review_is_for_the_staff_and_for_no_claim(whole, hospital):
    headers = await hospital.bearer("|".join(ALMA))
    [task] = reviews(whole)
    assert (await hospital.ask("GET", f"/fhir/Task/{task['id']}", headers)).status_code == 404
    hospital.register("privacy", frozenset({"*"}))
    staff = await hospital.bearer(None, client="privacy", purpose="TREAT")
    assert (await hospital.ask("GET", f"/fhir/Task/{task['id']}", staff)).status_code == 200


async def test_a_client_that_is_not_registered_for_it_leaves_nothing(whole, hospital):
    before = whole.everything()
    for named in ("|".join(ALMA), "Patient/nobody"):
        reply = await hospital.token(named, client="elsewhere")
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")
    assert whole.everything() == before
    assert rows(whole) == []


async def test_the_privacy_officers_system_is_sent_the_claim_and_nobody_outside_is(whole, hospital, monkeypatch):
    sent = []

    async def post(url, released, *, headers):
        sent.append((url, orjson.loads(released.body)))
        return 200

    monkeypatch.setattr("fhirgw.notify.post", post)
    url = "https://privacy.example.org/notices"
    hospital.register("privacy", frozenset({"*"}), notify_url=url, notify_on=clients.NOTICES)
    with pytest.raises(InvalidElement):
        hospital.register("curious", None, notify_url=url, notify_on=clients.NOTICES)
    await hospital.bearer("|".join(ALMA))
    gateway = whole.gateway
    notifier = Notifier(
        gateway.database, gateway.share, new_id=lambda: "note", id_key=gateway.keys.ids,
        clock=lambda: whole.clock.now + 1000,
    )  # fmt: skip
    assert await notifier.deliver_due() == 1
    [(where, body)] = sent
    assert where == url
    assert problems(body) == []
    assert [one["resource"]["resourceType"] for one in body["entry"]] == ["MessageHeader", "Task"]
    with gateway.database.read() as connection:
        assert [row.state for row in connection.execute(select(outbox))] == ["sent"]
