"""$validate and $document by HTTP."""

import pytest

PATIENT = {"resourceType": "Patient", "id": "p1"}

OURS = "http://fhirgw.org/fhir/StructureDefinition/icm-member"
WRONG = {"resourceType": "Patient", "id": "p1", "gender": "SECRET"}


def parameters(**named):
    return {"resourceType": "Parameters", "parameter": [{"name": name, **value} for name, value in named.items()]}


@pytest.mark.parametrize(
    ("body", "severities"),
    [
        (PATIENT, ["information"]),
        (WRONG, ["error"]),
        (parameters(resource={"resource": PATIENT}), ["information"]),
        (parameters(resource={"resource": WRONG}, mode={"valueCode": "update"}), ["error"]),
        (parameters(resource={"resource": PATIENT}, profile={"valueUri": OURS}), ["error"]),
        (parameters(resource={"resource": PATIENT | {"meta": 1}}, profile={"valueUri": OURS}), ["error"]),
    ],
)
async def test_validate_says_what_is_wrong_and_repeats_nothing_of_it(api, body, severities):
    reply = await api.http.post("/fhir/Patient/$validate", json=body, headers=await api.bearer())
    outcome = reply.json()
    assert (reply.status_code, outcome["resourceType"]) == (200, "OperationOutcome")
    assert list(dict.fromkeys(one["severity"] for one in outcome["issue"])) == severities
    assert "SECRET" not in reply.text
    assert (api.ingest.written, api.share.asked) == ([], [])


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Goal"},
        parameters(),
        parameters(resource={"resource": {"resourceType": "Goal"}}),
        parameters(resource={"resource": PATIENT}, mode={"valueCode": "delete"}),
        parameters(resource={"resource": PATIENT}, profile={"valueUri": "http://example.org/none"}),
        parameters(resource={"resource": PATIENT}, other={"valueString": "x"}),
        parameters(resource={"valueString": "x"}),
        {"resourceType": "Parameters", "parameter": [{"name": ["resource"]}]},
        {"resourceType": "Parameters", "parameter": [1]},
    ],
)
async def test_what_validate_does_not_take_is_refused(api, body):
    reply = await api.http.post("/fhir/Patient/$validate", json=body, headers=await api.bearer())
    assert reply.status_code == 400


async def test_nobody_validates_without_a_token(api):
    assert (await api.http.post("/fhir/Patient/$validate", json=PATIENT)).status_code == 401
    assert (await api.http.post("/fhir/Nothing/$validate", json=PATIENT)).status_code == 404


DOCUMENT = "/fhir/CarePlan/c1/$document"


@pytest.mark.parametrize(
    ("query", "body", "asked"),
    [
        ("", None, ("en", False)),
        ("", parameters(language={"valueCode": "es"}, largePrint={"valueBoolean": True}), ("es", True)),
        ("?language=es", parameters(largePrint={"valueBoolean": False}), ("es", False)),
    ],
)
async def test_a_document_is_asked_for_by_post_as_by_get(api, query, body, asked):
    more = {} if body is None else {"json": body}
    reply = await api.http.post(DOCUMENT + query, headers=await api.bearer(), **more)
    assert (reply.status_code, reply.content) == (200, b'{"resourceType":"Released"}')
    ((_, document),) = api.share.asked
    assert (document.id, document.language, document.large) == ("c1", *asked)


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("?language=es", parameters(language={"valueCode": "es"})),
        ("", parameters(language={"valueString": "es"})),
        ("", parameters(language={"valueCode": ["es"]})),
        ("", parameters(largePrint={"valueBoolean": "true"})),
        ("", parameters(other={"valueCode": "es"})),
        ("", {"resourceType": "CarePlan"}),
    ],
)
async def test_what_a_document_cannot_be_asked_for_is_refused(api, query, body):
    reply = await api.http.post(DOCUMENT + query, json=body, headers=await api.bearer())
    assert reply.status_code == 400
    assert api.share.asked == []
