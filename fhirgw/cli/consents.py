"""The group ``fhirgw consent``."""

import typer

from fhirgw.cli.loading import commands_in

_HOMES = {"decide": "decisions", "lint": "consent_lint", "explain": "officer", "revoke": "officer"}


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(cls=commands_in(_HOMES), help="Decide, explain, revoke.", no_args_is_help=True)
    app.add_typer(group, name="consent")
