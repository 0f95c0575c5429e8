"""Who may not know of the acuity assessment learns no tier from the plan of contacts (docs/leaks.md)."""

import json

import pytest
from icm_cases import mapped

from fhirgw.consent.labels import LabelContext, label
from fhirgw.consent.predicate import ALWAYS, ConfAtMost, LabelsWithin, both
from fhirgw.consent.redact import redact
from fhirgw.consent.vocabulary import NORMAL
from fhirgw.profiles.validation import problems

NORMAL_ALONE = both([LabelsWithin(0), ConfAtMost(NORMAL)])


def contacts(name):
    found = [
        one for one in mapped(name) if "icm-tier" in json.dumps(one) and one["resourceType"] == "ServiceRequest"
    ]
    assert found
    return found


@pytest.mark.parametrize("name", ["ct-bhp"])
def test_without_the_assessment_the_contact_stays_and_the_tier_and_its_cadence_go(name):
    for request in contacts(name):
        assert problems(request) == []
        labels = label(request, LabelContext(lambda _: (0, 0)))
        shown = redact(request, labels, NORMAL_ALONE)
        assert shown is not None
        assert shown["code"]["coding"][0]["code"] == "contact"
        assert "tier" not in json.dumps(shown)
        assert not shown.keys() & {"occurrenceTiming", "reasonCode"}
        whole = redact(request, labels, ALWAYS)
        assert whole["occurrenceTiming"].keys() == {"repeat"}
        assert "tier" in json.dumps(whole["reasonCode"])
