"""What can be asked of ``Share``, and who asks.

Operations have theirs where they are answered: ``lookup``, ``consult``, ``document``, ``came_back``, ``replica``.
"""

from dataclasses import dataclass

from fhirgw.came_back import Returns
from fhirgw.consent.decide import PUSH_CHANNELS
from fhirgw.consult import Consult
from fhirgw.document import Disclosures, Document
from fhirgw.emergency import Claim
from fhirgw.lookup import Match
from fhirgw.replica import Replica


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks, from a verified token.

    Attributes:
        client: Client id.
        organization: Logical id of the Organization it is registered with.
        purpose: The one purpose of use.
        scopes: SMART scopes granted.
        inside: Programmes whose own staff it serves, ``{"*"}`` for all; None: outside.
        request_id: ``X-Request-Id`` of the answer.
        channel: ``api``, ``notification`` or ``mirror``.
        emergency: The emergency that the token was given for. Such a token shows one patient, and nobody else.
    """

    client: str
    organization: str
    purpose: str
    scopes: tuple[str, ...]
    inside: frozenset[str] | None
    request_id: str
    channel: str = "api"
    emergency: Claim | None = None

    @property
    def action(self) -> str:
        """An outbound push discloses, everything else is access."""
        return "disclose" if self.channel in PUSH_CHANNELS else "access"


@dataclass(frozen=True, slots=True)
class Read:
    """The current version."""

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class VRead:
    """One version, by the id that its ETag showed."""

    type: str
    id: str
    version: str


@dataclass(frozen=True, slots=True)
class History:
    """The versions of an instance, or of a type (``id`` None), newest first."""

    type: str
    id: str | None
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """The first page of a search. ``by_post``: its values must not come back in a URL."""

    type: str
    parameters: tuple[tuple[str, str], ...]
    strict: bool = False
    by_post: bool = False


@dataclass(frozen=True, slots=True)
class NextPage:
    """A further page, by the opaque token of the link."""

    token: str


@dataclass(frozen=True, slots=True)
class Notification:
    """An alert about an Encounter, for an endpoint.

    Attributes:
        focus: ``Encounter/id``.
        code: Of the Da Vinci notification events.
        key: Of the fact that is told (``alerts.Fact``).
        undone: Whether it tells that the fact does not hold any more.
        endpoint: Where it goes.
        id: Of the message: the same at every attempt.
        patient: Logical id of the Patient it is about, where the focus may be gone: of a release that ended.
    """

    focus: str
    code: str
    key: str
    undone: bool
    endpoint: str
    id: str
    patient: str = ""


Operation = Match | Consult | Document | Disclosures | Returns | Replica
Ask = Read | VRead | History | Search | NextPage | Notification | Operation
