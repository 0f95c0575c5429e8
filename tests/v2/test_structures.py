"""Trigger event to structure, held to what hl7apy ships of each version."""

import pytest
from hl7apy import load_reference

from fhirgw.v2.ack import VERSIONS
from fhirgw.v2.structures import STRUCTURES, structure_of

EVENTS = [f"A{number:02}" for number in (*range(1, 18), *range(21, 32), *range(34, 52), 54, 55, 60, 61, 62)]
WITHDRAWN = {f"A{number}" for number in (30, 34, 35, 36, 46, 47, 48, 49)}  # from v2.7 on; hl7apy does not have them
LATER = {"2.1": "A24", "2.2": "A37", "2.3": "A53", "2.3.1": "A53"}
NOT_IN_HL7APY = {("A37", "2.3"), ("A37", "2.3.1")}


@pytest.mark.parametrize("version", sorted(VERSIONS - {"2.7.1"}))
def test_every_event_that_a_version_has_has_a_structure_of_that_version(version):
    for trigger in EVENTS:
        structure = structure_of(trigger, version)
        gone = version >= "2.7" and trigger in WITHDRAWN
        to_come = trigger > LATER.get(version, "A99")
        if not (gone or to_come or (trigger, version) in NOT_IN_HL7APY):
            load_reference(structure, "Message", version)
        assert structure in STRUCTURES or structure == f"ADT_{trigger}"


def test_an_event_that_the_standard_does_not_have_has_no_structure():
    assert structure_of("A99") is structure_of("") is structure_of("Z01", "2.1") is None


def test_an_unknown_version_is_taken_for_the_usual_one():
    assert structure_of("A04", "9") == "ADT_A01"


def test_each_event_is_in_one_structure():
    triggers = [trigger for each in STRUCTURES.values() for trigger in each]
    assert len(triggers) == len(set(triggers))
    assert set(EVENTS) <= set(triggers)
