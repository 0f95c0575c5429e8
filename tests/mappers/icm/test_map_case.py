"""ICM to FHIR: goldens, R4 by the typed oracle, and the laws that consent relies on.

``python tests/mappers/icm/test_map_case.py`` rewrites the goldens; the diff is reviewed.
"""

import json

import pytest
from icm_cases import (
    CASES,
    FIXTURES,
    KEY,
    bundle_text,
    clocks,
    codes,
    consents_of,
    mapped,
    of_type,
    program_of,
    references,
    stated,
)

from fhirgw import r4
from fhirgw.errors import InvalidElement, MissingElement, ProfileViolation, UnmappedCode
from fhirgw.icm.model import Case
from fhirgw.mappers.icm import map_case, person
from fhirgw.mappers.icm.shape import revealed


@pytest.mark.parametrize("name", CASES)
def test_the_golden(name):
    assert (FIXTURES / f"{name}.fhir.json").read_text("utf-8") == bundle_text(name)


@pytest.mark.parametrize("name", CASES)
def test_every_resource_is_structurally_r4(name):
    for resource in mapped(name):
        r4.validate(resource)


@pytest.mark.parametrize("name", CASES)
def test_every_reference_points_at_something_before_it_or_is_the_ones_it_must_be(name):
    """The store labels a resource by its targets: they are there before it."""
    before = set()
    for resource in mapped(name):
        for path, reference, _ in references(resource):
            assert reference in before, (resource["resourceType"], path)
        before.add(f"{resource['resourceType']}/{resource['id']}")


@pytest.mark.parametrize("name", CASES)
def test_no_reference_names_its_target(name):
    assert not [path for one in mapped(name) for path, _, reference in references(one) if "display" in reference]


@pytest.mark.parametrize("name", CASES)
def test_ids_are_unique_and_fhir_ids(name):
    ids = [(one["resourceType"], one["id"]) for one in mapped(name)]
    assert len(set(ids)) == len(ids)
    assert all(len(id_) == 26 and id_.isalnum() for _, id_ in ids)


@pytest.mark.parametrize("name", CASES)
def test_another_key_makes_other_ids(name):
    case = Case.model_validate(stated(name))
    other = {one["id"] for one in map_case(case, program_of(case), b"other")}
    assert other.isdisjoint(one["id"] for one in mapped(name))


@pytest.mark.parametrize("name", CASES)
def test_the_patient_is_the_picture_with_an_id(name):
    (patient,) = of_type(mapped(name), "Patient")
    case = Case.model_validate(stated(name))
    assert {**person(case, KEY), "id": patient["id"]} == patient


@pytest.mark.parametrize("name", CASES)
def test_no_activity_detail_and_every_activity_a_request(name):
    """MCC eCare Plan: ``CarePlan.activity.detail`` SHALL NOT be used."""
    for plan in of_type(mapped(name), "CarePlan"):
        for activity in plan.get("activity", []):
            assert set(activity) == {"reference"}
            assert activity["reference"]["reference"].startswith("ServiceRequest/")


def test_the_members_own_words_are_kept_as_they_are():
    words = {goal["words"] for goal in stated("ct-bhp")["care_plan"]["goals"]}
    assert {goal["description"]["text"] for goal in of_type(mapped("ct-bhp"), "Goal")} == words


def test_a_sensitive_text_stands_only_where_its_code_does():
    """Alma's SUD goal and DV barrier: no unlabelled resource says a word of them."""
    sensitive = [
        one["words"] if "words" in one else one["text"]
        for part in ("goals", "problems", "interventions", "sections")
        for one in stated("ct-bhp")["care_plan"][part]
        if one["sensitivity"] != "none"
    ]
    assert len(sensitive) >= 5
    for resource in mapped("ct-bhp"):
        said = json.dumps(resource, ensure_ascii=False)
        assert codes(resource) or not any(text in said for text in sensitive)


def test_a_request_carries_the_codes_of_the_goals_it_serves():
    case = stated("ct-bhp")
    case["care_plan"]["interventions"][1]["sensitivity"] = "none"
    requests = of_type(mapped("ct-bhp", care_plan=case["care_plan"]), "ServiceRequest")
    serving = [
        one for one in requests if one.get("code", {}).get("text") == "Go to the recovery home group together."
    ]
    assert [codes(one) for one in serving] == [{"SUD"}]


def test_a_text_that_nobody_classified_has_no_clearing_tag():
    plans = of_type(mapped("ccbh-peer"), "CarePlan")
    section = next(plan for plan in plans if "partOf" in plan)
    assert [one["code"] for one in section["meta"]["tag"]] == ["unreviewed"]
    goal = of_type(mapped("ccbh-peer"), "Goal")[0]
    assert goal["meta"]["tag"] == [
        {"system": "http://fhirgw.org/fhir/CodeSystem/icm-text-review", "code": "cleared"}
    ]


def test_a_section_is_a_plan_of_its_own_that_the_main_plan_does_not_name():
    plans = of_type(mapped("ct-bhp"), "CarePlan")
    main = next(plan for plan in plans if "partOf" not in plan)
    parts = [plan for plan in plans if "partOf" in plan]
    assert len(parts) == 2
    assert all(part["partOf"] == [{"reference": f"CarePlan/{main['id']}"}] for part in parts)
    assert not any(part["id"] in json.dumps(main) for part in parts)


def test_the_cadence_of_the_latest_tier_is_a_timing():
    tier = [one for one in of_type(mapped("ct-bhp"), "ServiceRequest") if "occurrenceTiming" in one]
    repeats = [one["occurrenceTiming"]["repeat"] for one in tier if "text" not in one["code"]]
    assert repeats == [{"frequency": 1, "period": 1, "periodMax": 2, "periodUnit": "wk"}]


@pytest.mark.parametrize("name", CASES)
def test_a_provenance_never_joins_what_is_sensitive_with_what_is_not(name):
    resources = mapped(name)
    by_reference = {f"{one['resourceType']}/{one['id']}": one for one in resources}
    for provenance in of_type(resources, "Provenance"):
        targets = [by_reference[target["reference"]] for target in provenance["target"]]
        assert len({(one["resourceType"], revealed(one)) for one in targets}) == 1


# --- consents -------------------------------------------------------------------------------------------------


def test_an_roi_names_its_recipient_by_reference_and_identifier():
    elm = consents_of(mapped("ct-bhp"), "roi")[0]
    actor = elm["provision"]["actor"][0]
    assert actor["role"]["coding"][0]["code"] == "IRCP"
    assert actor["reference"]["reference"].startswith("Organization/")
    assert actor["reference"]["identifier"] == {
        "system": "http://hl7.org/fhir/sid/us-npi",
        "value": "1234567893",
    }
    assert elm["provision"]["type"] == "permit"
    assert [label["code"] for label in elm["provision"]["securityLabel"]] == ["R", "MH"]
    assert [purpose["code"] for purpose in elm["provision"]["purpose"]] == ["TREAT", "COC"]
    assert elm["provision"]["period"] == {"start": "2025-03-03", "end": "2035-03-02"}


@pytest.mark.parametrize("name", CASES)
def test_an_roi_carries_every_element_that_the_law_asks_for(name):
    """45 CFR 164.508(c)(1), 42 CFR 2.31(a): who tells, whom, what, why, until when, signed when and by whom."""
    for roi in consents_of(mapped(name), "roi"):
        assert roi["scope"]["coding"][0]["code"] == "patient-privacy"
        assert len(roi["organization"]) == len(roi["performer"]) == len(roi["policy"]) == 1
        assert roi["sourceReference"]["reference"].startswith("DocumentReference/")
        assert roi["dateTime"][-6] in "+-"
        expiry = [one for one in roi.get("extension", []) if one["url"].endswith("icm-consent-expiry-event")]
        assert roi["provision"]["period"].get("end") or expiry


@pytest.mark.parametrize("name", CASES)
def test_no_consent_uses_what_pcf_forbids(name):
    for consent in of_type(mapped(name), "Consent"):
        provision = consent.get("provision", {})
        nested = provision.get("provision", [])
        assert "verification" not in consent
        assert not {"action", "class", "code"} & set().union(provision, *nested)
        assert not [one for one in nested if "provision" in one]


def test_a_revoked_roi_is_inactive_and_keeps_its_exceptions():
    roi = consents_of(mapped("ccbh-peer"), "roi")[0]
    assert roi["status"] == "inactive"
    assert [one["type"] for one in roi["provision"]["provision"]] == ["deny"]


def test_a_refusal_and_a_safety_list_are_root_denies_with_the_person():
    refusal = consents_of(mapped("bc-icmt"), "named-person-refusal")[0]
    safety = consents_of(mapped("ccbh-peer"), "dv-safety-list")[0]
    assert refusal["provision"]["type"] == safety["provision"]["type"] == "deny"
    assert refusal["provision"]["actor"][0]["reference"]["reference"].startswith("Practitioner/")
    assert safety["provision"]["actor"][0]["reference"]["reference"].startswith("RelatedPerson/")
    assert codes(safety) == {"SDV"}


def test_what_tells_of_a_consent_is_at_the_highest_confidentiality():
    resources = mapped("ccbh-peer")
    told = [*of_type(resources, "DocumentReference"), *of_type(resources, "RelatedPerson")]
    assert len(told) == 4
    assert all("V" in codes(one) for one in told)


def test_an_opt_in_is_no_release():
    opt_in = consents_of(mapped("ct-bhp"), "opt-in")[0]
    assert opt_in["scope"]["coding"][0]["code"] == "treatment"
    assert "provision" not in opt_in


def test_opting_out_ends_the_opt_in_and_the_episode():
    opt_in = {**stated("husky")["opt_in"], "withdrawn_at": "2025-09-01T10:00:00-04:00"}
    resources = mapped("husky", status="opted-out", opt_in=opt_in)
    assert consents_of(resources, "opt-in")[0]["status"] == "inactive"
    assert of_type(resources, "EpisodeOfCare")[0]["status"] == "finished"
    for resource in resources:
        r4.validate(resource)


def test_a_release_signed_by_a_guardian_says_so():
    release = stated("husky")["releases"][0]
    guardian = {"id": "g", "kind": "related", "name": {"text": "Greta Exampleson"}}
    resources = mapped(
        "husky",
        releases=[{**release, "law": "part2", "representative": {"person": guardian, "authority": "GUARD"}}],
    )
    roi = consents_of(resources, "roi")[0]
    signer = next(one for one in resources if roi["performer"] == [{"reference": f"RelatedPerson/{one['id']}"}])
    assert signer["relationship"][0]["coding"][0]["code"] == "GUARD"
    assert roi["policyRule"]["coding"][0]["code"] == "42CFRPart2"
    for resource in resources:
        r4.validate(resource)


def test_a_release_to_a_person_names_them():
    release = {
        **stated("husky")["releases"][0],
        "recipient": {"id": "sister", "kind": "related", "name": {"text": "Ida Exampleson"}},
    }
    actor = consents_of(mapped("husky", releases=[release]), "roi")[0]["provision"]["actor"][0]
    assert actor["reference"]["reference"].startswith("RelatedPerson/")


# --- assessments, contacts, clocks ----------------------------------------------------------------------------


def test_sf12_scores_are_observations_with_our_own_codes():
    observations = of_type(mapped("ct-bhp"), "Observation")
    scores = {
        one["code"]["coding"][0]["code"]: one["valueQuantity"]["value"]
        for one in observations
        if "valueQuantity" in one and one["effectiveDateTime"].startswith("2025-03")
    }
    assert scores == {"sf12v1-pcs": 48.60638, "sf12v1-mcs": 33.57777}


def test_an_acuity_assessment_reveals_its_domains():
    acuity = [
        one
        for one in of_type(mapped("ct-bhp"), "QuestionnaireResponse")
        if one["questionnaire"].endswith("icm-acuity")
    ]
    assert [codes(one) for one in acuity] == [{"MH", "SUD"}] * 2
    assert all(len(one["item"]) == 8 for one in acuity)


def test_a_contact_has_the_class_of_its_setting():
    classes = [one["class"]["code"] for one in of_type(mapped("ct-bhp"), "Encounter")]
    assert classes == ["AMB", "FLD", "VR", "FLD"]


def test_clocks_run_from_what_the_case_states():
    assert clocks(mapped("ct-bhp")) == {"CT-PLAN-30": ("met", "2025-04-02T23:59:59-04:00")}
    assert clocks(mapped("ne-peer")) == {
        "NE-WRSP-30": ("met", "2025-02-19T23:59:59-06:00"),
        "NE-WRSP-90": ("open", "2025-08-03T23:59:59-05:00"),
        "NE-CONSULT-90": ("open", "2025-08-04T23:59:59-05:00"),
    }
    assert clocks(mapped("bc-icmt"))["BC-CONTACT-3"] == ("met", "2025-05-07T23:59:59-07:00")


def test_a_recurring_clock_runs_from_admission_before_its_first_occurrence():
    found = clocks(mapped("bc-icmt", medicine_reviews=[]))
    assert found["BC-MEDREV"] == ("open", "2025-11-09T23:59:59-08:00")


def test_a_referral_from_an_organization_names_it():
    organization = {
        "identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1999999984"},
        "name": "Oak",
    }
    referral = {**stated("husky")["referral"], "organization": organization}
    resources = mapped("husky", referral=referral)
    (oak,) = [one for one in of_type(resources, "Organization") if one["name"] == "Oak"]
    assert {"reference": f"Organization/{oak['id']}"} in [one.get("requester") for one in resources]


def test_a_clock_met_late_is_breached():
    plan = {**stated("ct-bhp")["care_plan"], "created_on": "2025-04-03"}
    assert clocks(mapped("ct-bhp", care_plan=plan))["CT-PLAN-30"][0] == "breached"


def test_a_finished_case_has_no_clocks_and_says_why_it_ended():
    closure = {"on": "2025-10-01", "reason": "goals-met", "outcomes": ["self-advocacy"]}
    resources = mapped("husky", status="finished", closure=closure)
    episode = of_type(resources, "EpisodeOfCare")[0]
    assert clocks(resources) == {}
    assert episode["period"]["end"] == "2025-10-01"
    assert [one["valueCoding"]["code"] for one in episode["extension"]] == [
        "husky.goals-met",
        "husky.self-advocacy",
    ]
    for resource in resources:
        r4.validate(resource)


def test_a_candidate_has_nothing_but_a_planned_episode():
    resources = mapped("ct-bhp-candidate")
    assert {one["resourceType"] for one in resources} == {"Patient", "Organization", "EpisodeOfCare", "Provenance"}
    assert of_type(resources, "EpisodeOfCare")[0]["status"] == "planned"


# --- what does not fit ----------------------------------------------------------------------------------------


def test_everything_that_does_not_fit_is_said_at_once():
    case = stated("ct-bhp")
    case["care_team"][0]["role"] = "wizard"
    case["acuity"][0]["tier"] = "tier-9"
    case["care_plan"]["sections"][1]["kind"] = "horoscope"
    with pytest.raises(ExceptionGroup) as problems:
        mapped("ct-bhp", **case)
    found = {(type(error), error.location) for error in problems.value.exceptions}
    assert found == {
        (UnmappedCode, "care_team[0].role"),
        (UnmappedCode, "acuity[0].tier"),
        (UnmappedCode, "care_plan.sections[1].kind"),
    }


def test_a_case_of_another_programme_is_refused():
    case = Case.model_validate(stated("ct-bhp-candidate"))
    with pytest.raises(ExceptionGroup) as problems:
        map_case(case, program_of(Case.model_validate(stated("husky"))), KEY)
    assert isinstance(problems.value.exceptions[0], InvalidElement)


def test_nebraska_asks_why_it_was_the_telephone():
    """Program Expectations: "telephone is acceptable with documentation regarding the barriers"."""
    contacts = stated("ne-peer")["contacts"]
    del contacts[1]["barrier"]
    with pytest.raises(ExceptionGroup) as problems:
        mapped("ne-peer", contacts=contacts)
    (problem,) = problems.value.exceptions
    assert isinstance(problem, ProfileViolation)
    assert problem.location == "contacts[1].barrier"


def test_an_sf12_that_cannot_be_scored_stops_the_case():
    answers = {**stated("ct-bhp")["sf12"][0]["answers"]}
    del answers["SF2"]
    sf12 = [{**stated("ct-bhp")["sf12"][0], "answers": answers}]
    with pytest.raises(MissingElement):
        mapped("ct-bhp", sf12=sf12)


if __name__ == "__main__":
    for each in CASES:
        (FIXTURES / f"{each}.fhir.json").write_text(bundle_text(each), "utf-8")
