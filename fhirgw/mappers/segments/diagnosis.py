"""DG1 to the facts of a Condition and of its place in the Encounter; DRG to those of an Observation.

See: v2-to-FHIR, Segment DG1[Condition], DG1[Encounter]; ``docs/decisions/0101-clinical-segments.md``.
"""

from collections.abc import Mapping

from fhirgw.mappers.datatypes import Json, cwe_to_codeable_concept, local_code
from fhirgw.mappers.segments.occurrence import (
    action,
    concept_key,
    ei_to_identifier,
    identified_key,
    occurrence,
)
from fhirgw.mappers.segments.reading import STAFF, Facts, Fields, Reading, coded, remembered, repeated, time, valued
from fhirgw.mappers.segments.restriction import RESTRICTED
from fhirgw.terminology import (
    BASE,
    ICD_10_CM,
    coding_system,
    icd_10_cm,
    local_code_system,
    looks_like_icd_10,
)
from fhirgw.v2.codec import Segment

PRESENT_ON_ADMISSION = BASE + "/StructureDefinition/present-on-admission"
ASSERTED_DATE = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"


def _code(dg1: Segment, number: int, reading: Reading) -> Json | None:
    """DG1-3 with its system settled: what it names, else DG1-2, else ICD-10-CM for a code that has its shape.

    A code whose system is unsaid would carry no label: a guess protects. DG1-4 is its text.
    See: ``docs/decisions/0024-diagnosis-coding.md``.
    """
    concept = reading.coded(dg1, number) or {}
    words = valued(dg1, 4)
    for coding in concept.get("coding", ()):
        _settle(coding, dg1, reading)
    if "coding" not in concept and looks_like_icd_10(concept.get("text", "")):
        coding = {"code": concept.pop("text")}
        _settle(coding, dg1, reading)
        concept["coding"] = [coding]
    if words and words != concept.get("coding", [{}])[0].get("display"):
        concept.setdefault("text", words)
    return concept or None


def _settle(coding: Json, dg1: Segment, reading: Reading) -> None:
    scheme = valued(dg1, 2)
    if "system" not in coding:
        if scheme:
            coding["system"] = coding_system(scheme) or local_code_system(reading.scope.name, scheme)
        elif looks_like_icd_10(coding["code"]):
            coding["system"] = ICD_10_CM
    if coding.get("system") == ICD_10_CM:
        coding["code"] = icd_10_cm(coding["code"])


def _words(dg1: Segment, number: int, _: Reading) -> Json | None:
    words = valued(dg1, number)
    return {"text": words} if words else None


def _kind(dg1: Segment, number: int, reading: Reading) -> str:
    return local_code("0052", valued(dg1, number), reading.scope)


def _rank(dg1: Segment, number: int, _: Reading) -> int | None:
    rank = valued(dg1, number)
    return int(rank) if rank.isdecimal() and len(rank) < 10 and int(rank) > 0 else None


def _asserter(dg1: Segment, number: int, reading: Reading) -> Json | None:
    """The first clinician: Condition has one."""
    return reading.first(dg1, number, STAFF(dg1, number, reading))


def _asserted(dg1: Segment, number: int, reading: Reading) -> Json | None:
    moment = reading.time(dg1, number)
    return {"url": ASSERTED_DATE, "valueDateTime": moment} if moment else None


def _present_on_admission(dg1: Segment, number: int, reading: Reading) -> Json | None:
    concept = reading.coded(dg1, number, "0895")
    return {"url": PRESENT_ON_ADMISSION, "valueCodeableConcept": concept} if concept else None


def _restricted(segment: Segment, number: int, _: Reading) -> list[Json]:
    return [RESTRICTED] if valued(segment, number) == "Y" else []


def _parent(segment: Segment, number: int, reading: Reading) -> Json | None:
    return reading.only(segment, number, ei_to_identifier)


DG1: Fields = (
    (4, "code", _words),
    (3, "code", remembered(_code, 2, 4)),
    (5, "onsetDateTime", time),
    (6, "kind", remembered(_kind)),
    (6, "use", coded("0052")),
    (15, "rank", _rank),
    (16, "asserter", remembered(_asserter)),
    (17, "classification", coded("0228")),
    (18, "security", _restricted),
    (19, "recordedDate", time),
    (19, "extension.asserted", _asserted),
    (20, "identifier", repeated(ei_to_identifier)),
    (22, "dueTo", _parent),
    (26, "extension.poa", remembered(_present_on_admission)),
)
"""DG1-2 is the coding system of DG1-3; DG1-21 the action code."""

_GROUPING = "of the grouping for payment"
DG1_LEFT: Mapping[int, str] = {
    1: "a line number; the next message may reuse it",
    **dict.fromkeys((*range(7, 15), 23, 24, 25), _GROUPING),
}
"""Fields of DG1 that make nothing, and why."""


def dg1_to_diagnosis(dg1: Segment, reading: Reading) -> Json | None:
    """Map DG1 to the facts of a Condition; None when it names no diagnosis.

    DG1-3 (and DG1-2, DG1-4) → code, DG1-5 → onset, DG1-6 → verificationStatus and use, DG1-15 → rank, DG1-16 →
    asserter, DG1-17 → category, DG1-18 → meta.security, DG1-19 → recordedDate and asserted date, DG1-20 →
    identifier, DG1-21 → whether it was in error, DG1-22 → due to, DG1-26 → present on admission.
    """
    facts = Facts("Condition").take(dg1, DG1, reading)
    said = facts.values
    if "code" not in said and "identifier" not in said:
        return None
    action(facts, valued(dg1, 21))
    by_code = (*concept_key(said.get("code", {})), said.get("kind", ""))
    return occurrence(identified_key(said.get("identifier"), by_code), facts)


DRG: Fields = (
    (1, "value", remembered(repeated(cwe_to_codeable_concept))),
    (2, "effectiveDateTime", time),
    (10, "security", _restricted),
)
DRG_LEFT: Mapping[int, str] = dict.fromkeys((*range(3, 10), *range(11, 34)), _GROUPING)
"""Fields of DRG that make nothing, and why."""


def drg_to_observation(drg: Segment, reading: Reading) -> Json | None:
    """Map DRG to the facts of an Observation: DRG-1 → value, DRG-2 → effective, DRG-10 → meta.security.

    R4 has a group only in Claim, which a hospital's feed does not make; it is what somebody concluded of the visit.
    """
    facts = Facts("Observation").take(drg, DRG, reading)
    return occurrence(("DRG",), facts) if facts.values.get("value") else None
