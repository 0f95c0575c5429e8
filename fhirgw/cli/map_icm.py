"""``fhirgw map icm``: cases of the programmes to FHIR, one transaction Bundle a line, without a store."""

from pathlib import Path
from typing import Annotated

import typer

from fhirgw.cli.terminal import emit, people, read
from fhirgw.configuration import load_programs
from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.icm.statements import read_case
from fhirgw.mappers.icm import case_bundle
from fhirgw.outcome import operation_outcome
from fhirgw.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("icm")(map_icm)


def map_icm(files: Annotated[list[Path], typer.Argument(help="Files; - is stdin.", show_default=False)]) -> None:
    """Map ICM cases (JSON). Example: fhirgw map icm fixtures/icm/ct-bhp.json"""
    settings = Settings()
    programs, key = load_programs(settings.programs_dir), settings.keys().ids
    failed = False
    for path in files:
        try:
            case = read_case(read(path))
            if case.program not in programs:
                raise InvalidElement("There is no such programme here.", location="program")
            emit(case_bundle(case, programs[case.program], key))
        except ExceptionGroup as group:
            errors = list(group.exceptions)
        except GatewayError as error:
            errors = [error]
        else:
            continue
        failed = True
        outcome = operation_outcome(errors)
        outcome["issue"][0]["details"] = {"text": str(path)}
        people.print_json(data=outcome, indent=None)
    raise typer.Exit(code=int(failed))
