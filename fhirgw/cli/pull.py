"""``fhirgw import --fhir``: what a FHIR server of the programme's own system holds, into the store."""

import asyncio
from collections import Counter
from functools import partial
from typing import NoReturn

import typer
from rich.progress import Progress

from fhirgw.app import Gateway
from fhirgw.cli.terminal import emit, local, people
from fhirgw.errors import DependencyDown
from fhirgw.ingest.pulled import Outcome
from fhirgw.mirror.source import Source
from fhirgw.mirror.upstream import Access, LeaveAloneError, Server
from fhirgw.profiles.definitions import resource_types
from fhirgw.store import imports
from fhirgw.store.mirror import Key
from fhirgw.store.stored import instant


def import_fhir(base: str, since: str | None) -> NoReturn:
    """Import what changed there, type by type; a line for each type, and one for each resource that is refused."""
    with local() as gateway:
        token = gateway.settings.import_token
        source = Source(Server(base, Access(token.get_secret_value() if token else None)))
        try:
            failed = asyncio.run(_import(gateway, source, since))
        except LeaveAloneError as error:
            raise DependencyDown(f"The source cannot be read: {error}") from None
    raise typer.Exit(code=int(failed))


def tell_refused(base: str) -> NoReturn:
    """A line for each resource of the server that was refused and is not here; nothing is asked of the server."""
    source = base.rstrip("/")
    with local() as gateway, gateway.database.read() as connection:
        for seen, _ in imports.refused(connection, source):
            told = {"source": source, "resource": "/".join(seen.key), "error": seen.error, "seen": instant(seen.at)}
            emit(told)
    raise typer.Exit


async def _import(gateway: Gateway, source: Source, since: str | None) -> bool:
    """Whether anything was refused, and is not here."""
    refused: dict[Key, str | None] = {}
    types = await source.types(resource_types())
    with Progress(console=people, transient=True) as progress:
        task = progress.add_task("types", total=len(types))
        for kind, tells_history in types:
            counts = await _type(gateway, source, kind, since, refused, tells_history=tells_history)
            progress.advance(task)
            if counts:
                emit({"source": source.base, "type": kind, **counts})
    for key, outcome, why in await gateway.ingest.pulled.again(source.base):
        refused[key] = why
        if outcome == "stored":
            refused.pop(key)
            emit({"source": source.base, "resource": "/".join(key), "stored": 1})
    for key, why in sorted(refused.items()):
        people.print(f"[red]refused[/red] {'/'.join(key)}: {why}", soft_wrap=True)
    return bool(refused)


async def _type(
    gateway: Gateway,
    source: Source,
    kind: str,
    since: str | None,
    refused: dict[Key, str | None],
    *,
    tells_history: bool,
) -> Counter[Outcome]:
    """Import one type; the place is kept after each page, so that an interrupted import goes on there."""
    counts: Counter[Outcome] = Counter()
    with gateway.database.read() as connection:
        start = since or imports.since(connection, source.base, kind)
    gone = await source.deletions(kind, start) if tells_history and start else []
    async for page in source.changes(kind, start):
        for change in page:
            if change.resource is None:
                continue
            outcome, why = await gateway.ingest.pulled.take(source.base, change.resource)
            counts[outcome] += 1
            if outcome == "refused":
                refused[change.key] = why
        if page:
            keep = partial(imports.keep_since, base=source.base, kind=kind, until=page[-1].at)
            await gateway.database.write(keep)
    for change in gone:
        counts[await gateway.ingest.pulled.delete(source.base, change.key)] += 1
    return counts
