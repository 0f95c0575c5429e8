"""What a sender accepts: ``Released | Public``, and nothing else.

INVARIANT: ``Released`` is constructed in ``share.py`` alone; ``Public`` only by the makers named in
``tests/test_architecture.py``. mypy holds the senders' signatures, a test over the syntax tree the constructor
calls, an import contract the libraries that could send. (DESIGN §1.)
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Released:
    """Member data that consent released to one recipient, ready to be sent.

    Attributes:
        body: The bytes, already redacted.
        media_type: e.g. ``application/fhir+json``.
        status: HTTP status.
        headers: Further headers (ETag, Last-Modified, Location).
        still: Whether the policy is the one it was released under: asked before each piece of a long body goes.
            None: it may go whatever happens.
    """

    body: bytes
    media_type: str = "application/fhir+json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    still: Callable[[], Awaitable[bool]] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Public:
    """An answer that holds nothing about any patient: metadata, errors, ACKs, health, tokens."""

    body: bytes
    media_type: str = "application/fhir+json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
