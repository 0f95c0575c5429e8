"""The commands. What machines read goes to stdout, what people read to stderr; an error is a line and an exit code.

Exit codes: 0 done; 1 some input failed, or something is wrong; 2 the command line itself.
"""

import os
import sys

import typer
from pydantic import ValidationError

from fhirgw.cli.loading import commands_in
from fhirgw.cli.terminal import fail
from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.settings import Settings

app = typer.Typer(
    name="fhirgw",
    cls=commands_in(
        {
            "serve": "servers",
            "demo": "servers",
            "migrate": "database",
            "relabel": "database",
            "import": "cases",
            "send": "feeds",
            "map": "mapping",
            "lint": "lint",
            "validate": "files",
            "sf12": "files",
            "package": "package",
            "harness": "trial",
            "consent": "consents",
            "audit": "audit",
            "journal": "journal",
            "codes": "codes",
            "outbox": "outbox",
            "returns": "returns",
            "mirror": "mirrors",
            "match": "reviews",
            "client": "clients",
        }
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def gateway() -> None:
    """A FHIR R4 gateway for Intensive Care Management: ADT in, consented care plans out."""


def main() -> None:
    """Run the command line; what it writes, database and keys included, is its owner's alone to read."""
    os.umask(0o077)
    try:
        app()
    except GatewayError as error:
        sys.exit(fail(error))
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        sys.exit(max(fail(misset) for misset in _misset(error)))
    except ExceptionGroup as group:
        sys.exit(max(fail(error) for error in group.exceptions))


def _misset(error: ValidationError) -> list[InvalidElement]:
    """Which settings are wrong, and how; not what they say, which may be a secret."""
    return [
        InvalidElement(one["msg"].removeprefix("Value error, "), location=f"FHIRGW_{one['loc'][0]}".upper())
        for one in error.errors()
    ]
