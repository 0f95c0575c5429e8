"""What a rule asks of a resource's content: codes, classes, data, dates (consent specification §2.5 step 3).

Type, labels and confidentiality are not here: searches ask those of the index. What is here is asked once, when a
resource is labelled, and kept with it as a mark (``marks.py``). Three-valued: None is unknown.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final, Literal

from fhirgw.consent import codes, vocabulary
from fhirgw.consent.content import Author, Content, canonical, media_type
from fhirgw.consent.elements import RESOURCE_TYPES, bare, identifier_tokens, reference_type
from fhirgw.consent.instants import Span, period_span
from fhirgw.consent.kleene import Kleene, conjunction, disjunction
from fhirgw.consent.model import Json

Effect = Literal["permit", "deny"]
Coding = tuple[str, str]
_MEANINGS: Final = frozenset({"instance", "related", "dependents", "authoredby"})
_URI: Final = "urn:ietf:rfc:3986"
_MEDIA: Final = "urn:ietf:bcp:13"


@dataclass(frozen=True, slots=True, order=True)
class Datum:
    """One entry of ``provision.data``: what it means, and the resource it names.

    Attributes:
        literal: ``Type/id`` or a URL; '' when there are identifiers alone.
        kind: Type of the resource named, '' when the Consent does not say.
    """

    meaning: str
    literal: str
    kind: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Criteria:
    """The dimensions of one rule that are about content; None where nobody stated it.

    Attributes:
        classes: (``type`` | ``profile`` | ``media`` | code system, code); types alone are no criterion.
        period: First and last instant of ``dataPeriod``.
        zone: For dates of resources that are a whole day, month or year.
    """

    codes: frozenset[Coding] | None
    classes: frozenset[Coding] | None
    data: frozenset[Datum] | None
    period: Span | None
    zone: tzinfo

    @property
    def key(self) -> str:
        """What orders criteria: the same for the same Consent, wherever and whenever it is read."""
        parts = (sorted(part) if part is not None else None for part in (self.codes, self.classes, self.data))
        return repr((*parts, self.period, str(self.zone)))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What must be known of other resources.

    Attributes:
        references_of: Literals that a resource refers to; None when it is not known.
        tokens_of: Who is behind a reference: literals and ``system|value``; None when nobody can say.
    """

    references_of: Callable[[str], frozenset[str] | None]
    tokens_of: Callable[[str], frozenset[str] | None]


ALONE: Final = Surroundings(lambda _: None, lambda _: None)
"""A resource of which nothing else is known."""


def matches(criteria: Criteria, effect: Effect, content: Content, known: Surroundings) -> Kleene:
    """Whether the content is what a rule of this effect speaks of: Kleene AND of its dimensions."""
    said: list[Kleene] = []
    if criteria.codes is not None:
        said.append(_has_code(criteria.codes, content))
    if criteria.classes is not None:
        said.append(disjunction(_is_of(one, content) for one in criteria.classes))
    if criteria.data is not None:
        said.append(disjunction(_is_meant(one, content, known) for one in criteria.data))
    if criteria.period is not None:
        said.append(_is_dated(criteria.period, effect, content.interval(criteria.zone)))
    return conjunction(said)


def _has_code(listed: frozenset[Coding], content: Content) -> Kleene:
    """One of the codings is listed. A code without its system, or words instead of a code, may be.

    So may a code of ICD that is wider or narrower than the one listed: F11 stands for all that begins with it.
    """
    if listed & content.codings:
        return True
    stray = {codes.normalise(code) for system, code in content.codings if not system}
    near = any(codes.are_near(one, other) for one in listed for other in content.codings)
    return None if near or content.uncoded or stray & {codes.normalise(code) for _, code in listed} else False


def _is_of(listed: Coding, content: Content) -> Kleene:
    kind, code = listed
    if kind == "type":
        return content.type == code
    if kind == "profile":
        return code in content.profiles
    if kind == "media":
        return code in content.media_types
    return (kind, code) in content.document_types


def _is_dated(period: Span, effect: Effect, interval: Span | None) -> Kleene:
    """A permit needs the interval wholly inside, a deny fires on any overlap; no readable date: unknown."""
    if interval is None:
        return None
    (start, end), (first, last) = period, interval
    if effect == "permit":
        return (start is None or (first is not None and first >= start)) and (
            end is None or (last is not None and last <= end)
        )
    return not ((end is not None and first is not None and first > end) or (
        start is not None and last is not None and last < start
    ))  # fmt: skip


# What provision.data names ------------------------------------------------------------------------------------


def _is_meant(datum: Datum, content: Content, known: Surroundings) -> Kleene:
    """related: it, what it refers to, what refers to it; dependents: what refers to it.

    HL7 counts the resource itself among its dependents, the specification does not: for it, that is unknown.
    """
    itself = _is_instance(datum, content)
    match datum.meaning:
        case "instance":
            return itself
        case "authoredby":
            return _is_author(datum, content, known)
        case "dependents":
            return disjunction([None if itself else itself, _refers(datum, content)])
        case _:
            behind = known.references_of(datum.literal) if datum.literal else None
            referred = None if behind is None else content.reference in behind
            return disjunction([itself, _refers(datum, content), referred])


def _is_instance(datum: Datum, content: Content) -> Kleene:
    if datum.literal:
        elsewhere = datum.literal != content.reference and datum.literal.endswith(f"/{content.reference}")
        return None if elsewhere else datum.literal == content.reference
    if set(datum.tokens) & content.identifiers:
        return True
    if datum.kind not in ("", content.type):
        return False
    systems = {token.rpartition("|")[0] for token in datum.tokens}
    known = {token.rpartition("|")[0] for token in content.identifiers}
    return False if systems <= known else None


def _refers(datum: Datum, content: Content) -> Kleene:
    if datum.literal:
        return datum.literal in content.references
    return True if set(datum.tokens) & content.logical_references else None


def _is_author(datum: Datum, content: Content, known: Surroundings) -> Kleene:
    """Any of the authors is the one named; none recorded: unknown."""
    behind = known.tokens_of(datum.literal) if datum.literal else None
    named = frozenset(datum.tokens) | ({datum.literal} - {""}) | (behind or frozenset())
    resolved = behind is not None or bool(datum.tokens)
    found = [_is_named(author, named, known, resolved=resolved) for author in content.authors]
    return disjunction(found) if found else None


def _is_named(author: Author, named: frozenset[str], known: Surroundings, *, resolved: bool) -> Kleene:
    behind = known.tokens_of(author.literal) if author.literal else None
    if named & (author.tokens | (behind or frozenset())):
        return True
    return False if resolved and (behind is not None or author.identified) else None


# Reading ------------------------------------------------------------------------------------------------------


def read_codes(value: object) -> frozenset[Coding] | None:
    """``provision.code``; None when it is no list of concepts in code systems that can be mapped."""
    found: set[Coding] = set()
    if not isinstance(value, list):
        return None
    for concept in value:
        listed = concept.get("coding") if isinstance(concept, dict) else None
        if not isinstance(listed, list) or not listed:
            return None
        for coding in listed:
            read = codes.comparable(coding) if isinstance(coding, dict) else None
            if read is None or not codes.is_mappable(*read):
                return None
            found.add(read)
    return frozenset(found) or None


def read_classes(value: object) -> frozenset[Coding] | None:
    """``provision.class``: resource types, profiles, media types, document types; None when one is none of them."""
    if not isinstance(value, list) or not value:
        return None
    found = [_class(coding) if isinstance(coding, dict) else None for coding in value]
    return None if None in found else frozenset(one for one in found if one is not None)


def _class(coding: Json) -> Coding | None:
    system, code = vocabulary.canonical_system(coding.get("system")), coding.get("code")
    if not isinstance(code, str) or not code.strip():
        return None
    if system == vocabulary.RESOURCE_TYPES:
        return ("type", code) if code in RESOURCE_TYPES else None
    if system in (_URI, _MEDIA):
        return ("profile", canonical(code)) if system == _URI else ("media", media_type(code))
    read = codes.comparable(coding)
    document = read is not None and system in codes.DOCUMENT_TYPE_SYSTEMS
    return read if document else None


def read_data(value: object) -> frozenset[Datum] | None:
    """``provision.data``; None when an entry does not say what it names or what that means."""
    if not isinstance(value, list) or not value:
        return None
    found = [_datum(entry) if isinstance(entry, dict) else None for entry in value]
    return None if None in found else frozenset(one for one in found if one is not None)


def _datum(entry: Json) -> Datum | None:
    meaning, reference = entry.get("meaning"), entry.get("reference")
    if not isinstance(meaning, str) or meaning not in _MEANINGS or not isinstance(reference, dict):
        return None
    if entry.keys() - {"id", "extension", "meaning", "reference"}:
        return None
    literal = bare(reference.get("reference"))
    tokens = tuple(sorted(identifier_tokens({"identifier": [reference.get("identifier")]})))
    if literal.startswith("#") or not (literal or tokens):
        return None
    return Datum(meaning, literal, reference_type(reference), tokens)


def read_period(value: object, zone: tzinfo) -> Span | None:
    """``provision.dataPeriod``; None when it cannot be read or bounds nothing."""
    span = period_span(value, zone)
    return None if span is None or span == (None, None) else span


def only_types(classes: Iterable[Coding]) -> bool:
    """Whether every class is a resource type: that is asked of the index."""
    return all(kind == "type" for kind, _ in classes)
