"""What the resources of a message refer to, and which is about no patient: by content.

A practitioner, a place or an organization stands in the facts where a Reference belongs; here it becomes a resource
of its own, under an id that hashes all it says, so that an id never changes what it stands for.
See: ``docs/decisions/0004-places-and-people-by-content.md``.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from fhirgw.mappers.datatypes import Json
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.segments.person import practitioner_reference


@dataclass(slots=True)
class Beside:
    """Gathers the resources that others refer to, by reference; no reference comes before what it refers to."""

    id_key: bytes
    resources: dict[str, Json] = field(default_factory=dict)

    def refer(self, resource: Json) -> Json:
        """The Reference to a resource that stands in its place; what stands inside it is referred to first.

        A Practitioner of ours needs a family name and an identifier; of less there is only what the message says.
        """
        kind = resource["resourceType"]
        if kind == "Practitioner" and not ("identifier" in resource and "family" in resource.get("name", [{}])[0]):
            return practitioner_reference(resource)
        content = resource
        canonical = orjson.dumps(resource, option=orjson.OPT_SORT_KEYS)
        if canonical.count(_MARK) > 1:
            content = {name: self.placed(value) for name, value in resource.items()}
            canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        name = _content_id(self.id_key, kind, canonical)
        reference = f"{kind}/{name}"
        if reference not in self.resources:
            self.resources[reference] = content | {"id": name}
        return {"reference": reference}

    def placed(self, value: Any) -> Any:
        """The value, with a Reference wherever a resource stood; itself where none did."""
        if not value or _MARK not in orjson.dumps(value):
            return value
        if isinstance(value, dict):
            if "resourceType" in value:
                return self.refer(value)
            return {name: self.placed(inner) for name, inner in value.items()}
        return [self.placed(inner) for inner in value]


_MARK = b'"resourceType":'  # a quote inside a text is escaped: only a member of that name is written so


@lru_cache(maxsize=4096)  # beds and doctors come again and again
def _content_id(id_key: bytes, resource_type: str, canonical: bytes) -> str:
    return resource_id(id_key, resource_type, "content", canonical.decode())
