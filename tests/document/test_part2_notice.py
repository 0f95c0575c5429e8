"""42 CFR 2.32: the notice and the scope go with records under Part 2, through every exit, and with nothing else."""

import orjson
import pytest
from composed_gateway import ALMA, composed

from fhirgw.asks import History, NextPage, Read, Search, VRead
from fhirgw.consent import notice
from fhirgw.consent.notice import STATEMENT
from fhirgw.document import Document, Presentation
from fhirgw.errors import TooLarge
from fhirgw.share import PART2_HEADER, PART2_SCOPE_HEADER
from fhirgw.store import parties, policy, repository

SUD = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}
SCOPE = "released with the patient's consent for COC or TREAT, any type of record, no category but SUD or MH"


def release(whole):
    """Alma's release to the Elm Street practice."""
    with whole.gateway.database.read() as connection:
        tokens = parties.organization_tokens(connection, whole.requester("pcmh-elm").organization)
        (found,) = policy.releases(connection, whole.patient(ALMA), tokens)
    return found


def put(whole, *resources):
    whole.clock.tick(seconds=60)
    whole.gateway.database.write_sync(lambda tx: [repository.put(tx, one) for one in resources])


@pytest.fixture
def whole(tmp_path):
    """The practice's release names substance use."""
    with composed(tmp_path) as gateway:
        consent = release(gateway)
        labels = [*consent["provision"]["securityLabel"], SUD]
        put(gateway, consent | {"provision": consent["provision"] | {"securityLabel": labels}})
        yield gateway


async def ask(whole, asked, client="pcmh-elm"):
    return await whole.gateway.share.release(whole.requester(client), asked)


def sober(whole):
    return next(one["id"] for one in whole.bodies("Goal") if "sober" in one["description"].get("text", ""))


def plan(whole):
    of = f"Patient/{whole.patient(ALMA)}"
    return next(
        one["id"] for one in whole.bodies("CarePlan") if "partOf" not in one and one["subject"]["reference"] == of
    )


async def exits(whole):
    """An ask of each kind that holds such records."""
    goal = sober(whole)
    version = orjson.loads((await ask(whole, Read("Goal", goal))).body)["meta"]["versionId"]
    found = orjson.loads((await ask(whole, Search("Goal", (("_count", "1"),)))).body)
    (following,) = [one["url"] for one in found["link"] if one["relation"] == "next"]
    return [
        Read("Goal", goal),
        VRead("Goal", goal, version),
        History("Goal", goal),
        History("Goal", None),
        Search("Goal", (("_id", goal),)),
        Search("CarePlan", (("_include", "CarePlan:goal"),)),
        *(Document(plan(whole), form) for form in Presentation),
    ], following.partition("_page=")[2]


async def test_every_exit_that_holds_such_records_carries_the_notice_and_the_scope(whole):
    asked, _ = await exits(whole)
    for one in asked:
        released = await ask(whole, one)
        assert released.headers[PART2_HEADER] == STATEMENT, one
        assert released.headers[PART2_SCOPE_HEADER].startswith(SCOPE), one


async def test_pages_carry_it_where_their_records_do(whole):
    _, token = await exits(whole)
    with_it = set()
    first = await ask(whole, Search("Goal", (("_count", "1"),)))
    for released in (first, await ask(whole, NextPage(token))):
        with_it.add(
            (b"sober" in released.body, PART2_HEADER in released.headers, PART2_SCOPE_HEADER in released.headers)
        )
    assert all(len(set(one)) == 1 for one in with_it)


async def test_nothing_else_carries_it(whole):
    other = next(one["id"] for one in whole.bodies("Goal") if "safe place" in one["description"].get("text", ""))
    for released in (
        await ask(whole, Read("Goal", other)),
        await ask(whole, Read("Goal", sober(whole)), "icm-system"),
    ):
        assert not {PART2_HEADER, PART2_SCOPE_HEADER} & released.headers.keys()


@pytest.mark.parametrize("language", ["en", "es"])
async def test_what_is_printed_says_it_in_the_words_of_the_law_and_in_the_readers(whole, opened, language):
    document = Document(plan(whole), Presentation.HTML, language)
    page = await opened((await ask(whole, document)).body)
    said = await page.locator("section.notice").inner_text()
    assert STATEMENT in said
    assert SCOPE in said
    assert ("prohíbe" in said) is (language == "es")


async def test_a_document_that_is_kept_has_it_without_its_headers(whole):
    bundle = orjson.loads((await ask(whole, Document(plan(whole)))).body)
    section = bundle["entry"][0]["resource"]["section"][-1]
    assert STATEMENT in section["text"]["div"]
    assert "released with the patient" in section["text"]["div"]


async def test_the_scope_names_neither_who_else_nor_what_is_denied_nor_the_consent(whole):
    consent = release(whole)
    denied = {"type": "deny", "securityLabel": [SUD | {"code": "HIV"}], "actor": consent["provision"]["actor"]}
    put(whole, consent | {"provision": consent["provision"] | {"provision": [denied]}})
    said = (await ask(whole, Read("Goal", sober(whole)))).headers[PART2_SCOPE_HEADER]
    assert said.startswith(SCOPE)
    assert [word for word in ("HIV", "deny", "Organization/", consent["id"]) if word in said] == []


def test_a_scope_is_one_line_of_printable_ascii_whatever_the_consent_holds(monkeypatch):
    monkeypatch.setattr(
        notice, "_sentences", lambda case, kinds: iter(["until ä\r\nX-Evil: 1", "until ö\nX-Evil: 1"])
    )
    assert notice.scopes(None, ()) == ("until X-Evil: 1",)


async def test_what_is_too_much_for_a_header_is_refused_and_not_cut(whole, monkeypatch):
    monkeypatch.setattr("fhirgw.share.SCOPE_CHARACTERS", 10)
    with pytest.raises(TooLarge):
        await ask(whole, Read("Goal", sober(whole)))
