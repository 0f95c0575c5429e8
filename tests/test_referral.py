"""What a visit raises for members and candidates, once."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fhirgw import programs, r4
from fhirgw.referral import referrals

PROGRAMS = {
    path.stem: programs.load(path.read_text("utf-8")) for path in Path(programs.__file__).parent.glob("*.toml")
}
NOW = datetime(2025, 5, 2, 23, 30, tzinfo=UTC)
ENCOUNTER = {
    "resourceType": "Encounter",
    "id": "visit1",
    "status": "in-progress",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    "serviceProvider": {"reference": "Organization/hospital"},
}


@dataclass(frozen=True)
class Event:
    trigger: str = "A01"


def raised(*enrolments, event=Event(), now=NOW, **encounter):
    return referrals(event, {**ENCOUNTER, **encounter}, "p1", enrolments, PROGRAMS, b"test", now)


def types(resources):
    return [resource["resourceType"] for resource in resources]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_visit_of_a_member_raises_a_review_of_the_plan(program):
    (task,) = raised((program, "active"))
    assert task["code"]["coding"][0]["code"] == "plan-revision"
    assert task["focus"] == {"reference": "Encounter/visit1"}
    assert task["for"] == {"reference": "Patient/p1"}
    r4.validate(task)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_visit_of_a_candidate_raises_a_referral_and_a_contact(program):
    request, task = raised((program, "candidate"))
    assert types([request, task]) == ["ServiceRequest", "Task"]
    assert task["focus"] == {"reference": f"ServiceRequest/{request['id']}"}
    assert request["requester"] == {"reference": "Organization/hospital"}
    r4.validate(request)
    r4.validate(task)


def test_british_columbia_contacts_within_three_days_of_its_own_calendar():
    """BC 1.2: "contacted within three days"; 23:30 UTC is still the afternoon of 2 May in Vancouver."""
    _, task = raised(("bc-icmt", "candidate"))
    assert task["restriction"]["period"]["end"] == "2025-05-05T23:59:59-07:00"


def test_the_same_visit_gives_the_same_ids_however_often_it_is_told():
    first = raised(("ct-bhp", "candidate"))
    later = raised(("ct-bhp", "candidate"), event=Event("A08"), now=NOW.replace(day=20))
    assert [one["id"] for one in first] == [one["id"] for one in later]


def test_another_visit_another_person_another_programme_give_other_ids():
    ids = {
        raised(("ct-bhp", "active"))[0]["id"],
        raised(("husky", "active"))[0]["id"],
        raised(("ct-bhp", "active"), id="visit2")[0]["id"],
        referrals(Event(), ENCOUNTER, "p2", [("ct-bhp", "active")], PROGRAMS, b"test", NOW)[0]["id"],
    }
    assert len(ids) == 4


def test_someone_in_two_programmes_is_both():
    assert types(raised(("ct-bhp", "active"), ("husky", "candidate"))) == ["Task", "ServiceRequest", "Task"]


@pytest.mark.parametrize("status", ["finished", "opted-out"])
def test_a_former_member_raises_nothing(status):
    assert raised(("ct-bhp", status)) == []


@pytest.mark.parametrize("visit", ["AMB", "VR", "HH", "PRENC"])
def test_a_visit_that_is_neither_inpatient_nor_emergency_raises_nothing(visit):
    assert raised(("ct-bhp", "active"), **{"class": {"code": visit}}) == []


@pytest.mark.parametrize("trigger", ["A11", "A05", "A31"])
def test_an_event_that_states_no_visit_raises_nothing(trigger):
    assert raised(("ct-bhp", "active"), event=Event(trigger)) == []


@pytest.mark.parametrize("status", ["planned", "cancelled", "entered-in-error"])
def test_a_visit_that_is_not_one_raises_nothing(status):
    assert raised(("ct-bhp", "active"), status=status) == []


def test_a_programme_that_is_not_here_raises_nothing():
    assert raised(("elsewhere", "active")) == []


def test_a_rule_without_a_length_has_no_due_time():
    rule = PROGRAMS["ct-bhp"].referral.member.model_copy(update={"due": None})
    referral = PROGRAMS["ct-bhp"].referral.model_copy(update={"member": rule})
    program = PROGRAMS["ct-bhp"].model_copy(update={"referral": referral})
    (task,) = referrals(Event(), ENCOUNTER, "p1", [("ct-bhp", "active")], {"ct-bhp": program}, b"test", NOW)
    assert "restriction" not in task


def test_a_hospital_that_is_not_stated_is_no_requester():
    encounter = {name: value for name, value in ENCOUNTER.items() if name != "serviceProvider"}
    request, _ = referrals(Event(), encounter, "p1", [("ct-bhp", "candidate")], PROGRAMS, b"test", NOW)
    assert "requester" not in request
