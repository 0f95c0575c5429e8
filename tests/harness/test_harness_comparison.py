"""What counts as lost, changed or added between what was sent and what came back."""

import json

import pytest

from fhirgw.harness.comparison import compare, read_json, untolerated

BASE = "http://example.org/fhir"
PATIENT = {
    "resourceType": "Patient",
    "id": "a",
    "meta": {"tag": [{"system": "s", "code": "one"}, {"system": "s", "code": "two"}]},
    "birthDate": "1980-01-01",
    "name": [{"family": "Testperson"}],
    "generalPractitioner": [{"reference": "Practitioner/b"}],
}


def found(sent, returned):
    both = [read_json(json.dumps(one)) for one in (sent, returned)]
    return [(one.path, one.kind) for one in untolerated(compare(*both, BASE))]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"birthDate": "1980-01-02"}, [("Patient.birthDate", "changed")]),
        ({"gender": "female"}, [("Patient.gender", "added")]),
        ({"birthDate": None}, [("Patient.birthDate", "lost")]),
        ({"name": [{"family": "Testperson", "given": ["X"]}]}, [("Patient.name[0].given", "added")]),
        ({"meta": {"tag": [{"system": "s", "code": "one"}]}}, [("Patient.meta.tag[1]", "lost")]),
    ],
)
def test_what_is_otherwise_is_named_by_its_path(change, expected):
    returned = {name: value for name, value in {**PATIENT, **change}.items() if value is not None}
    assert found(PATIENT, returned) == expected


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"meta": {"tag": PATIENT["meta"]["tag"][::-1]}},
        {"meta": {**PATIENT["meta"], "versionId": "7", "lastUpdated": "2026-01-01T00:00:00Z", "source": "#x"}},
        {"generalPractitioner": [{"reference": f"{BASE}/Practitioner/b"}]},
        {"text": {"status": "generated", "div": "<div/>"}},
    ],
)
def test_what_any_server_may_do_is_tolerated(change):
    assert found(PATIENT, {**PATIENT, **change}) == []


def test_what_is_tolerated_is_still_told_with_its_reason():
    returned = {**PATIENT, "meta": {**PATIENT["meta"], "versionId": "7"}}
    (one,) = compare(PATIENT, returned, BASE)
    assert (one.path, one.reason) == ("Patient.meta.versionId", "Given by the server (R4 Resource.meta).")


def test_the_digits_of_a_decimal_count():
    sent, returned = (
        read_json(f'{{"resourceType":"Observation","valueQuantity":{{"value":{digits}}}}}')
        for digits in ("72.50", "72.5")
    )
    assert [one.path for one in compare(sent, returned, BASE)] == ["Observation.valueQuantity.value"]


def test_utc_is_utc_in_either_form():
    def sent(at):
        return {"resourceType": "Observation", "issued": at}

    assert found(sent("2026-01-01T10:00:00Z"), sent("2026-01-01T10:00:00+00:00")) == []
    assert found(sent("2026-01-01T10:00:00Z"), sent("2026-01-01T12:00:00+02:00")) != []
