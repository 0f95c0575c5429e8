"""PV1, PV2 and DG1 to facts of an Encounter and its Conditions.

See: the v2-to-FHIR guide's segment maps; what is left out, and why: ``docs/decisions/0023-what-is-left-behind.md``.
"""

from fhirgw.errors import MissingElement, UnmappedCode
from fhirgw.mappers.datatypes import (
    Json,
    cwe_to_codeable_concept,
    cx_to_identifier,
    local_code,
    pl_to_locations,
    xcn_to_practitioner,
)
from fhirgw.mappers.segments.reading import Facts, Fields, Reading, coded, repeated, time, valued
from fhirgw.terminology import (
    CONFIDENTIALITY,
    ICD_10_CM,
    coding_system,
    icd_10_cm,
    local_code_system,
    looks_like_icd_10,
    sid,
    table_coding,
)
from fhirgw.v2.codec import Segment


def _location(pv1: Segment, number: int, reading: Reading) -> list[Json]:
    chains: list[list[Json]] = reading.each(pv1, number, pl_to_locations)
    return chains[0] if chains else []


def visit_identifier(segment: Segment, number: int, reading: Reading, kind: str) -> Json | None:
    """A CX that numbers a visit or an account; without an authority its scope is the sending facility."""
    scope = reading.scope
    default = sid(scope.name, scope.facility, {"VN": "visit", "AN": "account"}[kind])
    numbers = reading.each(segment, number, cx_to_identifier, default=default, kind=kind)
    return numbers[0] if numbers else None


def _visit_number(pv1: Segment, number: int, reading: Reading) -> Json | None:
    return visit_identifier(pv1, number, reading, "VN")


_PV1: Fields = (
    (3, "location", _location),
    (4, "type", coded("0007")),
    (7, "participant.ATND", repeated(xcn_to_practitioner)),
    (8, "participant.REF", repeated(xcn_to_practitioner)),
    (9, "participant.CON", repeated(xcn_to_practitioner)),
    (10, "serviceType", coded("0069")),
    (13, "hospitalization.reAdmission", coded("0092")),
    (14, "hospitalization.admitSource", coded("0023")),
    (17, "participant.ADM", repeated(xcn_to_practitioner)),
    (19, "identifier.1", _visit_number),
    (36, "hospitalization.dischargeDisposition", coded("0112")),
    (44, "period.start", time),
    (45, "period.end", time),
    (50, "identifier.3", _visit_number),
    (52, "participant.PART", repeated(xcn_to_practitioner)),
)


def pv1_to_encounter(pv1: Segment, facts: Facts, reading: Reading) -> None:
    """Map PV1 to facts of an Encounter.

    PV1-2 → class (required), PV1-3 → location, PV1-4 → type, PV1-7/8/9/17/52 → participant, PV1-10 → serviceType,
    PV1-13/14/36 → hospitalization, PV1-19/50 → identifier, PV1-44/45 → period.
    See: v2-to-FHIR, Segment PV1[Encounter].
    """
    facts.take(pv1, _PV1, reading)
    code = valued(pv1, 2)
    if not code:
        reading.problems.append(MissingElement("The patient class is missing.", location="PV1-2"))
        return
    table_code = local_code("0004", code, reading.scope)
    coding = table_coding("0004", table_code)
    if coding is None:
        sentence = (
            "The patient class is not of table 0004; register what the sender's code means (codes, table 0004)."
        )
        reading.problems.append(UnmappedCode(sentence, location="PV1-2"))
        return
    facts.values["class"] = {"code": table_code, "coding": coding}


def _protection(pv2: Segment, number: int, _: Reading) -> list[Json] | None:
    return [{"system": CONFIDENTIALITY, "code": "R", "display": "restricted"}] if pv2.get(number) == "Y" else None


def pv2_to_encounter(pv2: Segment, facts: Facts, reading: Reading) -> None:
    """Map PV2-3 → reasonCode, PV2-22 → meta.security. See: v2-to-FHIR, Segment PV2[Encounter]."""
    facts.take(pv2, ((3, "reasonCode", repeated(cwe_to_codeable_concept)), (22, "security", _protection)), reading)


def dg1_to_diagnosis(dg1: Segment, reading: Reading) -> Json | None:
    """Map DG1 to the facts of a Condition and its place in the Encounter; None when it names no diagnosis.

    DG1-3 (and DG1-2, DG1-4) → code, DG1-5 → onset, DG1-6 → use, DG1-15 → rank, DG1-16 → asserter, DG1-18 →
    restricted, DG1-19 → recorded, DG1-21 → whether it was in error.
    See: v2-to-FHIR, Segment DG1[Condition], DG1[Encounter].
    """
    code = _diagnosis_code(dg1, reading)
    if code is None:
        return None
    kind = valued(dg1, 6)
    asserters = reading.each(dg1, 16, xcn_to_practitioner)
    rank = valued(dg1, 15)
    facts = {
        "code": code,
        "kind": local_code("0052", kind, reading.scope),
        "use": reading.coded(dg1, 6, "0052"),
        "onset": reading.time(dg1, 5),
        "recorded": reading.time(dg1, 19),
        "rank": int(rank) if rank.isdecimal() and int(rank) > 0 else None,
        "asserter": asserters[0] if asserters else None,
        "restricted": dg1.get(18) == "Y",
        "error": dg1.get(21) == "D",
    }
    return {name: value for name, value in facts.items() if value or name in ("kind", "error")}


def _diagnosis_code(dg1: Segment, reading: Reading) -> Json | None:
    """DG1-3 with its system settled: what it names, else DG1-2, else ICD-10-CM for a code that has its shape.

    A code whose system is unsaid would carry no label: a guess protects.
    See: ``docs/decisions/0024-diagnosis-coding.md``.
    """
    concept = reading.coded(dg1, 3) or {}
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
