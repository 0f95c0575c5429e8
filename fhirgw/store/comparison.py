"""A value that is searched for, against a row of the index: the parameters are those of ``form``."""

from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Integer, String, and_, bindparam, not_, or_, true

from fhirgw.store.form import ESCAPE
from fhirgw.store.query import Canonical, Clause, Moment, Target, Text, Token, Value

Condition = ColumnElement[bool]


def matches(rows: Any, clause: Clause, value: Value, place: str) -> Condition:
    """An index row has the value."""
    match value:
        case Token(system=system, code=code):
            parts: list[Condition] = [] if code is None else [rows.c.code == text_named(f"code_{place}")]
            if system == "":
                parts.append(rows.c.system.is_(None))
            elif system is not None:
                parts.append(rows.c.system == text_named(f"system_{place}"))
            return and_(true(), *parts)
        case Canonical():
            return and_(true(), rows.c.code == text_named(f"url_{place}"))
        case Target(type=of):
            same = rows.c.target_id == text_named(f"id_{place}")
            return and_(same, true() if of is None else rows.c.target_type == text_named(f"type_{place}"))
        case Moment():
            return within(rows.c.low, rows.c.high, value, place)
        case Text():
            folded = text_named(f"folded_{place}")
            if clause.modifier == "exact":
                return and_(rows.c.value == folded, rows.c.exact == text_named(f"exact_{place}"))
            if clause.modifier == "contains":
                return and_(true(), rows.c.value.like(text_named(f"pattern_{place}"), escape=ESCAPE))
            return and_(rows.c.value >= folded, rows.c.value < text_named(f"top_{place}"))


def within(low: ColumnElement[int], high: ColumnElement[int], moment: Moment, place: str) -> Condition:
    """The interval of the resource against that of the search (search.html#prefix).

    ``ap`` widens the interval searched for by its own length on both sides, so that it needs no clock.
    """
    first, last = integer_named(f"low_{place}"), integer_named(f"high_{place}")
    contained = and_(low >= first, high <= last)
    match moment.prefix:
        case "eq":
            return contained
        case "ne":
            return not_(contained)
        case "gt":
            return and_(true(), high > last)
        case "lt":
            return and_(true(), low < first)
        case "ge":
            return or_(high > last, contained)
        case "le":
            return or_(low < first, contained)
        case "sa":
            return and_(true(), low >= last)
        case "eb":
            return and_(true(), high <= first)
        case _:
            return and_(low < integer_named(f"later_{place}"), high > integer_named(f"earlier_{place}"))


def text_named(name: str) -> BindParameter[str]:
    """A parameter of a statement."""
    return bindparam(name, type_=String)


def integer_named(name: str) -> BindParameter[int]:
    """The same."""
    return bindparam(name, type_=Integer)
