"""``Patient/$disclosures``: what is listed by which law, for whom, and how the member reads it."""

from dataclasses import replace
from datetime import date

import orjson
import pytest
from composed_gateway import ALMA, composed

from fhirgw import accounting
from fhirgw.accounting import HIPAA, PART2
from fhirgw.api.operations import disclosures_asked
from fhirgw.asks import Search
from fhirgw.audit import AGREEMENT, EMERGENCY, Disclosure, disclosures
from fhirgw.document import Disclosures, Presentation
from fhirgw.document.disclosed import page
from fhirgw.errors import Forbidden, InvalidElement, NotFound
from fhirgw.profiles.validation import problems

TODAY = date(2026, 11, 22)
RELEASED = Disclosure(
    "2026-11-01T10:00:00.000Z", "elm", None, "TREAT", ("Goal/g/_history/1",), ("Consent/c/_history/1",), "r",
    part2=False,
)  # fmt: skip
AGREED, CLAIMED = (f"{AGREEMENT}audit",), (f"{EMERGENCY}x",)


@pytest.mark.parametrize(
    ("said", "listed"),
    [
        ({}, ()),  # treatment, payment, operations: 164.528(a)(1)(i)
        ({"purpose": "HMARKT"}, ()),  # authorized: (iv)
        ({"consents": AGREED, "purpose": "PUBHLTH"}, (HIPAA,)),
        ({"consents": (*RELEASED.consents, *AGREED), "purpose": "PUBHLTH"}, (HIPAA,)),
        ({"consents": (), "purpose": "PUBHLTH"}, (HIPAA,)),  # nobody knows why: listed
        ({"consents": CLAIMED, "purpose": "ETREAT"}, ()),
        ({"part2": True}, (PART2,)),  # through an electronic health record: 2.25(b)(1)
        ({"part2": True, "purpose": "HMARKT"}, (PART2,)),
        ({"part2": True, "consents": CLAIMED, "purpose": "ETREAT"}, ()),  # not with consent: 2.51(c) documents it
        ({"part2": True, "recorded": "2023-11-22T00:00:00.000Z"}, (PART2,)),
        ({"part2": True, "recorded": "2023-11-21T23:59:59.999Z"}, ()),  # three years
        ({"consents": AGREED, "purpose": "PUBHLTH", "recorded": "2020-11-22T00:00:00.000Z"}, (HIPAA,)),
        ({"consents": AGREED, "purpose": "PUBHLTH", "recorded": "2020-11-21T23:59:59.999Z"}, ()),  # six years
    ],
)
def test_a_law_lists_what_it_says(said, listed):
    assert accounting.laws(replace(RELEASED, **said), TODAY) == listed


def test_an_accounting_asked_for_on_a_leap_day_goes_back_to_a_day_that_is_there():
    assert accounting.earliest(date(2028, 2, 29)) == date(2022, 2, 28)


def lines(*said):
    made = [
        accounting.Line(date(2026, 11, day), "Elm", "1 Elm St, Albany", ("Goal",), "COC", 2, "release", part2, laws)
        for day, part2, laws in said
    ]
    return page("Alma", made, "en", (date(2020, 11, 22), TODAY))


def test_what_the_law_has_listed_comes_first_and_the_rest_is_told_too():
    counted, others = lines((1, False, ()), (2, True, (PART2,))).sections
    assert [item.lead for item in counted.items] == ["November 2, 2026: Elm"]
    assert counted.items[0].lines == (
        "1 Elm St, Albany", "What: goals", "Why: coordination of care", "2 times that day",
        "Because of a release that you signed", "It held substance use records that 42 CFR part 2 protects",
        "Listed under 42 CFR 2.25",
    )  # fmt: skip
    assert [item.lead for item in others.items] == ["November 1, 2026: Elm"]


def test_where_there_is_nothing_to_list_it_says_so():
    assert [[item.lead for item in section.items] for section in lines().sections] == [["Nothing."], ["Nothing."]]


# --- through the gateway ------------------------------------------------------------------------------------------


@pytest.fixture
def whole(tmp_path):
    with composed(tmp_path) as gateway:
        gateway.clock.tick(seconds=60)
        yield gateway


async def asked(whole, client="icm-system", **how):
    ask = Disclosures(whole.patient(ALMA), **how)
    return await whole.gateway.share.release(whole.requester(client), ask)


async def disclose(whole):
    for _ in range(2):
        await whole.gateway.share.release(whole.requester("pcmh-elm"), Search("Goal", ()))


async def test_the_staff_get_every_disclosure_as_a_valid_audit_event_and_no_access_of_their_own(whole):
    await whole.gateway.share.release(whole.requester("icm-system"), Search("Goal", ()))
    await disclose(whole)
    bundle = orjson.loads((await asked(whole)).body)
    assert problems(bundle) == []
    events = [entry["resource"] for entry in bundle["entry"]]
    assert [event["agent"][0]["who"]["identifier"]["value"] for event in events] == ["pcmh-elm", "pcmh-elm"]
    assert len({entry["fullUrl"] for entry in bundle["entry"]}) == 2


async def test_the_span_narrows_it(whole):
    await disclose(whole)
    for span in ({"start": date(2030, 1, 1)}, {"end": date(2020, 1, 1)}):
        assert "entry" not in orjson.loads((await asked(whole, **span)).body)


@pytest.mark.parametrize("client", ["pcmh-elm", "pcmh-oak", "agency-dss"])
async def test_nobody_outside_gets_an_accounting_whoever_it_is_about(whole, client):
    requester = whole.requester(client)
    for logical in (whole.patient(ALMA), "nobody"):
        with pytest.raises(Forbidden):
            await whole.gateway.share.release(requester, Disclosures(logical))


async def test_of_a_member_of_another_programme_there_is_none(whole):
    requester = replace(whole.requester("icm-system"), inside=frozenset({"husky"}))
    with pytest.raises(NotFound):
        await whole.gateway.share.release(requester, Disclosures(whole.patient(ALMA)))


async def test_the_asking_is_in_the_ledger_and_is_no_disclosure(whole):
    await asked(whole)
    with whole.gateway.database.read() as connection:
        assert disclosures(connection, whole.patient(ALMA)) == []
        (row,) = connection.exec_driver_sql("SELECT recipient, patient FROM ledger ORDER BY seq DESC LIMIT 1").all()
    assert tuple(row) == ("icm-system", whole.patient(ALMA))


@pytest.mark.parametrize("language", ["en", "es"])
async def test_the_member_reads_a_page_in_their_language(whole, opened, language):
    await disclose(whole)
    page_ = await opened((await asked(whole, presentation=Presentation.HTML, language=language)).body)
    assert await page_.locator("html").get_attribute("lang") == language
    assert await page_.locator("h2").count() == 2
    said = await page_.locator("section.others").inner_text()
    assert "Elm Street Family Practice" in said
    assert {"en": "What: goals", "es": "Qué: metas"}[language] in said
    assert {"en": "2 times that day", "es": "2 veces ese día"}[language] in said


async def test_it_prints_as_a_pdf_that_can_be_read_aloud(whole):
    await disclose(whole)
    printed = await asked(whole, presentation=Presentation.PDF, large=True)
    assert printed.media_type == "application/pdf"
    assert b"pdfuaid" in printed.body


@pytest.mark.parametrize(
    "pairs",
    [{"since": "2026"}, {"start": "yesterday"}, {"end": "2026-13-01"}, {"language": "fr"}, {"largePrint": "1"}],
)
def test_what_the_operation_does_not_take_is_refused(pairs):
    with pytest.raises(InvalidElement):
        disclosures_asked("x", Presentation.BUNDLE, pairs)
