"""IN1, IN2 and IN3 to facts of a Coverage.

A fact has ``coverage``, the elements of it with an Organization where a Reference belongs; ``insured``, the
subscriber where it is not the patient; and ``key``, what makes two facts tell of one policy.
See: v2-to-FHIR, Segment IN1[Coverage], IN3[CareTeam]; US Core 6.1.0 Coverage; IN2 has no map there
(``docs/decisions/0095-coverage.md``).
"""

import re
from collections.abc import Mapping

from fhirgw.mappers.datatypes import (
    Components,
    Json,
    Scope,
    cx_to_identifier,
    local_code,
    typed_identifier,
    xtn_to_contact_point,
)
from fhirgw.mappers.parties import (
    xad_to_organization_address,
    xon_to_organization,
    xtn_to_organization_contact_point,
)
from fhirgw.mappers.segments.reading import (
    Fields,
    Read,
    Reading,
    bound,
    elements,
    names,
    remembered,
    repeated,
    valued,
)
from fhirgw.mappers.segments.relatives import in1_to_insured
from fhirgw.terminology import COPAY_TYPE, COVERAGE_CLASS, SUBSCRIBER_RELATIONSHIP, sid, unknown
from fhirgw.v2.codec import Segment

_AMOUNT = re.compile(r"\d{1,12}(\.\d{1,4})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_DELETED = frozenset({"D"})  # table 0206, IN1-55

IN1_LEFT: Mapping[int, str] = {
    1: "a line number",
    10: "the policy holder's number of the insured is the employer's",
    14: "an authorization belongs to a claim",
    **dict.fromkeys((20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 45, 50, 51), "how the hospital bills"),
    **dict.fromkeys((33, 34, 38, 39, 40, 41), "amounts and days of the bill"),
    **dict.fromkeys((42, 44, 48, 52, 53), "about the insured, who may be no member"),
    **dict.fromkeys((46, 54), "numbers of the plan at others"),
    47: "not the type of FHIR's Coverage (v2-to-FHIR, IN1[Coverage])",
}
"""Fields of IN1 that make nothing, and why."""
IN2_LEFT: Mapping[int, str] = {
    **dict.fromkeys((1, 2), "employee and social security numbers serve no recipient here"),
    **dict.fromkeys((3, 4, 5, 7, 9, 10, *range(12, 26), *range(27, 61), 62, *range(64, 72)),
                    "about the insured, their job and the bill"),
    11: "about the insured, their job and the bill",
}  # fmt: skip
"""Fields of IN2 that make nothing, and why."""
IN3_LEFT: Mapping[int, str] = {
    1: "a line number",
    **dict.fromkeys((*range(3, 21), *range(22, 28)), "how the insurer certifies a stay"),
}
"""Fields of IN3 that make nothing, and why."""

# The beneficiary to the subscriber, by the code (0063) of the patient's relationship to the insured (IN2-72); and
# by that of the insured to the patient (IN1-17), which is the same seen from the other side.
_OF_PATIENT = {
    "SEL": "self", "SPO": "spouse", "DOM": "common", "CHD": "child", "NCH": "child", "SCH": "child", "FCH": "child",
    "PAR": "parent", "MTH": "parent", "FTH": "parent",
}  # fmt: skip
_TURNED = {"child": "parent", "parent": "child"}
_OF_INSURED = {code: _TURNED.get(target, target) for code, target in _OF_PATIENT.items()}


def in1_to_coverage(in1: Segment, reading: Reading) -> Json | None:
    """Map IN1 to facts of a Coverage; None when it names neither an insurer, a plan nor a number.

    IN1-2 → class plan, IN1-3/4/5/6/7 → payor, IN1-8/9 → class group, IN1-11 → policyHolder, IN1-12/13 → period,
    IN1-15 → type, IN1-16/18/19/43 → subscriber, IN1-17 → relationship, IN1-22 → order, IN1-35 → class subplan,
    IN1-36 → identifier, IN1-37 → costToBeneficiary, IN1-49 → subscriberId and identifier, IN1-55 → status.
    """
    coverage = elements(in1, _COVERAGE, reading)
    payor = elements(in1, _PAYOR, reading)
    group = _class_of("group", valued(in1, 8), valued(in1, 9))
    if group:
        coverage["class"] = [*group, *coverage.get("class", [])]
    if not (coverage.keys() & {"identifier", "class"} or payor):
        return None
    named = payor.keys() & {"identifier", "name"}  # org-1
    coverage["payor"] = [{"resourceType": "Organization", **payor} if named else unknown()]
    numbers = [one["value"] for one in coverage.get("identifier", ())]
    if numbers:
        coverage["subscriberId"] = numbers[0]
    relation = local_code("0063", valued(in1, 17), reading.scope)
    coverage["relationship"] = _relationship(_OF_INSURED, relation) or unknown()
    fact = {"coverage": coverage, "self": relation == "SEL", "key": _key(in1, coverage)}
    insured = None if relation == "SEL" else in1_to_insured(in1, reading)
    if insured:
        fact["insured"] = insured
    return fact | ({"action": "D"} if valued(in1, 55) in _DELETED else {})


def in2_to_coverage(in2: Segment, fact: Json, reading: Reading) -> None:
    """Add IN2 to the facts of its IN1.

    IN2-6/8/26/61 → identifier, IN2-63 → the subscriber's telecom, IN2-72 → relationship.
    """
    coverage: Json = fact["coverage"]
    more = elements(in2, _IN2, reading)
    if "identifier" in more:
        coverage["identifier"] = [*coverage.get("identifier", []), *more["identifier"]]
        coverage.setdefault("subscriberId", more["identifier"][0]["value"])
    if "telecom" in more and "insured" in fact:
        fact["insured"]["relative"]["telecom"] = more["telecom"]
    relation = local_code("0063", valued(in2, 72), reading.scope)
    coverage["relationship"] = _relationship(_OF_PATIENT, relation) or coverage["relationship"]


def in3_to_coverage(in3: Segment, fact: Json, reading: Reading) -> None:
    """Add IN3 to the facts of its IN1: IN3-2 → identifier, IN3-21 → ``manager``, the insurer's case manager."""
    coverage: Json = fact["coverage"]
    more = elements(in3, ((2, "identifier", _numbers("certification")),), reading)
    coverage["identifier"] = [*coverage.get("identifier", []), *more.get("identifier", [])]
    if not coverage["identifier"]:
        del coverage["identifier"]
    manager = " ".join(part for part in (valued(in3, 21, 2), valued(in3, 21)) if part)
    if manager:
        fact["manager"] = manager


def _key(in1: Segment, coverage: Json) -> str:
    """One policy: plan, insurer, group and number; the period and the words may change."""
    numbers = [valued(in1, field).casefold() for field in (2, 3, 8, 36, 49)]
    payor = coverage["payor"][0].get("name", "").casefold() if not any(numbers) else ""
    return "|".join([*numbers, payor])


def _relationship(codes: dict[str, str], relation: str) -> Json | None:
    if not relation:
        return None
    return {"coding": [{"system": SUBSCRIBER_RELATIONSHIP, "code": codes.get(relation, "other")}]}


def _numbers(scope: str, kind: str | None = None) -> Read:
    """Numbers; one that names no authority is of the sender's own of that scope."""

    def read(segment: Segment, number: int, reading: Reading) -> list[Json]:
        default = sid(reading.scope.name, scope)
        return reading.each(segment, number, cx_to_identifier, default=default, kind=kind)

    return read


def _class(kind: str) -> Read:
    """A class of coverage: its number with its name, or the one that is there."""

    def read(segment: Segment, number: int, _: Reading) -> list[Json] | None:
        return _class_of(kind, valued(segment, number), valued(segment, number, 2))

    return read


def _class_of(kind: str, value: str, name: str) -> list[Json] | None:
    concept = {"coding": [{"system": COVERAGE_CLASS, "code": kind}]}
    entry = {"type": concept, "value": value or name} | ({"name": name} if name else {})
    return [entry] if value or name else None


def _order(in1: Segment, number: int, _: Reading) -> int | None:
    priority = valued(in1, number)
    return int(priority) if priority.isdecimal() and 0 < int(priority) < 1 << 31 else None


def _holder(in1: Segment, number: int, reading: Reading) -> Json | None:
    """The employer who holds the policy."""
    return reading.only(in1, number, xon_to_organization)


def _deductible(cp: Components, _: Scope) -> Json | None:
    amount, currency = cp[1], cp.part(1, 2)
    if not amount or not _AMOUNT.fullmatch(amount):
        return None
    money: Json = {"value": float(amount) if "." in amount else int(amount)}
    if currency and _CURRENCY.fullmatch(currency):
        money["currency"] = currency
    return {"type": {"coding": [{"system": COPAY_TYPE, "code": "deductible"}]}, "valueMoney": money}


def _insurer_name(in1: Segment, number: int, reading: Reading) -> str | None:
    insurers = reading.each(in1, number, xon_to_organization)
    return reading.first(in1, number, [one["name"] for one in insurers if "name" in one])


def _person(in1: Segment, number: int, reading: Reading) -> list[Json]:
    name = reading.first(in1, number, names(in1, number, reading))
    return [{"name": name}] if name else []


def _policy(in1: Segment, number: int, reading: Reading) -> list[Json] | None:
    value = valued(in1, number)
    return [typed_identifier(sid(reading.scope.name, "policy"), value, None, reading.scope)] if value else None


def _plan_type(in1: Segment, number: int, reading: Reading) -> Json | None:
    return reading.coded(in1, number, "0086")


_COVERAGE: Fields = (
    (49, "identifier", _numbers("subscriber", "SN")),
    (36, "identifier", _policy),
    (15, "type", remembered(_plan_type)),
    (11, "policyHolder", _holder),
    (12, "period", bound("start")),
    (13, "period", bound("end")),
    (22, "order", _order),
    (2, "class", remembered(_class("plan"))),
    (35, "class", _class("subplan")),
    (37, "costToBeneficiary", repeated(_deductible)),
)
_PAYOR: Fields = (
    (3, "identifier", remembered(_numbers("insurer"))),
    (4, "name", remembered(_insurer_name)),
    (5, "address", remembered(repeated(xad_to_organization_address))),
    (6, "contact", _person),
    (7, "telecom", remembered(repeated(xtn_to_organization_contact_point))),
)
_IN2: Fields = (
    (61, "identifier", _numbers("member", "MB")),
    (6, "identifier", _numbers("medicare", "MC")),
    (8, "identifier", _numbers("medicaid", "MA")),
    (26, "identifier", _numbers("payor-subscriber", "SN")),
    (63, "telecom", repeated(xtn_to_contact_point)),
)
