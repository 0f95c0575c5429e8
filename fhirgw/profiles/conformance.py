"""Whether a resource conforms to one of our profiles, beyond base R4 (which ``validation`` checks).

Compiled at first use from the differentials of ``package/``: cardinality, fixed and pattern values, required
bindings, types of reference targets, slices by value, pattern or extension url, invariants. What a differential
says that is none of these stops the compilation (``NotImplementedError``): nothing is skipped in silence.

See: R4, Profiling FHIR §5.1; the HAPI validator is the other opinion.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson

from fhirgw.profiles import npm
from fhirgw.profiles.values import Problem

Json = dict[str, Any]


_NOT_BEGUN = frozenset({"planned", "waitlist", "cancelled", "entered-in-error"})
INVARIANTS: dict[str, Callable[[Json], bool]] = {
    "icm-enrolled": lambda episode: episode["status"] in _NOT_BEGUN or "start" in episode.get("period", {}),
    "icm-name": lambda patient: all(
        name.keys() & {"family", "given", "text", "extension"} for name in patient.get("name", ())
    ),
    "icm-result": lambda result: (
        any(key.startswith("value") for key in result)
        or bool(result.keys() & {"component", "hasMember", "dataAbsentReason"})
    ),
}
"""Our invariants in Python, by key; a test holds each to its FHIRPath expression."""

_KNOWN = frozenset({
    "id", "path", "sliceName", "short", "definition", "comment", "min", "max", "type", "binding", "constraint",
    "mustSupport", "slicing", "isModifier", "isSummary", "base", "extension",
})  # fmt: skip


@dataclass(slots=True)
class Node:
    """What a profile says of an element, or of a slice of it."""

    minimum: int = 0
    maximum: int | None = None
    value: Any = None
    exact: bool = False
    codes: frozenset[tuple[str, str]] | None = None
    targets: frozenset[str] = frozenset()
    invariants: list[tuple[str, str]] = field(default_factory=list)
    discriminators: list[str] = field(default_factory=list)
    slices: dict[str, "Node"] = field(default_factory=dict)
    children: dict[str, "Node"] = field(default_factory=dict)
    url: str | None = None


def profiles() -> frozenset[str]:
    """The canonicals of our profiles of resources."""
    return frozenset(_definitions())


def problems(resource: Json, profile: str) -> list[Problem]:
    """What keeps a resource, valid in base R4, from conforming to one of our profiles; nothing: it conforms.

    Raises:
        KeyError: No profile of ours.
    """
    definition = _definitions()[profile]
    if resource["resourceType"] != definition["type"]:
        text = f"The profile {definition['name']} is one of {definition['type']}."
        return [Problem("structure", resource["resourceType"], text)]
    return list(_element(_compile(profile), resource, resource["resourceType"]))


# Checking ---------------------------------------------------------------------------------------------------------


def _element(node: Node, value: Any, where: str) -> Iterator[Problem]:
    """The problems of one value of an element."""
    if node.value is not None and not _matches(node.value, value, exact=node.exact):
        yield Problem("value", where, "The profile asks for another value here.")
    if node.codes is not None and not _coded(value, node.codes):
        yield Problem("code-invalid", where, "The profile's value set has no such code.")
    if node.targets and (kind := _target(value)) and kind not in node.targets:
        yield Problem("structure", where, f"The profile asks for a reference to {', '.join(sorted(node.targets))}.")
    for key, text in node.invariants:
        if not INVARIANTS[key](value):
            yield Problem("invariant", where, f"{text} ({key})")
    if not isinstance(value, dict):
        return
    for name, child in node.children.items():
        yield from _children(name, child, value, where)


def _children(name: str, node: Node, owner: Json, where: str) -> Iterator[Problem]:
    """The problems of an element as a whole: how many there are, each of them, each slice."""
    at = f"{where}.{name.removesuffix('[x]')}"
    values = list(_values(name, owner))
    yield from _counted(node, len(values), at)
    listed = isinstance(owner.get(name), list)
    for index, value in enumerate(values):
        yield from _element(node, value, f"{at}[{index}]" if listed else at)
    for label, part in node.slices.items():
        chosen = [(index, value) for index, value in enumerate(values) if _in_slice(node, part, value)]
        yield from _counted(part, len(chosen), at, label)
        for index, value in chosen:
            yield from _element(part, value, f"{at}[{index}]" if listed else at)


def _counted(node: Node, count: int, where: str, label: str | None = None) -> Iterator[Problem]:
    what = "This element" if label is None else f"The slice {label}"
    if count < node.minimum:
        need = "is required" if node.minimum == 1 else f"is required at least {node.minimum} times"
        yield Problem("required", where, f"{what} {need} by the profile.")
    if node.maximum is not None and count > node.maximum:
        text = "is not allowed" if node.maximum == 0 else f"is allowed at most {node.maximum} times"
        yield Problem("structure", where, f"{what} {text} by the profile.")


def _values(name: str, owner: Json) -> Iterator[Any]:
    if name.endswith("[x]"):
        stem = name.removesuffix("[x]")
        yield from (
            value for key, value in owner.items() if key.startswith(stem) and key[len(stem) :][:1].isupper()
        )
        return
    value = owner.get(name)
    if isinstance(value, list):
        yield from value
    elif value is not None:
        yield value


def _in_slice(node: Node, part: Node, value: Any) -> bool:
    if part.url is not None:
        return isinstance(value, dict) and value.get("url") == part.url
    return all(_discriminated(path.split("."), part, value) for path in node.discriminators)


def _discriminated(path: Sequence[str], part: Node, value: Any) -> bool:
    """Whether the value has, at the discriminator's path, what the slice has there."""
    if path[0] == "$this":
        return part.value is not None and _matches(part.value, value, exact=part.exact)
    part = part.children[path[0]]
    values = list(_values(path[0], value)) if isinstance(value, dict) else []
    if len(path) > 1:
        return any(_discriminated(path[1:], part, one) for one in values)
    return any(_matches(part.value, one, exact=part.exact) for one in values)


def _matches(wanted: Any, value: Any, *, exact: bool) -> bool:
    """pattern[x]: everything that is wanted is there, arrays in any order; fixed[x]: it is the same."""
    if exact or not isinstance(wanted, dict | list):
        return bool(wanted == value)
    if isinstance(wanted, list):
        return isinstance(value, list) and all(any(_matches(w, v, exact=False) for v in value) for w in wanted)
    return isinstance(value, dict) and all(
        name in value and _matches(one, value[name], exact=False) for name, one in wanted.items()
    )


def _coded(value: Any, codes: frozenset[tuple[str, str]]) -> bool:
    if isinstance(value, str):
        return any(value == code for _, code in codes)
    codings = value.get("coding", [value]) if isinstance(value, dict) else []
    return any((one.get("system"), one.get("code")) in codes for one in codings)


def _target(value: Any) -> str | None:
    """The type that a relative reference names; None where it cannot be told."""
    reference = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(reference, str) or "/" not in reference or ":" in reference:
        return value.get("type") if isinstance(value, dict) else None
    return reference.split("/")[0]


# Compiling --------------------------------------------------------------------------------------------------------


@cache
def _definitions() -> dict[str, Json]:
    found = (orjson.loads(content) for content in npm.definitions().values())
    return {
        one["url"]: one
        for one in found
        if one["resourceType"] == "StructureDefinition" and one["type"] != "Extension"
    }


@cache
def _compile(profile: str) -> Node:
    root = Node()
    for element in _definitions()[profile]["differential"]["element"]:
        _take(_at(root, element["id"]), element)
    _prune(root)
    return root


def _prune(node: Node) -> bool:
    """Leave out what asks nothing of a resource, as elements that are only to be supported; whether it asks."""
    node.children = {name: child for name, child in node.children.items() if _prune(child)}
    node.slices = {label: part for label, part in node.slices.items() if _prune(part)}
    counts = node.minimum > 0 or node.maximum is not None
    says = node.value is not None or node.codes is not None or node.targets or node.invariants
    return bool(counts or says or node.children or node.slices)


def _at(root: Node, identifier: str) -> Node:
    """The node of an element id: ``Consent.category:roi.coding``."""
    node = root
    for part in identifier.split(".")[1:]:
        name, _, label = part.partition(":")
        node = node.children.setdefault(name, Node())
        if label:
            node = node.slices.setdefault(label, Node())
    return node


def _take(node: Node, element: Json) -> None:
    node.minimum = element.get("min", node.minimum)
    if element.get("max", "*") != "*":
        node.maximum = int(element["max"])
    for name, value in element.items():
        if name.startswith(("pattern", "fixed")):
            node.value, node.exact = value, name.startswith("fixed")
        elif name not in _KNOWN:
            raise NotImplementedError(f"{element['id']}: {name}")
    node.discriminators = [one["path"] for one in element.get("slicing", {}).get("discriminator", ())]
    for kind in element.get("type", ()):
        node.targets |= frozenset(map(_type_of, kind.get("targetProfile", ())))
        if kind["code"] == "Extension" and kind.get("profile"):
            node.url = kind["profile"][0]
    node.invariants = [
        (one["key"], one["human"]) for one in element.get("constraint", ()) if one["severity"] == "error"
    ]
    if element.get("binding", {}).get("strength") == "required":
        node.codes = _expand(element["binding"]["valueSet"])


def _type_of(canonical: str) -> str:
    ours = _definitions().get(canonical)
    return str(ours["type"]) if ours else canonical.rpartition("/")[2]


@cache
def _expand(value_set: str) -> frozenset[tuple[str, str]]:
    """The codes of one of our value sets: whole code systems of ours, or codes that it lists."""
    by_url = {one["url"]: one for one in map(orjson.loads, npm.definitions().values())}
    codes: set[tuple[str, str]] = set()
    for include in by_url[value_set]["compose"]["include"]:
        listed = include.get("concept") or by_url[include["system"]]["concept"]
        codes |= {(include["system"], one["code"]) for one in listed}
    return frozenset(codes)
