"""What consent knows of FHIR R4 elements: defining, mandatory, free text, … (``tables/elements.toml``)."""

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final

from fhirgw.consent.model import Json

_TABLE = tomllib.loads((files("fhirgw.consent") / "tables" / "elements.toml").read_text("utf-8"))

RESOURCE_TYPES: Final[frozenset[str]] = frozenset(_TABLE["types"]["all"])
ABOUT_NOBODY: Final[frozenset[str]] = frozenset(_TABLE["types"]["about_nobody"])
NEVER_OUTSIDE: Final[frozenset[str]] = frozenset(_TABLE["types"]["never_outside"])
PERSONS: Final[frozenset[str]] = frozenset(_TABLE["types"]["person"])
_SUBJECTS: Final[dict[str, list[list[str]]]] = {}
for _dotted in _TABLE["types"]["subjects"]:
    _SUBJECTS.setdefault(_dotted.split(".")[0], []).append(_dotted.split(".")[1:])
MANDATORY: Final[Mapping[str, list[str]]] = _TABLE["mandatory"]
"""By type: the top-level elements without which a resource is withheld."""
TEAMS: Final[frozenset[str]] = frozenset({"CareTeam", "Group"})
CODED_BY_SENDERS: Final[frozenset[str]] = frozenset(_TABLE["types"]["coded_by_senders"])
TEXT_PROPERTIES: Final[frozenset[str]] = frozenset(_TABLE["text"]["properties"]) - {"url"}
TEXT_EXEMPT: Final[frozenset[str]] = frozenset(_TABLE["text"]["exempt"])

# These say nothing that labels could be read from, or are handled on their own.
STRUCTURE: Final[frozenset[str]] = frozenset({"resourceType", "id", "meta", "text", "contained"})


def is_one_of(element: str, stems: Collection[str]) -> bool:
    """Whether an element is listed: by name, as ``_name``, or by the stem of a choice (``value[x]``)."""
    name = element.removeprefix("_")
    return any(
        name == stem or (name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper()) for stem in stems
    )


@lru_cache(maxsize=4096)
def is_defining(resource_type: str, element: str) -> bool:
    """Whether a label inside this top-level element is a label of the whole resource."""
    table = _TABLE["defining"]
    stems = table.get(resource_type, table["default"])
    return element == "modifierExtension" or is_one_of(element, stems) or is_closure(resource_type, element)


@lru_cache(maxsize=4096)
def is_closure(resource_type: str, element: str) -> bool:
    """Whether references in this top-level element pass their target's labels on to the whole resource."""
    return is_one_of(element, _TABLE["closure"].get(resource_type, []))


@lru_cache(maxsize=4096)
def is_dv_protected(resource_type: str, element: str) -> bool:
    """Whether the element tells where a person is; ``*`` asks for the whole resource."""
    return element in _TABLE["dv"].get(resource_type, [])


@lru_cache(maxsize=4096)
def is_mandatory(resource_type: str, element: str) -> bool:
    """Whether an element has minimum 1; for a type not listed, whether it is defining."""
    listed = MANDATORY.get(resource_type)
    table = _TABLE["defining"]
    stems = table.get(resource_type, table["default"]) if listed is None else listed
    return is_one_of(element, [*stems, "modifierExtension"])


def lacks_mandatory(before: Json, after: Json) -> bool:
    """Whether a mandatory element that was there is gone."""
    return any(is_mandatory(before.get("resourceType", ""), element) for element in before.keys() - after.keys())


def reference_type(reference: Json) -> str:
    """Type that a reference points at: from ``Type/id`` or a URL that ends so, else ``Reference.type``, else ''."""
    literal = bare(reference.get("reference"))
    parts = literal.split("/")
    if len(parts) >= 2 and parts[-2] in RESOURCE_TYPES:
        return parts[-2]
    stated = reference.get("type")
    return stated if isinstance(stated, str) and stated in RESOURCE_TYPES else ""


def bare(literal: object) -> str:
    """A literal reference without its version; '' when there is none."""
    if not isinstance(literal, str):
        return ""
    whole = literal.strip()
    return whole.split("/_history/")[0] if "/_history/" in whole else whole


def objects(value: object) -> list[Json] | None:
    """A list of objects; None when it is anything else."""
    return value if isinstance(value, list) and all(isinstance(inner, dict) for inner in value) else None


def identifier_tokens(resource: Json) -> Iterator[str]:
    """``system|value`` of each identifier."""
    for identifier in objects(resource.get("identifier")) or []:
        if isinstance(identifier.get("value"), str) and identifier["value"].strip():
            yield f"{str(identifier.get('system') or '').strip()}|{identifier['value'].strip()}"


def date_elements(resource_type: str) -> list[list[str]]:
    """Groups of elements that date a resource, the best first; choice elements by their stem."""
    groups: list[list[str]] = _TABLE["dates"].get(resource_type, [])
    return groups


def author_elements(resource_type: str) -> list[str]:
    """Elements that name who made a resource, dotted below the top level."""
    table = _TABLE["authors"]
    named: list[str] = table.get(resource_type, table["default"])
    return named


def patients_of(resource: Json) -> frozenset[str]:
    """All ``Patient/x`` that the resource is about; a Patient is about itself."""
    found = {
        literal
        for name in resource
        if name in _SUBJECTS
        for rest in _SUBJECTS[name]
        for reference in _found(resource[name], rest)
        if (literal := _patient_named(reference))
    }
    if resource.get("resourceType") == "Patient" and isinstance(resource.get("id"), str):
        found.add(f"Patient/{resource['id']}")
    return frozenset(found)


def _patient_named(reference: Json) -> str:
    """``Patient/x``, or how else a patient is referred to; '' for anything else."""
    literal = bare(reference.get("reference"))
    plain = literal.startswith("Patient/") and literal.count("/") == 1
    return literal if plain or reference_type(reference) == "Patient" else ""


def _found(value: object, path: list[str]) -> Sequence[Json]:
    """The objects at the end of the path, lists opened on the way."""
    if not path and isinstance(value, dict):
        return (value,)
    return tuple(_opened(value, path))


def _opened(value: object, path: list[str]) -> Iterator[Json]:
    for inner in value if isinstance(value, list) else [value]:
        if isinstance(inner, dict):
            if not path:
                yield inner
            elif path[0] in inner:
                yield from _opened(inner[path[0]], path[1:])
