"""Compare and repair: what an upstream server holds beside what it was sent."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from fhirgw.mirror import Mirror
from fhirgw.store import copies, mirror
from fhirgw.store.database import Database, Transaction
from fhirgw.store.mirror import Key

PER_LOOK = 50


@dataclass(frozen=True, slots=True)
class Difference:
    """A resource that is there otherwise than it was sent.

    Attributes:
        key: Of the resource.
        kind: ``missing``; ``changed``: another version is there; ``left``: it was deleted, and is there.
        version: That is there; None: none is.
    """

    key: Key
    kind: str
    version: str | None


async def differences(database: Database, of: Mirror) -> AsyncIterator[list[Difference]]:
    """What differs, some resources at a time; nothing of a member is sent for it but ids that the server has.

    Raises:
        LeaveAloneError: The server does not answer.
    """
    with database.read() as connection:
        sent = copies.copies(connection, of.client)
    for kind, keys in groupby(sent, key=lambda key: key[0]):
        ids = [logical for _, logical in keys]
        for start in range(0, len(ids), PER_LOOK):
            some = ids[start : start + PER_LOOK]
            there = await of.server.versions(kind, some)
            found = (_difference((kind, logical), sent[kind, logical], there.get(logical)) for logical in some)
            yield [one for one in found if one is not None]


def _difference(key: Key, sent: copies.Copy, version: str | None) -> Difference | None:
    if sent.digest is None:
        return Difference(key, "left", version) if version is not None else None
    if version is None:
        return Difference(key, "missing", None)
    same = sent.version in (None, version)
    return None if same else Difference(key, "changed", version)


async def repair(database: Database, of: Mirror) -> AsyncIterator[list[Difference]]:
    """Note what differs, some resources at a time; then everybody is looked at anew, whatever was noted of them.

    Raises:
        LeaveAloneError: The server does not answer.
    """
    async for some in differences(database, of):
        await database.write(partial(_note, client=of.client, some=some))
        yield some
    await database.write(lambda tx: mirror.retry(tx, of.client))


def _note(tx: Transaction, client: str, some: list[Difference]) -> None:
    for one in some:
        copies.found_otherwise(tx, client, one.key, one.version, foreign=True)
