"""What reveals what. The traps are those of the consent specification, §5.5."""

import pytest
from consent_cases import ACT, CONF

from fhirgw.consent.labels import CLEARED, LabelContext, label
from fhirgw.consent.units import FREE_TEXT, INLINE
from fhirgw.consent.vocabulary import ALL_LABELS, BITS, RESTRICTED, names

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
NOTHING = LabelContext({}.get)


def condition(system, code, **more):
    return {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": system, "code": code}]},
    } | more


def found(resource, context=NOTHING):
    return names(label(resource, context).labels)


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (ICD, "F10.159 ", ["ETHUD"]),
        (ICD, "f191", ["SUD"]),
        ("http://hl7.org/fhir/sid/icd-10", "F11.20", ["OPIOIDUD"]),
        ("http://hl7.org/fhir/sid/icd-10-cm/", "F11.11", ["OPIOIDUD"]),
        ("urn:oid:2.16.840.1.113883.6.90", "F14.10", ["SUD"]),
        ("", "F11.90", ["OPIOIDUD"]),
        ("urn:sender:local", "B20", ["HIV"]),
        (ICD, "B20", ["HIV"]),
        (ICD, "T74.11XA", ["SDV"]),
        (ICD, "F17.210", []),
        (ICD, "E11.9", []),
        (ICD, "F84.0", ["DVD"]),
        (ICD, "F52.0", ["PSY", "SEX"]),
        ("http://loinc.org/", "44249-1", ["BH"]),
        ("ttp://www.nlm.nih.gov/research/umls/rxnorm", "1819", ["SUD"]),
        ("http://snomed.info/sct", "1.09399E+16", ["UNREADABLE"]),
        ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "F10", []),
        ("http://www.cms.gov/Medicare/Coding/ICD10", "HZ2ZZZZ", ["SUD"]),
        ("http://www.cms.gov/Medicare/Coding/ICD10", "GZ10ZZZ", ["MH"]),
        ("http://www.cms.gov/Medicare/Coding/ICD10", "02HV33Z", []),
        ("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "H0001", ["SUD", "BH"]),
        ("http://www.ama-assn.org/go/cpt", "90834", ["PSY"]),
        ("http://www.ama-assn.org/go/cpt", "99408", ["SUD"]),
        ("http://www.ama-assn.org/go/cpt", "93306", []),
        ("http://terminology.hl7.org/CodeSystem/v2-0009", "B6", ["PREGNANT"]),
        ("http://terminology.hl7.org/CodeSystem/discharge-disposition", "psy", ["PSY"]),
        ("http://terminology.hl7.org/CodeSystem/discharge-disposition", "home", []),
    ],
)
def test_codes(system, code, expected):
    assert found(condition(system, code)) == expected


OWN = {"system": "http://fhirgw.org/fhir/CodeSystem/elm-99elm", "code": "DETOX", "display": "Detoxification"}


@pytest.mark.parametrize(
    ("kind", "element"),
    [
        ("Condition", "code"),
        ("Procedure", "code"),
        ("Observation", "code"),
        ("Observation", "valueCodeableConcept"),
        ("AllergyIntolerance", "code"),
    ],
)
def test_a_senders_own_code_of_what_was_found_or_done_is_as_its_words(kind, element):
    """No table knows what it tells (decision 0101); a known coding beside it has been judged."""
    known = {"system": "http://snomed.info/sct", "code": "38341003"}
    said = {"resourceType": kind, "id": "x", "code": {"coding": [known]}}
    words = label(said | {element: {"text": "Detoxification"}}, NOTHING)
    assert label(said | {element: {"coding": [OWN]}}, NOTHING).labels == words.labels == FREE_TEXT
    assert label(said | {element: {"coding": [OWN, known]}}, NOTHING).labels == 0


def test_a_senders_own_code_elsewhere_is_no_words():
    visit = {"resourceType": "Encounter", "id": "x", "serviceType": {"coding": [OWN]}}
    assert label(visit, NOTHING).labels == 0


def test_labels_are_closed_upwards_only():
    """A carried label is raised, never lowered: L with an SUD code is R; unreadable is V."""
    security = [{"system": CONF, "code": "L"}]
    assert label(condition(ICD, "F11.20", meta={"security": security}), NOTHING).conf == 4
    assert label(condition(ICD, "E11.9", meta={"security": security}), NOTHING).conf == 1
    odd = [{"system": "http://example.org/local", "code": "secret"}]
    assert found(condition(ICD, "E11.9", meta={"security": odd})) == ["UNREADABLE"]
    refrain = [{"system": ACT, "code": "NORDSCLCD"}, {"system": ACT, "code": "42CFRPart2"}]
    assert found(condition(ICD, "E11.9", meta={"security": refrain})) == ["SUD"]


def test_source_labels_and_inline_labels():
    inline = {"url": INLINE, "valueCoding": {"system": ACT, "code": "HIV"}}
    assert found(condition(ICD, "E11.9"), LabelContext({}.get, source_labels=BITS["SUD"])) == ["SUD"]
    labelled = label(condition(ICD, "E11.9", bodySite=[{"coding": [], "extension": [inline]}]), NOTHING)
    assert [(each.path, names(each.labels)) for each in labelled.elements] == [(("bodySite", 0), ["HIV"])]


def test_words_nobody_reviewed_may_be_about_anything():
    resource = condition(ICD, "E11.9", note=[{"text": "seen at the clinic"}])
    (note,) = label(resource, NOTHING).elements
    assert (note.path, note.labels) == (("note", 0), RESTRICTED)
    cleared = resource | {"meta": {"tag": [{"system": CLEARED[0], "code": CLEARED[1]}]}}
    assert label(cleared, NOTHING).elements == ()
    assert label(condition(ICD, "E11.9") | {"code": {"text": "words"}}, NOTHING).labels == RESTRICTED


def test_text_of_a_coded_concept_goes_alone():
    concept = {"coding": [{"system": ICD, "code": "E11.9", "display": "Type 2"}], "text": "and heroin"}
    (text,) = label(condition(ICD, "") | {"code": concept}, NOTHING).elements
    assert text.path == ("code", "text")
    same = concept | {"text": "type 2"}
    assert label(condition(ICD, "") | {"code": same}, NOTHING).elements == ()


def test_a_derived_resource_has_the_labels_of_its_focus():
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": "Patient/p"}}
    known = {"ServiceRequest/s": (BITS["SUD"], 4)}
    focus = task | {"focus": {"reference": "ServiceRequest/s"}}
    assert found(focus, LabelContext(known.get)) == ["SUD"]
    assert found(focus) == ["UNREADABLE"]
    based = label(task | {"basedOn": [{"reference": "ServiceRequest/s"}]}, LabelContext(known.get))
    assert (based.labels, based.elements[0].target) == (0, "ServiceRequest")
    provenance = {"resourceType": "Provenance", "target": [{"reference": "Consent/c"}], "agent": []}
    assert found(provenance, LabelContext({"Consent/c": (0, 3)}.get)) == ["UNREADABLE"]


def test_a_person_who_is_about_nobody_is_part_of_the_encounter():
    encounter = {"resourceType": "Encounter", "participant": [{"individual": {"reference": "Practitioner/x"}}]}
    assert label(encounter, LabelContext({"Practitioner/x": (0, 3)}.get)).elements == ()


def test_where_somebody_lives_is_safety_data():
    patient = {"resourceType": "Patient", "id": "p", "address": [{"city": "x"}], "birthDate": "1980"}
    (address,) = label(patient, LabelContext({}.get, dv_protected=True)).elements
    assert (address.path, names(address.labels)) == (("address", 0), ["SDV"])
    assert found({"resourceType": "RelatedPerson"}, LabelContext({}.get, dv_protected=True)) == ["SDV"]
    cover = {"resourceType": "Coverage", "subscriberId": "S1", "policyHolder": {"display": "Roe"}}
    cleared = LabelContext({}.get, dv_protected=True, text_cleared=True)
    hidden = label(cover, cleared).elements
    assert sorted(element.path for element in hidden) == [("policyHolder",), ("subscriberId",)]


@pytest.mark.parametrize(
    "broken", [{}, {"resourceType": "Task", "meta": "x"}, {"resourceType": "X", "contained": 3}]
)
def test_what_cannot_be_labelled_is_not_releasable(broken):
    labelled = label(broken, NOTHING)
    assert (names(labelled.labels), labelled.conf) == (["UNREADABLE"], 5)


def test_a_drug_nobody_judged_may_be_for_anything():
    drug = {
        "resourceType": "MedicationRequest",
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "1"}]
        },
    }
    assert label(drug, NOTHING).labels == RESTRICTED


def test_masks_fit_a_signed_column():
    assert 0 < ALL_LABELS < 2**63
