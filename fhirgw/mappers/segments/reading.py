"""How a segment is read: a table says which field makes which fact.

What is present becomes a fact, ``""`` a deletion, the absent nothing. Problems are collected in the ``Reading``,
located, so that the sender learns of all of them at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import orjson

from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.mappers.datatypes import (
    Components,
    Json,
    Scope,
    cwe_to_codeable_concept,
    dtm_to_datetime,
    sound_period,
)
from fhirgw.mappers.people import one_each, xcn_to_practitioner, xpn_to_human_names
from fhirgw.settings import Sender
from fhirgw.v2.codec import NULL, Segment
from fhirgw.v2.encoding import Delimiters

_LONG = 256  # characters: what is longer is somebody's text
_MANY = 4096  # texts of fields, of one sender
_SENDERS = 16

YES_NO = {"Y": True, "N": False}  # table 0136

T = TypeVar("T")


Known = dict[tuple["Read", str], Any]
Said = dict[tuple[Callable[..., Any], str], bytes]
"""What reads a segment, and the segment → what it says, as JSON."""


class Alike:
    """What the segments of messages about one person said: most are as they were in the message before.

    It is of the people themselves: whoever makes one lets go of it with their messages.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self._known: Known | None = None
        self._said: Said = {}

    def said(self, known: Known) -> Said:
        """What was said under the same settings, facility and delimiters: of no others does it mean the same."""
        if self._known is not known:
            self._known, self._said = known, {}
        return self._said


@dataclass(slots=True)
class Reading:
    """One reading of a message: the scope it is read in, and what was found on the way.

    Attributes:
        scope: What gives the sender's codes, numbers and times their meaning.
        problems: What is wrong with the message.
        codes: (field, table or coding system, code) of the codes that no map has; they keep the sender's coding.
        silent: Fields of which a repetition, or all, could not be made into anything.
        further: Fields of which the first repetition alone has a place.
        known: What ``remembered`` readings found before, in messages of the same sender.
        said: What segments said in other messages about the same person (``Alike``); None: each is read.
    """

    scope: Scope
    known: Known = field(default_factory=dict)
    said: Said | None = None
    problems: list[GatewayError] = field(default_factory=list)
    codes: list[tuple[str, str, str]] = field(default_factory=list)
    silent: list[tuple[Segment, int]] = field(default_factory=list)
    further: list[tuple[Segment, int]] = field(default_factory=list)

    @property
    def noted(self) -> int:
        """How much was found on the way so far."""
        return len(self.problems) + len(self.codes) + len(self.silent) + len(self.further)

    def unmapped(self, field: str, system: str, code: str) -> None:
        """Note a code that no map has, for the operator's list."""
        self.codes.append((field, system, code))

    def set_aside(self, known: int, segment: Segment) -> None:
        """Take the problems after the first ``known`` for fields that could not be made into anything."""
        for problem in self.problems[known:]:
            number = (problem.location or "").partition("-")[2].partition(".")[0]
            self.silent.append((segment, int(number) if number.isdecimal() else 0))
        del self.problems[known:]

    def once(self, read: Callable[[Segment, "Reading"], T], segment: Segment) -> T:
        """What a segment says, if need be as it was read before; what left a note is read, and noted, each time."""
        if self.said is None:
            return read(segment, self)
        key = read, segment.raw
        known = self.said.get(key)
        if known is not None:
            again: T = orjson.loads(known)  # whoever takes it may add to it
            return again
        noted = self.noted
        found = read(segment, self)
        if self.noted == noted:
            self.said[key] = orjson.dumps(found)
        return found

    def each(self, segment: Segment, number: int, map_one: Callable[..., T | None], **options: Any) -> list[T]:
        """The repetitions of a field that map to something; a broken one is a problem at that field."""
        mapped: list[T] = []
        text = segment.field(number)
        if not text:
            return mapped
        delimiters, scope = segment.delimiters, self.scope
        if options:
            map_one = partial(map_one, **options)
        separator = delimiters.repetition
        for raw in text.split(separator) if separator and separator in text else (text,):
            try:
                value = map_one(Components(raw, delimiters), scope)
            except InvalidElement as error:
                self.problems.append(InvalidElement(error.text, location=f"{segment.name}-{number}"))
            else:
                if value:
                    mapped.append(value)
                elif raw:
                    self.silent.append((segment, number))
        if scope.unmapped:
            self._note(segment, number)
        return mapped

    def only(self, segment: Segment, number: int, map_one: Callable[..., T | None], **options: Any) -> T | None:
        """The first repetition that maps to something, where there is a place for one; more are noted."""
        return self.first(segment, number, self.each(segment, number, map_one, **options))

    def first(self, segment: Segment, number: int, found: Sequence[T]) -> T | None:
        """As ``only``, of what was made of a field."""
        if len(found) > 1:
            self.further.append((segment, number))
        return found[0] if found else None

    def _note(self, segment: Segment, number: int) -> None:
        for system, code in self.scope.unmapped:
            self.unmapped(f"{segment.name}-{number}", system, code)
        self.scope.unmapped.clear()

    def time(
        self, segment: Segment | None, number: int, map_one: Callable[..., str] = dtm_to_datetime
    ) -> str | None:
        """A DTM field; None when absent or null, and when broken, which is a problem."""
        if segment is None or not (dtm := valued(segment, number)):
            return None
        try:
            return map_one(dtm, self.scope.zone)
        except InvalidElement as error:
            self.problems.append(InvalidElement(error.text, location=f"{segment.name}-{number}"))
            return None

    def coded(self, segment: Segment, number: int, table: str | None = None) -> Json | None:
        """The first repetition of a coded field."""
        return self.only(segment, number, cwe_to_codeable_concept, table=table)


Read = Callable[[Segment, int, Reading], Any]
Fields = Sequence[tuple[int, str, Read]]


@dataclass(slots=True)
class Facts:
    """What a message says of one resource."""

    resource: str
    values: Json = field(default_factory=dict)
    deletes: list[str] = field(default_factory=list)

    def add(self, other: Json) -> None:
        """Take what ``apart`` read."""
        self.values |= other["values"]
        self.deletes += other["deletes"]

    def take(self, segment: Segment, table: Fields, reading: Reading) -> "Facts":
        """Read the fields of a table; a later row of the same fact wins."""
        fields = segment.fields()
        sent = len(fields)
        for number, name, read in table:
            if number >= sent or not (raw := fields[number]):
                continue
            if raw == NULL:
                self.deletes.append(f"{self.resource}.{name}")
            else:
                value = read(segment, number, reading)
                if value:
                    self.values[name] = value
                elif value is None:
                    reading.silent.append((segment, number))
        return self


def apart(resource: str, read: Callable[[Segment, Facts, Reading], None]) -> Callable[[Segment, Reading], Json]:
    """Read a segment for what it says of one resource, whatever other segments say of it (``Reading.once``)."""

    def said(segment: Segment, reading: Reading) -> Json:
        facts = Facts(resource)
        read(segment, facts, reading)
        return {"values": facts.values, "deletes": facts.deletes}

    return said


_KNOWN: dict[tuple[str, str, int, int], tuple[Sender, Delimiters, Known]] = {}


def known_of(scope: Scope, delimiters: Delimiters) -> Known:
    """What was found before in messages of this sender's facility, under these settings and delimiters."""
    key = (scope.name, scope.facility, id(scope.sender), id(delimiters))
    kept = _KNOWN.get(key)
    if kept is None:
        if len(_KNOWN) >= _SENDERS:
            _KNOWN.clear()
        kept = _KNOWN[key] = (scope.sender, delimiters, {})  # as long as they are held, their ids are theirs
    return kept[2]


def valued(segment: Segment, number: int, component: int = 1) -> str:
    """The trimmed text of a component; empty when absent or null."""
    text = segment.field(number)
    if not text or text.isalnum():  # most fields: neither delimiter nor blank
        return text if component == 1 else ""
    word = (segment.get(number, component) or "").strip()
    return "" if word == NULL else word


def remembered(read: Read, *beside: int) -> Read:
    """A reading of codes, staff or places: they come again and again, and each text of such a field is read once.

    Never for what is the patient's or a relative's own: it would stay in memory. What is remembered is shared, so
    whoever takes it changes nothing in it; what left a note in the ``Reading`` is read, and noted, each time.

    Args:
        read: What it is read with, from nothing but the field, the scope, and
        beside: other fields of the segment.
    """

    def recall(segment: Segment, number: int, reading: Reading) -> Any:
        text = segment.field(number)
        if beside:
            text = "\r".join([text, *map(segment.field, beside)])
        known = reading.known
        found = known.get((read, text))
        if found is None:
            noted = reading.noted
            found = read(segment, number, reading)
            if found and reading.noted == noted and len(text) < _LONG:
                if len(known) > _MANY:
                    known.clear()
                known[read, text] = found
        return found

    return recall


def listed(element: str, map_one: Callable[..., Json | None], **options: Any) -> Read:
    """Read every repetition into one list element."""
    map_one = partial(map_one, **options) if options else map_one

    def read(segment: Segment, number: int, reading: Reading) -> Json | None:
        mapped = reading.each(segment, number, map_one)
        return {element: mapped} if mapped else None

    return read


def repeated(map_one: Callable[..., Json | None], **options: Any) -> Read:
    """Read every repetition into a list."""
    map_one = partial(map_one, **options) if options else map_one
    return lambda segment, number, reading: reading.each(segment, number, map_one)


def names(segment: Segment, number: int, reading: Reading) -> list[Json]:
    """Read the names of somebody."""
    return [name for said in reading.each(segment, number, xpn_to_human_names) for name in said]


def _staff(segment: Segment, number: int, reading: Reading) -> list[Json]:
    return one_each(reading.each(segment, number, xcn_to_practitioner))


STAFF: Read = remembered(_staff)
"""Read the members of the staff that a field names."""


def coded(table: str | None = None) -> Read:
    """Read the first repetition of a coded field."""
    return remembered(lambda segment, number, reading: reading.coded(segment, number, table))


def time(segment: Segment, number: int, reading: Reading) -> str | None:
    """Read a DTM field."""
    return reading.time(segment, number)


def indicator(element: str) -> Read:
    """Read a yes/no indicator (table 0136) into a boolean element."""

    def read(segment: Segment, number: int, _: Reading) -> Json | None:
        flag = YES_NO.get(valued(segment, number))
        return None if flag is None else {element: flag}

    return read


def bound(name: str) -> Read:
    """Read a DTM field into the ``start`` or ``end`` of a Period."""

    def read(segment: Segment, number: int, reading: Reading) -> Json | None:
        moment = reading.time(segment, number)
        return {name: moment} if moment else None

    return read


def elements(segment: Segment, table: Fields, reading: Reading) -> Json:
    """The elements that a segment fills by itself; rows of the same element are joined, the first's value first.

    For segments whose occurrences are a list that a later message replaces as a whole: ``""`` says nothing there.
    """
    filled: Json = {}
    fields = segment.fields()
    sent = len(fields)
    for number, name, read in table:
        if number >= sent or not (raw := fields[number]) or raw == NULL:
            continue
        value = read(segment, number, reading)
        if not value:
            reading.silent.append((segment, number))
        elif isinstance(value, list):
            filled[name] = [*filled.get(name, []), *value]
        elif isinstance(value, dict):
            filled[name] = value | filled.get(name, {})
        else:
            filled.setdefault(name, value)
    if "period" in filled:
        filled["period"] = sound_period(filled["period"])
    return filled
