"""The FHIRPath of R4's search parameters, compiled to chains of steps through the JSON.

The grammar that R4 uses: paths, unions, ``ofType``/``as``, ``where(a='b')``, ``where(resolve() is T)``,
``where(hasExtension('url'))``, ``extension('url')``, ``[0]``, and once ``X.exists() and X != false``.
Choice types become their JSON names when compiled, so that nothing is looked up while a resource is read.

See: http://hl7.org/fhir/R4/searchparameter-registry.html
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fhirgw.profiles import definitions

Path = tuple[str | int, ...]
Json = dict[str, Any]


class UnsupportedExpression(Exception):
    """An expression outside the grammar above, or about an element that does not exist."""


@dataclass(frozen=True, slots=True)
class Test:
    """A condition on one element: ``equals`` (child, text), ``is`` (resource type), ``extension`` (url, '')."""

    kind: str
    name: str
    value: str = ""

    def holds(self, element: Any) -> bool:
        """Whether the element satisfies it; one of an unexpected shape does not."""
        if not isinstance(element, dict):
            return False
        if self.kind == "equals":
            return bool(element.get(self.name) == self.value)
        if self.kind == "is":
            return target_type(element) == self.name
        return any(extension.get("url") == self.name for extension in element.get("extension", ()))


@dataclass(frozen=True, slots=True)
class Step:
    """To the property ``name``, its member ``index`` only when that is set, and only where the tests hold."""

    name: str
    index: int | None = None
    tests: tuple[Test, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """One way from the resource to a value.

    Attributes:
        steps: From the root of the resource.
        type: FHIR type of what is found there.
        binding: Its required value set, for a code.
    """

    steps: tuple[Step, ...]
    type: str
    binding: str | None = None


_FLAG = re.compile(r"(?P<path>[\w.]+)\.exists\(\) and (?P=path) != false")
_AS = re.compile(r"^\((?P<path>[^()]+) as (?P<type>\w+)\)")
_STEP = re.compile(r"(?P<name>\w+)(?:\[(?P<index>\d+)\])?(?:\((?P<argument>.*)\))?")
_EQUALS = re.compile(r"(?P<name>\w+)\s*=\s*'(?P<value>[^']*)'")
_RESOLVES = re.compile(r"resolve\(\) is (?P<type>\w+)")
_EXTENDED = re.compile(r"hasExtension\('(?P<url>[^']+)'\)")
_LITERAL = re.compile(
    r"(?:^|/)(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?$"
)


def literal(reference: str) -> tuple[str, str] | None:
    """(type, id) of ``Type/id``, relative or at the end of an absolute url; None for ``#x`` and ``urn:``."""
    match = _LITERAL.search(reference)
    if match is None or match["type"] not in definitions.all_resource_types():
        return None
    return match["type"], match["id"]


def target_type(reference: Json) -> str | None:
    """The resource type a Reference names, by its literal or else by ``Reference.type``."""
    found = literal(str(reference.get("reference", "")))
    return found[0] if found else reference.get("type")


def flag_path(expression: str) -> str | None:
    """``X`` of ``X.exists() and X != false``; None for any other expression."""
    match = _FLAG.fullmatch(expression)
    return match["path"] if match else None


def compile_expression(expression: str) -> tuple[Chain, ...]:
    """The chains of an expression, one for each part of a union and each type of a choice.

    Raises:
        UnsupportedExpression: When it is outside the grammar.
    """
    chains: list[Chain] = []
    for part in _split(expression, "|"):
        chains += _chains(_AS.sub(r"\g<path>.ofType(\g<type>)", part.strip()))
    return tuple(dict.fromkeys(chains))


def _split(expression: str, separator: str) -> list[str]:
    """At separators outside parentheses and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for position, character in enumerate(expression):
        if character == "'":
            quoted = not quoted
        elif not quoted:
            depth += (character == "(") - (character == ")")
            if character == separator and depth == 0:
                parts.append(expression[start:position])
                start = position + 1
    return [*parts, expression[start:]]


def _chains(path: str) -> list[Chain]:
    root, *words = _split(path, ".")
    chains = [Chain((), root)]
    for word in words:
        match = _STEP.fullmatch(word)
        if match is None:
            raise UnsupportedExpression(path)
        name, argument = match["name"], match["argument"]
        if argument is None:
            index = int(match["index"]) if match["index"] else None
            chains = [longer for chain in chains for longer in _child(chain, name, index)]
        elif name in {"ofType", "as"}:
            chains = [chain for chain in chains if chain.type == argument]
        elif name == "where":
            chains = [_tested(chain, _condition(argument)) for chain in chains]
        elif name == "extension":
            url = argument.strip("'")
            chains = [
                Chain((*chain.steps, Step("extension", tests=(Test("equals", "url", url),))), "Extension")
                for chain in chains
            ]
        else:
            raise UnsupportedExpression(path)
    if not chains:
        raise UnsupportedExpression(path)
    return chains


def _child(chain: Chain, name: str, index: int | None) -> Iterator[Chain]:
    for element in definitions.node(chain.type):
        if element.stem == name:
            for property_name, kind in element.json_names():
                step = Step(property_name, index)
                yield Chain((*chain.steps, step), kind.code.removeprefix("#"), element.binding)


def _condition(argument: str) -> Test:
    if match := _EQUALS.fullmatch(argument):
        return Test("equals", match["name"], match["value"])
    if match := _RESOLVES.fullmatch(argument):
        return Test("is", match["type"])
    if match := _EXTENDED.fullmatch(argument):
        return Test("extension", match["url"])
    raise UnsupportedExpression(argument)


def _tested(chain: Chain, test: Test) -> Chain:
    *before, last = chain.steps
    step = Step(last.name, last.index, (*last.tests, test))
    return Chain((*before, step), chain.type, chain.binding)


def evaluate(chains: Sequence[Chain], resource: Json) -> list[tuple[Any, Path]]:
    """Every value with its concrete path, chain by chain: the plain form of what ``search.extract`` does."""
    return [found for chain in chains for found in _follow(chain.steps, resource, ())]


def _follow(steps: Sequence[Step], element: Any, path: Path) -> Iterator[tuple[Any, Path]]:
    if not steps:
        yield element, path
        return
    step, *rest = steps
    for value, where in members(element, step, path):
        yield from _follow(rest, value, where)


def members(element: Any, step: Step, path: Path) -> Iterator[tuple[Any, Path]]:
    """What one step reaches from an element; nothing when the JSON has another shape than its type."""
    value = element.get(step.name) if isinstance(element, dict) else None
    if isinstance(value, list):
        found = [(member, (*path, step.name, number)) for number, member in enumerate(value)]
        if step.index is not None:
            found = found[step.index : step.index + 1]
    else:
        found = [(value, (*path, step.name))]
    for member, where in found:
        if member is not None and all(test.holds(member) for test in step.tests):
            yield member, where
