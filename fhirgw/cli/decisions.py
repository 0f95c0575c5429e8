"""The command ``fhirgw consent decide``: over files, without a store."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fhirgw.cli.terminal import emit, emit_all, read, read_json
from fhirgw.consent.cases import Cases
from fhirgw.consent.wire import decision_json
from fhirgw.errors import InvalidElement
from fhirgw.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("decide")(consent_decide)


def consent_decide(
    request: Annotated[Path | None, typer.Option(help="The request (JSON).")] = None,
    resource: Annotated[list[Path] | None, typer.Option(help="A FHIR resource; repeat.")] = None,
    consents: Annotated[list[Path] | None, typer.Option(help="A FHIR Consent; repeat.")] = None,
    supporting: Annotated[list[Path] | None, typer.Option(help="What references lead to; repeat.")] = None,
    batch: Annotated[Path | None, typer.Option(help="Cases as NDJSON, instead of the other options.")] = None,
) -> None:
    """Decide over files, without a store.

    Example: fhirgw consent decide --request R.json --resource F.json --consents C.json
    """
    cases = Cases(datetime.now(UTC), zone=Settings().zone)
    if batch:
        lines = ((number, line) for number, line in enumerate(read(batch).splitlines(), 1) if line.strip())
        raise typer.Exit(code=int(emit_all(cases.answer(line, number) for number, line in lines)))
    if request is None:
        raise InvalidElement("Give --request, or --batch.")
    case = {
        "request": read_json(request),
        "consents": [read_json(path) for path in consents or []],
        "supporting": [read_json(path) for path in supporting or []],
    }
    judged = [case | {"resource": read_json(path)} for path in resource or []] or [case]
    for one in judged:
        emit(decision_json(cases.decide(one)))
