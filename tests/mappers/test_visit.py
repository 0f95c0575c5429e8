"""The visit as a fold: what became of it is a function of the set of its events."""

import random

import orjson
from example_counts import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from json_values import objects
from visit_events import ADMIT, CONTEXT, DISCHARGE, KEY, at, conditions, encounter, event, folded

from fhirgw.mappers.adt import AdtEvent
from fhirgw.mappers.event import MapContext
from fhirgw.mappers.trigger_events import EVENTS as SEMANTICS
from fhirgw.mappers.visit import fold_person, fold_visit
from fhirgw.r4 import validate


def test_an_admission_opens_the_visit():
    assert encounter(ADMIT)["status"] == "in-progress"
    assert encounter(ADMIT)["period"] == {"start": "2026-03-05T12:00:00-05:00"}


def test_a_registration_opens_the_visit():
    """The guide's table says planned; the standard says that the patient has arrived."""
    visit = encounter(event("A04", at(5), patient_class="E"))
    assert (visit["status"], visit["class"]["code"]) == ("in-progress", "EMER")


def test_a_preadmission_class_is_planned_until_the_admission():
    visit = encounter(event("A01", at(4), patient_class="P", admitted=at(4)), ADMIT)
    assert visit["status"] == "in-progress"
    assert [(past["status"], past["period"]["end"]) for past in visit["statusHistory"]] == [
        ("planned", "2026-03-05T12:00:00-05:00")
    ]


def test_a_discharge_finishes_the_visit():
    visit = encounter(ADMIT, DISCHARGE)
    assert visit["status"] == "finished"
    assert visit["period"] == {"start": "2026-03-05T12:00:00-05:00", "end": "2026-03-09T12:00:00-05:00"}
    assert visit["statusHistory"] == [{"status": "in-progress", "period": visit["period"]}]
    assert visit["hospitalization"]["dischargeDisposition"]["coding"][1]["code"] == "01"
    assert [place["status"] for place in visit["location"]] == ["completed"]


def test_a_discharge_without_its_time_ends_when_it_occurred():
    assert encounter(ADMIT, event("A03", at(9)))["period"]["end"] == "2026-03-09T12:00:00-05:00"


def test_an_admission_that_comes_late_changes_nothing():
    """By its own words, by its recording, and by its admission time."""
    for late in (ADMIT, event("A01", at(5), at(12), admitted=at(5)), event("A01", at(12), admitted=at(5))):
        assert encounter(DISCHARGE, late)["status"] == "finished"


def test_a_cancelled_discharge_puts_the_visit_back_in_progress():
    visit = encounter(ADMIT, DISCHARGE, event("A13", at(9), at(10), admitted=at(5)))
    assert visit["status"] == "in-progress"
    assert visit["period"] == {"start": "2026-03-05T12:00:00-05:00"}
    assert "statusHistory" not in visit
    assert "hospitalization" not in visit


def test_a_discharge_after_a_cancelled_one_counts_even_if_it_happened_earlier():
    corrected = event("A03", at(8), at(11), discharged=at(8))
    visit = encounter(ADMIT, DISCHARGE, event("A13", at(9), at(10)), corrected)
    assert (visit["status"], visit["period"]["end"]) == ("finished", "2026-03-08T12:00:00-05:00")


def test_a_cancelled_discharge_also_undoes_what_updates_said_of_it():
    update = event("A08", at(9), at(9, 13), discharged=at(9))
    assert encounter(ADMIT, DISCHARGE, update, event("A13", at(9), at(10)))["status"] == "in-progress"


def test_a_cancelled_discharge_alone_says_that_the_visit_goes_on():
    assert encounter(event("A13", at(9)))["status"] == "in-progress"


def test_a_cancelled_admission_is_cancelled_whatever_updates_say():
    visit = encounter(ADMIT, event("A11", at(5), at(6)), event("A08", at(7)))
    assert visit["status"] == "cancelled"
    assert visit["period"] == {"start": "2026-03-05T12:00:00-05:00"}
    assert "status" not in visit["location"][-1]


def test_a_cancelled_admission_leaves_the_emergency_visit_it_came_from():
    """A11 undoes the admission whose time it repeats, not the registration before it."""
    arrival = event("A04", at(5, 8), patient_class="E", bed="ED")
    for cancel in (event("A11", at(5), at(6)), event("A11", at(6))):
        visit = encounter(arrival, ADMIT, cancel)
        assert (visit["status"], visit["class"]["code"]) == ("in-progress", "EMER")
        assert len(visit["location"]) == 1


def test_an_admission_after_a_cancelled_one_counts():
    assert encounter(ADMIT, event("A11", at(5), at(6)), event("A01", at(7)))["status"] == "in-progress"


def test_a_cancel_undoes_nothing_recorded_after_it():
    assert encounter(event("A11", at(4)), ADMIT)["status"] == "in-progress"
    assert encounter(event("A11", at(4)))["status"] == "cancelled"


def test_an_update_alone_does_not_convey_the_status():
    """Save that PV1-45 means finished and the pre-admission class planned (v2-to-FHIR)."""
    assert encounter(event("A08", at(6)))["status"] == "unknown"
    assert encounter(event("A08", at(6), patient_class="P"))["status"] == "planned"
    assert encounter(event("A08", at(6), admitted=at(5), discharged=at(6)))["status"] == "finished"


def test_an_update_that_clears_the_discharge_time_takes_it_back():
    wrong = event("A08", at(6), admitted=at(5), discharged=at(6))
    assert encounter(ADMIT, wrong, event("A08", at(7), discharged='""'))["status"] == "in-progress"
    assert encounter(ADMIT, DISCHARGE, event("A08", at(10), discharged='""'))["status"] == "finished"


def test_where_the_patient_was_is_kept():
    visit = encounter(ADMIT, event("A08", at(6)), event("A08", at(7), bed="B"), DISCHARGE)
    assert [(place["status"], place["period"]) for place in visit["location"]] == [
        ("completed", {"start": "2026-03-05T12:00:00-05:00", "end": "2026-03-07T12:00:00-05:00"}),
        ("completed", {"start": "2026-03-07T12:00:00-05:00", "end": "2026-03-09T12:00:00-05:00"}),
        ("completed", {"start": "2026-03-09T12:00:00-05:00", "end": "2026-03-09T12:00:00-05:00"}),
    ]
    after = encounter(ADMIT, DISCHARGE, event("A08", at(11), bed="B"))
    assert after["location"][-1]["period"] == {"start": "2026-03-11T12:00:00-05:00"}


def test_diagnoses_are_united_and_a_deleted_one_is_in_error():
    admit = event("A01", at(5), diagnoses="F33.1:A F11.20:W")
    discharge = event("A03", at(9), diagnoses="F33.1:F F11.20:W:D")
    assert set(conditions(admit, discharge)) == {"F33.1", "F11.20"}
    wrong = conditions(admit, discharge)["F11.20"]
    assert wrong["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    uses = [place["use"]["coding"][0]["code"] for place in encounter(admit, discharge)["diagnosis"]]
    assert uses == ["AD", "F"]


def test_the_same_bytes_twice_are_one_event_however_they_were_read():
    """A corrected registration reads the same bytes anew; one of the two pictures is taken, always the same."""
    mapped = MapContext("elm", CONTEXT.sender.model_copy(update={"codes": {"0004": {"I": "E"}}}), KEY)
    again = event("A01", at(5), admitted=at(5), context=mapped)
    assert again.digest == ADMIT.digest
    assert folded(ADMIT, again) == folded(again, ADMIT)
    assert folded(ADMIT, ADMIT) == folded(ADMIT)


def test_an_event_survives_the_journal():
    for one in (ADMIT, DISCHARGE, event("A08", at(6), diagnoses="F33.1:A", discharged='""')):
        assert AdtEvent.from_json(one.to_json()) == one
        assert "TESTPERSON" not in repr(one)
        assert one.patient["name"] == [{"family": "TESTPERSON", "given": ["ALMA"]}]


def test_of_no_events_there_is_nothing():
    assert folded() == []


def test_a_registered_organization_is_referred_to_and_not_written():
    sender = CONTEXT.sender.model_copy(update={"organization": "elm-hospital"})
    resources = folded(event("A01", at(5), context=MapContext("elm", sender, KEY)))
    assert not [one for one in resources if one["resourceType"] == "Organization"]
    assert encounter(event("A01", at(5), context=MapContext("elm", sender, KEY)))["serviceProvider"] == {
        "reference": "Organization/elm-hospital"
    }


def test_what_is_about_no_patient_never_changes_under_its_id():
    """Its id is a hash of its content, so that a hidden message cannot alter a visible resource."""
    seen: dict[str, bytes] = {}
    for resources in (folded(ADMIT), folded(ADMIT, DISCHARGE), fold_visit([DISCHARGE], "bruno", KEY)):
        for one in resources:
            if one["resourceType"] in ("Practitioner", "Location", "Organization"):
                content = orjson.dumps(one, option=orjson.OPT_SORT_KEYS)
                assert seen.setdefault(one["id"], content) == content


def test_no_reference_comes_before_what_it_refers_to():
    seen = {"Patient/alma"}
    for one in folded(event("A01", at(5), diagnoses="F33.1:A"), DISCHARGE):
        named = {part["reference"] for part in objects(one) if "reference" in part}
        named = {text for text in named if not text.startswith("Encounter/")}
        assert named <= seen
        seen.add(f"{one['resourceType']}/{one['id']}")


TIMES = st.integers(1, 6).map(at)
MAYBE = st.one_of(st.just(""), TIMES, st.just('""'))
EVENTS = st.builds(
    event,
    st.sampled_from(sorted(SEMANTICS)),
    TIMES,
    TIMES,
    patient_class=st.sampled_from("EIOPU"),
    bed=st.sampled_from("AB"),
    admitted=MAYBE,
    discharged=MAYBE,
    diagnoses=st.sampled_from(["", "F33.1:A", "F33.1:F F11.20:W", "F11.20:W:D"]),
    more=st.sampled_from("xyz"),
)


def canonical(resources: object) -> bytes:
    return orjson.dumps(resources, option=orjson.OPT_SORT_KEYS)


@settings(max_examples=examples(200))
@given(st.lists(EVENTS, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_give_the_same_bytes(events: list[AdtEvent], chance: random.Random):
    """Whatever happened, in whatever order and however often it was told."""
    told = [*events, *chance.choices(events, k=3)]
    chance.shuffle(told)
    through_the_journal = [AdtEvent.from_json(one.to_json()) for one in told]
    assert canonical(fold_visit(through_the_journal, "alma", KEY)) == canonical(fold_visit(events, "alma", KEY))
    assert canonical(fold_person(through_the_journal)) == canonical(fold_person(events))


@settings(max_examples=examples(60))
@given(st.lists(EVENTS, min_size=1, max_size=5))
def test_whatever_happened_is_structurally_r4(events: list[AdtEvent]):
    resources = folded(*events)
    for one in resources:
        validate(one)
    assert len({(one["resourceType"], one["id"]) for one in resources}) == len(resources)


def test_a_long_visit_stays_one_encounter_and_one_provenance():
    events = [ADMIT, *(event("A08", at(6), at(6, hour)) for hour in range(20))]
    kinds = [one["resourceType"] for one in folded(*events)]
    assert (kinds.count("Encounter"), kinds.count("Provenance")) == (1, 1)
