"""A year in each programme: contacts, the team, the plan among others, incidents, the end of a case."""

import pytest
from icm_cases import clocks, codes, mapped, of_type, stated

from fhirgw.consent.labels import LabelContext, label
from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import ProfileViolation, UnmappedCode
from fhirgw.icm.model import Case

BASE = "http://fhirgw.org/fhir/"


def coded(resource, element):
    """The codes of an element that is a CodeableConcept, or a list of them."""
    found = resource.get(element, [])
    return {
        one["code"] for part in (found if isinstance(found, list) else [found]) for one in part.get("coding", [])
    }


def only(resources, kind, element, code):
    (found,) = [one for one in of_type(resources, kind) if code in coded(one, element)]
    return found


def by_text(resources, kind, text):
    (found,) = [one for one in of_type(resources, kind) if text in str(one)]
    return found


def extended(resource, name):
    return [one for one in resource.get("extension", []) if one["url"].endswith(f"/{name}")]


def label_of(resource):
    return label(resource, LabelContext(lambda _: (0, 0)))


def reference(resource):
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def refused(name, **changes):
    """(type, location) of everything that does not fit."""
    with pytest.raises(ExceptionGroup) as problems:
        mapped(name, **changes)
    return [(type(error), error.location) for error in problems.value.exceptions]


def altered(name, part, key, **changes):
    """One list of a case with one of its items changed."""
    return {part: [one | changes if one["id"] == key else one for one in stated(name)[part]]}


def planned(name, part, key, **changes):
    """The plan of a case with one item of one of its lists changed."""
    plan = stated(name)["care_plan"]
    return {"care_plan": plan | {part: [one | changes if one["id"] == key else one for one in plan[part]]}}


# --- contacts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("home", "HH"), ("public-place", "FLD"), ("shelter", "FLD"), ("transitional-housing", "FLD"),
        ("community", "FLD"), ("corrections", "FLD"), ("office", "AMB"), ("respite", "AMB"), ("hospital", "AMB"),
        ("observation-unit", "AMB"), ("emergency", "AMB"), ("skilled-nursing", "AMB"),
    ],
)  # fmt: skip
def test_a_contact_has_the_class_of_where_it_was(setting, code):
    """A visit in a hospital is not the hospital's own encounter: never IMP or EMER."""
    contact = {"id": "c", "at": "2025-02-03T10:00:00-05:00", "mode": "face-to-face", "setting": setting}
    (encounter,) = of_type(mapped("ct-bhp-candidate", contacts=[contact]), "Encounter")
    assert encounter["class"]["code"] == code
    assert setting in coded(encounter, "type")


@pytest.mark.parametrize("mode", ["phone", "video", "email"])
def test_a_contact_from_afar_is_virtual(mode):
    contact = {"id": "c", "at": "2025-02-03T10:00:00-05:00", "mode": mode}
    (encounter,) = of_type(mapped("ct-bhp-candidate", contacts=[contact]), "Encounter")
    assert encounter["class"]["code"] == "VR"
    assert mode in coded(encounter, "type")


def test_a_contact_says_what_it_was_for():
    purposes = set().union(*(coded(one, "reasonCode") for one in of_type(mapped("ct-bhp-year"), "Encounter")))
    assert {
        "introduction",
        "goals-discussion",
        "motivational-interviewing",
        "care-planning",
        "aftercare",
    } <= purposes


def test_who_took_part_is_named():
    """CT BHP: "Meet with providers/supports/member to develop short and long-term recovery plans"."""
    (meeting,) = [
        one for one in of_type(mapped("ct-bhp-year"), "Encounter") if len(one.get("participant", [])) == 4
    ]
    kinds = [one["individual"]["reference"].partition("/")[0] for one in meeting["participant"]]
    assert kinds == ["PractitionerRole", "PractitionerRole", "RelatedPerson", "Practitioner"]


def test_collaterals_are_met_without_the_member():
    aftercare = only(mapped("ct-bhp-year"), "Encounter", "reasonCode", "aftercare")
    assert "collateral" in coded(aftercare, "type")
    contacts = stated("ct-bhp-year")["contacts"]
    contacts[4]["beside"] = []
    with pytest.raises(ValueError, match="somebody beside"):
        Case.model_validate({**stated("ct-bhp-year"), "contacts": contacts})


def test_a_group_session_has_a_name_and_a_size():
    (session,) = [one for one in of_type(mapped("ne-peer-year"), "Encounter") if "group" in coded(one, "type")]
    assert session["identifier"] == [{"system": f"{BASE}sid/icm-group-session", "value": "night-group-2024-10-02"}]
    assert [one["valuePositiveInt"] for one in extended(session, "icm-group-participants")] == [7]


@pytest.mark.parametrize(("size", "fits"), [(2, False), (3, True), (12, True), (13, False)])
def test_a_group_in_nebraska_is_of_three_to_twelve(size, fits):
    changes = altered("ne-peer-year", "contacts", "c2", group={"session": "s", "participants": size})
    if fits:
        assert mapped("ne-peer-year", **changes)
    else:
        assert refused("ne-peer-year", **changes) == [(ProfileViolation, "contacts[1].group.participants")]


def test_an_attempt_was_answered_or_not():
    attempts = [one for one in of_type(mapped("ccbh-peer-year"), "Communication") if "sent" in one]
    said = {(min(coded(one, "category")), "received" in one) for one in attempts}
    assert {("letter", False), ("convenient-appointment", False), ("engagement-contract", True)} <= said


# --- the team -------------------------------------------------------------------------------------------------


def test_a_role_has_the_nearest_published_code_and_the_programmes_own():
    resources = mapped("husky-year")
    roles = {frozenset(coded(one, "code")) for one in of_type(resources, "PractitionerRole")}
    assert {frozenset({"163W00000X", "husky.nurse"}), frozenset({"husky.medical-director"})} <= roles
    assert len(of_type(resources, "CareTeam")[0]["participant"]) == 3 + 9


def test_a_qualification_says_its_kind_its_number_its_issuer_and_until_when():
    resources = mapped("ct-bhp-year")
    lane = by_text(resources, "Practitioner", "Lane")["qualification"][0]
    assert {"LCSW", "ct-bhp.behavioral-health-clinician", "license"} == coded(lane, "code")
    assert lane["identifier"][0]["value"] == "TEST-001"
    assert lane["period"] == {"start": "2016-05-01", "end": "2026-04-30"}
    moss = by_text(resources, "Practitioner", "Moss")["qualification"]
    assert [min(coded(one, "code")) for one in moss] == ["RSS", "training"]
    assert moss[0]["issuer"] == reference(by_text(resources, "Organization", "Example Recovery University"))


def test_a_peer_says_their_lived_experience_and_whom_they_answer_to():
    resources = mapped("ct-bhp-year")
    peer = only(resources, "PractitionerRole", "code", "ct-bhp.peer")
    director = only(resources, "PractitionerRole", "code", "ct-bhp.peer-director")
    assert [one["valueCode"] for one in extended(peer, "icm-lived-experience")] == ["self"]
    assert [one["valueReference"] for one in extended(peer, "icm-supervisor")] == [reference(director)]


def test_nobody_supervises_themselves():
    team = altered("ct-bhp-year", "care_team", "director-frey", supervisor="peer-moss")
    with pytest.raises(ValueError, match="supervises themselves"):
        Case.model_validate({**stated("ct-bhp-year"), **team})


@pytest.mark.parametrize(
    ("name", "who", "changes", "field"),
    [
        ("ne-peer-year", "consult-bly", {"qualifications": []}, "qualifications"),
        ("ne-peer-year", "peer-hale", {"lived_experience": None}, "lived_experience"),
        ("ne-peer-year", "peer-hale", {"birth_date": "2006-01-01"}, "birth_date"),
        ("bc-icmt-year", "peer-sky", {"caseload": 1}, "caseload"),
    ],
)
def test_a_role_asks_for_what_its_programme_says(name, who, changes, field):
    index = next(at for at, one in enumerate(stated(name)["care_team"]) if one["id"] == who)
    expected = [(ProfileViolation, f"care_team[{index}].{field}")]
    assert refused(name, **altered(name, "care_team", who, **changes)) == expected


def test_a_birth_date_of_staff_is_told_to_nobody():
    assert "1990-01-01" not in str(mapped("ne-peer-year"))


def test_a_caseload_over_its_maximum_is_told_to_the_management():
    """Nebraska: not over 1:25; BC B.5: management is made aware."""
    for name, loads in (("ne-peer-year", [27, 12]), ("bc-icmt-year", [17, 22])):
        resources = mapped(name)
        (team,) = of_type(resources, "CareTeam")
        stated_loads = [
            one["valueUnsignedInt"] for part in team["participant"] for one in extended(part, "icm-caseload")
        ]
        assert stated_loads == loads
        assert only(resources, "Task", "code", "caseload")["focus"] == reference(team)
    assert not [one for one in of_type(mapped("ct-bhp-year"), "Task") if "caseload" in coded(one, "code")]


def test_staff_confer_about_the_member():
    resources = mapped("bc-icmt-year")
    review = only(resources, "Communication", "category", "case-review")
    assert review["sender"] == reference(only(resources, "PractitionerRole", "code", "bc-icmt.team-lead"))
    assert len(review["recipient"]) == 3
    assert codes(review) == {"MH"}


def test_a_consultation_starts_its_clock_anew():
    consultation = {"id": "k", "on": "2025-06-02", "by": "consultant-brandt"}
    supervision, clinical = ({**consultation, "kind": kind} for kind in ("supervision", "clinical-consultation"))
    assert clocks(mapped("ne-peer", consultations=[clinical]))["NE-CONSULT-90"][1].startswith("2025-08-31")
    before = clocks(mapped("ne-peer", consultations=[]))
    assert clocks(mapped("ne-peer", consultations=[supervision]))["NE-CONSULT-90"] == before["NE-CONSULT-90"]


# --- the plan -------------------------------------------------------------------------------------------------


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


# --- incidents, requests, what is known -----------------------------------------------------------------------


def test_an_incident_is_followed_up_and_reviewed():
    """BC 2.2: "reviewed with the client and care team following every crisis incident"."""
    resources = mapped("bc-icmt-year")
    crisis = only(resources, "Observation", "code", "crisis")
    responses = [min(coded(one, "valueCodeableConcept")) for one in crisis["component"]]
    assert responses == ["crisis-plan", "team", "emergency-department"]
    assert codes(crisis) == {"BH", "MH"}
    reviews = [one["status"] for one in of_type(resources, "Task") if "incident-review" in coded(one, "code")]
    assert reviews == ["completed", "requested"]


def test_a_request_by_right_is_a_task_that_nobody_outside_sees():
    tasks = [one for one in of_type(mapped("bc-icmt-year"), "Task") if "requester" in one]
    states = {min(coded(one, "code")): one["status"] for one in tasks}
    assert states == {"record-access": "completed", "complaint": "rejected", "appeal": "requested"}
    assert all("V" in codes(one) for one in tasks)


def test_who_stands_by_the_member_is_on_the_team():
    """BC 1.6: "Clients can have a support person or advocate involved in their care"."""
    (team,) = of_type(mapped("bc-icmt-year"), "CareTeam")
    roles = set().union(*(coded(one, "role") for one in team["participant"]))
    assert {"support-person", "substitute-decision-maker", "133932002", "primary-care"} <= roles
    assert "bc-icmt.most-responsible-physician" in roles


def test_indigenous_identity_is_said_as_ca_baseline_does():
    (patient,) = of_type(mapped("bc-icmt-year"), "Patient")
    said = {one["url"].rpartition("/")[2]: one["valueCoding"]["code"] for one in patient["extension"]}
    assert said == {"ext-aboriginalidentityindicator": "yes", "ext-aboriginalidentitygroup": "first-nations"}


def test_a_number_that_the_member_knows_is_a_reading():
    resources = mapped("husky-year")
    pressures = [one for one in of_type(resources, "Observation") if "reading-blood-pressure" in coded(one, "code")]
    assert [part["valueQuantity"]["value"] for part in pressures[0]["component"]] == [156.0, 94.0]
    assert only(resources, "Observation", "code", "reading-weight")["valueQuantity"]["value"] == 81.5


# --- through the programme and out of it ----------------------------------------------------------------------


def test_an_enrolment_says_its_steps_its_past_and_the_one_before():
    (episode,) = of_type(mapped("bc-icmt-year"), "EpisodeOfCare")
    steps = [one["extension"][0]["valueCoding"]["code"] for one in extended(episode, "icm-phase")]
    assert steps == [
        f"bc-icmt.{one}" for one in ("engagement", "eligibility", "planning", "provision", "discharge")
    ]
    assert [one["status"] for one in episode["statusHistory"]] == ["planned", "waitlist", "active", "onhold"]
    ((before, why, marked),) = [one["extension"] for one in extended(episode, "icm-reentry")]
    assert (before["valueIdentifier"]["value"], why["valueCode"]) == ("bc-icmt:BC-YEAR-0001", "relapse")
    assert marked["valueCoding"]["code"] == "SUD"
    labels = label_of(episode)
    elements = [(one.path[0], one.labels) for one in labels.elements if one.target is None]
    assert (labels.labels, elements) == (0, [("extension", BITS["SUD"])])


def test_who_leaves_is_inactive_first_and_the_file_is_closed_after_three_months():
    """BC 2.8: "flagged as inactive but will remain open for up to three months"."""
    resources = mapped("bc-icmt", status="inactive", inactive_on="2025-06-10")
    assert of_type(resources, "EpisodeOfCare")[0]["status"] == "onhold"
    assert clocks(resources)["BC-INACTIVE"] == ("open", "2025-09-10T23:59:59-07:00")


def test_who_waits_is_a_candidate_still():
    """BC B.5: "plans to address overload and wait lists"."""
    case = Case.model_validate({**stated("bc-outreach"), "status": "waitlist"})
    assert case.relation == "candidate"
    assert of_type(mapped("bc-outreach", status="waitlist"), "EpisodeOfCare")[0]["status"] == "waitlist"


def test_a_time_of_low_contact_calls_for_a_reassessment():
    """BC 2.8: not "at least weekly contacts for three consecutive months"."""
    found = clocks(mapped("bc-icmt", low_contact_on="2025-06-01"))
    assert found["BC-LOWCONTACT"] == ("open", "2025-09-01T23:59:59-07:00")


def test_a_graduation_is_agreed_by_member_caregiver_and_provider():
    """HUSKY, Achieving Care Plan Goals: "The member, caregiver, and provider agree"."""
    resources = mapped("husky-year")
    (episode,) = of_type(resources, "EpisodeOfCare")
    agreed = [one for one in of_type(resources, "Provenance") if "attester" in coded(one["agent"][0], "type")]
    assert all(one["target"] == [reference(episode)] for one in agreed)
    who = {
        min(coded(one["agent"][0], "role")): one["agent"][0]["who"]["reference"].partition("/")[0] for one in agreed
    }
    assert who == {"member": "Patient", "caregiver": "RelatedPerson", "provider": "Practitioner"}
    outcomes = {one["valueCoding"]["code"] for one in extended(episode, "icm-outcome")}
    assert outcomes == {"husky.self-advocacy", "husky.understanding", "husky.self-management"}


@pytest.mark.parametrize("missing", ["member", "caregiver", "provider"])
def test_a_graduation_to_which_somebody_does_not_agree_is_none(missing):
    closure = stated("husky-year")["closure"]
    agreements = [one for one in closure["agreements"] if one["party"] != missing]
    found = refused("husky-year", closure=closure | {"agreements": agreements})
    assert found == [(ProfileViolation, "closure.agreements")]


def test_nobody_agrees_who_is_not_there():
    closure = stated("husky-year")["closure"]
    two = [one for one in closure["agreements"] if one["party"] != "caregiver"]
    case = stated("husky")
    del case["member"]["caregiver"]
    assert mapped("husky", member=case["member"], status="finished", closure=closure | {"agreements": two})


def test_who_does_not_answer_is_written_to_before_the_case_is_closed():
    """CCBH, Discharge Criteria: letters, an engagement contract, convenient appointments."""
    attempts = [one for one in stated("ccbh-peer-year")["attempts"] if one["how"] != "engagement-contract"]
    assert refused("ccbh-peer-year", attempts=attempts) == [(ProfileViolation, "attempts")]


def test_aftercare_is_a_request_and_the_way_back_is_told():
    resources = mapped("bc-icmt-year")
    aftercare = [one for one in of_type(resources, "ServiceRequest") if "aftercare" in coded(one, "category")]
    assert [one["status"] for one in aftercare] == ["active", "active"]
    back = only(resources, "Communication", "category", "way-back")
    assert "no form" in back["payload"][0]["contentString"]
