"""What every command shares: where output goes, how an error looks, the local gateway."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console

from fhirgw.errors import InvalidElement
from fhirgw.outcome import line
from fhirgw.settings import Settings

if TYPE_CHECKING:
    from fhirgw.app import Gateway

people = Console(stderr=True, highlight=False)
"""For people: stderr."""


def emit(value: Any) -> None:
    """One JSON line on stdout."""
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
    sys.stdout.buffer.flush()


def emit_all(answers: Iterable[dict[str, Any]]) -> bool:
    """A JSON line for each, as they come; whether one of them has an ``error``."""
    failed = False
    for answer in answers:
        sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
        failed = failed or "error" in answer
    sys.stdout.buffer.flush()
    return failed


def fail(error: Exception) -> int:
    """Say what went wrong in one line; the exit code."""
    people.print(f"[red]fhirgw:[/red] {line(error)}", soft_wrap=True)
    return 1


def read(path: Path) -> bytes:
    """The bytes of a file; ``-`` is stdin.

    Raises:
        InvalidElement: It cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InvalidElement(f"{path}: {error.strerror}") from None


def read_json(path: Path) -> Any:
    """The JSON of a file.

    Raises:
        InvalidElement: It cannot be read, or is not JSON.
    """
    try:
        return orjson.loads(read(path))
    except orjson.JSONDecodeError as error:
        raise InvalidElement(f"{path} is not JSON: line {error.lineno}, column {error.colno}") from None


def written(content: bytes, output: Path | None) -> None:
    """Bytes into a file, else onto stdout.

    Raises:
        InvalidElement: The file cannot be written.
    """
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise InvalidElement(f"{output}: {error.strerror}") from None


@contextlib.contextmanager
def local() -> Iterator["Gateway"]:
    """The gateway over the local store, migrated; other processes may be using it meanwhile."""
    # A command over files needs no gateway, which takes a second to load.
    import structlog  # noqa: PLC0415

    from fhirgw.app import opened  # noqa: PLC0415

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    gateway = opened(Settings())
    try:
        yield gateway
    finally:
        gateway.database.close()


def patient_id(gateway: "Gateway", named: str) -> str:
    """The logical id of a patient named by id or by ``system|value``.

    Raises:
        InvalidElement: Nobody here has this identifier.
    """
    from fhirgw.store import identity  # noqa: PLC0415 - as above

    if "|" not in named:
        return named.removeprefix("Patient/")
    system, value = named.rsplit("|", 1)
    with gateway.database.read() as connection:
        known = identity.find(connection, [(system, value)])
    if len(known) != 1:
        raise InvalidElement("Nobody here has this identifier.", location="--patient")
    return known.pop()


def account(gateway: "Gateway", patient: str | None, command: str, resources: tuple[str, ...]) -> None:
    """Enter in the ledger that the operator saw something of a member."""
    from fhirgw.app import new_id  # noqa: PLC0415 - as above
    from fhirgw.audit import Entry  # noqa: PLC0415

    entry = Entry(patient, "operator", None, "HCOMPL", False, command, resources, (), new_id())
    gateway.database.write_sync(lambda tx: gateway.ledger.append(tx, [entry]))
