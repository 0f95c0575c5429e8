"""Definitions into the store: about nobody, and for every client to read."""

from collections.abc import Sequence

from fhirgw.consent.model import Json
from fhirgw.profiles.validation import require_valid
from fhirgw.store import repository
from fhirgw.store.database import Database, Transaction


async def publish(database: Database, definitions: Sequence[Json]) -> None:
    """Store them; those that are there already, as they are, change nothing.

    Raises:
        ExceptionGroup: Everything that is wrong with one of them.
    """
    for one in definitions:
        require_valid(one)
    await database.write(lambda tx: _put(tx, definitions))


def _put(tx: Transaction, definitions: Sequence[Json]) -> None:
    for one in definitions:
        repository.put(tx, one, standing="registry")
