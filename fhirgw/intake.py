"""A hospital's message at the door: keep ► acknowledge. A positive answer means that the bytes are on disk.

What decides between AA, AE and AR is said of a message without the store: its syntax, MSH, and whether every
required field can be mapped. Everything is kept, with what was answered; processing is ``ingest``'s. (DESIGN §4.)
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from fhirgw import metrics
from fhirgw.errors import DependencyDown, DuplicateMessage, GatewayError, MalformedMessage, TooLarge
from fhirgw.mappers.adt import MapContext, extract
from fhirgw.released import Public
from fhirgw.settings import Senders
from fhirgw.store import journal
from fhirgw.store.database import Database, Transaction
from fhirgw.v2.ack import accept_mode, acknowledge, check_envelope
from fhirgw.v2.codec import Message, header, parse

log = structlog.get_logger(__name__)
DAY = 86_400_000_000
ER7 = "x-application/hl7-v2+er7"
POSITIVE = frozenset({"AA", "CA", None})
"""MSA-1 of messages that were taken; None: the sender wants no answer to those."""


@dataclass(frozen=True, slots=True)
class Received:
    """What the sender is told (None: nothing), and the journal row it is about (None: nothing could be kept)."""

    answer: Public | None
    row: int | None


@dataclass(frozen=True, slots=True)
class Judged:
    """A message as far as it could be read, and what is wrong with it.

    Attributes:
        message: MSH alone where the rest cannot be read; None when there is no MSH to answer to.
        sender: Its name in the senders file.
        errors: Why it is refused; empty when it is taken.
    """

    message: Message | None
    sender: str
    errors: Sequence[GatewayError]


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
        id_key: bytes,
        duplicate_window_days: int,
        new_id: Callable[[], str],
    ) -> None:
        """Compose.

        Args:
            database: Holds the journal.
            senders: Reads the senders file, so that a corrected map counts at the next message.
            id_key: Key of the deterministic resource ids.
            duplicate_window_days: How long MSH-10 must stay unique for a sender.
            new_id: Fresh opaque ids, for ACK control ids.
        """
        self._database = database
        self._senders = senders
        self._id_key = id_key
        self._window = duplicate_window_days * DAY
        self._new_id = new_id

    async def receive(self, raw: bytes, channel: str, peer: str, *, truncated: bool = False) -> Received:
        """Keep a message, and say what its sender is to be told.

        Args:
            raw: The unframed bytes.
            channel: ``mllp``, ``http`` or ``file``.
            peer: Where it came from, for the log.
            truncated: The rest was over the size cap and is not here.
        """
        judged = self._judge(raw, truncated=truncated)
        try:
            row = await self._database.write(lambda tx: self._keep(tx, raw, channel, judged), urgent=True)
        except Exception as error:  # noqa: BLE001 - whatever it is: not kept, so the sender keeps it
            log.error("not kept", error=type(error).__name__, peer=peer)  # noqa: TRY400 - a trace could hold data
            down = DependencyDown("The message cannot be stored now; send it again later.")
            code, answer = self._answer(judged.message, [down], datetime.now(UTC))
            metrics.messages.labels(code or "none").inc()
            return Received(answer, None)
        metrics.messages.labels(row.ack_code or "none").inc()
        log.info("message kept", row=row.id, state=row.state, ack=row.ack_code, error=row.error_code, peer=peer)
        return Received(Public(row.ack, media_type=ER7) if row.ack else None, row.id)

    async def discard(self, raw: bytes, peer: str) -> None:
        """Keep what was no frame, for inspection; nobody is answered (ADR 0011)."""
        error = MalformedMessage("These bytes were outside any MLLP frame.")
        judged = Judged(None, "default", [error])
        try:
            row = await self._database.write(lambda tx: self._keep(tx, raw, "mllp", judged))
        except DependencyDown:  # nobody was promised anything
            log.error("junk not kept", peer=peer)  # noqa: TRY400 - the trace would say no more
            return
        log.warning("junk kept", row=row.id, peer=peer)

    async def delivered(self, row: int, *, sent: bool) -> None:
        """Note whether the sender could be given its ACK."""
        try:
            state = "sent" if sent else "unsent"
            await self._database.write(lambda tx: journal.mark_ack(tx, row, state), urgent=True)
        except DependencyDown:  # the message and its answer are kept; the note stays "owed"
            log.error("ack state not kept", row=row)  # noqa: TRY400 - the trace would say no more

    def _judge(self, raw: bytes, *, truncated: bool) -> Judged:
        senders = self._senders()
        try:
            message, context = read(raw, senders, self._id_key)
        except GatewayError as error:
            top = header(raw)
            name, _ = senders.by_facility((top.header.get(4) if top else None) or "")
            too_large = TooLarge("The message is larger than this gateway takes.")
            return Judged(top, name, [too_large if truncated else error])
        if truncated:
            return Judged(message, context.name, [TooLarge("The message is larger than this gateway takes.")])
        return Judged(message, context.name, check_envelope(message) or _unmapped(message, context))

    def _keep(self, tx: Transaction, raw: bytes, channel: str, judged: Judged) -> journal.Row:
        """The journal row of a message with its answer; of one that was sent before, the row it has."""
        digest = hashlib.sha256(raw).digest()
        top = judged.message.header if judged.message else None
        control_id = (top.get(10) if top else None) or None
        errors = judged.errors
        earlier = (
            journal.duplicate(tx.connection, judged.sender, control_id, since=tx.now - self._window)
            if control_id
            else None
        )
        if earlier and earlier.digest == digest and earlier.ack_code in POSITIVE:
            return earlier  # what was promised stands, even if the map has changed since
        if earlier and earlier.digest != digest and not errors:
            errors = [DuplicateMessage("This control id was used for another message.", location="MSH-10")]
        code, answer = self._answer(judged.message, errors, datetime.fromtimestamp(tx.now / 1_000_000, UTC))
        return journal.keep(
            tx,
            channel=channel,
            sender=judged.sender,
            control_id=control_id,
            trigger=(top.get(9, 2) if top else None) or None,
            digest=digest,
            raw=raw,
            state="rejected" if errors else "received",
            ack_code=code,
            ack=answer.body if answer else None,
            error=errors[0] if errors else None,
        )

    def _answer(
        self, message: Message | None, errors: Sequence[GatewayError], now: datetime
    ) -> tuple[str | None, Public | None]:
        """MSA-1 and the ACK, in the mode the sender asked for; (None, None) where none is owed."""
        code = accept_mode(message).code(errors) if message else None
        if message is None or code is None:
            return None, None
        body = acknowledge(message, code, errors, now=now, control_id=self._new_id())
        return code, Public(body, media_type=ER7)


def _unmapped(message: Message, context: MapContext) -> list[GatewayError]:
    """What stands in the way of mapping the message.

    A failure of our own is no reason to refuse it: the row is kept, and parked when it is processed.
    """
    try:
        extract(message, context)
    except ExceptionGroup as group:
        return [error for error in group.exceptions if isinstance(error, GatewayError)]
    except GatewayError as error:
        return [error]
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("extraction failed", error=type(error).__name__)
    return []
