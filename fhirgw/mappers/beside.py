"""What the resources of a message refer to, and which is about no patient: by content.

A practitioner, a place or an organization stands in the facts where a Reference belongs; here it becomes a resource
of its own, under an id that hashes all it says, so that an id never changes what it stands for.
See: ``docs/decisions/0004-places-and-people-by-content.md``.
"""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from fhirgw.mappers.datatypes import Json
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.segments.person import practitioner_reference

_MARK = b'"resourceType":'  # a quote inside a text is escaped: only a member of that name is written so
_MANY = 4096
_OBJECTS = 1024

K = TypeVar("K")
V = TypeVar("V")

Made = tuple[tuple[str, Json], ...]
"""Resources by reference, the last of which is the one that was asked for."""
_MADE: dict[tuple[bytes, bytes], Made] = {}
"""What was made before, by key and bytes: beds and doctors come again and again."""
_SAME: dict[tuple[bytes, int], tuple[Json, Made]] = {}
"""The same by key and object, which is held so that nothing else takes its place in memory: what is remembered
(``segments.reading``, ``store.visits``) gives one object for each text, and nobody changes it."""


@dataclass(slots=True)
class Beside:
    """Gathers the resources that others refer to, by reference; no reference comes before what it refers to."""

    id_key: bytes
    resources: dict[str, Json] = field(default_factory=dict)

    def refer(self, resource: Json) -> Json:
        """The Reference to a resource that stands in its place; what stands inside it is referred to first.

        A Practitioner of ours needs a family name and an identifier; of less there is only what the message says.
        """
        same = _SAME.get((self.id_key, id(resource)))
        if same is None:
            kind = resource["resourceType"]
            if kind == "Practitioner" and not (
                "identifier" in resource and "family" in resource.get("name", [{}])[0]
            ):
                return practitioner_reference(resource)
            same = _keep(_SAME, (self.id_key, id(resource)), (resource, self._known(resource)), _OBJECTS)
        made = same[1]
        for reference, content in made:
            if reference not in self.resources:
                self.resources[reference] = dict(content)
        return {"reference": made[-1][0]}

    def party(self, one: Json) -> Json:
        """A Reference as it is; of a resource that stands in its place, the Reference to it."""
        return self.refer(one) if "resourceType" in one else one

    def _known(self, resource: Json) -> Made:
        written = orjson.dumps(resource)
        made = _MADE.get((self.id_key, written))
        return made or _keep(_MADE, (self.id_key, written), self._made(resource, written), _MANY)

    def _made(self, resource: Json, written: bytes) -> Made:
        """The resource by its content, after those that stood inside it."""
        inside = Beside(self.id_key)
        content = resource
        if written.count(_MARK) > 1:
            content = {name: inside.placed(value) for name, value in resource.items()}
        kind = resource["resourceType"]
        canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
        name = resource_id(self.id_key, kind, "content", canonical)
        return (*inside.resources.items(), (f"{kind}/{name}", content | {"id": name}))

    def placed(self, value: Any) -> Any:
        """The value, with a Reference wherever a resource stood; itself where none did."""
        if not value or _MARK not in orjson.dumps(value):
            return value
        if isinstance(value, dict):
            if "resourceType" in value:
                return self.refer(value)
            return {name: self.placed(inner) for name, inner in value.items()}
        return [self.placed(inner) for inner in value]


def _keep(known: dict[K, V], key: K, value: V, most: int) -> V:
    if len(known) >= most:
        known.clear()
    known[key] = value
    return value
