"""PDA: what is certified of a death. See: HL7 v2.5.1 ch. 3.4.14; ``docs/decisions/0099-accident-and-death.md``."""

from collections.abc import Mapping

from fhirgw.mappers.datatypes import (
    Components,
    Json,
    Scope,
    cwe_to_codeable_concept,
    dtm_to_datetime,
    sound_period,
)
from fhirgw.mappers.parties import reference_to
from fhirgw.mappers.people import xcn_to_practitioner
from fhirgw.mappers.segments.reading import YES_NO, Reading, valued
from fhirgw.terminology import ICD_10_CM, icd_10_cm, looks_like_icd_10
from fhirgw.v2.codec import Segment

PDA_LEFT: Mapping[int, str] = {
    2: "where somebody died is no element of Patient",
    3: "PDA-4 and PDA-5 say when and by whom it was certified",
    9: "about the coroner's case, not the care",
}
"""Fields of PDA that make nothing, and why."""


def pda_to_death(pda: Segment, reading: Reading) -> Json | None:
    """Map PDA to ``cause`` (PDA-1), ``certified`` (PDA-4, PDA-5) and ``autopsy`` (PDA-6, PDA-7, PDA-8)."""
    causes = reading.each(pda, 1, cwe_to_codeable_concept)
    for cause in causes:
        for coding in cause.get("coding", ()):
            _settle(coding)
    signed = reading.time(pda, 4)
    fact: Json = {"cause": causes} if causes else {}
    if signed:
        fact["signed"] = signed
    certifier = reading.only(pda, 5, xcn_to_practitioner)
    if certifier:
        fact["certifier"] = reference_to(certifier)
    autopsy = YES_NO.get(valued(pda, 6))
    if autopsy is not None:
        fact["autopsy"] = {"performed": autopsy} | _autopsy(pda, reading)
    return fact or None


def _autopsy(pda: Segment, reading: Reading) -> Json:
    period = reading.only(pda, 7, _dr_to_period)
    performer = reading.only(pda, 8, xcn_to_practitioner)
    said: Json = {"period": period} if period else {}
    return said | ({"performer": reference_to(performer)} if performer else {})


def _dr_to_period(dr: Components, scope: Scope) -> Json | None:
    """Map DR to Period. See: v2-to-FHIR, Data Type DR[Period]."""
    said = {"start": dr[1], "end": dr[2]}
    period = {name: dtm_to_datetime(moment, scope.zone) for name, moment in said.items() if moment}
    return sound_period(period) or None


def _settle(coding: Json) -> None:
    """A cause without a system that has the shape of ICD-10-CM is one: a guess protects (decision 0024)."""
    if "system" not in coding and looks_like_icd_10(coding["code"]):
        coding["system"] = ICD_10_CM
    if coding.get("system") == ICD_10_CM:
        coding["code"] = icd_10_cm(coding["code"])
