"""A hospital's message at the door: keep ► acknowledge. A positive answer means that the bytes are on disk.

What decides between AA, AE and AR is said of a message without the store: its syntax, MSH, and whether the fields
are there without which nothing can be made of it. Everything is kept, with what was answered; processing is
``ingest``'s, and what enhanced mode says after it is made here (``conclude``). (DESIGN §4.)
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog

from fhirgw import metrics
from fhirgw.admission import Admission, Peer
from fhirgw.errors import DependencyDown, DuplicateMessage, Forbidden, GatewayError, MalformedMessage, TooLarge
from fhirgw.mappers.adt import MapContext, extract
from fhirgw.mappers.plain import is_plainly_sound
from fhirgw.mappers.zsegments import with_z_fields
from fhirgw.released import Public
from fhirgw.settings import Sender, Senders
from fhirgw.store import application_ack, journal
from fhirgw.store.database import Database, Transaction
from fhirgw.v2.ack import AckMode, accept_mode, acknowledge, check_envelope
from fhirgw.v2.batch import head
from fhirgw.v2.codec import Message, Segment, header, parse

log = structlog.get_logger(__name__)
DAY = 86_400_000_000
ER7 = "x-application/hl7-v2+er7"
POSITIVE = frozenset({"AA", "CA", None})
"""MSA-1 of messages that were taken; None: the sender wants no answer to those."""
ESSENTIAL = {"MSH": None, "EVN": None, "PID": 3, "MRG": None, "PV1": 2}
"""Segments without which nothing can be made of a message, up to the last field that counts for that."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Judged:
    """A message as far as it could be read, and what is wrong with it.

    Attributes:
        message: MSH alone where the rest cannot be read; None when there is no MSH to answer to.
        sender: Its name in the senders file.
        registered: What the senders file says of it.
        errors: Why it is refused; empty when it is taken.
    """

    message: Message | None
    sender: str
    registered: Sender
    errors: Sequence[GatewayError]

    @property
    def is_foreign(self) -> bool:
        """Whether the peer may not send for this sender: nothing of it counts as the sender's."""
        return any(isinstance(error, Forbidden) for error in self.errors)

    @property
    def mode(self) -> AckMode:
        """Which acknowledgments are given."""
        return accept_mode(self.message, self.registered.ack) if self.message else AckMode("NE", "NE")


def read(raw: bytes, senders: Senders, id_key: bytes) -> tuple[Message, MapContext]:
    """A message and its sender's context; the sender is known by MSH-4 before its charset is believed.

    Raises:
        MalformedMessage: It cannot be read.
    """
    top = header(raw)
    name, sender = senders.by_facility((top.header.get(4) if top else None) or "")
    return parse(raw, charset=sender.charset), MapContext(name, sender, id_key)


class Intake:
    """Keeps and answers. One instance serves every channel."""

    def __init__(
        self,
        database: Database,
        *,
        senders: Callable[[], Senders],
        admission: Admission,
        id_key: bytes,
        duplicate_window_days: int,
        new_id: Callable[[], str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Compose.

        Args:
            database: Holds the journal.
            senders: Reads the senders file, so that a corrected map counts at the next message.
            admission: Who may send for whom, and how much.
            id_key: Key of the deterministic resource ids.
            duplicate_window_days: How long MSH-10 must stay unique for a sender.
            new_id: Fresh opaque ids, for ACK control ids.
            sleep: How a sender over its rate is made to wait.
        """
        self._database = database
        self._senders = senders
        self._admission = admission
        self._id_key = id_key
        self._window = duplicate_window_days * DAY
        self._new_id = new_id
        self._sleep = sleep

    async def receive(self, raw: bytes, channel: str, peer: Peer, *, truncated: bool = False) -> Received:
        """Keep a message, and say what its sender is to be told.

        Args:
            raw: The unframed bytes.
            channel: ``mllp``, ``http`` or ``file``.
            peer: Where it came from.
            truncated: The rest was over the size cap and is not here.
        """
        judged = self._judge(raw, peer, truncated=truncated)
        try:
            await self._pace(judged, peer)
        except DependencyDown as error:
            return self._unkept(judged, error, last=True)
        if judged.errors and isinstance(judged.errors[0], TooLarge):
            raw = head(raw)
        try:
            row = await self._database.write(
                partial(self._keep, raw=raw, channel=channel, judged=judged), urgent=True
            )
        except Exception as error:  # noqa: BLE001 - whatever it is: not kept, so the sender keeps it
            log.error("not kept", error=type(error).__name__, peer=peer.name)  # noqa: TRY400 - a trace could hold data
            return self._unkept(judged, DependencyDown("The message cannot be stored now; send it again later."))
        metrics.messages.labels(judged.sender, row.ack_code or "none").inc()
        tell = log.info if row.error_code else log.debug  # a line for each that is in order costs more than its ACK
        tell("message kept", row=row.id, state=row.state, ack=row.ack_code, error=row.error_code, peer=peer.name)
        return Received(
            Public(row.ack, media_type=ER7) if row.ack else None,
            row.id,
            row.ack_code,
            judged.sender,
            follows=row.application is not None,
            idle=judged.registered.idle_timeout_seconds,
        )

    async def discard(self, raw: bytes, peer: Peer) -> None:
        """Keep what was no frame, for inspection; nobody is answered (ADR 0011)."""
        error = MalformedMessage("These bytes were outside any MLLP frame.")
        judged = Judged(None, "default", self._senders().default, [error])
        try:
            row = await self._database.write(partial(self._keep, raw=raw, channel="mllp", judged=judged))
        except DependencyDown:  # nobody was promised anything
            log.error("junk not kept", peer=peer.name)  # noqa: TRY400 - the trace would say no more
            return
        log.warning("junk kept", row=row.id, peer=peer.name)

    async def delivered(self, rows: Sequence[int], *, sent: bool) -> None:
        """Note whether the sender could be given its ACKs."""
        try:
            state = "sent" if sent else "unsent"
            await self._database.write(lambda tx: journal.mark_ack(tx, rows, state))
        except DependencyDown:  # the messages and their answers are kept; the note stays "owed"
            log.error("ack state not kept", rows=len(rows))  # noqa: TRY400 - the trace would say no more

    def welcomes(self, address: str | None) -> bool:
        """Whether anybody could send from this address."""
        return self._admission.welcomes(address, self._senders())

    def left(self, peer: Peer) -> None:
        """A connection has ended."""
        self._admission.leave(peer)

    # --- application acknowledgments ------------------------------------------------------------------------------

    def told(self, rows: Collection[int]) -> list[tuple[int, Public | None]]:
        """Of these messages those that were processed, each with its application ACK, or None where none is due."""
        with self._database.read() as connection:
            found = [(row, application_ack.get(connection, row)) for row in journal.settled(connection, rows)]
        return [(row, Public(ack.body, media_type=ER7) if ack else None) for row, ack in found]

    def returnable(self, now: int) -> list[tuple[application_ack.Row, Sender, Public]]:
        """What is owed now to senders that have an address for it."""
        senders = {name: sender for name, sender in self._senders().each() if sender.return_to}
        if not senders:
            return []
        with self._database.read() as connection:
            found = application_ack.due(connection, senders, now)
        return [(row, senders[row.sender], Public(row.body, media_type=ER7)) for row in found]

    def returns(self, sender: str) -> bool:
        """Whether this sender's application ACKs go to an address of their own."""
        return self._senders().named(sender).return_to is not None

    async def told_of(self, rows: Sequence[int], state: str, delay: int = 0) -> None:
        """Note what became of application ACKs: ``sent``, ``failed``, or ``owed`` still, after a delay."""
        await self._database.write(lambda tx: application_ack.mark(tx, rows, state, delay))

    # --- judging --------------------------------------------------------------------------------------------------

    def _judge(self, raw: bytes, peer: Peer, *, truncated: bool) -> Judged:
        """What is wrong with a message, the cheapest first: nothing here waits for the store."""
        senders = self._senders()
        top = header(raw)
        name, sender = senders.by_facility((top.header.get(4) if top else None) or "")
        refused = self._admission.refusal(peer, name, senders)
        if refused:
            return Judged(top, name, sender, [refused])
        if truncated or (sender.max_message_bytes is not None and len(raw) > sender.max_message_bytes):
            return Judged(top, name, sender, [TooLarge("The message is larger than this gateway takes.")])
        try:
            message = parse(raw, charset=sender.charset)
        except GatewayError as error:
            return Judged(top, name, sender, [error])
        context = MapContext(name, sender, self._id_key)
        return Judged(message, name, sender, refusals(message, context))

    async def _pace(self, judged: Judged, peer: Peer) -> None:
        """Let a sender wait that sends more than it may."""
        if peer.local or judged.is_foreign:
            return
        if peer.client is None:
            self._admission.join(peer, judged.sender, judged.registered)
        seconds = self._admission.wait(judged.sender, judged.registered)
        if seconds:
            await self._sleep(seconds)

    # --- keeping --------------------------------------------------------------------------------------------------

    def _keep(self, tx: Transaction, *, raw: bytes, channel: str, judged: Judged) -> journal.Row:
        """The journal row of a message with its answer; of one that was sent before, the row it has."""
        digest = hashlib.sha256(raw).digest()
        top = judged.message.header if judged.message else None
        control_id = (top.get(10) if top else None) or None
        earlier = self._earlier(tx, judged, control_id, digest)
        if isinstance(earlier, journal.Row):
            return earlier
        errors = [*judged.errors, *([earlier] if earlier else [])]
        mode = judged.mode
        indulged = bool(errors) and judged.registered.ack == "aa-only" and judged.message is not None
        answered = [] if indulged else errors
        code, answer = self._answer(judged, answered, datetime.fromtimestamp(tx.now / 1_000_000, UTC))
        return journal.keep(
            tx,
            channel=channel,
            sender=judged.sender,
            control_id=control_id,
            trigger=(top.get(9, 2) if top else None) or None,
            digest=digest,
            raw=raw,
            state=("parked" if indulged else "rejected") if errors else "received",
            ack_code=code,
            ack=answer.body if answer else None,
            error=errors[0] if errors else None,
            application=None if errors else mode.follows,
        )

    def _earlier(
        self, tx: Transaction, judged: Judged, control_id: str | None, digest: bytes
    ) -> journal.Row | DuplicateMessage | None:
        """The row that a message which was sent before has; that its control id is another's; or None: it is new.

        What was promised stands, even if the map has changed since. What was refused is judged anew, and has the
        stored answer again if the reason is the same. What was refused, and taken by an operator since, is taken.
        """
        if control_id is None:
            return None
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
        message = judged.message
        code = judged.mode.at_once(errors) if message else None
        if message is None or code is None:
            return None, None
        body = acknowledge(message, code, errors, now=now, control_id=self._new_id())
        return code, Public(body, media_type=ER7)

    def _unkept(self, judged: Judged, error: DependencyDown, *, last: bool = False) -> Received:
        """The answer to what is not on disk."""
        code, answer = self._answer(judged, [error], datetime.now(UTC))
        metrics.messages.labels(judged.sender, code or "none").inc()
        return Received(answer, None, code, judged.sender, last=last)


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


def refusals(message: Message, context: MapContext) -> list[GatewayError]:
    """Why a message that can be read is refused; [] when it is taken."""
    refused = check_envelope(message)
    return refused or ([] if is_plainly_sound(message, context) else _unmapped(message, context))


def _unmapped(message: Message, context: MapContext) -> list[GatewayError]:
    """What stands in the way of making anything of the message: the required fields, and no others.

    A failure of our own is no reason to refuse it: the row is kept, and parked when it is processed.
    """
    try:
        extract(_essence(with_z_fields(message, context.sender.z)), context)
    except ExceptionGroup as group:
        return [error for error in group.exceptions if isinstance(error, GatewayError)]
    except GatewayError as error:
        return [error]
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("extraction failed", error=type(error).__name__)
    return []


def _essence(message: Message) -> Message:
    """The message without what its ACK does not depend on."""
    kept = []
    merged = message.first("MRG") is not None
    for segment in message.segments:
        if segment.name in ESSENTIAL:
            last = ESSENTIAL[segment.name]
            if merged and segment.name == "PV1":
                last = 19  # the number of the visit that is merged or moved
            if last is not None:
                raw = segment.delimiters.field.join(
                    segment.raw.split(segment.delimiters.field, last + 1)[: last + 1]
                )
                segment = Segment(segment.name, raw, segment.delimiters)  # noqa: PLW2901 - shortened
            kept.append(segment)
    return Message(kept, message.delimiters, message.codec, ["\r"] * len(kept), message.mark, message.lead)
