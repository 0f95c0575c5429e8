"""How a segment is read: a table says which field makes which fact.

What is present becomes a fact, ``""`` a deletion, the absent nothing. Problems are collected in the ``Reading``,
located, so that the sender learns of all of them at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.mappers.datatypes import Components, Json, Scope, cwe_to_codeable_concept, dtm_to_datetime, sound_period
from fhirgw.v2.codec import NULL, Segment

YES_NO = {"Y": True, "N": False}  # table 0136

T = TypeVar("T")


@dataclass(slots=True)
class Reading:
    """One reading of a message: the scope it is read in, and what was found on the way.

    Attributes:
        scope: What gives the sender's codes, numbers and times their meaning.
        problems: What is wrong with the message.
        codes: (field, table or coding system, code) of the codes that no map has; they keep the sender's coding.
        silent: Fields of which a repetition, or all, could not be made into anything.
    """

    scope: Scope
    problems: list[GatewayError] = field(default_factory=list)
    codes: list[tuple[str, str, str]] = field(default_factory=list)
    silent: list[tuple[Segment, int]] = field(default_factory=list)

    def unmapped(self, field: str, system: str, code: str) -> None:
        """Note a code that no map has, for the operator's list."""
        self.codes.append((field, system, code))

    def set_aside(self, known: int, segment: Segment) -> None:
        """Take the problems after the first ``known`` for fields that could not be made into anything."""
        for problem in self.problems[known:]:
            number = (problem.location or "").partition("-")[2].partition(".")[0]
            self.silent.append((segment, int(number) if number.isdecimal() else 0))
        del self.problems[known:]

    def each(self, segment: Segment, number: int, map_one: Callable[..., T | None], **options: Any) -> list[T]:
        """The repetitions of a field that map to something; a broken one is a problem at that field."""
        mapped: list[T] = []
        if not segment.field(number):
            return mapped
        for element in segment.repetitions(number):
            try:
                value = map_one(Components(element, segment.delimiters), self.scope, **options)
            except InvalidElement as error:
                self.problems.append(InvalidElement(error.text, location=f"{segment.name}-{number}"))
            else:
                if value:
                    mapped.append(value)
                elif element.raw:
                    self.silent.append((segment, number))
        if self.scope.unmapped:
            self._note(segment, number)
        return mapped

    def _note(self, segment: Segment, number: int) -> None:
        for system, code in self.scope.unmapped:
            self.unmapped(f"{segment.name}-{number}", system, code)
        self.scope.unmapped.clear()

    def time(
        self, segment: Segment | None, number: int, map_one: Callable[..., str] = dtm_to_datetime
    ) -> str | None:
        """A DTM field; None when absent or null, and when broken, which is a problem."""
        dtm = valued(segment, number) if segment else ""
        if segment is None or not dtm:
            return None
        try:
            return map_one(dtm, self.scope.zone)
        except InvalidElement as error:
            self.problems.append(InvalidElement(error.text, location=f"{segment.name}-{number}"))
            return None

    def coded(self, segment: Segment, number: int, table: str | None = None) -> Json | None:
        """The first repetition of a coded field."""
        concepts = self.each(segment, number, cwe_to_codeable_concept, table=table)
        return concepts[0] if concepts else None


Read = Callable[[Segment, int, Reading], Any]
Fields = Sequence[tuple[int, str, Read]]


@dataclass(slots=True)
class Facts:
    """What a message says of one resource."""

    resource: str
    values: Json = field(default_factory=dict)
    deletes: list[str] = field(default_factory=list)

    def take(self, segment: Segment, table: Fields, reading: Reading) -> "Facts":
        """Read the fields of a table; a later row of the same fact wins."""
        field_at, last = segment.field, len(segment)
        for number, name, read in table:
            if number > last or not (raw := field_at(number)):
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


def valued(segment: Segment, number: int, component: int = 1) -> str:
    """The trimmed text of a component; empty when absent or null."""
    word = (segment.get(number, component) or "").strip()
    return "" if word == NULL else word


def listed(element: str, map_one: Callable[..., Json | None], **options: Any) -> Read:
    """Read every repetition into one list element."""

    def read(segment: Segment, number: int, reading: Reading) -> Json | None:
        mapped = reading.each(segment, number, map_one, **options)
        return {element: mapped} if mapped else None

    return read


def repeated(map_one: Callable[..., Json | None], **options: Any) -> Read:
    """Read every repetition into a list."""
    return lambda segment, number, reading: reading.each(segment, number, map_one, **options)


def coded(table: str | None = None) -> Read:
    """Read the first repetition of a coded field."""
    return lambda segment, number, reading: reading.coded(segment, number, table)


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
    field_at = segment.field
    for number, name, read in table:
        raw = field_at(number)
        if not raw or raw == NULL:
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
