"""The command about our definitions: package."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from fhirgw.cli.terminal import people
from fhirgw.configuration import load_programs
from fhirgw.harness.synthetic import FIXTURES
from fhirgw.icm.statements import read_case
from fhirgw.mappers.definitional import definitions
from fhirgw.mappers.icm import map_case
from fhirgw.profiles import npm
from fhirgw.profiles.npm import Json
from fhirgw.settings import Settings

_EXAMPLES_EACH = 2
"""How many examples of a profile go into the package."""
_EXAMPLE_KEY = b"examples of the package"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="package")(package)


def package(
    out: Annotated[Path, typer.Argument(help="The package file to write (.tgz).", show_default=False)],
) -> None:
    """Write our profiles and programmes as a FHIR NPM package. Example: fhirgw package fhirgw-icm.tgz"""
    programs = definitions(load_programs(Settings().programs_dir).values())
    examples = list(_examples())
    out.write_bytes(npm.package(programs, examples))
    compiled = len(npm.definitions())
    people.print(f"{compiled + len(programs)} definitions and {len(examples)} examples in {out}")


def _examples() -> Iterator[Json]:
    """The first resources of each profile, of invented cases: one for each of the programmes that ship."""
    programs = load_programs(None)
    shown: dict[str, int] = {}
    for name in sorted(programs):
        case = read_case((FIXTURES / "icm" / f"{name}-year.json").read_bytes())
        for resource in map_case(case, programs[name], _EXAMPLE_KEY):
            (profile,) = resource["meta"]["profile"]
            shown[profile] = shown.get(profile, 0) + 1
            if shown[profile] <= _EXAMPLES_EACH:
                yield resource
