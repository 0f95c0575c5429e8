"""AL1 and IAM to the facts of an AllergyIntolerance.

See: v2-to-FHIR, Segment AL1[AllergyIntolerance], IAM[AllergyIntolerance];
``docs/decisions/0102-allergies.md``.
"""

from collections.abc import Mapping

from fhirgw.mappers.datatypes import (
    Json,
    cwe_to_codeable_concept,
    local_code,
)
from fhirgw.mappers.parties import xpn_to_words
from fhirgw.mappers.people import xcn_to_practitioner
from fhirgw.mappers.segments.occurrence import (
    concept_key,
    ei_to_identifier,
    identified_key,
    occurrence,
    text_of,
)
from fhirgw.mappers.segments.reading import Facts, Fields, Reading, coded, remembered, repeated, time, valued
from fhirgw.terminology import (
    ALLERGEN_CATEGORY,
    ALLERGY_CRITICALITY,
    ALLERGY_STATUS,
    ALLERGY_TYPE,
    ALTERNATE_CODES,
    REACTION_SEVERITY,
    SENSITIVITY_TYPE,
)
from fhirgw.v2.codec import Segment


def _beside(element: str, concept: Json, code: str | None) -> Json:
    """A code of a required binding, with the sender's own beside it: it says more."""
    beside = {"extension": [{"url": ALTERNATE_CODES, "valueCodeableConcept": concept}]}
    return {element: code, f"_{element}": beside} if code else {f"_{element}": beside}


def _kind(segment: Segment, number: int, reading: Reading) -> Json | None:
    """AL1-2 and IAM-2 → category and type."""
    concept = reading.coded(segment, number, "0127")
    if concept is None:
        return None
    code = local_code("0127", valued(segment, number), reading.scope)
    said = _beside("category", concept, ALLERGEN_CATEGORY.get(code))
    kind = {"type": ALLERGY_TYPE[code]} if code in ALLERGY_TYPE else {}
    return kind | {name: [value] for name, value in said.items()}


def _severity(segment: Segment, number: int, reading: Reading) -> Json | None:
    """AL1-4 and IAM-4, read both ways: which is meant, the whole segment tells."""
    concept = reading.coded(segment, number, "0128")
    if concept is None:
        return None
    code = local_code("0128", valued(segment, number), reading.scope)
    criticality = _beside("criticality", concept, ALLERGY_CRITICALITY.get(code))
    return {"severity": REACTION_SEVERITY.get(code), "criticality": criticality}


def _sensitivity(iam: Segment, number: int, reading: Reading) -> Json | None:
    concept = reading.coded(iam, number, "0436")
    code = local_code("0436", valued(iam, number), reading.scope)
    return _beside("type", concept, SENSITIVITY_TYPE.get(code)) if concept else None


def _reactions(segment: Segment, number: int, reading: Reading) -> list[Json]:
    """AL1-5 and IAM-5: codes, or words."""
    return reading.each(segment, number, cwe_to_codeable_concept)


def _code(iam: Segment, number: int, reading: Reading) -> Json | None:
    """IAM-3, or IAM-10 where only the group is named, with the clinician's own code (IAM-27) beside."""
    concept = reading.coded(iam, number) or {}
    for other in reading.each(iam, 27, cwe_to_codeable_concept):
        known = concept.get("coding", [])
        concept["coding"] = known + [coding for coding in other.get("coding", ()) if coding not in known]
        if "text" in other:
            concept.setdefault("text", other["text"])
    return {name: value for name, value in concept.items() if value} or None


def _person(segment: Segment, number: int, reading: Reading) -> Json | None:
    return reading.only(segment, number, xcn_to_practitioner)


def _relation(iam: Segment, number: int, reading: Reading) -> Json | None:
    """IAM-15: the patient, or a relative of whom there are no words but these."""
    concept = reading.coded(iam, number, "0063")
    if concept is None:
        return None
    if local_code("0063", valued(iam, number), reading.scope) == "SEL":
        return {"type": "Patient"}
    first = concept.get("coding", [{}])[0]
    return {"type": "RelatedPerson", "display": concept.get("text") or first.get("display") or first.get("code")}


def _reporter(iam: Segment, number: int, reading: Reading) -> Json | None:
    """IAM-14, whom IAM-15 makes the patient or a relative; who is named only has no resource here."""
    names = reading.each(iam, number, xpn_to_words)
    if not names:
        return None
    relation = _relation(iam, 15, reading) if valued(iam, 15) else None
    return {"type": relation["type"] if relation else "Practitioner", "display": names[0]}


def _words(segment: Segment, number: int, _: Reading) -> str:
    return text_of(segment, number)


def _status(iam: Segment, number: int, reading: Reading) -> Json | None:
    code = local_code("0438", valued(iam, number), reading.scope)
    clinical, verification = ALLERGY_STATUS.get(code, (None, None))
    return {"clinical": clinical, "verification": verification} if verification else None


AL1: Fields = (
    (2, "kind", remembered(_kind)),
    (3, "code", coded()),
    (4, "severity", remembered(_severity)),
    (5, "manifestation", _reactions),
    (6, "onsetDateTime", time),
)
AL1_LEFT: Mapping[int, str] = {1: "a line number; the next message may reuse it"}
"""Fields of AL1 that make nothing, and why."""


def al1_to_allergy(al1: Segment, reading: Reading) -> Json | None:
    """Map AL1 to the facts of an AllergyIntolerance; with ``""`` in AL1-3, the fact that there is none.

    AL1-2 → category and type, AL1-3 → code, AL1-4 → criticality, or severity of the reaction, AL1-5 → reaction,
    AL1-6 → onset.
    """
    facts = Facts("AllergyIntolerance").take(al1, AL1, reading)
    code = facts.values.get("code")
    if code is None:
        return occurrence((), Facts("AllergyIntolerance")) if "AllergyIntolerance.code" in facts.deletes else None
    return occurrence(concept_key(code), facts)


IAM: Fields = (
    (2, "kind", remembered(_kind)),
    (10, "code", coded()),
    (27, "code", coded()),
    (3, "code", _code),
    (4, "severity", remembered(_severity)),
    (5, "manifestation", _reactions),
    (7, "identifier", repeated(ei_to_identifier)),
    (8, "reason", _words),
    (9, "sensitivity", _sensitivity),
    (11, "onsetDateTime", time),
    (12, "onsetString", _words),
    (24, "recordedDate", time),
    (13, "recordedDate", time),
    (18, "asserter", _person),
    (15, "asserter", _relation),
    (14, "asserter", _reporter),
    (17, "status", _status),
    (23, "recorder", _person),
)
"""IAM-6 is the action code."""

_KEPT_BY_HISTORY = "who changed the sender's record, and when, is the sender's history"
IAM_LEFT: Mapping[int, str] = {
    1: "a line number; the next message may reuse it",
    16: "AllergyIntolerance has no alert device",
    **dict.fromkeys((19, 20, 21, 22, 25, 26, 28, 29, 30), _KEPT_BY_HISTORY),
}
"""Fields of IAM that make nothing, and why."""


def iam_to_allergy(iam: Segment, reading: Reading) -> Json | None:
    """Map IAM to the facts of an AllergyIntolerance; None when it names neither allergen nor number.

    IAM-2 → category and type, IAM-3/10/27 → code, IAM-4 → criticality, or severity of the reaction, IAM-5 →
    reaction, IAM-6 → whether it is still on the sender's list, IAM-7 → identifier, IAM-8 → note, IAM-9 → type,
    IAM-11/12 → onset, IAM-13/24 → recordedDate, IAM-14/15/18 → asserter, IAM-17 → clinical and verification
    status, IAM-23 → recorder.
    """
    facts = Facts("AllergyIntolerance").take(iam, IAM, reading)
    said = facts.values
    if "code" not in said and "identifier" not in said:
        return None
    said["listed"] = valued(iam, 6) != "D"
    return occurrence(identified_key(said.get("identifier"), concept_key(said.get("code", {}))), facts)
