"""What is derived from a resource's content and labels: guards, index rows, label groups.

INVARIANT: a row that came from an element carries the labels of that element, of every labelled element around it
and of the resource; so that search sees no more than redaction leaves.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Table, bindparam, delete, insert, select, text, update

from fhirgw.consent.elements import lacks_mandatory
from fhirgw.consent.labels import Labels
from fhirgw.consent.model import Json
from fhirgw.profiles import search
from fhirgw.profiles.expressions import literal
from fhirgw.profiles.search import IndexEntry
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import label_group, search_date, search_reference, search_string, search_token

Path = tuple[str | int, ...]
Need = tuple[str, int, int]
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
_SELECT = {
    table: Prepared(
        select(table.c.pk, *(table.c[name] for name in columns)).where(table.c.resource == bindparam("owner"))
    )
    for table, columns in _COLUMNS.items()
}
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


@dataclass(frozen=True, slots=True)
class Guard:
    """What must be permitted for an element to be seen: all of its needs, each a (type, labels, conf).

    Attributes:
        id: Hash of the kind and the needs.
        kind: Type of the resource that has the element.
        needs: Of the resource, of each labelled element on the way, of everything they refer to.
    """

    id: int
    kind: str
    needs: frozenset[Need]


class Guards:
    """The guards of one resource's elements."""

    def __init__(self, kind: str, labels: Labels) -> None:
        self._kind = kind
        self._base = (kind, labels.labels, labels.conf)
        self._needs: dict[Path, set[Need]] = defaultdict(set)
        self._below: dict[Path, list[Path]] = defaultdict(list)
        self._made: dict[frozenset[Need], Guard] = {}
        for element in labels.elements:
            path = tuple(element.path)
            # As consent.decide.element_visible: as part of the resource, and its target on its own.
            self._needs[path].add((kind, labels.labels | element.labels, max(labels.conf, element.conf)))
            if element.target:
                self._needs[path].add((element.target, element.labels, element.conf))
            for end in range(len(path)):
                self._below[path[:end]].append(path)

    def labelled(self, path: Path) -> bool:
        """Whether this very element is labelled."""
        return path in self._needs

    def holds_labelled(self, path: Path) -> bool:
        """Whether something below this element is labelled."""
        return path in self._below

    def around(self, path: Path) -> Guard:
        """The guard of an element by itself: the resource and whatever is labelled on the way to it."""
        return self._guard(path[:end] for end in range(1, len(path) + 1))

    def whole(self, path: Path) -> Guard:
        """The guard of an element with all it holds: what a value taken from it may have come from."""
        below = self._below.get(path, ()) if path else ()
        return self._guard([*(path[:end] for end in range(1, len(path) + 1)), *below])

    def required(self, resource: Json) -> Guard:
        """The guard of the resource: without its mandatory elements it is withheld (redact.redact).

        Of a mandatory list one visible item is enough; where all are labelled, all are asked for: stricter than
        redaction, and the same for every route.
        """
        paths: list[Path] = []
        for name in {path[0] for path in self._needs}:
            rest = {other: value for other, value in resource.items() if other != name}
            if not lacks_mandatory(resource, rest):
                continue
            value = resource[str(name)]
            parts = [(name, at) for at in range(len(value))] if isinstance(value, list) else [(name,)]
            if all(self.labelled(path) for path in parts):
                paths += parts
        return self._guard(paths)

    @property
    def all(self) -> Collection[Guard]:
        """Every guard that was asked for."""
        return self._made.values()

    def _guard(self, paths: Iterable[Path]) -> Guard:
        needs = frozenset({self._base}.union(*(self._needs[path] for path in paths if path in self._needs)))
        if needs not in self._made:
            digest = hashlib.sha256(orjson.dumps([self._kind, sorted(needs)])).digest()
            self._made[needs] = Guard(int.from_bytes(digest[:8]) >> 1, self._kind, needs)
        return self._made[needs]


Rows = dict[Table, set[tuple[Any, ...]]]


def rows(resource: Json, guards: Guards) -> Rows:
    """The index rows of a resource: parameter, guard, values."""
    found: Rows = {table: set() for table in TABLES}
    entries = search.extract(resource)
    subjects = {(one.target_type, one.target_id) for one in entries if one.param == "subject"}
    guard: dict[Path, int] = {}
    for entry in entries:
        if entry.param.startswith("_"):
            continue  # meta is not released, so nothing may be found by it (consent specification, leak 15)
        if entry.param == "patient" and (entry.target_type, entry.target_id) in subjects:
            continue  # search.parse asks for `subject` instead
        if entry.path not in guard:
            guard[entry.path] = guards.whole(entry.path).id
        for table, values in _values(entry, resource):
            found[table].add((entry.param, guard[entry.path], *values))
    # A second reference to a target counts where its guard is another: one may be seen where the other is not.
    covered = {row[1:] for row in found[search_reference]}
    for path, reference in _references(resource, ()):
        other = literal(reference) if "://" not in reference else None
        if other and (link := (guards.whole(path).id, *other)) not in covered:
            found[search_reference].add((OTHER, *link))
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
    return {reference for _, reference in _references(resource, ())}


def _references(element: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(element, dict):
        if isinstance(element.get("reference"), str):
            yield path, element["reference"]
        for name, part in element.items():
            if isinstance(part, dict | list):
                yield from _references(part, (*path, name))
    elif isinstance(element, list):
        for position, part in enumerate(element):
            if isinstance(part, dict | list):
                yield from _references(part, (*path, position))


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
    if not guards.holds_labelled(path):
        return element
    named = element.items() if isinstance(element, dict) else enumerate(element)
    kept: dict[Any, Any] = {}
    for name, part in named:
        where = (*path, name)
        rest = _split(part, where, guards, parts)
        if guards.labelled(where):
            anywhere = ".".join(step for step in where if isinstance(step, str))
            parts[guards.around(where).id].append([anywhere, rest])
        elif rest is not None:
            kept[name] = rest
    left: Any = kept if isinstance(element, dict) else list(kept.values())
    return left or None


def _hash(content: object) -> bytes:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()[:16]


def replace(
    connection: Connection, owner: int, kind: str, resource: Json | None, guards: Guards, now: int, *, new: bool
) -> None:
    """Bring the index rows and label groups of a resource up to date, writing only what changed.

    Args:
        connection: Writable.
        owner: ``resource.pk``.
        kind: Its type.
        resource: The content; None when it is deleted.
        guards: Of its elements.
        now: When it changed.
        new: There are no rows of it yet.
    """
    wanted = rows(resource, guards) if resource else {table: set() for table in TABLES}
    parts = groups(resource, guards) if resource else {}
    needs = [
        {"kind": kind, "guard": guard.id, "type": of, "labels": bits, "conf": conf}
        for guard in guards.all
        for of, bits, conf in guard.needs
    ]
    _KEEP_NEEDS.run(connection, needs)
    for table in TABLES:
        _replace_rows(connection, table, owner, kind, wanted[table], new)
    _replace_groups(connection, owner, parts, now, new)


def _replace_rows(
    connection: Connection, table: Table, owner: int, kind: str, wanted: set[tuple[Any, ...]], new: bool
) -> None:
    if not new:
        present = {row[1:]: row[0] for row in _SELECT[table].rows(connection, owner=owner)}
        gone = [{"row": pk} for values, pk in present.items() if values not in wanted]
        _DELETE[table].run(connection, gone)
        wanted = wanted - present.keys()
    names = (*_HEAD, *_COLUMNS[table])
    _INSERT[table].run(connection, [dict(zip(names, (owner, kind, *row), strict=True)) for row in wanted])


def _replace_groups(connection: Connection, owner: int, wanted: Mapping[int, bytes], now: int, new: bool) -> None:
    present: dict[int, bytes] = {}
    if not new:
        present = {guard: bytes(digest) for guard, digest in _GROUPS.rows(connection, owner=owner)}
    added = [
        {"resource": owner, "guard": guard, "hash": digest, "changed_at": now}
        for guard, digest in wanted.items()
        if guard not in present
    ]
    # A group that vanishes keeps its row: whoever saw it sees that something is gone.
    changed = [
        {"owner": owner, "of": guard, "new_hash": wanted.get(guard, _NOTHING), "at": now}
        for guard, digest in present.items()
        if wanted.get(guard, _NOTHING) != digest
    ]
    _ADD_GROUP.run(connection, added)
    _CHANGE_GROUP.run(connection, changed)
