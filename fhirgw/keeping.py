"""Judged messages are kept, with their answers; those that arrive together share a unit of work.

What is new and in order goes into the journal in one statement for many. Whatever is not (sent before, refused, its
control id that of another) is looked at by itself, in the same unit of work (docs/decisions/0151).
"""

import asyncio
import hashlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from itertools import count

import structlog
from prometheus_client import Counter as Metric

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
        refused: The code of table 0357 for which it was refused.
        state: Its processing state then.
    """

    answer: Public | None
    row: int | None
    code: str | None = None
    sender: str = "default"
    follows: bool = False
    idle: float | None = None
    last: bool = False
    refused: str | None = None
    state: str | None = None


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
        tell: Called once with what becomes of it, in the event loop; it raises nothing.
    """

    channel: str
    peer: Peer
    judged: Judged
    tell: Callable[[Received], object]


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
        self._seen = 1  # so many waited when the sockets were last looked at
        self._submitted = False  # a unit is on its way that will take all that waits when it begins

    def take(self, arrival: Arrival) -> None:
        """Keep it, with what else the event loop finds to have arrived; ``arrival.tell`` is given the outcome."""
        self._waiting.append(arrival)
        if not self._submitted:
            self._submitted = True
            asyncio.get_running_loop().call_soon(self._submit)

    def unkept(self, judged: Judged, error: DependencyDown, *, last: bool = False) -> Received:
        """The answer to what is not on disk."""
        code, ack = self._answer(judged, [error], datetime.now(UTC))
        _counter(judged.sender, code or "none").inc()
        return Received(None if ack is None else Public(ack, media_type=ER7), None, code, judged.sender, last=last)

    # --- in the event loop ----------------------------------------------------------------------------------------

    def _submit(self) -> None:
        if self._seen < len(self._waiting) <= FEW:  # more may have come while these were judged: look again
            self._seen = len(self._waiting)
            asyncio.get_running_loop().call_soon(self._submit)
            return
        self._seen = 1
        group: list[Arrival] = []
        unit = partial(self._keep_waiting, group=group)
        try:
            kept = self._database.write_here(unit) if len(self._waiting) <= FEW else None
            if kept is None:
                self._database.submit(unit, urgent=True).add_done_callback(partial(self._kept, group))
                return
        except Exception as error:  # noqa: BLE001 - whatever it is, the senders have to be told
            self._failed(group, error)
        else:
            self._tell(group, kept)

    def _kept(self, group: list[Arrival], kept: "asyncio.Future[list[Received]]") -> None:
        error = kept.exception()
        if error is None:
            self._tell(group, kept.result())
        else:
            self._failed(group, error)

    def _failed(self, group: list[Arrival], error: BaseException) -> None:
        if isinstance(error, DependencyDown) or len(group) <= 1:
            self._unkept(group, error)
            return
        for arrival in group:  # one of them: each by itself then, so that it harms no other
            self._database.submit(partial(self._keep_all, arrivals=[arrival]), urgent=True).add_done_callback(
                partial(self._kept, [arrival])
            )

    def _tell(self, group: list[Arrival], kept: list[Received]) -> None:
        counted: Counter[tuple[str, str]] = Counter()
        for arrival, received in zip(group, kept, strict=True):
            counted[received.sender, received.code or "none"] += 1
            if received.refused:  # a line for each that is in order costs more than its ACK
                told_of = {"state": received.state, "ack": received.code, "error": received.refused}
                log.info("message kept", row=received.row, peer=arrival.peer.name, **told_of)
            arrival.tell(received)
        for (sender, code), number in counted.items():
            _counter(sender, code).inc(number)

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

    def _keep_waiting(self, tx: Transaction, *, group: list[Arrival]) -> list[Received]:
        self._take_all(group)
        return self._keep_all(tx, group)

    def _keep_all(self, tx: Transaction, arrivals: Sequence[Arrival]) -> list[Received]:
        """Keep messages with their answers; one that was sent before has the row and the answer it has."""
        now = datetime.fromtimestamp(tx.now // 1_000_000, UTC)  # an ACK says the second
        fresh = self._fresh(tx, arrivals)
        kept: list[Received] = []
        new: list[Arrival] = []
        for at, arrival in enumerate(arrivals):
            if at in fresh:
                new.append(arrival)
            else:  # in its turn: it may be the same as one before it
                kept += self._keep_fresh(tx, new, now)
                new = []
                kept.append(self._keep(tx, arrival, now))
        return kept + self._keep_fresh(tx, new, now)

    def _keep_fresh(self, tx: Transaction, arrivals: Sequence[Arrival], now: datetime) -> list[Received]:
        new = [self._row(arrival, (), now) for arrival in arrivals]
        if any(row.application for row in new):
            keys = [row.id for row in journal.keep(tx, new)]
        else:
            keys = journal.keep_sound(tx, new)
        return [
            _received(arrival.judged, key, row.ack_code, row.ack, follows=row.application is not None)
            for arrival, key, row in zip(arrivals, keys, new, strict=True)
        ]

    def _fresh(self, tx: Transaction, arrivals: Sequence[Arrival]) -> set[int]:
        """Which are in order and new: no earlier one has its sender and control id."""
        asked: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for at, arrival in enumerate(arrivals):
            control_id = arrival.judged.control_id
            if control_id and not arrival.judged.errors:
                asked[arrival.judged.sender].setdefault(control_id, at)
        fresh: set[int] = set()
        for sender, ids in asked.items():
            for control_id in journal.used(tx.direct, sender, list(ids), since=tx.now - self._window):
                del ids[control_id]
            fresh.update(ids.values())
        return fresh

    def _keep(self, tx: Transaction, arrival: Arrival, now: datetime) -> Received:
        """Keep one that may have been sent before, or is refused."""
        judged = arrival.judged
        row = self._earlier(tx, arrival, judged.control_id)
        if not isinstance(row, journal.Row):
            errors = [*judged.errors, *([row] if row else [])]
            (row,) = journal.keep(tx, [self._row(arrival, errors, now)])
        received = _received(judged, row.id, row.ack_code, row.ack, follows=row.application is not None)
        received.refused, received.state = row.error_code, row.state
        return received

    def _row(self, arrival: Arrival, errors: Sequence[GatewayError], now: datetime) -> journal.New:
        """A new message with its answer."""
        judged = arrival.judged
        indulged = bool(errors) and judged.registered.ack == "aa-only" and judged.message is not None
        code, answer = self._answer(judged, () if indulged else errors, now)
        return journal.New(
            arrival.channel,
            judged.sender,
            judged.control_id,
            judged.trigger,
            judged.raw,
            state=("parked" if indulged else "rejected") if errors else "received",
            ack_code=code,
            ack=answer,
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
        taken = journal.retake(tx, earlier, state=state, ack_code=code, ack=answer, application=judged.mode.follows)
        if taken.state == "processed":
            conclude(tx, taken)
        return taken

    def _answer(
        self, judged: Judged, errors: Sequence[GatewayError], now: datetime
    ) -> tuple[str | None, bytes | None]:
        """MSA-1 and the ACK, in the mode the sender asked for; (None, None) where none is owed."""
        if judged.form and judged.control_id and not errors:
            own = next(self._control_ids).encode()
            return judged.code, judged.form.fill(stamp(now).encode(), own, judged.control_id.encode())
        message = judged.message
        code = judged.mode.at_once(errors) if message else None
        if message is None or code is None:
            return None, None
        return code, acknowledge(message, code, errors, now=now, control_id=next(self._control_ids))


def _received(judged: Judged, row: int, code: str | None, ack: bytes | None, *, follows: bool) -> Received:
    answer = None if ack is None else Public(ack, media_type=ER7)
    return Received(answer, row, code, judged.sender, follows, judged.registered.idle_timeout_seconds)


@cache
def _counter(sender: str, code: str) -> Metric:
    """By a sender's name and MSA-1; finding it takes longer than counting."""
    counter: Metric = metrics.messages.labels(sender, code)
    return counter


def conclude(tx: Transaction, row: journal.Row, errors: Iterable[Exception] = ()) -> None:
    """Make the application ACK that the outcome of a message's processing calls for, in the same transaction.

    A message has one: what was told once stays so, whatever a replay makes of it.

    Args:
        tx: The unit of work that marks the row.
        row: The message.
        errors: Why it was parked; none when it was processed.
    """
    if row.application is None or application_ack.get(tx.direct, row.id):
        return
    message = header(row.raw)
    problems = [error if isinstance(error, GatewayError) else GatewayError(journal.UNEXPECTED) for error in errors]
    code = AckMode("AL", row.application).after_processing(problems)
    if message is None or code is None:
        return
    now = datetime.fromtimestamp(tx.now / 1_000_000, UTC)
    body = acknowledge(message, code, problems, now=now, control_id=f"{tx.now:x}-{row.id}", apart=True)
    application_ack.put(tx, row.id, sender=row.sender, code=code, body=body)
