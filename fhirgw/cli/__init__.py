"""The commands. What machines read goes to stdout, what people read to stderr; an error is a line and an exit code.

Exit codes: 0 done; 1 some input failed, or something is wrong; 2 the command line itself.
"""

import os
import sys
from functools import cache
from importlib import import_module
from typing import Any

import typer

from fhirgw.cli.terminal import fail
from fhirgw.errors import GatewayError

_ALL = (
    "servers", "files", "feeds", "cases", "operator", "audit", "journal", "codes", "outbox", "mirrors", "reviews",
    "clients", "package", "trial",
)  # fmt: skip
_ALONE = {"map adt": "map_adt"}
"""Commands that are run over and over, and need none of the others' modules: those take a second to load."""


def main() -> None:
    """Run the command line; what it writes, database and keys included, is its owner's alone to read."""
    os.umask(0o077)
    alone = _ALONE.get(" ".join(sys.argv[1:3]))
    try:
        _commands(*([alone] if alone else _ALL))()
    except GatewayError as error:
        sys.exit(fail(error))
    except ExceptionGroup as group:
        sys.exit(max(fail(error) for error in group.exceptions))


@cache
def _commands(*modules: str) -> typer.Typer:
    """The commands of these modules, which are loaded now."""
    commands = typer.Typer(
        name="fhirgw",
        help="A FHIR R4 gateway for Intensive Care Management: ADT in, consented care plans out.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in modules:
        import_module(f"fhirgw.cli.{name}").register(commands)
    return commands


def __getattr__(name: str) -> Any:
    """``app``: all the commands."""
    if name == "app":
        return _commands(*_ALL)
    raise AttributeError(name)
