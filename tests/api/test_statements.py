"""What the gateway says of itself: static, public, and true."""

import pytest

from fhirgw.api.metadata import INTERACTIONS
from fhirgw.profiles import definitions
from fhirgw.r4 import validate


async def test_the_capability_statement_is_a_valid_r4_resource_and_names_every_type(api):
    reply = await api.http.get("/fhir/metadata")
    statement = reply.json()
    assert reply.headers["content-type"] == "application/fhir+json"
    validate(statement)
    (rest,) = statement["rest"]
    assert [one["type"] for one in rest["resource"]] == sorted(definitions.resource_types())
    patient = next(one for one in rest["resource"] if one["type"] == "Patient")
    assert {one["code"] for one in patient["interaction"]} == set(INTERACTIONS)
    assert {"_id", "_lastUpdated", "identifier", "birthdate", "name"} <= {
        one["name"] for one in patient["searchParam"]
    }


async def test_statements_are_the_same_for_everybody(api):
    for path in ("/fhir/metadata", "/fhir/.well-known/smart-configuration", "/.well-known/smart-configuration"):
        answers = [await api.http.get(path, headers=headers) for headers in ({}, await api.bearer("icm"))]
        assert answers[0].content == answers[1].content
        assert answers[0].status_code == 200


async def test_the_smart_configuration_leads_to_a_token(api):
    found = (await api.http.get("/fhir/.well-known/smart-configuration")).json()
    assert found["token_endpoint"] == "https://gw.example.org/auth/token"
    assert found["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert found["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert "client-confidential-asymmetric" in found["capabilities"]
    assert "permission-v2" in found["capabilities"]


@pytest.mark.parametrize(("accept", "status"), [("application/fhir+json", 200), ("application/fhir+xml", 406)])
async def test_the_capability_statement_is_json(api, accept, status):
    assert (await api.http.get("/fhir/metadata", headers={"Accept": accept})).status_code == status
