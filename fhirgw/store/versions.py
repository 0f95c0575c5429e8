"""The versions of resources, each labelled by the tables and targets of today."""

from typing import Any

import orjson
from sqlalchemy import Connection, and_, or_, select

from fhirgw.consent.labels import Labels
from fhirgw.consent.predicate import Visibility
from fhirgw.store import policy
from fhirgw.store.held import current_row, level, relabelled
from fhirgw.store.predicate import project, resource_visible
from fhirgw.store.repository import Stored, read
from fhirgw.store.schema import history as version_table
from fhirgw.store.schema import resource as table


def kept_versions(connection: Connection, kind: str, logical: str | None, visibility: Visibility) -> list[Stored]:
    """The versions of what is visible now, newest first, each labelled by the tables and targets of today.

    Outside the programme the caller still has to judge and redact each version, and to drop those in which
    nothing visible changed. There, nothing was ever deleted, and the current version is as ``read`` gives it.
    """
    versions = version_table
    seen, whose = project(visibility)
    found = (
        select(versions, table.c.source_labels, table.c.version.label("current"))
        .join(table, and_(table.c.type == versions.c.type, table.c.id == versions.c.id))
        .where(versions.c.type == kind, resource_visible(seen, kind, table))
        .order_by(versions.c.updated_at.desc(), versions.c.id, versions.c.version.desc())
    )
    if logical is not None:
        found = found.where(versions.c.id == logical)
    if not visibility.inside:
        # A version that was about somebody else is not released under this patient's consent.
        found = found.where(
            table.c.deleted.is_(False),
            versions.c.deleted.is_(False),
            versions.c.patient.is_not_distinct_from(table.c.patient),
            # What was not registered yet came from somebody's care, as did every version of what never was.
            versions.c.standing == table.c.standing,
            or_(table.c.standing != "derived", versions.c.version == table.c.version),
        )
    return [_version(connection, row, visibility) for row in connection.execute(found, whose)]


def _version(connection: Connection, row: Any, visibility: Visibility) -> Stored:
    if row.current == row.version and not visibility.inside:
        seen = read(connection, row.type, row.id, visibility)
        if seen is not None:
            return seen
    body = orjson.loads(row.body)
    labels = Labels(row.labels, row.conf)
    if not row.deleted:
        labels = relabelled(
            lambda key: level(connection, *key),
            lambda key: current_row(connection, key),
            connection,
            body,
            row.patient,
            row.source_labels,
            policy.marks(connection, row.patient),
        )
    return Stored(
        row.type, row.id, row.version, row.updated_at, row.deleted, row.patient, row.standing, labels, body
    )
