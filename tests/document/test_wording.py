"""The member's copy in words: every phrase in every language, what a crisis plan says, how often is said."""

import tomllib
from datetime import date
from importlib.resources import files

import orjson
import pytest

from fhirgw.configuration import load_programs
from fhirgw.document import LANGUAGES, pages
from fhirgw.document.plan import Coded, Often, OnCall, Part, Plan, Step, read
from fhirgw.document.wording import Shared, page
from fhirgw.profiles import npm

WORDS = tomllib.loads(files("fhirgw.document").joinpath("words.toml").read_text("utf-8"))
EMPTY = Plan("Alma Testperson", None, None, None, (), (), (), (), ())


def keys(table, path=()):
    for name, value in table.items():
        if isinstance(value, dict):
            yield from keys(value, (*path, name))
        else:
            yield (*path, name)


def test_every_language_has_every_phrase():
    phrases = [{key for key in keys(WORDS[one]) if key[0] != "codes"} for one in LANGUAGES]
    assert set(WORDS) == set(LANGUAGES)
    assert all(one == phrases[0] for one in phrases)


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_somebody_is_to_the_member_is_said_in_words_and_not_by_its_code(language):
    definitions = (orjson.loads(content) for content in npm.definitions().values())
    [system] = [one for one in definitions if one["id"] == "icm-relationship"]
    assert {one["code"] for one in system["concept"]} <= WORDS[language]["codes"].keys()


def test_every_role_and_plan_of_every_programme_is_said_in_spanish():
    programs = load_programs(None)
    codes = {one.code for program in programs.values() for one in (*program.roles, *program.sections)}
    assert codes <= WORDS["es"]["codes"].keys()


@pytest.mark.parametrize(
    ("often", "said"),
    [
        (Often(1, 1, None, "wk"), "once a week"),
        (Often(2, 1, None, "d"), "2 times a day"),
        (Often(1, 2, None, "wk"), "once every 2 weeks"),
        (Often(1, 1, 2, "wk"), "once every 1 to 2 weeks"),
    ],
)
def test_how_often_is_said_as_people_say_it(often, said):
    plan = Plan(
        "A", None, None, None, (), (Step("ServiceRequest/1", "Walk.", often, ("Chidi Okafor",)),), (), (), ()
    )
    (section,) = page(plan, "en", None).sections
    assert section.items[0].lead == f"Walk, {said}, with Chidi Okafor"


def test_a_crisis_plan_says_its_steps_by_kind_and_whom_to_call():
    part = Part(
        "CarePlan/c",
        Coded("ne-peer.crisis-prevention", "Crisis prevention plan"),
        ("Stay with Iris.",),
        (("warning-sign", "No sleep"), ("response", "Call Iris"), ("warning-sign", "No food")),
        (OnCall("Warm line", "1-800-555-0100", "evenings"),),
    )
    plan = Plan("A", None, None, None, (), (), (), (), (part,))
    (section,) = page(plan, "en", None).sections
    assert section.heading == "Crisis prevention plan"
    assert [(one.lead, one.lines) for one in section.items] == [
        ("Stay with Iris.", ()),
        ("Early warning signs", ("No sleep", "No food")),
        ("What we do when it happens", ("Call Iris",)),
        ("Warm line", ("Phone: 1-800-555-0100", "evenings")),
    ]


def test_what_is_written_is_never_markup():
    plan = Plan("<b>&#</b>", None, None, '"]) #panic("x") <script>', (), (), (), (), ())
    said = page(plan, "en", None)
    assert b"<script>" not in pages.html(said, large=False)
    assert pages.pdf(said, large=False).startswith(b"%PDF-")


def test_sharing_is_said_by_day_with_whom_and_what():
    seen = Shared(date(2026, 3, 9), "Elm Street Family Practice", ("Goal", "CarePlan", "Device"))
    (section,) = page(EMPTY, "es", [seen]).sections
    assert section.items[0].lead == (
        "9 de marzo de 2026: Elm Street Family Practice vio el plan de cuidados, metas, otros registros."
    )
    (nothing,) = page(EMPTY, "en", []).sections
    assert nothing.items[0].lead == "Nothing was shared outside the program."
    assert page(EMPTY, "en", None).sections == ()


def test_a_plan_of_which_little_is_visible_is_still_read():
    plan = {"resourceType": "CarePlan", "id": "p", "status": "active", "intent": "plan", "subject": {}}
    assert read(plan, {"CarePlan/p": plan}).aims == ()
