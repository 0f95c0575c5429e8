"""Search parameters: what they are, and the index entries a resource gives.

Every published R4 parameter of kind token, string, date, reference or uri is compiled, once per resource type, into
one tree of steps; a resource is walked once. Number, quantity, composite and special parameters are left out.

See: http://hl7.org/fhir/R4/search.html
"""

import re
import unicodedata
from calendar import isleap, monthrange
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

from fhirgw.profiles import definitions, expressions
from fhirgw.profiles.expressions import Chain, Path, Step, UnsupportedExpression

Json = dict[str, Any]

KINDS = frozenset({"token", "string", "date", "reference", "uri"})
STORED_BY_COLUMN = frozenset({"_id", "_lastUpdated"})
"""Parameters that the store answers from the resource row itself: they give no index entries."""

NOT_SERVED = frozenset({"phonetic"})
"""Parameters that ask for an algorithm of the server's own, and that it has not."""

BEGINNING = -(1 << 62)
END = 1 << 62
"""Bounds of a period that has no start or no end."""


class IndexEntry(NamedTuple):
    """One searchable value of a resource.

    Attributes:
        param: Code of the search parameter.
        kind: token, string, date, reference or uri.
        path: Of the element in the JSON it comes from, e.g. ``("goal", 0)``; () for the resource as a whole.
        system: Token: identifies the code; None when there is none.
        value: Token: the code. String: the folded text. Uri: the uri.
        low: Date: first microsecond since 1970, UTC.
        high: Date: the microsecond after the last.
        target_type: Reference: resource type.
        target_id: Reference: logical id.
    """

    param: str
    kind: str
    path: Path
    system: str | None = None
    value: str | None = None
    low: int | None = None
    high: int | None = None
    target_type: str | None = None
    target_id: str | None = None


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter of one resource type.

    Attributes:
        code: As in a URL.
        kind: token, string, date, reference or uri.
        targets: Reference: resource types it may point at.
        url: Canonical url of its definition.
        expression: FHIRPath.
    """

    code: str
    kind: str
    targets: frozenset[str]
    url: str
    expression: str


# Values -----------------------------------------------------------------------------------------------------------


def fold(text: str) -> str:
    """Case and accents removed, white space single: how strings are indexed and must be compared.

    See: search.html#string ("ignoring casing and accents").
    """
    if text.isascii():
        return " ".join(text.lower().split())
    bare = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return " ".join(bare.casefold().split())


_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d|60)(?:\.(\d{1,6})\d*)?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_EPOCH = date(1970, 1, 1).toordinal()


def date_range(text: str) -> tuple[int, int] | None:
    """The interval a date or dateTime stands for, in microseconds UTC: low inclusive, high exclusive.

    A partial date is the whole year, month, day, minute or second; without an offset it is UTC. None when it is no
    date. See: search.html#date.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        low = (date(int(year), int(month or 1), int(day or 1)).toordinal() - _EPOCH) * _DAY
    except ValueError:
        return None
    if hour is None:
        days = 1 if day else monthrange(int(year), int(month))[1] if month else 365 + isleap(int(year))
        return low, low + days * _DAY
    low += (int(hour) * 3600 + int(minute) * 60 + int(second or 0)) * _SECOND
    width = _SECOND if second else 60 * _SECOND
    if fraction:
        low += int(fraction.ljust(6, "0"))
        width = 10 ** (6 - len(fraction))
    if zone and zone != "Z":
        offset = (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60) * _SECOND
        low += offset if zone[0] == "-" else -offset
    return low, low + width


# Emitters: what one value of a FHIR type gives for a parameter kind ---------------------------------------------

Emit = Callable[[list[IndexEntry], str, Path, Any], None]


def _coding(found: list[IndexEntry], param: str, path: Path, coding: Json) -> None:
    code = coding.get("code")
    if code is not None:
        found.append(IndexEntry(param, "token", path, coding.get("system"), code))


def _concept(found: list[IndexEntry], param: str, path: Path, concept: Json) -> None:
    for coding in concept.get("coding", ()):
        _coding(found, param, path, coding)


def _identifier(found: list[IndexEntry], param: str, path: Path, identifier: Json) -> None:
    value = identifier.get("value")
    if value is not None:
        found.append(IndexEntry(param, "token", path, identifier.get("system"), value))


def _contact(found: list[IndexEntry], param: str, path: Path, contact: Json) -> None:
    value = contact.get("value")
    if value is not None:
        found.append(IndexEntry(param, "token", path, None, value))


def _boolean(found: list[IndexEntry], param: str, path: Path, value: bool) -> None:
    found.append(IndexEntry(param, "token", path, None, "true" if value else "false"))


def _code(systems: Mapping[str, str], found: list[IndexEntry], param: str, path: Path, value: str) -> None:
    """The system of a code is that of its required value set (search.html#token: it is implied)."""
    found.append(IndexEntry(param, "token", path, systems.get(value), value))


def _text(found: list[IndexEntry], param: str, path: Path, value: str) -> None:
    if folded := fold(value):
        found.append(IndexEntry(param, "string", path, value=folded))


def _parts(names: Sequence[str], found: list[IndexEntry], param: str, path: Path, value: Json) -> None:
    """One entry for each different text of the named properties."""
    texts: dict[str, None] = {}
    for name in names:
        part = value.get(name)
        for text in part if isinstance(part, list) else (part,):
            if text is not None:
                texts[text] = None
    for text in texts:
        _text(found, param, path, text)


def _instant(found: list[IndexEntry], param: str, path: Path, value: str) -> None:
    if interval := date_range(value):
        found.append(IndexEntry(param, "date", path, None, None, *interval))


def _period(found: list[IndexEntry], param: str, path: Path, period: Json) -> None:
    start, end = period.get("start"), period.get("end")
    low = date_range(start) if start else (BEGINNING, BEGINNING)
    high = date_range(end) if end else (END, END)
    if low and high and (start or end):
        found.append(IndexEntry(param, "date", path, None, None, low[0], high[1]))


def _timing(found: list[IndexEntry], param: str, path: Path, timing: Json) -> None:
    """The outer limits only, from events and bounds (search.html#date); without limits nothing."""
    if events := [interval for event in timing.get("event", ()) if event and (interval := date_range(event))]:
        low, high = min(low for low, _ in events), max(high for _, high in events)
        found.append(IndexEntry(param, "date", path, None, None, low, high))
    if period := timing.get("repeat", {}).get("boundsPeriod"):
        _period(found, param, path, period)


def _reference(found: list[IndexEntry], param: str, path: Path, reference: Json) -> None:
    """Literal references alone: not contained ones, and not those by identifier."""
    target = expressions.literal(reference.get("reference") or "")
    if target:
        found.append(IndexEntry(param, "reference", path, None, None, None, None, *target))


def _inline(found: list[IndexEntry], param: str, path: Path, resource: Json) -> None:
    if "id" in resource:
        found.append(
            IndexEntry(param, "reference", path, target_type=resource["resourceType"], target_id=resource["id"])
        )


def _uri(found: list[IndexEntry], param: str, path: Path, value: str) -> None:
    found.append(IndexEntry(param, "uri", path, value=value))


def _canonical(found: list[IndexEntry], param: str, path: Path, value: str) -> None:
    """Found with and without its version (references.html#canonical)."""
    _uri(found, param, path, value)
    bare, version, _ = value.partition("|")
    if version:
        _uri(found, param, path, bare)


def _extension(kind: str, found: list[IndexEntry], param: str, path: Path, extension: Json) -> None:
    """A parameter over an extension means its value."""
    for name, value in extension.items():
        emit = _EMITTERS[kind].get(_EXTENSION_TYPES.get(name, ""))
        if emit:
            emit(found, param, (*path, name), value)


_NAME = partial(_parts, ("family", "given", "prefix", "suffix", "text"))
_ADDRESS = partial(_parts, ("line", "city", "district", "state", "postalCode", "country", "text"))
_PLAIN = partial(_code, MappingProxyType({}))
_EXTENSION_TYPES = {
    "valueString": "string", "valueCode": "code", "valueCoding": "Coding", "valueIdentifier": "Identifier",
    "valueCodeableConcept": "CodeableConcept", "valueBoolean": "boolean",
}  # fmt: skip

_EMITTERS: Mapping[str, Mapping[str, Emit]] = {
    "token": {
        "Coding": _coding, "CodeableConcept": _concept, "Identifier": _identifier, "ContactPoint": _contact,
        "boolean": _boolean, "string": _PLAIN, "code": _PLAIN, "uri": _PLAIN, "id": _PLAIN,
        "Extension": partial(_extension, "token"),
    },
    "string": {
        "string": _text, "markdown": _text, "HumanName": _NAME, "Address": _ADDRESS,
        "Extension": partial(_extension, "string"),
    },
    "date": {"date": _instant, "dateTime": _instant, "instant": _instant, "Period": _period, "Timing": _timing},
    "reference": {"Reference": _reference, "canonical": _canonical, "uri": _canonical, "Resource": _inline},
    "uri": {"uri": _uri, "url": _uri, "canonical": _canonical, "oid": _uri},
}  # fmt: skip
"""Parameter kind and FHIR type to what is indexed. A type that is not here gives nothing for that kind."""


def _emitter(kind: str, chain: Chain) -> Emit | None:
    if kind == "token" and chain.type == "code" and chain.binding:
        systems = definitions.value_set(chain.binding) or {}
        return partial(_code, {code: system for system, codes in systems.items() for code in codes})
    return _EMITTERS[kind].get(chain.type)


# Plans ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    step: Step
    emits: list[tuple[str, Emit]] = field(default_factory=list)
    children: list["_Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Plan:
    parameters: Mapping[str, SearchParameter]
    by_name: Mapping[str, tuple[_Node, ...]]  # top-level property to the branches that begin there
    flags: tuple[tuple[str, tuple[str, ...]], ...]  # parameter, and the properties it tests
    uncompiled: tuple[str, ...]


def _branch(nodes: list[_Node], step: Step) -> _Node:
    for branch in nodes:
        if branch.step == step:
            return branch
    nodes.append(_Node(step))
    return nodes[-1]


def _grow(tree: _Node, chain: Chain, param: str, emit: Emit) -> None:
    for step in chain.steps:
        tree = _branch(tree.children, step)
    tree.emits.append((param, emit))


@cache
def _plan(resource_type: str) -> _Plan:
    parameters: dict[str, SearchParameter] = {}
    tree = _Node(Step(""))
    flags: list[tuple[str, tuple[str, ...]]] = []
    uncompiled: list[str] = []
    for published in definitions.search_definitions(resource_type):
        if published.kind not in KINDS or published.code in NOT_SERVED:
            continue
        path = expressions.flag_path(published.expression)
        try:
            chains = expressions.compile_expression(path or published.expression)
        except UnsupportedExpression:
            uncompiled.append(published.code)
            continue
        parameters[published.code] = SearchParameter(
            published.code, published.kind, published.targets, published.url, published.expression
        )
        if path:
            flags.append((published.code, tuple(chain.steps[0].name for chain in chains)))
        elif published.code not in STORED_BY_COLUMN:
            for chain in chains:
                if emit := _emitter(published.kind, chain):
                    _grow(tree, chain, published.code, emit)
    by_name: dict[str, tuple[_Node, ...]] = {}
    for branch in tree.children:
        by_name[branch.step.name] = (*by_name.get(branch.step.name, ()), branch)
    return _Plan(MappingProxyType(parameters), MappingProxyType(by_name), tuple(flags), tuple(uncompiled))


def parameters(resource_type: str) -> Mapping[str, SearchParameter]:
    """The search parameters of a type by code; empty for a type the gateway does not know."""
    return _plan(resource_type).parameters


def definition(resource_type: str, code: str) -> SearchParameter | None:
    """One parameter, with its canonical url; None when there is none."""
    return parameters(resource_type).get(code)


def uncompiled(resource_type: str) -> tuple[str, ...]:
    """Published parameters of our kinds whose expression the compiler does not know."""
    return _plan(resource_type).uncompiled


def extract(resource: Json) -> list[IndexEntry]:
    """The index entries of a resource, in no particular order; expects one that ``validation`` accepts."""
    found: list[IndexEntry] = []
    for name, value in resource.items():
        found += of_element(resource["resourceType"], name, value)
    return found + flags(resource)


def flags(resource: Json) -> list[IndexEntry]:
    """The entries of the parameters that say whether an element is there."""
    found: list[IndexEntry] = []
    for param, names in _plan(resource["resourceType"]).flags:
        name = next((name for name in names if name in resource), None)
        _boolean(found, param, (name,) if name else (), name is not None and resource[name] is not False)
    return found


def has_entries(resource_type: str, name: str) -> bool:
    """Whether some parameter reads this top-level element."""
    return name in _plan(resource_type).by_name


def of_element(resource_type: str, name: str, value: Any) -> Sequence[IndexEntry]:
    """The index entries of one top-level element."""
    branches = _plan(resource_type).by_name.get(name)
    if branches is None:
        return ()
    found: list[IndexEntry] = []
    _walk(branches, {name: value}, (), found)
    return found


def _walk(nodes: Sequence[_Node], element: Json, path: Path, found: list[IndexEntry]) -> None:
    for branch in nodes:
        step = branch.step
        value = element.get(step.name)
        if value is None:
            continue
        if step.index is not None or step.tests:
            for member, where in expressions.members(element, step, path):
                _visit(branch, member, where, found)
        elif type(value) is list:
            for number, member in enumerate(value):
                if member is not None:
                    _visit(branch, member, (*path, step.name, number), found)
        else:
            _visit(branch, value, (*path, step.name), found)


def _visit(branch: _Node, value: Any, path: Path, found: list[IndexEntry]) -> None:
    for param, emit in branch.emits:
        emit(found, param, path, value)
    if branch.children and type(value) is dict:
        _walk(branch.children, value, path, found)
