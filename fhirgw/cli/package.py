"""The command about our definitions: package."""

from pathlib import Path
from typing import Annotated

import typer

from fhirgw.cli.terminal import people
from fhirgw.profiles import npm


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="package")(package)


def package(
    out: Annotated[Path, typer.Argument(help="The package file to write (.tgz).", show_default=False)],
) -> None:
    """Write our profiles as a FHIR NPM package. Example: fhirgw package fhirgw-icm.tgz"""
    out.write_bytes(npm.package())
    people.print(f"{len(npm.definitions())} definitions in {out}")
