"""Consent over files, without a store: what is decided, and what a Consent says in plain words."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fhirgw.cli.terminal import emit, emit_all, people, read, read_json
from fhirgw.consent.cases import Cases
from fhirgw.consent.closure import Supporting
from fhirgw.consent.lint import lint
from fhirgw.consent.model import ConsentSettings
from fhirgw.consent.wire import decision_json, resources
from fhirgw.errors import InvalidElement


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("decide")(consent_decide)
    app.command("lint")(consent_lint)


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
    cases = Cases(datetime.now(UTC))
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


def consent_lint(
    consents: Annotated[list[Path], typer.Argument(help="FHIR Consents, or Bundles of them.")],
    supporting: Annotated[list[Path] | None, typer.Option(help="What references lead to; repeat.")] = None,
) -> None:
    """Say in plain words what Consents permit and deny, and what is wrong with them.

    Exit 1 where something cannot be enforced, or contradicts itself.

    Example: fhirgw consent lint fixtures/consent/roi.json
    """
    known = Supporting(resources([read_json(path) for path in supporting or []], "supporting"))
    stated = resources([read_json(path) for path in consents], "consents")
    grave = False
    for report in lint(stated, known, datetime.now(UTC), ConsentSettings()):
        emit(asdict(report))
        people.print(f"Consent/{report.consent}", style="bold")
        for said in (*(f"permits {one}" for one in report.permits), *(f"denies {one}" for one in report.denies)):
            people.print(f"  {said}", soft_wrap=True, markup=False)
        for found in report.findings:
            people.print(f"  {found.kind}: {found.text} {found.path}".rstrip(), soft_wrap=True, markup=False)
            grave = grave or found.kind in {"unenforceable", "contradictory"}
    raise typer.Exit(code=int(grave))
