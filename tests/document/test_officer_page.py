"""The privacy officer's page as a browser shows it: whole, alone, readable by everybody, and printable."""

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fhirgw.consent import vocabulary
from fhirgw.consent.explain import Change, Decided, Duty, Explained, Explanation, View
from fhirgw.consent.lint import Finding
from fhirgw.consent.model import RuleRef
from fhirgw.document import officer

AT = datetime(2026, 6, 15, 12, tzinfo=UTC)
ELM = "Organization/elm"
NAMES = {ELM: "Elm <Street> Practice"}
SEEN = Decided(
    "Condition", "PERMIT", 7, "permitted", (RuleRef("c1", "1", "provision"),), (), "N", ("SUD",), ("Condition/x",)
)
HIDDEN = Decided("Goal", "DENY", 5, "required-by-law,state & audit", (), ("SUD",), "R", (), ("Goal/a", "Goal/b"))
RELEASE = Explained(
    "c1", "1", "release-of-information", True, (), (f"provision: {ELM}, for TREAT",), ("provision: anybody",),
    (Finding("expiring", "it ends on 2026-07-01, in 16 days"),), datetime(2026, 7, 1, tzinfo=UTC), 16,
    (Change("elm", "Elm", "TREAT", ("Condition/x",), ()),), (),
)  # fmt: skip
DRAFT = Explained(
    "c2", "3", "release-of-information", False, ("status-draft", "signature"), (), (), (), None, None, (),
    (Change("oak", "Oak", "COC", (), ("Goal/a", "Goal/b")),),
)  # fmt: skip
SAID = Explanation(
    "Patient/p", AT, 7, (("ct-bhp", "active"),),
    (View("elm", "Elm", "TREAT", None, (SEEN, HIDDEN)), View("oak", "Oak", "COC", "opted-out", (HIDDEN,))),
    (RELEASE, DRAFT),
    (Duty("expiring", "Consent/c1", "it ends on 2026-07-01"), Duty("break-glass", "Task/t", f"Dr {ELM}")),
)  # fmt: skip
EMPTY = Explanation("Patient/p", AT, 0, (), (), (), ())


@pytest.fixture
async def page(opened):
    return await opened(officer.html(SAID, "Alma <b>Testperson</b>", NAMES))


async def rows(page, caption):
    """The rows of the table with this caption, as text."""
    table = page.get_by_role("table", name=caption)
    return [await row.locator("th, td").all_inner_texts() for row in await table.locator("tbody tr").all()]


async def test_what_is_to_be_done_comes_first(page):
    assert [row[0] for row in await rows(page, "What a person has to settle")] == [
        "Renew, or let it end", "Review emergency access",
    ]  # fmt: skip
    headings = ["What to do", "Who may see what", "Consents", "What the codes mean"]
    assert await page.locator("h2").all_inner_texts() == headings


async def test_who_sees_what_and_why_is_a_table_for_each_recipient_and_leads_to_the_consent(page):
    seen, hidden = await rows(page, "What Elm may see for TREAT, and why")
    assert (seen[:4], seen[5]) == (["Condition", "yes", "1", "N"], "SUD")
    assert hidden[:5] == ["Goal", "no", "2", "R: SUD", "an agreement required by law: state & audit"]
    assert await page.get_by_text("Nothing by a release: the member left the programme.").count() == 1
    target = await page.get_by_role("link", name="consent 1", exact=True).get_attribute("href")
    assert await page.locator(target).inner_text() == "1. Release of information"


async def test_what_an_end_or_a_signature_would_change_is_told(page):
    assert await rows(page, "If it ended now") == [["Elm", "TREAT", "1 Condition", "nothing"]]
    assert await rows(page, "If the member signed it now") == [["Oak", "COC", "nothing", "2 Goal"]]


async def test_nothing_that_was_written_becomes_markup_and_every_code_used_is_explained(page):
    assert await page.locator("h1").inner_text() == "Who sees what of Alma <b>Testperson</b>"
    assert await page.get_by_text("Elm <Street> Practice (Organization/elm), for TREAT").count() == 1
    assert await page.locator("dt").all_inner_texts() == ["N", "R", "SUD", "TREAT", "COC"]


async def test_it_needs_nothing_else_and_runs_nothing(page):
    content = await page.content()
    assert page.asked == []
    assert re.findall(r"<script|\bsrc=|url\(|@import", content) == []
    assert [href for href in re.findall(r'href="([^"]*)"', content) if not href.startswith("#")] == []
    assert "default-src 'none'" in content


async def test_it_can_be_read_aloud(page):
    assert await page.locator("html").get_attribute("lang") == "en"
    assert await page.locator("main").count() == await page.locator("h1").count() == 1
    assert await page.locator("table").count() == await page.locator("table > caption").count() == 5
    assert await page.locator("th:not([scope])").count() == 0
    levels = [
        int((await one.evaluate("node => node.tagName"))[1]) for one in await page.locator("h1, h2, h3").all()
    ]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [await one.get_attribute("id") for one in await page.locator("[id]").all()]
    assert len(set(ids)) == len(ids)
    links = [await one.get_attribute("href") for one in await page.locator("a[href]").all()]
    assert {link.removeprefix("#") for link in links} <= set(ids)


async def test_it_fits_a_narrow_window_and_a_sheet_of_paper(page):
    await page.set_viewport_size({"width": 360, "height": 700})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await page.emulate_media(media="print")
    assert not await page.locator("nav").is_visible()
    row = page.locator("tbody tr").first
    assert await row.evaluate("node => getComputedStyle(node).breakInside") == "avoid"
    assert (await page.pdf()).startswith(b"%PDF")


def test_a_member_without_consents_has_a_page_too():
    said = officer.html(EMPTY, "Alma", {}).decode()
    for line in ("Nothing has to be settled.", "No recipient outside the programme is registered.",
                 "There is no Consent of this member."):  # fmt: skip
        assert said.count(line) == 1


def test_the_text_says_the_same():
    said = officer.text(SAID, "Alma & Co", NAMES)
    for line in (
        "Who sees what of Alma & Co",
        "  Renew, or let it end: Consent/c1, it ends on 2026-07-01",
        "    yes 1 Condition (N): a release permits it, consent 1 provision; left out: SUD",
        "    no  2 Goal (R: SUD): an agreement required by law: state & audit",
        "    Nothing by a release: the member left the programme",
        "    if the member signed it now, Oak (COC): closes nothing, opens 2 Goal",
        "  2. Release of information: Consent/c2, not in force: it is a draft, it is not signed",
        "  TREAT: treatment",
    ):
        assert line in said.splitlines()


def test_what_is_withheld_because_nobody_has_reviewed_it_is_said_to_be():
    """Not that it was psychotherapy notes, as which it counts until then."""
    every = tuple(vocabulary.names(vocabulary.RESTRICTED))
    form = replace(HIDDEN, stage=2, reason="psychotherapy-notes-need-own-consent", labels=every)
    assert officer.why(form).startswith("nobody has reviewed its words")
    assert officer.why(replace(form, labels=("PSYTHPN",))) == "psychotherapy notes need a consent of their own"


SOURCES = "".join(path.read_text("utf-8") for path in Path(officer.__file__).parents[1].glob("consent/*.py"))


@pytest.mark.parametrize("reason", sorted(officer.WORDS["reasons"]))
def test_every_reason_in_words_is_one_that_decisions_give(reason):
    assert f'"{reason}' in SOURCES


def test_every_reason_that_decisions_give_is_in_words():
    decided = (Path(officer.__file__).parents[1] / "consent/decide.py").read_text("utf-8")
    given = set(re.findall(r'(?:True|False), \d, "([a-z0-9-]+)"', decided)) | {
        "permitted",
        "no-permit",
        "opted-out",
    }
    assert given <= officer.WORDS["reasons"].keys()
    assert len(given) > 5


def test_every_test_of_stage_0_is_in_words():
    standing = (Path(officer.__file__).parents[1] / "consent/standing.py").read_text("utf-8")
    named = set(re.findall(r'yield "([a-z]+)"', standing)) | {"superseded"}
    assert len(named) > 6
    assert named <= officer.WORDS["tests"].keys()


def test_every_label_and_level_is_in_words():
    named = {*vocabulary.LEVELS, *vocabulary.names(vocabulary.ALL_LABELS & ~vocabulary.UNREADABLE)}
    assert named <= officer.WORDS["codes"].keys()
