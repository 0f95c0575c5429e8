"""The CapabilityStatement is valid R4 and says what the tables hold."""

from datetime import date

import pytest

from fhirgw.profiles import definitions, search
from fhirgw.profiles.capability import Offer, capability_statement
from fhirgw.profiles.validation import problems

STATED = date(2026, 1, 2)
READ = ("read", "vread", "history-instance", "search-type")


def statement(*offers, **more):
    return capability_statement(offers, base_url="https://gw.example/fhir", version="1.2.3", stated=STATED, **more)


def test_a_statement_of_every_type_is_valid():
    offers = [Offer(kind, READ) for kind in definitions.resource_types()]
    found = statement(*offers, token_url="https://gw.example/token", interactions=["transaction"])
    assert problems(found) == []
    assert [resource["type"] for resource in found["rest"][0]["resource"]] == sorted(definitions.resource_types())


def test_a_statement_of_nothing_is_valid():
    assert problems(statement()) == []


def test_it_names_every_parameter_that_is_indexed_with_its_definition():
    (resource,) = statement(Offer("CarePlan", READ))["rest"][0]["resource"]
    assert {
        (parameter["name"], parameter["type"], parameter["definition"]) for parameter in resource["searchParam"]
    } == {(found.code, found.kind, found.url) for found in search.parameters("CarePlan").values()}


def test_it_offers_only_what_it_is_given():
    offer = Offer("Goal", ("read", "update", "search-type"), parameters=("patient",), includes=("Goal:subject",))
    (resource,) = statement(offer, Offer("Goal", ("read",)))["rest"][0]["resource"][:1]
    assert [parameter["name"] for parameter in resource["searchParam"]] == ["patient"]
    assert (resource["searchInclude"], resource["versioning"]) == (["Goal:subject"], "versioned-update")
    assert "searchParam" not in statement(Offer("Goal", ("read",)))["rest"][0]["resource"][0]


def test_every_reference_can_be_included_unless_said_otherwise():
    (resource,) = statement(Offer("CarePlan", READ, includes=None))["rest"][0]["resource"]
    assert "CarePlan:goal" in resource["searchInclude"]
    assert "CarePlan:date" not in resource["searchInclude"]


def test_a_parameter_that_is_not_indexed_cannot_be_offered():
    with pytest.raises(KeyError):
        statement(Offer("Goal", READ, parameters=("colour",)))


def test_the_token_endpoint_is_where_smart_clients_look():
    security = statement(token_url="https://gw.example/token")["rest"][0]["security"]
    assert security["extension"][0]["extension"] == [{"url": "token", "valueUri": "https://gw.example/token"}]
