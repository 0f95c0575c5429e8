"""FHIR back to ICM: what was mapped out comes back as it was; what cannot come back is named or refused."""

import copy
from functools import cache

import pytest
from icm_cases import CASES, KEY, stated
from returned_cases import BASE, WORLDS, World, lacking, new, records_of, refused, told

from fhirgw.icm.instruments import score
from fhirgw.mappers.icm.people import staff_ref
from fhirgw.mappers.icm.returning import returned
from fhirgw.mappers.icm.returning.reading import held
from fhirgw.mappers.icm.returning.tasks import WORK
from fhirgw.mappers.icm.shape import Scope

KINDS = ("CareTeam", "Communication", "Goal", "QuestionnaireResponse", "RelatedPerson", "ServiceRequest", "Task")
NOT_TAKEN_BACK = {
    "Communication": {
        "plan-shared", "clinical-consultation", "case-review", "supervision", "way-back", "eligibility-decision",
        "visit", "phone", "letter", "message", "convenient-appointment", "engagement-contract", "icm-explanation",
    },
    "QuestionnaireResponse": {"icm-screening"},
    "RelatedPerson": {"agent", "named"},
    "ServiceRequest": {
        "physician-recommendation", "icm-referral-source", "contact", "intervention", "connection", "aftercare",
        "link-out",
    },
    "Task": {"screening", "sign-off", "clock", "prerequisite", "caseload"},
}  # fmt: skip
"""What of these types says what follows from other facts of the case, or is stated in the case alone."""


def same(one, other):
    return one.model_copy(update={"version": None}) == other.model_copy(update={"version": None})


@cache
def echoes(name):
    """What comes back of each resource that is written as it was mapped out."""
    here = WORLDS[name]
    return [(one, here.back(copy.deepcopy(one))) for one in here.of(*KINDS)]


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_as_it_was_mapped_out_changes_nothing(name):
    here = WORLDS[name]
    for resource, one in echoes(name):
        if one is not None:
            assert not one.changes, resource["id"]
            assert same(here.taken(one), here.case)
            assert one.resources == (resource,)


def kind_not_taken(here, resource):
    """Which of NOT_TAKEN_BACK a resource is."""
    kind, scope = resource["resourceType"], Scope(here.case, here.program, KEY, here.home.patient)
    if kind == "QuestionnaireResponse":
        return "icm-screening" if "/icm-screening-" in resource["questionnaire"] else None
    if kind == "RelatedPerson":
        agents = [one for one in here.case.directives if one.agent]
        ids = {scope.id(kind, "agent", one.id, one.agent.id) for one in agents}
        return "agent" if resource["id"] in ids else "named"
    codes = {one["code"] for held in (resource.get("category") or [resource["code"]]) for one in held["coding"]}
    systems = {one["system"].rpartition("/")[2] for held in resource.get("category", ()) for one in held["coding"]}
    if kind in ("Communication", "ServiceRequest"):
        return next(iter(codes & NOT_TAKEN_BACK[kind]), None) or next(iter(systems & NOT_TAKEN_BACK[kind]), None)
    if resource["code"]["coding"][0]["system"].endswith("/icm-clock"):
        return "clock"
    [code] = codes
    return {"obtain": "prerequisite", "screening": "screening"}.get(code.partition("-")[0], code)


def test_what_is_not_taken_back_is_named():
    met = {kind: set() for kind in KINDS}
    for name, here in WORLDS.items():
        for resource, one in echoes(name):
            if one is None:
                met[resource["resourceType"]].add(kind_not_taken(here, resource))
    assert {kind: names - NOT_TAKEN_BACK.get(kind, set()) for kind, names in met.items() if names} == {
        kind: set() for kind in NOT_TAKEN_BACK
    }


@pytest.mark.parametrize(("here", "screen"), list(records_of("screens")))
def test_new_answers_come_back_with_their_scores_and_what_they_call_for(here, screen):
    before = lacking(here, "screens", screen)
    parts = ("QuestionnaireResponse", "screen", screen.id)
    given = next(one for one in here.of(parts[0]) if one["id"] == here.id(*parts))
    one = before.back(new(given), fresh=screen.id)
    found = next(one for one in before.taken(one).screens if one.id == screen.id)
    assert found == screen.model_copy(update={"handled_at": None})
    kinds = [resource["resourceType"] for resource in one.resources]
    danger = score(screen.instrument, screen.answers).danger
    assert kinds == ["QuestionnaireResponse", *["Observation"] * (len(kinds) - 1 - danger), *["Task"] * danger]


@pytest.mark.parametrize(("here", "sf12"), list(records_of("sf12")))
def test_a_new_sf12_comes_back_with_both_scores(here, sf12):
    before = lacking(here, "sf12", sf12)
    given = next(
        one
        for one in here.of("QuestionnaireResponse")
        if one["id"] == here.id("QuestionnaireResponse", "sf12", sf12.id)
    )
    one = before.back(new(given), fresh=sf12.id)
    assert next(one for one in before.taken(one).sf12 if one.id == sf12.id) == sf12
    assert one.resources[0] == given
    assert [held["code"]["coding"][0]["code"] for held in one.resources[1:]] == ["sf12v1-pcs", "sf12v1-mcs"]


@pytest.mark.parametrize(("here", "acuity"), list(records_of("acuity")))
def test_a_new_acuity_assessment_says_its_tier(here, acuity):
    before = lacking(here, "acuity", acuity)
    given = new(
        next(
            one
            for one in here.of("QuestionnaireResponse")
            if one["id"] == here.id("QuestionnaireResponse", "acuity", acuity.id)
        )
    )
    with pytest.raises(ExceptionGroup) as error:
        before.back(given, fresh=acuity.id)
    assert told(error) == {"QuestionnaireResponse.item.where(linkId='tier')"}
    coded = {"system": f"{BASE}/CodeSystem/icm-tier", "code": f"{here.program.id}.{acuity.tier}"}
    given["item"] = [*given["item"], {"linkId": "tier", "answer": [{"valueCoding": coded}]}]
    one = before.back(given, fresh=acuity.id)
    found = next(one for one in before.taken(one).acuity if one.id == acuity.id)
    assert found == acuity.model_copy(update={"signed": ()})


def tasks():
    """(world, Task, kind of work) of every Task that comes back, and every status it may have."""
    for name, here in WORLDS.items():
        for work in WORK:
            for record in held(here.case, work.path):
                known = here.by_reference.get(f"Task/{here.id('Task', *work.parts, record.id)}")
                for status in work.statuses.values() if known else ():
                    yield pytest.param(here, known, work, status, id=f"{name} {work.parts[0]} {record.id} {status}")


@pytest.mark.parametrize(("here", "task", "work", "status"), list(tasks()))
def test_whatever_becomes_of_a_task_the_case_says_it_in_its_words(here, task, work, status):
    written = {**task, "status": status}
    written.pop("executionPeriod", None)
    if work.end and status not in ("requested", "accepted"):
        written["executionPeriod"] = {"end": "2026-03-02T12:30:00-05:00"}
    if work.parts[-1] == "suicide-risk" and not record_calls(work, status, task, here):
        assert {place for place, _ in refused(here, written)} == {"Task"}
        return
    one = here.back(written)
    [said] = [other for other in World(here.taken(one)).of("Task") if other["id"] == task["id"]]
    assert said in one.resources
    assert said["status"] == status
    end = said.get("executionPeriod", {}).get("end")
    assert end == (written.get("executionPeriod", {}).get("end", "")[: len(end)] if end else None)
    assert one.changes == (said != task)


def record_calls(work, status, task, here):
    """Whether there is a Task for a risk at all: one that is low calls for nobody, unless somebody saw to it."""
    risks = {here.id("Task", *work.parts, one.id): one for one in held(here.case, work.path)}
    return status == "completed" or risks[task["id"]].level in ("high", "imminent")


@pytest.mark.parametrize("name", [name for name in CASES if len(stated(name).get("care_team", ())) > 1])
def test_who_leaves_the_team_goes_and_who_comes_is_told_whole(name):
    here = WORLDS[name]
    [team] = here.of("CareTeam")
    for member in here.case.care_team:
        others = [one for one in team["participant"] if one != of(here, team, member)]
        try:
            before = lacking(here, "care_team", member)
        except ExceptionGroup:  # named by something else in the case
            assert {place for place, _ in refused(here, {**team, "participant": others})} == {"CareTeam"}
            continue
        [smaller] = before.of("CareTeam")
        status = smaller["status"]
        added = before.back({**team, "status": status}, known=here.by_reference)
        [said] = [one for one in added.resources if one["resourceType"] == "CareTeam"]
        assert ordered(said) == ordered({**team, "status": status})
        again = lacking(here)
        removed = again.back({**smaller, "id": team["id"]})
        assert {one.id for one in again.taken(removed).care_team} == {one.id for one in before.case.care_team}


def ordered(team):
    return {**team, "participant": sorted(team["participant"], key=lambda one: one["member"]["reference"])}


def of(here, team, member):
    """The participant who is this member of the team."""
    reference = staff_ref(Scope(here.case, here.program, KEY, here.home.patient), member.id)
    return next(one for one in team["participant"] if one["member"] == reference)


def test_a_telephone_number_that_changed_comes_back():
    here = WORLDS["husky-year"]
    for person in here.of("RelatedPerson"):
        number = {"system": "phone", "value": "+1-860-555-0199", "use": "mobile"}
        one = here.back({**person, "telecom": [number]})
        if one is not None:
            [said] = [other for other in World(here.taken(one)).of("RelatedPerson") if other["id"] == person["id"]]
            assert said == {**person, "telecom": [number]}
            break
    else:
        pytest.fail("nobody is beside the member")


# --- what is refused ----------------------------------------------------------------------------------------


def answers(form, given, **more):
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{BASE}/Questionnaire/{form}",
        "status": "completed",
        "authored": "2026-03-02T12:30:00-05:00",
        "item": [{"linkId": item, "answer": [{"valueInteger": value}]} for item, value in given.items()],
        **more,
    }


SF12 = stated("ct-bhp")["sf12"][0]["answers"]


@pytest.mark.parametrize(
    ("written", "place", "words"),
    [
        (answers("sf12v1", SF12 | {"RP2": 4}), "item.where(linkId='RP2')", "version 2's, another instrument"),
        (answers("sf12v1", SF12 | {"GH1": 6}), "item.where(linkId='GH1')", "1 to 5"),
        (answers("sf12v1", {**SF12, "X": 1}), "item.where(linkId='X')", "no such item"),
        (answers("sf12v1", {"GH1": 1}), "item.where(linkId='PF02')", "without it there is no score"),
        (answers("sf12v2", SF12), "questionnaire", "The instruments are sf12v1,"),
        (answers("phq2", {"1": 1, "2": 4}), "item.where(linkId='2')", "0 to 3"),
        (answers("sf12v1", SF12, status="in-progress"), "status", "when all of them are there"),
        (answers("sf12v1", SF12, authored="2026-03-02"), "authored", "time of day"),
        (answers("phq2", {"1": 1, "2": 1}, author={"reference": "Practitioner/x"}), "author", "nobody of the care"),
        (answers("sf12v1", SF12, identifier={"value": "x"}), "identifier", "no words for this"),
        (answers("icm-acuity", {"safety": 1}), "item.where(linkId='mental-health-substance-use')", "eight"),
    ],
)  # fmt: skip
def test_answers_that_have_no_score_or_no_place_are_refused(written, place, words):
    [(location, text)] = refused(lacking(WORLDS["ct-bhp"]), written)
    assert location == f"QuestionnaireResponse.{place}"
    assert words in text


def test_what_the_case_has_no_words_for_is_refused_with_its_place():
    here = WORLDS["husky-year"]
    [task] = [one for one in here.of("Task") if one["code"]["coding"][0]["code"] == "consider-suggestion"][:1]
    changed = {
        **task,
        "priority": "stat",
        "note": [*task.get("note", []), {"text": "More."}, {"text": "Yet more."}],
    }
    places = {location for location, _ in refused(here, changed)}
    assert "Task.priority" in places
    assert any(place.startswith("Task.note[") for place in places)
    assert {place for place, _ in refused(here, {**task, "status": "in-progress"})} == {"Task.status"}
    done = {name: value for name, value in task.items() if name != "executionPeriod"} | {"status": "completed"}
    assert {place for place, _ in refused(here, done)} == {"Task.executionPeriod.end"}


def test_a_text_is_not_taken_for_classified_because_another_was():
    here = WORLDS["husky-year"]
    task = next(one for one in here.of("Task") if one.get("meta", {}).get("tag") and "note" in one)
    assert "Task.meta.tag" in {place for place, _ in refused(here, {**task, "meta": {}})}
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
    more = {**task, "meta": {**task["meta"], "security": [*task["meta"].get("security", []), label]}}
    assert {place for place, _ in refused(here, more)} == {"Task.meta.security"}


def test_new_answers_for_one_of_several_cases_name_its_plan():
    one, other = lacking(WORLDS["husky-year"]), lacking(WORLDS["ct-bhp"])
    written = answers("phq2", {"1": 1, "2": 1})
    homes = [one.home, other.home]
    with pytest.raises(ExceptionGroup) as error:
        returned(written, homes, KEY, fresh="x", find={}.get)
    assert told(error) == {"QuestionnaireResponse.basedOn"}
    plan = {"reference": f"CarePlan/{other.id('CarePlan')}"}
    assert returned({**written, "basedOn": [plan]}, homes, KEY, fresh="x", find={}.get).home is other.home


def test_a_finished_case_takes_nothing_new():
    finished = next(here for here in WORLDS.values() if here.case.status == "finished")
    assert finished.back(answers("phq2", {"1": 1, "2": 1})) is None
