"""Commands over the ledger: is it whole, and what was disclosed of a member.

They are not exits: local, and accounted for in the ledger where they touch a member's data (DESIGN §1).
"""

from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from fhirgw import accounting
from fhirgw.audit import disclosure, disclosures, events, find, read_root, roots, verify
from fhirgw.cli.terminal import account, emit, local, patient_id, read, written
from fhirgw.document import LANGUAGES, Presentation, pages
from fhirgw.document.disclosed import page
from fhirgw.document.plan import name_of
from fhirgw.errors import InvalidElement
from fhirgw.replay import replay
from fhirgw.store import repository

audit_app = typer.Typer(help="The ledger of what was released.", no_args_is_help=True)

Patient = Annotated[str, typer.Option(help="Logical id, or system|value of an identifier.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(audit_app, name="audit")


@audit_app.command("verify")
def audit_verify(
    kept: Annotated[
        Path | None, typer.Option("--roots", help="Roots that were kept elsewhere, as audit roots wrote them.")
    ] = None,
) -> None:
    """Check the ledger's chains and signed roots, and that those kept elsewhere still hold; exit 1 if not.

    Example: fhirgw audit verify --roots kept-roots.ndjson
    """
    others = [read_root(_json(line)) for line in read(kept).splitlines() if line.strip()] if kept else []
    with local() as gateway, gateway.database.read() as connection:
        found = list(verify(connection, gateway.keys.audit, others))
    emit({"ok": not found, "problems": found})
    raise typer.Exit(code=int(bool(found)))


def _json(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


@audit_app.command("roots")
def audit_roots(output: Annotated[Path | None, typer.Option(help="Write to this file.")] = None) -> None:
    """Print the signed roots, to be kept where nobody who can change the database can change them.

    Example: fhirgw audit roots --output kept-roots.ndjson
    """
    with local() as gateway:
        gateway.database.write_sync(gateway.ledger.sign)
        with gateway.database.read() as connection:
            found = roots(connection)
    written(b"".join(orjson.dumps(asdict(root)) + b"\n" for root in found), output)


@audit_app.command("disclosures")
def audit_disclosures(patient: Patient) -> None:
    """What was disclosed of a member, to whom, when, under which consent; this is accounted for.

    Example: fhirgw audit disclosures --patient 'http://fhirgw.org/fhir/sid/ct-medicaid|CT-TEST-0001'
    """
    with local() as gateway:
        who = patient_id(gateway, patient)
        with gateway.database.read() as connection:
            found = events(connection, who)
        for name, _, event in found:
            emit({"entry": name, **asdict(disclosure(event))})
        account(gateway, who, "audit-disclosures", (f"Patient/{who}",))


@audit_app.command("replay")
def audit_replay(
    entry: Annotated[str, typer.Argument(help="As audit disclosures names it.", show_default=False)],
) -> None:
    """Decide an entry of the ledger again, from the history, and say what differs; exit 1 if anything does.

    Example: fhirgw audit replay 3f2a9c01d4e5b687/12
    """
    with local() as gateway:
        with gateway.database.read() as connection:
            found = find(connection, entry)
            replayed = replay(connection, found, gateway.share.consent)
        account(gateway, found.entry.patient, "audit-replay", (f"Patient/{found.entry.patient}",))
    same = not replayed.differences
    emit({"entry": entry, "same": same, "differences": replayed.differences, "changed_since": replayed.since})
    raise typer.Exit(code=int(not same))


class Print(StrEnum):
    """How an accounting is printed."""

    HTML = "html"
    PDF = "pdf"


@audit_app.command("accounting")
def audit_accounting(
    patient: Patient,
    output: Annotated[Path, typer.Option(help="Write to this file.", show_default=False)],
    form: Annotated[Print, typer.Option("--format", help="For a screen, or for paper.")] = Print.PDF,
    start: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day; none: six years ago.")
    ] = None,
    end: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day; none: today.")] = None,
    language: Annotated[str, typer.Option(help="en or es.")] = LANGUAGES[0],
    large_print: Annotated[bool, typer.Option(help="Print large.")] = False,
) -> None:
    """Print a member's accounting of disclosures (45 CFR 164.528, 42 CFR 2.25), for the member; accounted for.

    Example: fhirgw audit accounting --patient 'http://example.org/sid|M1' --language es --output M1.pdf
    """
    if language not in LANGUAGES:
        raise InvalidElement(f"Documents are in {' or '.join(LANGUAGES)}.", location="--language")
    today = datetime.now(UTC).date()
    first = start.date() if start else accounting.earliest(today)
    last = end.date() if end else today
    with local() as gateway:
        who = patient_id(gateway, patient)
        with gateway.database.read() as connection:
            told = [one for one in disclosures(connection, who) if first <= accounting.on_day(one) <= last]
            lines = accounting.lines(connection, told, today)
            stored = repository.current(connection, "Patient", who)
        if stored is None:
            raise InvalidElement("Nobody here has this id.", location="--patient")
        said = page(name_of(stored.body, {}), lines, language, (first, last))
        account(gateway, who, "audit-accounting", (f"Patient/{who}",))
    presentation = Presentation.HTML if form == Print.HTML else Presentation.PDF
    written(pages.PRINTERS[presentation](said, large=large_print), output)
