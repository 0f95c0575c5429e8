"""ACC: an accident that brought somebody here, as an extension of the Encounter.

The guide has no map yet ("ACC[Accident]", under construction), and R4 an element for it in Claim alone.
See: HL7 v2.5.1 ch. 6.5.9; ``docs/decisions/0099-accident-and-death.md``.
"""

from collections.abc import Mapping

from fhirgw.mappers.datatypes import Components, Json, Scope, cwe_to_codeable_concept, xad_to_address
from fhirgw.mappers.segments.occurrence import ei_to_identifier
from fhirgw.mappers.segments.reading import YES_NO, Fields, Read, Reading, elements, repeated, valued
from fhirgw.terminology import LOCAL_EXTENSION
from fhirgw.v2.codec import Segment

ACC_LEFT: Mapping[int, str] = {
    7: "who typed it is in the sender's own record",
    12: "an amount of the bill",
}
"""Fields of ACC that make nothing, and why."""


def acc_to_accident(acc: Segment, reading: Reading) -> Json | None:
    """Map ACC to the extension ``accident``, a part a field; None when it says nothing.

    ACC-1 → date, ACC-2 → code, ACC-3 → location, ACC-4 → autoState, ACC-5 → jobRelated, ACC-6 → death, ACC-8 →
    description, ACC-9 → broughtIn, ACC-10 → policeNotified, ACC-11 → address, ACC-13 → identifier.
    """
    said = elements(acc, _ACC, reading)
    parts = [part for _, name, _ in _ACC for part in said.get(name, ())]
    return {"url": LOCAL_EXTENSION + "accident", "extension": parts} if parts else None


def _part(name: str, value: str, read: Read) -> Read:
    """A part of the extension, one a repetition."""

    def part(acc: Segment, number: int, reading: Reading) -> list[Json]:
        said = read(acc, number, reading)
        values = said if isinstance(said, list) else [said]
        return [{"url": name, value: one} for one in values if one is not None]

    return part


def _time(acc: Segment, number: int, reading: Reading) -> str | None:
    return reading.time(acc, number)


def _words(acc: Segment, number: int, reading: Reading) -> list[str]:
    return reading.each(acc, number, _text)


def _text(st: Components, _: Scope) -> str | None:
    return st[1]


def _flag(acc: Segment, number: int, _: Reading) -> bool | None:
    return YES_NO.get(valued(acc, number))


_ACC: Fields = (
    (1, "date", _part("date", "valueDateTime", _time)),
    (2, "code", _part("code", "valueCodeableConcept", repeated(cwe_to_codeable_concept, table="0050"))),
    (3, "location", _part("location", "valueString", _words)),
    (4, "autoState", _part("autoState", "valueCodeableConcept", repeated(cwe_to_codeable_concept))),
    (5, "jobRelated", _part("jobRelated", "valueBoolean", _flag)),
    (6, "death", _part("death", "valueBoolean", _flag)),
    (8, "description", _part("description", "valueString", _words)),
    (9, "broughtIn", _part("broughtIn", "valueBoolean", _flag)),
    (10, "policeNotified", _part("policeNotified", "valueBoolean", _flag)),
    (11, "address", _part("address", "valueAddress", repeated(xad_to_address))),
    (13, "identifier", _part("identifier", "valueIdentifier", repeated(ei_to_identifier, kind="accident"))),
)
