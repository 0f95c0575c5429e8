"""The FHIR routes: who is let in, what is asked of share and ingest, and what comes back."""

import pytest

from fhirgw.asks import History, NextPage, Read, Search, VRead
from fhirgw.errors import (
    DependencyDown,
    InvalidElement,
    MissingElement,
    NotFound,
    ProfileViolation,
    Withheld,
)

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

READS = [
    ("GET", "/fhir/Patient/p1", Read("Patient", "p1")),
    ("GET", "/fhir/Patient/p1/_history/abc", VRead("Patient", "p1", "abc")),
    ("GET", "/fhir/Patient/p1/_history", History("Patient", "p1", ())),
    ("GET", "/fhir/Patient/_history?_count=2", History("Patient", None, (("_count", "2"),))),
    ("GET", "/fhir/Patient", Search("Patient", ())),
    (
        "GET",
        "/fhir/Patient?name=%C3%89va&name=a+b&_format=json&_pretty=true",
        Search("Patient", (("name", "Éva"), ("name", "a b"))),
    ),
    ("POST", "/fhir/Patient/_search", Search("Patient", (), by_post=True)),
    ("GET", "/fhir?_page=abc", NextPage("abc")),
]


@pytest.mark.parametrize(("method", "path", "ask"), READS)
async def test_a_route_asks_share_for_what_its_url_says(api, method, path, ask):
    reply = await api.http.request(method, path, headers=await api.bearer())
    assert reply.status_code == 200
    assert reply.content == b'{"resourceType":"Released"}'
    assert [asked for _, asked in api.share.asked] == [ask]
    assert reply.headers["etag"] == 'W/"3"'


@pytest.mark.parametrize(("method", "path", "ask"), READS)
async def test_without_a_token_nothing_is_asked(api, method, path, ask):
    for headers in (
        {},
        {"Authorization": "Basic eA=="},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
    ):
        reply = await api.http.request(method, path, headers=headers)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert reply.json()["issue"][0]["code"] == "login"
    assert api.share.asked == []


async def test_a_token_in_the_url_or_twice_is_no_token(api):
    token = (await api.bearer())["Authorization"]
    assert (await api.http.get(f"/fhir/Patient/p1?access_token={token[7:]}")).status_code == 401
    twice = [("Authorization", token), ("Authorization", token)]
    assert (await api.http.get("/fhir/Patient/p1", headers=twice)).status_code == 401


@pytest.mark.parametrize(
    ("client", "method", "path"),
    [
        ("narrow", "GET", "/fhir/Goal/g1"),
        ("narrow", "GET", "/fhir/Goal/g1/_history"),
        ("narrow", "GET", "/fhir/Goal/g1/_history/1"),
        ("narrow", "GET", "/fhir/Patient"),
        ("narrow", "GET", "/fhir/Patient/_history"),
        ("narrow", "POST", "/fhir/Patient/_search"),
        ("pcmh", "POST", "/fhir/Patient"),
        ("pcmh", "PUT", "/fhir/Patient/p1"),
    ],
)
async def test_scope_refuses_before_anything_is_looked_up_or_read(api, client, method, path):
    headers = await api.bearer(client) | {"Accept": "text/html", "If-None-Exist": "x"}
    reply = await api.http.request(method, path, headers=headers, content=b"{not json" if method != "GET" else None)
    assert reply.status_code == 403
    assert reply.json()["issue"][0]["code"] == "forbidden"
    assert api.share.asked == api.ingest.written == []


async def test_a_posted_search_reads_body_and_url(api):
    reply = await api.http.post(
        "/fhir/Patient/_search?_count=5",
        content="identifier=urn%3Aa%7C1&name=x",
        headers=await api.bearer() | FORM | {"Prefer": "respond-async, Handling=strict"},
    )
    assert reply.status_code == 200
    expected = (("_count", "5"), ("identifier", "urn:a|1"), ("name", "x"))
    assert api.share.asked[0][1] == Search("Patient", expected, strict=True, by_post=True)


@pytest.mark.parametrize(
    ("prefer", "strict"),
    [
        ("handling=strict", True),
        ("handling=lenient", False),
        ("return=minimal; handling=strict", True),
        ("x", False),
    ],
)
async def test_prefer_says_whether_unknown_parameters_are_refused(api, prefer, strict):
    await api.http.get("/fhir/Patient?x=1", headers=await api.bearer() | {"Prefer": prefer})
    assert api.share.asked[0][1].strict is strict


async def test_head_is_get_without_the_body(api):
    headers = await api.bearer()
    whole, head = [
        await api.http.request(method, "/fhir/Patient/p1", headers=headers) for method in ("GET", "HEAD")
    ]
    assert head.content == b""
    ids = ("x-request-id",)
    assert {k: v for k, v in head.headers.items() if k not in ids} == {
        k: v for k, v in whole.headers.items() if k not in ids
    }


@pytest.mark.parametrize(
    "path",
    ["/fhir/Patient/a_b", "/fhir/Patient/" + "a" * 65, "/fhir/Patient/%C3%A9", "/fhir/Patient/p1/_history/a%20b"],
)
async def test_an_id_that_no_resource_can_have_is_that_of_none(api, path):
    api.share.error = Withheld("secret", location="Patient.name")
    headers = await api.bearer()
    hidden = await api.http.get("/fhir/Patient/p1", headers=headers)
    reply = await api.http.get(path, headers=headers)
    assert reply.status_code == hidden.status_code == 404
    assert reply.content == hidden.content
    assert len(api.share.asked) == 1


@pytest.mark.parametrize(
    "error", [Withheld("why"), NotFound("x", location="y"), ExceptionGroup("g", [InvalidElement("a"), Withheld()])]
)
async def test_hidden_and_absent_are_the_same_bytes(api, error):
    headers = await api.bearer()
    api.share.error = NotFound()
    absent = await api.http.get("/fhir/Patient/p1", headers=headers)
    api.share.error = error
    hidden = await api.http.get("/fhir/Patient/p1", headers=headers)
    drop = lambda reply: {k: v for k, v in reply.headers.items() if k != "x-request-id"}  # noqa: E731 - used twice here
    assert (hidden.status_code, hidden.content, drop(hidden)) == (404, absent.content, drop(absent))


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidElement("A date is needed.", location="birthdate"), 400, "value"),
        (DependencyDown("The database does not answer."), 503, "transient"),
        (ExceptionGroup("g", [MissingElement("a"), ExceptionGroup("h", [ProfileViolation("b")])]), 422, "required"),
    ],
)
async def test_an_error_is_told_as_an_outcome(api, error, status, code):
    api.share.error = error
    reply = await api.http.get("/fhir/Patient?x=1", headers=await api.bearer())
    assert (reply.status_code, reply.json()["issue"][0]["code"]) == (status, code)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Alma Test"),
        KeyError("Alma Test"),
        ExceptionGroup("Alma Test", [InvalidElement("Alma Test"), ValueError("Alma Test")]),
    ],
)
async def test_an_unexpected_error_is_a_constant_answer(api, error):
    api.share.error = error
    reply = await api.http.get("/fhir/Patient/p1", headers=await api.bearer())
    assert reply.status_code == 500
    assert "Alma" not in reply.text + str(reply.headers)
    assert reply.json()["issue"] == [
        {
            "severity": "error",
            "code": "exception",
            "diagnostics": "The gateway failed. The request id leads the operator to the cause.",
        }
    ]


@pytest.mark.parametrize("path", ["/fhir", "/fhir?_page=a&_page=b", "/fhir?_page=a&_count=1", "/fhir?name=x"])
async def test_a_search_over_all_types_is_refused(api, path):
    assert (await api.http.get(path, headers=await api.bearer())).status_code == 400
    assert api.share.asked == []


@pytest.mark.parametrize("query", ["name=%FF", "&".join(f"a{n}=1" for n in range(300))])
async def test_parameters_that_cannot_be_read_are_refused(api, query):
    headers = await api.bearer()
    assert (await api.http.get(f"/fhir/Patient?{query}", headers=headers)).status_code == 400
    assert (await api.http.post("/fhir/Patient/_search", content=query, headers=headers | FORM)).status_code == 400


async def test_a_posted_search_that_is_no_form_is_refused(api):
    reply = await api.http.post("/fhir/Patient/_search", json={"name": "x"}, headers=await api.bearer())
    assert reply.status_code == 415


# --- formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "query", "status"),
    [
        ("*/*", "", 200),
        ("", "", 200),
        ("application/fhir+json", "", 200),
        ("application/fhir+json; fhirVersion=4.0", "", 200),
        ("text/html,application/xml;q=0.9,*/*;q=0.8", "", 200),
        ("application/fhir+xml", "?_format=application/fhir%2Bjson", 200),
        ("*/*", "?_format=application/fhir+json", 200),
        ("application/fhir+xml", "?_format=json", 200),
        ("application/fhir+xml", "", 406),
        ("application/fhir+json;q=0", "", 406),
        ("application/fhir+json; fhirVersion=3.0", "", 406),
        ("*/*", "?_format=xml", 406),
        ("*/*", "?_format=*/*", 406),
        ("application/json", "?_format=ttl", 406),
    ],
)
async def test_answers_are_json_or_refused(api, accept, query, status):
    headers = await api.bearer() | {"Accept": accept}
    reply = await api.http.get(f"/fhir/Patient/p1{query}", headers=headers)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/fhir+json"
    assert len(api.share.asked) == (status == 200)
