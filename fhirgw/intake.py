"""A hospital's message at the door: keep ► acknowledge. A positive answer means that the bytes are on disk.

What decides between AA, AE and AR is said of a message without the store: its syntax, MSH, and whether the fields
are there without which nothing can be made of it. Everything is kept, with what was answered; processing is
``ingest``'s. (DESIGN §4.)
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

import structlog

from fhirgw.admission import Admission, Peer
from fhirgw.errors import DependencyDown, GatewayError, MalformedMessage, TooLarge
from fhirgw.glance import Glance
from fhirgw.keeping import ER7, Arrival, Judged, Keeper, Received
from fhirgw.mappers.adt import MapContext, extract
from fhirgw.mappers.plain import is_plainly_sound
from fhirgw.mappers.zsegments import with_z_fields
from fhirgw.released import Public
from fhirgw.settings import Sender, Senders
from fhirgw.store import application_ack, journal
from fhirgw.store.database import Database
from fhirgw.v2.ack import AckMode, accept_mode, check_envelope
from fhirgw.v2.batch import head
from fhirgw.v2.codec import Message, Segment, header, parse

log = structlog.get_logger(__name__)
DAY = 86_400_000_000
UNANSWERED = AckMode("NE", "NE")
ESSENTIAL = {"MSH": None, "EVN": None, "PID": 3, "MRG": None, "PV1": 2}
"""Segments without which nothing can be made of a message, up to the last field that counts for that."""


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
        self._glance = Glance()
        self._keeper = Keeper(database, window=duplicate_window_days * DAY, new_id=new_id)
        self._sleep = sleep
        self._paced: set[asyncio.Future[None]] = set()  # messages that are made to wait

    def receive(
        self, raw: bytes, channel: str, peer: Peer, *, truncated: bool = False
    ) -> "asyncio.Future[Received]":
        """Keep a message, and say, when it is on disk, what its sender is to be told. See ``take``."""
        told: asyncio.Future[Received] = asyncio.get_running_loop().create_future()

        def tell(received: Received) -> None:
            if not told.done():  # given up: nobody waits any more
                told.set_result(received)

        self.take(raw, channel, peer, tell, truncated=truncated)
        return told

    def take(
        self, raw: bytes, channel: str, peer: Peer, tell: Callable[[Received], object], *, truncated: bool = False
    ) -> None:
        """The same without a future, which for an ordinary message costs as much as to look at it.

        Args:
            raw: The unframed bytes.
            channel: ``mllp``, ``http`` or ``file``.
            peer: Where it came from.
            tell: Called once with the outcome, after this has returned; it raises nothing.
            truncated: The rest was over the size cap and is not here.
        """
        judged = self._judge(raw, peer, truncated=truncated)
        arrival = Arrival(channel, peer, judged, tell)
        try:
            seconds = self._pace(judged, peer)
        except DependencyDown as error:
            unkept = self._keeper.unkept(judged, error, last=True)
            asyncio.get_running_loop().call_soon(tell, unkept)
            return
        if seconds:
            later = asyncio.ensure_future(self._take_later(arrival, seconds))
            self._paced.add(later)
            later.add_done_callback(self._paced.discard)
        else:
            self._keeper.take(arrival)

    async def discard(self, raw: bytes, peer: Peer) -> None:
        """Keep what was no frame, for inspection; nobody is answered (ADR 0011)."""
        error = MalformedMessage("These bytes were outside any MLLP frame.")
        new = journal.New("mllp", "default", None, None, raw, state="rejected", error=error)
        try:
            (row,) = await self._database.write(partial(journal.keep, messages=[new]))
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
        seen = None if truncated else self._glance.look(raw, senders)
        if seen and _is_within(raw, seen.registered) and not self._admission.refusal(peer, seen.sender, senders):
            return seen
        top = header(raw)
        name, sender = senders.by_facility((top.header.get(4) if top else None) or "")
        refused = self._admission.refusal(peer, name, senders)
        if refused:
            return _judged(raw, top, name, sender, [refused])
        if truncated or not _is_within(raw, sender):
            error = TooLarge("The message is larger than this gateway takes.")
            return _judged(head(raw), top, name, sender, [error])
        try:
            message = parse(raw, charset=sender.charset)
        except GatewayError as error:
            return _judged(raw, top, name, sender, [error])
        context = MapContext(name, sender, self._id_key)
        judged = _judged(raw, message, name, sender, refusals(message, context))
        self._glance.learn(raw, senders, judged)
        return judged

    async def _take_later(self, arrival: Arrival, seconds: float) -> None:
        await self._sleep(seconds)
        self._keeper.take(arrival)

    def _pace(self, judged: Judged, peer: Peer) -> float:
        """How long a message has to wait, in seconds, of a sender that sends more than it may.

        Raises:
            DependencyDown: Too long.
        """
        if peer.local or judged.is_foreign:
            return 0.0
        if peer.client is None:
            self._admission.join(peer, judged.sender, judged.registered)
        return self._admission.wait(judged.sender, judged.registered)


def _is_within(raw: bytes, sender: Sender) -> bool:
    return sender.max_message_bytes is None or len(raw) <= sender.max_message_bytes


def _judged(
    raw: bytes, message: Message | None, name: str, sender: Sender, errors: Sequence[GatewayError]
) -> Judged:
    if message is None:
        return Judged(raw, name, sender, UNANSWERED, errors)
    msh = message.header
    mode, control_id, trigger = accept_mode(message, sender.ack), msh.get(10) or None, msh.get(9, 2) or None
    return Judged(raw, name, sender, mode, errors, control_id, trigger, top=message)


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
