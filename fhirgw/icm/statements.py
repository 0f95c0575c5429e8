"""What a care-management system states: a case whole, or records of one; as JSON, or as rows of a table.

A statement is idempotent: its digest tells it from another, its version from an older one. What is stated of a case
in records is the case, stated whole, that comes of them.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, get_args, get_origin

import orjson
from pydantic import Field, JsonValue

from fhirgw.errors import GatewayError, InvalidElement, MalformedMessage, MissingElement
from fhirgw.icm.base import Line, LocalId, Model
from fhirgw.icm.model import Case

Json = dict[str, Any]

CASES = "cases"
"""The table of whole cases; every other table is a list of a case, such as ``contacts`` or ``care_plan.goals``."""


class Records(Model):
    """What changed of a case.

    Objects are merged; a list whose members have an id takes each in, in the place of the one with its id; anything
    else, and any other list, is replaced; null takes away.
    """

    case: Line
    """The case's key."""
    version: Annotated[int, Field(ge=0)]
    """Of the case, with these records."""
    records: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields of a case."""
    remove: dict[str, tuple[LocalId, ...]] = Field(default_factory=dict)
    """Ids by list: ``{"care_plan.goals": ["g1"]}``."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        key: Of the case.
        version: Of the case; None: not stated.
        digest: SHA-256 of what is stated, whatever the order of its keys.
        content: The JSON of a case, or what changed of one.
    """

    key: str
    version: int | None
    digest: bytes
    content: Json | Records

    def case(self, body: bytes | None) -> Case:
        """The case that it states.

        Args:
            body: The JSON of the case as it was, for records.

        Raises:
            ExceptionGroup: Everything that is wrong with it, each at its place, without its values.
        """
        if isinstance(self.content, Records):
            return read_case(orjson.dumps(_amended(orjson.loads(body or b"{}"), self.content)))
        return read_case(orjson.dumps(self.content))


Stated = Statement | ExceptionGroup[GatewayError]
"""One of many: what is wrong with it stands in its place."""


def stated(raw: bytes | Json) -> Stated:
    """As ``statement``, for one of many."""
    try:
        return statement(raw)
    except ExceptionGroup as error:
        return error


def statement(raw: bytes | Json) -> Statement:
    """A statement from its JSON: an object with ``records`` or ``remove`` is records, any other a case.

    Raises:
        ExceptionGroup: It cannot be read, or does not say which case it is about.
    """
    said = _object(raw) if isinstance(raw, bytes) else raw
    digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()
    if "records" in said or "remove" in said:
        try:
            records = Records.model_validate(said)
        except ValueError as error:
            raise _findings(error) from None
        return Statement(records.case, records.version, digest, records)
    key, version = said.get("key"), said.get("version")
    if not isinstance(key, str) or not isinstance(version, int | None):
        read_case(orjson.dumps(said))  # says what is wrong with it, beside this
        raise ExceptionGroup("case", [InvalidElement("A case has a key, and a number as version.", location="key")])
    return Statement(key, version, digest, said)


def read_case(raw: bytes) -> Case:
    """An ICM case from its JSON.

    Raises:
        ExceptionGroup: Everything that is wrong with it, each at its place, without its values.
    """
    try:
        return Case.model_validate_json(raw)
    except ValueError as error:
        raise _findings(error) from None


def with_news(body: bytes, records: Iterable[Records]) -> Case:
    """A case with what records have beside it; what it has itself stays as its system stated it.

    Args:
        body: The JSON of the case.
        records: In their order. What makes no case with the rest is left out.
    """
    stated = orjson.loads(body)
    case, amended = read_case(body), stated
    for one in records:
        with suppress(ExceptionGroup):
            more = _merged(amended, _beside(stated, one.records))
            case, amended = read_case(orjson.dumps(more)), more
    return case


def rows(table: str, lines: Iterable[str]) -> Iterator[Stated]:
    """The statements of a table (CSV); what cannot be read is an error in its place.

    A column is the path of a field: ``name.family``, ``identifiers.0.value``; ``by[]`` holds several, separated by
    ``;``; an empty cell says nothing. In every table but that of cases, ``case`` and ``version`` say of which case
    a row is; rows that agree in both and follow one another are one statement.

    Args:
        table: ``CASES``, or the path of a list of a case.
        lines: The first names the columns.
    """
    read = ({name: cell for name, cell in row.items() if name and cell} for row in csv.DictReader(lines))
    if table == CASES:
        for row in read:
            yield stated(_nested(row) | _version(row))
        return
    for of, together in groupby(read, lambda row: {"case": row.get("case")} | _version(row)):
        listed = [_nested({name: cell for name, cell in row.items() if name not in of}) for row in together]
        records: Json = {}
        _put(records, table.split("."), listed)
        yield stated({**of, "records": records})


def columns(table: str) -> list[str]:
    """The columns that a table may have.

    Raises:
        InvalidElement: A case has no such list.
    """
    if table == CASES:
        return [name for name in _paths(Case) if not name.startswith(_listed(Case))]
    model: type[Model] = Case
    for name in table.split("."):
        inner = _model(model.model_fields[name].annotation) if name in model.model_fields else None
        if inner is None:
            raise InvalidElement("A case has no such list.", location="table")
        model = inner
    return ["case", "version", *_paths(model)]


def _object(raw: bytes) -> Json:
    try:
        stated = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        text = f"This is no JSON: line {error.lineno}, column {error.colno}."
        raise ExceptionGroup("case", [MalformedMessage(text)]) from None
    if not isinstance(stated, dict):
        raise ExceptionGroup("case", [MalformedMessage("A statement is a JSON object.")])
    return stated


def _findings(error: ValueError) -> ExceptionGroup[GatewayError]:
    """Pydantic's findings as ours: it would quote the values."""
    found: list[GatewayError] = []
    for one in getattr(error, "errors", list)():
        location = ".".join(str(part) for part in one["loc"]) or "case"
        kind = {"missing": MissingElement, "json_invalid": MalformedMessage}.get(one["type"], InvalidElement)
        found.append(kind(one["msg"].removeprefix("Value error, "), location=location))
    return ExceptionGroup("case", found or [MalformedMessage("The case cannot be read.")])


# --- records -----------------------------------------------------------------------------------------------------


def _amended(case: Json, records: Records) -> Json:
    amended = _merged(case, records.records)
    for path, gone in records.remove.items():
        *above, name = path.split(".")
        holder: Any = amended
        for step in above:
            holder = holder.get(step) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or not isinstance(holder.get(name), list):
            text = "There is no such list in this case."
            raise ExceptionGroup("case", [InvalidElement(text, location=f"remove.{path}")])
        holder[name] = [one for one in holder[name] if one.get("id") not in gone]
    return amended | {"version": records.version}


def _merged(old: Json, new: Mapping[str, Any]) -> Json:
    merged = dict(old)
    for name, value in new.items():
        before = merged.get(name)
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(before, dict):
            merged[name] = _merged(before, value)
        elif isinstance(value, list) and isinstance(before, list) and _has_ids(before) and _has_ids(value):
            kept = {one["id"]: one for one in before}
            merged[name] = list((kept | {one["id"]: one for one in value}).values())
        else:
            merged[name] = value
    return merged


def _beside(case: Json, records: Mapping[str, Any]) -> Json:
    """The members of lists whose ids the case does not have."""
    beside: Json = {}
    for name, value in records.items():
        before = case.get(name)
        if isinstance(value, dict):
            beside[name] = _beside(before or {}, value)
        elif isinstance(value, list) and _has_ids(value):
            known = {one["id"] for one in before or ()}
            beside[name] = [one for one in value if one["id"] not in known]
    return {name: value for name, value in beside.items() if value}


def _has_ids(listed: list[Any]) -> bool:
    return all(isinstance(one, dict) and isinstance(one.get("id"), str) for one in listed)


# --- tables ------------------------------------------------------------------------------------------------------


def _version(row: Mapping[str, str]) -> Json:
    """The number that a row states; what is none is told later."""
    cell = row.get("version")
    return {} if cell is None else {"version": int(cell) if cell.isdecimal() else cell}


def _nested(row: Mapping[str, str]) -> Json:
    """A row as the object that its columns spell."""
    nested: Json = {}
    for name, cell in row.items():
        path = name.removesuffix("[]")
        several = path != name and cell != "none"  # "none" is a sensitivity, beside the lists of codes
        _put(nested, path.split("."), [part.strip() for part in cell.split(";")] if several else cell)
    return {name: _listed_by_number(value) for name, value in nested.items()}


def _put(into: Json, path: list[str], value: Any) -> None:
    *above, last = path
    for step in above:
        into = into.setdefault(step, {})
    into[last] = value


def _listed_by_number(value: Any) -> Any:
    """Objects whose keys are all numbers are lists."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed_by_number(one) for name, one in value.items()}
    if inner and all(name.isdecimal() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def _paths(model: type[Model], path: str = "") -> Iterator[str]:
    """The columns of an object, in the order of its fields."""
    for name, field in model.model_fields.items():
        inner, several = _model(field.annotation), _is(tuple, field.annotation)
        if inner is not None:
            yield from _paths(inner, f"{path}{name}.{'0.' if several else ''}")
        else:
            yield f"{path}{name}{'.*' if _is(dict, field.annotation) else '[]' if several else ''}"


def _listed(model: type[Model]) -> tuple[str, ...]:
    """What the lists of records of a case begin with: they are tables of their own."""
    fields = ((name, field.annotation) for name, field in model.model_fields.items())
    return tuple(f"{name}." for name, annotation in fields if _model(annotation) and _is(tuple, annotation))


def _model(annotation: Any) -> type[Model] | None:
    """The object that a field holds one or several of."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model(one))), None)


def _is(kind: type, annotation: Any) -> bool:
    """Whether a field holds one of these, or may."""
    return get_origin(annotation) is kind or any(_is(kind, one) for one in get_args(annotation))
