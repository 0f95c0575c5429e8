"""The programmes' definitions: complete, valid, in the words of their sources; what a case names is among them."""

import re
from pathlib import Path

import orjson
import pytest
from cited_facts import facts
from json_values import objects

from fhirgw.configuration import load_programs
from fhirgw.icm.instruments import INSTRUMENTS
from fhirgw.mappers.definitional import definitions
from fhirgw.profiles import npm
from fhirgw.profiles.validation import problems
from fhirgw.programs import load
from fhirgw.terminology import BASE

ROOT = Path(__file__).parents[2]
PROGRAMS = load_programs(ROOT / "tests" / "programs")
MADE = definitions(PROGRAMS.values())
BY_URL = {one["url"]: one for one in MADE if "url" in one}
PLANS = [one for one in MADE if one["resourceType"] == "PlanDefinition"]
GOLDENS = [
    entry["resource"]
    for path in sorted((ROOT / "fixtures" / "icm").glob("*.fhir.json"))
    for entry in orjson.loads(path.read_bytes())["entry"]
]


@pytest.mark.parametrize("one", MADE, ids=lambda one: f"{one['resourceType']}/{one['id']}")
def test_a_definition_is_valid(one):
    assert problems(one) == []
    assert len(one["id"]) <= 64
    assert (
        one.get("url", f"{BASE}/{one['resourceType']}/{one['id']}") == f"{BASE}/{one['resourceType']}/{one['id']}"
    )
    assert re.fullmatch("[A-Z][A-Za-z0-9]*", one["name"]) or "url" not in one


def test_each_is_there_once_and_none_is_one_of_the_compiled():
    files = [f"{one['resourceType']}-{one['id']}.json" for one in MADE]
    assert len(set(files)) == len(files)
    assert not set(files) & npm.definitions().keys()


def test_the_same_programmes_in_any_order_give_the_same_bytes():
    assert orjson.dumps(definitions(list(PROGRAMS.values())[::-1])) == orjson.dumps(MADE)


def test_each_programme_has_its_plan_and_its_service():
    for kind in ("PlanDefinition", "HealthcareService"):
        assert {one["id"] for one in MADE if one["resourceType"] == kind} == PROGRAMS.keys()


def test_every_canonical_that_a_case_names_is_defined():
    named = {
        url
        for resource in GOLDENS
        for key in ("questionnaire", "instantiatesCanonical")
        for url in ([resource[key]] if isinstance(resource.get(key), str) else resource.get(key, []))
    }
    assert named
    assert named - BY_URL.keys() == set()


def test_every_code_of_ours_that_a_case_or_a_programme_says_is_defined():
    compiled = map(orjson.loads, npm.definitions().values())
    systems = [one for one in (*MADE, *compiled) if one["resourceType"] == "CodeSystem"]
    known = {(one["url"], concept["code"]) for one in systems for concept in one["concept"]}
    said = {
        (one["system"], one["code"])
        for resource in (*GOLDENS, *MADE)
        for one in objects(resource)
        if str(one.get("system")).startswith(f"{BASE}/CodeSystem/") and "code" in one
    }
    assert said - known == set()


def test_every_answer_fits_its_form():
    for resource in GOLDENS:
        if resource["resourceType"] == "QuestionnaireResponse":
            form = {item["linkId"]: item for item in BY_URL[resource["questionnaire"]]["item"]}
            for item in resource.get("item", []):
                [answer] = item["answer"]
                asked = form[item["linkId"]]
                if asked["type"] == "choice":
                    assert answer in asked["answerOption"]
                else:
                    lowest, highest = (bound["valueInteger"] for bound in asked["extension"])
                    assert lowest <= answer["valueInteger"] <= highest
            required = {link for link, asked in form.items() if asked.get("required")}
            assert required <= {item["linkId"] for item in resource.get("item", [])}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=lambda program: program.id)
def test_every_passage_that_a_programme_cites_is_in_its_definitions(program):
    texts = [value for one in MADE for part in objects(one) for value in part.values() if isinstance(value, str)]
    passages = {source.words for fact in facts(program) for source in fact.sources}
    assert passages
    assert {words for words in passages if not any(words in text for text in texts)} == set()


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan["id"])
def test_a_plan_refers_to_what_is_there(plan):
    parts = list(objects(plan["action"]))
    ids = [one["id"] for one in parts if "id" in one]
    assert len(set(ids)) == len(ids)
    assert {one["actionId"] for one in parts if "actionId" in one} <= set(ids)
    assert {one["definitionCanonical"] for one in parts if "definitionCanonical" in one} <= BY_URL.keys()


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan["id"])
def test_whatever_is_due_or_called_for_cites_its_source(plan):
    groups = {one["id"]: one.get("action", []) for one in plan["action"]}
    for one in (*groups["clock"], *groups["visit"], *groups["contact"]):
        assert one["documentation"][0]["citation"]


def action(program, id):
    return next(one for one in objects(BY_URL[f"{BASE}/PlanDefinition/{program}"]["action"]) if one.get("id") == id)


def test_a_clock_says_how_long_after_what_and_what_ends_it():
    days = {"value": 30, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}
    assert action("ct-bhp", "clock.CT-PLAN-30")["relatedAction"] == [
        {"actionId": "event.first-contact", "relationship": "after", "offsetRange": {"high": days}},
        {"actionId": "event.plan", "relationship": "concurrent-with-end"},
    ]


def test_working_days_are_no_ucum_unit():
    after = action("bc-icmt", "clock.BC-CONTACT-3")["relatedAction"][0]
    assert after["offsetRange"]["high"] == {"value": 3, "unit": "working days"}


def test_a_clock_that_recurs_has_its_rhythm():
    timing = action("ne-peer", "clock.NE-WRSP-90")["timingTiming"]
    assert timing == {"repeat": {"frequency": 1, "period": 90, "periodUnit": "d"}}


def test_a_look_back_is_told_in_words():
    told = action("ccbh-peer", "visit.CCBH-ADMISSIONS")["description"]
    assert "At least 2 such visits with 20 nights together or more within 24 months, by admission." in told


def test_the_tiers_contacts_have_their_rhythm_and_their_staff():
    contact = BY_URL[f"{BASE}/ActivityDefinition/ct-bhp.tier-3"]
    assert contact["timingTiming"] == {
        "repeat": {"frequency": 2, "frequencyMax": 7, "period": 1, "periodUnit": "wk"}
    }
    roles = [one["role"]["coding"][0]["code"] for one in contact["participant"]]
    assert roles == ["ct-bhp.icm", "ct-bhp.peer"]


def test_no_form_is_worded():
    """SF-12 items go by mnemonic; the others by number."""
    form = BY_URL[f"{BASE}/Questionnaire/sf12v1"]
    assert [item["text"] for item in form["item"]] == [item["linkId"] for item in form["item"]]
    assert form["copyright"]
    for code, instrument in INSTRUMENTS.items():
        items = BY_URL[f"{BASE}/Questionnaire/{code}"]["item"]
        assert [one["text"] for one in items] == [f"{instrument.name}, item {name}" for name in instrument.items]


def test_a_service_is_of_who_runs_it_and_says_for_whom_it_is():
    service = next(one for one in MADE if (one["resourceType"], one["id"]) == ("HealthcareService", "ne-peer"))
    assert service["providedBy"]["identifier"]["value"] == "ne-peer"
    assert len(service["eligibility"]) == len(PROGRAMS["ne-peer"].admission)
    assert any("25 members at most" in one.get("text", "") for one in service["characteristic"])


def test_a_tier_and_an_intervention_have_no_code_in_common():
    text = (ROOT / "tests" / "programs" / "sixth.toml").read_text("utf-8")
    with pytest.raises(ValueError, match="tiers and interventions"):
        load(text.replace('code = "soundings"', 'code = "calm"'))
