"""Tasks of the programme's staff about Consents: what is unenforceable, contradictory, residual, void or expiring.

Who has a Consent that is written, begins, or is soon to end, is looked at (``store.consent_clock``): a Task is
raised for each Consent and kind of duty, and closed when the duty is gone. What a person has closed stays so, until
that Consent changes. Nobody outside the programme can see such a Task, nor that there is one.
See: the consent specification, §2.4 (no. 8, entered-in-error, residual exceptions).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from fhirgw import metrics
from fhirgw.consent.duties import REVIEW, Duty, duties, judged, next_turn, task_about
from fhirgw.consent.model import ConsentSettings, Json
from fhirgw.emergency import STAFF
from fhirgw.mappers.ids import resource_id
from fhirgw.profiles.validation import require_valid
from fhirgw.store import consent_clock, policy, repository
from fhirgw.store.database import Database, Transaction
from fhirgw.store.stored import instant
from fhirgw.store.task_clock import OPEN
from fhirgw.terminology import BASE

BATCH: Final = 64
CODE: Final = {
    "system": f"{BASE}/CodeSystem/icm-task",
    "code": REVIEW,
    "display": "Settle what a consent leaves open",
}
GONE: Final = {"text": "The reason is gone."}
"""Why a Task was closed by the gateway, and not by a person."""


async def review_due(database: Database, settings: ConsentSettings, id_key: bytes) -> int:
    """Look at everybody who is due, a batch to a transaction; how many Tasks were raised or closed."""
    total = 0
    while (changed := await database.write(partial(review, settings=settings, id_key=id_key))) is not None:
        total += changed
    return total


def review(tx: Transaction, *, settings: ConsentSettings, id_key: bytes) -> int | None:
    """Look at a batch of those who are due; how many Tasks were raised or closed, None: nobody was due."""
    patients = consent_clock.due(tx.connection, tx.now, BATCH)
    if not patients:
        return None
    at = datetime.fromtimestamp(tx.now / 1_000_000, UTC)
    changed = 0
    for known in policy.load(tx.connection, patients):
        consents = judged(known, settings, at)
        turn = next_turn(consents, at)
        consent_clock.note(tx, known.patient, None if turn is None else int(turn.timestamp() * 1_000_000))
        owed = duties(tuple(one for one in consents if one.record not in known.others))
        changed += _settle(tx, known.patient, owed, id_key)
    metrics.consent_tasks.inc(changed)
    return changed


def _settle(tx: Transaction, patient: str, owed: Iterable[Duty], id_key: bytes) -> int:
    """Raise what is owed, and close what is not any more; how many Tasks changed."""
    there = {
        task_about(one.body): one.body
        for one in repository.of_patient(tx.connection, patient, "Task")
        if any(coding.get("code") == REVIEW for coding in one.body.get("code", {}).get("coding", ()))
    }
    wanted = {
        (duty.of, duty.kind): _raised(
            duty, patient, resource_id(id_key, "Task", duty.of, duty.kind), there.get((duty.of, duty.kind)), tx.now
        )
        for duty in owed
    }
    gone = {
        key: {**task, "status": "completed", "statusReason": GONE}
        for key, task in there.items()
        if key not in wanted and task["status"] in OPEN
    }
    changed = [task for key, task in (wanted | gone).items() if task != there.get(key)]
    for task in changed:
        require_valid(task)
        repository.put(tx, task)
    return len(changed)


def _raised(duty: Duty, patient: str, logical: str, before: Json | None, now: int) -> Json:
    """The Task as it is to be: new, or with what it says now; as it is, where a person has closed it."""
    version = [{"type": {"text": "version"}, "valueString": duty.version}]
    task: Json = {
        "resourceType": "Task",
        "id": logical,
        "meta": {"security": [STAFF]},
        "status": "requested",
        "intent": "order",
        "code": {"coding": [CODE]},
        "description": duty.text,
        "focus": {"reference": duty.of},
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": instant(now),
        "reasonCode": {"text": duty.kind},
        "input": version,
    }
    if before is None:
        return task
    if before["status"] in OPEN:  # whoever has taken it up keeps it
        return {**before, "description": duty.text, "input": version}
    settled = before.get("statusReason") != GONE and before.get("input") == version
    return before if settled else task
