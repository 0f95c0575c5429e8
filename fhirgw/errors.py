"""The error tree.

GatewayError
├── MalformedMessage          the bytes are not HL7 v2, JSON or what the protocol asks
├── MissingElement            something required is absent
├── UnmappedCode              a code of a required binding that no table knows
├── InvalidElement            a value that its type, or a search parameter, does not allow
├── UnsupportedMessage        a message type, event, version or processing id we do not take
├── ProfileViolation          well-formed, and against an invariant or a profile
├── DuplicateMessage          the same control id with other bytes
├── NotFound                  absent, deleted
│   └── Withheld              there, and not for this requester: to the outside the same as NotFound
├── Unauthenticated           no token, or one that does not count
├── Forbidden                 the client's scope, never a fact about a patient
├── VersionConflict           If-Match names another version
├── StillNeeded               what is to be deleted holds something else up, or would come again
├── TooLarge                  over the configured cap
├── NotSupported              a search or interaction we refuse, the same way for everybody
│   ├── WrongMethod           an HTTP method that the route does not have
│   ├── NotAcceptable         an answer in another format than JSON is asked for
│   └── UnsupportedMedia      the body is sent in another format than JSON
└── DependencyDown            the database or a partner does not answer: send again later

An error's text is for a person to act on, and never holds a value from a message or a resource.
"""

from typing import ClassVar


class GatewayError(Exception):
    """Something went wrong that a caller can be told about.

    Attributes:
        issue: FHIR IssueType code.
        http: HTTP status.
        msa: MSA-1 in original mode (table 0008), or None where HL7 v2 never meets it.
        err: ERR-3 code (table 0357).
        retryable: Whether the same bytes may pass later.
        text: One sentence for a person; no member data.
        location: ``PID-3.1`` or a FHIRPath expression; None when the whole is meant.
    """

    issue: ClassVar[str] = "exception"
    http: ClassVar[int] = 500
    msa: ClassVar[str | None] = "AR"
    err: str = "207"
    retryable: ClassVar[bool] = False

    def __init__(self, text: str, *, location: str | None = None, err: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.location = location
        if err is not None:
            self.err = err


class MalformedMessage(GatewayError):
    """The bytes are not what the protocol asks."""

    issue, http, msa, err = "structure", 400, "AE", "100"


class MissingElement(GatewayError):
    """A required element is absent."""

    issue, http, msa, err = "required", 422, "AE", "101"


class UnmappedCode(GatewayError):
    """A code of a required binding that no table knows."""

    issue, http, msa, err = "code-invalid", 422, "AE", "103"


class InvalidElement(GatewayError):
    """A value that its data type or a search parameter does not allow."""

    issue, http, msa, err = "value", 400, "AE", "102"


class UnsupportedMessage(GatewayError):
    """A message type (200), event (201), processing id (202) or version (203) we do not take."""

    issue, http, msa, err = "not-supported", 400, "AR", "200"


class ProfileViolation(GatewayError):
    """Well-formed, and against an invariant or a profile."""

    issue, http, msa, err = "invariant", 422, "AE", "207"


class DuplicateMessage(GatewayError):
    """A control id that was used for other bytes."""

    issue, http, msa, err = "duplicate", 409, "AE", "205"


class NotFound(GatewayError):
    """Absent, or never existed."""

    issue, http, msa, err = "not-found", 404, "AE", "204"

    def __init__(self, text: str = "There is no such resource.", *, location: str | None = None) -> None:
        super().__init__(text, location=location)


class Withheld(NotFound):
    """There, and not for this requester. INVARIANT: tells the requester nothing that NotFound does not."""


class Unauthenticated(GatewayError):
    """No token, or one that does not count."""

    issue, http, msa, err = "login", 401, "AR", "207"


class Forbidden(GatewayError):
    """Outside the client's scope or registration; independent of any patient."""

    issue, http, msa, err = "forbidden", 403, "AR", "207"


class VersionConflict(GatewayError):
    """If-Match names a version that is not the current one."""

    issue, http, msa, err = "conflict", 412, None, "207"


class StillNeeded(GatewayError):
    """What is to be deleted holds something else up, or would come again."""

    issue, http, msa, err = "conflict", 409, None, "207"


class TooLarge(GatewayError):
    """Over the configured cap."""

    issue, http, msa, err = "too-long", 413, "AE", "207"


class NotSupported(GatewayError):
    """An interaction or a parameter we refuse, the same way for everybody."""

    issue, http, msa, err = "not-supported", 400, "AR", "200"


class WrongMethod(NotSupported):
    """An HTTP method that the route does not have."""

    http = 405


class NotAcceptable(NotSupported):
    """An answer in another format than JSON, or of another FHIR version, is asked for."""

    http = 406


class UnsupportedMedia(NotSupported):
    """The body is in another format than the route reads."""

    http = 415


class DependencyDown(GatewayError):
    """The database or a partner does not answer; the same request may pass later."""

    issue, http, msa, err = "transient", 503, "AR", "207"
    retryable = True
