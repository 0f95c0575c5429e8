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
