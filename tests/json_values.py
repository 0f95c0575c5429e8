"""What tests look for anywhere in a JSON value."""

from collections.abc import Iterator
from typing import Any


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object inside, outermost first."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def codings(value: Any) -> Iterator[dict[str, Any]]:
    """Every object with a system and a code: Coding, and what has its shape."""
    return (one for one in objects(value) if {"system", "code"} <= one.keys())
