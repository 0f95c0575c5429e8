"""Each data type: a table of ER7 → FHIR JSON."""

from zoneinfo import ZoneInfo

import pytest

from fhirgw.errors import InvalidElement
from fhirgw.mappers.datatypes import (
    Components,
    Scope,
    cwe_to_codeable_concept,
    cx_to_identifier,
    datetime_to_instant,
    dtm_to_date,
    dtm_to_datetime,
    utc,
    xad_to_address,
    xtn_to_contact_point,
)
from fhirgw.mappers.people import one_each, xcn_to_practitioner, xpn_to_human_names
from fhirgw.settings import Sender
from fhirgw.v2.codec import parse

NEW_YORK = ZoneInfo("America/New_York")
SID = "http://fhirgw.org/fhir/sid/"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"
SENDER = Sender(
    authorities={"CTMEDICAID": SID + "ct-medicaid", "2.16.840.1.1": SID + "registered"},
    codes={"0002": {"Verh": "M"}, "0112": {"HEIM": "01"}},
)
EXT = "http://hl7.org/fhir/StructureDefinition/"
ELM = "http://fhirgw.org/fhir/CodeSystem/elm-"


def beside(table: str, code: str, system: str | None = None) -> dict:
    """The sender's code, beside an element of a required binding that has no code for it."""
    coding = {"system": system or V2 + table, "code": code}
    return {"extension": [{"url": EXT + "alternate-codes", "valueCodeableConcept": {"coding": [coding]}}]}


def disposition(code: str, display: str) -> dict:
    system = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
    return {"system": system, "code": code, "display": display}


SCOPE = Scope("elm", "ELMHOSP", SENDER, NEW_YORK)


def field(er7: str) -> Components:
    segment = parse(b"MSH|^~\\&|A|B\rZZZ|" + er7.encode() + b"\r").segments[1]
    return Components(segment.field(1), segment.delimiters)


@pytest.mark.parametrize(
    ("dtm", "expected"),
    [
        ("2026", "2026"),
        ("202603", "2026-03"),
        ("20260305", "2026-03-05"),
        ("20260305-0500", "2026-03-05"),
        ("2026030514", "2026-03-05T14:00:00-05:00"),
        ("202603051430", "2026-03-05T14:30:00-05:00"),
        ("20260305143015", "2026-03-05T14:30:15-05:00"),
        ("20260705143015", "2026-07-05T14:30:15-04:00"),
        ("20260305143015.1234", "2026-03-05T14:30:15.1234-05:00"),
        ("20260305143015+0000", "2026-03-05T14:30:15+00:00"),
        ("20260305143015-0800", "2026-03-05T14:30:15-08:00"),
        ("20260305143015.5+0530", "2026-03-05T14:30:15.5+05:30"),
    ],
)
def test_dtm_to_datetime_keeps_precision_and_offset(dtm, expected):
    assert dtm_to_datetime(dtm, NEW_YORK) == expected


@pytest.mark.parametrize(
    "dtm",
    [
        "",
        "x",
        "202",
        "20261",
        "20261301",
        "20260230",
        "2026030525",
        "202603051460",
        "2026-03-05",
        "0000",
        "00000000",
        "20260305143015+9900",
        "20260305143015+1430",
        "20260305143015+0060",
        "20260305143015Z",
        "\uff12\uff10\uff12\uff16",
    ],
)
def test_dtm_of_broken_syntax_is_an_invalid_element(dtm):
    with pytest.raises(InvalidElement):
        dtm_to_datetime(dtm, NEW_YORK)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026", "2026-01-01T00:00:00-05:00"),
        ("2026-07-05", "2026-07-05T00:00:00-04:00"),
        ("2026-03-05T14:30:15.5-08:00", "2026-03-05T14:30:15.5-08:00"),
    ],
)
def test_an_instant_is_the_beginning_of_what_a_datetime_names(moment, expected):
    assert datetime_to_instant(moment, NEW_YORK) == expected


def test_dtm_to_date_is_the_day_where_it_was_written_down():
    assert dtm_to_date("20260305233015-0500", ZoneInfo("Asia/Tokyo")) == "2026-03-05"
    assert dtm_to_date("198403", NEW_YORK) == "1984-03"


def test_utc_texts_sort_in_time():
    moments = [
        "2025",
        "2026",
        "2026-03",
        "2026-03-05",
        "2026-03-05T00:30:00+00:00",
        "2026-03-05T00:30:00.5+00:00",
        "2026-03-05T00:30:00-05:00",
    ]
    assert sorted(map(utc, moments)) == [utc(moment) for moment in moments]
    assert utc("2026", latest=True) > utc("2026-12-31T23:59:59+00:00") > utc("2026")


@pytest.mark.parametrize(
    ("er7", "expected"),
    [
        (
            "DOE^JANE^Q^JR^DR^MD^L",
            {"use": "official", "family": "DOE", "given": ["JANE", "Q"], "suffix": ["JR", "MD"], "prefix": ["DR"]},
        ),
        (
            "VAN DOE&VAN&DOE&DE&ROE^JANE",
            {
                "family": "VAN DOE",
                "_family": {
                    "extension": [
                        {"url": f"{EXT}humanname-{part}", "valueString": text}
                        for part, text in (
                            ("own-prefix", "VAN"),
                            ("own-name", "DOE"),
                            ("partner-prefix", "DE"),
                            ("partner-name", "ROE"),
                        )
                    ]
                },
                "given": ["JANE"],
            },
        ),
        ("^JANE", {"given": ["JANE"]}),
        ("O\\T\\DOE^J\\E\\", {"family": "O&DOE", "given": ["J\\"]}),
        (
            "DOE^^^^^^M^^^^^2001^2009",
            {"use": "maiden", "family": "DOE", "period": {"start": "2001", "end": "2009"}},
        ),
        ("DOE^^^^^^T", {"family": "DOE", "_use": beside("0200", "T")}),
        ("DOE^^^^^^Q", {"family": "DOE", "_use": beside("0200", "Q", ELM + "0200")}),
        (
            "DOE^^^^^^S^^^2020&2021^F",
            {
                "family": "DOE",
                "use": "anonymous",
                "period": {"start": "2020", "end": "2021"},
                "extension": [{"url": EXT + "humanname-assembly-order", "valueCode": "F"}],
            },
        ),
        ('""^JANE', {"given": ["JANE"]}),
        ("^^^^^^L", None),
        ("  ^ ", None),
    ],
)
def test_xpn_to_human_names(er7, expected):
    assert xpn_to_human_names(field(er7), SCOPE) == ([expected] if expected else [])


def test_what_somebody_is_called_by_is_a_name_beside_the_name():
    assert xpn_to_human_names(field("DOE^MARGARET" + "^" * 13 + "PEGGY"), SCOPE) == [
        {"family": "DOE", "given": ["MARGARET"]},
        {"use": "nickname", "given": ["PEGGY"]},
    ]


def test_a_surname_in_parts_alone_is_a_surname():
    assert xpn_to_human_names(field("&VAN&DOE"), SCOPE)[0]["family"] == "VAN DOE"


@pytest.mark.parametrize(
    ("er7", "system"),
    [
        ("1^^^CTMEDICAID", SID + "ct-medicaid"),
        ("1^^^OTHER", SID + "elm/OTHER"),
        ("1^^^ANY&2.16.840.1.113883.3.1&ISO", "urn:oid:2.16.840.1.113883.3.1"),
        ("1^^^ANY&2.16.840.1.113883.3.1", "urn:oid:2.16.840.1.113883.3.1"),
        ("1^^^ANY&2.16.840.1.1&ISO", SID + "registered"),
        ("1^^^&6BA7B810-9DAD-11D1-80B4-00C04FD430C8&UUID", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("1^^^&https://example.org/mrn&URI", "https://example.org/mrn"),
        ("1^^^CTMEDICAID&broken&ISO", SID + "ct-medicaid"),
        ("1^^^&hosp.example.org&DNS", SID + "elm/hosp.example.org"),
        ("1^^^TWO WORDS/X", SID + "elm/TWO%20WORDS%2FX"),
    ],
)
def test_cx_system_is_what_its_authority_names(er7, system):
    assert cx_to_identifier(field(er7), SCOPE) == {"system": system, "value": "1"}


@pytest.mark.parametrize(
    ("er7", "expected"),
    [
        (
            "7^^^CTMEDICAID^MA^^2020^20241231",
            {
                "system": SID + "ct-medicaid",
                "value": "7",
                "period": {"start": "2020", "end": "2024-12-31"},
                "type": {"coding": [{"system": V2 + "0203", "code": "MA", "display": "Patient Medicaid number"}]},
            },
        ),
        ("7", {"system": "urn:x:default", "value": "7"}),
        ("^^^CTMEDICAID^MA", None),
        ('""^^^CTMEDICAID', None),
    ],
)
def test_cx_to_identifier(er7, expected):
    assert cx_to_identifier(field(er7), SCOPE, default="urn:x:default") == expected


@pytest.mark.parametrize(
    ("er7", "expected"),
    [
        (
            "1 SAMPLE ST^APT 2^HARTFORD^CT^06103^USA^H^^HARTFORD",
            {
                "line": ["1 SAMPLE ST", "APT 2"],
                "city": "HARTFORD",
                "district": "HARTFORD",
                "state": "CT",
                "postalCode": "06103",
                "country": "USA",
                "use": "home",
            },
        ),
        ("1 SAMPLE ST&SAMPLE ST&1^^^^^^M", {"line": ["1 SAMPLE ST", "SAMPLE ST", "1"], "type": "postal"}),
        (
            "^^HARTFORD^^^^V^^^^^^2020^2021",
            {
                "city": "HARTFORD",
                "_use": beside("0190", "V"),
                "period": {"start": "2020", "end": "2021"},
            },
        ),
        (
            "^^HARTFORD^^^^^^^1.2^^2020&2021",
            {
                "city": "HARTFORD",
                "period": {"start": "2020", "end": "2021"},
                "_line": [{"extension": [{"url": EXT + "iso21090-ADXP-censusTract", "valueString": "1.2"}]}],
            },
        ),
        ("^^^^^^H", None),
    ],
)
def test_xad_to_address(er7, expected):
    assert xad_to_address(field(er7), SCOPE) == expected


@pytest.mark.parametrize(
    ("er7", "expected"),
    [
        ("(860)555-0101", {"system": "phone", "value": "(860)555-0101", "use": "home"}),
        ("(860)555-0101^WPN^PH", {"system": "phone", "value": "(860)555-0101", "use": "work"}),
        ("(860)555-0101^PRN^CP", {"system": "phone", "value": "(860)555-0101", "use": "mobile"}),
        ("(860)555-0101^ORN^FX", {"system": "fax", "value": "(860)555-0101", "use": "home"}),
        ("^PRN^PH^^1^860^5550101^7", {"system": "phone", "value": "+1 860 5550101 X7", "use": "home"}),
        ("^PRN^PH^^^860^5550101", {"system": "phone", "value": "860 5550101", "use": "home"}),
        ("^PRN^PH^^^^^^^^^8605550101", {"system": "phone", "value": "8605550101", "use": "home"}),
        ("^NET^Internet^a@example.org", {"system": "email", "value": "a@example.org"}),
        ("^NET^^a@example.org", {"system": "email", "value": "a@example.org"}),
        ("^NET^BP^a@example.org", {"system": "email", "value": "a@example.org"}),
        ("^^PH^860-555-0101", {"system": "phone", "value": "860-555-0101", "use": "home"}),
        (
            "5^^ZZ^^^^^^^^^^2020^2021^^^^2",
            {
                "system": "other",
                "_system": beside("0202", "ZZ", ELM + "0202"),
                "value": "5",
                "use": "home",
                "rank": 2,
                "period": {"start": "2020", "end": "2021"},
            },
        ),
        ("5^TTY", {"system": "phone", "value": "5", "_use": beside("0201", "TTY", ELM + "0201")}),
        (
            "5^EMR^TTY",
            {
                "system": "other",
                "_system": beside("0202", "TTY"),
                "value": "5",
                "_use": beside("0201", "EMR"),
            },
        ),
        ("5^BPN", {"system": "pager", "value": "5"}),
        ("a@example.org^NET", {"system": "email", "value": "a@example.org"}),
        ("^PRN^PH", None),
    ],
)
def test_xtn_to_contact_point(er7, expected):
    assert xtn_to_contact_point(field(er7), SCOPE, use="home") == expected


@pytest.mark.parametrize(
    ("er7", "expected"),
    [
        (
            "1234567893^DEMO^DORA^B^JR^DR^MD^^NPI^L^^^NPI",
            {
                "resourceType": "Practitioner",
                "identifier": [
                    {
                        "system": "http://hl7.org/fhir/sid/us-npi",
                        "value": "1234567893",
                        "type": {
                            "coding": [
                                {"system": V2 + "0203", "code": "NPI", "display": "National provider identifier"}
                            ]
                        },
                    }
                ],
                "name": [
                    {
                        "use": "official",
                        "family": "DEMO",
                        "given": ["DORA", "B"],
                        "suffix": ["JR"],
                        "prefix": ["DR"],
                    }
                ],
                "qualification": [
                    {
                        "code": {
                            "coding": [{"system": V2 + "0360", "code": "MD", "display": "Doctor of Medicine"}],
                            "text": "MD",
                        }
                    }
                ],
            },
        ),
        (
            "77^DEMO",
            {
                "resourceType": "Practitioner",
                "name": [{"family": "DEMO"}],
                "identifier": [{"system": SID + "elm/ELMHOSP/practitioner", "value": "77"}],
            },
        ),
        (
            "77^^^^^^^^NPI",
            {"resourceType": "Practitioner", "identifier": [{"system": SID + "elm/NPI", "value": "77"}]},
        ),
        ("^DEMO^DORA", {"resourceType": "Practitioner", "name": [{"family": "DEMO", "given": ["DORA"]}]}),
        ("^^^^^^MD", None),
    ],
)
def test_xcn_to_practitioner(er7, expected):
    assert xcn_to_practitioner(field(er7), SCOPE) == expected


def test_a_practitioner_has_the_suffixes_and_the_period_of_their_name():
    later = "^" * 6
    doctor = xcn_to_practitioner(field(f"7^DEMO^DORA^^JR^^CNX^^^T{later}^2020&2021^F^^^FACP"), SCOPE)
    assert doctor["name"] == [
        {
            "_use": beside("0200", "T"),
            "family": "DEMO",
            "given": ["DORA"],
            "suffix": ["JR", "FACP"],
            "extension": [{"url": EXT + "humanname-assembly-order", "valueCode": "F"}],
            "period": {"start": "2020", "end": "2021"},
        }
    ]
    assert doctor["qualification"] == [{"code": {"text": "CNX"}}]
    assert SCOPE.unmapped[-1] == ("0360", "CNX")


def test_repetitions_of_the_same_names_are_one_person_with_all_their_numbers():
    """v2.5.1 ch. 3.4.3.7: several names and numbers of one doctor repeat PV1-7; other names are other doctors."""
    said = ("1245319599^DEMO^DORA^^^DR^MD^^NPI^L^^^NPI", "D7^Demo^Dora^Q", "D8^DEMO^DREW", "D9", "D10")
    people = one_each([xcn_to_practitioner(field(one), SCOPE) for one in said])
    assert [[number["value"] for number in one["identifier"]] for one in people] == [
        ["1245319599", "D7"], ["D8"], ["D9"], ["D10"],
    ]  # fmt: skip
    assert people[0]["name"][0]["given"] == ["DORA"]


@pytest.mark.parametrize(
    ("er7", "table", "expected"),
    [
        (
            "M",
            "0002",
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
                        "code": "M",
                        "display": "Married",
                    }
                ]
            },
        ),
        (
            "M^Married^HL70002",
            "0002",
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
                        "code": "M",
                        "display": "Married",
                    }
                ]
            },
        ),
        (
            "Verh",
            "0002",
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
                        "code": "M",
                        "display": "Married",
                    }
                ]
            },
        ),
        (
            "Q^Quirky",
            "0002",
            {
                "coding": [
                    {"system": "http://fhirgw.org/fhir/CodeSystem/elm-0002", "code": "Q", "display": "Quirky"}
                ]
            },
        ),
        (
            "Q^Quirky^99ELM",
            "0002",
            {
                "coding": [
                    {"system": "http://fhirgw.org/fhir/CodeSystem/elm-99elm", "code": "Q", "display": "Quirky"}
                ]
            },
        ),
        ("HEIM", "0112", {"coding": [disposition("home", "Home"), {"system": V2 + "0112", "code": "01"}]}),
        ("20", "0112", {"coding": [disposition("exp", "Expired"), {"system": V2 + "0112", "code": "20"}]}),
        (
            "01^Home^NUBC",
            "0112",
            {
                "coding": [
                    {
                        "system": "https://www.nubc.org/CodeSystem/PatDischargeStatus",
                        "code": "01",
                        "display": "Home",
                    }
                ]
            },
        ),
        (
            "F11.20^Opioid dependence^I10C^X1^Local^99ELM^2026^^words",
            None,
            {
                "coding": [
                    {
                        "system": "http://hl7.org/fhir/sid/icd-10-cm",
                        "version": "2026",
                        "code": "F11.20",
                        "display": "Opioid dependence",
                    },
                    {"system": "http://fhirgw.org/fhir/CodeSystem/elm-99elm", "code": "X1", "display": "Local"},
                ],
                "text": "words",
            },
        ),
        ("1^One^HL70131", None, {"coding": [{"system": V2 + "0131", "code": "1", "display": "One"}]}),
        (
            "1^One^https://example.org/cs",
            None,
            {"coding": [{"system": "https://example.org/cs", "code": "1", "display": "One"}]},
        ),
        ("1^One", None, {"coding": [{"code": "1", "display": "One"}]}),
        ("^Chest pain", None, {"text": "Chest pain"}),
        ("Chest pain", None, {"text": "Chest pain"}),
        ("A  B^x", None, {"coding": [{"code": "A B", "display": "x"}]}),
        ("^^I10", None, None),
    ],
)
def test_cwe_to_codeable_concept(er7, table, expected):
    assert cwe_to_codeable_concept(field(er7), SCOPE, table) == expected
