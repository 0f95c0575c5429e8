"""A year in each programme: incidents, requests, what is known; the way through the programme and out of it."""

import pytest
from icm_cases import clocks, codes, mapped, of_type, stated
from year_of_a_case import coded, extended, label_of, only, reference, refused

from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import ProfileViolation
from fhirgw.icm.model import Case

BASE = "http://fhirgw.org/fhir/"


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
