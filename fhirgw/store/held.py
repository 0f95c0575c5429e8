"""What a unit of work has put, held back until it is read or the unit ends.

A message puts a visit whose parts refer to one another, and a unit may take many messages: held together, each
resource is labelled as often as it has to be, but its row and its index are written once, with those of all the
others. Every version is written. (docs/decisions/0115.)

INVARIANT: nobody else writes the table ``resource``, so that what was read of it stays true. Whoever reads the
tables ``resource``, ``history``, the index or the guards in a unit of work does so through
``Transaction.connection``, which writes first what is here; or through this.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select, update

from fhirgw.consent.closure import Supporting, holders_of
from fhirgw.consent.content import Content
from fhirgw.consent.criteria import ALONE, Surroundings
from fhirgw.consent.labels import TABLE_VERSION, LabelContext, Labels, label
from fhirgw.consent.marks import Marks
from fhirgw.consent.model import Json
from fhirgw.consent.vocabulary import MARKS
from fhirgw.store import index, mirror, policy
from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.database import Transaction
from fhirgw.store.guards import guards_of
from fhirgw.store.predicate import one_of, several
from fhirgw.store.prepared import Prepared, PreparedInsert
from fhirgw.store.schema import folded, search_reference
from fhirgw.store.schema import history as version_table
from fhirgw.store.schema import resource as table
from fhirgw.store.stored import Row, columns

Key = tuple[str, str]
"""(type, id)."""
Level = tuple[int, int, str | None]
"""Labels and confidentiality of a resource as a whole, and its patient."""

DV_TYPES = ("Coverage", "Patient", "RelatedPerson")
_VISITS = 3  # of one resource in a cycle; then its labels only rise, so that it ends
_UNWRITTEN = 0  # pk of a row that is not there yet

_NAMES = tuple(column.name for column in table.c)
_CHANGING = _NAMES[3:]
"""All but key, type and id: what is not set needs no new entry in its index."""
_VERSION_NAMES = tuple(column.name for column in version_table.c)
_changing, _version = attrgetter(*_CHANGING), attrgetter(*_VERSION_NAMES)
CURRENT = Prepared(select(table).where(table.c.type == bindparam("kind"), table.c.id == bindparam("logical")))
SEEN = Prepared(
    select(table.c.labels, table.c.conf, table.c.patient).where(
        table.c.type == bindparam("kind"), table.c.id == bindparam("logical"), table.c.deleted.is_(False)
    )
)
_OF_SCOPE = Prepared(
    select(folded.c.type, folded.c.id, table)
    .outerjoin(table, (folded.c.type == table.c.type) & (folded.c.id == table.c.id))
    .where(folded.c.scope == bindparam("of"))
)
_OF_TYPE = Prepared(
    select(table).where(table.c.type == bindparam("kind"), one_of(table.c.id, bindparam("of"), several=True))
)
_LEVELS = Prepared(
    select(table.c.id, table.c.labels, table.c.conf, table.c.patient).where(
        table.c.type == bindparam("kind"),
        one_of(table.c.id, bindparam("of"), several=True),
        table.c.deleted.is_(False),
    )
)
_REFERRERS = Prepared(
    select(table.c.type, table.c.id)
    .join(search_reference, search_reference.c.resource == table.c.pk)
    .where(
        search_reference.c.target_id == bindparam("logical"), search_reference.c.target_type == bindparam("kind")
    )
    .distinct()
)
_REFERRERS_OF = Prepared(
    select(search_reference.c.target_type, search_reference.c.target_id, table.c.type, table.c.id)
    .join(search_reference, search_reference.c.resource == table.c.pk)
    .where(one_of(search_reference.c.target_id, bindparam("of"), several=True))
    .distinct()
)
_INSERT = PreparedInsert(table, _NAMES[1:])
_UPDATE = Prepared(
    update(table)
    .where(table.c.pk == bindparam("key"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
_UPDATED = (*(f"new_{name}" for name in _CHANGING), "key")
_VERSION = Prepared(insert(version_table), _VERSION_NAMES)


def level(connection: Connection, kind: str, logical: str) -> Level | None:
    """What the stored resource is labelled as a whole, and whose it is; None when there is none."""
    found = SEEN.first(connection, kind=kind, logical=logical)
    return (found[0], found[1], found[2]) if found is not None else None


def stored_referrers(connection: Connection, key: Key) -> set[Key]:
    """What refers to a stored resource."""
    return {(kind, logical) for kind, logical in _REFERRERS.rows(connection, kind=key[0], logical=key[1])}


@dataclass(slots=True)
class _Draft:
    """A resource as it will be written, with what its elements give the index; no ``body``: it is deleted."""

    row: Row
    body: Json | None
    elements: index.Elements
    labels: Labels


def held(tx: Transaction) -> "Held":
    """What this unit of work holds back."""
    if not isinstance(tx.unwritten, Held):
        tx.unwritten = Held(tx)
    return tx.unwritten


class Held:
    """What one unit of work has put and read."""

    def __init__(self, tx: Transaction) -> None:
        """Nothing yet."""
        self._connection, self._now = tx.direct, tx.now
        self._rows: dict[Key, Row | None] = {}
        self._levels: dict[Key, Level | None] = {}
        self._drafts: dict[Key, _Draft] = {}
        self._versions: list[tuple[Any, ...]] = []
        self._referrers: dict[Key, set[Key]] = {}
        self._stored_referrers: dict[Key, set[Key]] = {}
        self._found: dict[Key, Row | None] = {}
        self._marks: dict[str | None, Marks] = {}

    # Reading

    def row(self, key: Key) -> Row | None:
        """The current row, deleted or not; None when there is none."""
        draft = self._drafts.get(key)
        if draft is not None:
            return draft.row
        if key not in self._rows:
            self._rows[key] = current_row(self._connection, key)
        return self._rows[key]

    def read_folded(self, scope: str) -> list[Key]:
        """Read at once what an earlier fold made, and name it: the next one puts much the same."""
        made: list[Key] = []
        for kind, logical, *row in _OF_SCOPE.rows(self._connection, of=scope):
            if row[0] is not None:  # else this unit has put it, and it is not written yet
                self._rows.setdefault((kind, logical), Row(*row))
            made.append((kind, logical))
        return made

    def read(self, keys: Iterable[Key]) -> None:
        """Read at once what is going to be put, and what refers to it where it is not there yet."""
        unread: dict[str, list[str]] = {}
        for key in keys:
            if key not in self._drafts and key not in self._rows:
                unread.setdefault(key[0], []).append(key[1])
        absent: list[Key] = []
        for kind, of in unread.items():
            found = _OF_TYPE.rows(self._connection, kind=kind, of=several(of))
            rows = {row.id: row for row in (Row(*one) for one in found)}
            self._rows.update({(kind, logical): rows.get(logical) for logical in of})
            absent += [(kind, logical) for logical in of if logical not in rows]
        if absent:
            self._read_referrers(absent)

    def _read_referrers(self, of: Sequence[Key]) -> None:
        self._stored_referrers.update({key: set() for key in of})
        named = several(logical for _, logical in of)
        for kind, logical, *referrer in _REFERRERS_OF.rows(self._connection, of=named):
            known = self._stored_referrers.get((kind, logical))
            if known is not None:
                known.add((referrer[0], referrer[1]))

    def level(self, key: Key) -> Level | None:
        """Labels and patient of a resource; None when it is absent or deleted."""
        draft = self._drafts.get(key)
        row = draft.row if draft is not None else self._rows.get(key)
        if row is not None:
            return None if row.deleted else (row.labels, row.conf, row.patient)
        if key in self._rows:
            return None
        if key not in self._levels:
            self._levels[key] = level(self._connection, *key)
        return self._levels[key]

    def levels(self, kind: str, of: Iterable[str]) -> dict[str, Level | None]:
        """The same of several resources of a type, read at once."""
        keys = [(kind, logical) for logical in of]
        read = (self._drafts, self._rows, self._levels)
        unread = [key for key in keys if not any(key in known for known in read)]
        if unread:
            self._levels.update(dict.fromkeys(unread))
            of_them = several(logical for _, logical in unread)
            for logical, *found in _LEVELS.rows(self._connection, kind=kind, of=of_them):
                self._levels[kind, logical] = (found[0], found[1], found[2])
        return {key[1]: self.level(key) for key in keys}

    def patient_of(self, kind: str, logical: str) -> str | None:
        """Whose a resource is."""
        found = self.level((kind, logical))
        return found[2] if found is not None else None

    def referrers(self, key: Key) -> set[Key]:
        """What refers to a resource, and perhaps what did before this unit."""
        stored = self._stored_referrers.get(key)
        if stored is None:
            stored = stored_referrers(self._connection, key)
        return stored | self._referrers.get(key, set())

    def label(self, body: Json, patient: str | None, source_labels: int) -> Labels:
        """The labels of a resource, as what it refers to is labelled now."""
        marks = self.marks(patient)
        return relabelled(self.level, self.row, self._connection, body, patient, source_labels, marks)

    def marks(self, patient: str | None) -> Marks:
        """What the Consents of a patient single out."""
        if patient not in self._marks:
            self._marks[patient] = policy.marks(self._connection, patient)
        return self._marks[patient]

    def forget_marks(self, patient: str) -> None:
        """They have changed."""
        self._marks.pop(patient, None)

    def changed(self) -> Iterator[tuple[Key, Row | None, Row]]:
        """What this unit has put: as it was before the unit, and as it is now; in the order of the keys."""
        for key, before in sorted(self._found.items(), key=lambda one: one[0]):
            row = self.row(key)
            if row is not None:
                yield key, before, row

    # Holding

    def keep(self, before: Row | None, row: Row, body: Json | None, labels: Labels, *, new_version: bool) -> Row:
        """Hold a resource; the row with its key, version and instant."""
        if before is None:
            row = row._replace(pk=_UNWRITTEN, version=1, updated_at=self._now)
        elif new_version:
            row = row._replace(pk=before.pk, version=before.version + 1, updated_at=self._now)
        else:
            row = row._replace(pk=before.pk, version=before.version, updated_at=before.updated_at)
        key = (row.type, row.id)
        self._found.setdefault(key, before)
        elements = index.elements_of(body) if body else {}
        self._drafts[key] = _Draft(row, body, elements, labels)
        for target in index.targets(elements):
            self._referrers.setdefault(target, set()).add(key)
        if new_version:
            self._versions.append(_version(row))
        return row

    def spread(self, changed: Sequence[Key]) -> None:
        """Label anew whatever refers to these resources, and what refers to that if its own labels moved."""
        pending, visits = deque(changed), dict[Key, int]()
        while pending:
            for key in sorted(self.referrers(pending.popleft())):
                visits[key] = visits.get(key, 0) + 1
                if self.relabel(key, raise_only=visits[key] > _VISITS):
                    pending.append(key)

    def relabel(self, key: Key, *, raise_only: bool = False) -> bool:
        """Label a resource anew; whether the labels of the resource itself changed.

        Args:
            key: Of the resource.
            raise_only: Keep the labels that it has: in a cycle, labels that only rise come to rest.
        """
        row = self.row(key)
        if row is None or row.deleted:
            return False
        draft = self._drafts.get(key)
        body: Json = draft.body if draft is not None and draft.body else orjson.loads(row.body)
        elements = draft.elements if draft is not None else index.elements_of(body)
        labels = self.label(body, row.patient, row.source_labels)
        if raise_only:
            kept = row.labels & ~MARKS
            labels = Labels(labels.labels | kept, max(labels.conf, row.conf), labels.elements)
        fresh = columns(labels) | {"label_table": TABLE_VERSION}
        if all(getattr(row, name) == value for name, value in fresh.items()):
            return False
        self._drafts[key] = _Draft(row._replace(**fresh), body, elements, labels)
        return (row.labels, row.conf) != (labels.labels, labels.conf)

    # Writing

    def write(self) -> None:
        """Write what is held."""
        if self._drafts:
            self._write()

    def _write(self) -> None:
        drafts, self._drafts = [*self._drafts.values()], {}
        versions, self._versions = self._versions, []
        self._referrers.clear()
        self._stored_referrers.clear()
        guards = [guards_of(draft.row.type, draft.labels) for draft in drafts]
        for draft, of in zip(drafts, guards, strict=True):
            body = draft.body or orjson.loads(draft.row.body)
            draft.row = draft.row._replace(guard=of.required(body).id)
        new = [draft for draft in drafts if draft.row.pk == _UNWRITTEN]
        updates = [(*_changing(draft.row), draft.row.pk) for draft in drafts if draft.row.pk != _UNWRITTEN]
        keys = _INSERT.keys(self._connection, [draft.row[1:] for draft in new])
        for draft, key in zip(new, keys, strict=True):
            draft.row = draft.row._replace(pk=key)
        _UPDATE.run_rows(self._connection, _UPDATED, updates)
        _VERSION.run_rows(self._connection, _VERSION_NAMES, versions)
        changes, inserted = index.Changes(self._connection), frozenset(keys)
        for draft, of in zip(drafts, guards, strict=True):
            row = draft.row
            self._rows[row.type, row.id] = row
            is_new = row.pk in inserted
            changes.add(row, draft.body, draft.elements, of, self._now, new=is_new)
        changes.write()
        mirror.touch(self._connection, self._now, self._whose(drafts))

    def _whose(self, drafts: Sequence[_Draft]) -> Iterator[tuple[str, str, str | None]]:
        """Type, id and patient of what changes, also of the patient whose it was before this unit."""
        for row in (draft.row for draft in drafts):
            before = self._found.get((row.type, row.id))
            yield row.type, row.id, row.patient
            if before is not None and before.patient != row.patient:
                yield row.type, row.id, before.patient


def relabelled(
    level_of: Callable[[Key], Level | None],
    row_of: Callable[[Key], Row | None],
    connection: Connection,
    body: Json,
    patient: str | None,
    source_labels: int,
    marks: Marks,
) -> Labels:
    """The labels of a resource, by what its targets are labelled.

    Args:
        level_of: Of a target; None when it is not there.
        row_of: Of another resource; None when it is not there.
        connection: To see whether the patient has a DV safety list.
        body: The resource.
        patient: Whose it is.
        source_labels: What its source gives it.
        marks: What its patient's Consents single out.
    """

    def target(reference: str) -> tuple[int, int] | None:
        kind, _, logical = reference.partition("/")
        found = level_of((kind, logical))
        if found is None or (kind not in PATIENT_FREE and found[2] != patient):
            return None  # somebody else's record: what they allow, this patient's consents do not say
        return found[0], found[1]

    protected = body["resourceType"] in DV_TYPES and patient is not None
    # Consents are never held back: policy.consent_changed reads and writes through the connection.
    dv = protected and patient is not None and policy.dv_protected(connection, patient)
    known = _surroundings(row_of, patient) if marks else ALONE
    return label(body, LabelContext(target, source_labels, dv, marks=marks, known=known))


def current_row(connection: Connection, key: Key) -> Row | None:
    """The current row as it is stored, deleted or not; None when there is none."""
    found = CURRENT.first(connection, kind=key[0], logical=key[1])
    return Row(*found) if found is not None else None


def _surroundings(row_of: Callable[[Key], Row | None], patient: str | None) -> Surroundings:
    """What is here of other resources, as rules about content ask; what is not here refers to nothing here."""

    def body(reference: str, whose: str | None) -> Json | None:
        kind, _, logical = reference.partition("/")
        row = row_of((kind, logical))
        if row is None or row.deleted or row.patient != whose:
            return None
        found: Json = orjson.loads(row.body)
        return found

    def references_of(reference: str) -> frozenset[str]:
        found = body(reference, patient)
        return frozenset() if found is None else Content(found, cleared=True).references

    def tokens_of(reference: str) -> frozenset[str] | None:
        found = body(reference, None) or body(reference, patient)
        behind = holders_of(found) if found is not None else ()
        people = [one for name in behind if (one := body(name, None)) is not None]
        return Supporting([found, *people]).tokens_of(reference) if found is not None else None

    return Surroundings(references_of, tokens_of)
