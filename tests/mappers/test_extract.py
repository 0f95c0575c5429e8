"""What is checked before a message is acknowledged, and what makes messages one visit."""

import pytest

from fhirgw.errors import GatewayError
from fhirgw.mappers.adt import AdtEvent, extract, map_message
from fhirgw.mappers.event import MapContext
from fhirgw.settings import Sender
from fhirgw.terminology import CONFIDENTIALITY
from fhirgw.v2.codec import parse

CONTEXT = MapContext("elm", Sender(facility="ELMHOSP"), b"test")
MSH = "MSH|^~\\&|ADTSYS|ELMHOSP|||20260305120000-0500||ADT^A01|1|P|2.5.1"
PID = "PID|1||7^^^ELMHOSP^MR||DOE"
PV1 = "PV1|1|I"


def read(*lines: str, context: MapContext = CONTEXT) -> AdtEvent:
    return extract(parse("\r".join(lines).encode() + b"\r"), context)


def problems(*lines: str, context: MapContext = CONTEXT) -> list[tuple[str, str | None, str]]:
    with pytest.raises(ExceptionGroup) as refused:
        read(*lines, context=context)
    found = refused.value.exceptions
    assert all(isinstance(one, GatewayError) for one in found)
    return [(type(one).__name__, one.location, one.err) for one in found]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([MSH.replace("ADT^A01", "ORU^R01"), PID], [("UnsupportedMessage", "MSH-9.1", "200")]),
        ([MSH.replace("ADT^A01", ""), PID], [("UnsupportedMessage", "MSH-9.1", "200")]),
        ([MSH.replace("A01", "A99"), PID], [("UnsupportedMessage", "MSH-9.2", "201")]),
        ([MSH.replace("ADT^A01", "ADT"), PID], [("UnsupportedMessage", "MSH-9.2", "201")]),
        ([MSH, PV1], [("MissingElement", "PID", "100")]),
        ([MSH, PID], [("MissingElement", "PV1", "100")]),
        ([MSH, PID, PV1, PID, "DG1|1||F11.20"], [("MalformedMessage", "PID[2]", "100")]),
        ([MSH, PID, PV1, PV1], [("MalformedMessage", "PV1[2]", "100")]),
        ([MSH, "PID|1||||DOE", PV1], [("MissingElement", "PID-3", "101")]),
        ([MSH, 'PID|1||""||DOE', PV1], [("MissingElement", "PID-3", "101")]),
        ([MSH, "PID|1||^^^ELMHOSP||DOE", PV1], [("MissingElement", "PID-3", "101")]),
        ([MSH, "PID|1||7||DOE", PV1], [("MissingElement", "PID-3.4", "101")]),
        ([MSH, "PID|1||7^^^ELM^MR^^soon||DOE", PV1], [("InvalidElement", "PID-3", "102")]),
        ([MSH, PID, "PV1|1|"], [("MissingElement", "PV1-2", "101")]),
        ([MSH, PID, 'PV1|1|""'], [("MissingElement", "PV1-2", "101")]),
        ([MSH, PID, "PV1|1|XI"], [("UnmappedCode", "PV1-2", "103")]),
        ([MSH, PID + "||1984-03-02", PV1], [("InvalidElement", "PID-7", "102")]),
        ([MSH, "EVN||x||||y", PID, PV1], [("InvalidElement", "EVN-6", "102"), ("InvalidElement", "EVN-2", "102")]),
        (
            [MSH, PID, PV1 + "|" * 42 + "x|y"],
            [("InvalidElement", "PV1-44", "102"), ("InvalidElement", "PV1-45", "102")],
        ),
        ([MSH, PID, PV1, "DG1|1||F33.1||soon"], [("InvalidElement", "DG1-5", "102")]),
        ([MSH.replace("20260305120000-0500", ""), PID, PV1], [("MissingElement", "MSH-7", "101")]),
        ([MSH.replace("20260305120000-0500", "now"), PID, PV1], [("InvalidElement", "MSH-7", "102")]),
    ],
)
def test_each_problem_is_located(lines, expected):
    assert problems(*lines) == expected


def test_all_problems_are_told_at_once():
    assert [location for _, location, _ in problems(MSH, "PID|1||||DOE||x", "PV1|1|XI")] == [
        "PID-7",
        "PID-3",
        "PV1-2",
    ]


def test_the_event_may_stand_in_evn_alone():
    """Before v2.3.1 MSH-9 may hold the type only."""
    assert read(MSH.replace("ADT^A01", "ADT"), "EVN|A01", PID, PV1).trigger == "A01"


def test_a_sender_may_have_a_default_authority():
    context = MapContext("elm", Sender(default_authority="urn:x:mrn"), b"test")
    assert read(MSH, "PID|1||7||DOE", PV1, context=context).identifiers == (("urn:x:mrn", "7", None),)


def test_one_identifier_with_an_authority_is_enough_and_the_others_identify_nobody():
    event = read(MSH, "PID|1||9~7^^^ELMHOSP^MR||DOE", PV1)
    assert event.identifiers == (("http://fhirgw.org/fhir/sid/elm/ELMHOSP", "7", "MR"),)
    assert event.patient["identifier"][0] == {"value": "9"}


def test_times_fall_back_on_one_another():
    evn = read(MSH, "EVN||20260304||||20260303", PID, PV1)
    assert (evn.occurred, evn.recorded) == ("2026-03-03", "2026-03-04T00:00:00-05:00")
    sent = read(MSH, PID, PV1)
    assert sent.occurred == sent.recorded == "2026-03-05T12:00:00-05:00"
    unsent = read(MSH.replace("20260305120000-0500", ""), "EVN||||||20260303", PID, PV1)
    assert unsent.order[0] == unsent.order[1] == unsent.order[2]


FACILITY = "http://fhirgw.org/fhir/sid/elm/ELMHOSP"


@pytest.mark.parametrize(
    ("pid", "pv1", "visit"),
    [
        (PID, PV1 + "|" * 17 + "V1^^^ELMHOSP", (FACILITY, "V1")),
        (PID, PV1 + "|" * 17 + "V1", (FACILITY + "/visit", "V1")),
        (PID + "|" * 13 + "A1", PV1, (FACILITY + "/account", "account A1")),
        (PID + "|" * 13 + "A1", PV1 + "|" * 17 + "V1", (FACILITY + "/visit", "V1")),
        (PID, PV1 + "|" * 42 + "20260304", (FACILITY + "/stay", FACILITY + "|7|2026-03-04T")),
        (
            "PID|1||0^^^AAA~8^^^ELMHOSP^MR~7^^^ELMHOSP^MR||DOE",
            PV1,
            (FACILITY + "/stay", FACILITY + "|7|2026-03-05T17:00:00.000000+00:00"),
        ),
    ],
)
def test_what_makes_messages_one_visit(pid, pv1, visit):
    assert read(MSH, pid, pv1).visit == visit


def test_an_account_and_a_visit_of_the_same_number_are_two():
    account = read(MSH, PID + "|" * 13 + "1^^^ELMHOSP", PV1)
    visit = read(MSH, PID, PV1 + "|" * 17 + "1^^^ELMHOSP")
    assert account.visit != visit.visit


@pytest.mark.parametrize("pv1", [(), ("PV1|1|N",), ("PV1||N|||",)])
def test_an_update_needs_no_visit(pv1):
    event = read(MSH.replace("A01", "A08"), PID, *pv1)
    assert (event.visit, event.encounter) == (None, {})
    assert event.repeated.keys() <= {"EVN", "MSH"}


def test_a_class_that_does_not_apply_is_read_where_more_is_said():
    event = read(MSH.replace("A01", "A08"), PID, "PV1|1|N|4E")
    assert event.encounter["class"]["code"] == "N"


@pytest.mark.parametrize(
    ("msh4", "identifier", "name"),
    [
        ("ELMHOSP", ("http://fhirgw.org/fhir/sid/elm/facility", "ELMHOSP"), "ELMHOSP"),
        ("ELM&x^2.16.840.1^ISO", ("urn:ietf:rfc:3986", "urn:oid:2.16.840.1"), "ELM"),
        ("ELM^elm.example.org^DNS", ("http://fhirgw.org/fhir/sid/elm/facility", "ELM"), "ELM"),
        ("", ("http://fhirgw.org/fhir/sid/elm/facility", "ADTSYS"), "ADTSYS"),
    ],
)
def test_the_sending_facility_is_an_organization(msh4, identifier, name):
    event = read(MSH.replace("|ELMHOSP|", f"|{msh4}|"), PID, PV1)
    (found,) = event.organization["identifier"]
    assert ((found["system"], found["value"]), event.organization["name"]) == (identifier, name)


@pytest.mark.parametrize(
    ("dg1", "code"),
    [
        ("DG1|1||f1120^words^ICD-10", {"coding": [{"code": "F11.20", "display": "words"}]}),
        ("DG1|1|I10|F32^^|words", {"coding": [{"code": "F32"}], "text": "words"}),
        ("DG1|1||F33.1", {"coding": [{"code": "F33.1"}]}),
        ("DG1|1||F331^words", {"coding": [{"code": "F33.1", "display": "words"}]}),
    ],
)
def test_a_diagnosis_is_normalised_to_icd_10_cm(dg1, code):
    """Named, named by DG1-2, or of its shape: what sensitivity labels are computed from."""
    code["coding"][0]["system"] = "http://hl7.org/fhir/sid/icd-10-cm"
    assert read(MSH, PID, PV1, dg1).repeated["DG1"][0]["said"]["code"] == code


@pytest.mark.parametrize(
    ("dg1", "expected"),
    [
        ("DG1|1", []),
        ("DG1|1|||Low mood", [{"text": "Low mood"}]),
        ("DG1|1||Low mood", [{"text": "Low mood"}]),
        ("DG1|1|99ELM|77^Low mood", [{"system": "http://fhirgw.org/fhir/CodeSystem/elm-99elm", "code": "77"}]),
        ("DG1|1||77^Low mood", [{"code": "77"}]),
    ],
)
def test_a_diagnosis_of_another_system_keeps_it(dg1, expected):
    found = [one["said"]["code"] for one in read(MSH, PID, PV1, dg1).repeated.get("DG1", ())]
    kept = [
        {name: value for name, value in one.get("coding", [one])[0].items() if name != "display"} for one in found
    ]
    assert kept == expected


def test_the_rest_of_a_diagnosis():
    dg1 = "DG1|1||F33.1^words^I10C||20260301|F|||||||||2|77^DEMO^DORA||Y|20260302|"
    (fact,) = read(MSH, PID, PV1, dg1).repeated["DG1"]
    diagnosis = fact["said"]
    del diagnosis["code"], diagnosis["use"], diagnosis["extension.asserted"]
    assert diagnosis.pop("asserter")["name"] == [{"family": "DEMO", "given": ["DORA"]}]
    assert diagnosis == {
        "kind": "F",
        "onsetDateTime": "2026-03-01",
        "recordedDate": "2026-03-02",
        "rank": 2,
        "security": [{"system": CONFIDENTIALITY, "code": "R", "display": "restricted"}],
        "deleted": False,
    }
    bundle = map_message(parse(f"{MSH}\r{PID}\r{PV1}\r{dg1}".encode()), CONTEXT)
    condition = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Condition")
    assert condition["asserter"]["reference"].startswith("Practitioner/")
    assert condition["recordedDate"] == "2026-03-02"


def test_a_visit_to_be_protected_is_restricted():
    for flag, security in (("Y", ["R"]), ("N", None)):
        raw = "\r".join((MSH, PID, PV1, "PV2" + "|" * 22 + flag)).encode()
        (visit,) = (
            entry["resource"]
            for entry in map_message(parse(raw), CONTEXT)["entry"]
            if entry["resource"]["resourceType"] == "Encounter"
        )
        assert (
            [label["code"] for label in visit["meta"]["security"]] == security if security else "meta" not in visit
        )


def test_a_message_without_a_control_id_is_known_by_its_digest():
    message = parse("\r".join((MSH.replace("|1|P", "||P"), PID, PV1)).encode())
    bundle = map_message(message, CONTEXT)
    assert bundle["identifier"]["value"] == extract(message, CONTEXT).digest
    (provenance,) = (e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Provenance")
    assert [entity["what"]["type"] for entity in provenance["entity"]] == ["Device"]  # the application alone


def links(pid_3: str, mrg_1: str) -> dict[str, list[str]]:
    """Of an A40 mapped alone: the first number of each Patient, and its links."""
    lines = [MSH.replace("A01", "A40"), f"PID|1||{pid_3}||DOE", f"MRG|{mrg_1}"]
    bundle = map_message(parse("\r".join(lines).encode() + b"\r"), CONTEXT)
    patients = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Patient"]
    assert all(one["id"] not in str(one.get("link")) for one in patients)
    return {one["identifier"][-1]["value"]: [link["type"] for link in one.get("link", ())] for one in patients}


def test_a_record_that_is_merged_into_itself_is_as_it_was():
    assert links("7^^^ELMHOSP^MR", "7^^^ELMHOSP^MR") == {"7": []}


def test_a_number_that_came_with_the_merge_is_the_merged_records_still():
    """Senders list the number that MRG-1 names in PID-3, too, and some list it first."""
    expected = {"7": ["replaces"], "6": ["replaced-by"]}
    assert links("6^^^ELMHOSP^MR~7^^^ELMHOSP^MR", "6^^^ELMHOSP^MR") == expected
