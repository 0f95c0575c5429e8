"""The primitive types: what JSON value each allows.

Regular expressions come from the definitions wherever Python can run them as they are; strings, base64 and numbers
have their own tests, because the published expressions are meant for XML text or backtrack without bound.

See: http://hl7.org/fhir/R4/datatypes.html#primitive and http://hl7.org/fhir/R4/json.html#primitive
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from typing import Any

from fhirgw.profiles import definitions

Allows = Callable[[Any], bool]

MAX_STRING = 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SPACE = re.compile(r"\s", re.ASCII)
_BASE64 = re.compile(r"[0-9a-zA-Z+/]*={0,2}")


def _string(value: Any) -> bool:
    """Not empty, not only white space, at most 1 MB, no control characters but tab, line feed and return."""
    return (
        type(value) is str and len(value) <= MAX_STRING and not value.isspace() and not _CONTROL.search(value)
    ) and value != ""


def _uri(value: Any) -> bool:
    return type(value) is str and value != "" and not _SPACE.search(value)


def _base64(value: Any) -> bool:
    if type(value) is not str:
        return False
    packed = _SPACE.sub("", value)
    return packed != "" and len(packed) % 4 == 0 and _BASE64.fullmatch(packed) is not None


def _decimal(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _integer(low: int) -> Allows:
    """32 bits, signed (datatypes.html#integer)."""

    def allows(value: Any) -> bool:
        return type(value) is int and low <= value <= 2**31 - 1

    return allows


def _xhtml(value: Any) -> bool:
    """One div (narrative.html); what it may hold is not looked into."""
    return type(value) is str and value.lstrip().startswith("<div") and value.rstrip().endswith(">")


def _pattern(expression: str) -> Allows:
    matches = re.compile(expression, re.ASCII).fullmatch

    def allows(value: Any) -> bool:
        return type(value) is str and matches(value) is not None

    return allows


def _calendar(expression: str) -> Allows:
    """The expression, and a day that the month has."""
    matches = re.compile(expression, re.ASCII).fullmatch

    def allows(value: Any) -> bool:
        if type(value) is not str or matches(value) is None:
            return False
        if len(value) >= 10:
            try:
                date.fromisoformat(value[:10])
            except ValueError:
                return False
        return True

    return allows


_OWN: Mapping[str, Allows] = {
    "boolean": lambda value: type(value) is bool,
    "string": _string,
    "markdown": _string,
    "uri": _uri,
    "url": _uri,
    "canonical": _uri,
    "base64Binary": _base64,
    "decimal": _decimal,
    "integer": _integer(-(2**31)),
    "unsignedInt": _integer(0),
    "positiveInt": _integer(1),
    "xhtml": _xhtml,
}


@cache
def allows(name: str) -> Allows:
    """The test of one primitive type."""
    if name in _OWN:
        return _OWN[name]
    expression = definitions.primitives()[name]
    if expression is None:
        raise KeyError(name)
    return _calendar(expression) if name in {"date", "dateTime", "instant"} else _pattern(expression)
