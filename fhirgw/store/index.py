"""What is derived from a resource's content and labels: index rows, label groups.

INVARIANT: a row that came from an element carries the labels of that element, of every labelled element around it
and of the resource; so that search sees no more than redaction leaves.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    insert,
    literal_column,
    null,
    select,
    text,
    union_all,
    update,
)

from fhirgw.consent.model import Json
from fhirgw.profiles import search
from fhirgw.profiles.expressions import literal
from fhirgw.profiles.search import IndexEntry
from fhirgw.remembered import is_lone_reference, key_of
from fhirgw.store.guards import Guard, Guards, Path
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import label_group, search_date, search_reference, search_string, search_token
from fhirgw.store.stored import Row

OTHER = "*"
"""Parameter name of references that no search parameter covers: they matter to labels, not to searches."""

TABLES = (search_token, search_string, search_date, search_reference)
_HEAD = ("resource", "type")
_VALUES = {
    search_token: ("system", "code"),
    search_string: ("value", "exact"),
    search_date: ("low", "high"),
    search_reference: ("target_type", "target_id"),
}
_COLUMNS = {table: ("param", "guard", *values) for table, values in _VALUES.items()}
_DATE = TABLES.index(search_date)


def _present(number: int, table: Table) -> Select[Any]:
    """The rows of one resource in one table, in the form that they share."""
    values = [table.c[name] for name in _VALUES[table]]
    texts: list[Any] = [cast(null(), Text), cast(null(), Text)]
    numbers: list[Any] = [cast(null(), BigInteger), cast(null(), BigInteger)]
    shape = [*texts, *values] if number == _DATE else [*values, *numbers]
    head: tuple[Any, ...] = (literal_column(str(number)), table.c.pk, table.c.param, table.c.guard)
    return select(*head, *shape).where(table.c.resource == bindparam("owner"))


_PRESENT = Prepared(union_all(*(_present(number, table) for number, table in enumerate(TABLES))))
_DELETE = {table: Prepared(delete(table).where(table.c.pk == bindparam("row"))) for table in TABLES}
_INSERT = {table: Prepared(insert(table), (*_HEAD, *columns)) for table, columns in _COLUMNS.items()}
_GROUPS = Prepared(
    select(label_group.c.guard, label_group.c.hash).where(label_group.c.resource == bindparam("owner"))
)
_ADD_GROUP = Prepared(insert(label_group), ("resource", "guard", "hash", "changed_at"))
_CHANGE_GROUP = Prepared(
    update(label_group)
    .where(label_group.c.resource == bindparam("owner"), label_group.c.guard == bindparam("of"))
    .values(hash=bindparam("new_hash"), changed_at=bindparam("at"))
)
_KEEP_NEEDS = Prepared(
    text(
        "INSERT INTO guard_need (kind, guard, type, labels, conf) VALUES (:kind, :guard, :type, :labels, :conf) "
        "ON CONFLICT DO NOTHING"
    )
)
_NOTHING = b""


Rows = dict[Table, set[tuple[Any, ...]]]


class Element(NamedTuple):
    """What one top-level element gives the index, whoever's it is: most give what many others have given.

    Attributes:
        entries: (table, parameter, path, values).
        links: (path, type, id) of all that it refers to.
    """

    entries: tuple[tuple[Table, str, Path, tuple[Any, ...]], ...]
    links: tuple[tuple[Path, str, str], ...]


Elements = Mapping[str, Element]
_EMPTY = Element((), ())
_REFERENCE = '"reference":"'
"""In what orjson writes, a member of that name: inside a text, a quote is escaped."""


_NESTED = (dict, list)
_LONG = 4096
"""Length of an element up to which what it gives is remembered: longer ones are seldom said twice."""


def _element(kind: str, name: str, value: Any) -> Element:
    if is_lone_reference(value) and (found := _lone_reference(kind, name, value["reference"])):
        return found
    indexed = search.has_entries(kind, name)
    if not indexed and isinstance(value, str):
        return _EMPTY
    key = key_of(value)
    refers = key is None or _REFERENCE in key
    if not indexed and not refers:
        return _EMPTY
    if key is None or len(key) > _LONG:
        return _read_element(kind, name, value, refers=refers)
    return _known_element(kind, name, key)


@lru_cache(maxsize=16384)
def _known_element(kind: str, name: str, key: str) -> Element:
    return _read_element(kind, name, orjson.loads(key), refers=_REFERENCE in key)


def _read_element(kind: str, name: str, value: Any, *, refers: bool) -> Element:
    part = {name: value}
    entries = [
        (table, entry.param, entry.path, values)
        for entry in search.of_element(kind, name, value)
        # meta is not released, so nothing may be found by it (consent specification, leak 15)
        if not entry.param.startswith("_")
        for table, values in _values(entry, part)
    ]
    links = [
        (path, *target)
        for path, reference in (_references(part) if refers else ())
        if "://" not in reference and (target := literal(reference))
    ]
    return Element(tuple(entries), tuple(links)) if entries or links else _EMPTY


def _lone_reference(kind: str, name: str, reference: str) -> Element | None:
    """What a reference gives that is a whole element; None: as written, it is none of this store."""
    target = literal(reference)
    if target is None or "/".join(target) != reference:
        return None
    entries = [(search_reference, param, (name,), target) for param in _found_by(kind, name, target[0])]
    return Element(tuple(entries), (((name,), *target),))


@lru_cache(maxsize=4096)
def _found_by(kind: str, name: str, target: str) -> tuple[str, ...]:
    """The parameters that find a reference that is a whole element: the type that it names decides."""
    element = _read_element(kind, name, {"reference": f"{target}/x"}, refers=False)
    return tuple(param for _, param, _, _ in element.entries)


def elements_of(resource: Json) -> Elements:
    """What the elements of a resource give the index, by name."""
    kind = resource["resourceType"]
    read = ((name, _element(kind, name, value)) for name, value in resource.items())
    return {name: element for name, element in read if element is not _EMPTY}


def rows(resource: Json, elements: Elements, guards: Guards) -> Rows:
    """The index rows of a resource: parameter, guard, values."""
    found: Rows = {table: set() for table in TABLES}
    base, touched = guards.whole(()).id, guards.steps(())
    for name, element in elements.items():
        for table, param, path, values in element.entries:
            found[table].add((param, guards.whole(path).id if name in touched else base, *values))
    for flag in search.flags(resource):
        for table, values in _values(flag, resource):
            found[table].add((flag.param, guards.whole(flag.path).id, *values))
    links = found[search_reference]
    # search.parse asks for `subject` instead
    subjects = {row[2:] for row in links if row[0] == "subject"}
    links = {row for row in links if row[0] != "patient" or row[2:] not in subjects}
    # A second reference to a target counts where its guard is another: one may be seen where the other is not.
    covered = {row[1:] for row in links}
    for name, element in elements.items():
        for path, *target in element.links:
            link = (guards.whole(path).id if name in touched else base, *target)
            if link not in covered:
                links.add((OTHER, *link))
    found[search_reference] = links
    return found


def _values(entry: IndexEntry, resource: Json) -> Iterator[tuple[Table, tuple[Any, ...]]]:
    match entry.kind:
        case "token":
            yield search_token, (entry.system, entry.value)
        case "uri":
            yield search_token, (None, entry.value)
        case "date":
            yield search_date, (entry.low, entry.high)
        case "reference":
            yield search_reference, (entry.target_type, entry.target_id)
        case _:
            for exact in _originals(entry, resource):
                yield search_string, (entry.value, exact)


def _originals(entry: IndexEntry, resource: Json) -> set[str]:
    """The texts, as written, that were folded into the entry."""
    element: Any = resource
    for step in entry.path:
        element = element[step]
    return {text for text in _texts(element) if search.fold(text) == entry.value} or {entry.value or ""}


def _texts(element: Any) -> Iterator[str]:
    if isinstance(element, str):
        yield element
    elif isinstance(element, dict | list):
        for part in element.values() if isinstance(element, dict) else element:
            yield from _texts(part)


def references(resource: Json) -> set[str]:
    """What a resource refers to, as written."""
    return {reference for _, reference in _references(resource)}


def targets(elements: Elements) -> set[tuple[str, str]]:
    """(type, id) of what a resource refers to in this store."""
    return {(of, logical) for element in elements.values() for _, of, logical in element.links}


def _references(part: Json) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    _collect(part, (), found)
    return found


def _collect(element: Any, path: Path, found: list[tuple[Path, str]]) -> None:
    """What an object or an array refers to, with the path of each reference."""
    if isinstance(element, dict) and isinstance(element.get("reference"), str):
        found.append((path, element["reference"]))
    for name, part in element.items() if isinstance(element, dict) else enumerate(element):
        if isinstance(part, _NESTED):
            _collect(part, (*path, name), found)


def groups(resource: Json, guards: Guards) -> dict[int, bytes]:
    """A hash for every guard over all elements that it guards; positions do not count, order does.

    ``meta`` and ``text`` count nowhere: a released form has its own (consent specification §2.8).
    """
    parts: dict[int, list[Any]] = defaultdict(list)
    body = {name: value for name, value in resource.items() if name not in ("meta", "text")}
    base = _split(body, (), guards, parts)
    parts[guards.around(()).id].insert(0, ["", base])
    return {guard: _hash(content) for guard, content in parts.items()}


def _split(element: Any, path: Path, guards: Guards, parts: dict[int, list[Any]]) -> Any:
    """The element without its labelled parts, which go where their guards say; None when nothing is left."""
    marked = guards.steps(path)
    if not marked:
        return element
    named = element.items() if isinstance(element, dict) else enumerate(element)
    kept: dict[Any, Any] = {}
    for name, part in named:
        rest = part
        if name in marked:
            where = (*path, name)
            rest = _split(part, where, guards, parts)
            if guards.labelled(where):
                anywhere = ".".join(step for step in where if isinstance(step, str))
                parts[guards.around(where).id].append([anywhere, rest])
                continue
        if rest is not None:
            kept[name] = rest
    left: Any = kept if isinstance(element, dict) else list(kept.values())
    return left or None


def _hash(content: object) -> bytes:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()[:16]


class Changes:
    """Index rows, label groups and guards to be written together, only what changed."""

    def __init__(self, connection: Connection) -> None:
        """Nothing yet."""
        self._connection = connection
        self._needs: dict[tuple[str, int], Guard] = {}
        self._gone: dict[Table, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
        self._new: dict[Table, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
        self._groups_new: list[Json] = []
        self._groups_changed: list[Json] = []

    def add(
        self,
        row: Row,
        resource: Json | None,
        elements: Elements,
        guards: Guards,
        now: int,
        *,
        new: bool,
    ) -> None:
        """Bring the index rows and label groups of a resource up to date.

        Args:
            row: As it is written.
            resource: The content; None when it is deleted.
            elements: What its elements give the index.
            guards: Of its elements.
            now: When it changed.
            new: There are no rows of it yet.
        """
        wanted = rows(resource, elements, guards) if resource else {table: set() for table in TABLES}
        parts = groups(resource, guards) if resource else {}
        used = {one[1] for values in wanted.values() for one in values}.union(parts, (row.guard,))
        self._needs.update({(row.type, number): guards.numbered(number) for number in used})
        present = {} if new else self._present(row.pk)
        for table, values in wanted.items():
            known = present.get(table, {})
            self._gone[table] += [(pk,) for one, pk in known.items() if one not in values]
            self._new[table] += [(row.pk, row.type, *one) for one in values if one not in known]
        self._add_groups(row.pk, parts, now, new=new)

    def _present(self, owner: int) -> dict[Table, dict[tuple[Any, ...], int]]:
        """The rows that the resource has now, with their keys."""
        present: dict[Table, dict[tuple[Any, ...], int]] = {table: {} for table in TABLES}
        for number, pk, param, guard, *values in _PRESENT.rows(self._connection, owner=owner):
            texts = tuple(values[:2]) if number != _DATE else tuple(values[2:])
            present[TABLES[number]][param, guard, *texts] = pk
        return present

    def _add_groups(self, owner: int, wanted: Mapping[int, bytes], now: int, *, new: bool) -> None:
        present: dict[int, bytes] = {}
        if not new:
            present = {guard: bytes(digest) for guard, digest in _GROUPS.rows(self._connection, owner=owner)}
        self._groups_new += [
            {"resource": owner, "guard": guard, "hash": digest, "changed_at": now}
            for guard, digest in wanted.items()
            if guard not in present
        ]
        # A group that vanishes keeps its row: whoever saw it sees that something is gone.
        self._groups_changed += [
            {"owner": owner, "of": guard, "new_hash": wanted.get(guard, _NOTHING), "at": now}
            for guard, digest in present.items()
            if wanted.get(guard, _NOTHING) != digest
        ]

    def write(self) -> None:
        """Write it all."""
        needs = [
            {"kind": kind, "guard": number, "type": of, "labels": bits, "conf": conf}
            for (kind, number), guard in self._needs.items()
            for of, bits, conf in guard.needs
        ]
        _KEEP_NEEDS.run(self._connection, needs)
        for table in TABLES:
            _DELETE[table].run_rows(self._connection, ("row",), self._gone[table])
            _INSERT[table].run_rows(self._connection, (*_HEAD, *_COLUMNS[table]), self._new[table])
        _ADD_GROUP.run(self._connection, self._groups_new)
        _CHANGE_GROUP.run(self._connection, self._groups_changed)
