"""The facts of a programme, wherever they stand in it."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from fhirgw.programs.facts import Fact


def facts(value: Any) -> Iterator[Fact]:
    """Every cited fact inside."""
    if isinstance(value, Fact):
        yield value
    if isinstance(value, BaseModel):
        for inner in value.__dict__.values():
            yield from facts(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from facts(inner)
