"""Messages of a hospital's feed about somebody who is no member, alone and in a batch."""

import asyncio
from contextlib import asynccontextmanager

from fhirgw.store import application_ack
from fhirgw.v2.framing import frame


def adt(control, accept="", application="", facility="ELMHOSP"):
    """A message about somebody who is no member."""
    return (
        f"MSH|^~\\&|ADTSYS|{facility}|GW|ICM|20260921101500||ADT^A01^ADT_A01|{control}|P|2.5.1|||{accept}|{application}\r"
        "EVN|A01|20260921101500\rPID|1||STRANGER-1^^^ELMHOSP^MR||DOE^NOBODY\rPV1|1|I|||||||||||||||||V1^^^ELMHOSP^VN\r"
    ).encode()


def told(whole, row=1):
    with whole.gateway.database.read() as connection:
        return application_ack.get(connection, row)


BAD = b"MSH|^~\\&|ADTSYS|ELMHOSP|GW|ICM|2026||ADT^A01|BAD|P|2.5.1\rPV1|1|I\r"
BATCH = (
    b"FHS|^~\\&|ADTSYS|ELMHOSP|GW|ICM|2026||f.hl7||FILE1\rBHS|^~\\&|ADTSYS|ELMHOSP|GW|ICM|2026||b||BATCH1\r"
    + adt("1") + BAD + adt("3") + b"BTS|3\rFTS|1\r"
)  # fmt: skip


class Listener:
    """A sender's return address."""

    def __init__(self):
        self.heard = []
        self.port = None

    async def __call__(self, reader, writer):
        while True:
            try:
                self.heard.append((await reader.readuntil(b"\x1c\r"))[1:-2])
            except asyncio.IncompleteReadError:
                break
            writer.write(frame(b"MSH|whatever"))
        writer.close()

    @asynccontextmanager
    async def listening(self, **how):
        server = await asyncio.start_server(self, "127.0.0.1", self.port or 0, **how)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield self
