"""Consent decisions for other systems: what is told to whom, over HTTP."""

import orjson
import pytest
from composed_gateway import ALMA, FENN
from signed_hospital import Hospital
from sqlalchemy import select

from fhirgw.profiles.validation import problems
from fhirgw.store.schema import ledger

ELM = "http://hl7.org/fhir/sid/us-npi|1234567893"
OAK = "http://hl7.org/fhir/sid/us-npi|1999999984"
SCOPES = "system/*.rs system/consent-decision"


@pytest.fixture
def hospital(whole, tmp_path):
    """Elm's consent service, which its own release permits; one of the programme's; and one without the scope."""
    made = Hospital(whole, tmp_path)
    for name, npi, inside in (("elm-asks", ELM, None), ("staff", OAK, frozenset({"*"})), ("other", OAK, None)):
        made.register(name, inside, npi=npi.rpartition("|")[2], scopes=tuple(SCOPES.split()))
    return made


async def signed_in(hospital, client, scopes=SCOPES):
    return await hospital.bearer(None, client=client, purpose="TREAT", scopes=scopes)


def parameter(name, value):
    if name in ("patient", "actor"):
        system, _, code = value.rpartition("|")
        return {"name": name, "valueIdentifier": {"system": system, "value": code}}
    kind = "valueReference" if name == "resource" else "valueCode"
    return {"name": name, kind: {"reference": value} if name == "resource" else value}


async def decide(hospital, headers, *pairs):
    body = {"resourceType": "Parameters", "parameter": [parameter(*pair) for pair in pairs]}
    reply = await hospital.ask("POST", "/fhir/$consent-decision", headers, json=body)
    if reply.status_code != 200:
        return reply.status_code, {}
    assert problems(reply.json()) == []
    found = {}
    for one in reply.json()["parameter"]:
        [value] = (value for name, value in one.items() if name != "name")
        found.setdefault(one["name"], []).append(value)
    return found["decision"][0], found


async def consult(hospital, headers, patient=ALMA, **context):
    asked = {"patientId": [{"system": patient[0], "value": patient[1]}], **context}
    body = {"hook": "patient-consent-consult", "hookInstance": "1", "context": asked}
    return await hospital.ask("POST", "/cds-services/patient-consent-consult", headers, json=body)


async def test_who_asks_from_outside_is_told_what_it_may_and_nothing_else(whole, hospital):
    headers = await signed_in(hospital, "elm-asks")
    said, told = await decide(hospital, headers, ("patient", "|".join(ALMA)), ("class", "CarePlan"))
    assert (said, told.keys()) == ("permit", {"decision", "text"})
    other = await signed_in(hospital, "other")
    hidden = await decide(hospital, other, ("patient", "|".join(ALMA)), ("class", "CarePlan"))
    nobody = await decide(hospital, other, ("patient", "http://example.org|nobody"), ("class", "CarePlan"))
    assert hidden == nobody
    assert hidden[0] == "deny"


async def test_a_resource_is_permitted_as_a_read_would_show_it(whole, hospital):
    headers = await signed_in(hospital, "elm-asks")
    for kind in ("Condition", "Goal", "Consent", "Task"):
        for logical in whole.stored(kind):
            shown = (await hospital.ask("GET", f"/fhir/{kind}/{logical}", headers)).status_code == 200
            about = next(
                (
                    one
                    for one in (ALMA, FENN)
                    if f"Patient/{whole.patient(one)}" in str(whole.everything()[kind, logical])
                ),
                ALMA,
            )
            asked = (("patient", "|".join(about)), ("resource", f"{kind}/{logical}"))
            assert ((await decide(hospital, headers, *asked))[0] == "permit") is shown


@pytest.mark.parametrize(
    "more", [("actor", OAK), ("purposeOfUse", "HPAYMT"), ("securityLabel", "SUD"), ("action", "collect")]
)
async def test_who_asks_from_outside_asks_about_itself(whole, hospital, more):
    headers = await signed_in(hospital, "elm-asks")
    for patient in ("|".join(ALMA), "http://example.org|nobody"):
        assert await decide(hospital, headers, ("patient", patient), more) == (403, {})


async def test_the_programmes_own_system_is_told_about_others_and_why(whole, hospital):
    headers = await signed_in(hospital, "staff")
    asked = (("patient", "|".join(ALMA)), ("actor", ELM), ("purposeOfUse", "TREAT"), ("class", "CarePlan"))
    said, told = await decide(hospital, headers, *asked)
    assert (said, told["reason"]) == ("permit", ["permitted"])
    assert told["basedOn"][0]["reference"].startswith("Consent/")
    said, told = await decide(hospital, headers, *asked, ("securityLabel", "HIV"))
    assert (said, told["reason"], told.get("obligation")) == ("deny", ["no-permit"], None)
    said, told = await decide(hospital, headers, ("patient", "|".join(ALMA)), ("actor", OAK))
    assert (said, told["reason"]) == ("deny", ["no-permit"])


@pytest.mark.parametrize(
    "more",
    [("actor", "http://example.org|nobody"), ("purposeOfUse", "WHATEVER"), ("securityLabel", "WHATEVER"),
     ("class", "Nonsense"), ("action", "steal"), ("other", "x"), ("patient", "a|b")],
)  # fmt: skip
async def test_a_question_that_cannot_be_read_is_refused(whole, hospital, more):
    headers = await signed_in(hospital, "staff")
    status, _ = await decide(hospital, headers, ("patient", "|".join(ALMA)), more)
    assert status == 400


async def test_the_hook_answers_with_one_card_as_leap_does(whole, hospital):
    services = (await hospital.ask("GET", "/cds-services")).json()["services"]
    assert [one["id"] for one in services] == ["patient-consent-consult"]
    staff = await signed_in(hospital, "staff")
    actor = [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}]
    kind = [{"system": "http://hl7.org/fhir/resource-types", "code": "CarePlan"}]
    reply = await consult(hospital, staff, actor=actor, purposeOfUse=["TREAT"], **{"class": kind})
    [card] = reply.json()["cards"]
    assert (card["summary"], card["indicator"]) == ("CONSENT_PERMIT", "info")
    assert card["extension"]["basedOn"]
    elm = await signed_in(hospital, "elm-asks")
    [card] = (await consult(hospital, elm)).json()["cards"]
    assert (card["summary"], card["extension"]) == (
        "CONSENT_PERMIT",
        {"decision": "CONSENT_PERMIT", "obligations": []},
    )
    other = await signed_in(hospital, "other")
    hidden, nobody = await consult(hospital, other), await consult(hospital, other, ("http://example.org", "x"))
    assert hidden.content == nobody.content
    assert hidden.json()["cards"][0]["summary"] == "NO_CONSENT"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"hook": "patient-view", "hookInstance": "1", "context": {}},
        {"hook": "patient-consent-consult", "hookInstance": "1", "context": {}},
        {"hook": "patient-consent-consult", "hookInstance": "1", "context": {"patientId": "x"}},
        {"hook": "patient-consent-consult", "hookInstance": "1", "context": {"patientId": [], "threshold": 1}},
        {"hook": "patient-consent-consult", "hookInstance": "1",
         "context": {"patientId": [{"system": "s", "value": "v"}], "purposeOfUse": ["TREAT", "HPAYMT"]}},
    ],
)  # fmt: skip
async def test_a_call_of_the_hook_that_cannot_be_read_is_refused(whole, hospital, body):
    headers = await signed_in(hospital, "staff")
    reply = await hospital.ask("POST", "/cds-services/patient-consent-consult", headers, json=body)
    assert reply.status_code == 400


async def test_a_client_without_the_scope_may_not_ask(whole, hospital):
    headers = await signed_in(hospital, "elm-asks", scopes="system/*.rs")
    assert await decide(hospital, headers, ("patient", "|".join(ALMA))) == (403, {})
    assert (await consult(hospital, headers)).status_code == 403


async def test_each_question_about_a_member_is_in_the_ledger(whole, hospital):
    headers = await signed_in(hospital, "staff")
    await decide(hospital, headers, ("patient", "|".join(FENN)), ("actor", ELM))
    with whole.gateway.database.read() as connection:
        [row] = connection.execute(select(ledger).where(ledger.c.recipient == "staff")).all()
    assert row.patient == whole.patient(FENN)
    assert orjson.loads(row.event)["subtype"][0]["code"] == "operation"
