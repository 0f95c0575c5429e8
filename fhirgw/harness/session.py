"""One run against one server: what is written, what was written, and how it is removed again."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import orjson

from fhirgw.errors import GatewayError
from fhirgw.harness.comparison import Json, read_json
from fhirgw.harness.result import NotOffered, Unmet
from fhirgw.harness.synthetic import RUN, Run, references
from fhirgw.harness.target import Answer, Offers, Target
from fhirgw.harness.written import Group, Written

CREATED = (200, 201)
LOOKS = 3
LOOK_SECONDS = 2.0
_MADE = re.compile(r"([A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64})(/_history/|$)")
"""``Type/id`` in a Location header."""
GONE = (200, 202, 204, 404, 410)
NOT_HERE = (401, 403, 404, 405, 501)
"""How a server says that it does not do what its CapabilityStatement lists: HAPI lists ``$expunge`` always."""
FORGET: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "expungeDeletedResources", "valueBoolean": True},
        {"name": "expungePreviousVersions", "valueBoolean": True},
    ],
}


class Session:
    """What the steps of a run share.

    Attributes:
        target: The server.
        offers: What it says it offers.
        run: Tag and key.
        written: The journal; None: nothing may be written.
        sent: Each resource by ``Type/id``, as it was last written.
    """

    def __init__(self, target: Target, offers: Offers, run: Run, written: Written | None) -> None:
        self.target = target
        self.offers = offers
        self.run = run
        self.written = written
        self.sent: dict[str, Json] = {}

    @cached_property
    def has_tags(self) -> bool:
        """Whether the server can search by tag: for what this run wrote alone."""
        asked = f"Patient?{self._tag}&_count=1"
        return self.target.request("GET", asked, headers={"Prefer": "handling=strict"}).status == 200

    def scoped(self, path: str, parameters: str) -> str:
        """A search, for what this run wrote alone where that can be said."""
        return f"{path}?" + "&".join(filter(None, [parameters, self._tag if self.has_tags else ""]))

    @property
    def _tag(self) -> str:
        return f"_tag={RUN}|{self.run.tag}"

    def note(self, refs: Iterable[str] = (), types: Iterable[str] = ()) -> None:
        """Say what is about to be written.

        Raises:
            NotOffered: Nothing may be written.
        """
        if self.written is None:
            raise NotOffered("The server offers no delete: what is written would stay. With --keep it is written.")
        self.written.note(refs, types)

    def put(self, resource: Json, headers: dict[str, str] | None = None) -> Answer:
        """Update or create a resource under the id that it has."""
        (reference,) = references([resource])
        if not self.offers.interaction(resource["resourceType"], "update"):
            raise NotOffered(f"No update of {resource['resourceType']} is offered.")
        self.note([reference])
        answer = self.target.request("PUT", reference, resource, headers=headers)
        if answer.status in CREATED:
            self.sent[reference] = resource
        return answer

    def create(self, method: str, url: str, resource: Json, headers: dict[str, str] | None = None) -> Answer:
        """Write a resource that the server gives its id to: noted by its type before, and by its id after."""
        self.note(types=[resource["resourceType"]])
        answer = self.target.request(method, url, resource, headers=headers)
        if made := _MADE.search(answer.headers.get("location", "")):
            self.note([made[1]])
        return answer

    def put_all(self, resources: Sequence[Json]) -> None:
        """Write resources, as one transaction where that is offered.

        Raises:
            Unmet: One was not taken.
        """
        if self.offers.has_transactions:
            refs = references(resources)
            self.note(refs)
            pairs = zip(refs, resources, strict=True)
            self.transaction([_entry("PUT", reference, resource) for reference, resource in pairs])
            self.sent |= dict(zip(refs, resources, strict=True))
            return
        refused = []
        for resource in resources:
            answer = self.put(resource)
            if answer.status not in CREATED:
                refused.append(f"{resource['resourceType']}: {answer.told}")
        if refused:
            raise Unmet(*refused)

    def transaction(self, entries: list[Json]) -> None:
        """Post a transaction Bundle.

        Raises:
            Unmet: It was not taken whole.
        """
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answered = self.target.request("POST", "", bundle).require(200)
        statuses = [one.get("response", {}).get("status", "") for one in answered.get("entry", [])]
        if len(statuses) != len(entries) or not all(status.startswith("2") for status in statuses):
            raise Unmet(f"Of {len(entries)} entries the answer has {len(statuses)}: {sorted(set(statuses))}.")

    def pages(self, query: str, form: dict[str, str] | None = None) -> Iterator[Json]:
        """The pages of a search, by their next links.

        Raises:
            Unmet: One of them is no searchset, or they do not end.
        """
        if form is not None:
            answer = self.target.request("POST", query, form=form, headers={"Prefer": "handling=strict"})
        else:
            answer = self.target.request("GET", query, headers={"Prefer": "handling=strict"})
        seen: set[str] = set()
        while True:
            page = answer.require(200)
            if page.get("resourceType") != "Bundle" or page.get("type") not in ("searchset", "history"):
                raise Unmet("The answer is no Bundle of a search.")
            yield page
            link = next((one["url"] for one in page.get("link", []) if one["relation"] == "next"), None)
            if link is None:
                return
            if link in seen:
                raise Unmet("The next links go round in a circle.")
            seen.add(link)
            answer = self.target.request("GET", link)

    def as_read(self, resource: Json) -> Json:
        """A resource of ours in the form in which answers are read."""
        found: Any = read_json(orjson.dumps(resource))
        return dict(found)


def _entry(method: str, url: str, resource: Json | None = None) -> Json:
    entry: Json = {"request": {"method": method, "url": url}}
    return entry if resource is None else {**entry, "resource": resource}


def clean_up(session: Session, written: Written) -> list[str]:
    """Remove what a run wrote, the last first; what could not be removed."""
    left: list[str] = []
    for group in reversed(written.groups):
        left += _removed(session, [*group.references[::-1], *_found_by_tag(session, group)])
    left = _one_by_one(session, left)  # what another group's resource had held
    still = Group(types=tuple(written.all_types()))
    for _ in range(
        LOOKS
    ):  # a server may finish what it was about (a Subscription), and bring back what was deleted
        left = left or list(_found_by_tag(session, still))
        if not left:
            break
        session.target.pause(LOOK_SECONDS)
        left = _one_by_one(session, left)
    return left


def forget(session: Session, written: Written) -> tuple[int, dict[str, str]]:
    """Have the server forget the history of what was removed, where it can (HAPI's ``$expunge``).

    Returns:
        Of how many it did; and those of which it would not, with what it said: HAPI is busy with the concepts of a
        CodeSystem for a while.

    Raises:
        NotOffered: It cannot.
        Unmet: It says that it has, and has not.
    """
    refs = list(dict.fromkeys(one for group in written.groups for one in group.references))
    offered = [one for one in refs if session.offers.operation(one.partition("/")[0], "expunge")]
    if not offered:
        raise NotOffered("No $expunge is offered: the history of what was removed stays.")
    refused: dict[str, str] = {}
    for reference in offered:
        answer = session.target.request("POST", f"{reference}/$expunge", FORGET)
        if answer.status in NOT_HERE and reference == offered[0]:
            raise NotOffered(f"$expunge is listed and not allowed: the history stays. {answer.told}")
        if answer.status not in (200, 404, 410):
            refused[reference] = answer.told
    of_each_type = {one.partition("/")[0]: one for one in offered if one not in refused}
    if kept := [one for one in of_each_type.values() if _has_history(session, one)]:
        raise Unmet(f"After $expunge there is a history of {', '.join(kept)}.")
    return len(offered) - len(refused), refused


def _has_history(session: Session, reference: str) -> bool:
    answer = session.target.request("GET", f"{reference}/_history")
    return answer.status == 200 and bool((answer.resource or {}).get("entry"))


def _removed(session: Session, refs: Sequence[str]) -> list[str]:
    """Remove what was written together, together: they may refer to each other in a circle."""
    if session.offers.has_transactions and len(refs) > 1:
        try:
            session.transaction([_entry("DELETE", one) for one in refs])
        except (Unmet, GatewayError):
            pass
        else:
            return []
    return _one_by_one(session, refs)


def _one_by_one(session: Session, refs: Sequence[str]) -> list[str]:
    """Remove them in rounds for as long as a round removes something; what stays."""
    left, before = list(refs), len(refs) + 1
    while left and len(left) < before:
        before = len(left)
        left = [one for one in left if session.target.request("DELETE", one).status not in GONE]
    return left


def _found_by_tag(session: Session, group: Group) -> Iterator[str]:
    """What the server gave ids to, or still has."""
    for kind in group.types:
        for page in session.pages(session.scoped(kind, "_count=100")) if session.has_tags else ():
            yield from references(one["resource"] for one in page.get("entry", []))
