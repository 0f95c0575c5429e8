"""Each data type: a table of ER7 → FHIR JSON."""

import pytest
from elm_sender import ELM, EXT, SCOPE, SID, V2, beside, disposition, field

from fhirgw.mappers.datatypes import (
    cwe_to_codeable_concept,
    cx_to_identifier,
    xad_to_address,
    xtn_to_contact_point,
)


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
