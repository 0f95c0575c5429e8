"""A resource as it is kept, and its forms: row, columns, body."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import orjson

from fhirgw.consent.labels import ElementLabel, Labels
from fhirgw.consent.model import Json

_MINUTE = 60_000_000


class Row(NamedTuple):
    """A row of table ``resource``; the columns in its order."""

    pk: int
    type: str
    id: str
    version: int
    updated_at: int
    deleted: bool
    patient: str | None
    standing: str
    labels: int
    conf: int
    guard: int
    source_labels: int
    label_table: str
    elements: bytes
    hash: bytes
    body: bytes


@dataclass(frozen=True)
class Stored:
    """A resource as it is kept; what most callers do not ask for is read when it is asked for.

    Attributes:
        updated_at: Microseconds; for an outside visibility, of the last visible change.
        patient: Whose compartment it is in; None: nobody's, or several people's.
        standing: ``compartment.Standing``.
        labelled: Its labels, or the row that has them.
        content: Its body without version and time, or the bytes of it.
    """

    type: str
    id: str
    version: int
    updated_at: int
    deleted: bool
    patient: str | None
    standing: str
    labelled: Labels | Row
    content: Json | bytes

    @cached_property
    def labels(self) -> Labels:
        """Of the resource and its elements."""
        return labels_of(self.labelled) if isinstance(self.labelled, Row) else self.labelled

    @cached_property
    def body(self) -> Json:
        """With ``meta.versionId`` and ``meta.lastUpdated``."""
        return dated(self.undated, self.version, self.updated_at)

    @cached_property
    def undated(self) -> Json:
        """Without them."""
        content: Json = orjson.loads(self.content) if isinstance(self.content, bytes) else self.content
        return content


def content(resource: Json) -> Json:
    """The resource without what the store says of it."""
    if "meta" not in resource:
        return resource
    meta = {
        name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")
    }
    if meta:
        return {**resource, "meta": meta}
    return {name: value for name, value in resource.items() if name != "meta"}


def dated(body: Json, version: int, at: int) -> Json:
    """The resource with what the store says of it."""
    said = {"versionId": str(version), "lastUpdated": instant(at)}
    head = {"resourceType": body["resourceType"], "id": body["id"], "meta": {**body.get("meta", {}), **said}}
    return head | {name: value for name, value in body.items() if name != "meta"}


def instant(at: int) -> str:
    """A FHIR instant in UTC with milliseconds; any finer part is cut, never rounded up."""
    minute, rest = divmod(at, _MINUTE)
    return f"{_minute(minute)}:{rest // 1_000_000:02}.{rest // 1000 % 1000:03}Z"


@lru_cache(maxsize=4096)  # what happened together was often written in the same one
def _minute(number: int) -> str:
    return datetime.fromtimestamp(number * 60, UTC).isoformat()[:16]


def columns(labels: Labels) -> dict[str, Any]:
    """Labels as columns of table ``resource``."""
    elements = orjson.dumps([[one.path, one.labels, one.conf, one.target] for one in labels.elements])
    return {"labels": labels.labels, "conf": labels.conf, "elements": elements}


def labels_of(row: Row) -> Labels:
    """Labels from the columns."""
    return Labels(row.labels, row.conf, _elements(bytes(row.elements)))


@lru_cache(maxsize=4096)  # most resources of a type have those of many others
def _elements(told: bytes) -> tuple[ElementLabel, ...]:
    return tuple(ElementLabel(tuple(path), bits, conf, target) for path, bits, conf, target in orjson.loads(told))


def stored(row: Row, shown: int | None = None) -> Stored:
    """The row as a resource; ``shown``: the instant of the last visible change, where that is another."""
    at = row.updated_at if shown is None else shown
    return Stored(
        row.type, row.id, row.version, at, bool(row.deleted), row.patient, row.standing, row, bytes(row.body)
    )
