"""Releases that ended: who received something under one is told that it has ended, and nothing else (leak 50).

The row is made in the transaction that ends the release. Who received something is what the ledger says; whoever
has no endpoint is noted as failed, for a person to tell them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from fhirgw.store import clients, outbox
from fhirgw.store.database import Transaction
from fhirgw.store.schema import ledger

RELEASE_ENDED = "release-ended"
NO_ENDPOINT = "no endpoint: tell them by other means"


@dataclass(frozen=True, slots=True)
class Told:
    """A recipient who is to learn that a release ended; ``by_us``: whether the gateway can tell it."""

    client: str
    by_us: bool


def note(tx: Transaction, patient: str, consent: str) -> None:
    """A release has ended: have those told who received something under it."""
    rows = [
        (told.client, "due" if told.by_us else "failed", None if told.by_us else NO_ENDPOINT)
        for told in to_tell(tx.direct, patient, consent)
    ]
    outbox.tell(tx, patient=patient, focus=f"Consent/{consent}", code=RELEASE_ENDED, rows=rows)


def to_tell(connection: Connection, patient: str, consent: str) -> Iterator[Told]:
    """Who received something of this patient under this Consent, and is still registered."""
    named = f'"Consent/{consent}/_history/'.encode()
    found = connection.execute(
        select(ledger.c.recipient, ledger.c.event).where(ledger.c.patient == patient, ledger.c.disclosure)
    )
    for one in sorted({row.recipient for row in found if named in bytes(row.event)}):
        client = clients.find(connection, one)
        if client is not None and not client.revoked and client.inside is None:
            yield Told(one, client.notify_url is not None)
