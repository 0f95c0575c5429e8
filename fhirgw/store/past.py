"""What the store was: what a decision about a patient reads besides, and versions as they were at an instant."""

from typing import NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, bindparam, func, select

from fhirgw.consent.model import Json
from fhirgw.store import policy
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import history, resource

_CONSENTS = Prepared(  # not ordered: SQLite would walk the Consents of everybody for that
    select(resource.c.id, resource.c.version, resource.c.hash).where(
        resource.c.patient == bindparam("of"), resource.c.type == "Consent", resource.c.deleted.is_(False)
    )
)


class Read(NamedTuple):
    """What of a patient no history keeps, and the digests of what one does.

    Attributes:
        enrolments: How the patient stands to programmes, whichever; one record's opting out is everyone's.
        others: Records that were merged or linked with this one.
        consents: (``Consent/x/_history/3``, digest of its content), of all these records.
    """

    enrolments: tuple[str, ...]
    others: tuple[str, ...]
    consents: tuple[tuple[str, str], ...]


class Version(NamedTuple):
    """A resource as it was."""

    type: str
    id: str
    version: int
    patient: str | None
    standing: str
    source_labels: int
    body: Json


def read(connection: Connection, patient: str) -> Read:
    """What a decision about a patient reads now."""
    others = tuple(sorted(policy.linked(connection, patient)))
    states = {status for _, status in policy.enrolments(connection, patient)}
    states |= {
        status
        for other in others
        for _, status in policy.enrolments(connection, other)
        if status == "opted-out"
    }  # fmt: skip
    consents = (row for record in (patient, *others) for row in _CONSENTS.rows(connection, of=record))
    named = (
        (f"Consent/{logical}/_history/{version}", bytes(digest).hex()) for logical, version, digest in consents
    )
    return Read(tuple(sorted(states)), others, tuple(sorted(named)))


def versions(connection: Connection, before: int, *where: ColumnElement[bool]) -> list[Version]:
    """What was there just before an instant (microseconds), of the history that the conditions select."""
    later = history.alias("later")
    newest = (
        select(func.max(later.c.version))
        .where(later.c.type == history.c.type, later.c.id == history.c.id, later.c.updated_at < before)
        .scalar_subquery()
    )
    found = (
        select(history, resource.c.source_labels)
        .join(resource, (resource.c.type == history.c.type) & (resource.c.id == history.c.id))
        .where(*where, history.c.updated_at < before, history.c.version == newest, history.c.deleted.is_(False))
    )
    return [
        Version(row.type, row.id, row.version, row.patient, row.standing, row.source_labels, orjson.loads(row.body))
        for row in connection.execute(found)
    ]
