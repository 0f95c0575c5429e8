"""Who is who: identifiers of patients, what each source says of a person, and which ICM cases were stored."""

from collections.abc import Iterable

import orjson
from sqlalchemy import Connection, insert, select, tuple_, update

from fhirgw.consent.model import Json
from fhirgw.errors import ProfileViolation
from fhirgw.store.database import Transaction
from fhirgw.store.schema import icm_case, identity, person_source

Identifier = tuple[str, str]
"""(system, value): an identifier is never a bare value (DESIGN §4)."""


def find(connection: Connection, identifiers: Iterable[Identifier]) -> set[str]:
    """The patients that bear one of these identifiers."""
    pairs = sorted(set(identifiers))
    if not pairs:
        return set()
    found = select(identity.c.patient).where(tuple_(identity.c.system, identity.c.value).in_(pairs))
    return set(connection.scalars(found))


def bind(tx: Transaction, identifiers: Iterable[Identifier], patient: str) -> None:
    """Note that the patient bears these identifiers.

    Raises:
        ProfileViolation: One of them is somebody else's; nothing is changed then.
    """
    known = {
        (row.system, row.value): row.patient
        for system, value in sorted(set(identifiers))
        for row in tx.connection.execute(
            select(identity).where(identity.c.system == system, identity.c.value == value)
        )
    }
    if any(bearer != patient for bearer in known.values()):
        raise ProfileViolation("An identifier belongs to somebody else here; a person must look at it.")
    rows = [
        {"system": system, "value": value, "patient": patient}
        for system, value in sorted(set(identifiers) - known.keys())
    ]
    if rows:
        tx.connection.execute(insert(identity), rows)


def picture(tx: Transaction, patient: str, source: str, body: Json) -> None:
    """Keep what a source (``icm``, or a sender's name) says of a person now."""
    raw = orjson.dumps(body)
    where = (person_source.c.patient == patient, person_source.c.source == source)
    changed = tx.connection.execute(update(person_source).where(*where).values(body=raw)).rowcount
    if not changed:
        tx.connection.execute(insert(person_source).values(patient=patient, source=source, body=raw))


def pictures(connection: Connection, patient: str) -> dict[str, Json]:
    """Source to its picture of the person."""
    found = select(person_source).where(person_source.c.patient == patient).order_by(person_source.c.source)
    return {row.source: orjson.loads(row.body) for row in connection.execute(found)}


def case_digest(connection: Connection, key: str) -> bytes | None:
    """The digest of the case as last stored; None when it never was."""
    found = connection.scalar(select(icm_case.c.digest).where(icm_case.c.key == key))
    return bytes(found) if found is not None else None


def case_patient(connection: Connection, key: str) -> str | None:
    """Whose the case was when it was last stored; None when it never was."""
    found: str | None = connection.scalar(select(icm_case.c.patient).where(icm_case.c.key == key))
    return found


def note_case(tx: Transaction, key: str, digest: bytes, patient: str) -> None:
    """Note that a case was stored."""
    values = {"digest": digest, "patient": patient, "imported_at": tx.now}
    if not tx.connection.execute(update(icm_case).where(icm_case.c.key == key).values(values)).rowcount:
        tx.connection.execute(insert(icm_case).values(key=key, **values))
