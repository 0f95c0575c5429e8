"""Places, codes and times of a visit: EVN, PV1 and PV2."""

import pytest
from adt_of_segments import CONTEXT, EVN, MSH, PID, all_of, mapped, only, segment

from fhirgw.mappers.event import MapContext
from fhirgw.settings import Sender


def place(pl: str, **more: str) -> list[dict]:
    """The Locations of a PV1-3, from the whole to the part."""
    visit = segment("PV1", {2: "I", 3: pl} | {int(key[1:]): value for key, value in more.items()})
    return all_of("Location", visit)


@pytest.mark.parametrize(
    ("pl", "expected"),
    [
        (
            "4E^412^A^ELM&2.16.1&ISO^^^TOWER^4",
            [
                ("si", "ELM"),
                ("bu", "ELM/TOWER"),
                ("lvl", "ELM/TOWER/4"),
                (None, "ELM/TOWER/4/4E"),
                ("ro", "ELM/TOWER/4/4E/412"),
                ("bd", "ELM/TOWER/4/4E/412/A"),
            ],
        ),
        ("ED", [(None, "ELMHOSP/ED")]),
        ("^^^ELM", [("si", "ELM")]),
        ("^^^^N", []),
        ("&2.16.7&ISO^1", [(None, "ELMHOSP/2.16.7"), ("ro", "ELMHOSP/2.16.7/1")]),
    ],
)
def test_pl_is_a_chain_from_the_whole_to_the_part(pl, expected):
    chain = place(pl)
    kinds = [location.get("physicalType", {"coding": [{"code": None}]})["coding"][0]["code"] for location in chain]
    assert list(zip(kinds, [one["identifier"][0]["value"] for one in chain], strict=True)) == expected
    assert [one.get("partOf") for one in chain][1:] == [
        {"reference": f"Location/{one['id']}"} for one in chain[:-1]
    ]


def test_the_servicing_facility_is_the_site_that_pl_leaves_out():
    assert [one["identifier"][0]["value"] for one in place("4E^412", _39="NORTH")] == [
        "NORTH",
        "NORTH/4E",
        "NORTH/4E/412",
    ]
    assert [one["name"] for one in place("4E^^^SOUTH", _39="NORTH")] == ["SOUTH", "4E"]


def test_a_comprehensive_identifier_and_a_description_are_of_the_smallest_place():
    unit, bed = place("4E^^A^^^N^^^Window bed^LOC-9^ELMLOC")
    assert unit["type"][0]["coding"][0]["code"] == "N"
    assert bed["description"] == "Window bed"
    assert bed["identifier"][1] == {"system": "http://fhirgw.org/fhir/sid/elm/ELMLOC", "value": "LOC-9"}


def test_a_person_location_type_that_the_table_does_not_have_keeps_the_senders_code():
    (unit,) = place("4E^^^^^ZZ")
    assert unit["type"][0]["coding"][0] == {"system": "http://fhirgw.org/fhir/CodeSystem/elm-0305", "code": "ZZ"}


def test_a_destination_is_named_in_the_words_that_there_are():
    def destination(dld: str) -> dict:
        return all_of("Location", segment("PV1", {2: "I", 37: dld, 45: "20260509"}).replace("PV1|", "PV1|"))[-1]

    assert destination("SNF&Elm Nursing Home&99E^20260509")["name"] == "Elm Nursing Home"
    assert destination("SNF")["name"] == "SNF"


# Codes ------------------------------------------------------------------------------------------------------------


def encounter(name: str, fields: dict[int, str], context: MapContext = CONTEXT) -> dict:
    lines = {"PV1": segment("PV1", {2: "I"} | (fields if name == "PV1" else {}))}
    if name == "PV2":
        lines["PV2"] = segment("PV2", fields)
    bundle = mapped(MSH, EVN, PID, *lines.values(), context=context)
    return next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Encounter")


@pytest.mark.parametrize(
    ("code", "targets"),
    [
        ("01", ["home", "01"]),
        ("1", ["home", "1"]),
        ("07", ["aadvice", "07"]),
        ("20", ["exp", "20"]),
        ("41", ["exp", "41"]),
        ("65", ["psy", "65"]),
        ("30", ["30"]),
        ("99X", ["99X"]),
        ("01^Home^NUBC", ["01"]),
    ],
)
def test_a_discharge_disposition_has_its_target_and_keeps_its_code(code, targets):
    said = encounter("PV1", {36: code, 45: "20260509"})["hospitalization"]["dischargeDisposition"]
    assert [coding["code"] for coding in said["coding"]] == targets


def test_a_senders_own_class_is_registered_as_one_that_the_table_has_no_code_for():
    context = MapContext("elm", Sender(facility="ELMHOSP", codes={"0004": {"OBS": "OBSENC"}}), b"test")
    assert encounter("PV1", {2: "OBS"}, context)["class"]["code"] == "OBSENC"


@pytest.mark.parametrize(("code", "vip"), [("V", True), ("CELEB", True), ("N", False), ("no", False)])
def test_a_vip_restricts_the_visit_unless_the_code_says_no(code, vip):
    said = encounter("PV1", {16: code})
    assert ("meta" in said) is vip
    codes = [coding["code"] for coding in said["hospitalization"]["specialCourtesy"][0]["coding"]]
    assert codes == (["VIP", code] if vip else [code])


def test_a_visit_that_is_protected_and_of_a_vip_is_restricted_once():
    bundle = mapped(MSH, EVN, PID, segment("PV1", {2: "I", 16: "V"}), segment("PV2", {22: "Y"}))
    visit = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Encounter")
    assert [label["code"] for label in visit["meta"]["security"]] == ["R"]


def test_unknown_codes_keep_the_local_coding():
    said = encounter("PV2", {25: "9^Whenever^99E", 38: "Z"})
    local = "http://fhirgw.org/fhir/CodeSystem/elm-"
    assert said["priority"]["coding"][0] == {"system": local + "99e", "code": "9", "display": "Whenever"}
    assert said["extension"][0]["valueCoding"] == {"system": local + "0430", "code": "Z"}


# Times ------------------------------------------------------------------------------------------------------------


def test_an_end_before_the_start_ends_nothing():
    """A Period whose end comes first would refuse the whole message (per-1)."""
    said = encounter("PV1", {44: "20260502080000", 45: "20260501080000"})
    assert said["status"] == "in-progress"
    assert said["period"] == {"start": "2026-05-02T08:00:00-04:00"}


def test_a_discharge_with_an_end_before_the_start_ends_the_visit_when_it_happened():
    visit = segment("PV1", {2: "I", 44: "20260502070000", 45: "20260501080000"})
    bundle = mapped(MSH.replace("A01^ADT_A01", "A03"), EVN.replace("A01", "A03"), PID, visit)
    said = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Encounter")
    assert said["status"] == "finished"
    assert said["period"] == {"start": "2026-05-02T07:00:00-04:00", "end": "2026-05-02T08:00:00-04:00"}


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("20261101013000", "2026-11-01T01:30:00-04:00"),  # twice on that night: the first
        ("20260308023000", "2026-03-08T02:30:00-05:00"),  # never: as if the clock had not been moved
        ("20261101013000-0500", "2026-11-01T01:30:00-05:00"),
        ("20260502080000.1234", "2026-05-02T08:00:00.1234-04:00"),
        ("2026", "2026"),
        ("202605", "2026-05"),
    ],
)
def test_a_time_is_as_precise_as_it_was_sent_and_in_the_senders_zone(sent, read):
    assert only("Condition", segment("DG1", {3: "I10^x^I10C", 5: sent}))["onsetDateTime"] == read
