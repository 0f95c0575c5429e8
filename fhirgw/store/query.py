"""Search parameters of a request, as typed values.

See: http://hl7.org/fhir/R4/search.html. What is not understood is refused or reported the same way for everybody.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fhirgw.errors import GatewayError, InvalidElement, NotSupported
from fhirgw.profiles.expressions import literal
from fhirgw.profiles.search import SearchParameter, date_range, fold, parameters

DEFAULT_COUNT = 20
MAX_COUNT = 200
UNSEARCHABLE = frozenset({"_tag", "_profile", "_security", "_source", "_text", "_content", "_list", "_filter"})
"""Over ``meta``, which is not released as stored, or over free text (consent specification, leaks 12, 15)."""


class Token(NamedTuple):
    """``code`` (system None), ``system|code``, ``|code`` (system ''), ``system|`` (code None)."""

    system: str | None
    code: str | None


class Text(NamedTuple):
    """A text folded, and as written."""

    folded: str
    exact: str


class Moment(NamedTuple):
    """A prefix and the interval of the date: low inclusive, high exclusive."""

    prefix: str
    low: int
    high: int


class Target(NamedTuple):
    """Of a reference; the type is None where the request names none."""

    type: str | None
    id: str


class Canonical(NamedTuple):
    """Of a reference by URL."""

    url: str


Value = Token | Text | Moment | Target | Canonical


@dataclass(frozen=True, slots=True)
class Clause:
    """One parameter: any of its values. Clauses are joined by AND.

    Attributes:
        param: Code of the parameter, ``_id`` or ``_lastUpdated``.
        kind: token, string, date, reference or uri.
        modifier: '', exact, contains, not, missing, present (``missing=false``).
    """

    param: str
    kind: str
    modifier: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One sort key."""

    param: str
    kind: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """Resources that matches refer to by this parameter; None: of any type."""

    param: str
    target: str | None


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A parsed search.

    Attributes:
        ignored: Names of parameters that were not understood, under lenient handling.
    """

    type: str
    clauses: tuple[Clause, ...]
    order: tuple[Order, ...]
    count: int
    includes: tuple[Include, ...]
    ignored: tuple[str, ...]


@dataclass(slots=True)
class _Reading:
    """A request as far as it was read."""

    type: str
    known: Mapping[str, SearchParameter]
    base: str | None
    clauses: list[Clause] = field(default_factory=list)
    order: list[Order] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    count: int = DEFAULT_COUNT


class _UnknownError(Exception):
    """A parameter that nobody here knows."""


def parse(kind: str, asked: Sequence[tuple[str, str]], *, strict: bool, base: str | None = None) -> SearchQuery:
    """Read the parameters of a search.

    Args:
        kind: The resource type searched for.
        asked: Names with modifiers, and values, percent-decoded.
        strict: ``Prefer: handling=strict``: an unknown parameter is an error, not ignored.
        base: Own base URL, so that absolute references to here are understood.

    Raises:
        NotSupported: An unknown parameter under strict handling; an unknown modifier always.
        InvalidElement: A value that its parameter does not allow.
    """
    reading = _Reading(kind, parameters(kind), base)
    ignored: list[str] = []
    for name, value in asked:
        plain, _, modifier = name.partition(":")
        try:
            if plain in _CONTROLS and not modifier:
                _CONTROLS[plain](reading, value)
            else:
                reading.clauses.append(_clause(reading, plain, modifier, value))
        except _UnknownError:
            if strict:
                raise NotSupported("This parameter is not supported.", location=plain) from None
            ignored.append(name)
        except GatewayError as error:
            error.location = error.location or plain
            raise
    order = tuple({key.param: key for key in reversed(reading.order)}.values())[::-1]
    includes = tuple(dict.fromkeys(reading.includes))
    return SearchQuery(kind, tuple(reading.clauses), order, reading.count, includes, tuple(dict.fromkeys(ignored)))


# Result parameters ------------------------------------------------------------------------------------------------


def _read_count(reading: _Reading, value: str) -> None:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise InvalidElement("A page size is a whole number.")
    reading.count = min(int(value), MAX_COUNT)


def _read_order(reading: _Reading, value: str) -> None:
    for key in _split(value, ","):
        name, descending = key.removeprefix("-"), key.startswith("-")
        param, kind, _ = _resolve(reading, name)
        reading.order.append(Order(param, kind, descending))


def _read_include(reading: _Reading, value: str) -> None:
    source, _, rest = value.partition(":")
    name, _, target = rest.partition(":")
    if source != reading.type or name not in reading.known or reading.known[name].kind != "reference":
        raise InvalidElement("An include names the type searched for and one of its reference parameters.")
    param, _, implied = _resolve(reading, name)
    reading.includes.append(Include(param, target or implied))


def _read_total(_: _Reading, value: str) -> None:
    if value not in ("none", "estimate", "accurate"):
        raise InvalidElement("A total is none, estimate or accurate.")


def _pass(_reading: _Reading, _value: str) -> None:
    """Read elsewhere."""


_CONTROLS: Mapping[str, Callable[[_Reading, str], None]] = {
    "_count": _read_count,
    "_sort": _read_order,
    "_include": _read_include,
    "_total": _read_total,
    "_format": _pass,
    "_pretty": _pass,
}


# Criteria ---------------------------------------------------------------------------------------------------------


def _resolve(reading: _Reading, name: str) -> tuple[str, str, str | None]:
    """(parameter, kind, implied target): ``patient`` is ``subject`` when it is a Patient."""
    if name == "_id":
        return name, "token", None
    if name == "_lastUpdated":
        return name, "date", None
    if name not in reading.known or name in UNSEARCHABLE:
        raise _UnknownError
    if name == "patient" and "subject" in reading.known:
        return "subject", "reference", "Patient"
    return name, reading.known[name].kind, "Patient" if name == "patient" else None


_MODIFIERS: Mapping[str, frozenset[str]] = {
    "token": frozenset({"not", "missing"}),
    "string": frozenset({"exact", "contains", "missing"}),
    "date": frozenset({"missing"}),
    "reference": frozenset({"missing"}),
    "uri": frozenset({"missing"}),
}


def _clause(reading: _Reading, name: str, modifier: str, value: str) -> Clause:
    param, kind, implied = _resolve(reading, name)
    if kind == "reference" and modifier[:1].isupper():
        if literal(f"{modifier}/x") is None:
            raise NotSupported("There is no such type.")
        implied, modifier = modifier, ""
    if modifier and (modifier not in _MODIFIERS[kind] or param.startswith("_")):
        raise NotSupported("This modifier is not supported.")
    if modifier == "missing":
        if value not in ("true", "false"):
            raise InvalidElement("Missing is true or false.")
        return Clause(param, kind, "missing" if value == "true" else "present", ())
    values = tuple(_value(reading, kind, one, implied) for one in _split(value, ","))
    return Clause(param, kind, modifier, values)


def _value(reading: _Reading, kind: str, value: str, implied: str | None) -> Value:
    if not value:
        raise InvalidElement("A value is empty.")
    match kind:
        case "token":
            return _token(value)
        case "string":
            return Text(fold(_plain(value)), _plain(value))
        case "date":
            return _moment(value)
        case "uri":
            return Token(None, _plain(value))
        case _:
            return _target(reading, _plain(value), implied)


def _token(value: str) -> Token:
    parts = [_plain(part) for part in _split(value, "|")]
    if len(parts) == 1:
        return Token(None, parts[0])
    if len(parts) != 2 or not any(parts):
        raise InvalidElement("A token is a code, or a system and a code.")
    return Token(parts[0], parts[1] or None)


_MOMENT = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?([0-9].*)", re.ASCII)


def _moment(value: str) -> Moment:
    match = _MOMENT.fullmatch(value)
    interval = date_range(match[2]) if match else None
    if match is None or interval is None:
        raise InvalidElement("A date is a prefix and a date or instant.")
    return Moment(match[1] or "eq", *interval)


def _target(reading: _Reading, value: str, implied: str | None) -> Target | Canonical:
    if reading.base is not None:
        value = value.removeprefix(f"{reading.base}/")
    if "://" in value or value.startswith("urn:"):
        return Canonical(value)
    if "/" not in value:
        return Target(implied, value)
    found = literal(value)
    if found is None:
        raise InvalidElement("A reference is an id, or a type and an id.")
    if implied is not None and found[0] != implied:
        raise InvalidElement("This parameter refers to another type.")
    return Target(*found)


def _split(value: str, separator: str) -> list[str]:
    """Split at the separator, not where a backslash is before it (search.html#escaping)."""
    return re.split(rf"(?<!\\){re.escape(separator)}", value)


def _plain(value: str) -> str:
    return re.sub(r"\\([\\,|$])", r"\1", value)
