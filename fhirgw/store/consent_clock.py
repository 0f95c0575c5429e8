"""Whose Consents are to be looked at, and when: at once when one was written, and when one begins or is to end."""

from sqlalchemy import Connection, Integer, bindparam, delete, select, text

from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import consent_clock

_SET = Prepared(
    text(
        "INSERT INTO consent_clock (patient, due_at) VALUES (:patient, :due_at) "
        "ON CONFLICT (patient) DO UPDATE SET due_at = excluded.due_at"
    )
)
_UNSET = Prepared(delete(consent_clock).where(consent_clock.c.patient == bindparam("of")))
_DUE = Prepared(
    select(consent_clock.c.patient)
    .where(consent_clock.c.due_at <= bindparam("now"))
    .order_by(consent_clock.c.due_at, consent_clock.c.patient)
    .limit(bindparam("most", type_=Integer))
)


def note(tx: Transaction, patient: str, due_at: int | None) -> None:
    """When the patient's Consents are to be looked at next, in microseconds; None: when one is written."""
    if due_at is None:
        _UNSET.run(tx.direct, [{"of": patient}])
    else:
        _SET.run(tx.direct, [{"patient": patient, "due_at": due_at}])


def due(connection: Connection, now: int, limit: int) -> list[str]:
    """Patients whose Consents are to be looked at, the longest due first."""
    return [patient for (patient,) in _DUE.rows(connection, now=now, most=limit)]
