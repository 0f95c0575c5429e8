"""Commands about what came back of cases, for a system that asks by file instead of ``GET /icm/returns``.

Local, and accounted for in the ledger where they show a member's data (DESIGN §1).
"""

from typing import Annotated

import typer

from fhirgw.cli.terminal import account, emit, local
from fhirgw.errors import InvalidElement
from fhirgw.store import identity, returns
from fhirgw.store.stored import instant

returns_app = typer.Typer(help="What was written through FHIR and says something of a case.", no_args_is_help=True)

MOST = 100


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(returns_app, name="returns")


@returns_app.command("list")
def returns_list(
    after: Annotated[int, typer.Option(help="The last number that is known.")] = 0,
    program: Annotated[list[str] | None, typer.Option(help="Only of this programme; repeat.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, in order.")] = MOST,
) -> None:
    """List what came back, without a word of its content. Example: fhirgw returns list --after 12"""
    with local() as gateway, gateway.database.read() as connection:
        for one in returns.after(connection, after, program, limit):
            known = identity.case(connection, one.records.case)
            emit(
                {
                    "number": one.number,
                    "at": instant(one.at),
                    "program": one.program,
                    "case": one.records.case,
                    "resource": f"{one.type}/{one.id}",
                    "basedOn": one.based_on,
                    "statedSince": known is not None and known.digest != one.digest,
                }
            )


@returns_app.command("show")
def returns_show(
    number: Annotated[int, typer.Argument(help="Its number.", show_default=False)],
) -> None:
    """The statement that the case's system would make of it, as import takes it; this is accounted for.

    Example: fhirgw returns show 13
    """
    with local() as gateway:
        with gateway.database.read() as connection:
            one = next(iter(returns.after(connection, number - 1, None, 1)), None)
            known = identity.case(connection, one.records.case) if one else None
        if one is None or one.number != number or known is None:
            raise InvalidElement("Nothing came back with this number, or it was removed since.", location="NUMBER")
        account(gateway, known.patient, "returns-show", (f"{one.type}/{one.id}",))
    emit(one.records.model_dump(mode="json", exclude_defaults=True))
