"""Checks of single values: primitives, codes and concepts of required value sets, references."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from fhirgw.profiles import expressions, primitives

Json = dict[str, Any]


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        issue: FHIR IssueType: structure, required, value, code-invalid or invariant.
        expression: FHIRPath to the element, e.g. ``CarePlan.activity[0].detail.status``.
        text: A sentence for a person. INVARIANT: never holds a value of the resource.
    """

    issue: str
    expression: str
    text: str


Check = Callable[[Any, Json], list[Problem] | None]
"""A test of one value inside the resource given second (for ``#`` references): its problems, or None. Their
expressions are relative to the value."""


def primitive(code: str) -> Check:
    """A value of a primitive type."""
    allows = primitives.allows(code)
    problems = [Problem("value", "", f"This is not a FHIR {code}.")]

    def check(value: Any, _root: Json) -> list[Problem] | None:
        return None if allows(value) else problems

    return check


def code(codes: frozenset[str]) -> Check:
    """A code of a required value set."""
    problems = [Problem("code-invalid", "", "This code is not in the required value set.")]
    shape = primitive("code")

    def check(value: Any, root: Json) -> list[Problem] | None:
        if type(value) is str and value in codes:
            return None
        return shape(value, root) or problems

    return check


def concept(structure: Check, codes: frozenset[tuple[str, str]]) -> Check:
    """One coding at least is from the value set (terminologies.html#required); extensions may stand for it."""
    problems = [Problem("code-invalid", "", "No coding is from the required value set.")]

    def check(value: Any, root: Json) -> list[Problem] | None:
        if found := structure(value, root):
            return found
        codings = value.get("coding", ())
        if any((coding.get("system"), coding.get("code")) in codes for coding in codings):
            return None
        return None if "extension" in value and not codings else problems

    return check


_RELATIVE = re.compile(r"[A-Z][A-Za-z]*/|[^:/?#]+$")


def reference(structure: Check, targets: frozenset[str]) -> Check:
    """A literal names a resource type that the element may point at, and ``#x`` something contained (ref-1)."""
    malformed = [Problem("value", ".reference", "This is neither Type/id, #id nor an absolute url.")]
    unresolved = [Problem("invariant", ".reference", "No contained resource has this id. (ref-1)")]
    wrong = [Problem("value", "", f"This element refers only to {', '.join(sorted(targets))}.")]

    def check(value: Any, root: Json) -> list[Problem] | None:
        if found := structure(value, root):
            return found
        text = value.get("reference")
        named = value.get("type")
        if text is not None:
            if text[0] == "#":
                named = _contained_type(text[1:], root)
                if named is None:
                    return unresolved
            elif literal := expressions.literal(text):
                named = literal[0]
            elif _RELATIVE.match(text) and "?" not in text:
                return malformed
        if named is None or not targets or named in targets:
            return None
        return None if "/" in named else wrong  # a logical model's url

    return check


def _contained_type(local_id: str, root: Json) -> str | None:
    """The type of a contained resource; ``#`` alone is the container."""
    if not local_id:
        return str(root.get("resourceType"))
    contained = root.get("contained")
    for resource in contained if isinstance(contained, list) else ():
        if isinstance(resource, dict) and resource.get("id") == local_id:
            return str(resource.get("resourceType"))
    return None
