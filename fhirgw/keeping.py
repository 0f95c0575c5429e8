"""Judged messages are kept, with their answers; those that arrive together share a unit of work.

What is new and in order goes into the journal in one statement for many. Whatever is not (sent before, refused, its
control id that of another) is looked at by itself, in the same unit of work (docs/decisions/0151).
"""

import asyncio
import hashlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from itertools import count
from typing import Any

import structlog
from prometheus_client import Counter

from fhirgw import metrics
from fhirgw.admission import Peer
from fhirgw.errors import DependencyDown, DuplicateMessage, Forbidden, GatewayError
from fhirgw.released import Public
from fhirgw.settings import Sender
from fhirgw.store import application_ack, journal
from fhirgw.store.database import Database, Transaction
from fhirgw.v2.ack import AckMode, Form, acknowledge, stamp
from fhirgw.v2.codec import Message, header

log = structlog.get_logger(__name__)
ER7 = "x-application/hl7-v2+er7"
FEW = 64
"""So many messages are kept in the event loop, if nobody else is writing: some 2 ms; a batch's are not."""
POSITIVE = frozenset({"AA", "CA", None})
"""MSA-1 of messages that were taken; None: the sender wants no answer to those."""


@dataclass(slots=True)
class Received:
    """What became of a message at the door.

    Attributes:
        answer: What the sender is told now; None: nothing.
        row: The journal row; None when nothing could be kept.
        code: MSA-1 of the answer.
        sender: Its name in the senders file.
        follows: Whether an application ACK may follow its processing.
        idle: Silence that the sender's connection is allowed; None: the gateway's.
        last: The connection is not to be kept.
    """

    answer: Public | None
    row: int | None
    code: str | None = None
    sender: str = "default"
    follows: bool = False
    idle: float | None = None
    last: bool = False


@dataclass(slots=True)
class Judged:
    """A message as far as it had to be read, and what is wrong with it.

    Attributes:
        raw: Its bytes.
        sender: Its name in the senders file.
        registered: What the senders file says of it.
        mode: Which acknowledgments are given.
        errors: Why it is refused; empty when it is taken.
        control_id: MSH-10.
        trigger: MSH-9.2.
        code: MSA-1 if it is taken, where ``form`` is known; None: there is no answer.
        form: The answer then; None: it has to be made.
        top: MSH, or the whole message, where it was read; None when there is no MSH to answer to.
    """

    raw: bytes
    sender: str
    registered: Sender
    mode: AckMode
    errors: Sequence[GatewayError] = ()
    control_id: str | None = None
    trigger: str | None = None
    code: str | None = None
    form: Form | None = None
    top: Message | None = None

    @property
    def message(self) -> Message | None:
        """What an answer is made from; None when there is no MSH to answer to."""
        if self.top is None and self.form:
            self.top = header(self.raw)
        return self.top

    @property
    def is_foreign(self) -> bool:
        """Whether the peer may not send for this sender: nothing of it counts as the sender's."""
        return any(isinstance(error, Forbidden) for error in self.errors)


@dataclass(slots=True, eq=False)
class Arrival:
    """A judged message on its way into the journal.

    Attributes:
        channel: ``mllp``, ``http`` or ``file``.
        peer: Where it came from.
        judged: What it says, and what is wrong with it, if anything.
        then: What its channel makes of what becomes of it.
        told: That.
    """

    channel: str
    peer: Peer
    judged: Judged
    then: Callable[[Received], Any]
    told: "asyncio.Future[Any]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def tell(self, received: Received) -> None:
        """What becomes of it, unless nobody waits any more."""
        if not self.told.done():
            self.told.set_result(self.then(received))


class Keeper:
    """Keeps and answers what arrives, together what arrives while others are written."""

    def __init__(self, database: Database, *, window: int, new_id: Callable[[], str]) -> None:
        """Compose.

        Args:
            database: Holds the journal.
            window: How long MSH-10 must stay unique for a sender, in microseconds.
            new_id: A fresh opaque id, of which the control ids of ACKs are made.
        """
        self._database = database
        self._window = window
        self._control_ids = (f"{stem}{number:x}" for stem in (new_id()[:12],) for number in count())
        self._waiting: deque[Arrival] = deque()
        self._submitted = False  # a unit is on its way that will take all that waits when it begins

    def take(self, arrival: Arrival) -> None:
        """Keep it, with what else the event loop finds to have arrived; ``arrival.told`` is the outcome."""
        self._waiting.append(arrival)
        if not self._submitted:
            self._submitted = True
            asyncio.get_running_loop().call_soon(self._submit)

    def unkept(self, judged: Judged, error: DependencyDown, *, last: bool = False) -> Received:
        """The answer to what is not on disk."""
        code, answer = self._answer(judged, [error], datetime.now(UTC))
        _counter(judged.sender, code or "none").inc()
        return Received(answer, None, code, judged.sender, last=last)

    # --- in the event loop ----------------------------------------------------------------------------------------

    def _submit(self) -> None:
        group: list[Arrival] = []
        try:
            unit, few = partial(self._keep_waiting, group=group), len(self._waiting) <= FEW
            kept = self._database.submit(unit, urgent=True, here=few)
        except DependencyDown as error:
            self._unkept(group, error)
        else:
            kept.add_done_callback(partial(self._kept, group))

    def _kept(self, group: list[Arrival], kept: "asyncio.Future[list[journal.Row]]") -> None:
        error = kept.exception()
        if error is None:
            self._tell(group, kept.result())
        elif isinstance(error, DependencyDown) or len(group) == 1:
            self._unkept(group, error)
        else:  # one of them: each by itself then, so that it harms no other
            for arrival in group:
                self._database.submit(partial(self._keep_all, arrivals=[arrival]), urgent=True).add_done_callback(
                    partial(self._kept, [arrival])
                )

    def _tell(self, group: list[Arrival], rows: list[journal.Row]) -> None:
        for arrival, row in zip(group, rows, strict=True):
            judged = arrival.judged
            _counter(judged.sender, row.ack_code or "none").inc()
            if row.error_code:  # a line for each that is in order costs more than its ACK
                told_of = {"state": row.state, "ack": row.ack_code, "error": row.error_code}
                log.info("message kept", row=row.id, peer=arrival.peer.name, **told_of)
            arrival.tell(
                Received(
                    Public(row.ack, media_type=ER7) if row.ack else None,
                    row.id,
                    row.ack_code,
                    judged.sender,
                    row.application is not None,
                    judged.registered.idle_timeout_seconds,
                )
            )

    def _unkept(self, group: list[Arrival], error: BaseException) -> None:
        """Whatever it is: not kept, so the senders keep it."""
        if not group:  # the unit was never begun
            self._take_all(group)
        down = DependencyDown("The message cannot be stored now; send it again later.")
        for arrival in group:
            log.error(
                "not kept", error=type(error).__name__, peer=arrival.peer.name
            )  # no trace: it could hold data
            arrival.tell(self.unkept(arrival.judged, down))

    def _take_all(self, group: list[Arrival]) -> None:
        """Everything that waits; what arrives from now on has a unit of its own."""
        self._submitted = False
        while self._waiting:
            group.append(self._waiting.popleft())

    # --- in the writer's thread -----------------------------------------------------------------------------------

    def _keep_waiting(self, tx: Transaction, *, group: list[Arrival]) -> list[journal.Row]:
        self._take_all(group)
        return self._keep_all(tx, group)

    def _keep_all(self, tx: Transaction, arrivals: Sequence[Arrival]) -> list[journal.Row]:
        """The journal rows of messages with their answers; of one that was sent before, the row it has."""
        now = datetime.fromtimestamp(tx.now // 1_000_000, UTC)  # an ACK says the second
        fresh = self._fresh(tx, arrivals)
        rows: list[journal.Row] = []
        new: list[journal.New] = []
        for at, arrival in enumerate(arrivals):
            if at in fresh:
                new.append(self._row(arrival, fresh[at], [], now))
            else:  # in its turn: it may be the same as one before it
                rows += journal.keep(tx, new)
                new = []
                rows.append(self._keep(tx, arrival, now))
        return rows + journal.keep(tx, new)

    def _fresh(self, tx: Transaction, arrivals: Sequence[Arrival]) -> dict[int, str]:
        """Which are in order and new, with their control ids: no earlier one has its sender and control id."""
        asked: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for at, arrival in enumerate(arrivals):
            control_id = arrival.judged.control_id
            if control_id and not arrival.judged.errors:
                asked[arrival.judged.sender].setdefault(control_id, at)
        fresh: dict[int, str] = {}
        for sender, ids in asked.items():
            used = journal.used(tx.connection, sender, list(ids), since=tx.now - self._window)
            fresh |= {at: control_id for control_id, at in ids.items() if control_id not in used}
        return fresh

    def _keep(self, tx: Transaction, arrival: Arrival, now: datetime) -> journal.Row:
        """The row of one that may have been sent before, or is refused."""
        judged = arrival.judged
        control_id = judged.control_id
        earlier = self._earlier(tx, arrival, control_id)
        if isinstance(earlier, journal.Row):
            return earlier
        errors = [*judged.errors, *([earlier] if earlier else [])]
        (row,) = journal.keep(tx, [self._row(arrival, control_id, errors, now)])
        return row

    def _row(
        self, arrival: Arrival, control_id: str | None, errors: Sequence[GatewayError], now: datetime
    ) -> journal.New:
        """A new message with its answer."""
        judged = arrival.judged
        indulged = bool(errors) and judged.registered.ack == "aa-only" and judged.message is not None
        code, answer = self._answer(judged, () if indulged else errors, now)
        return journal.New(
            arrival.channel,
            judged.sender,
            control_id,
            judged.trigger,
            judged.raw,
            state=("parked" if indulged else "rejected") if errors else "received",
            ack_code=code,
            ack=answer.body if answer else None,
            error=errors[0] if errors else None,
            application=None if errors else judged.mode.follows,
        )

    def _earlier(
        self, tx: Transaction, arrival: Arrival, control_id: str | None
    ) -> journal.Row | DuplicateMessage | None:
        """The row that a message which was sent before has; that its control id is another's; or None: it is new.

        What was promised stands, even if the map has changed since. What was refused is judged anew, and has the
        stored answer again if the reason is the same. What was refused, and taken by an operator since, is taken.
        """
        if control_id is None:
            return None
        judged = arrival.judged
        digest = hashlib.sha256(judged.raw).digest()
        since, name = tx.now - self._window, judged.sender
        earlier = None if judged.is_foreign else journal.duplicate(tx.connection, name, control_id, since=since)
        if earlier and earlier.digest == digest:
            if earlier.ack_code in POSITIVE:
                if earlier.application:
                    application_ack.again(tx, earlier.id)
                return earlier
            if earlier.state == "processed" or not judged.errors:
                return self._retaken(tx, earlier, judged)
        elif earlier and not judged.errors:
            return DuplicateMessage("This control id was used for another message.", location="MSH-10")
        if judged.errors:
            refused = journal.refused(tx.connection, name, control_id, digest, since=since)
            problem = judged.errors[0]
            if refused and (refused.error_code, refused.error_location) == (problem.err, problem.location):
                return refused
        return None

    def _retaken(self, tx: Transaction, earlier: journal.Row, judged: Judged) -> journal.Row:
        """The answer to what was refused at first: it is on disk, and was processed or will be."""
        code, answer = self._answer(judged, [], datetime.fromtimestamp(tx.now / 1_000_000, UTC))
        state = "received" if earlier.state == "parked" else earlier.state
        body = answer.body if answer else None
        taken = journal.retake(tx, earlier, state=state, ack_code=code, ack=body, application=judged.mode.follows)
        if taken.state == "processed":
            conclude(tx, taken)
        return taken

    def _answer(
        self, judged: Judged, errors: Sequence[GatewayError], now: datetime
    ) -> tuple[str | None, Public | None]:
        """MSA-1 and the ACK, in the mode the sender asked for; (None, None) where none is owed."""
        if judged.form and judged.control_id and not errors:
            own = next(self._control_ids).encode()
            body = judged.form.fill(stamp(now).encode(), own, judged.control_id.encode())
            return judged.code, Public(body, media_type=ER7)
        message = judged.message
        code = judged.mode.at_once(errors) if message else None
        if message is None or code is None:
            return None, None
        body = acknowledge(message, code, errors, now=now, control_id=next(self._control_ids))
        return code, Public(body, media_type=ER7)


@cache
def _counter(sender: str, code: str) -> Counter:
    """By a sender's name and MSA-1; finding it takes longer than counting."""
    counter: Counter = metrics.messages.labels(sender, code)
    return counter


def conclude(tx: Transaction, row: journal.Row, errors: Iterable[Exception] = ()) -> None:
    """Make the application ACK that the outcome of a message's processing calls for, in the same transaction.

    A message has one: what was told once stays so, whatever a replay makes of it.

    Args:
        tx: The unit of work that marks the row.
        row: The message.
        errors: Why it was parked; none when it was processed.
    """
    if row.application is None or application_ack.get(tx.connection, row.id):
        return
    message = header(row.raw)
    problems = [error if isinstance(error, GatewayError) else GatewayError(journal.UNEXPECTED) for error in errors]
    code = AckMode("AL", row.application).after_processing(problems)
    if message is None or code is None:
        return
    now = datetime.fromtimestamp(tx.now / 1_000_000, UTC)
    body = acknowledge(message, code, problems, now=now, control_id=f"{tx.now:x}-{row.id}", apart=True)
    application_ack.put(tx, row.id, sender=row.sender, code=code, body=body)
