"""PR1 to the facts of a Procedure.

See: v2-to-FHIR, Segment PR1[Procedure]; ``docs/decisions/0101-clinical-segments.md``.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from fhirgw.mappers.datatypes import Json, cwe_to_codeable_concept
from fhirgw.mappers.segments.location import place
from fhirgw.mappers.segments.occurrence import (
    action,
    concept_key,
    ei_to_identifier,
    identified_key,
    occurrence,
)
from fhirgw.mappers.segments.reading import STAFF, Facts, Fields, Read, Reading, coded, repeated, valued
from fhirgw.terminology import SNOMED, coding_system, local_code_system
from fhirgw.v2.codec import Segment

_ANAESTHETIST = {"coding": [{"system": SNOMED, "code": "88189002", "display": "Anesthesiologist"}]}
_SURGEON = {"coding": [{"system": SNOMED, "code": "304292004", "display": "Surgeon"}]}
_DIGITS = 5  # of minutes: 69 days


def _code(pr1: Segment, number: int, reading: Reading) -> Json | None:
    """PR1-3, its system by PR1-2 where it names none, PR1-4 as text; with PR1-16 as a second coding.

    ``code:modifier`` is how a modified code is written (terminology.hl7.org/CPT.html#modifier-syntax); the guide
    has it alone, but then the code that sensitivity is told by would be gone.
    """
    concept = reading.coded(pr1, number) or {}
    codings = concept.get("coding", [])
    scheme, words = valued(pr1, 2), valued(pr1, 4)
    for coding in codings:
        if scheme and "system" not in coding:
            coding["system"] = coding_system(scheme) or local_code_system(reading.scope.name, scheme)
    modifiers = [code for one in reading.each(pr1, 16, cwe_to_codeable_concept) if (code := _modifier(one))]
    if codings and modifiers:
        modified = codings[0] | {"code": ":".join((codings[0]["code"], *modifiers))}
        modified.pop("display", None)
        concept["coding"] = [*codings, modified]
    if words and words != (codings[0].get("display") if codings else None):
        concept.setdefault("text", words)
    return concept or None


def _modifier(concept: Json) -> str:
    code: str = concept["coding"][0]["code"] if "coding" in concept else concept["text"]
    return code


def _words(pr1: Segment, number: int, _: Reading) -> Json | None:
    words = valued(pr1, number)
    return {"text": words} if words else None


def _performed(pr1: Segment, number: int, reading: Reading) -> Json | None:
    """PR1-5, until PR1-7 minutes later where it says the minute; the end has the offset of the start."""
    start, minutes = reading.time(pr1, number), valued(pr1, 7)
    if start is None:
        return None
    if len(start) <= 10 or not minutes.isdecimal() or len(minutes) > _DIGITS:
        return {"performedDateTime": start}
    end = datetime.fromisoformat(start) + timedelta(minutes=int(minutes))
    return {"performedPeriod": {"start": start, "end": end.isoformat()}}


def _performers(function: Json | None) -> Read:
    def read(pr1: Segment, number: int, reading: Reading) -> list[Json]:
        said = {"function": function} if function else {}
        return [said | {"actor": one} for one in STAFF(pr1, number, reading)]

    return read


def _first(segment: Segment, number: int, reading: Reading) -> Json | None:
    return reading.only(segment, number, ei_to_identifier)


PR1: Fields = (
    (4, "code", _words),
    (3, "code", _code),
    (5, "performed", _performed),
    (6, "category", coded("0230")),
    (8, "performer.1", _performers(_ANAESTHETIST)),
    (9, "usedCode", repeated(cwe_to_codeable_concept, table="0019")),
    (11, "performer.2", _performers(_SURGEON)),
    (12, "performer.3", _performers(None)),
    (15, "reasonCode", repeated(cwe_to_codeable_concept)),
    (19, "identifier", repeated(ei_to_identifier)),
    (23, "location", place),
    (25, "partOf", _first),
)
"""PR1-2 and PR1-16 are read with PR1-3, PR1-7 with PR1-5; PR1-20 is the action code."""

PR1_LEFT: Mapping[int, str] = {
    1: "a line number; the next message may reuse it",
    10: "Procedure has no time of the anaesthesia",
    13: "the hospital's consent to operate, in its own codes",
    14: "an order among the procedures of a claim",
    **dict.fromkeys((17, 21, 22), "of the grouping for payment"),
    18: "of a specimen, to which nothing here belongs",
    24: "of the grouping for payment (respiration within surgery)",
}
"""Fields of PR1 that make nothing, and why."""


def pr1_to_procedure(pr1: Segment, reading: Reading) -> Json | None:
    """Map PR1 to the facts of a Procedure; None when it names none.

    PR1-3 (and PR1-2, PR1-4, PR1-16) → code, PR1-5/7 → performed, PR1-6 → category, PR1-8/11/12 → performer,
    PR1-9 → usedCode, PR1-15 → reasonCode, PR1-19 → identifier, PR1-20 → whether it was in error, PR1-23 →
    location, PR1-25 → partOf.
    """
    facts = Facts("Procedure").take(pr1, PR1, reading)
    said = facts.values
    if "code" not in said and "identifier" not in said:
        return None
    action(facts, valued(pr1, 20))
    by_code = (*concept_key(said.get("code", {})), valued(pr1, 5))
    return occurrence(identified_key(said.get("identifier"), by_code), facts)
