"""What a Consent says, in plain words, and what is wrong with it."""

import pytest
from consent_cases import AT, ICD, actor, concept, consent, datum, purpose, roi, security, types

from fhirgw.consent.closure import Supporting
from fhirgw.consent.lint import lint
from fhirgw.consent.model import ConsentSettings

ORGANIZATIONS = Supporting([{"resourceType": "Organization", "id": "a"}])


UNTYPED = {"reference": {"identifier": {"system": "npi", "value": "1"}}}
HIGHER = "confidentiality R or higher"


def told(*consents):
    return lint(consents, ORGANIZATIONS, AT, ConsentSettings())


def kinds(*consents):
    return [(finding.kind, finding.path) for finding in told(*consents)[0].findings]


def test_a_rule_in_plain_words():
    made = roi(
        "R", "SUD", provision=[
            {"type": "deny", "code": [concept(ICD, "F11.20")], "dataPeriod": {"start": "2026"}},
            {"type": "deny", "actor": [actor("Practitioner/bob")]},
            {"type": "deny", "data": [datum("related", "Encounter/e")], "class": types("Goal")},
            {"type": "deny", "securityLabel": security("R"), "period": {"start": "2026-05-01"}},
        ],
    )  # fmt: skip
    [report] = told(made)
    assert [one.kind for one in report.findings] == ["narrow"]
    assert report.permits == (
        "provision: Organization/a, for TREAT, any type, no category but SUD, confidentiality R or lower",
    )
    assert [said.partition(": ")[2] for said in report.denies] == [
        f"Organization/a, for TREAT, any type, labelled SUD or {HIGHER}, code F1120, dated from 2026-01-01",
        "Practitioner/bob, for any purpose, any type",
        f"Organization/a, for TREAT, Goal, labelled SUD or {HIGHER}, related Encounter/e",
        f"Organization/a, for TREAT, any type, labelled {HIGHER}, during 2026-05-01 to …",
    ]


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (roi(code={"coding": []}), [("unenforceable", "")]),
        (roi() | {"status": "draft"}, [("not-in-force", "")]),
        (roi() | {"performer": [{"reference": "RelatedPerson/x"}]}, [("not-in-force", "")]),
        (roi(period={"start": "2026", "end": "2026-07-01"}), [("expiring", "")]),
        (roi(period={"start": "2026"}), [("incomplete", "provision")]),
        (roi(period={"start": "2026"}, purpose=purpose("PATRQT")), [("incomplete", "provision")] * 3),
        (roi(provision=[{"type": "deny"}]), [("contradictory", "provision")]),
        (roi(provision=[{"type": "deny", "actor": [UNTYPED]}]), [("ambiguous", "provision.provision[0]")]),
        (roi(provision=[{"type": "deny", "securityLabel": security("R")}]) | {"status": "inactive"},
         [("not-in-force", ""), ("residual", "")]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(made, found):
    assert kinds(made) == found


def test_a_permit_below_a_deny_is_an_exception_and_no_contradiction():
    made = roi(type="deny", provision=[{"type": "permit", "class": types("Goal")}])
    assert [kind for kind, _ in kinds(made)] == []


def test_another_consent_may_shadow_a_permit():
    never = consent({"type": "deny", "actor": [actor("Organization/a")]}, name="never")
    assert ("shadowed", "provision") in kinds(roi(), never)
    assert kinds(roi(), never | {"status": "inactive"}) == []
    assert kinds(roi(), never | {"patient": {"reference": "Patient/q"}}) == []
    assert kinds(roi(), consent({"type": "deny", "actor": [actor("Organization/b")]}, name="never")) == []
