"""The plan of a case: goals, problems, interventions, reviews and signatures."""

import pytest
from icm_cases import codes, mapped, of_type, stated
from year_of_a_case import by_text, coded, extended, only, planned, reference, refused

from fhirgw.errors import ProfileViolation, UnmappedCode
from fhirgw.icm.model import Case

BASE = "http://fhirgw.org/fhir/"


def test_a_step_is_one_toward_a_long_term_goal():
    resources = mapped("ct-bhp-year")
    home = by_text(resources, "Goal", "my own front door")
    papers = by_text(resources, "Goal", "my papers together")
    assert {"long-term", "ct-bhp.housing"} == coded(home, "category")
    (step,) = extended(home, "goal-relationship")
    assert step["extension"][1]["valueReference"] == reference(papers)
    assert home["statusDate"] == "2025-05-02"


def test_the_area_of_a_goal_reveals_what_it_is_about():
    resources = mapped(
        "ct-bhp-year", **planned("ct-bhp-year", "goals", "choir", area="recovery", sensitivity="none")
    )
    assert codes(by_text(resources, "Goal", "the choir")) == {"SUD"}


def test_what_serves_a_goal_reveals_what_the_goal_does():
    plan = stated("ct-bhp-year")["care_plan"]
    goals = [one | {"sensitivity": "none"} if one["id"] == "sober" else one for one in plan["goals"]]
    served = [one | {"sensitivity": "none"} if one["id"] == "mi" else one for one in plan["interventions"]]
    resources = mapped("ct-bhp-year", care_plan=plan | {"goals": goals, "interventions": served})
    assert codes(only(resources, "ServiceRequest", "code", "ct-bhp.motivational-interviewing")) == {"SUD"}


def test_a_declined_goal_says_why():
    goal = by_text(mapped("ct-bhp-year"), "Goal", "a residential program")
    (acceptance,) = extended(goal, "goal-acceptance")
    (reason,) = extended(goal, "goal-reasonRejected")
    assert acceptance["extension"][1]["valueCode"] == "disagree"
    assert reason["valueCodeableConcept"]["text"].startswith("I will not leave")
    assert goal["lifecycleStatus"] == "rejected"


def test_a_goal_is_measured_by_words_or_by_a_number():
    resources = mapped("husky-year")
    (words,), (number,) = (by_text(resources, "Goal", text)["target"] for text in ("choir loft", "under 130"))
    assert words["measure"]["text"] == "Stairs without a rest"
    assert words["detailString"].startswith("Twenty-two stairs")
    assert (number["detailQuantity"]["comparator"], number["detailQuantity"]["value"]) == ("<=", 130.0)
    with pytest.raises(ValueError, match="something that is measured"):
        Case.model_validate({**stated("husky-year"), **planned("husky-year", "goals", "bp", measure=None)})


def test_a_goal_says_who_works_on_it_and_what_it_fits():
    resources = mapped("ct-bhp-year")
    home = by_text(resources, "Goal", "my own front door")
    who = [one["valueReference"]["reference"].partition("/")[0] for one in extended(home, "icm-works-on-goal")]
    assert who == ["PractitionerRole", "Patient"]
    sober = by_text(resources, "Goal", "one day at a time")
    document = only(resources, "DocumentReference", "type", "treatment-plan")
    assert [one["valueReference"] for one in extended(sober, "icm-aligned-with")] == [reference(document)]


def test_progress_is_a_note_of_who_saw_it():
    notes = by_text(mapped("ct-bhp-year"), "Goal", "my own front door")["note"]
    assert [(one["time"], one["authorReference"]["reference"].partition("/")[0]) for one in notes] == [
        ("2025-01-14", "Practitioner"),
        ("2025-05-02", "Patient"),
    ]


def test_a_problem_points_at_what_it_shows_in():
    """HUSKY: "Opportunities are identified based on the member's responses"."""
    resources = mapped("husky-year")
    opportunity = only(resources, "Condition", "category", "opportunity")
    (shown,) = opportunity["evidence"][0]["detail"]
    found = next(one for one in resources if reference(one) == shown)
    assert coded(found, "code") == {"husky.take-medications"}
    assert opportunity["abatementDateTime"] == "2025-02-20"


def test_a_plan_is_supported_by_scores_strengths_medicines_and_plans_of_others():
    resources = mapped("husky-year")
    plan = next(one for one in of_type(resources, "CarePlan") if "partOf" not in one)
    kinds = {one["reference"].partition("/")[0] for one in plan["supportingInfo"]}
    assert kinds == {"Observation", "MedicationStatement", "DocumentReference"}
    stopped = by_text(resources, "MedicationStatement", "herbal tea")
    assert reference(stopped) not in plan["supportingInfo"]


def test_an_intervention_says_its_kind_its_place_its_times_and_who():
    resources = mapped("ct-bhp-year")
    talk = only(resources, "ServiceRequest", "code", "ct-bhp.motivational-interviewing")
    assert coded(talk, "locationCode") == {"office"}
    assert talk["occurrenceTiming"]["repeat"] == {
        "boundsPeriod": {"start": "2024-10-14"},
        "duration": 45,
        "durationUnit": "min",
        "frequency": 1,
        "period": 1,
        "periodMax": 2,
        "periodUnit": "wk",
    }
    walk = only(resources, "ServiceRequest", "code", "ct-bhp.peer-support")
    kinds = [one["reference"].partition("/")[0] for one in walk["performer"]]
    assert kinds == ["PractitionerRole", "Patient"]


def test_a_kind_of_intervention_reveals_what_it_is_for():
    changes = planned("bc-icmt-year", "interventions", "i8", sensitivity="none")
    room = only(mapped("bc-icmt-year", **changes), "ServiceRequest", "code", "bc-icmt.supervised-injection")
    assert codes(room) == {"SUD"}


def test_what_is_done_on_request_was_asked_for():
    """CCBH, Individual Advocacy: "if the consumer requests this service"."""
    advocacy = only(mapped("ccbh-peer-year"), "ServiceRequest", "code", "ccbh-peer.individual-advocacy")
    assert [one["valueDate"] for one in extended(advocacy, "icm-asked-for")] == ["2025-02-10"]
    without = planned("ccbh-peer-year", "interventions", "i1", asked_for_on=None)
    assert refused("ccbh-peer-year", **without) == [(ProfileViolation, "care_plan.interventions[0].asked_for_on")]


def test_a_connection_is_followed_until_it_is_settled():
    """CT BHP: "support member to ensure connection to appropriate services"."""
    resources = mapped("ct-bhp-year")
    evening = by_text(resources, "ServiceRequest", "Evening outpatient program")
    assert evening["status"] == "completed"
    assert evening["performer"] == [reference(by_text(resources, "Organization", "Example Harbor Recovery Center"))]
    assert len(evening["reasonReference"]) == 1
    (loop,) = [one for one in of_type(resources, "Task") if one["focus"] == reference(evening)]
    assert (loop["status"], loop["executionPeriod"]) == ("completed", {"end": "2024-12-03"})
    assert codes(loop) == codes(evening) == {"SUD"}
    states = [one["status"] for one in of_type(mapped("bc-icmt-year"), "Task") if "connect" in coded(one, "code")]
    assert states == ["completed", "rejected", "requested"]


def test_a_crisis_plan_names_signs_responses_and_who_is_on_call():
    crisis = only(mapped("ne-peer-year"), "CarePlan", "category", "ne-peer.crisis-prevention")
    steps = [one["extension"][0]["valueCode"] for one in extended(crisis, "icm-plan-step")]
    assert steps == ["warning-sign", "trigger", "response"]
    ((name, telecom, hours),) = [one["extension"] for one in extended(crisis, "icm-on-call")]
    assert (name["valueString"], telecom["valueContactPoint"]["value"]) == ("Crisis line for veterans", "988")
    assert hours["valueString"] == "Day and night"
    assert codes(crisis) == {"MH"}


def test_a_wrsp_has_its_parts():
    """Nebraska: "a discharge plan, wellness plan, and crisis prevention plan"."""
    plans = of_type(mapped("ne-peer-year"), "CarePlan")
    parts = set().union(*(coded(one, "category") for one in plans)) - {"assess-plan"}
    assert parts == {"wrsp", "ne-peer.discharge", "ne-peer.wellness", "ne-peer.crisis-prevention"}


def test_an_integrated_plan_has_all_that_british_columbia_asks_for():
    """BC 1.5: the eleven things that a care plan has at a minimum."""
    resources = mapped("bc-icmt-year")
    parts = set().union(*(coded(one, "category") for one in of_type(resources, "CarePlan")))
    assert {f"bc-icmt.{one['kind']}" for one in stated("bc-icmt-year")["care_plan"]["sections"]} <= parts
    areas = set().union(*(coded(one, "category") for one in of_type(resources, "Goal")))
    assert {"bc-icmt.employment", "bc-icmt.leisure", "bc-icmt.wellness", "bc-icmt.spiritual"} <= areas


def test_a_review_is_on_the_plan_that_was_reviewed():
    plans = of_type(mapped("ne-peer-year"), "CarePlan")
    reviewed = {len(extended(one, "icm-reviewed")) for one in plans}
    assert reviewed == {4, 1, 0}


def test_a_copy_for_the_member_is_theirs_and_one_for_others_is_shared_with_nobody():
    shared = [
        one for one in of_type(mapped("ct-bhp-year"), "Communication") if "plan-shared" in coded(one, "category")
    ]
    assert [one["recipient"][0]["reference"].partition("/")[0] for one in shared] == ["Patient", "Organization"]
    assert [codes(one) for one in shared] == [set(), {"V", "MH"}]


def test_a_suggestion_changes_nothing_by_itself():
    """HUSKY: "The provider has the opportunity to respond back with any suggestions"."""
    resources = mapped("husky-year")
    words = [one for one in of_type(resources, "Communication") if "suggestion" in coded(one, "category")]
    services = [one for one in of_type(resources, "ServiceRequest") if one["intent"] == "proposal"]
    [goal] = [one for one in of_type(resources, "Goal") if one["expressedBy"]["reference"].startswith("Pract")]
    tasks = [one for one in of_type(resources, "Task") if "consider-suggestion" in coded(one, "code")]
    assert [one["focus"] for one in tasks] == [reference(one) for one in (*words, goal, *services)]
    assert [one["status"] for one in tasks] == ["completed", "rejected", "requested", "completed", "requested"]
    assert goal["lifecycleStatus"] == "accepted"
    [plan] = [one for one in of_type(resources, "CarePlan") if "partOf" not in one]
    assert reference(goal) not in plan["goal"], "an accepted one becomes a goal of the plan in the member's words"
    without = stated("husky-year")["care_plan"] | {"suggestions": []}
    plans = [of_type(mapped("husky-year", **changes), "CarePlan") for changes in ({}, {"care_plan": without})]
    assert plans[0] == plans[1]


def test_a_signature_is_under_what_was_signed():
    resources = mapped("bc-icmt-year")
    signed = [one for one in of_type(resources, "Provenance") if "verifier" in coded(one["agent"][0], "type")]
    targets = [one["target"][0]["reference"].partition("/")[0] for one in signed]
    assert {"CarePlan", "Observation", "QuestionnaireResponse"} == set(targets)
    by_id = {reference(one)["reference"]: one for one in resources}
    for provenance in signed:
        assert len({frozenset(codes(by_id[target["reference"]])) for target in provenance["target"]}) == 1


@pytest.mark.parametrize("hidden", ["substance-use", "mental-illness", "spirituality-culture"])
def test_what_is_hidden_of_an_assessment_changes_no_signature_under_the_rest(hidden):
    def signed(case):
        return [one for one in of_type(case, "Provenance") if "verifier" in coded(one["agent"][0], "type")]

    def found(assessment):
        return [one for one in assessment["findings"] if one["domain"] != hidden]

    plan = stated("bc-icmt-year")["care_plan"]
    problems = [one | {"evidence": []} for one in plan["problems"]]
    changes = {"care_plan": plan | {"problems": problems}}
    before = signed(mapped("bc-icmt-year", **changes))
    assessments = [one | {"findings": found(one)} for one in stated("bc-icmt-year")["assessments"]]
    after = signed(mapped("bc-icmt-year", **changes, assessments=assessments))
    assert [one for one in after if one not in before] == []
    assert len(before) == len(after) + 2


def test_a_signature_that_a_programme_asks_for_is_a_task_until_it_is_there():
    def status(name, **changes):
        return [
            one["status"] for one in of_type(mapped(name, **changes), "Task") if "sign-off" in coded(one, "code")
        ]

    assert status("bc-icmt-year") == ["completed", "completed"]
    plan = stated("ne-peer-year")["care_plan"]
    assert status("ne-peer-year", care_plan=plan | {"sign_offs": []}) == ["requested"]
    assert status("ct-bhp-year") == []


def test_a_counselor_for_substance_use_alone_signs_no_other_plan():
    """Nebraska, Staffing: "Licensed Alcohol and Drug Counselor (LADC) for substance use only"."""
    plan = stated("ne-peer-year")["care_plan"]
    sign = [{"by": "ladc-orr", "at": "2024-09-11T09:00:00-05:00"}]
    found = refused("ne-peer-year", care_plan=plan | {"sign_offs": sign})
    assert found == [(ProfileViolation, "care_plan.sign_offs[0].by")]
    problems = [one | {"sensitivity": ["SUD"]} for one in plan["problems"]]
    assert mapped("ne-peer-year", care_plan=plan | {"sign_offs": sign, "problems": problems})


def test_a_code_that_the_programme_has_not_is_told_by_its_place():
    changes = planned("ct-bhp-year", "goals", "door", area="moon")
    assert refused("ct-bhp-year", **changes) == [(UnmappedCode, "care_plan.goals[0].area")]
