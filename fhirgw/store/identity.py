"""Who is who: identifiers of patients, what each source says of a person, and which ICM cases were stored."""

from collections.abc import Iterable

import orjson
from sqlalchemy import Connection, bindparam, insert, select, update

from fhirgw.consent.model import Json
from fhirgw.errors import ProfileViolation
from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import icm_case, identity, person_source

Identifier = tuple[str, str]
"""(system, value): an identifier is never a bare value (DESIGN §4)."""

_BEARER = Prepared(
    select(identity.c.patient).where(
        identity.c.system == bindparam("of_system"), identity.c.value == bindparam("of_value")
    )
)
_BIND = Prepared(insert(identity), ("system", "value", "patient"))
_PICTURES = Prepared(
    select(person_source.c.source, person_source.c.body)
    .where(person_source.c.patient == bindparam("of"))
    .order_by(person_source.c.source)
)
_PICTURE = Prepared(insert(person_source), ("patient", "source", "body"))
_CHANGE_PICTURE = Prepared(
    update(person_source)
    .where(person_source.c.patient == bindparam("of"), person_source.c.source == bindparam("by"))
    .values(body=bindparam("new"))
)


def find(connection: Connection, identifiers: Iterable[Identifier]) -> set[str]:
    """The patients that bear one of these identifiers."""
    return set(_bearers(connection, identifiers).values())


def bind(tx: Transaction, identifiers: Iterable[Identifier], patient: str) -> None:
    """Note that the patient bears these identifiers.

    Raises:
        ProfileViolation: One of them is somebody else's; nothing is changed then.
    """
    wanted = set(identifiers)
    known = _bearers(tx.connection, wanted)
    if any(bearer != patient for bearer in known.values()):
        raise ProfileViolation("An identifier belongs to somebody else here; a person must look at it.")
    new = sorted(wanted - known.keys())
    _BIND.run(tx.connection, [{"system": system, "value": value, "patient": patient} for system, value in new])


def _bearers(connection: Connection, identifiers: Iterable[Identifier]) -> dict[Identifier, str]:
    """Who bears each of these identifiers, of those that somebody bears."""
    found = ((one, _BEARER.scalar(connection, of_system=one[0], of_value=one[1])) for one in set(identifiers))
    return {one: bearer for one, bearer in found if bearer is not None}


def picture(tx: Transaction, patient: str, source: str, body: Json) -> None:
    """Keep what a source (``icm``, or a sender's name) says of a person now."""
    raw = orjson.dumps(body)
    if not _CHANGE_PICTURE.change(tx.connection, of=patient, by=source, new=raw):
        _PICTURE.run(tx.connection, [{"patient": patient, "source": source, "body": raw}])


def pictures(connection: Connection, patient: str) -> dict[str, Json]:
    """Source to its picture of the person."""
    return {source: orjson.loads(body) for source, body in _PICTURES.rows(connection, of=patient)}


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
