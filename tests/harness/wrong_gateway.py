"""Small MLLP servers that do something wrong: in front of a gateway, or without one."""

import asyncio
import threading
from contextlib import closing, contextmanager, suppress

from patience import PATIENCE

from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import parse
from fhirgw.v2.framing import Deframer, Frame, frame
from fhirgw.v2.tls import server_context


def accepted(raw, code=None, control_id=None):
    """An ACK that takes the message, in the mode that it asks for."""
    header = parse(raw).header
    positive = code or ("CA" if header.get(15) else "AA")
    text = f"MSH|^~\\&|||||20260101||ACK|1|P|2.5.1\rMSA|{positive}|{control_id or header.get(10)}\r"
    return text.encode()


def loses(lost):
    """Takes messages on a gateway's behalf, and does not hand over those of ``lost``."""

    async def answer(raw, onward):
        return accepted(raw) if lost(parse(raw)) else await onward(raw)

    return answer


@contextmanager
def mllp_server(answer, behind=None, tls=None):
    """Listen; ``answer(raw, onward)`` gives an answer, or None to hang up. The port.

    ``behind`` is the port of the gateway it stands before, ``tls`` its certificate and key.
    """
    context = server_context(*tls, None) if tls else None
    ports, up, loops = [], threading.Event(), []

    async def onward(raw):
        async with MllpClient("127.0.0.1", behind) as client:
            return await client.send(raw)

    async def serve(reader, writer):
        deframer = Deframer(1 << 20)
        with closing(writer), suppress(ConnectionError):
            while received := await reader.read(1 << 16):
                for event in deframer.feed(received):
                    told = await answer(event.content, onward) if isinstance(event, Frame) else b""
                    if told is None:
                        return
                    writer.write(frame(told) if told else b"")

    async def listen():
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        up.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    assert up.wait(PATIENCE)
    try:
        yield ports[0]
    finally:
        ((loop, stop),) = loops
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
