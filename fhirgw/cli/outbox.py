"""Commands about what goes out by itself: outbox list, retry."""

from functools import partial
from typing import Annotated

import typer

from fhirgw.cli.terminal import emit, local
from fhirgw.store import outbox
from fhirgw.store.stored import instant

outbox_app = typer.Typer(help="Notifications: what was sent, what waits, what was given up.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(outbox_app, name="outbox")


@outbox_app.command("list")
def outbox_list(
    state: Annotated[list[str] | None, typer.Option(help="due, sent, withheld, moot or failed; repeat.")] = None,
    client: Annotated[str | None, typer.Option(help="Only what is for this client.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 50,
) -> None:
    """List notifications, without a word of their content. Example: fhirgw outbox list --state failed"""
    with local() as gateway, gateway.database.read() as connection:
        for row in outbox.list_(connection, states=state or (), client=client, limit=limit):
            emit(
                {
                    "id": row.id,
                    "made": instant(row.created_at),
                    "client": row.client,
                    "code": row.code,
                    "takes_back": row.undone,
                    "state": row.state,
                    "attempts": row.attempts,
                    "due": instant(row.due_at) if row.state == "due" else None,
                    "ended": instant(row.ended_at) if row.ended_at else None,
                    "error": row.error,
                }
            )


@outbox_app.command("retry")
def outbox_retry(rows: Annotated[list[int], typer.Argument(help="Outbox ids.", show_default=False)]) -> None:
    """Send again what failed or was withheld; consent decides anew. Example: fhirgw outbox retry 7"""
    with local() as gateway:
        for row in rows:
            gateway.database.write_sync(partial(outbox.retry, key=row))
            emit({"id": row, "state": "due"})
