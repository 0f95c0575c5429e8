"""Whose Consents are to be looked at, and when: at once when one was written, and when one begins or is to end."""

from sqlalchemy import Connection

from fhirgw.store.database import Transaction
from fhirgw.store.due import DueTable
from fhirgw.store.schema import consent_clock

_CLOCK = DueTable(consent_clock)


def note(tx: Transaction, patient: str, due_at: int | None) -> None:
    """When the patient's Consents are to be looked at next, in microseconds; None: when one is written."""
    _CLOCK.note(tx, patient, due_at)


def due(connection: Connection, now: int, limit: int) -> list[str]:
    """Patients whose Consents are to be looked at, the longest due first."""
    return _CLOCK.due(connection, now + 1, limit)
