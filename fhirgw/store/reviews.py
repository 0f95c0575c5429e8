"""What waits for a person: messages about somebody who may be one of the people here, and what was decided.

Of the somebody a review keeps no more than keyed hashes of identifiers: until a person has said who it is, it may
be a stranger, of whom only the journal holds anything (docs/decisions/0008).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Text, bindparam, delete, func, insert, select, update

from fhirgw.errors import NotFound
from fhirgw.store.database import Transaction
from fhirgw.store.predicate import among, one_of, several
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import match_candidate, match_message, match_review, match_subject

WHOLE = 10_000  # probabilities are kept in ten-thousandths

_ANY = Prepared(select(match_subject.c.digest).limit(1))
_OF_THEM = one_of(match_subject.c.digest, bindparam("of", type_=Text), several=True)
_DECIDED = Prepared(
    select(match_candidate.c.patient, match_candidate.c.state)
    .join(match_subject, match_subject.c.review == match_candidate.c.review)
    .where(_OF_THEM)
)
_WAITING = Prepared(
    select(match_review.c.id)
    .join(match_subject, match_subject.c.review == match_review.c.id)
    .where(match_review.c.state == "open", _OF_THEM)
    .distinct()
    .order_by(match_review.c.id)
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who it may be.

    Attributes:
        patient: Logical id.
        probability: As of the latest message.
        state: open, confirmed or rejected.
    """

    patient: str
    probability: float
    state: str


@dataclass(frozen=True, slots=True)
class Review:
    """One somebody, the candidates with the likeliest first, and the journal ids of the messages in their order."""

    id: int
    opened_at: int
    sender: str
    state: str
    candidates: tuple[Candidate, ...]
    messages: tuple[int, ...]


def any_(connection: Connection) -> bool:
    """Whether anything was ever asked."""
    return _ANY.first(connection) is not None


def decided(connection: Connection, subjects: Iterable[str]) -> tuple[set[str], set[str]]:
    """Whom a person has said it is, and whom a person has said it is not."""
    rows = _DECIDED.rows(connection, of=several(subjects))
    confirmed = {patient for patient, state in rows if state == "confirmed"}
    return confirmed, {patient for patient, state in rows if state == "rejected"} - confirmed


def wait(
    tx: Transaction, message: int, sender: str, subjects: Iterable[str], candidates: Mapping[str, float]
) -> tuple[int, bool]:
    """Let a message wait for the review of these subjects; its id, and whether it is a new one.

    Args:
        tx: The unit of work.
        message: Journal id.
        sender: Whose message it is.
        subjects: Keyed hashes of its identifiers.
        candidates: Patient to probability.
    """
    known = set(subjects)
    review = _open(tx.connection, known)
    new = review is None
    if review is None:
        opened = insert(match_review).values(opened_at=tx.now, sender=sender, state="open", decided_at=None)
        review = tx.connection.execute(opened.returning(match_review.c.id)).scalar_one()
    of = match_subject.c.review == review
    missing = known - set(tx.connection.scalars(select(match_subject.c.digest).where(of)))
    for digest in sorted(missing):
        tx.connection.execute(insert(match_subject).values(digest=digest, review=review))
    for patient, probability in sorted(candidates.items()):
        _propose(tx, review, patient, round(probability * WHOLE))
    tx.connection.execute(delete(match_message).where(match_message.c.journal == message))
    tx.connection.execute(insert(match_message).values(journal=message, review=review))
    return review, new


def _open(connection: Connection, subjects: Iterable[str]) -> int | None:
    found: int | None = connection.scalar(
        select(func.min(match_review.c.id))
        .join(match_subject, match_subject.c.review == match_review.c.id)
        .where(match_review.c.state == "open", among(match_subject.c.digest, subjects))
    )
    return found


def _propose(tx: Transaction, review: int, patient: str, probability: int) -> None:
    of = (match_candidate.c.review == review, match_candidate.c.patient == patient)
    if not tx.connection.execute(update(match_candidate).where(*of).values(probability=probability)).rowcount:
        row = {"review": review, "patient": patient, "probability": probability, "state": "open"}
        tx.connection.execute(insert(match_candidate).values(row))


def waiting_for(connection: Connection, subjects: Iterable[str]) -> list[int]:
    """The open reviews of these subjects."""
    return [review for (review,) in _WAITING.rows(connection, of=several(subjects))]


def decide(tx: Transaction, review: int, patient: str, state: str) -> None:
    """Note what was said of a candidate: confirmed closes the review, as does the last one rejected."""
    of = match_candidate.c.review == review
    one = match_candidate.c.patient == patient
    tx.connection.execute(update(match_candidate).where(of, one).values(state=state))
    if state == "confirmed":
        rest = update(match_candidate).where(of, match_candidate.c.patient != patient)
        tx.connection.execute(rest.values(state="rejected"))
    left = tx.connection.scalar(select(func.count()).where(of, match_candidate.c.state == "open"))
    if not left:
        closed = {"state": state, "decided_at": tx.now}
        tx.connection.execute(update(match_review).where(match_review.c.id == review).values(closed))


def get(connection: Connection, review: int) -> Review:
    """One review.

    Raises:
        NotFound: There is no such review.
    """
    found = list_(connection, state=None, only=review)
    if not found:
        raise NotFound("There is no such review: fhirgw match list names those that are open.")
    return found[0]


def list_(connection: Connection, *, state: str | None = "open", only: int | None = None) -> list[Review]:
    """The reviews, oldest first; ``state`` None: all."""
    asked = select(match_review).order_by(match_review.c.id)
    if state is not None:
        asked = asked.where(match_review.c.state == state)
    if only is not None:
        asked = asked.where(match_review.c.id == only)
    return [_review(connection, *row[:4]) for row in connection.execute(asked)]


def open_count(connection: Connection) -> int:
    """How many reviews wait for a person."""
    found = select(func.count()).select_from(match_review).where(match_review.c.state == "open")
    return connection.execute(found).scalar_one()


def _review(connection: Connection, key: int, opened_at: int, sender: str, state: str) -> Review:
    return Review(key, opened_at, sender, state, _candidates(connection, key), _messages(connection, key))


def _candidates(connection: Connection, review: int) -> tuple[Candidate, ...]:
    found = select(match_candidate).where(match_candidate.c.review == review)
    rows = connection.execute(found.order_by(match_candidate.c.probability.desc(), match_candidate.c.patient))
    return tuple(Candidate(row.patient, row.probability / WHOLE, row.state) for row in rows)


def _messages(connection: Connection, review: int) -> tuple[int, ...]:
    found = select(match_message.c.journal).where(match_message.c.review == review)
    return tuple(connection.scalars(found.order_by(match_message.c.journal)))
