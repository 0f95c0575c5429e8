"""What is known of a member besides the plan: eligibility, rights, screens, findings, conditions, medicines."""

import pytest
from icm_cases import clocks, codes, consents_of, mapped, of_type, stated

from fhirgw.consent.labels import LabelContext, label
from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import InvalidElement, UnmappedCode
from fhirgw.icm.model import Case


def coded(resource, element="code"):
    found = resource.get(element, {})
    return {one["code"] for concept in (found if isinstance(found, list) else [found]) for one in concept["coding"]}


def one(resources, kind, code, element="code"):
    found = [resource for resource in of_type(resources, kind) if "coding" in str(resource.get(element))]
    return next(resource for resource in found if code in str(resource[element]))


def extensions(resource, name):
    return [ext for ext in resource.get("extension", []) if ext["url"].endswith(f"/{name}")]


# --- who the member is ----------------------------------------------------------------------------------------


def test_somebody_may_be_met_before_it_is_known_who_they_are():
    (patient,) = of_type(mapped("bc-outreach"), "Patient")
    assert patient["identifier"][0]["use"] == "temp"
    assert "birthDate" not in patient
    assert patient["address"][0]["extension"][0]["url"].endswith("ext-nofixedaddress")


def test_only_a_partial_identity_has_no_birth_date():
    member = {**stated("bc-outreach")["member"], "identity": "established"}
    with pytest.raises(ValueError, match="birth date"):
        Case.model_validate({**stated("bc-outreach"), "member": member})


def test_family_is_whom_the_member_says():
    """BC: "whomever the client defines"; HUSKY: "the head of household"."""
    people = of_type(mapped("bc-client"), "RelatedPerson") + of_type(mapped("husky-cohort"), "RelatedPerson")
    said = set().union(*(coded(person, "relationship") for person in people))
    assert {
        "client-identified-family",
        "support-person",
        "substitute-decision-maker",
        "head-of-household",
    } <= said


def test_the_medical_home_is_the_general_practitioner():
    resources = mapped("husky-cohort")
    (patient,) = of_type(resources, "Patient")
    (team,) = of_type(resources, "CareTeam")
    home = patient["generalPractitioner"][0]
    participant = next(part for part in team["participant"] if part["member"] == home)
    assert coded(participant, "role") == {"primary-care", "pcmh-ncqa", "fqhc"}
    (client,) = of_type(mapped("bc-client"), "Patient")
    kinds = [reference["reference"].partition("/")[0] for reference in client["generalPractitioner"]]
    assert kinds == ["Practitioner", "Organization"]


def test_one_identifier_is_one_organization():
    member = stated("husky-cohort")["member"]
    member["primary_care"]["organization"]["name"] = "Another name"
    with pytest.raises(ExceptionGroup) as problems:
        mapped("husky-cohort", member=member)
    assert [type(error) for error in problems.value.exceptions] == [InvalidElement]


# --- eligibility ----------------------------------------------------------------------------------------------


def test_a_referral_names_who_referred_and_for_whom():
    resources = mapped("bc-outreach")
    referral = one(resources, "ServiceRequest", "outreach-team", "category")
    assert referral["requester"]["reference"].startswith("Practitioner/")
    assert extensions(referral, "icm-referring-organization")[0]["valueReference"]["reference"].startswith("Org")


def test_a_relative_who_referred_is_known_to_the_programme_alone():
    resources = mapped("bc-client")
    referral = one(resources, "ServiceRequest", "family-community", "category")
    (who,) = [r for r in resources if referral["requester"]["reference"] == f"RelatedPerson/{r['id']}"]
    assert "V" in codes(who)


def test_a_recommendation_stands_beside_the_referral():
    """CCBH: "a physician's recommendation as well as a referral by another individual"."""
    resources = mapped("ccbh-applicant")
    recommendation = one(resources, "ServiceRequest", "physician-recommendation", "category")
    assert recommendation["requester"]["reference"].startswith("Practitioner/")
    assert codes(recommendation) == {"MH"}
    assert one(resources, "ServiceRequest", "self", "category")["requester"]["reference"].startswith("Patient/")


def test_a_prerequisite_is_on_file_or_the_efforts_are():
    """Nebraska: "if unable to obtain, documentation will be found describing efforts to obtain"."""
    resources = mapped("ne-screened")
    (copy,) = [doc for doc in of_type(resources, "DocumentReference") if "assessment" in str(doc["type"])]
    tasks = {task["status"]: task for task in of_type(resources, "Task") if "obtain-" in str(task["code"])}
    assert tasks["completed"]["focus"] == {"reference": f"DocumentReference/{copy['id']}"}
    assert tasks["in-progress"]["note"][0]["text"].startswith("Asked the clinic")
    assert (codes(copy), codes(tasks["in-progress"])) == ({"MH"}, {"SUD"})


def test_who_is_not_eligible_is_told_why_and_linked():
    """BC 1.3."""
    resources = mapped("bc-outreach")
    task = one(resources, "Task", "screening-admission")
    assert task["status"] == "rejected"
    assert task["statusReason"]["text"] == stated("bc-outreach")["screenings"][0]["reason"]
    told = one(resources, "Communication", "eligibility-decision", "category")
    assert coded(told, "medium") == {"verbal"}
    assert [ext["valueCode"] for ext in extensions(told, "icm-explained-to")] == ["client", "referral-source"]
    link = one(resources, "ServiceRequest", "link-out", "category")
    assert link["performer"][0]["reference"].startswith("Organization/")


def test_a_late_screening_says_what_was_tried():
    task = one(mapped("bc-outreach"), "Task", "screening-admission")
    assert coded(task, "businessStatus") == {"extenuating"}
    assert [one["valueDate"] for one in task["input"]] == ["2025-06-05", "2025-06-09"]


def test_a_screening_reveals_what_its_criteria_do():
    """CCBH asks for HIV/AIDS: whoever may not know of that sees nothing of the answers, whatever they are."""
    resources = mapped("ccbh-applicant")
    answers = of_type(resources, "QuestionnaireResponse")[0]
    assert {"MH", "SUD", "HIV", "COGN", "DVD"} <= codes(answers)
    assert codes(one(resources, "Task", "screening-admission")) >= {"HIV"}
    unknown = [item for item in answers["item"] if item["answer"][0]["valueCoding"]["code"] == "unknown"]
    assert [item["linkId"] for item in unknown] == ["b-hiv"]


def test_continued_stay_is_a_screening_of_its_own():
    forms = [
        one["questionnaire"].rpartition("/")[2] for one in of_type(mapped("ne-screened"), "QuestionnaireResponse")
    ]
    assert forms == ["icm-screening-ne-peer-admission", "icm-screening-ne-peer-continued-stay"]


def test_an_exception_is_authorized_as_one():
    """CCBH: "Exceptions can be granted for individuals who do not meet the diagnostic criteria"."""
    resources = mapped("ccbh-applicant")
    granted, asked = of_type(resources, "ClaimResponse")
    assert extensions(granted, "icm-authorization")[0]["valueCode"] == "exception"
    assert (granted["outcome"], asked["outcome"]) == ("complete", "queued")
    assert coded(one(resources, "Observation", "eligibility"), "valueCodeableConcept") == {"exception"}


@pytest.mark.parametrize(
    ("name", "change", "place"),
    [
        (
            "ne-screened",
            lambda c: c["screenings"][0]["answers"][0].update(criterion="x"),
            "screenings[0].answers[0]",
        ),
        ("ne-screened", lambda c: c["assessments"][0]["findings"][0].update(domain="x"), "assessments[0].findings"),
        ("husky-cohort", lambda c: c["cohorts"][0].update(code="x"), "cohorts[0].code"),
    ],
)
def test_what_the_programme_does_not_have_is_refused(name, change, place):
    case = stated(name)
    change(case)
    with pytest.raises(ExceptionGroup) as problems:
        mapped(name, **case)
    (problem,) = problems.value.exceptions
    assert isinstance(problem, UnmappedCode)
    assert problem.location.startswith(place)


# --- rights ---------------------------------------------------------------------------------------------------


def test_a_release_states_what_the_law_asks_for():
    """45 CFR 164.508(c), 42 CFR 2.31(a)."""
    resources = mapped("husky-cohort")
    release, old = consents_of(resources, "roi")
    names = {ext["url"].rpartition("/")[2] for ext in release["extension"]}
    assert names == {"icm-consent-expiry-event", "icm-disclosing-party", "icm-intermediary"}
    form = next(doc for doc in resources if release["sourceReference"]["reference"].endswith(doc["id"]))
    assert len(extensions(form, "icm-form-statement")) == 6
    assert form["description"] == "Care plan, screens and medicines of the last year."
    signed = next(
        p
        for p in of_type(resources, "Provenance")
        if p["target"][0]["reference"].endswith(release["id"]) and "signature" in p
    )
    assert [sign["type"][0]["display"] for sign in signed["signature"]] == [
        "Consent Signature",
        "Verification Signature",
    ]
    assert "V" in codes(signed)
    assert extensions(old, "icm-revoked-in")[0]["valueCode"] == "writing"
    (fippa,) = consents_of(mapped("bc-client"), "roi")
    assert "policyRule" not in fippa
    assert extensions(fippa, "icm-representative-authority")


def test_what_was_explained_is_a_communication():
    told = of_type(mapped("bc-client"), "Communication")[0]
    assert {"rights", "impacts-of-refusal", "privacy"} <= coded(told, "category")
    assert coded(told, "medium") == {"written"}


def test_a_decision_about_care_is_no_release():
    """BC 1.6: consent throughout, and the right to refuse services with its impacts explained."""
    resources = mapped("bc-client")
    accepted, refused = consents_of(resources, "care-decision")
    assert {one["scope"]["coding"][0]["code"] for one in (accepted, refused)} == {"treatment"}
    assert (accepted["provision"], refused["provision"]) == ({"type": "permit"}, {"type": "deny"})
    assert extensions(refused, "icm-impacts-explained")
    (person,) = consents_of(resources, "named-person-refusal")
    assert extensions(person, "icm-impacts-explained")


def test_a_substitute_decision_maker_decides_by_name():
    """BC 1.6: "the name of the substitute decision maker, and relationship to client, and decision made"."""
    resources = mapped("bc-client")
    decision = consents_of(resources, "care-decision")[0]
    maker = next(r for r in resources if decision["performer"][0]["reference"] == f"RelatedPerson/{r['id']}")
    assert coded(maker, "relationship") == {"GUARD", "substitute-decision-maker"}
    opt_in = consents_of(resources, "opt-in")[0]
    assert opt_in["performer"][0]["reference"].startswith("RelatedPerson/")


def test_nobody_decides_who_is_not_beside_the_member():
    decisions = [{**stated("bc-client")["decisions"][0], "decided_by": "stranger"}]
    with pytest.raises(ValueError, match="neither caregiver nor relative"):
        Case.model_validate({**stated("bc-client"), "decisions": decisions})


def test_a_missing_ability_calls_for_the_full_assessment():
    resources = mapped("bc-client")
    first, later = [
        one for one in of_type(resources, "Observation") if "component" in one and "capability" in str(one["code"])
    ]
    assert [part["valueBoolean"] for part in first["component"]] == [True, False, True]
    (task,) = [one for one in of_type(resources, "Task") if "full-capability" in str(one["code"])]
    assert task["focus"]["reference"].endswith(first["id"])
    assert codes(first) == codes(later) == codes(task) == {"COGN"}


def test_a_directive_is_a_document_with_its_agent():
    documents = [
        one for one in of_type(mapped("bc-client"), "DocumentReference") if "42348-3" in str(one["category"])
    ]
    assert [codes(one) for one in documents] == [{"MH"}, set()]
    assert all(one["context"]["related"][0]["reference"].startswith("RelatedPerson/") for one in documents)


# --- screens and findings -------------------------------------------------------------------------------------


def test_a_screen_is_answers_and_a_score_with_its_loinc_code():
    scores = {
        tuple(sorted(coded(one))): one["valueQuantity"]["value"]
        for one in of_type(mapped("husky-cohort"), "Observation")
        if "valueQuantity" in one
    }
    assert scores["44261-6", "phq9-total"] in {0, 11}
    assert scores["106860-0", "pss10-total"] == 20
    assert {("72027-6", "vr12-phone-pcs"), ("72028-4", "vr12-mail-mcs")} <= set(scores)


def test_violence_screens_are_labelled():
    for resource in mapped("husky-cohort"):
        if any(word in str(resource.get("code", resource.get("questionnaire", ""))) for word in ("hits", "hark")):
            assert codes(resource) == {"SDV"}


def test_a_danger_in_the_answers_is_a_task_at_once():
    """PHQ-9, item 9, whatever the total."""
    (task,) = [one for one in of_type(mapped("husky-cohort"), "Task") if coded(one) == {"safety"}]
    assert (task["priority"], task["status"], codes(task)) == ("stat", "completed", {"MH"})


def test_imminent_danger_is_a_task_at_once():
    tasks = [one for one in of_type(mapped("ne-screened"), "Task") if coded(one) == {"safety"}]
    assert [(one["priority"], one["status"]) for one in tasks] == [("stat", "completed"), ("stat", "requested")]
    risks = [one for one in of_type(mapped("ne-screened"), "Observation") if coded(one) == {"suicide-risk"}]
    assert [codes(one) for one in risks] == [{"MH"}] * 3


def test_every_life_domain_is_an_observation_of_its_own():
    """BC 1.4: eighteen; what one reveals is no label of another."""
    domains = [one for one in of_type(mapped("bc-client"), "Observation") if "icm-domain" in str(one["code"])]
    assert len(domains) == 18
    by_code = {next(iter(coded(one))).partition(".")[2]: codes(one) for one in domains}
    assert by_code["substance-use"] == {"SUD"}
    assert by_code["leisure"] == set()


def test_every_finding_has_a_code_of_its_kind():
    found = [
        one
        for name in ("bc-client", "ne-screened", "ccbh-applicant")
        for one in of_type(mapped(name), "Observation")
    ]
    said = set().union(*(coded(one) for one in found))
    assert {"strength", "stage-of-change", "pattern-of-use", "circumstance", "function-vocational"} <= said


def test_a_preference_reveals_what_it_is_about():
    found = of_type(mapped("husky-cohort"), "Observation")
    labels = {code: codes(one) for one in found for code in coded(one) if code.startswith("preference-")}
    assert labels == {"preference-spiritual": {"REL"}, "preference-sexual": {"SEX"}, "preference-care": set()}


def test_housing_says_its_category_and_whether_it_is_adequate():
    housing = one(mapped("bc-client"), "Observation", "71802-3")
    assert coded(housing, "valueCodeableConcept") == {"provisionally-accommodated"}
    assert [part["valueBoolean"] for part in housing["component"]] == [True, False, False]


# --- conditions and medicines ---------------------------------------------------------------------------------


def test_a_cohort_is_a_flag_with_what_it_reveals():
    flags = [flag for flag in of_type(mapped("husky-cohort"), "Flag") if "icm-cohort" in str(flag["code"])]
    assert [codes(flag) for flag in flags] == [set(), {"MH"}, {"PREGNANT", "SEX"}]
    assert [flag["status"] for flag in flags] == ["active", "inactive", "active"]


def test_a_caution_is_a_flag():
    flags = of_type(mapped("bc-client"), "Flag")
    assert [(coded(flag, "category"), codes(flag)) for flag in flags] == [({"behavioral", "trauma"}, {"MH"})]


def test_a_medicine_that_nobody_classified_may_be_for_anything():
    medicine = {**stated("husky-cohort")["medicines"][0]}
    context = LabelContext(target_labels=lambda _: (0, 0))
    cleared = of_type(mapped("husky-cohort"), "MedicationStatement")[0]
    del medicine["sensitivity"]
    unclassified = of_type(mapped("husky-cohort", medicines=[medicine]), "MedicationStatement")[0]
    assert label(cleared, context).labels == 0
    assert label(unclassified, context).labels & BITS["HIV"]


def test_a_review_lists_the_medicines_and_has_their_labels():
    resources = mapped("bc-client")
    (review,) = of_type(resources, "List")
    assert [entry["item"]["reference"] for entry in review["entry"]] == [
        f"MedicationStatement/{one['id']}" for one in of_type(resources, "MedicationStatement")
    ]
    assert codes(review) == {"SUD"}
    assert review["source"]["reference"].startswith("Practitioner/")


def test_a_review_of_medicines_starts_its_clock_anew():
    assert clocks(mapped("bc-client"))["BC-MEDREV"] == ("open", "2026-01-25T23:59:59-08:00")


def test_what_carries_a_sensitive_code_carries_its_label():
    """What the mapper states is what the store reads."""
    context = LabelContext(target_labels=lambda _: (0, 0))
    for name in ("bc-client", "husky-cohort", "ne-screened", "ccbh-applicant"):
        for resource in mapped(name):
            if codes(resource) - {"V"}:
                wanted = {code for code in codes(resource) if code in BITS}
                assert all(label(resource, context).labels & BITS[code] for code in wanted)
