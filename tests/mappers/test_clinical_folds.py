"""Clinical facts as folds: whatever order, however often, the same bytes; and nothing that was named disappears."""

import random

import orjson
import pytest
from example_counts import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirgw.mappers.adt import AdtEvent, extract
from fhirgw.mappers.clinical import fold_chart
from fhirgw.mappers.event import MapContext
from fhirgw.mappers.visit import fold_visit
from fhirgw.profiles.validation import require_valid
from fhirgw.r4 import validate
from fhirgw.settings import Sender
from fhirgw.v2.codec import parse

CONTEXT = MapContext("elm", Sender(facility="ELMHOSP"), b"test")
PENICILLIN, LATEX = "7980^Penicillin G^RXNORM", "1314^Latex^RXNORM"


def at(day: int) -> str:
    return f"202605{day:02}120000-0400"


def event(trigger: str, day: int, *segments: str, visit: bool = True) -> AdtEvent:
    """An event of visit V-1, or of the person alone."""
    lines = [
        f"MSH|^~\\&|ADTSYS|ELMHOSP|||{at(day)}||ADT^{trigger}|{trigger}-{day}|P|2.5.1",
        f"EVN|{trigger}|{at(day)}||||{at(day)}",
        "PID|1||MRN-1^^^ELMHOSP^MR||TESTPERSON^ALMA",
        *(["PV1|1|I" + 17 * "|" + "V-1"] if visit else []),
        *segments,
    ]
    return extract(parse("\r".join(lines).encode() + b"\r"), CONTEXT)


def dg1(code: str, kind: str = "F", action: str = "", number: str = "") -> str:
    return f"DG1|1||{code}^words^I10C|||{kind}" + 14 * "|" + f"{number}|{action}"


def pr1(code: str, day: str, action: str = "", number: str = "") -> str:
    return f"PR1|1||{code}^words^C4||{day}" + 14 * "|" + f"{number}|{action}"


def iam(number: str, code: str, action: str = "A", status: str = "") -> str:
    return f"IAM|1||{code}|||{action}|{number}" + 10 * "|" + status


PV2_NOTHING = "PV2|" + 41 * "|" + '""'


def visit(*events: AdtEvent) -> dict[str, dict]:
    return {one["id"]: one for one in fold_visit(events, "alma", b"test")}


def chart(*events: AdtEvent) -> dict[str, dict]:
    return {one["id"]: one for one in fold_chart(events, "alma", b"test")}


def of(kind: str, resources: dict[str, dict]) -> list[dict]:
    return [one for one in resources.values() if one["resourceType"] == kind]


def status(resource: dict, element: str = "clinicalStatus") -> str | None:
    return resource[element]["coding"][0]["code"] if element in resource else None


EVENTS = [
    event("A01", 1, dg1("I50.9", "A"), "OBX|1|NM|29463-7^Weight^LN||82||||||F", f"AL1|1|DA|{PENICILLIN}|SV"),
    event("A08", 2, dg1("I50.9", "F"), dg1("E11.9", "W"), pr1("93306", "20260502"), "PV2|" + 41 * "|" + "S"),
    event("A08", 3, dg1("E11.9", "W", "D"), "OBX|1|NM|29463-7^Weight^LN||83||||||C", "AL1|1||" + LATEX),
    event("A08", 4, pr1("93306", "20260502", "D"), "DB1|1|PT||Y", "DRG|291^Heart failure^MSDRG", PV2_NOTHING),
    event("A11", 5),
    event("A01", 6, dg1("J45.909", "A"), "OBX|1|ST|FALL^Falls^99E||stick||||||F", "NTE|1||Careful"),
    event("A03", 7, dg1("I50.9", "F", "", "DX-1"), 'AL1|1||""'),
    event("A08", 8, iam("A-1", PENICILLIN), dg1("G40.909"), pr1("95816", "20260508"),
          "OBX|1|NM|8302-2^Height^LN||171", visit=False),
    event("A08", 9, iam("A-1", PENICILLIN, "U", "C"), iam("A-2", LATEX), dg1("G40.909", "F", "D"), visit=False),
    event("A08", 10, iam("A-2", LATEX, "D"), f"AL1|1||{PENICILLIN}", visit=False),
]  # fmt: skip


@settings(max_examples=examples(60))
@given(
    st.lists(st.sampled_from(range(len(EVENTS))), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_any_order_and_any_repetition_give_the_same_bytes(chosen, shuffle: random.Random):
    events = [EVENTS[one] for one in chosen]
    again = [*events, *shuffle.sample(events, len(events) // 2)]
    shuffle.shuffle(again)
    for fold in (fold_visit, fold_chart):
        assert orjson.dumps(fold(events, "alma", b"test")) == orjson.dumps(fold(again, "alma", b"test"))


@settings(max_examples=examples(60))
@given(st.sets(st.sampled_from(range(len(EVENTS)))), st.sampled_from(range(len(EVENTS))))
def test_what_one_event_names_stays_named_after_any_other(chosen, another):
    """Else the order of arrival would decide whether it is there: nothing is ever taken out of the store."""
    events = [EVENTS[one] for one in sorted(chosen)]
    for fold in (fold_visit, fold_chart):
        kinds = {"Condition", "Procedure", "Observation", "AllergyIntolerance"}
        before = {one["id"] for one in fold(events, "alma", b"test") if one["resourceType"] in kinds}
        assert before <= {one["id"] for one in fold([*events, EVENTS[another]], "alma", b"test")}


@settings(max_examples=examples(40))
@given(st.sets(st.sampled_from(range(len(EVENTS))), min_size=1))
def test_every_resource_of_every_history_is_valid(chosen):
    for fold in (fold_visit, fold_chart):
        for resource in fold([EVENTS[one] for one in sorted(chosen)], "alma", b"test"):
            require_valid(resource)
            validate(resource)


@settings(max_examples=examples(40))
@given(st.sets(st.sampled_from(range(len(EVENTS))), min_size=1))
def test_no_reference_comes_before_what_it_refers_to(chosen):
    """But for a Condition and its Encounter, which refer to each other."""
    known = {"Patient/alma"}
    for resource in fold_visit([EVENTS[one] for one in sorted(chosen)], "alma", b"test"):
        said = orjson.dumps({name: value for name, value in resource.items() if name != "encounter"}).decode()
        named = {part.split('"')[0] for part in said.split('"reference":"')[1:]}
        assert named <= known | {f"{resource['resourceType']}/{resource['id']}"}
        known.add(f"{resource['resourceType']}/{resource['id']}")


def test_diagnoses_are_united_and_an_action_code_takes_one_back():
    told = visit(*EVENTS[:3])
    found = {
        one["code"]["coding"][0]["code"] + str(status(one, "verificationStatus")) for one in of("Condition", told)
    }
    assert found == {"I50.9None", "I50.9confirmed", "E11.9entered-in-error"}
    (encounter,) = of("Encounter", told)
    assert len(encounter["diagnosis"]) == 2


def test_a_diagnosis_known_by_its_number_is_deleted_by_it_alone():
    told = visit(event("A01", 1, dg1("I50.9", "F", "A", "DX-1")), event("A08", 2, "DG1|1" + 19 * "|" + "DX-1|D"))
    (condition,) = of("Condition", told)
    assert status(condition, "verificationStatus") == "entered-in-error"
    assert condition["code"]["coding"][0]["code"] == "I50.9"


def test_what_an_undone_admission_named_is_in_error():
    told = visit(event("A01", 1, dg1("I50.9"), pr1("93306", "20260501"), "OBX|1|NM|8302-2^H^LN||171||||||F"),
                 event("A11", 2), event("A01", 3, dg1("E11.9")))  # fmt: skip
    states = {one["code"]["coding"][0]["code"]: status(one, "verificationStatus") for one in of("Condition", told)}
    assert states == {"I50.9": "entered-in-error", "E11.9": "confirmed"}
    assert {one["status"] for one in of("Procedure", told)} == {"entered-in-error"}
    assert {one["status"] for one in of("Observation", told)} == {"entered-in-error"}


def test_a_later_value_of_a_visit_replaces_the_earlier_and_a_null_takes_it_back():
    (weight,) = (one for one in of("Observation", visit(*EVENTS[:3])) if "valueQuantity" in one)
    assert (weight["valueQuantity"]["value"], weight["status"]) == (83, "corrected")
    (condition,) = of("Observation", visit(EVENTS[1]))
    assert condition["valueCodeableConcept"]["coding"][0]["code"] == "S"
    taken = {one["code"]["coding"][0]["code"]: one["status"] for one in of("Observation", visit(*EVENTS[:4]))}
    assert taken["PV2-42"] == "entered-in-error"


def test_what_is_found_and_done_in_a_restricted_visit_is_restricted():
    told = visit(event("A01", 1, dg1("I50.9"), pr1("93306", "20260501"), "OBX|1|NM|8302-2^H^LN||171||||||F"),
                 event("A08", 2, "PV2|" + 21 * "|" + "Y"))  # fmt: skip
    for kind in ("Encounter", "Condition", "Procedure", "Observation"):
        (one,) = of(kind, told)
        assert [label["code"] for label in one["meta"]["security"]] == ["R"]


def test_a_list_of_allergies_replaces_the_list_before():
    """AL1 is sent in snapshot mode (v2.5.1 ch. 3.4.6, 2.10.4): what is left off is no longer on the list."""
    told = {one["code"]["coding"][0]["code"]: status(one) for one in of("AllergyIntolerance", chart(*EVENTS[:3]))}
    assert told == {"7980": "inactive", "1314": "active"}


def test_a_message_without_allergies_leaves_them_and_a_null_empties_the_list():
    assert {status(one) for one in of("AllergyIntolerance", chart(EVENTS[0], EVENTS[1]))} == {"active"}
    assert {status(one) for one in of("AllergyIntolerance", chart(EVENTS[0], EVENTS[6]))} == {"inactive"}


def test_an_allergy_with_a_number_is_changed_by_its_action_code():
    told = {
        one["identifier"][0]["value"]: (status(one), status(one, "verificationStatus"))
        for one in of("AllergyIntolerance", chart(*EVENTS[7:10]))
        if "identifier" in one
    }
    assert told == {"A-1": ("active", "confirmed"), "A-2": ("inactive", None)}


def test_a_diagnosis_without_a_visit_is_a_problem():
    (problem,) = of("Condition", chart(EVENTS[7]))
    assert status(problem) == "active"
    assert problem["category"][0]["coding"][0]["code"] == "problem-list-item"
    assert "encounter" not in problem
    (deleted,) = of("Condition", chart(EVENTS[7], EVENTS[8]))
    assert status(deleted) is None
    assert not of("Condition", chart(EVENTS[0]))


@pytest.mark.parametrize("parent", ["PR-1", "PR-9"])
def test_a_part_refers_to_its_whole_where_the_visit_has_it(parent):
    part = "PR1|2||02HV33Z^line^I10P||20260502" + 20 * "|" + parent
    told = of("Procedure", visit(event("A01", 1, pr1("93306", "20260501", "A", "PR-1"), part)))
    (whole,) = (one for one in told if "identifier" in one)
    (inner,) = (one for one in told if "partOf" in one)
    known = {"reference": f"Procedure/{whole['id']}"}
    assert (inner["partOf"] == [known]) is (parent == "PR-1")


def test_a_planned_time_is_of_the_visit_that_is_planned():
    def said(trigger: str) -> list[str]:
        told = event(trigger, 1)
        planned = AdtEvent.from_json(
            told.to_json().replace(b'"repeated":{', b'"repeated":{"EVN":[{"planned":"2026"}],')
        )
        (encounter,) = of("Encounter", visit(planned))
        return [one["url"].rpartition(".")[2] for one in encounter.get("extension", ())]

    assert [said("A05"), said("A16"), said("A01")] == [["plannedStartDate"], ["plannedEndDate"], []]
