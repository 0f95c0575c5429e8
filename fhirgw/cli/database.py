"""The commands about the database: migrate, relabel."""

import asyncio

import typer

from fhirgw.cli.terminal import local, people


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(migrate)
    app.command()(relabel)


def migrate() -> None:
    """Bring the database to the newest schema. Example: fhirgw migrate"""
    with local():  # which migrates
        pass
    people.print("The database is up to date.")


def relabel() -> None:
    """Label everything anew after the label tables changed; a gateway that runs does so by itself.

    It may be stopped, and goes on where it was. Example: fhirgw relabel
    """
    from fhirgw import relabelling  # noqa: PLC0415 - a command loads its own modules alone

    with local() as gateway:
        labelled = asyncio.run(relabelling.run(gateway.database, lambda left: people.print(f"{left} are left.")))
    people.print(f"{labelled} resources were labelled anew." if labelled else "Everything is labelled.")
