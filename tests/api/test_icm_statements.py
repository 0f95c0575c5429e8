"""``POST /icm/…``: who may state cases, in which forms, and how each is answered."""

import orjson
import pytest

from fhirgw.came_back import Returns
from fhirgw.errors import DependencyDown, InvalidElement

CASE = {"key": "ne-peer:1", "version": 1, "program": "ne-peer"}
RECORDS = {"case": "ne-peer:1", "version": 2, "records": {"contacts": []}}


async def post(api, path, body, media="application/json", client="nebraska"):
    headers = await api.bearer(client, "system/icm") | {"Content-Type": media}
    return await api.http.post(
        path, content=body if isinstance(body, bytes) else orjson.dumps(body), headers=headers
    )


async def test_one_statement_is_stored_for_the_programmes_of_its_client(api):
    reply = await post(api, "/icm/cases", CASE)
    assert (reply.status_code, reply.json()) == (200, {"stored": True})
    [(stated, programs)] = api.ingest.written
    assert (stated.key, stated.version, programs) == ("ne-peer:1", 1, {"ne-peer"})


async def test_what_is_known_is_answered_so(api):
    api.ingest.created = False
    assert (await post(api, "/icm/records", RECORDS)).json() == {"stored": False}


@pytest.mark.parametrize(
    ("path", "body"), [("/icm/cases", RECORDS), ("/icm/records", CASE)], ids=["case", "record"]
)
async def test_cases_and_records_have_a_route_each(api, path, body):
    reply = await post(api, path, body)
    assert reply.status_code == 400
    assert not api.ingest.written


async def test_everything_wrong_with_one_is_told(api):
    api.ingest.error = ExceptionGroup(
        "case", [InvalidElement("a", location="x"), InvalidElement("b", location="y")]
    )
    reply = await post(api, "/icm/cases", CASE)
    assert reply.status_code == 400
    assert [one["expression"] for one in reply.json()["issue"]] == [["x"], ["y"]]


async def test_many_are_each_answered_by_number_and_no_key_comes_back(api):
    lines = [orjson.dumps(CASE), b"no json", b"", orjson.dumps(RECORDS), orjson.dumps(CASE | {"key": "ne-peer:2"})]
    reply = await post(api, "/icm/cases", b"\n".join(lines), "application/x-ndjson")
    assert reply.status_code == 200
    told = reply.json()["results"]
    assert [(one["number"], one.get("stored")) for one in told] == [(1, True), (2, None), (3, None), (4, True)]
    assert told[1]["outcome"]["issue"][0]["code"] == "structure"
    assert b"ne-peer:" not in reply.content


async def test_a_table_says_of_which_list_its_rows_are(api):
    table = "\ufeffcase,version,id\nk,2,a\nk,2,b\nk,x,c\n".encode()
    reply = await post(api, "/icm/records?table=contacts", table, "text/csv")
    assert [one.get("stored") for one in reply.json()["results"]] == [True, None]
    [(stated, _)] = api.ingest.written
    assert stated.content.records == {"contacts": [{"id": "a"}, {"id": "b"}]}


@pytest.mark.parametrize(
    ("path", "body", "media", "status"),
    [
        ("/icm/records", b"case,version\n", "text/csv", 415),
        ("/icm/cases", b"\xff\xfe", "text/csv", 400),
        ("/icm/cases", b"{}", "application/fhir+json", 415),
        ("/icm/cases", b"[]", "application/json", 400),
        ("/icm/cases", b"x" * 5000, "application/json", 413),
        ("/icm/cases", b"x" * 5000, "application/x-ndjson", 413),
    ],
    ids=["no table", "not UTF-8", "FHIR", "a list", "too large", "a long line"],
)
async def test_what_cannot_be_read_is_refused(api, path, body, media, status):
    assert (await post(api, path, body, media)).status_code == status
    assert not api.ingest.written


async def test_a_client_outside_the_programme_states_nothing(api):
    headers = await api.bearer("pcmh") | {"Content-Type": "application/json"}
    assert (await api.http.post("/icm/cases", content=b"{}", headers=headers)).status_code == 403
    headers = await api.bearer("icm") | {"Content-Type": "application/json"}
    assert (await api.http.post("/icm/cases", content=b"{}", headers=headers)).status_code == 403
    assert (await api.http.post("/icm/cases", content=b"{}")).status_code == 401


async def test_what_the_next_would_meet_too_ends_the_whole(api):
    api.ingest.error = DependencyDown("The store is down.")
    assert (await post(api, "/icm/cases", orjson.dumps(CASE), "application/x-ndjson")).status_code == 503


async def test_what_came_back_is_asked_for_after_a_number(api):
    headers = await api.bearer("nebraska", "system/icm")
    for query, number in (("", 0), ("?after=17", 17)):
        reply = await api.http.get(f"/icm/returns{query}", headers=headers)
        assert reply.status_code == 200
        requester, asked = api.share.asked[-1]
        assert (asked, requester.inside) == (Returns(number), {"ne-peer"})


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=1&after=2", "before=1", f"after={'9' * 19}"])
async def test_what_is_no_number_is_refused(api, query):
    reply = await api.http.get(f"/icm/returns?{query}", headers=await api.bearer("nebraska", "system/icm"))
    assert (reply.status_code, reply.json()["issue"][0]["expression"]) == (400, ["after"])
    assert not api.share.asked


async def test_returns_are_for_a_programmes_own_system(api):
    for client, scope in (("pcmh", "system/*.rs"), ("icm", "system/*.cruds")):
        reply = await api.http.get("/icm/returns", headers=await api.bearer(client, scope))
        assert reply.status_code == 403
    assert (await api.http.get("/icm/returns")).status_code == 401
    assert not api.share.asked
