"""Commands about the codes of the senders that no map has: codes list, forget."""

from typing import Annotated

import typer

from fhirgw.cli.terminal import emit, local
from fhirgw.errors import InvalidElement
from fhirgw.store import unmapped
from fhirgw.store.stored import instant

codes_app = typer.Typer(help="Codes of the senders that no map has.", no_args_is_help=True)

SenderName = Annotated[str | None, typer.Option(help="Name in the senders file.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(codes_app, name="codes")


@codes_app.command("list")
def codes_list(sender: SenderName = None) -> None:
    """List the codes, the most frequent first. Example: fhirgw codes list --sender elm"""
    with local() as gateway, gateway.database.read() as connection:
        for one in unmapped.list_(connection, sender=sender):
            emit(
                {
                    "sender": one.sender,
                    "field": one.field,
                    "system": one.system,
                    "code": one.code,
                    "seen": one.seen,
                    "first": instant(one.first_at),
                    "last": instant(one.last_at),
                }
            )


@codes_app.command("forget")
def codes_forget(
    sender: SenderName = None,
    field: Annotated[str | None, typer.Option(help="Where it stands: PV1-4.")] = None,
    system: Annotated[str | None, typer.Option(help="HL7 table or coding system.")] = None,
    code: Annotated[str | None, typer.Option(help="The code.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Count anew those that all of this is true of. Example: fhirgw codes forget --sender elm --field PV1-4"""
    if every == any((sender, field, system, code)):
        raise InvalidElement("Say which codes, or --all.")
    with local() as gateway:
        forgotten = gateway.database.write_sync(
            lambda tx: unmapped.forget(tx, sender=sender, field=field, system=system, code=code)
        )
    emit({"forgotten": forgotten})
