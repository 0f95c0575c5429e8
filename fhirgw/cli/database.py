"""The command about the database: migrate."""

import typer

from fhirgw.cli.terminal import local, people


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate() -> None:
    """Bring the database to the newest schema. Example: fhirgw migrate"""
    with local():  # which migrates
        pass
    people.print("The database is up to date.")
