"""What a Consent leaves open is the staff's work: a Task for each Consent and kind, and nobody else's business."""

from datetime import UTC, datetime

import pytest
from composed_gateway import composed

from fhirgw import consent_tasks
from fhirgw.asks import Search
from fhirgw.consent.explain import explain
from fhirgw.consent.model import ConsentSettings
from fhirgw.profiles.validation import problems
from fhirgw.store import policy, repository

EXCEPTION = {"type": "deny", "securityLabel": [
    {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}]}  # fmt: skip


ANNA = {"resourceType": "Patient", "id": "anna", "name": [{"family": "Testperson"}]}


@pytest.fixture
def whole(tmp_path):
    with composed(tmp_path) as gateway:
        gateway.gateway.database.write_sync(lambda tx: repository.put(tx, ANNA))
        gateway.gateway.database.write_sync(lambda tx: policy.enrol(tx, "anna", "ct-bhp", "active"))
        review(gateway)
        yield gateway


def review(whole):
    def unit(tx):
        changed = 0
        while (more := consent_tasks.review(tx, settings=ConsentSettings(), id_key=b"k")) is not None:
            changed += more
        return changed

    return whole.gateway.database.write_sync(unit)


def ours(whole):
    tasks = [one for one in whole.bodies("Task") if one["code"]["coding"][0]["code"] == "consent-review"]
    return [one for one in tasks if one["for"]["reference"] == "Patient/anna"]


def standings(whole):
    """What the Tasks are for, and how they stand."""
    return {(one["focus"]["reference"], one["reasonCode"]["text"]): one["status"] for one in ours(whole)}


def put(whole, **changes):
    """Anna's release to Elm, with these changes."""
    anna = {"reference": "Patient/anna"}
    provision = {
        "type": "permit", "period": {"start": "2026-01-01", "end": "2027-12-31"},
        "actor": [{"role": {"text": "IRCP"}, "reference": {"reference": "Organization/elm"}}],
    } | changes.pop("provision", {})  # fmt: skip
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    made = {
        "resourceType": "Consent", "id": "one", "status": "active", "scope": {"coding": [scope]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}], "patient": anna,
        "dateTime": "2026-01-01", "performer": [anna], "provision": provision,
    } | changes  # fmt: skip
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, made))


UNREAD = {"modifierExtension": [{"url": "http://example.org/unknown", "valueBoolean": True}]}
OPENS = [
    ("unenforceable", {"provision": UNREAD}),
    ("residual", {"status": "inactive", "provision": {"provision": [EXCEPTION]}}),
    ("void", {"status": "entered-in-error"}),
    ("contradictory", {"provision": {"type": "deny", "provision": [
        {"type": "permit"}, {"type": "deny", "actor": [{"role": {"text": "IRCP"},
                                                       "reference": {"reference": "Organization/elm"}}]}]}}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "changes"), OPENS, ids=[kind for kind, _ in OPENS])
def test_what_a_consent_leaves_open_is_a_task_until_it_is_corrected(whole, kind, changes):
    put(whole, **changes)
    assert review(whole) > 0
    assert standings(whole)["Consent/one", kind] == "requested"
    [task] = [one for one in ours(whole) if one["reasonCode"]["text"] == kind]
    assert problems(task) == []
    assert task["for"]["reference"] == "Patient/anna"
    put(whole)
    review(whole)
    assert standings(whole)["Consent/one", kind] == "completed"


def test_what_is_soon_to_end_is_found_by_the_clock(whole):
    """Thirty days before its end, and no sooner; when it has ended there is nothing to renew."""
    end = datetime.fromtimestamp(whole.clock.now / 1_000_000 + 40 * 86_400, UTC)
    put(whole, provision={"period": {"end": end.date().isoformat()}})
    review(whole)
    assert standings(whole) == {}
    whole.clock.tick(days=12)
    review(whole)
    assert standings(whole) == {("Consent/one", "expiring"): "requested"}
    whole.clock.tick(days=32)
    review(whole)
    assert standings(whole) == {("Consent/one", "expiring"): "completed"}
    whole.clock.tick(days=300)
    assert review(whole) == 0


def test_what_a_person_has_closed_stays_so_until_the_consent_changes(whole):
    put(whole, provision=UNREAD)
    review(whole)
    [task] = ours(whole)
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, task | {"status": "rejected"}))
    put(whole, provision=UNREAD, language="en")
    review(whole)
    assert standings(whole) == {("Consent/one", "unenforceable"): "requested"}
    [again] = ours(whole)
    assert again["id"] == task["id"]
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, again | {"status": "rejected"}))
    whole.gateway.database.write_sync(lambda tx: consent_tasks.consent_clock.note(tx, "anna", whole.clock.now))
    assert review(whole) == 0
    assert standings(whole) == {("Consent/one", "unenforceable"): "rejected"}


def test_the_same_again_and_a_consent_that_is_gone(whole):
    """A Task is taken up once; of a Consent that was deleted nobody has to settle anything."""
    put(whole, provision=UNREAD)
    assert review(whole) == 1
    [task] = ours(whole)
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, task | {"status": "in-progress"}))
    put(whole, provision=UNREAD)
    assert review(whole) == 0
    whole.gateway.database.write_sync(lambda tx: repository.delete(tx, "Consent", "one"))
    review(whole)
    assert standings(whole) == {("Consent/one", "unenforceable"): "completed"}


async def test_staff_see_it_and_explain_names_it(whole):
    put(whole, provision=UNREAD)
    review(whole)
    [task] = ours(whole)
    seen = await whole.gateway.share.release(whole.requester("icm-system"), Search("Task", (("_id", task["id"]),)))
    assert task["id"].encode() in seen.body
    with whole.gateway.database.read() as connection:
        [known] = policy.load(connection, ["anna"])
        record = [(one.body, one.labels) for one in repository.compartment(connection, "anna")]
    at = datetime.fromtimestamp(whole.clock.now / 1_000_000, UTC)
    [duty] = explain([], known, record, ConsentSettings(), at).duties
    assert (duty.kind, duty.of, duty.task) == ("unenforceable", "Consent/one", f"Task/{task['id']}")
