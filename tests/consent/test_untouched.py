"""What redaction sees at a glance that it would not touch is what it would have made of it."""

import orjson
from example_counts import examples
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fhirgw.consent.labels import Labels
from fhirgw.consent.predicate import ALWAYS
from fhirgw.consent.redact import redact
from fhirgw.terminology import GENDER_IDENTITY_LABEL

NAMES = ("id", "meta", "text", "extension", "reference", "note")
NESTED = {"resourceType": "Goal", "id": "x", "text": {"div": "hidden"}}
TRAPS = (
    None,
    "#x",
    {"reference": "#x"},
    {"reference": "#"},
    'a "text" of [] and {}',
    NESTED,
    GENDER_IDENTITY_LABEL,
)
ELEMENTS = st.recursive(
    st.sampled_from((1, "Condition", {"reference": "Patient/p"}, *TRAPS)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=4,
)
RESOURCES = st.fixed_dictionaries(
    {"resourceType": st.just("Condition")},
    optional={
        "contained": st.lists(st.sampled_from((NESTED, {"id": "x"})), min_size=1, max_size=2),
        "extension": st.lists(st.sampled_from((GENDER_IDENTITY_LABEL, {"url": "u"})), max_size=2),
        "text": st.just({"div": "hidden"}), "note": ELEMENTS, "subject": ELEMENTS,
    },
)  # fmt: skip
NOTHING_HIDDEN = Labels(0, 3)


@hypothesis_settings(max_examples=examples(200), deadline=None, suppress_health_check=list(HealthCheck))
@example({"resourceType": "Condition", "note": NESTED})
@given(RESOURCES)
def test_what_is_handed_out_at_a_glance_is_what_redaction_leaves(resource):
    text = orjson.dumps(resource)
    assert redact(resource, NOTHING_HIDDEN, ALWAYS, text=text) == redact(resource, NOTHING_HIDDEN, ALWAYS)
    assert orjson.dumps(resource) == text
