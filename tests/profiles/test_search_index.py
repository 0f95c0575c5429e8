"""Index entries against the words of the standard: http://hl7.org/fhir/R4/search.html."""

import pytest

from fhirgw.profiles import definitions, search
from fhirgw.profiles.search import BEGINNING, END, IndexEntry, date_range, extract, fold, parameters

PLAN = {
    "resourceType": "CarePlan",
    "id": "plan",
    "meta": {"tag": [{"system": "urn:tags", "code": "demo"}], "lastUpdated": "2026-01-01T00:00:00Z"},
    "status": "active",
    "intent": "plan",
    "category": [{"coding": [{"system": "urn:c", "code": "icm"}, {"code": "bare"}], "text": "not indexed"}],
    "subject": {"reference": "Patient/p1"},
    "period": {"start": "2026-03"},
    "goal": [{"reference": "Goal/a"}, {"identifier": {"value": "by identifier"}}, {"reference": "Goal/b"}],
    "addresses": [{"reference": "#inside"}, {"reference": "https://example.org/fhir/Condition/c/_history/2"}],
    "activity": [{"detail": {"status": "unknown"}}, {"reference": {"reference": "ServiceRequest/s"}}],
    "instantiatesCanonical": ["http://example.org/PlanDefinition/x|2"],
}


def entries(resource, param):
    return [entry for entry in extract(resource) if entry.param == param]


def test_a_reference_is_indexed_by_type_and_id_at_its_own_path():
    assert entries(PLAN, "goal") == [
        IndexEntry("goal", "reference", ("goal", 0), target_type="Goal", target_id="a"),
        IndexEntry("goal", "reference", ("goal", 2), target_type="Goal", target_id="b"),
    ]
    assert entries(PLAN, "activity-reference")[0].path == ("activity", 1, "reference")


def test_contained_references_are_skipped_and_absolute_ones_kept_by_their_end():
    assert [(e.path, e.target_type, e.target_id) for e in entries(PLAN, "condition")] == [
        (("addresses", 1), "Condition", "c")
    ]


def test_resolve_is_reads_the_literal():
    assert [entry.target_id for entry in entries(PLAN, "patient")] == ["p1"]
    assert entries({**PLAN, "subject": {"reference": "Group/p1"}}, "patient") == []
    assert [e.target_type for e in entries({**PLAN, "subject": {"reference": "Group/p1"}}, "subject")] == ["Group"]


def test_every_coding_of_a_concept_is_a_token_and_its_text_is_none():
    assert [(e.system, e.value) for e in entries(PLAN, "category")] == [("urn:c", "icm"), (None, "bare")]


def test_a_code_carries_the_system_of_its_required_value_set():
    assert [(e.system, e.value) for e in entries(PLAN, "status")] == [
        ("http://hl7.org/fhir/request-status", "active")
    ]


def test_a_canonical_is_found_with_and_without_its_version():
    assert [(e.kind, e.value) for e in entries(PLAN, "instantiates-canonical")] == [
        ("uri", "http://example.org/PlanDefinition/x|2"),
        ("uri", "http://example.org/PlanDefinition/x"),
    ]


def test_id_and_last_updated_are_columns_and_tags_are_entries():
    assert {"_id", "_lastUpdated"} <= set(parameters("CarePlan"))
    assert not entries(PLAN, "_id")
    assert not entries(PLAN, "_lastUpdated")
    assert [entry.path for entry in entries(PLAN, "_tag")] == [("meta", "tag", 0)]


def test_a_period_without_an_end_is_open():
    low, _ = date_range("2026-03")
    assert [(e.low, e.high) for e in entries(PLAN, "date")] == [(low, END)]
    ended = {**PLAN, "period": {"end": "2026"}}
    assert [(e.low, e.high) for e in entries(ended, "date")] == [(BEGINNING, date_range("2026")[1])]


@pytest.mark.parametrize(
    ("text", "low", "width"),
    [
        ("1970", 0, 365 * 86_400_000_000),
        ("1972-02", 789 * 86_400_000_000 - 28 * 86_400_000_000, 29 * 86_400_000_000),
        ("1970-01-02", 86_400_000_000, 86_400_000_000),
        ("1970-01-01T01:00+01:00", 0, 60_000_000),
        ("1969-12-31T19:00:00-05:00", 0, 1_000_000),
        ("1970-01-01T00:00:00.25Z", 250_000, 10_000),
        ("1970-01-01T00:00:00.1234567Z", 123_456, 1),
        ("9999-12-31", 253_402_214_400_000_000, 86_400_000_000),
    ],
)
def test_a_partial_date_is_the_whole_it_names(text, low, width):
    assert date_range(text) == (low, low + width)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-13", "2026-02-30", "20260101", "0000", "2026-01-01T24:00", "2026-01-01T00:60Z", "२०२६"],
)
def test_what_is_no_date_has_no_range(text):
    assert date_range(text) is None


def test_strings_lose_case_and_accents():
    assert fold("  Müller-LÜDENSCHEIDT\t Straße ") == "muller-ludenscheidt strasse"
    assert fold("İ") == fold("i")


def test_a_name_is_indexed_part_by_part_and_choices_by_their_json_name():
    patient = {
        "resourceType": "Patient",
        "name": [{"family": "Nuñez", "given": ["Ana", None, "María"], "text": "Ana Nuñez"}, {"family": "Ruiz"}],
        "address": [{"line": ["1 Main St"], "city": "Albany"}],
        "telecom": [{"system": "phone", "value": "555"}, {"system": "email", "value": "a@example.org"}],
        "identifier": [{"system": "urn:mrn", "value": "7"}, {"system": "urn:empty"}],
        "deceasedDateTime": "2025-05-05",
        "active": True,
    }
    assert [(e.path, e.value) for e in entries(patient, "name")] == [
        (("name", 0), "nunez"), (("name", 0), "ana"), (("name", 0), "maria"), (("name", 0), "ana nunez"),
        (("name", 1), "ruiz"),
    ]  # fmt: skip
    assert {e.value for e in entries(patient, "address")} == {"1 main st", "albany"}
    assert [(e.path, e.value) for e in entries(patient, "email")] == [(("telecom", 1), "a@example.org")]
    assert [(e.system, e.value) for e in entries(patient, "identifier")] == [("urn:mrn", "7")]
    assert [e.path for e in entries(patient, "death-date")] == [("deceasedDateTime",)]
    assert [e.value for e in entries(patient, "active")] == ["true"]


@pytest.mark.parametrize(
    ("content", "value", "path"),
    [
        ({}, "false", ()),
        ({"deceasedBoolean": False}, "false", ("deceasedBoolean",)),
        ({"deceasedBoolean": True}, "true", ("deceasedBoolean",)),
        ({"deceasedDateTime": "2020"}, "true", ("deceasedDateTime",)),
    ],
)
def test_deceased_says_whether_for_everybody(content, value, path):
    assert [(e.value, e.path) for e in entries({"resourceType": "Patient", **content}, "deceased")] == [
        (value, path)
    ]


def test_every_published_parameter_of_our_kinds_compiles():
    assert {kind: search.uncompiled(kind) for kind in definitions.resource_types() if search.uncompiled(kind)} == {}


def test_parameters_of_a_type_the_gateway_does_not_know_are_none():
    assert dict(parameters("Starship")) == {}


def test_a_definition_names_its_url_kind_and_targets():
    found = search.definition("CarePlan", "goal")
    assert (found.kind, found.targets) == ("reference", {"Goal"})
    assert found.url == "http://hl7.org/fhir/SearchParameter/CarePlan-goal"
    assert search.definition("CarePlan", "colour") is None
