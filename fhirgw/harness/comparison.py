"""What a server made of a resource: lost, changed or added elements, and those that any server may touch.

Compared is the meaning, not the bytes: the order of members of an object, and of ``meta``'s sets, says nothing in
FHIR; a decimal's digits do (http://hl7.org/fhir/R4/datatypes.html#decimal).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhirgw.difference import Change, differences

Json = dict[str, Any]

_SETS = ("profile", "security", "tag")
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(\+00:00|-00:00)")
_KINDS = {"added": "added", "removed": "lost", "changed": "changed"}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A difference that is no fault of the server.

    Attributes:
        path: Regular expression of the whole FHIRPath expression, after the type.
        kinds: ``lost``, ``changed``, ``added``.
        reason: Why.
    """

    path: str
    kinds: frozenset[str]
    reason: str


_ADDED = frozenset({"added"})
_SET = frozenset({"added", "changed"})
TOLERATED = (
    Tolerance(r"meta", _ADDED, "The server keeps meta for each resource."),
    Tolerance(r"meta\.(versionId|lastUpdated)", _SET, "Given by the server (R4 Resource.meta)."),
    Tolerance(r"meta\.source", _ADDED, "The request that a version came with, as HAPI notes it."),
    Tolerance(r"meta\.security(\[\d+\])?(\..*)?", _ADDED, "Labels that the server computes, as fhirgw does."),
    Tolerance(r"text", _ADDED, "A narrative that the server made."),
    Tolerance(
        r"meta\.(tag|security)\[\d+\]\.(display|userSelected|version)",
        frozenset({"lost", "added", "changed"}),
        "A tag is the same by system and code; HAPI keeps the first display it was given.",
    ),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One element that came back otherwise.

    Attributes:
        path: FHIRPath expression.
        kind: ``lost``, ``changed`` or ``added``.
        sent: None: nothing.
        returned: None: nothing.
        reason: Why it is tolerated; None: it is not.
    """

    path: str
    kind: str
    sent: Any
    returned: Any
    reason: str | None


def read_json(body: bytes | str) -> Any:
    """JSON in which a decimal keeps its digits, marked so that it equals no string."""
    return json.loads(body, parse_float="decimal {}".format)


def compare(sent: Json, returned: Json, base: str) -> list[Difference]:
    """What came back otherwise.

    Args:
        sent: As written.
        returned: As read, by ``read_json`` both.
        base: Base URL of the server: a reference below it is the same as a relative one.
    """
    kind = sent["resourceType"]
    found = differences(kind, _normal(sent, base), _normal(returned, base))
    return [_difference(change) for change in found]


def _difference(change: Change) -> Difference:
    kind = _KINDS[change.kind]
    below = change.path.partition(".")[2]
    reasons = (one.reason for one in TOLERATED if kind in one.kinds and re.fullmatch(one.path, below))
    return Difference(change.path, kind, change.before, change.after, next(reasons, None))


def _normal(resource: Json, base: str) -> Json:
    """A resource with what is equal in FHIR made equal in form."""
    plain: Json = {name: _plain(value, base) for name, value in resource.items()}
    if isinstance(meta := plain.get("meta"), dict):
        plain["meta"] = {
            name: sorted(value, key=_identity) if name in _SETS else value for name, value in meta.items()
        }
    return plain


def _identity(coding: Any) -> tuple[str, ...]:
    """By what a member of a set of ``meta`` is the same."""
    return (coding,) if isinstance(coding, str) else (coding.get("system", ""), coding.get("code", ""))


def _plain(value: Any, base: str) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one, base) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, base) for one in value]
    if isinstance(value, str):
        utc = _INSTANT.fullmatch(value)
        return f"{utc[1]}{utc[2] or ''}Z" if utc else value.removeprefix(f"{base}/")
    return value


def untolerated(found: list[Difference]) -> Iterator[Difference]:
    """Those that count."""
    return (one for one in found if one.reason is None)
