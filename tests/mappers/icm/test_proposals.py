"""What is suggested and proposed comes back: a provider's words, goals and services, and the member's own goals."""

import pytest
from icm_cases import KEY
from returned_cases import BASE, WORLDS, World, lacking, new, records_of, refused, stated_plan, told

from fhirgw.icm.statements import statement
from fhirgw.mappers.icm.collaboration import SUGGESTED
from fhirgw.mappers.icm.returning import returned

UNDECIDED = {"decision": "pending", "decided_on": None, "decided_by": None, "reason": None}


@pytest.mark.parametrize(("here", "suggestion"), list(records_of("care_plan.suggestions")))
def test_a_new_suggestion_comes_back_with_the_task_to_consider_it(here, suggestion):
    before = lacking(here, "care_plan.suggestions", suggestion)
    kind = SUGGESTED[suggestion.kind]
    pending = suggestion.model_copy(update=UNDECIDED).model_dump(mode="json", exclude_defaults=True)
    asked = {"case": here.case.key, "version": 1, "records": {"care_plan": {"suggestions": [pending]}}}
    undecided = World(statement(asked).case(before.case.model_dump_json(exclude_unset=True).encode()))
    said = undecided.by_reference[f"{kind}/{here.id(kind, 'suggestion', suggestion.id)}"]
    decided = here.by_reference[f"Task/{here.id('Task', 'suggestion', suggestion.id)}"]
    one = before.back(new(said), fresh=suggestion.id, known=here.by_reference)
    assert one.changes
    assert {resource["resourceType"] for resource in one.resources} >= {kind, "Task"}
    assert said in one.resources
    between = World(before.taken(one))
    after = World(between.taken(between.back(decided)))
    [found] = [one for one in after.case.care_plan.suggestions if one.id == suggestion.id]
    assert found.by.model_copy(update={"id": suggestion.by.id}) == suggestion.by
    assert found.model_copy(update={"by": suggestion.by}) == suggestion


@pytest.mark.parametrize(("here", "wanted"), list(records_of("care_plan.goals")))
def test_a_new_goal_comes_back_in_the_members_words(here, wanted):
    """Which steps lead to it, the steps say; what notes reveal is not told apart from what the goal does."""
    before = lacking_goal(here, wanted)
    said = next(one for one in here.of("Goal") if one["id"] == here.id("Goal", wanted.id))
    extensions = [one for one in said["extension"] if not one["url"].endswith("goal-relationship")]
    one = before.back(new(said) | {"extension": extensions}, fresh=wanted.id)
    found = next(goal for goal in before.taken(one).care_plan.goals if goal.id == wanted.id)
    apart = {"toward": None, "sensitivity": None, "progress": ()}
    assert found.model_copy(update=apart) == wanted.model_copy(update=apart)
    assert [(note.on, note.by, note.text) for note in found.progress] == [
        (note.on, note.by, note.text) for note in wanted.progress
    ]
    assert one.resource["meta"]["security"] == said["meta"]["security"] if "security" in said["meta"] else True


def lacking_goal(here, wanted):
    """The case, open again, without a goal, and with nothing that names it."""
    plan = stated_plan(here.case)
    steps = [{**one, "toward": None} for one in plan["goals"] if one.get("toward") == wanted.id]
    named = {
        path: [
            {**one, "goals": [goal for goal in one.get("goals", ()) if goal != wanted.id]}
            for one in plan.get(path, ())
        ]
        for path in ("interventions", "connections")
    }
    records = {"care_plan": {"goals": steps, **{path: listed for path, listed in named.items() if listed}}}
    change = {"case": here.case.key, "version": 1, "records": records, "remove": {"care_plan.goals": [wanted.id]}}
    opened = lacking(here)
    return World(statement(change).case(opened.case.model_dump_json(exclude_unset=True).encode()))


def test_a_suggestion_names_a_plan_and_a_provider_who_is_here():
    here = lacking(WORLDS["husky-year"])
    said = new(next(one for one in here.of("Communication") if here.back(one)))
    assert {place for place, _ in refused(here, {**said, "about": []})} == {"Communication.about"}
    assert {place for place, _ in refused(here, {**said, "sender": {"reference": "Practitioner/x"}})} == {
        "Communication.sender"
    }
    assert here.back({**said, "about": [{"reference": "CarePlan/another"}]}) is None


def proposed(here, **more):
    words = {"text": "I know whom to call at night."}
    member = {"reference": f"Patient/{here.home.patient}"}
    return {
        "resourceType": "Goal", "lifecycleStatus": "proposed", "subject": member, "description": words, **more,
    }  # fmt: skip


TERM = {"coding": [{"system": f"{BASE}/CodeSystem/icm-goal-term", "code": "short-term"}]}


def test_a_proposed_goal_is_the_members_or_a_providers():
    here = lacking(WORLDS["husky-year"])
    assert {place for place, _ in refused(here, proposed(here))} == {"Goal.category"}
    [mine] = here.back(proposed(here, category=[TERM])).records.records["care_plan"]["goals"]
    assert (mine["words"], mine["term"], mine["acceptance"]) == (
        "I know whom to call at night.",
        "short",
        "pending",
    )
    [doctor] = [one for one in here.of("Practitioner") if one.get("name", [{}])[0].get("family") == "Hartly"]
    theirs = proposed(here, expressedBy={"reference": f"Practitioner/{doctor['id']}"})
    assert {place for place, _ in refused(here, theirs)} == {"Goal.statusDate"}
    said = here.back(theirs | {"statusDate": "2025-03-04"})
    [suggestion] = said.records.records["care_plan"]["suggestions"]
    assert (suggestion["kind"], suggestion["at"][:10]) == ("goal", "2025-03-04")
    assert [one["resourceType"] for one in said.resources] == ["Practitioner", "Goal", "Task"][
        -len(said.resources) :
    ]


def test_a_goal_that_is_in_no_words_of_the_programme_is_no_part_of_a_case():
    here = lacking(WORLDS["husky-year"])
    assert here.back(proposed(here) | {"lifecycleStatus": "active"}) is None
    area = {"coding": [{"system": f"{BASE}/CodeSystem/icm-goal-area", "code": "ct-bhp.housing"}]}
    assert here.back(proposed(here, category=[TERM, area])) is None
    assert here.back(proposed(here, id="another", category=[TERM])) is None
    assert WORLDS["husky-year"].back(proposed(here, category=[TERM])) is None


def test_a_proposed_goal_of_somebody_with_two_cases_says_the_programme():
    one, other = lacking(WORLDS["husky-year"]), lacking(WORLDS["ct-bhp"])
    with pytest.raises(ExceptionGroup) as error:
        returned(proposed(one, category=[TERM]), [one.home, other.home], KEY, fresh="x", find={}.get)
    assert told(error) == {"Goal.category"}
    area = {
        "coding": [
            {"system": f"{BASE}/CodeSystem/icm-goal-area", "code": f"ct-bhp.{other.program.goal_areas[0].code}"}
        ]
    }
    said = returned(proposed(other, category=[TERM, area]), [one.home, other.home], KEY, fresh="x", find={}.get)
    assert said.home is other.home


def test_what_is_new_of_a_goal_comes_back():
    here = lacking(WORLDS["ct-bhp-year"])
    goal = next(one for one in here.of("Goal") if here.back(one))
    note = {
        "authorReference": {"reference": f"Patient/{here.home.patient}"},
        "time": "2025-12-01",
        "text": "It helps.",
    }
    changed = {
        **goal,
        "lifecycleStatus": "on-hold",
        "statusDate": "2025-12-01",
        "note": [*goal.get("note", []), note],
    }
    [record] = here.back(changed).records.records["care_plan"]["goals"]
    assert (record["status"], record["status_on"]) == ("on-hold", "2025-12-01")
    assert record["progress"][-1] == {"on": "2025-12-01", "text": "It helps.", "sensitivity": "none"}
    nobody = {**note, "authorReference": {"reference": "Practitioner/x"}}
    assert {place for place, _ in refused(here, {**goal, "note": [nobody]})} == {"Goal.note[0].author"}
    assert {place for place, _ in refused(here, {**goal, "addresses": [{"reference": "Condition/x"}]})} == {
        "Goal.addresses"
    }
