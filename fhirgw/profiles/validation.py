"""Validation of FHIR R4 JSON against the definitions: structure, types, codes, references, invariants.

Every node (type or backbone) is compiled once to a table of rules. A resource without fault costs one look-up and
one test for each element; the words and the path of a problem are made only when there is one, from the inside out.

See: http://hl7.org/fhir/R4/validation.html and http://hl7.org/fhir/R4/json.html
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from fhirgw.errors import GatewayError, InvalidElement, MissingElement, ProfileViolation, UnmappedCode
from fhirgw.profiles import conformance, definitions, invariants, values
from fhirgw.profiles.definitions import Element, ElementType
from fhirgw.profiles.values import Check, Problem
from fhirgw.remembered import is_lone_reference, key_of

Json = dict[str, Any]


class Rule(NamedTuple):
    """How one JSON property is checked.

    Attributes:
        check: Of each value.
        listed: Whether it is an array.
        choice: The stem of a choice element, of which one property alone may be there.
        primitive: Whether ``_name`` may carry id and extensions.
    """

    check: Check
    listed: bool
    choice: str | None
    primitive: bool


_EMPTY = [Problem("structure", "", "An object, array or string must not be empty.")]
_NULL = [Problem("structure", "", "null is not allowed here.")]
_NO_OBJECT = [Problem("structure", "", "A JSON object is needed here.")]
_NO_ARRAY = [Problem("structure", "", "A JSON array is needed here: the element repeats.")]
_ARRAY = [Problem("structure", "", "A JSON array is not allowed here: the element does not repeat.")]
_PROPERTY = re.compile(r"\w{1,64}", re.ASCII)


def _below(prefix: str, found: list[Problem]) -> Iterator[Problem]:
    return (Problem(problem.issue, prefix + problem.expression, problem.text) for problem in found)


def _shape(value: Any, found: list[Problem]) -> list[Problem]:
    """Says plainly when the JSON shape is what is wrong."""
    if value is None:
        return _NULL
    if isinstance(value, list):
        return _ARRAY
    return _EMPTY if value == "" else found


# Nodes ------------------------------------------------------------------------------------------------------------


class Node:
    """The rules of one type or backbone, compiled when first used."""

    __slots__ = ("_rules", "invariants", "needed", "path", "required")

    def __init__(self, path: str) -> None:
        self.path = path
        self.invariants = invariants.of(path)
        self.required = tuple(
            (element.stem, tuple(name for name, _ in element.json_names()))
            for element in definitions.node(path)
            if element.min
        )
        # A required choice (``value[x]``) is never a key itself, and so is looked at closely each time.
        self.needed = frozenset(element.name for element in definitions.node(path) if element.min)
        self._rules: dict[str, Rule] | None = None

    @property
    def rules(self) -> dict[str, Rule]:
        """JSON property name to rule; built whole before it is seen, so that threads may race here."""
        if self._rules is None:
            self._rules = {
                name: _rule(self.path, element, name, kind)
                for element in definitions.node(self.path)
                for name, kind in element.json_names()
            }
            if self.path in definitions.resource_types():
                self._rules["resourceType"] = Rule(_anything, listed=False, choice=None, primitive=False)
        return self._rules

    def check(self, value: Any, root: Json) -> list[Problem] | None:
        """The problems of one object, its elements' included."""
        if type(value) is not dict or not value:
            return _EMPTY if value == {} else _NO_OBJECT
        return self._problems(value, value, [], root)

    def check_resource(self, value: Json) -> list[Problem] | None:
        """The problems of a resource; an element that was once found without fault is not looked at again."""
        if self.path in _HOLDING:
            return self.check(value, value)
        doubtful: Json = {}
        chosen: list[str] = []
        for name, content in value.items():
            if not _is_sound(self.path, name, content):
                doubtful[name] = content
            elif choice := self.rules[name].choice:
                chosen.append(choice)
        return self._problems(value, doubtful, chosen, value)

    def _problems(self, value: Json, doubtful: Json, chosen: list[str], root: Json) -> list[Problem] | None:
        """The problems of the doubtful ones of its elements, and of the whole; ``chosen``: stems of the others."""
        found: list[Problem] = []
        rules = self._rules or self.rules
        for name, content in doubtful.items():
            rule = rules.get(name)
            if rule is None:
                found += self._other(name, content, root)
            elif rule.listed:
                found += _members(rule.check, name, value, root)
            else:
                if more := rule.check(content, root):
                    found += _below(f".{name}", _shape(content, more))
                if rule.choice:
                    chosen.append(rule.choice)
        if len(chosen) > 1:
            found += _chosen_twice(chosen)
        if not self.needed <= value.keys():
            found += self._missing(value)
        if self.invariants:
            found += self._broken(value, doubtful=bool(found))
        return found or None

    def _broken(self, value: Json, *, doubtful: bool) -> Iterator[Problem]:
        for invariant in self.invariants:
            if not _holds(invariant, value, doubtful=doubtful):
                yield Problem("invariant", "", f"{invariant.text} ({invariant.key})")

    def _missing(self, value: Json) -> Iterator[Problem]:
        for stem, names in self.required:
            if names[0] not in value and not any(name in value or f"_{name}" in value for name in names):
                yield Problem("required", f".{stem}", "This element is required.")

    def _other(self, name: str, content: Any, root: Json) -> list[Problem]:
        """A property without a rule: ``_name`` beside a primitive, or nothing that R4 has."""
        rule = self.rules.get(name[1:]) if name.startswith("_") else None
        if rule is not None and rule.primitive:
            return list(_below(f".{name[1:]}", _annotations(content, root, listed=rule.listed)))
        # A property's name could hold anything: it is repeated only when it looks like one.
        where = f".{name}" if _PROPERTY.fullmatch(name) else ""
        return [Problem("structure", where, "R4 has no such element here.")]


@cache
def _node(path: str) -> Node:
    return Node(path)


_HOLDING = frozenset({"Bundle", "Parameters"})
"""Resources that hold others: what those say is remembered, element by element, and no list of them."""
_MANY = 16384
_LONG = 4096
_SOUND: set[tuple[str, str, str]] = set()
"""Elements without fault: path of the resource, name, JSON."""


def _is_sound(path: str, name: str, content: Any) -> bool:
    """Whether an element is without fault, as most are; most were seen before: a class, a ward."""
    if type(content) is str or is_lone_reference(content):  # looked at as fast as it is found again
        return False
    key = key_of(content)
    if key is None:  # looked at each time
        return False
    element = (path, name, key)
    if element in _SOUND:
        return True
    rule = _node(path).rules.get(name)
    # What refers to something contained is right or wrong with the resource around it.
    if rule is None or '"#' in key:
        return False
    found = _members(rule.check, name, {name: content}, {}) if rule.listed else rule.check(content, {})
    if not found and len(key) < _LONG:
        if len(_SOUND) >= _MANY:
            _SOUND.clear()
        _SOUND.add(element)
    return not found


def _members(check: Check, name: str, owner: Json, root: Json) -> list[Problem]:
    """The problems of an array that is an element of the owner."""
    members = owner[name]
    if type(members) is not list or not members:
        return list(_below(f".{name}", _EMPTY if members == [] else _NO_ARRAY))
    found: list[Problem] = []
    for index, member in enumerate(members):
        if (more := check(member, root)) and not _annotated(owner, name, index, member):
            found += _below(f".{name}[{index}]", _shape(member, more))
    return found


def _chosen_twice(stems: Sequence[str]) -> Iterator[Problem]:
    for stem in dict.fromkeys(stems):
        if stems.count(stem) > 1:
            yield Problem("structure", f".{stem}", "Only one type of this choice may be there.")


def _anything(_value: Any, _root: Json) -> None:
    return None


def _holds(invariant: invariants.Invariant, value: Json, *, doubtful: bool) -> bool:
    """Whether it holds; of a node with other problems, an invariant that cannot be read is left out."""
    try:
        return invariant.holds(value)
    except (AttributeError, KeyError, TypeError, ValueError):
        if doubtful:
            return True
        raise


def _annotated(owner: Json, name: str, index: int, member: Any) -> bool:
    """Whether a null in an array of primitives stands for one that has extensions alone (json.html#primitive)."""
    beside = owner.get(f"_{name}")
    return member is None and isinstance(beside, list) and len(beside) > index and beside[index] is not None


def _annotations(content: Any, root: Json, *, listed: bool) -> list[Problem]:
    """What ``_name`` holds: id and extensions of a primitive, or an array of these and nulls."""
    check = _node("Element").check
    if not listed:
        return check(content, root) or []
    if type(content) is not list or not any(member is not None for member in content):
        return _NO_ARRAY
    return [
        problem
        for index, member in enumerate(content)
        if member is not None
        for problem in _below(f"[{index}]", check(member, root) or [])
    ]


# Rules ------------------------------------------------------------------------------------------------------------


def _rule(path: str, element: Element, name: str, kind: ElementType) -> Rule:
    choice = element.stem if element.name.endswith("[x]") else None
    is_primitive = kind.code in definitions.primitives()
    check = _check(path, element, name, kind, is_primitive)
    return Rule(check, element.max is None, choice, is_primitive)


def _check(path: str, element: Element, name: str, kind: ElementType, is_primitive: bool) -> Check:
    codes = definitions.value_set(element.binding) if element.binding else None
    if is_primitive:
        # The definitions give Resource.id the type string; what it may be is the data type id (resource.html#id).
        code = "id" if name == "id" and path in definitions.resource_types() else kind.code
        return values.primitive(code) if codes is None else values.code(frozenset().union(*codes.values()))
    if kind.code == "Resource":
        return _contained if name == "contained" else _resource
    check = _node(kind.code.removeprefix("#")).check
    if kind.code == "Reference":
        return values.reference(check, kind.targets)
    if codes is not None and kind.code == "CodeableConcept":
        return values.concept(check, frozenset((system, code) for system, some in codes.items() for code in some))
    return check


# Resources --------------------------------------------------------------------------------------------------------


def _resource(value: Any, _root: Json | None = None) -> list[Problem] | None:
    """A resource that stands for itself: the outermost one, a Bundle's entry, a parameter."""
    if type(value) is not dict:
        return _NO_OBJECT
    found = _typed(value, value)
    if "contained" in value:
        found = [*(found or ()), *_containing(value)]
    return found or None


def _contained(value: Any, root: Json) -> list[Problem] | None:
    if type(value) is not dict:
        return _NO_OBJECT
    found = _typed(value, root) or []
    if "contained" in value:
        found.append(Problem("invariant", ".contained", "A contained resource contains no resources. (dom-2)"))
    if "id" not in value:
        found.append(Problem("required", ".id", "A contained resource needs an id to be referred to."))
    meta = value.get("meta")
    if isinstance(meta, dict):
        if "versionId" in meta or "lastUpdated" in meta:
            found.append(Problem("invariant", ".meta", "A contained resource has no version or time. (dom-4)"))
        if "security" in meta:
            found.append(Problem("invariant", ".meta.security", "A contained resource has no labels. (dom-5)"))
    return found or None


def _typed(value: Json, root: Json) -> list[Problem] | None:
    name = value.get("resourceType")
    if name is None:
        return [Problem("required", ".resourceType", "A resource names its type.")]
    if not isinstance(name, str) or name not in definitions.all_resource_types():
        return [Problem("structure", ".resourceType", "R4 has no such resource type.")]
    if name not in definitions.resource_types():
        return [Problem("structure", ".resourceType", "The gateway does not take this resource type.")]
    return _node(name).check_resource(value) if value is root else _node(name).check(value, root)


def _containing(value: Json) -> Iterator[Problem]:
    """dom-3: whatever is contained is referred to, or refers to its container."""
    contained = value["contained"] if isinstance(value["contained"], list) else []
    referred = _local_references(value, set())
    for index, resource in enumerate(contained):
        if not isinstance(resource, dict) or f"#{resource.get('id')}" in referred:
            continue
        if "#" not in _local_references(resource, set()):
            yield Problem("invariant", f".contained[{index}]", "Nothing refers to this contained resource. (dom-3)")


def _local_references(value: Any, found: set[str]) -> set[str]:
    if isinstance(value, str):
        if value.startswith("#"):
            found.add(value)
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            _local_references(child, found)
    return found


# What others call -------------------------------------------------------------------------------------------------

_ERRORS: dict[str, type[GatewayError]] = {
    "required": MissingElement,
    "code-invalid": UnmappedCode,
    "value": InvalidElement,
}
"""Issue to error class; any other is a ProfileViolation."""


def problems(resource: Json) -> list[Problem]:
    """Everything that is wrong with a resource; nothing: it conforms to R4, and to our profiles that it names."""
    try:
        found = _resource(resource)
    except RecursionError:
        found = [Problem("structure", "", "The resource is nested too deeply.")]
    if not found:
        return _profiled(resource)
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    root = name if isinstance(name, str) and name in definitions.all_resource_types() else "Resource"
    return list(dict.fromkeys(_below(root, found)))


def _profiled(resource: Json) -> list[Problem]:
    """What keeps it from those of our profiles that it names; of profiles that are not ours nothing is said."""
    named = resource.get("meta", {}).get("profile", ())
    ours = (one.partition("|")[0] for one in named)
    return [
        problem for one in ours if one in conformance.profiles() for problem in conformance.problems(resource, one)
    ]


def errors(found: Sequence[Problem]) -> list[GatewayError]:
    """The problems as errors of the gateway's tree."""
    return [_ERRORS.get(issue, ProfileViolation)(text, location=where) for issue, where, text in found]


def require_valid(resource: Json) -> None:
    """Raise what is wrong, if anything.

    Raises:
        ExceptionGroup: of ProfileViolation, MissingElement, UnmappedCode and InvalidElement, one for each problem.
    """
    if found := problems(resource):
        raise ExceptionGroup("The resource does not conform to FHIR R4.", errors(found))
