"""The group ``fhirgw map``."""

import typer

from fhirgw.cli.loading import commands_in

_HOMES = {"adt": "map_adt", "icm": "map_icm"}


def register(app: typer.Typer) -> None:
    """Add the group."""
    words = "Map files to FHIR transaction Bundles, one line each on stdout."
    app.add_typer(typer.Typer(cls=commands_in(_HOMES), help=words, no_args_is_help=True), name="map")
