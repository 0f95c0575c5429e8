"""The commands about the database: migrate, relabel."""

import asyncio
from functools import partial

import typer

from fhirgw.cli.terminal import local, people
from fhirgw.settings import Settings


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
    """Label everything anew after the label tables, or FHIRGW_ZONE, changed.

    A gateway that runs labels anew by itself, but for the zone. It may be stopped, and goes on where it was.
    Example: fhirgw relabel
    """
    from fhirgw import relabelling  # noqa: PLC0415 - a command loads its own modules alone
    from fhirgw.store.database import Database, migrate  # noqa: PLC0415
    from fhirgw.store.relabelling import adopt  # noqa: PLC0415

    settings = Settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    migrate(settings.database, settings.zone)
    database = Database(settings.database)
    try:
        database.write_sync(partial(adopt, zone=settings.zone))
        labelled = asyncio.run(relabelling.run(database, lambda left: people.print(f"{left} are left.")))
    finally:
        database.close()
    people.print(f"{labelled} resources were labelled anew." if labelled else "Everything is labelled.")
