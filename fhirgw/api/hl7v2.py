"""``POST /hl7v2``: an HL7 v2 message or batch, the same journal, the same ACKs as over MLLP.

A registered client with the scope ``system/hl7v2`` sends; whom it may send for, the senders file says. The ACK is
the word: its status is 200 whatever MSA-1 says, 204 where the sender asked for none, and 503 where nothing could be
kept.
See: HL7 v2.5.1 ch. 2.9; the media type is that of the HL7 over HTTP profile of HAPI, which engines use.
"""

from codecs import lookup
from dataclasses import replace
from typing import Protocol

from starlette.requests import ClientDisconnect, Request

from fhirgw.admission import Peer
from fhirgw.api.middleware import request_id
from fhirgw.api.negotiation import media_type
from fhirgw.api.smart import Smart
from fhirgw.errors import Forbidden, MalformedMessage, UnsupportedMedia
from fhirgw.released import Public
from fhirgw.send import nothing
from fhirgw.settings import Settings
from fhirgw.store.clients import FEED
from fhirgw.v2.batch import head, is_batch
from fhirgw.v2.codec import header
from fhirgw.v2.encoding import CHARSETS
from fhirgw.v2.receiving import Incoming, Reply

MEDIA = frozenset({"x-application/hl7-v2+er7", "application/hl7-v2+er7", "text/plain"})
HEAD_BYTES = 256
"""By so much a batch is told from a message."""


class Feeds(Protocol):
    """Takes messages and batches for HTTP."""

    async def receive(self, raw: bytes, peer: Peer, *, truncated: bool) -> Reply:
        """Receive one message; with the application ACK where that is the only one wanted."""

    def batch(self, peer: Peer) -> Incoming:
        """Begin to receive a batch."""


class Hl7v2:
    """The route."""

    def __init__(self, feeds: Feeds, smart: Smart, settings: Settings) -> None:
        """Compose."""
        self._feeds = feeds
        self._smart = smart
        self._max_message = settings.max_message_bytes

    async def post(self, request: Request) -> Public:
        """``POST /hl7v2``."""
        requester = await self._smart.requester(request, request_id(request.scope))
        request.scope["fhirgw.client"] = requester.client
        if FEED not in requester.scopes:
            raise Forbidden(f"The scope {FEED} is needed.")
        declared = _charset(request)
        peer = Peer(requester.client, request.client.host if request.client else None, client=requester.client)
        try:
            reply = await self._received(request, peer, declared)
        except ClientDisconnect:
            raise MalformedMessage("The connection ended before the body did.") from None
        sent = nothing() if reply.answer is None else reply.answer
        if reply.delivered:
            reply.delivered(True)  # handed to the server: whether it is read, only a resending tells
        return replace(sent, status=503 if not reply.kept else 200 if reply.answer else 204)

    async def _received(self, request: Request, peer: Peer, declared: str | None) -> Reply:
        """A message is read whole; a batch, or several messages over the cap of one, as they come."""
        held = bytearray()
        incoming: Incoming | None = None
        try:
            async for chunk in request.stream():
                if incoming:
                    await incoming.feed(chunk)
                    continue
                held += chunk
                if len(held) > self._max_message or (
                    len(held) >= HEAD_BYTES and is_batch(bytes(held[:HEAD_BYTES]))
                ):
                    _require_agreement(bytes(held), declared)
                    if not is_batch(bytes(held)):
                        return await self._feeds.receive(head(bytes(held)), peer, truncated=True)
                    incoming = self._feeds.batch(peer)
                    await incoming.feed(bytes(held))
        except ClientDisconnect:
            if incoming:
                await incoming.abandon()
            raise
        if incoming:
            return await incoming.finish()
        raw = bytes(held)
        _require_agreement(raw, declared)
        if header(raw) is None and not is_batch(raw):
            raise MalformedMessage("The body does not begin with an MSH segment.", location="MSH")
        if is_batch(raw):
            incoming = self._feeds.batch(peer)
            await incoming.feed(raw)
            return await incoming.finish()
        return await self._feeds.receive(raw, peer, truncated=False)


def _charset(request: Request) -> str | None:
    """The codec that the Content-Type names; None when it names none.

    Raises:
        UnsupportedMedia: Another media type, or a character set that nobody knows.
    """
    media, parameters = media_type(request.headers.get("content-type", ""))
    if media not in MEDIA:
        raise UnsupportedMedia("The body is x-application/hl7-v2+er7, or text/plain.")
    try:
        return lookup(parameters["charset"]).name if "charset" in parameters else None
    except LookupError:
        raise UnsupportedMedia("The charset parameter names no character set that is known here.") from None


def _require_agreement(raw: bytes, declared: str | None) -> None:
    """The charset parameter says what the message says: it is MSH-18 that stays with the bytes.

    Raises:
        UnsupportedMedia: It says something else.
    """
    top = header(raw)
    if declared is None or top is None:
        return
    named = CHARSETS.get((top.header.get(18) or "").upper())
    said = lookup(named).name if named else top.codec if top.codec.startswith("utf-16") else "utf-8"
    if not said.startswith(declared) and declared != "ascii":
        raise UnsupportedMedia("The charset parameter is not that of the message: name it in MSH-18.")
