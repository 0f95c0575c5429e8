"""The commands. What machines read goes to stdout, what people read to stderr; an error is a line and an exit code.

Exit codes: 0 done; 1 some input failed, or something is wrong; 2 the command line itself.
"""

import os
import sys

import typer

from fhirgw.cli import clients, codes, feeds, files, journal, operator, outbox, package, reviews, servers
from fhirgw.cli.terminal import fail
from fhirgw.errors import GatewayError

app = typer.Typer(
    name="fhirgw",
    help="A FHIR R4 gateway for Intensive Care Management: ADT in, consented care plans out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (servers, files, feeds, operator, journal, codes, outbox, reviews, clients, package):
    module.register(app)


def main() -> None:
    """Run the command line; what it writes, database and keys included, is its owner's alone to read."""
    os.umask(0o077)
    try:
        app()
    except GatewayError as error:
        sys.exit(fail(error))
    except ExceptionGroup as group:
        sys.exit(max(fail(error) for error in group.exceptions))
