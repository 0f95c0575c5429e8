"""A case that contradicts itself is refused; a case of the fixtures is not."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from fhirgw.icm.model import Case

FIXTURES = Path(__file__).parents[2] / "fixtures" / "icm"
CASES = [
    "ct-bhp", "husky", "ne-peer", "bc-icmt", "ccbh-peer", "ct-bhp-candidate",
    "bc-outreach", "bc-client", "husky-cohort", "ne-screened", "ccbh-applicant",
]  # fmt: skip


def stated(name):
    return json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_a_case_survives_its_own_json(name):
    case = Case.model_validate(stated(name))
    assert Case.model_validate_json(case.model_dump_json()) == case


def without_opt_in(case):
    del case["opt_in"]


def without_admission(case):
    del case["admitted_on"]


def finished_without_closure(case):
    case["status"] = "finished"


def withdrawn_and_active(case):
    case["opt_in"]["withdrawn_at"] = "2025-09-01T10:00:00-04:00"


def goal_addresses_nothing(case):
    case["care_plan"]["goals"][0]["addresses"] = ["nowhere"]


def intervention_serves_nothing(case):
    case["care_plan"]["interventions"][0]["goals"] = ["nowhere"]


def stranger_at_a_contact(case):
    case["contacts"][0]["by"] = ["stranger"]


def acuity_by_phone(case):
    case["acuity"][0]["contact"] = "c3"


def seven_domains(case):
    del case["acuity"][0]["domains"]["safety"]


def face_to_face_nowhere(case):
    del case["contacts"][0]["setting"]


def goal_twice(case):
    case["care_plan"]["goals"] *= 2


def revoked_without_a_time(case):
    case["releases"][0]["status"] = "revoked"


def ends_before_it_starts(case):
    case["releases"][0]["ends_on"] = "2001-01-01"


def exclusion_of_nothing(case):
    case["releases"][0]["exclusions"] = [{"id": "x"}]


def time_without_a_zone(case):
    case["releases"][0]["signed_at"] = "2025-03-03T14:25:00"


def unknown_field(case):
    case["colour"] = "blue"


def sensitivity_of_no_code(case):
    case["care_plan"]["goals"][0]["sensitivity"] = []


WRONG = [
    without_opt_in, without_admission, finished_without_closure, withdrawn_and_active, goal_addresses_nothing,
    intervention_serves_nothing, stranger_at_a_contact, acuity_by_phone, seven_domains, face_to_face_nowhere,
    goal_twice, revoked_without_a_time, ends_before_it_starts, exclusion_of_nothing, time_without_a_zone,
    unknown_field, sensitivity_of_no_code,
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda change: change.__name__)
def test_a_contradiction_is_refused(wrong):
    case = stated("ct-bhp")
    wrong(case)
    with pytest.raises(ValidationError):
        Case.model_validate(case)


def test_a_text_that_nobody_classified_is_neither_cleared_nor_coded():
    goals = Case.model_validate(stated("ct-bhp")).care_plan.goals
    section = Case.model_validate(stated("ccbh-peer")).care_plan.sections[0]
    assert (goals[0].cleared, goals[0].codes) == (True, ())
    assert (goals[-1].cleared, goals[-1].codes) == (True, ("SUD",))
    assert (section.cleared, section.codes) == (False, ())
