"""Create, update and delete by HTTP: what is written and then released, and what is refused."""

import orjson
import pytest

from fhirgw.asks import Read
from fhirgw.errors import (
    Forbidden,
    NotFound,
    ProfileViolation,
    StillNeeded,
    VersionConflict,
    Withheld,
)

PATIENT = {"resourceType": "Patient", "id": "p1"}


async def test_a_create_is_written_then_released(api):
    body = orjson.dumps(PATIENT | {"birthDate": "1950"})
    reply = await api.http.post(
        "/fhir/Patient", content=body, headers=await api.bearer("icm") | {"Content-Type": "application/fhir+json"}
    )
    assert reply.status_code == 201
    assert reply.headers["location"] == "https://gw.example.org/fhir/Patient/new-id/_history/3"
    assert reply.headers["etag"] == 'W/"3"'
    requester, resource, logical, if_match = api.ingest.written[0]
    assert requester.inside == frozenset({"*"})
    assert (resource, logical, if_match) == ({"resourceType": "Patient", "birthDate": "1950"}, None, None)
    assert api.share.asked[0][1] == Read("Patient", "new-id")


@pytest.mark.parametrize(("created", "status"), [(True, 201), (False, 200)])
async def test_an_update_is_written_then_released(api, created, status):
    api.ingest.created = created
    reply = await api.http.put(
        "/fhir/Patient/p1", json=PATIENT, headers=await api.bearer("icm") | {"If-Match": 'W/"2"'}
    )
    assert reply.status_code == status
    assert reply.headers["location"] == "https://gw.example.org/fhir/Patient/p1/_history/3"
    assert api.ingest.written[0][1:] == (PATIENT, "p1", 'W/"2"')


async def test_who_may_write_and_not_read_gets_no_body(api):
    reply = await api.http.put("/fhir/Patient/p1", json=PATIENT, headers=await api.bearer("writer"))
    assert (reply.status_code, reply.content, api.share.asked) == (201, b"", [])
    api.share.error = Withheld()
    reply = await api.http.put("/fhir/Patient/p1", json=PATIENT, headers=await api.bearer("icm"))
    assert (reply.status_code, reply.content) == (201, b"")
    assert reply.headers["location"] == "https://gw.example.org/fhir/Patient/p1"


@pytest.mark.parametrize(
    ("error", "status"),
    [(Forbidden("no"), 403), (NotFound(), 404), (VersionConflict("x"), 412), (ProfileViolation("x"), 422)],
)
async def test_what_ingest_refuses_is_told_and_nothing_is_released(api, error, status):
    api.ingest.error = error
    assert (
        await api.http.put("/fhir/Patient/p1", json=PATIENT, headers=await api.bearer("icm"))
    ).status_code == status
    assert api.share.asked == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "structure"),
        (b"{", 400, "structure"),
        (b'{"resourceType":"Patient","id":"p1"} x', 400, "structure"),
        (b'{"resourceType":"Patient","id":"p1","x":NaN}', 400, "structure"),
        (b'{"resourceType":"Patient","id":"\xff"}', 400, "structure"),
        (b"[" * 3000, 400, "structure"),
        (b"[]", 400, "structure"),
        (b"null", 400, "structure"),
        (b"{}", 400, "value"),
        (b'{"resourceType":"Goal","id":"p1"}', 400, "value"),
        (b'{"resourceType":["Patient"],"id":"p1"}', 400, "value"),
        (b'{"resourceType":"Patient"}', 400, "value"),
        (b'{"resourceType":"Patient","id":"p2"}', 400, "value"),
        (b'{"resourceType":"Patient","id":"p1","x":"' + b"x" * 5000 + b'"}', 413, "too-long"),
    ],
)
async def test_a_body_that_is_not_the_resource_of_the_url_is_refused(api, body, status, code):
    headers = await api.bearer("icm") | {"Content-Type": "application/fhir+json"}
    reply = await api.http.put("/fhir/Patient/p1", content=body, headers=headers)
    assert (reply.status_code, reply.json()["issue"][0]["code"]) == (status, code)
    assert api.ingest.written == []


async def test_a_body_without_a_length_is_cut_at_the_cap(api):
    sent = []

    async def endless():
        for _ in range(1000):
            sent.append(1)
            yield b" " * 1000

    headers = await api.bearer("icm") | {"Content-Type": "application/fhir+json"}
    reply = await api.http.post("/fhir/Patient", content=endless(), headers=headers)
    assert reply.status_code == 413
    assert len(sent) < 10


@pytest.mark.parametrize(
    "media",
    [
        "",
        "text/plain",
        "application/fhir+xml",
        "application/json; charset=latin-1",
        "application/fhir+json; fhirVersion=5.0",
    ],
)
async def test_another_format_of_body_is_refused(api, media):
    reply = await api.http.post(
        "/fhir/Patient", content=b"{}", headers=await api.bearer("icm") | {"Content-Type": media}
    )
    assert reply.status_code == 415


async def test_an_utf8_json_body_of_r4_is_taken(api):
    media = {"Content-Type": 'application/fhir+json; charset="UTF-8"; fhirVersion=4.0'}
    reply = await api.http.put(
        "/fhir/Patient/p1", content=orjson.dumps(PATIENT), headers=await api.bearer("icm") | media
    )
    assert reply.status_code == 201


@pytest.mark.parametrize("header", ["If-None-Exist", "If-None-Match"])
async def test_a_condition_that_is_not_kept_is_refused(api, header):
    headers = await api.bearer("icm") | {header: "*"}
    for method, path in (("POST", "/fhir/Patient"), ("PUT", "/fhir/Patient/p1")):
        assert (await api.http.request(method, path, json=PATIENT, headers=headers)).status_code == 400
    assert api.ingest.written == []


async def test_a_put_to_an_id_that_no_resource_can_have_is_refused(api):
    reply = await api.http.put("/fhir/Patient/a_b", json=PATIENT | {"id": "a_b"}, headers=await api.bearer("icm"))
    assert reply.status_code == 400


async def test_a_deletion_goes_through_ingest_and_says_which_version_it_is(api):
    headers = await api.bearer("icm") | {"If-Match": 'W/"3"'}
    reply = await api.http.delete("/fhir/Patient/p1", headers=headers)
    assert (reply.status_code, reply.content, reply.headers["etag"]) == (204, b"", 'W/"4"')
    ((_, *what),) = api.ingest.deleted
    assert what == ["Patient", "p1", 'W/"3"']
    assert api.share.asked == []


@pytest.mark.parametrize("client", ["pcmh", "writer"])
async def test_only_a_scope_that_says_so_deletes(api, client):
    headers = await api.bearer(client, "system/*.crus")
    answers = [await api.http.delete(f"/fhir/Patient/{one}", headers=headers) for one in ("p1", "nobody")]
    assert {reply.status_code for reply in answers} == {403}
    assert api.ingest.deleted == []


@pytest.mark.parametrize(
    ("error", "status"), [(NotFound(), 404), (VersionConflict("x"), 412), (StillNeeded("x"), 409)]
)
async def test_a_deletion_that_is_refused_says_why(api, error, status):
    api.ingest.error = error
    reply = await api.http.delete("/fhir/Patient/p1", headers=await api.bearer("icm"))
    assert (reply.status_code, reply.json()["resourceType"]) == (status, "OperationOutcome")


async def test_a_conditional_deletion_is_none(api):
    reply = await api.http.delete("/fhir/Patient?identifier=x", headers=await api.bearer("icm"))
    assert reply.status_code == 405
    assert api.ingest.deleted == []
