"""The FHIR R4 definitions the gateway works by, read from the compiled tables when first asked for.

The tables are made by ``build.py`` from ``hl7.fhir.r4.core#4.0.1``; see ``tables/README.md``.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import orjson

Json = dict[str, Any]


_QUANTITY_PROFILES = {"SimpleQuantity": "Quantity", "MoneyQuantity": "Quantity"}
"""Profiles of Quantity that definitions use as types; JSON names the type."""


@dataclass(frozen=True, slots=True)
class ElementType:
    """One type an element may have.

    Attributes:
        code: A data type, ``Resource``, or ``#path`` for the node at that path.
        targets: For a Reference, the resource types it may point at; empty means any.
    """

    code: str
    targets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a node, as its StructureDefinition has it.

    Attributes:
        name: ``status``, or ``value[x]`` for a choice.
        min: 0 or 1 (or more).
        max: None for ``*``.
        types: What it may be.
        binding: The value set of a required binding.
    """

    name: str
    min: int
    max: int | None
    types: tuple[ElementType, ...]
    binding: str | None

    @property
    def stem(self) -> str:
        """The name without ``[x]``."""
        return self.name.removesuffix("[x]")

    def json_names(self) -> list[tuple[str, ElementType]]:
        """The JSON property names with the type each stands for: several for a choice."""
        if not self.name.endswith("[x]"):
            return [(self.name, self.types[0])]
        named = ((_QUANTITY_PROFILES.get(kind.code, kind.code), kind) for kind in self.types)
        return [(self.stem + name[0].upper() + name[1:], kind) for name, kind in named]


@dataclass(frozen=True, slots=True)
class SearchDefinition:
    """One published search parameter of one resource type."""

    code: str
    kind: str
    expression: str
    targets: frozenset[str]
    url: str


@cache
def _table(name: str) -> Any:
    packed = resources.files(__package__).joinpath("tables", f"{name}.json.gz").read_bytes()
    return orjson.loads(gzip.decompress(packed))


@cache
def node(path: str) -> tuple[Element, ...]:
    """The elements at ``Patient``, ``CarePlan.activity`` or ``HumanName``; empty when there is no such node."""
    return tuple(
        Element(
            name,
            low,
            high,
            tuple(
                ElementType(kind) if isinstance(kind, str) else ElementType(kind[0], frozenset(kind[1]))
                for kind in types
            ),
            binding,
        )
        for name, low, high, types, binding in _table("elements")["nodes"].get(path, ())
    )


def primitives() -> Mapping[str, str | None]:
    """The primitive types with their regular expressions (None: xhtml)."""
    table: Mapping[str, str | None] = _table("elements")["primitives"]
    return table


@cache
def resource_types() -> frozenset[str]:
    """The resource types the gateway knows."""
    return frozenset(_table("elements")["resources"])


@cache
def all_resource_types() -> frozenset[str]:
    """Every resource type of R4."""
    return frozenset(_table("elements")["known"])


@cache
def value_set(url: str) -> Mapping[str, frozenset[str]] | None:
    """System to codes of a required value set; None when the definitions do not name its codes."""
    systems = _table("value_sets")[url]
    return None if systems is None else {system: frozenset(codes) for system, codes in systems.items()}


@cache
def search_definitions(resource_type: str) -> tuple[SearchDefinition, ...]:
    """The published search parameters of a type, those of Resource included (``_profile``, ``_tag``, …)."""
    if resource_type not in resource_types():
        return ()
    table = _table("search")
    rows = [*_rebased(table["Resource"], resource_type), *table.get(resource_type, ())]
    return tuple(
        SearchDefinition(code, kind, expression, frozenset(targets), url)
        for code, kind, expression, targets, url in rows
    )


def _rebased(rows: list[Any], resource_type: str) -> list[Any]:
    return [[row[0], row[1], row[2].replace("Resource.", f"{resource_type}.", 1), *row[3:]] for row in rows]
