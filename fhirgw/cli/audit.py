"""Commands over the ledger: is it whole, and what was disclosed of a member.

They are not exits: local, and accounted for in the ledger where they touch a member's data (DESIGN §1).
"""

from dataclasses import asdict
from typing import Annotated

import typer

from fhirgw.audit import disclosures, verify
from fhirgw.cli.terminal import account, emit, local, patient_id

audit_app = typer.Typer(help="The ledger of what was released.", no_args_is_help=True)

Patient = Annotated[str, typer.Option(help="Logical id, or system|value of an identifier.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(audit_app, name="audit")


@audit_app.command("verify")
def audit_verify() -> None:
    """Check the ledger's chains and signed roots. Example: fhirgw audit verify"""
    with local() as gateway, gateway.database.read() as connection:
        found = list(verify(connection, gateway.keys.audit))
    emit({"ok": not found, "problems": found})
    raise typer.Exit(code=int(bool(found)))


@audit_app.command("disclosures")
def audit_disclosures(patient: Patient) -> None:
    """What was disclosed of a member, to whom, when, under which consent; this is accounted for.

    Example: fhirgw audit disclosures --patient 'http://fhirgw.org/fhir/sid/ct-medicaid|CT-TEST-0001'
    """
    with local() as gateway:
        who = patient_id(gateway, patient)
        with gateway.database.read() as connection:
            found = disclosures(connection, who)
        for one in found:
            emit(asdict(one))
        account(gateway, who, "audit-disclosures", (f"Patient/{who}",))
