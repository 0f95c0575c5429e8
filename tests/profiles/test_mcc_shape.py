"""The goldens have the shape that US Core 6.1.0 and the MCC eCare Plan guide ask for.

See: HL7/fhir-us-mcc, StructureDefinitions mccCarePlan, MCCGoal, MCCCareTeam; US Core 6.1.0.
"""

from pathlib import Path

import orjson
import pytest

GOLDENS = sorted((Path(__file__).parent.parent.parent / "fixtures" / "icm").glob("*.fhir.json"))
REQUIRED = {
    "CarePlan": ("status", "intent", "category", "subject"),
    "CareTeam": ("subject", "participant"),
    "Condition": ("category", "code", "subject"),
    "DocumentReference": ("status", "type", "category", "subject", "content"),
    "Encounter": ("status", "class", "type", "subject"),
    "Goal": ("lifecycleStatus", "description", "subject"),
    "Observation": ("status", "category", "code", "subject"),
    "Patient": ("identifier", "name", "gender"),
    "Provenance": ("target", "recorded", "agent"),
    "QuestionnaireResponse": ("questionnaire", "status", "subject", "authored"),
    "RelatedPerson": ("active", "patient"),
    "ServiceRequest": ("status", "intent", "code", "subject"),
}
"""What US Core requires, by type."""
ACTIVITIES = {
    "Appointment", "CommunicationRequest", "DeviceRequest", "MedicationRequest", "NutritionOrder", "RequestGroup",
    "ServiceRequest", "Task", "VisionPrescription",
}  # fmt: skip
"""What an activity of an mccCarePlan may refer to."""


def resources(path, *kinds):
    found = [entry["resource"] for entry in orjson.loads(path.read_bytes())["entry"]]
    return [one for one in found if one["resourceType"] in kinds]


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_what_us_core_requires_is_there(path):
    missing = {
        f"{one['resourceType']}.{element}"
        for one in resources(path, *REQUIRED)
        for element in REQUIRED[one["resourceType"]]
        if element not in one
    }
    assert missing == set()


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_every_activity_of_a_plan_is_a_request_that_is_referred_to(path):
    for plan in resources(path, "CarePlan"):
        for activity in plan.get("activity", ()):
            assert "detail" not in activity
            assert activity["reference"]["reference"].partition("/")[0] in ACTIVITIES


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_every_participant_of_a_team_has_one_role_and_is_somebody(path):
    for team in resources(path, "CareTeam"):
        for participant in team["participant"]:
            assert len(participant["role"]) == 1
            assert participant["member"]


PATIENT_ON_THE_TEAM, CAREGIVER = "116154003", "133932002"


def roles(participant):
    return {coding["code"] for concept in participant["role"] for coding in concept["coding"]}


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_the_member_is_on_the_team_once_for_nobody_else_and_a_caregiver_is_a_related_person(path):
    for team in resources(path, "CareTeam"):
        members = [one for one in team["participant"] if PATIENT_ON_THE_TEAM in roles(one)]
        assert len(members) <= 1
        for one in members:
            assert one["member"] == team["subject"]
            assert "onBehalfOf" not in one
        for one in team["participant"]:
            assert CAREGIVER not in roles(one) or one["member"]["reference"].startswith("RelatedPerson/")


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_a_goal_is_accepted_by_somebody_and_rejected_for_a_reason(path):
    for goal in resources(path, "Goal"):
        extensions = {one["url"].rpartition("/")[2]: one for one in goal.get("extension", ())}
        accepted = {part["url"]: part for part in extensions.get("goal-acceptance", {}).get("extension", ())}
        assert accepted.keys() <= {"individual", "status", "priority"}
        assert not accepted or {"individual", "status"} <= accepted.keys()
        if "goal-reasonRejected" in extensions:
            assert goal["lifecycleStatus"] == "rejected" or accepted["status"]["valueCode"] == "disagree"
        for relationship in (one for name, one in extensions.items() if name == "goal-relationship"):
            assert {part["url"] for part in relationship["extension"]} == {"type", "target"}


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_nothing_is_said_of_what_is_missing(path):
    """MCC: a responder leaves out what is absent for an unknown reason (mcc_must-support)."""
    for one in resources(path, "CarePlan", "Goal", "CareTeam"):
        assert b"data-absent-reason" not in orjson.dumps(one)
