"""What the channels (MLLP, HTTP) and the door have in common: a reply, and a batch on its way in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from fhirgw.released import Public

Push = Callable[[Public | None], Awaitable[bool]]
"""Sends an application ACK on the connection its message came on; whether it was taken. None: none follows."""


@dataclass(slots=True)
class Reply:
    """What the door gives back.

    Attributes:
        answer: The ACK; None to answer nothing now.
        delivered: Called once after the answer left, with True when the socket took all of it and False when the
            connection was gone; so that the journal can tell a sent ACK from an unsent one. Not called without
            an answer. True does not mean that the peer has read it: only its resending tells.
        follow: Called after that, for each application ACK that follows on this connection: INVARIANT: the accept
            acknowledgment has left before it is asked for.
        follows: How many application ACKs ``follow`` will have pushed, at most.
        idle: Silence that this sender is allowed; None: the gateway's.
        last: The connection is not worth keeping.
        kept: It is on disk.
    """

    answer: Public | None
    delivered: Callable[[bool], None] | None = None
    follow: Callable[[Push], None] | None = None
    follows: int = 0
    idle: float | None = None
    last: bool = False
    kept: bool = True


class Incoming(Protocol):
    """A batch that is being received."""

    async def feed(self, received: bytes) -> None:
        """Take some of it."""

    async def finish(self) -> Reply:
        """It is whole: its answer."""

    async def abandon(self) -> None:
        """The connection ended in the middle of it."""
