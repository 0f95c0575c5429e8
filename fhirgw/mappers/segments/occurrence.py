"""One occurrence of a repeated clinical segment, as a fact: what it is about, what it says, what it takes back.

``key`` tells which resource it makes, ``said`` holds elements of that resource (and facts that the fold turns into
elements), ``deletes`` names those that the sender wrote as ``""``. NTE adds to the segment that it follows.
"""

from fhirgw.mappers.datatypes import Components, Json, Scope, hd_to_system
from fhirgw.mappers.people import xcn_to_practitioner
from fhirgw.mappers.segments.reading import Facts, Fields, Reading
from fhirgw.terminology import sid
from fhirgw.v2.codec import Segment

DELETED = "deleted"
"""Fact: the sender's action code took the thing back."""


def occurrence(key: tuple[str, ...], facts: Facts) -> Json:
    """The fact of one segment."""
    gone = [path.partition(".")[2] for path in facts.deletes]
    return {"key": list(key), "said": facts.values} | ({"deletes": gone} if gone else {})


def ei_to_identifier(ei: Components, scope: Scope, *, kind: str = "entity") -> Json | None:
    """Map EI to Identifier; without an authority its scope is the sending facility.

    See: v2-to-FHIR, Data Type EI[Identifier].
    """
    value = ei[1]
    if value is None:
        return None
    system = hd_to_system(ei[2], ei[3], ei[4], scope) or sid(scope.name, scope.facility, kind)
    return {"system": system, "value": value}


def concept_key(concept: Json) -> tuple[str, str]:
    """What a coded thing is known by: its first coding, else its words."""
    coding = concept.get("coding", [{}])[0]
    return coding.get("system", ""), coding.get("code") or concept.get("text", "").casefold()


def identified_key(identifiers: list[Json] | None, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """The key by the sender's own identifier of the thing, where it gives one."""
    if identifiers:
        first = identifiers[0]
        return ("id", first.get("system", ""), first["value"])
    return otherwise


def action(facts: Facts, code: str) -> None:
    """Note what a segment action code (tables 0206, 0323) does; X, no change, says nothing."""
    if code != "X":
        facts.values[DELETED] = code == "D"


def text_of(segment: Segment, number: int) -> str:
    """A text field whole, its separators as written; repetitions are lines of it."""
    return "\n".join(text for one in segment.repetitions(number) if (text := one.text.strip()) and not one.is_null)


def _note_text(nte: Segment, number: int, _: Reading) -> str:
    return text_of(nte, number)


def _coded_comment(nte: Segment, number: int, reading: Reading) -> str | None:
    concept = reading.coded(nte, number) or {}
    coding = concept.get("coding", [{}])[0]
    words: str | None = concept.get("text") or coding.get("display") or coding.get("code")
    return words


NTE: Fields = (
    (9, "text", _coded_comment),
    (3, "text", _note_text),
    (5, "authorReference", lambda nte, number, reading: reading.only(nte, number, xcn_to_practitioner)),
    (6, "time", lambda nte, number, reading: reading.time(nte, number)),
)
NTE_LEFT = {
    1: "a line number",
    2: "which system wrote it is the sender",
    4: "Annotation has no type",
    **dict.fromkeys((7, 8), "Annotation has no period"),
}
"""Fields of NTE that make nothing, and why."""


def nte_to_annotation(nte: Segment, reading: Reading) -> Json | None:
    """Map NTE to Annotation: NTE-3 (else NTE-9) → text, NTE-5 → author, NTE-6 → time; None without words.

    See: v2-to-FHIR, Segment NTE[Observation].
    """
    said = Facts("Annotation").take(nte, NTE, reading).values
    return said if "text" in said else None
