"""Messages about somebody who may be one of the people here wait until a person has said who it is.

Nothing is linked on a score: a message without a known identifier is compared with members and candidates; who is
like none of them leaves a journal row (docs/decisions/0008), everybody else opens a review with a Task. Confirmed,
the messages are processed in their order and the identifiers are bound; rejected, nobody is asked again.
(DESIGN §4; docs/decisions/0105.)
"""

from collections.abc import Callable, Iterable

from fhirgw.audit import Entry, Ledger
from fhirgw.consent.model import Json
from fhirgw.errors import InvalidElement, ProfileViolation
from fhirgw.ingest.precedence import put
from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.ids import resource_id
from fhirgw.matching import Model, sought, traits
from fhirgw.store import candidates, journal, repository, reviews
from fhirgw.store.database import Database, Transaction
from fhirgw.terminology import BASE

TASK = "match-review"


class Reviews:
    """Asks who somebody is, and takes the answer."""

    def __init__(
        self, database: Database, ledger: Ledger, *, model: Model, id_key: bytes, new_id: Callable[[], str]
    ) -> None:
        """Compose; the arguments are those of ``Ingest``."""
        self._database = database
        self._ledger = ledger
        self._model = model
        self._id_key = id_key
        self._new_id = new_id

    # --- what the feed asks ---------------------------------------------------------------------------------------

    def confirmed(self, tx: Transaction, event: AdtEvent) -> str | None:
        """Whom a person has said this to be.

        Raises:
            ProfileViolation: Different people, for its different identifiers.
        """
        if not reviews.any_(tx.direct):  # the usual case: nothing was ever asked
            return None
        known, _ = reviews.decided(tx.direct, self._subjects(event.identifiers))
        if len(known) > 1:
            text = "The identifiers of this message were confirmed to be of different people; look at it again."
            raise ProfileViolation(text, location="PID-3")
        return known.pop() if known else None

    def wait(self, tx: Transaction, row: int, event: AdtEvent) -> bool:
        """Whether a person has to say who this is; the question is open then, and the message waits."""
        wanted = traits(event.patient)
        rated = {
            patient: found.probability
            for patient, found in self._model.rank(wanted, candidates.in_care(tx, sought(wanted)))
        }
        subjects = self._subjects(event.identifiers) if rated else []
        if not subjects:
            return False
        _, rejected = reviews.decided(tx.direct, subjects)
        rated = {patient: probability for patient, probability in rated.items() if patient not in rejected}
        if not rated:
            return False
        review, _ = reviews.wait(tx, row, event.sender, subjects, rated)
        self._task(tx, review)
        journal.mark_waiting(tx, row)
        return True

    def answered(self, tx: Transaction, event: AdtEvent, patient: str) -> None:
        """A message says by its identifiers whom a review asks about: what waits for it is due."""
        if not reviews.any_(tx.direct):
            return
        for review in reviews.waiting_for(tx.direct, self._subjects(event.identifiers)):
            if patient in {one.patient for one in reviews.get(tx.direct, review).candidates}:
                self._decide(tx, review, [patient], "confirmed")

    # --- what a person says ---------------------------------------------------------------------------------------

    async def confirm(self, review: int, patient: str) -> list[int]:
        """It is this one; the journal ids of the messages that are due now, in their order.

        Raises:
            NotFound: There is no such review.
            InvalidElement: It is closed, or does not ask about this patient.
        """
        return await self._database.write(lambda tx: self._say(tx, review, [patient], "confirmed"))

    async def reject(self, review: int, patient: str | None = None) -> list[int]:
        """It is not this one, or (None) none of them; the messages that are due now: none while others are left.

        Raises:
            NotFound: There is no such review.
            InvalidElement: It is closed, or does not ask about this patient.
        """

        def unit(tx: Transaction) -> list[int]:
            asked = reviews.get(tx.direct, review).candidates
            left = [one.patient for one in asked if one.state == "open"]
            return self._say(tx, review, left if patient is None else [patient], "rejected")

        return await self._database.write(unit)

    def _say(self, tx: Transaction, review: int, patients: list[str], state: str) -> list[int]:
        asked = reviews.get(tx.direct, review)
        if asked.state != "open":
            raise InvalidElement("This review is closed.", location="review")
        if not {*patients} <= {one.patient for one in asked.candidates if one.state == "open"}:
            raise InvalidElement("This review does not ask about this patient.", location="patient")
        due = self._decide(tx, review, patients, state)
        about = (f"Task/{self._task_id(review)}", *(f"journal/{row}" for row in asked.messages))
        self._ledger.append(tx, [self._entry(patient, state, about) for patient in patients])
        return due

    def _decide(self, tx: Transaction, review: int, patients: Iterable[str], state: str) -> list[int]:
        for patient in patients:
            reviews.decide(tx, review, patient, state)
        self._task(tx, review)
        known = reviews.get(tx.direct, review)
        if known.state == "open":
            return []
        return journal.mark_due(tx, known.messages)

    def _entry(self, patient: str, state: str, about: tuple[str, ...]) -> Entry:
        said = {"confirmed": "match-confirm", "rejected": "match-reject"}[state]
        return Entry(patient, "operator", None, "HOPERAT", False, said, about, (), self._new_id())

    # --- both -----------------------------------------------------------------------------------------------------

    def _subjects(self, identifiers: Iterable[tuple[str, str, str | None]]) -> list[str]:
        """Of a stranger's identifiers nothing is kept that could be read."""
        return [resource_id(self._id_key, "match", system, value) for system, value, _ in identifiers]

    def _task_id(self, review: int) -> str:
        return resource_id(self._id_key, "Task", TASK, str(review))

    def _task(self, tx: Transaction, review: int) -> None:
        """The Task of a review. It is for nobody: it names who may be meant, and no consent shows it outside."""
        known = reviews.get(tx.direct, review)
        code = {"system": f"{BASE}/CodeSystem/icm-task", "code": TASK, "display": "Say whom messages are about"}
        chosen = [one.patient for one in known.candidates if one.state == "confirmed"]
        task: Json = {
            "resourceType": "Task",
            "id": self._task_id(review),
            "identifier": [{"system": f"{BASE}/sid/match-review", "value": str(review)}],
            "status": "requested" if known.state == "open" else "completed",
            "intent": "order",
            "code": {"coding": [code]},
            "authoredOn": repository.instant(known.opened_at),
            "input": [_named("candidate", one.patient) for one in known.candidates],
        }
        put(tx, task | ({"output": [_named("confirmed", one) for one in chosen]} if chosen else {}))


def _named(what: str, patient: str) -> Json:
    return {"type": {"text": what}, "valueReference": {"reference": f"Patient/{patient}"}}
