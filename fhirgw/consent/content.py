"""What a resource says that a rule may single it out by: codes, profiles, dates, authors, references.

Read when it is asked for. Which elements date a resource and which name its author: ``tables/elements.toml``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Any

from fhirgw.consent import codes
from fhirgw.consent.elements import author_elements, bare, date_elements, identifier_tokens, is_defining, objects
from fhirgw.consent.instants import Span, period_span, span
from fhirgw.consent.model import Json

_DOCUMENTS = frozenset({"DocumentReference", "DocumentManifest", "Composition"})
_REFERENCE = frozenset({"reference", "type", "identifier", "display", "id", "extension"})
_CHOICES = ("DateTime", "Date", "Instant", "Period", "Timing", "Age", "Range", "String", "Duration")


@dataclass(frozen=True, slots=True)
class Author:
    """Who made a resource: ``Type/id`` or '', and who that is as far as the resource says."""

    literal: str
    tokens: frozenset[str]
    identified: bool


class Content:
    """A resource as rules see it; never changed."""

    def __init__(self, resource: Json, *, cleared: bool) -> None:
        """Read nothing yet.

        Args:
            resource: The resource, or the part of it that is judged.
            cleared: Its words have been reviewed: where there is no code, none is meant.
        """
        self._resource = resource
        self._cleared = cleared
        self.type: str = str(resource.get("resourceType", ""))
        self.reference = f"{self.type}/{resource.get('id')}"

    @cached_property
    def codings(self) -> frozenset[tuple[str, str]]:
        """(system, code) of every coding, contained resources included; system '' where none is stated."""
        found = {codes.comparable(one) for one in _objects(self._body) if isinstance(one.get("code"), str)}
        return frozenset(pair for pair in found if pair is not None)

    @cached_property
    def uncoded(self) -> bool:
        """Whether words that nobody reviewed, or a sender's own codes alone, stand where a code should."""
        if self._cleared:
            return False
        concepts = (
            (name, concept)
            for name, value in self._body.items()
            if is_defining(self.type, name)
            for concept in (value if isinstance(value, list) else [value])
            if isinstance(concept, dict)
        )
        return any(
            "text" in one
            if not (codings := objects(one.get("coding")))
            else name != "category"
            and not any(codes.is_judged(coding.get("system"), coding.get("code")) for coding in codings)
            for name, one in concepts
        )

    @cached_property
    def profiles(self) -> frozenset[str]:
        """Canonical URLs of the profiles it claims, without versions."""
        meta = self._resource.get("meta")
        claimed = meta.get("profile") if isinstance(meta, dict) else None
        return frozenset(canonical(url) for url in claimed or () if isinstance(url, str))

    @cached_property
    def media_types(self) -> frozenset[str]:
        """Of its attachments."""
        found = (one.get("contentType") for one in _objects(self._body))
        return frozenset(media_type(kind) for kind in found if isinstance(kind, str))

    @cached_property
    def document_types(self) -> frozenset[tuple[str, str]]:
        """Codings of the type and the categories of a document."""
        if self.type not in _DOCUMENTS:
            return frozenset()
        kinds = [self._resource.get("type"), self._resource.get("category")]
        found = {codes.comparable(one) for one in _objects(kinds) if isinstance(one.get("code"), str)}
        return frozenset(pair for pair in found if pair is not None)

    @cached_property
    def identifiers(self) -> frozenset[str]:
        """``system|value`` of the resource itself."""
        return frozenset(identifier_tokens(self._resource))

    @cached_property
    def references(self) -> frozenset[str]:
        """Literals it refers to, without versions."""
        found = (bare(one.get("reference")) for one in _objects(self._body))
        return frozenset(literal for literal in found if literal and not literal.startswith("#"))

    @cached_property
    def logical_references(self) -> frozenset[str]:
        """``system|value`` of what it refers to by identifier."""
        return frozenset(
            token
            for one in _objects({name: value for name, value in self._body.items() if name != "identifier"})
            if isinstance(one.get("identifier"), dict)
            for token in identifier_tokens({"identifier": [one["identifier"]]})
        )

    @cached_property
    def authors(self) -> tuple[Author, ...]:
        """Who recorded, asserted, performed, ordered or wrote it."""
        named = (one for name in author_elements(self.type) for one in _references(self._body, name))
        return tuple(_author(one) for one in named if one.keys() <= _REFERENCE)

    def interval(self, zone: tzinfo) -> Span | None:
        """First and last instant of what it tells of (§2.3: D(r)); None when no date is there, or none readable.

        The first group of elements that is there counts: a Condition is dated by its onset and abatement, by
        ``recordedDate`` only without them. A date that is no whole instant is all of its day, in this zone.
        """
        for group in date_elements(self.type):
            values = [value for stem in group for value in _choice(self._body, stem)]
            if values:
                spans = [_span(value, zone) for value in values]
                return None if None in spans else _hull([each for each in spans if each is not None])
        return None

    @cached_property
    def _body(self) -> Json:
        return {name: value for name, value in self._resource.items() if name not in {"meta", "text"}}


def canonical(url: str) -> str:
    """The URL of a profile, without its version."""
    return url.split("|", maxsplit=1)[0].strip()


def media_type(stated: str) -> str:
    """A media type as types compare: in small letters, without parameters (RFC 2045, 5.1)."""
    return stated.split(";", maxsplit=1)[0].strip().lower()


def _objects(value: Any) -> Iterator[Json]:
    """Every JSON object inside, itself included."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _references(resource: Json, dotted: str) -> Iterator[Json]:
    """The References at ``participant.individual``, lists opened."""
    found: list[Any] = [resource]
    for name in dotted.split("."):
        found = [
            inner
            for holder in found
            if isinstance(holder, dict) and name in holder
            for inner in (holder[name] if isinstance(holder[name], list) else [holder[name]])
        ]
    yield from (one for one in found if isinstance(one, dict))


def _author(reference: Json) -> Author:
    literal = bare(reference.get("reference"))
    tokens = frozenset(identifier_tokens({"identifier": [reference.get("identifier")]}))
    return Author(literal, tokens | ({literal} - {""}), bool(tokens))


def _choice(resource: Json, dotted: str) -> Iterator[Any]:
    """The values of an element: by its name, or as a choice of type (``onset[x]``)."""
    *path, stem = dotted.split(".")
    holders: list[Json] = list(_references(resource, ".".join(path))) if path else [resource]
    for holder in holders:
        for name in (stem, *(stem + choice for choice in _CHOICES)):
            if name in holder:
                yield holder[name]


def _span(value: Any, zone: tzinfo) -> Span | None:
    """A dateTime, a Period, or a Timing with its events or bounds."""
    if isinstance(value, str):
        return span(value, zone)
    if not isinstance(value, dict):
        return None
    if value.keys() & {"start", "end"}:
        return period_span(value, zone)
    repeat = value.get("repeat")
    if isinstance(repeat, dict) and "boundsPeriod" in repeat:
        return period_span(repeat["boundsPeriod"], zone)
    events = value.get("event")
    if isinstance(events, list) and events:
        spans = [span(event, zone) for event in events]
        return None if None in spans else _hull([each for each in spans if each is not None])
    return None


def _hull(spans: list[Any]) -> Span:
    firsts: list[datetime | None] = [first for first, _ in spans]
    lasts: list[datetime | None] = [last for _, last in spans]
    return (
        None if None in firsts else min(each for each in firsts if each is not None),
        None if None in lasts else max(each for each in lasts if each is not None),
    )
