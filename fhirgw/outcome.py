"""The forms an error takes: OperationOutcome, exit code and line. (MSA and ERR: ``v2/ack.py``.)"""

from collections.abc import Sequence
from typing import Any

from fhirgw.errors import GatewayError

UNEXPECTED = "The gateway failed. The request id leads the operator to the cause."


def operation_outcome(errors: Sequence[GatewayError | Exception]) -> dict[str, Any]:
    """An OperationOutcome with one issue an error; an unexpected exception gives a constant text.

    See: FHIR R4 OperationOutcome. ``expression`` holds ``GatewayError.location``.
    """
    return {"resourceType": "OperationOutcome", "issue": [_issue(error) for error in errors]}


def _issue(error: Exception) -> dict[str, Any]:
    if not isinstance(error, GatewayError):
        return {"severity": "error", "code": "exception", "diagnostics": UNEXPECTED}
    issue: dict[str, Any] = {"severity": "error", "code": error.issue, "diagnostics": error.text}
    if error.location:
        issue["expression"] = [error.location]
    return issue


def http_status(error: Exception) -> int:
    """The HTTP status of an error; 500 for anything unexpected."""
    return error.http if isinstance(error, GatewayError) else 500


def line(error: Exception) -> str:
    """One line for a terminal."""
    if not isinstance(error, GatewayError):
        return f"unexpected {type(error).__name__}"
    return f"{error.location}: {error.text}" if error.location else error.text
