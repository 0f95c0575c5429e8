"""A receiver that stands where the intake is, our server before it, and a peer on a plain socket."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from mllp_peer import answer
from patience import PATIENCE, until

from fhirgw.errors import GatewayError, TooLarge
from fhirgw.released import Public
from fhirgw.settings import Settings
from fhirgw.v2.ack import accept_mode, acknowledge, check_envelope
from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import header, parse
from fhirgw.v2.receiving import Reply
from fhirgw.v2.server import MllpServer

NOW = datetime(2024, 1, 5, 15, 0, 0, tzinfo=UTC)
CANARY = "QUILLFEATHER"


def adt(control, text=""):
    return f"MSH|^~\\&|APP|FAC|GW|ICM|2024||ADT^A01|{control}|P|2.5.1\rPID|1||9||{CANARY}\r{text}".encode()


class Receiver:
    """Stands where the intake is: judges the envelope, keeps the bytes, answers; and can be made to wait."""

    def __init__(self, *, welcome=True, **reply):
        self.kept = []
        self.sent = []
        self.discarded = []
        self.peers = []
        self.gone = []
        self.pushes = []
        self.welcome = welcome
        self.reply = reply
        self.noted = asyncio.Event()
        self.arrived = asyncio.Event()
        self.followed = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    def welcomes(self, address):
        return self.welcome

    def left(self, peer):
        self.gone.append(peer)

    def receive(self, raw, peer, then, *, truncated):
        receiving = asyncio.ensure_future(self.reply_to(raw, peer, truncated))
        receiving.add_done_callback(lambda done: then(done.result()))

    async def reply_to(self, raw, peer, truncated):
        self.peers.append(peer)
        self.arrived.set()
        await self.go.wait()
        self.kept.append((raw, truncated))
        message = header(raw)
        try:
            if truncated:
                raise TooLarge("The message is larger than we take.")
            errors = check_envelope(parse(raw))
        except GatewayError as error:
            errors = [error]
        if message is None:
            return Reply(None)
        mode = accept_mode(message)
        code = mode.at_once(errors)
        answer = Public(acknowledge(message, code, errors, now=NOW, control_id="G")) if code else None
        follows = 0 if errors or mode.follows is None else 1
        return Reply(answer, self.delivered, self.follow if follows else None, follows, **self.reply)

    def delivered(self, sent):
        self.sent.append(sent)
        self.noted.set()

    def follow(self, push):
        self.pushes.append(push)
        self.followed.set()

    async def discard(self, raw, peer):
        self.discarded.append(raw)
        self.noted.set()

    def batch(self, peer):
        self.incoming = Incoming(self)
        return self.incoming


class Incoming:
    """A batch that counts."""

    def __init__(self, receiver):
        self.receiver = receiver
        self.parts = []
        self.abandoned = False

    async def feed(self, received):
        self.parts.append(received)
        self.receiver.arrived.set()

    async def finish(self):
        return Reply(Public(b"BHS|^~\\&|answer\r"), self.receiver.delivered)

    async def abandon(self):
        self.abandoned = True
        self.receiver.noted.set()


@asynccontextmanager
async def serving(receiver, *, tls=None, **settings):
    server = MllpServer(receiver, Settings(mllp_port=0, **settings), tls=tls)
    await server.start()
    try:
        yield server
    finally:
        receiver.go.set()
        await server.stop()


async def ack(reader):
    """MSA-1, MSA-2 of the next framed answer."""
    msa = parse(await answer(reader)).first("MSA")
    return msa.get(1), msa.get(2)


async def until_lost(connection):
    """The server's side has seen that the peer is gone."""
    await until(lambda: connection._lost)


async def closed(reader):
    async with asyncio.timeout(PATIENCE):
        return await reader.read() == b""


async def still_serves(server):
    async with MllpClient("127.0.0.1", server.port) as client:
        return b"MSA|AA|after" in await client.send(adt("after"))
