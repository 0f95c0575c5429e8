"""EVN, PV1 and PV2 to facts of an Encounter, of its Provenance, and of what is observed of a visit.

See: the v2-to-FHIR guide's segment maps; deviations, and what is left out: ``docs/decisions/0100-the-visit.md``.
"""

from collections.abc import Mapping

from fhirgw.errors import MissingElement, UnmappedCode
from fhirgw.mappers.datatypes import (
    Components,
    Json,
    Scope,
    cwe_to_codeable_concept,
    cx_to_identifier,
    local_code,
)
from fhirgw.mappers.segments.location import PV1_PLACES
from fhirgw.mappers.segments.reading import (
    STAFF,
    Facts,
    Fields,
    Read,
    Reading,
    coded,
    remembered,
    repeated,
    time,
    valued,
)
from fhirgw.mappers.segments.restriction import RESTRICTED
from fhirgw.terminology import (
    ENCOUNTER_COURTESY,
    MODE_OF_ARRIVAL,
    PLANNED_END,
    PLANNED_START,
    UCUM,
    sid,
    table_coding,
)
from fhirgw.v2.codec import Segment

_ORDINARY = frozenset({"N", "NO", "NONE", "0"})
"""Codes of PV1-16 that say of somebody that they are no VIP; its table is each hospital's own."""


def visit_identifier(segment: Segment, number: int, reading: Reading, kind: str) -> Json | None:
    """A CX that numbers a visit or an account; without an authority its scope is the sending facility."""
    return reading.first(segment, number, _identifiers(segment, number, reading, kind))


def _identifiers(segment: Segment, number: int, reading: Reading, kind: str) -> list[Json]:
    scope = reading.scope
    default = sid(scope.name, scope.facility, {"VN": "visit", "AN": "account"}[kind])
    return reading.each(segment, number, cx_to_identifier, default=default, kind=kind)


def _visit_number(pv1: Segment, number: int, reading: Reading) -> Json | None:
    return visit_identifier(pv1, number, reading, "VN")


def _visit_numbers(pv1: Segment, number: int, reading: Reading) -> list[Json]:
    return _identifiers(pv1, number, reading, "VN")


def _identifier(segment: Segment, number: int, reading: Reading) -> Json | None:
    return reading.only(segment, number, cx_to_identifier)


def _concepts(table: str) -> Read:
    return remembered(repeated(cwe_to_codeable_concept, table=table))


def _is_vip(pv1: Segment, number: int, scope: Scope) -> bool:
    return local_code("0099", valued(pv1, number), scope).upper() not in _ORDINARY


def _vip(pv1: Segment, number: int, reading: Reading) -> Json | None:
    """PV1-16 as the sender codes it, and, unless it says no, as FHIR's VIP."""
    concept = reading.coded(pv1, number, "0099")
    if concept and _is_vip(pv1, number, reading.scope):
        concept["coding"] = [ENCOUNTER_COURTESY, *concept.get("coding", ())]
    return concept


def _vip_security(pv1: Segment, number: int, reading: Reading) -> list[Json]:
    return [RESTRICTED] if _is_vip(pv1, number, reading.scope) else []


def _episode(pv1: Segment, number: int, reading: Reading) -> Json | None:
    """PV1-54, and PV1-53 in words, as a reference to an episode that no resource of ours is."""
    number_of = _identifier(pv1, number, reading)
    words = valued(pv1, 53)
    said = {"type": "EpisodeOfCare", "identifier": number_of, "display": words}
    return {name: value for name, value in said.items() if value} if number_of else None


def _words_of_episode(pv1: Segment, number: int, _: Reading) -> Json | None:
    if not valued(pv1, number):
        return None
    return {"type": "EpisodeOfCare", "display": valued(pv1, number)}


PV1: Fields = (
    *PV1_PLACES,
    (4, "type.1", coded("0007")),
    (5, "hospitalization.preAdmissionIdentifier", _identifier),
    (7, "participant.ATND", STAFF),
    (8, "participant.REF.1", STAFF),
    (9, "participant.CON", STAFF),
    (10, "serviceType", coded("0069")),
    (13, "hospitalization.reAdmission", coded("0092")),
    (14, "hospitalization.admitSource", coded("0023")),
    (15, "arrangement.1", _concepts("0009")),
    (16, "courtesy.1", remembered(_vip)),
    (16, "security.vip", remembered(_vip_security)),
    (17, "participant.ADM", STAFF),
    (18, "type.2", coded("0018")),
    (19, "identifier.1", _visit_number),
    (22, "courtesy.2", coded("0045")),
    (36, "hospitalization.dischargeDisposition", coded("0112")),
    (38, "hospitalization.dietPreference", coded("0114")),
    (44, "period.start", time),
    (45, "period.end", time),
    (50, "identifier.3", _visit_numbers),
    (52, "participant.PART", STAFF),
    (53, "episode", _words_of_episode),
    (54, "episode", _episode),
)
"""PV1-2, the class, is read apart; PV1-39 names the site of PV1-3."""

_BILLING = "what is charged, and who pays, is no part of a visit here"
_HOSPITAL = "it steers the hospital's own system"
PV1_LEFT: Mapping[int, str] = {
    1: "a line number",
    12: "tests before an admission say nothing of the visit",
    **dict.fromkeys((20, 21, *range(23, 34), 46, 47, 48, 49), _BILLING),
    **dict.fromkeys((34, 35), _HOSPITAL),
    40: "the state of a bed is not the patient's",
    41: "the state of an account is the Account's",
    51: "it tells which number PV1-19 is; identifiers carry their type",
}
"""Fields of PV1 that make nothing, and why."""


def pv1_to_encounter(pv1: Segment, facts: Facts, reading: Reading) -> None:
    """Map PV1 to facts of an Encounter.

    PV1-2 → class (required), PV1-3/6/11/39/42/43 → location, PV1-4/18 → type, PV1-7/8/9/17/52 → participant,
    PV1-10 → serviceType, PV1-5/13/14/15/16/22/36/37/38 → hospitalization, PV1-16 → meta.security,
    PV1-19/50 → identifier, PV1-44/45 → period, PV1-53/54 → episodeOfCare.
    See: v2-to-FHIR, Segment PV1[Encounter].
    """
    facts.take(pv1, PV1, reading)
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


def _protection(pv2: Segment, number: int, _: Reading) -> list[Json]:
    return [RESTRICTED] if valued(pv2, number) == "Y" else []


def _planned(url: str) -> Read:
    def read(segment: Segment, number: int, reading: Reading) -> Json | None:
        moment = reading.time(segment, number)
        return {"extension": [{"url": url, "valueDateTime": moment}]} if moment else None

    return read


def _days(pv2: Segment, number: int, _: Reading) -> Json | None:
    days = valued(pv2, number)
    return (
        {"value": int(days), "unit": "days", "system": UCUM, "code": "d"}
        if days.isdecimal() and len(days) < 6
        else None
    )


def _arrival(pv2: Segment, number: int, reading: Reading) -> Json | None:
    concept = reading.coded(pv2, number, "0430") or {}
    codings = concept.get("coding", ())
    return {"extension": [{"url": MODE_OF_ARRIVAL, "valueCoding": codings[0]}]} if codings else None


OBSERVED: Mapping[str, tuple[int, str, str]] = {
    "PV2-39": (39, "0431", "Recreational Drug Use Code"),
    "PV2-40": (40, "0432", "Admission Level of Care Code"),
    "PV2-41": (41, "0433", "Precaution Code"),
    "PV2-42": (42, "0434", "Patient Condition Code"),
    "PV2-43": (43, "0315", "Living Will Code"),
    "PV2-44": (44, "0316", "Organ Donor Code"),
    "PV2-45": (45, "0435", "Advance Directive Code"),
}
"""What PV2 says of the patient during the visit and no element of Encounter holds: field, table, name. Observations
each, with the field as their code (``docs/decisions/0101-clinical-segments.md``)."""

PV2: Fields = (
    (2, "arrangement.2", _concepts("0129")),
    (3, "reasonCode", repeated(cwe_to_codeable_concept)),
    (7, "type.3", _concepts("0130")),
    (8, "extension.plannedStart", _planned(PLANNED_START)),
    (9, "extension.plannedEnd", _planned(PLANNED_END)),
    (11, "length", _days),
    (13, "participant.REF.2", STAFF),
    (18, "type.4", coded("0214")),
    (22, "security", _protection),
    (25, "priority", coded("0217")),
    (38, "extension.modeOfArrival", remembered(_arrival)),
    *((number, f"observed.{name}", _concepts(table)) for name, (number, table, _) in OBSERVED.items()),
    (50, "verified.PV2-45", time),
)

PV2_LEFT: Mapping[int, str] = {
    1: "a plan that was given up",
    4: "of a transfer; Encounter.location has no reason",
    **dict.fromkeys((5, 6), "valuables are the hospital's to keep"),
    10: "an estimate; PV2-9 says when",
    12: "words: a narrative is made when something is released, never stored",
    **dict.fromkeys((14, 26, 29), "a date of other visits, to which nothing here belongs"),
    **dict.fromkeys((15, 20, 28, 30, 32, 34, 35), _BILLING),
    **dict.fromkeys((16, 17, 19, 24, 46), _HOSPITAL),
    21: "to whom the hospital's switchboard may speak",
    23: "the sending facility is the provider of the visit; a clinic is a place of it (PV1-3)",
    27: "what is expected; PV1-36 says what came of it",
    31: "one message is one visit",
    **dict.fromkeys((33, 47, 48), "an appointment inside the visit"),
    **dict.fromkeys((36, 37), "of a birth; the newborn has messages of their own"),
    49: "religion is the Patient's",
}
"""Fields of PV2 that make nothing, and why."""


def pv2_to_encounter(pv2: Segment, facts: Facts, reading: Reading) -> None:
    """Map PV2 to facts of an Encounter.

    PV2-2 → hospitalization, PV2-3 → reasonCode, PV2-7/18 → type, PV2-8/9 → planned start and end, PV2-11 → length,
    PV2-13 → participant, PV2-22 → meta.security, PV2-25 → priority, PV2-38 → mode of arrival, PV2-39 to 45 and 50
    → Observations.
    See: v2-to-FHIR, Segment PV2[Encounter].
    """
    facts.take(pv2, PV2, reading)


def _hd_place(hd: Components, scope: Scope) -> Json | None:
    name = hd[1] or hd[2]
    if name is None:
        return None
    identifier = {"system": sid(scope.name, "location"), "value": name}
    return {"resourceType": "Location", "identifier": [identifier], "name": name, "mode": "instance"}


def _facility(evn: Segment, number: int, reading: Reading) -> Json | None:
    return reading.only(evn, number, _hd_place)


def _reason(evn: Segment, number: int, reading: Reading) -> Json | None:
    return reading.coded(evn, number, "0062")


EVN: Fields = (
    (3, "planned", time),
    (4, "reason", remembered(_reason)),
    (5, "operator", STAFF),
    (7, "facility", remembered(_facility)),
)
"""EVN-1, 2 and 6 are read apart: trigger where MSH-9.2 is missing, and the times."""


_PLANNING = frozenset({"", "A05", "A14", "A16"})
"""Events (EVN-1, which may be missing) whose planned time is one of the visit."""


def evn_to_provenance(evn: Segment, reading: Reading) -> Json | None:
    """Map EVN to facts of a Provenance; None when it says nothing but when.

    EVN-3 → planned start or end of the visit (A05, A14: start; A16: end), EVN-4 → reason, EVN-5 → agent,
    EVN-7 → location. See: v2-to-FHIR, Segment EVN[Provenance].
    """
    if valued(evn, 3) and valued(evn, 1) not in _PLANNING:
        reading.silent.append((evn, 3))
    return Facts("Provenance").take(evn, EVN, reading).values or None
