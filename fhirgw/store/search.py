"""Search on the visible projection: match, total, order, page and include see visible index rows alone.

INVARIANT: every subquery over an index table goes through ``_seen``; nothing is filtered after a page was cut
(consent specification §0.3, leaks 1 to 16).

A statement is built once for a form of search and of visibility; values and patients are parameters (ADR 0054).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Select,
    String,
    Subquery,
    Table,
    and_,
    bindparam,
    false,
    func,
    not_,
    null,
    or_,
    select,
    union_all,
)

from fhirgw.consent.predicate import Visibility
from fhirgw.store.comparison import Condition, integer_named, matches, text_named, within
from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.form import formed, placed
from fhirgw.store.narrowing import is_cut, require_whole
from fhirgw.store.predicate import (
    Projection,
    element_visible,
    listed,
    match_visible,
    one_of,
    project,
    resource_visible,
    several,
    shown_at,
)
from fhirgw.store.prepared import Prepared
from fhirgw.store.query import (
    Canonical,
    Clause,
    Include,
    Moment,
    Order,
    SearchQuery,
    Value,
    parse,
)
from fhirgw.store.schema import resource, search_date, search_reference, search_string, search_token
from fhirgw.store.stored import Row, Stored, stored

__all__ = ["Page", "SearchQuery", "parse", "run"]

STATEMENTS = 512
"""How many are kept, of each sort: forms of searches times forms of consents."""

_TABLES: dict[str, Table] = {
    "token": search_token,
    "uri": search_token,
    "string": search_string,
    "date": search_date,
    "reference": search_reference,
}
_ROWS = {table: table.alias() for table in _TABLES.values()}  # one subquery names each at most once
_SELECTIVITY = ("reference", "token", "uri", "string", "date")
"""Which kind of parameter narrows most, first."""


class BeyondError(Exception):
    """What is included is of patients of whom the visibility says nothing."""

    def __init__(self, patients: frozenset[str]) -> None:
        """Whom it has to be made for, too."""
        super().__init__("The visibility is of other patients.")
        self.patients = patients


_OWNERS = Prepared(
    select(resource.c.patient)
    .where(resource.c.type == bindparam("kind"), resource.c.patient.is_not(None))
    .where(one_of(resource.c.id, bindparam("ids", type_=String), several=True))
    .distinct()
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search.

    Attributes:
        matches: In order.
        included: What they refer to, as asked; nothing that is among the matches.
        total: Of all pages.
        after: Where the next page begins; None on the last.
    """

    matches: list[Stored]
    included: list[Stored]
    total: int
    after: tuple[Any, ...] | None


def run(
    connection: Connection, query: SearchQuery, visibility: Visibility, *, after: tuple[Any, ...] | None
) -> Page:
    """Run a search, from its start or behind the key of a page before.

    Args:
        connection: One snapshot: page, total and includes agree.
        query: Parsed.
        visibility: What the requester may see.
        after: ``Page.after`` of the page before.

    Raises:
        BeyondError: The visibility is of some patients alone, and a visible reference leads to others.
    """
    seen, whose = project(visibility)
    asked: tuple[Clause | Order | Include, ...] = (*query.clauses, *query.order, *query.includes)
    require_whole(seen.profile, query.type, (one.param for one in asked))
    form, values = formed(query)
    values |= whose
    if not query.count:
        return Page([], [], _count(form, seen).scalar(connection, **values), None)
    behind, place = placed(query, after)
    rows = _page(form, seen, behind).rows(connection, **values, **place, most=query.count + 1)
    page, more = rows[: query.count], len(rows) > query.count
    if not page:
        return Page([], [], 0 if after is None else _count(form, seen).scalar(connection, **values), None)
    total = page[0][-1]
    keys = [row[0] for row in page]
    found = _loaded(query.type, seen, len(keys) > 1).rows(connection, **whose, keys=listed(keys))
    loaded = {row[0]: _present(row) for row in found}
    matches = [loaded[pk] for pk in keys]
    included = _included(connection, query, visibility, keys)
    present = {(one.type, one.id) for one in matches}
    return Page(
        matches,
        [one for one in included if (one.type, one.id) not in present],
        total,
        (*page[-1][2:-1], page[-1][1]) if more else None,
    )


# Matching ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=STATEMENTS)
def _count(form: SearchQuery, seen: Projection) -> Prepared:
    found = _matching(form, seen, resource.c.pk).subquery()
    return Prepared(select(func.count()).select_from(found))


def _matching(form: SearchQuery, seen: Projection, *columns: ColumnElement[Any]) -> Select[Any]:
    """What matches, and may be seen; found by the index rows of the most selective parameter, if there is one."""
    led = _leading(form)
    if led is None:
        narrowed = any(one.param == "_id" for one in form.clauses)
        kind: ColumnElement[str] = resource.c.type
        visible = resource_visible(seen, form.type, resource, narrowed=narrowed)
        found = select(*columns)
    else:
        # By an index on the type SQLite would walk all resources of it, in the order that is asked for.
        kind, lead = func.coalesce(resource.c.type, ""), _lead(form, led)
        cut = is_cut(seen.profile, form.type, form.clauses[led].param)
        visible = false() if cut else match_visible(seen, form.type, resource, lead)
        found = select(*columns).distinct().join_from(lead, resource, resource.c.pk == lead.c.resource)
    others = ((at, clause) for at, clause in enumerate(form.clauses) if at != led)
    return found.where(
        kind == form.type,
        resource.c.deleted.is_(False),
        visible,
        *(_condition(form.type, at, clause, seen) for at, clause in others),
    )


def _leading(form: SearchQuery) -> int | None:
    """The place of the clause that narrows most; of several that do as much, the first."""
    if any(one.param == "_id" for one in form.clauses):
        return None
    usable = [
        at for at, one in enumerate(form.clauses) if one.modifier in ("", "exact") and not one.param.startswith("_")
    ]
    return min(usable, key=lambda at: _SELECTIVITY.index(form.clauses[at].kind), default=None)


def _lead(form: SearchQuery, at: int) -> Subquery:
    """The index rows that match a clause: of which resource, under which guard."""
    clause = form.clauses[at]
    found = []
    for table, values in _by_table(at, clause).items():
        rows = _ROWS[table]
        wanted = or_(*(matches(rows, clause, value, place) for place, value in values))
        of_type = (rows.c.type == form.type, rows.c.param == clause.param)
        found.append(select(rows.c.resource, rows.c.guard).where(*of_type, wanted))
    every = (found[0] if len(found) == 1 else union_all(*found)).subquery()
    # In the order of the resources, which are then read one after the other.
    return select(every).group_by(every.c.resource, every.c.guard).subquery("lead")


def _condition(kind: str, at: int, clause: Clause, seen: Projection) -> Condition:
    if clause.param == "_id":
        return one_of(resource.c.id, text_named(f"ids_{at}"), several=len(clause.values) > 1)
    if clause.param == "_lastUpdated":
        shown = shown_at(seen, kind, resource)
        moments = ((f"{at}_{number}", one) for number, one in enumerate(clause.values) if isinstance(one, Moment))
        return or_(*(within(shown, shown + 1, one, place) for place, one in moments))
    if clause.modifier in ("missing", "present"):
        found = or_(*(_seen(kind, clause.param, table, None, seen) for table in _tables(clause.kind)))
        return not_(found) if clause.modifier == "missing" else found
    found = or_(
        *(
            _seen(kind, clause.param, table, (clause, values), seen)
            for table, values in _by_table(at, clause).items()
        )
    )
    return not_(found) if clause.modifier == "not" else found


def _tables(kind: str) -> tuple[Table, ...]:
    """Where values of this kind are: a reference may be a canonical URL."""
    return (search_reference, search_token) if kind == "reference" else (_TABLES[kind],)


def _by_table(at: int, clause: Clause) -> dict[Table, list[tuple[str, Value]]]:
    """The values by the table they are looked for in, each with its place in the query."""
    values: dict[Table, list[tuple[str, Value]]] = {}
    for number, value in enumerate(clause.values):
        table = search_token if isinstance(value, Canonical) else _TABLES[clause.kind]
        values.setdefault(table, []).append((f"{at}_{number}", value))
    return values


def _seen(
    kind: str, param: str, table: Table, wanted: tuple[Clause, list[tuple[str, Value]]] | None, seen: Projection
) -> Condition:
    """There is a visible index row of the resource with this parameter (and with one of these values)."""
    rows = _ROWS[table]
    found = select(1).where(
        rows.c.resource == resource.c.pk,
        rows.c.param == param,
        _shown(seen, kind, param, rows),
    )
    if wanted is not None:
        clause, values = wanted
        found = found.where(or_(*(matches(rows, clause, value, place) for place, value in values)))
    return found.correlate(resource).exists()


def _shown(seen: Projection, kind: str, param: str, rows: Any) -> Condition:
    """Index rows of a parameter that may be seen, given that their resource may be."""
    return false() if is_cut(seen.profile, kind, param) else element_visible(seen, kind, resource, rows)


# Order and pages --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=STATEMENTS)
def _page(form: SearchQuery, seen: Projection, behind: tuple[bool, ...] | None) -> Prepared:
    """Key, id and sort keys of the rows behind the place, as many as are asked for; and how many there are in all.

    Whatever matches is found once, for both: what is about everybody takes all its time there.
    """
    keys = [_sort_key(form.type, key, seen) for key in form.order]
    named = [key.label(f"key_{at}") for at, key in enumerate(keys)]
    found = _matching(form, seen, resource.c.pk, resource.c.id, *named).cte("found")
    page = select(found, select(func.count()).select_from(found).scalar_subquery())
    if behind is not None:
        page = page.where(_behind(form, found, behind))
    for at, key in enumerate(form.order):
        column = found.c[f"key_{at}"]
        page = page.order_by(column.is_(None), column.desc() if key.descending else column.asc())
    return Prepared(page.order_by(found.c.id).limit(integer_named("most")))


@lru_cache(maxsize=STATEMENTS)
def _loaded(kind: str, seen: Projection, several: bool) -> Prepared:
    """The resources of a page; they have been matched, and so are visible."""
    shown = shown_at(seen, kind, resource).label("shown")
    return Prepared(select(resource, shown).where(one_of(resource.c.pk, bindparam("keys"), several=several)))


def _sort_key(kind: str, key: Order, seen: Projection) -> ColumnElement[Any]:
    """The least visible value ascending, the greatest descending; null where none is visible."""
    if key.param == "_id":
        return resource.c.id
    if key.param == "_lastUpdated":
        return shown_at(seen, kind, resource)
    rows = _ROWS[_TABLES[key.kind]]
    column = {"token": "code", "uri": "code", "string": "value", "date": "low", "reference": "target_id"}[key.kind]
    extreme = func.max(rows.c[column]) if key.descending else func.min(rows.c[column])
    return (
        select(extreme)
        .where(
            rows.c.resource == resource.c.pk,
            rows.c.param == key.param,
            _shown(seen, kind, key.param, rows),
        )
        .correlate(resource)
        .scalar_subquery()
    )


def _behind(form: SearchQuery, found: CTE, there: Sequence[bool]) -> Condition:
    """Strictly after the key: greater at one place and equal before it. Nulls come last, whatever the direction."""
    equal: list[Condition] = []
    ways: list[Condition] = []
    for at, key in enumerate(form.order):
        column, value = found.c[f"key_{at}"], bindparam(f"after_{at}", type_=found.c[f"key_{at}"].type)
        if not there[at]:
            equal.append(column.is_(null()))
            continue
        beyond = column < value if key.descending else column > value
        ways.append(and_(*equal, or_(beyond, column.is_(null()))))
        equal.append(column == value)
    ways.append(and_(*equal, found.c.id > text_named("after_id")))
    return or_(false(), *ways)


# Include ----------------------------------------------------------------------------------------------------------


def _included(
    connection: Connection, query: SearchQuery, visibility: Visibility, keys: Sequence[int]
) -> list[Stored]:
    """Visible targets of visible references of the page, by type and id."""
    seen, whose = project(visibility)
    wanted: dict[str, set[str]] = {}
    for include in query.includes:
        links = _links(query.type, include, seen, len(keys) > 1)
        for kind, logical in links.rows(connection, **whose, keys=listed(keys)):
            wanted.setdefault(kind, set()).add(logical)
    found = [
        _present(row)
        for kind in sorted(wanted)
        for row in _targets(kind, seen, len(wanted[kind]) > 1).rows(connection, **whose, ids=listed(wanted[kind]))
    ]
    if visibility.about is not None:
        for one in found:
            wanted[one.type].discard(one.id)
        _within_record(connection, wanted, visibility.about)
    return found


def _within_record(connection: Connection, wanted: Mapping[str, set[str]], about: frozenset[str]) -> None:
    """What was not found is of these patients, or of nobody."""
    owners = {
        owner
        for kind, logical in wanted.items()
        if logical and kind not in PATIENT_FREE
        for (owner,) in _OWNERS.rows(connection, kind=kind, ids=several(logical))
    }
    if owners - about:
        raise BeyondError(frozenset(owners))


@lru_cache(maxsize=STATEMENTS)
def _links(kind: str, include: Include, seen: Projection, several: bool) -> Prepared:
    links = _ROWS[search_reference]
    found = (
        select(links.c.target_type, links.c.target_id)
        .join(resource, resource.c.pk == links.c.resource)
        .where(one_of(resource.c.pk, bindparam("keys"), several=several), links.c.param == include.param)
        .where(_shown(seen, kind, include.param, links))
    )
    if include.target is not None:
        found = found.where(links.c.target_type == include.target)
    return Prepared(found.distinct())


@lru_cache(maxsize=STATEMENTS)
def _targets(kind: str, seen: Projection, several: bool) -> Prepared:
    return Prepared(
        select(resource, shown_at(seen, kind, resource).label("shown"))
        .where(resource.c.type == kind, one_of(resource.c.id, text_named("ids"), several=several))
        .where(resource.c.deleted.is_(False), resource_visible(seen, kind, resource, narrowed=True))
        .order_by(resource.c.id)
    )


def _present(row: Sequence[Any]) -> Stored:
    """A selected row: the columns of ``resource``, and ``shown``."""
    return stored(Row(*row[:-1]), row[-1] or 0)
