"""A FHIR server as a source: what it holds, type by type, in the order in which it was changed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fhirgw.mirror.upstream import LeaveAloneError, Server
from fhirgw.store.mirror import Key

FIRST = ("Organization", "Location", "Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Encounter")
"""Types that others refer to."""
NOT_TAKEN = frozenset(
    {
        "ActivityDefinition", "AuditEvent", "Binary", "Bundle", "CapabilityStatement", "CodeSystem",
        "CompartmentDefinition", "ConceptMap", "Group", "ImplementationGuide", "Library", "MessageHeader",
        "NamingSystem", "OperationDefinition", "OperationOutcome", "Parameters", "PlanDefinition", "Questionnaire",
        "SearchParameter", "StructureDefinition", "Subscription", "ValueSet",
    }
)  # fmt: skip
"""Definitions, and what is about no one member."""
MOST_PAGES = 100_000


@dataclass(frozen=True, slots=True)
class Change:
    """One resource of the source.

    Attributes:
        key: Type and id there.
        at: When it changed there, an instant as the source writes it.
        resource: As it is; None: it was deleted.
    """

    key: Key
    at: str
    resource: dict[str, Any] | None


class Source:
    """Reads a server; writes nothing there."""

    def __init__(self, server: Server) -> None:
        """Of a server."""
        self._server = server
        self.base = server.base

    async def types(self, known: frozenset[str]) -> list[tuple[str, bool]]:
        """The types that it holds and this gateway knows, what others refer to first; whether it tells history.

        Raises:
            LeaveAloneError: It does not answer.
        """
        statement = await self._server.get(f"{self.base}/metadata")
        rest: dict[str, Any] = next(iter(statement.get("rest", [])), {})
        found = {
            one["type"]: any(each.get("code") == "history-type" for each in one.get("interaction", []))
            for one in rest.get("resource", [])
            if one["type"] in known - NOT_TAKEN
        }
        order = {kind: at for at, kind in enumerate(FIRST)}
        return sorted(found.items(), key=lambda one: (order.get(one[0], len(order)), one[0]))

    async def changes(self, kind: str, since: str | None) -> AsyncIterator[list[Change]]:
        """What is there of a type and changed since then, page by page, in the order of the changes.

        Raises:
            LeaveAloneError: It does not answer, or a link of it leads elsewhere.
        """
        after = f"&_lastUpdated=ge{since}" if since else ""
        async for bundle in self._pages(f"{self.base}/{kind}?_sort=_lastUpdated&_count=100{after}"):
            resources = [one["resource"] for one in bundle.get("entry", []) if _is_match(one, kind)]
            yield [Change((kind, one["id"]), one.get("meta", {}).get("lastUpdated", ""), one) for one in resources]

    async def deletions(self, kind: str, since: str) -> list[Change]:
        """What of a type was deleted since then, and is not there again."""
        last: dict[Key, Change | None] = {}
        async for bundle in self._pages(f"{self.base}/{kind}/_history?_since={since}&_count=100"):
            for entry in bundle.get("entry", []):  # newest first
                key = _entry_key(entry, kind)
                if key is None:
                    continue
                gone = entry.get("request", {}).get("method") == "DELETE"
                at = entry.get("response", {}).get("lastModified", "")
                last.setdefault(key, Change(key, at, None) if gone else None)
        return [one for one in last.values() if one is not None][::-1]

    async def _pages(self, url: str | None) -> AsyncIterator[dict[str, Any]]:
        for _ in range(MOST_PAGES):
            if url is None:
                return
            if not url.startswith((f"{self.base}/", f"{self.base}?")):
                raise LeaveAloneError("A link of the source leads to another server.")
            bundle = await self._server.get(url)
            yield bundle
            links = {one.get("relation"): one.get("url") for one in bundle.get("link", [])}
            url = links.get("next")


def _is_match(entry: dict[str, Any], kind: str) -> bool:
    resource = entry.get("resource", {})
    return resource.get("resourceType") == kind and isinstance(resource.get("id"), str)


def _entry_key(entry: dict[str, Any], kind: str) -> Key | None:
    """Whose version an entry of a history is: by its request, or its full URL."""
    url = str(entry.get("request", {}).get("url") or entry.get("fullUrl") or "")
    parts = url.split("/_history/", maxsplit=1)[0].rstrip("/").split("/")
    return (kind, parts[-1]) if len(parts) > 1 and parts[-2] == kind else None
