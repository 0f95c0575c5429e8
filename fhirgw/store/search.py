"""Search on the visible projection: match, total, order, page and include see visible index rows alone.

INVARIANT: every subquery over an index table goes through ``_seen``; nothing is filtered after a page was cut
(consent specification §0.3, leaks 1 to 16).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    Table,
    and_,
    false,
    func,
    not_,
    null,
    or_,
    select,
    true,
)

from fhirgw.consent.predicate import Visibility
from fhirgw.store.predicate import among, element_visible, resource_visible, shown_at
from fhirgw.store.query import Canonical, Clause, Moment, Order, SearchQuery, Target, Text, Token, Value, parse
from fhirgw.store.schema import resource, search_date, search_reference, search_string, search_token
from fhirgw.store.stored import Row, Stored, stored

__all__ = ["Page", "SearchQuery", "parse", "run"]

Condition = ColumnElement[bool]
TOP = "\U0010ffff"

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
    """
    narrowing = _narrowing(query)
    narrowed = bool(narrowing) or any(one.param == "_id" for one in query.clauses)
    matching = and_(
        resource.c.type == query.type,
        resource.c.deleted.is_(False),
        resource_visible(visibility, query.type, resource, narrowed=narrowed),
        *narrowing,
        *(_condition(query.type, clause, visibility) for clause in query.clauses),
    )
    total = connection.scalar(select(func.count()).select_from(resource).where(matching)) or 0
    if not query.count or not total:
        return Page([], [], total, None)
    rows = connection.execute(_page(query, visibility, matching, after)).all()
    page, more = rows[: query.count], len(rows) > query.count
    matches = _loaded(connection, query.type, visibility, [row.pk for row in page])
    included = _included(connection, query, visibility, [row.pk for row in page], matches)
    return Page(matches, included, total, _key(query, page[-1]) if more else None)


def _key(query: SearchQuery, row: Any) -> tuple[Any, ...]:
    return (*(getattr(row, f"key_{at}") for at in range(len(query.order))), row.id)


# Matching ---------------------------------------------------------------------------------------------------------


def _narrowing(query: SearchQuery) -> list[Condition]:
    """A first cut by the index of the most selective parameter; the guarded condition is checked all the same."""
    usable = [one for one in query.clauses if one.modifier in ("", "exact") and not one.param.startswith("_")]
    if not usable or any(one.param == "_id" for one in query.clauses):
        return []
    clause = min(usable, key=lambda one: _SELECTIVITY.index(one.kind))
    found = []
    for table, values in _by_table(clause).items():
        rows = _ROWS[table]
        wanted = or_(*(_matches(rows, clause, value) for value in values))
        found.append(select(rows.c.resource).where(rows.c.type == query.type, rows.c.param == clause.param, wanted))
    return [or_(*(resource.c.pk.in_(one) for one in found))]


def _condition(kind: str, clause: Clause, visibility: Visibility) -> Condition:
    if clause.param == "_id":
        return among(resource.c.id, {one.code or "" for one in clause.values if isinstance(one, Token)})
    if clause.param == "_lastUpdated":
        shown = shown_at(visibility, kind, resource)
        return or_(*(_within(shown, shown + 1, one) for one in clause.values if isinstance(one, Moment)))
    if clause.modifier in ("missing", "present"):
        found = or_(*(_seen(kind, clause.param, table, None, visibility) for table in _tables(clause.kind)))
        return not_(found) if clause.modifier == "missing" else found
    found = or_(
        *(
            _seen(kind, clause.param, table, (clause, values), visibility)
            for table, values in _by_table(clause).items()
        )
    )
    return not_(found) if clause.modifier == "not" else found


def _tables(kind: str) -> tuple[Table, ...]:
    """Where values of this kind are: a reference may be a canonical URL."""
    return (search_reference, search_token) if kind == "reference" else (_TABLES[kind],)


def _by_table(clause: Clause) -> dict[Table, list[Value]]:
    values: dict[Table, list[Value]] = {}
    for value in clause.values:
        values.setdefault(search_token if isinstance(value, Canonical) else _TABLES[clause.kind], []).append(value)
    return values


def _seen(
    kind: str, param: str, table: Table, wanted: tuple[Clause, list[Value]] | None, visibility: Visibility
) -> Condition:
    """There is a visible index row of the resource with this parameter (and with one of these values)."""
    rows = _ROWS[table]
    found = select(1).where(
        rows.c.resource == resource.c.pk,
        rows.c.param == param,
        element_visible(visibility, kind, resource, rows),
    )
    if wanted is not None:
        clause, values = wanted
        found = found.where(or_(*(_matches(rows, clause, value) for value in values)))
    return found.correlate(resource).exists()


def _matches(rows: Any, clause: Clause, value: Value) -> Condition:
    match value:
        case Token(system=system, code=code):
            parts: list[Condition] = [] if code is None else [rows.c.code == code]
            if system == "":
                parts.append(rows.c.system.is_(None))
            elif system is not None:
                parts.append(rows.c.system == system)
            return and_(true(), *parts)
        case Canonical(url=url):
            return and_(true(), rows.c.code == url)
        case Target(type=of, id=logical):
            return and_(rows.c.target_id == logical, true() if of is None else rows.c.target_type == of)
        case Moment():
            return _within(rows.c.low, rows.c.high, value)
        case Text(folded=folded, exact=exact):
            if clause.modifier == "exact":
                return and_(rows.c.value == folded, rows.c.exact == exact)
            if clause.modifier == "contains":
                return and_(true(), rows.c.value.contains(folded, autoescape=True))
            return and_(rows.c.value >= folded, rows.c.value < folded + TOP)


def _within(low: ColumnElement[int], high: ColumnElement[int], moment: Moment) -> Condition:
    """The interval of the resource against that of the search (search.html#prefix).

    ``ap`` widens the interval searched for by its own length on both sides, so that it needs no clock.
    """
    wide = moment.high - moment.low
    contained = and_(low >= moment.low, high <= moment.high)
    match moment.prefix:
        case "eq":
            return contained
        case "ne":
            return not_(contained)
        case "gt":
            return and_(true(), high > moment.high)
        case "lt":
            return and_(true(), low < moment.low)
        case "ge":
            return or_(high > moment.high, contained)
        case "le":
            return or_(low < moment.low, contained)
        case "sa":
            return and_(true(), low >= moment.high)
        case "eb":
            return and_(true(), high <= moment.low)
        case _:
            return and_(low < moment.high + wide, high > moment.low - wide)


# Order and pages --------------------------------------------------------------------------------------------------


def _page(
    query: SearchQuery, visibility: Visibility, matching: Condition, after: tuple[Any, ...] | None
) -> Select[Any]:
    """Rows behind the key, one more than the page holds."""
    keys = [_sort_key(query.type, key, visibility) for key in query.order]
    named = [key.label(f"key_{at}") for at, key in enumerate(keys)]
    found = select(resource.c.pk, resource.c.id, *named).where(matching).subquery()
    page = select(found)
    if after is not None:
        page = page.where(_behind(query, found, after))
    for at, key in enumerate(query.order):
        column = found.c[f"key_{at}"]
        page = page.order_by(column.is_(None), column.desc() if key.descending else column.asc())
    return page.order_by(found.c.id).limit(query.count + 1)


def _loaded(connection: Connection, kind: str, visibility: Visibility, page: Sequence[int]) -> list[Stored]:
    """The resources of a page, in its order; they have been matched, and so are visible."""
    shown = shown_at(visibility, kind, resource).label("shown")
    found = connection.execute(select(resource, shown).where(resource.c.pk.in_(page)))
    rows = {row.pk: _present(row) for row in found}
    return [rows[pk] for pk in page]


def _sort_key(kind: str, key: Order, visibility: Visibility) -> ColumnElement[Any]:
    """The least visible value ascending, the greatest descending; null where none is visible."""
    if key.param == "_id":
        return resource.c.id
    if key.param == "_lastUpdated":
        return shown_at(visibility, kind, resource)
    rows = _ROWS[_TABLES[key.kind]]
    column = {"token": "code", "uri": "code", "string": "value", "date": "low", "reference": "target_id"}[key.kind]
    extreme = func.max(rows.c[column]) if key.descending else func.min(rows.c[column])
    return (
        select(extreme)
        .where(
            rows.c.resource == resource.c.pk,
            rows.c.param == key.param,
            element_visible(visibility, kind, resource, rows),
        )
        .correlate(resource)
        .scalar_subquery()
    )


def _behind(query: SearchQuery, found: Subquery, after: Sequence[Any]) -> Condition:
    """Strictly after the key: greater at one place and equal before it. Nulls come last, whatever the direction."""
    equal: list[Condition] = []
    ways: list[Condition] = []
    for at, key in enumerate(query.order):
        column, value = found.c[f"key_{at}"], after[at]
        if value is None:
            equal.append(column.is_(null()))
            continue
        beyond = column < value if key.descending else column > value
        ways.append(and_(*equal, or_(beyond, column.is_(null()))))
        equal.append(column == value)
    ways.append(and_(*equal, found.c.id > after[-1]))
    return or_(false(), *ways)


# Include ----------------------------------------------------------------------------------------------------------


def _included(
    connection: Connection,
    query: SearchQuery,
    visibility: Visibility,
    page: Sequence[int],
    matches: Sequence[Stored],
) -> list[Stored]:
    """Visible targets of visible references of the page, by type and id."""
    wanted: dict[str, set[str]] = {}
    for include in query.includes:
        links = _ROWS[search_reference]
        found = (
            select(links.c.target_type, links.c.target_id)
            .join(resource, resource.c.pk == links.c.resource)
            .where(resource.c.pk.in_(page), links.c.param == include.param)
            .where(element_visible(visibility, query.type, resource, links))
        )
        if include.target is not None:
            found = found.where(links.c.target_type == include.target)
        for row in connection.execute(found.distinct()):
            wanted.setdefault(row.target_type, set()).add(row.target_id)
    present = {(one.type, one.id) for one in matches}
    included = [one for kind in sorted(wanted) for one in _targets(connection, kind, wanted[kind], visibility)]
    return [one for one in included if (one.type, one.id) not in present]


def _targets(connection: Connection, kind: str, ids: set[str], visibility: Visibility) -> list[Stored]:
    found = (
        select(resource, shown_at(visibility, kind, resource).label("shown"))
        .where(resource.c.type == kind, among(resource.c.id, ids), resource.c.deleted.is_(False))
        .where(resource_visible(visibility, kind, resource, narrowed=True))
        .order_by(resource.c.id)
    )
    return [_present(row) for row in connection.execute(found)]


def _present(row: Any) -> Stored:
    """A selected row: the columns of ``resource``, ``shown``, and sort keys."""
    return stored(Row(*row[: len(Row._fields)]), row.shown or 0)
