"""The person: one sender's picture, and the Patient from all pictures."""

import itertools

import orjson

from fhirgw.mappers.adt import AdtEvent, extract, extract_all, new_reading
from fhirgw.mappers.event import MapContext
from fhirgw.mappers.visit import fold_person, merge_patient
from fhirgw.r4 import validate
from fhirgw.settings import Sender
from fhirgw.v2.codec import parse

CONTEXT = MapContext("elm", Sender(facility="ELMHOSP", default_authority="urn:x:default"), b"test")


def event(day: int, pid: str, *others: str) -> AdtEvent:
    """An A08 about a person, PID given from field 3 on."""
    lines = [
        f"MSH|^~\\&|ADTSYS|ELMHOSP|||202603{day:02}120000-0500||ADT^A08|{day}|P|2.5.1",
        f"PID|1||{pid}",
        *others,
    ]
    return extract(parse("\r".join(lines).encode() + b"\r"), CONTEXT)


def test_absent_leaves_alone_null_deletes_a_value_replaces():
    """v2.5.1 ch. 2.5.3; each phone field is its own fact, and so is each extension."""
    first = event(1, "7||DOE^JANE||19840302|F||2106-3|||860-1|860-2||||||||2135-2||Y|2")
    second = event(2, '7||ROE^JANE||""|||""|||""')
    patient = fold_person([second, first])
    assert patient["name"] == [{"family": "ROE", "given": ["JANE"]}]
    assert "birthDate" not in patient
    assert patient["gender"] == "female"
    assert patient["telecom"] == [{"system": "phone", "value": "860-2", "use": "work"}]
    assert [extension["url"].rpartition("/")[2] for extension in patient["extension"]] == ["us-core-ethnicity"]
    assert patient["multipleBirthInteger"] == 2
    assert "multipleBirthBoolean" not in patient
    validate(patient)


def test_identifiers_are_united():
    """A message that leaves one out does not say that it was wrong."""
    events = [event(1, "7~8^^^OTHER^MR||DOE"), event(2, "7^^^^MR||DOE")]
    for order in itertools.permutations(events):
        patient = fold_person(order)
        assert [(one["system"], one["value"]) for one in patient["identifier"]] == [
            ("urn:x:default", "7"),
            ("http://fhirgw.org/fhir/sid/elm/OTHER", "8"),
        ]
        assert patient["identifier"][0]["type"]["coding"][0]["code"] == "MR"


def test_an_element_and_its_sibling_go_together():
    """A birth time that is no longer known leaves no _birthDate behind, a known sex no local code."""
    timed = event(1, "7||DOE||198403021430-0500|XY")
    patient = fold_person([timed])
    assert patient["_birthDate"]["extension"][0]["valueDateTime"] == "1984-03-02T14:30:00-05:00"
    assert patient["_gender"]["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "XY"
    patient = fold_person([timed, event(2, "7||DOE||19840302|M")])
    assert patient["gender"] == "male"
    assert not {"_gender", "_birthDate"} & patient.keys()


def test_death():
    assert fold_person([event(1, "7||DOE" + "|" * 25 + "Y")])["deceasedBoolean"] is True
    died = fold_person([event(1, "7||DOE" + "|" * 24 + "202603011200-0500|Y")])
    assert died["deceasedDateTime"] == "2026-03-01T12:00:00-05:00"
    assert "deceasedBoolean" not in died


def test_the_smaller_segments():
    """Contacts that can be reached, a practitioner by name, a county, birth sex, race in the sender's own words."""
    patient = fold_person(
        [
            event(
                1,
                "7||DOE|||||^Unlisted~1004-1^American Indian^CDCREC~|1 SAMPLE ST|HARTFORD",
                "PD1||||^EXAMPLE^PERLA",
                "NK1|1|DOE^BEA|SPO||860-1|860-2|C|20200101|20251231||||||F",
                "NK1|2||SPO",
                "OBX|1|ST|76689-9^Sex assigned at birth^LN||U||||||F",
                "OBX|2|ST|8302-2^Height^LN||1",
            )
        ]
    )
    assert patient["generalPractitioner"] == [{"type": "Practitioner", "display": "PERLA EXAMPLE"}]
    assert patient["address"] == [{"line": ["1 SAMPLE ST"], "district": "HARTFORD"}]
    assert [contact["gender"] for contact in patient["contact"]] == ["female"]
    assert patient["contact"][0]["period"] == {"start": "2020-01-01", "end": "2025-12-31"}
    race, sex = patient["extension"]
    assert [part["url"] for part in race["extension"]] == ["detailed", "text"]
    assert race["extension"][-1]["valueString"] == "Unlisted, American Indian"
    assert sex["valueCode"] == "UNK"
    validate(patient)


def test_race_and_ethnicity_are_those_that_any_coding_names():
    """The alternate coding has the CDC's code; US Core takes one ethnicity; an own code stays in words, listed."""
    own = "W^White^L^2106-3^White^CDCREC~2106-3~Q^Quechua^L~Z"
    message = parse(
        b"MSH|^~\\&|A|ELMHOSP|||20260301120000-0500||ADT^A08|1|P|2.5.1\rPID|1||7||DOE|||||%s||||||||||||H~N\r"
        % own.encode()
    )
    reading = new_reading(message, CONTEXT)
    ethnicity, race = fold_person(extract_all(message, CONTEXT, reading))["extension"]
    categories = [part["valueCoding"]["code"] for part in race["extension"] if part["url"] == "ombCategory"]
    assert categories == ["2106-3"]
    assert race["extension"][-1]["valueString"] == "White, Quechua (Q), Z"
    assert [part.get("valueCoding", {}).get("code") for part in ethnicity["extension"]] == ["2135-2", None]
    assert ethnicity["extension"][-1]["valueString"] == "Hispanic or Latino, Not Hispanic or Latino"
    assert reading.codes == [("PID-10", "0005", "Q"), ("PID-10", "0005", "Z")]


def test_a_practitioner_may_be_known_by_number_alone():
    (doctor,) = fold_person([event(1, "7||DOE", "PD1||||12^^^^^^^^REG")])["generalPractitioner"]
    assert doctor == {
        "type": "Practitioner",
        "identifier": {"system": "http://fhirgw.org/fhir/sid/elm/REG", "value": "12"},
    }


def test_of_no_events_there_is_no_picture():
    assert fold_person([]) == {"resourceType": "Patient"}


def test_what_says_nothing_makes_nothing():
    """Fields that are there and hold nothing usable leave no empty element."""
    pid = "7||^||0||^^^|^|^^|^|^|^||^^^|^^|||||^||0|Z|||||Z"
    empty = event(1, pid.replace("||0||", "||||", 1), "PD1||||^^", "NK1|1|^", "PD1||||^")
    patient = fold_person([empty])
    assert patient.keys() == {"resourceType", "identifier"}


def test_the_care_management_systems_picture_wins_element_by_element():
    sources = {
        "oak": {"name": [{"family": "OAK"}], "telecom": [{"value": "1"}], "maritalStatus": {"text": "o"}},
        "elm": {
            "resourceType": "Patient",
            "identifier": [{"system": "a", "value": "1"}, {"system": "b", "value": "2"}],
            "name": [{"family": "ELM"}],
            "gender": "unknown",
            "_gender": {"extension": []},
            "deceasedDateTime": "2026",
            "maritalStatus": {"text": "e"},
            "extension": [{"url": "race", "valueString": "elm"}, {"url": "sex", "valueString": "elm"}],
        },
        "icm": {
            "resourceType": "Patient",
            "identifier": [{"system": "b", "value": "2", "use": "official"}],
            "name": [{"family": "ICM"}],
            "gender": "female",
            "deceasedBoolean": False,
            "extension": [{"url": "race", "valueString": "icm"}, {"url": "race", "valueString": "icm too"}],
        },
    }
    merged = merge_patient("p", sources)
    assert merged == {
        "resourceType": "Patient",
        "id": "p",
        "identifier": [{"system": "b", "value": "2", "use": "official"}, {"system": "a", "value": "1"}],
        "name": [{"family": "ICM"}],
        "gender": "female",
        "deceasedBoolean": False,
        "telecom": [{"value": "1"}],
        "maritalStatus": {"text": "e"},
        "extension": [
            {"url": "race", "valueString": "icm"},
            {"url": "race", "valueString": "icm too"},
            {"url": "sex", "valueString": "elm"},
        ],
    }
    for names in itertools.permutations(sources):
        again = merge_patient("p", {name: sources[name] for name in names})
        assert orjson.dumps(again, option=orjson.OPT_SORT_KEYS) == orjson.dumps(merged, option=orjson.OPT_SORT_KEYS)


def test_a_patient_without_identifiers_has_no_empty_list():
    assert merge_patient("p", {"elm": {"name": [{"family": "DOE"}]}}).keys() == {"resourceType", "id", "name"}
