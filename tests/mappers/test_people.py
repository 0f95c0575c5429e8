"""Names and numbers of people: XPN and XCN."""

import pytest
from elm_sender import ELM, EXT, SCOPE, SID, V2, beside, field

from fhirgw.mappers.people import one_each, xcn_to_practitioner, xpn_to_human_names


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
