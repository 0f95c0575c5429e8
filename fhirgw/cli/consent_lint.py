"""The command ``fhirgw consent lint``: over files, without a store."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fhirgw.cli.terminal import emit, people, read_json
from fhirgw.consent.closure import Supporting
from fhirgw.consent.lint import lint
from fhirgw.consent.model import ConsentSettings
from fhirgw.consent.wire import resources
from fhirgw.document.officer import legend
from fhirgw.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lint")(consent_lint)


def consent_lint(
    consents: Annotated[list[Path], typer.Argument(help="FHIR Consents, or Bundles of them.")],
    supporting: Annotated[list[Path] | None, typer.Option(help="What references lead to; repeat.")] = None,
) -> None:
    """Say in plain words what Consents permit and deny, and what is wrong with them.

    Exit 1 where something cannot be enforced, or contradicts itself.

    Example: fhirgw consent lint fixtures/consent/roi.json
    """
    settings = ConsentSettings(zone=Settings().zone)
    known = Supporting(resources([read_json(path) for path in supporting or []], "supporting"), settings.zone)
    stated = resources([read_json(path) for path in consents], "consents")
    grave = False
    for report in lint(stated, known, datetime.now(UTC), settings):
        emit(asdict(report))
        people.print(f"Consent/{report.consent}", style="bold")
        for said in (*(f"permits {one}" for one in report.permits), *(f"denies {one}" for one in report.denies)):
            people.print(f"  {said}", soft_wrap=True, markup=False)
        for found in report.findings:
            people.print(f"  {found.kind}: {found.text} {found.path}".rstrip(), soft_wrap=True, markup=False)
            grave = grave or found.kind in {"unenforceable", "contradictory"}
        for code, meaning in legend((*report.permits, *report.denies)):
            people.print(f"  {code} means {meaning}", soft_wrap=True, markup=False)
    raise typer.Exit(code=int(grave))
