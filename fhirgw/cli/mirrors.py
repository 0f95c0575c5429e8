"""Commands about the upstream server that is kept in step: mirror status, compare, repair, retry."""

import asyncio
from functools import partial
from typing import Annotated

import typer
from rich.progress import Progress

from fhirgw.app import Gateway
from fhirgw.cli.terminal import emit, fail, local, people
from fhirgw.errors import DependencyDown, InvalidElement
from fhirgw.mirror import Mirror
from fhirgw.mirror.comparison import Difference, differences, repair
from fhirgw.mirror.upstream import LeaveAloneError
from fhirgw.store import copies, mirror
from fhirgw.store.stored import instant

EVERYBODY: tuple[str | None] = (None,)
mirror_app = typer.Typer(help="The upstream server that is kept in step (FHIRGW_UPSTREAM).", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(mirror_app, name="mirror")


def _of(gateway: Gateway) -> Mirror:
    if gateway.mirror is None:
        raise InvalidElement("No upstream server is set: FHIRGW_UPSTREAM.", location="upstream")
    return gateway.mirror


@mirror_app.command("status")
def status() -> None:
    """Say how the upstream server stands, then a line for each member of whom it refuses something.

    Example: fhirgw mirror status
    """
    with local() as gateway:
        of = _of(gateway)
        with gateway.database.read() as connection:
            known = mirror.find(connection, of.client)
            stuck = mirror.stuck(connection, of.client)
            told = {"waiting": mirror.waiting(connection, of.client), "refused": len(stuck)}
            told |= copies.counts(connection, of.client)
        emit(
            {
                "client": of.client,
                "upstream": of.server.base,
                "registered": of.requester() is not None,
                "inside": bool((asks := of.requester()) and asks.inside is not None),
                "down": bool(known and known.failures),
                "error": known.error if known else None,
                **told,
            }
        )
        for one in stuck:
            again = instant(one.retry_at) if one.retry_at else None
            emit({"patient": one.patient, "error": one.error, "attempts": one.attempts, "again": again})


@mirror_app.command("compare")
def compare() -> None:
    """Ask the upstream server for the version of everything that it was sent; a line for each difference.

    Exit code 1 if there is one. Example: fhirgw mirror compare
    """
    with local() as gateway:
        found = asyncio.run(_told(gateway, _of(gateway), mend=False))
    raise typer.Exit(code=int(found > 0))


@mirror_app.command("repair")
def repair_() -> None:
    """Compare, look at everybody anew, and send what the server lacks; consent decides anew.

    Example: fhirgw mirror repair
    """

    async def mended(gateway: Gateway) -> int:
        of = _of(gateway)
        await _told(gateway, of, mend=True)
        while await of.deliver_due():
            pass
        with gateway.database.read() as connection:
            return mirror.waiting(connection, of.client) + len(mirror.stuck(connection, of.client))

    with local() as gateway:
        left = asyncio.run(mended(gateway))
    if left:
        fail(DependencyDown(f"{left} members are not in step yet; fhirgw mirror status says why."))
    raise typer.Exit(code=int(left > 0))


@mirror_app.command("retry")
def retry(
    patients: Annotated[list[str] | None, typer.Argument(help="Patient ids; none: everybody.")] = None,
) -> None:
    """Send what was refused again; consent decides anew. Example: fhirgw mirror retry"""
    with local() as gateway:
        of = _of(gateway)
        for one in [*(patients or EVERYBODY)]:
            emit({"members": gateway.database.write_sync(partial(mirror.retry, client=of.client, patient=one))})


async def _told(gateway: Gateway, of: Mirror, *, mend: bool) -> int:
    """Print what differs; how much does."""
    found = 0
    with gateway.database.read() as connection:
        total = len(copies.copies(connection, of.client))
    with Progress(console=people, transient=True) as progress:
        task = progress.add_task("compared", total=total)
        try:
            async for some in (repair if mend else differences)(gateway.database, of):
                found += len(some)
                for one in some:
                    emit(_line(one))
                progress.advance(task, 50)
        except LeaveAloneError as error:
            raise DependencyDown(f"The upstream server cannot be compared: {error}") from None
    return found


def _line(one: Difference) -> dict[str, str | None]:
    return {"resource": "/".join(one.key), "is": one.kind, "version": one.version}
