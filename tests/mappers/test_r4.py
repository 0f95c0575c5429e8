"""The typed models as oracle."""

import pytest

from fhirgw.errors import InvalidElement, MissingElement
from fhirgw.r4 import model, validate


def test_a_structurally_sound_resource_passes():
    validate({"resourceType": "Patient", "gender": "female", "birthDate": "1984-03"})
    assert model("Encounter").__name__ == "Encounter"


@pytest.mark.parametrize(
    ("resource", "locations"),
    [
        ({"resourceType": "Patient", "gendre": "x", "birthDate": "soon"}, {"Patient.gendre", "Patient.birthDate"}),
        ({"resourceType": "Encounter", "status": "planned"}, {"Encounter.class"}),
        ({"resourceType": "Provenance", "target": [{"reference": 7}]}, {"Provenance.target.0.reference"}),
    ],
)
def test_every_finding_is_located_and_holds_no_value(resource, locations):
    with pytest.raises(ExceptionGroup) as found:
        validate(resource)
    assert locations <= {finding.location for finding in found.value.exceptions}
    assert not any("soon" in finding.text for finding in found.value.exceptions)


def test_a_resource_must_say_what_it_is():
    with pytest.raises(MissingElement):
        validate({})
    with pytest.raises(InvalidElement):
        validate({"resourceType": "Nonsense"})
