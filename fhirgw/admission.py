"""Who may send for whom, and how much: the senders file held against where a message comes from.

Nothing here reads the message beyond MSH-4, by which its sender is named. The clock is an argument.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from fhirgw.errors import DependencyDown, Forbidden, GatewayError
from fhirgw.settings import Sender, Senders

BURST_SECONDS = 1.0
"""What a sender saved up by silence: a second of its rate."""
PATIENCE_SECONDS = 5.0
"""A sender over its rate is made to wait; beyond this, it is told to come again."""


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """The other end of one connection or request; an object of its own for each.

    Attributes:
        name: ``host:port``, or a file's name, for the log.
        address: Its IP address; None for what is on this machine's disk.
        certificate: What its client certificate may be called; empty when it showed none.
        client: The registered client that signed in; None where nobody signs in.
        local: An operator of this gateway, who may bring messages of any sender.
    """

    name: str
    address: str | None = None
    certificate: frozenset[str] = frozenset()
    client: str | None = None
    local: bool = False


class Admission:
    """Refuses, slows down, counts. One instance serves every channel."""

    def __init__(self, *, refuse_unknown: bool, seconds: Callable[[], float]) -> None:
        """Compose.

        Args:
            refuse_unknown: Whether facilities that no sender is registered for are refused.
            seconds: A clock that only goes forward.
        """
        self._refuse_unknown = refuse_unknown
        self._seconds = seconds
        self._next: dict[str, float] = {}
        self._admitted: dict[str, set[Peer]] = {}  # connections of which it is known that they may send for whom
        self._senders: Senders | None = None  # by these
        self._connections: dict[str, set[Peer]] = {}

    def welcomes(self, address: str | None, senders: Senders) -> bool:
        """Whether any sender could send from this address: others are not listened to at all."""
        return any(
            _is_from(address, sender)
            for name, sender in senders.each()
            if name != "default" or not self._refuse_unknown
        )

    def refusal(self, peer: Peer, name: str, senders: Senders) -> GatewayError | None:
        """Why this peer may not send for the sender of this name; None when it may."""
        if peer.local or (senders is self._senders and peer in self._admitted.get(name, ())):
            return None
        sender = senders.named(name)
        text = None
        if name == "default" and self._refuse_unknown:
            text = "No sender is registered for the facility in MSH-4."
        elif not _is_from(peer.address, sender):
            text = "The sender in MSH-4 does not send from this address."
        elif not _is_proved(peer, name, senders):
            text = "This connection has not proved to be the sender in MSH-4."
        if text is None and peer.client is None:  # a client has a peer for each request
            self._admit(peer, name, senders)
        return Forbidden(text, location="MSH-4") if text else None

    def wait(self, name: str, sender: Sender) -> float:
        """How long the next message of this sender has to wait, in seconds; it is counted.

        Raises:
            DependencyDown: Too long; it is not counted.
        """
        if sender.messages_per_second is None:
            return 0.0
        now = self._seconds()
        due = max(self._next.get(name, now - BURST_SECONDS), now - BURST_SECONDS)
        if due - now > PATIENCE_SECONDS:
            raise DependencyDown("More messages come than this sender may send; send it again later.")
        self._next[name] = due + 1 / sender.messages_per_second
        return max(0.0, due - now)

    def join(self, peer: Peer, name: str, sender: Sender) -> None:
        """Count a connection as one of this sender's.

        Raises:
            DependencyDown: It has as many as it may have.
        """
        joined = self._connections.get(name)
        if joined is None:
            joined = self._connections[name] = set()
        elif peer in joined:
            return
        if sender.max_connections is not None and len(joined) >= sender.max_connections:
            raise DependencyDown("This sender has as many connections as it may have.")
        joined.add(peer)

    def leave(self, peer: Peer) -> None:
        """The connection is gone."""
        for peers in (*self._connections.values(), *self._admitted.values()):
            peers.discard(peer)

    def _admit(self, peer: Peer, name: str, senders: Senders) -> None:
        if senders is not self._senders:
            self._senders = senders
            self._admitted.clear()
        self._admitted.setdefault(name, set()).add(peer)


def _is_from(address: str | None, sender: Sender) -> bool:
    if not sender.addresses:
        return True
    if address is None:
        return False
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip in network for network in sender.addresses)


def _is_proved(peer: Peer, name: str, senders: Senders) -> bool:
    """Whether the peer has proved to be this sender, or this sender needs no proof.

    A certificate or client that is registered for some senders speaks for them alone.
    """
    if peer.certificate or peer.client:
        owned = {
            one
            for one, sender in senders.each()
            if peer.certificate & sender.certificates or peer.client in sender.clients
        }
        if owned:
            return name in owned
    sender = senders.named(name)
    return not (sender.certificates or (peer.client and sender.clients))
