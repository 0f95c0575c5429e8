"""Invariants of R4 that translate to plain Python: constraint key, node, sentence, test.

Each test sees a node whose structure is already right. Only constraints of severity error are here; ele-1 (nothing
is empty) and ref-1 are part of the structure. Those that ask for a terminology or for HTML are not here.

See: http://hl7.org/fhir/R4/conformance-rules.html#constraints; the keys are the standard's.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fhirgw.profiles.search import date_range

Json = dict[str, Any]

UCUM = "http://unitsofmeasure.org"
_HL7 = "http://terminology.hl7.org/CodeSystem/"
_ALLERGY_VERIFICATION = _HL7 + "allergyintolerance-verification"
_CONDITION_CLINICAL = _HL7 + "condition-clinical"
_CONDITION_VERIFICATION = _HL7 + "condition-ver-status"
_MEAL_WHENS = {"C", "CM", "CD", "CV"}


@dataclass(frozen=True, slots=True)
class Invariant:
    """One constraint.

    Attributes:
        key: As published, e.g. ``per-1``.
        node: Type or path it is about, e.g. ``Timing.repeat``.
        text: What must be so.
        holds: Whether a node satisfies it.
    """

    key: str
    node: str
    text: str
    holds: Callable[[Json], bool]


def _has(node: Json, *names: str) -> bool:
    """Whether any of these elements exists; a primitive exists by its extensions too."""
    return any(name in node or f"_{name}" in node for name in names)


def _chosen(node: Json, stem: str) -> bool:
    """Whether a choice element exists; the stem must not begin another element's name."""
    return any(name.startswith(stem) for name in node)


def _coded(concept: Json | None, system: str, *codes: str) -> bool:
    return concept is not None and any(
        coding.get("system") == system and coding.get("code") in codes for coding in concept.get("coding", ())
    )


def _distinct(values: list[Any]) -> bool:
    return len(values) == len(set(values))


def _ordered(earlier: str | None, later: str | None) -> bool:
    """False only when every instant of the later lies before the earlier."""
    first = date_range(earlier or "")
    last = date_range(later or "")
    return first is None or last is None or first[0] < last[1]


def _range_ordered(node: Json) -> bool:
    low, high = node.get("low", {}), node.get("high", {})
    comparable = low.get("code") == high.get("code") and low.get("unit") == high.get("unit")
    if not comparable or "value" not in low or "value" not in high:
        return True
    return bool(low["value"] <= high["value"])


def _ratio(node: Json) -> bool:
    return _has(node, "numerator") == _has(node, "denominator") and _has(node, "numerator", "extension")


def _ucum_or_none(node: Json) -> bool:
    return bool(node.get("system", UCUM) == UCUM)


def _code_with_value(node: Json) -> bool:
    return _has(node, "code") or not _has(node, "value")


def _age(node: Json) -> bool:
    return _code_with_value(node) and _ucum_or_none(node) and bool(node.get("value", 1) > 0)


def _count(node: Json) -> bool:
    return bool(
        _code_with_value(node)
        and _ucum_or_none(node)
        and node.get("code", "1") == "1"
        and float(node.get("value", 1)) % 1 == 0
    )


def _duration(node: Json) -> bool:
    return not _has(node, "code") or (node.get("system") == UCUM and _has(node, "value"))


def _offset(node: Json) -> bool:
    return not _has(node, "offset") or (_has(node, "when") and not _MEAL_WHENS & set(node.get("when", ())))


def _requires(first: str, second: str) -> Callable[[Json], bool]:
    """When the first exists, the second does."""
    return lambda node: not _has(node, first) or _has(node, second)


def _excludes(first: str, second: str) -> Callable[[Json], bool]:
    """Not both."""
    return lambda node: not (_has(node, first) and _has(node, second))


def _any_of(*names: str) -> Callable[[Json], bool]:
    return lambda node: _has(node, *names)


def _not_negative(name: str) -> Callable[[Json], bool]:
    return lambda node: bool(node.get(name, 0) >= 0)


def _component_repeats_code(node: Json) -> bool:
    """obs-7: a component has the code of the Observation, which has a value of its own."""
    own = {(coding.get("system"), coding.get("code")) for coding in node["code"].get("coding", ())}
    return any(
        (coding.get("system"), coding.get("code")) in own
        for component in node.get("component", ())
        for coding in component["code"].get("coding", ())
    )


def _verified_in_error(node: Json, system: str) -> bool:
    return _coded(node.get("verificationStatus"), system, "entered-in-error")


def _abated(node: Json) -> bool:
    ended = ("inactive", "resolved", "remission")
    return not _chosen(node, "abatement") or _coded(node.get("clinicalStatus"), _CONDITION_CLINICAL, *ended)


def _no_home_use(name: str) -> Callable[[Json], bool]:
    return lambda node: all(entry.get("use") != "home" for entry in node.get(name, ()))


def _entries(bundle: Json) -> list[Json]:
    entries: list[Json] = bundle.get("entry", [])
    return entries


def _entries_have(name: str, *types: str) -> Callable[[Json], bool]:
    """Every entry has it in a Bundle of these types, none in any other."""
    return lambda bundle: all((name in entry) == (bundle["type"] in types) for entry in _entries(bundle))


def _full_urls(bundle: Json) -> bool:
    return bundle["type"] == "history" or _distinct(
        [
            (entry["fullUrl"], entry.get("resource", {}).get("meta", {}).get("versionId"))
            for entry in _entries(bundle)
            if "fullUrl" in entry
        ]
    )


def _first_is(bundle_type: str, resource_type: str) -> Callable[[Json], bool]:
    return lambda bundle: (
        bundle["type"] != bundle_type
        or (
            _entries(bundle)[:1] != []
            and _entries(bundle)[0].get("resource", {}).get("resourceType") == resource_type
        )
    )


def _document_identified(bundle: Json) -> bool:
    identifier = bundle.get("identifier", {})
    return bundle["type"] != "document" or ("system" in identifier and "value" in identifier)


def _link_ids(node: Json) -> Iterator[str]:
    for item in node.get("item", ()):
        yield item["linkId"]
        yield from _link_ids(item)


def _nesting(item: Json) -> bool:
    kind = item["type"]
    return (kind != "group" or "item" in item) and (kind != "display" or "item" not in item)


def _of_type(*types: str, needed: str) -> Callable[[Json], bool]:
    """Only items of these types have the element."""
    return lambda item: not _has(item, needed) or item.get("type") in types


_QUESTION_TYPES = (
    "question", "boolean", "decimal", "integer", "date", "dateTime", "time", "string", "text", "url", "choice",
    "open-choice", "attachment", "reference", "quantity",
)  # fmt: skip
_OPTION_TYPES = ("choice", "open-choice", "decimal", "integer", "date", "dateTime", "time", "string", "quantity")
_LENGTH_TYPES = ("boolean", "decimal", "integer", "string", "text", "url", "open-choice")


def _one_content(node: Json) -> bool:
    """inv-1 of Parameters: a value, a resource or parts."""
    return _chosen(node, "value") + _has(node, "resource") + _has(node, "part") == 1


_QUANTITIES = ("Quantity", "SimpleQuantity", "MoneyQuantity", "Age", "Count", "Distance", "Duration")

_ROWS: tuple[Invariant, ...] = (
    # Data types
    Invariant("ext-1", "Extension", "An extension has either a value or extensions, not both.",
              lambda n: ("extension" in n) != (_chosen(n, "value") or _chosen(n, "_value"))),
    Invariant("per-1", "Period", "The start is not after the end.",
              lambda n: _ordered(n.get("start"), n.get("end"))),
    Invariant("rng-2", "Range", "The low value is not above the high value.", _range_ordered),
    Invariant("rat-1", "Ratio", "Numerator and denominator are both present, or an extension is.", _ratio),
    *(Invariant("qty-3", name, "A unit code has its system.", _requires("code", "system")) for name in _QUANTITIES),
    Invariant("age-1", "Age", "An age is positive and has a UCUM unit.", _age),
    Invariant("cnt-3", "Count", "A count is a whole number with the UCUM unit 1.", _count),
    Invariant("dis-1", "Distance", "A distance has a UCUM unit.",
              lambda n: _code_with_value(n) and _ucum_or_none(n)),
    Invariant("drt-1", "Duration", "A duration with a code has a value and is in UCUM.", _duration),
    Invariant("cpt-2", "ContactPoint", "A value has its system (phone, email, …).", _requires("value", "system")),
    Invariant("att-1", "Attachment", "Attached data has a contentType.", _requires("data", "contentType")),
    Invariant("exp-1", "Expression", "An expression or a reference is there.", _any_of("expression", "reference")),
    Invariant("tim-1", "Timing.repeat", "A duration has its unit.", _requires("duration", "durationUnit")),
    Invariant("tim-2", "Timing.repeat", "A period has its unit.", _requires("period", "periodUnit")),
    Invariant("tim-4", "Timing.repeat", "A duration is not negative.", _not_negative("duration")),
    Invariant("tim-5", "Timing.repeat", "A period is not negative.", _not_negative("period")),
    Invariant("tim-6", "Timing.repeat", "A periodMax has a period.", _requires("periodMax", "period")),
    Invariant("tim-7", "Timing.repeat", "A durationMax has a duration.", _requires("durationMax", "duration")),
    Invariant("tim-8", "Timing.repeat", "A countMax has a count.", _requires("countMax", "count")),
    Invariant("tim-9", "Timing.repeat", "An offset has a when that is not C, CM, CD or CV.", _offset),
    Invariant("tim-10", "Timing.repeat", "Either timeOfDay or when.", _excludes("timeOfDay", "when")),
    # People and places
    Invariant("pat-1", "Patient.contact", "A contact has details or an organization.",
              _any_of("name", "telecom", "address", "organization")),
    Invariant("org-1", "Organization", "An organization has a name or an identifier.",
              _any_of("name", "identifier")),
    Invariant("org-2", "Organization", "An organization's address is not of use home.", _no_home_use("address")),
    Invariant("org-3", "Organization", "An organization's telecom is not of use home.", _no_home_use("telecom")),
    Invariant("grp-1", "Group", "Only an actual group has members.",
              lambda n: "member" not in n or n.get("actual") is True),
    # Clinical
    Invariant("ait-1", "AllergyIntolerance", "clinicalStatus is there unless it was entered in error.",
              lambda n: _verified_in_error(n, _ALLERGY_VERIFICATION) or "clinicalStatus" in n),
    Invariant("ait-2", "AllergyIntolerance", "clinicalStatus is not there when it was entered in error.",
              lambda n: not _verified_in_error(n, _ALLERGY_VERIFICATION) or "clinicalStatus" not in n),
    Invariant("con-1", "Condition.stage", "A stage has a summary or an assessment.",
              _any_of("summary", "assessment")),
    Invariant("con-2", "Condition.evidence", "Evidence has a code or details.", _any_of("code", "detail")),
    Invariant("con-4", "Condition", "An abated condition is inactive, resolved or in remission.", _abated),
    Invariant("con-5", "Condition", "clinicalStatus is not there when it was entered in error.",
              lambda n: not _verified_in_error(n, _CONDITION_VERIFICATION) or "clinicalStatus" not in n),
    Invariant("obs-3", "Observation.referenceRange", "A reference range has a low, a high or a text.",
              _any_of("low", "high", "text")),
    Invariant("obs-6", "Observation", "dataAbsentReason is there only without a value.",
              lambda n: "dataAbsentReason" not in n or not _chosen(n, "value")),
    Invariant("obs-7", "Observation", "No component has the Observation's own code when that has a value.",
              lambda n: "component" not in n or not _chosen(n, "value") or not _component_repeats_code(n)),
    Invariant("ras-2", "RiskAssessment.prediction", "A probability is at most 100.",
              lambda n: bool(n.get("probabilityDecimal", 0) <= 100)),
    # Care
    Invariant("cpl-3", "CarePlan.activity", "Either a reference or a detail.", _excludes("detail", "reference")),
    Invariant("ctm-1", "CareTeam.participant", "onBehalfOf is there only for a Practitioner.",
              lambda n: "onBehalfOf" not in n or _may_be_practitioner(n.get("member", {}))),
    Invariant("gol-1", "Goal.target", "A target with a detail has a measure.",
              lambda n: not _chosen(n, "detail") or "measure" in n),
    Invariant("prr-1", "ServiceRequest", "orderDetail is there only with a code.",
              _requires("orderDetail", "code")),
    Invariant("inv-1", "Task", "lastModified is not before authoredOn.",
              lambda n: _ordered(n.get("authoredOn"), n.get("lastModified"))),
    Invariant("app-1", "Appointment.participant", "A participant has a type or an actor.",
              _any_of("type", "actor")),
    Invariant("app-2", "Appointment", "Start and end are both there, or neither.",
              lambda n: _has(n, "start") == _has(n, "end")),
    Invariant("app-3", "Appointment", "Only proposed, cancelled or waitlisted appointments lack start and end.",
              lambda n: (_has(n, "start") and _has(n, "end"))
              or n.get("status") in {"proposed", "cancelled", "waitlist"}),
    Invariant("app-4", "Appointment", "cancelationReason is there only when cancelled or no-show.",
              lambda n: "cancelationReason" not in n or n.get("status") in {"no-show", "cancelled"}),
    Invariant("ppc-1", "Consent", "A consent has a policy or a policyRule.", _any_of("policy", "policyRule")),
    Invariant("lst-1", "List", "emptyReason is there only for an empty list.", _excludes("emptyReason", "entry")),
    Invariant("lst-2", "List", "Entries are deleted only in mode changes.",
              lambda n: n.get("mode") == "changes" or not any(_has(e, "deleted") for e in n.get("entry", ()))),
    Invariant("lst-3", "List", "Entries have dates only in mode working.",
              lambda n: n.get("mode") == "working" or not any(_has(e, "date") for e in n.get("entry", ()))),
    Invariant("cmp-1", "Composition.section", "A section has text, entries or sections.",
              _any_of("text", "entry", "section")),
    Invariant("cmp-2", "Composition.section", "emptyReason is there only without entries.",
              _excludes("emptyReason", "entry")),
    Invariant("sev-1", "AuditEvent.entity", "Either a name or a query.", _excludes("name", "query")),
    # Questionnaires
    Invariant("que-1", "Questionnaire.item", "Groups have items and displays have none.",
              lambda n: _has(n, "_type") or _nesting(n)),
    Invariant("que-2", "Questionnaire", "Every linkId is there once.", lambda n: _distinct(list(_link_ids(n)))),
    Invariant("que-3", "Questionnaire.item", "A display has no code.",
              _of_type("group", *_QUESTION_TYPES, needed="code")),
    Invariant("que-4", "Questionnaire.item", "Either answerOption or answerValueSet.",
              _excludes("answerOption", "answerValueSet")),
    Invariant("que-5", "Questionnaire.item", "Items of this type have no answerValueSet.",
              _of_type(*_OPTION_TYPES, needed="answerValueSet")),
    Invariant("que-5", "Questionnaire.item", "Items of this type have no answerOption.",
              _of_type(*_OPTION_TYPES, needed="answerOption")),
    Invariant("que-6", "Questionnaire.item", "A display is not required.",
              _of_type("group", *_QUESTION_TYPES, needed="required")),
    Invariant("que-6", "Questionnaire.item", "A display does not repeat.",
              _of_type("group", *_QUESTION_TYPES, needed="repeats")),
    Invariant("que-7", "Questionnaire.item.enableWhen", "The operator exists compares with a boolean.",
              lambda n: n.get("operator") != "exists" or "answerBoolean" in n),
    Invariant("que-8", "Questionnaire.item", "Groups and displays have no initial value.",
              _of_type(*_QUESTION_TYPES, needed="initial")),
    Invariant("que-9", "Questionnaire.item", "A display is not read-only.",
              _of_type("group", *_QUESTION_TYPES, needed="readOnly")),
    Invariant("que-10", "Questionnaire.item", "Items of this type have no maxLength.",
              _of_type(*_LENGTH_TYPES, needed="maxLength")),
    Invariant("que-11", "Questionnaire.item", "Either answerOption or initial.",
              _excludes("answerOption", "initial")),
    Invariant("que-12", "Questionnaire.item", "More than two enableWhen need an enableBehavior.",
              lambda n: len(n.get("enableWhen", ())) <= 2 or _has(n, "enableBehavior")),
    Invariant("que-13", "Questionnaire.item", "Only repeating items have several initial values.",
              lambda n: n.get("repeats") is True or len(n.get("initial", ())) <= 1),
    Invariant("qrs-1", "QuestionnaireResponse.item", "Items are nested below the item or below its answers.",
              _excludes("answer", "item")),
    # Bundles and infrastructure
    Invariant("bdl-1", "Bundle", "total is there only in a searchset or history.",
              lambda n: "total" not in n or n["type"] in {"searchset", "history"}),
    Invariant("bdl-2", "Bundle", "entry.search is there only in a searchset.",
              lambda n: n["type"] == "searchset" or not any("search" in entry for entry in _entries(n))),
    Invariant("bdl-3", "Bundle", "entry.request is there in a batch, transaction or history, and nowhere else.",
              _entries_have("request", "batch", "transaction", "history")),
    Invariant("bdl-4", "Bundle", "entry.response is there in a response or history, and nowhere else.",
              _entries_have("response", "batch-response", "transaction-response", "history")),
    Invariant("bdl-5", "Bundle.entry", "An entry has a resource, a request or a response.",
              _any_of("resource", "request", "response")),
    Invariant("bdl-7", "Bundle", "Every fullUrl is there once, or with different versions.", _full_urls),
    Invariant("bdl-8", "Bundle.entry", "A fullUrl names no version.",
              lambda n: "/_history/" not in n.get("fullUrl", "")),
    Invariant("bdl-9", "Bundle", "A document has an identifier with system and value.", _document_identified),
    Invariant("bdl-10", "Bundle", "A document has a timestamp.",
              lambda n: n["type"] != "document" or "timestamp" in n),
    Invariant("bdl-11", "Bundle", "A document begins with a Composition.", _first_is("document", "Composition")),
    Invariant("bdl-12", "Bundle", "A message begins with a MessageHeader.", _first_is("message", "MessageHeader")),
    Invariant("inv-1", "Parameters.parameter", "A parameter has a value, a resource or parts.", _one_content),
    Invariant("mrp-1", "MeasureReport", "A report for data collection has no groups.",
              lambda n: n.get("type") != "data-collection" or "group" not in n),
    Invariant("cpb-1", "CapabilityStatement", "It has rest, messaging or document.",
              _any_of("rest", "messaging", "document")),
    Invariant("cpb-2", "CapabilityStatement", "It has a description, software or implementation.",
              _any_of("description", "software", "implementation")),
    Invariant("cpb-9", "CapabilityStatement.rest", "Each resource is described once.",
              lambda n: _distinct([resource.get("type") for resource in n.get("resource", ())])),
    Invariant("cpb-12", "CapabilityStatement.rest.resource", "Each search parameter is described once.",
              lambda n: _distinct([parameter.get("name") for parameter in n.get("searchParam", ())])),
    Invariant("cpb-14", "CapabilityStatement", "An instance has an implementation.",
              lambda n: n.get("kind") != "instance" or "implementation" in n),
    Invariant("cpb-15", "CapabilityStatement", "A capability has software and no implementation.",
              lambda n: n.get("kind") != "capability" or ("software" in n and "implementation" not in n)),
    Invariant("cpb-16", "CapabilityStatement", "Requirements have neither software nor implementation.",
              lambda n: n.get("kind") != "requirements" or not _has(n, "software", "implementation")),
)  # fmt: skip


def _may_be_practitioner(member: Json) -> bool:
    """ctm-1 lets pass what does not resolve; a literal of another type surely does not hold."""
    target = str(member.get("reference", "Practitioner/"))
    return "Practitioner/" in target or "/" not in target


@cache
def of(node: str) -> tuple[Invariant, ...]:
    """The invariants of a node."""
    return _BY_NODE.get(node, ())


def keys() -> frozenset[str]:
    """Every constraint key that is checked here."""
    return frozenset(row.key for row in _ROWS)


_BY_NODE: Mapping[str, tuple[Invariant, ...]] = {
    node: tuple(row for row in _ROWS if row.node == node) for node in {row.node for row in _ROWS}
}
