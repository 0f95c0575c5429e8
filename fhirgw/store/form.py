"""The form of a search: what its statement is built from, apart from the values it is executed with (ADR 0054)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fhirgw.store.predicate import listed
from fhirgw.store.query import Canonical, Clause, Moment, SearchQuery, Target, Text, Token, Value

TOP = "\U0010ffff"
ESCAPE = "/"
_ID = Token(None, "?")


def formed(query: SearchQuery) -> tuple[SearchQuery, dict[str, Any]]:
    """The query without its values, and the parameters that hold them, named by their places in it."""
    clauses: list[Clause] = []
    parameters: dict[str, Any] = {}
    for at, clause in enumerate(query.clauses):
        if clause.param == "_id":
            ids = {one.code or "" for one in clause.values if isinstance(one, Token)}
            parameters[f"ids_{at}"] = listed(ids)
            clauses.append(replace(clause, values=(_ID,) if len(ids) == 1 else (_ID, _ID)))
            continue
        for number, value in enumerate(clause.values):
            parameters |= {f"{name}_{at}_{number}": part for name, part in _parts(value).items()}
        clauses.append(replace(clause, values=tuple(_formal(value) for value in clause.values)))
    return replace(query, clauses=tuple(clauses), count=0, includes=(), ignored=()), parameters


def _formal(value: Value) -> Value:
    """What of a value the text of a statement depends on."""
    match value:
        case Token(system=system, code=code):
            return Token(system and "?", code if code is None else "?")
        case Moment(prefix=prefix):
            return Moment(prefix, 0, 0)
        case Target(type=of):
            return Target(of and "?", "?")
        case Canonical():
            return Canonical("?")
        case Text():
            return Text("?", "?")


def _parts(value: Value) -> dict[str, Any]:
    """The parameters of a value, by the names that ``search`` asks for."""
    parts = value._asdict()
    match value:
        case Text(folded=folded):
            literal = "".join(f"{ESCAPE}{letter}" if letter in f"%_{ESCAPE}" else letter for letter in folded)
            return parts | {"top": folded + TOP, "pattern": f"%{literal}%"}
        case Moment(low=low, high=high):
            return parts | {"earlier": low - (high - low), "later": high + (high - low)}
        case _:
            return parts


def placed(query: SearchQuery, after: Sequence[Any] | None) -> tuple[tuple[bool, ...] | None, dict[str, Any]]:
    """Behind which key a page begins: whether each part of the key is there, and the parameters that hold them."""
    if after is None:
        return None, {}
    parts: dict[str, Any] = {f"after_{at}": after[at] for at in range(len(query.order))}
    return tuple(part is not None for part in parts.values()), parts | {"after_id": after[-1]}
