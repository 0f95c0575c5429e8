"""The small FHIR shapes that every ICM mapper is written with, and the scope of one case.

Our own code systems live under ``http://fhirgw.org/fhir/CodeSystem/``. No reference carries a display, and
a person's own text stands only where ``labelled`` states what it reveals: so that nothing has to be guessed
later.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from fhirgw.cadence import Cadence
from fhirgw.icm.base import Address, Classified, Coded, HumanName, Identified, Organization, Telecom
from fhirgw.icm.model import Case
from fhirgw.mappers.ids import resource_id
from fhirgw.programs import Program
from fhirgw.terminology import ACT_CODE, BASE, CONFIDENTIALITY, INLINE_LABEL, THO

Json = dict[str, Any]

CANONICAL = BASE
CASE_KEY = f"{BASE}/sid/icm-case"
"""System of the care-management system's own keys."""
ACT_REASON = f"{THO}v3-ActReason"
NUCC = "http://nucc.org/provider-taxonomy"
US_CORE_CODES = "http://hl7.org/fhir/us/core/CodeSystem/"
NO_FIXED_ADDRESS = "http://hl7.org/fhir/ca/baseline/StructureDefinition/ext-nofixedaddress"
CUSTODIAN = "http://hl7.org/fhir/us/mcc/StructureDefinition/custodian"
HL7_EXTENSIONS = "http://hl7.org/fhir/StructureDefinition/"
PERTAINS_TO_GOAL = f"{HL7_EXTENSIONS}resource-pertainsToGoal"
TEXT_REVIEW = {"system": f"{CANONICAL}/CodeSystem/icm-text-review", "code": "cleared"}
"""Tag: the free text of this resource was classified by a person; without it a text counts as unclassified."""
UNREVIEWED = TEXT_REVIEW | {"code": "unreviewed"}
"""Tag: it has free text, and nobody has classified it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What all parts of one case share: the case, its programme, the id key and who the Patient is."""

    case: Case
    program: Program
    key: bytes
    patient_id: str
    staff: dict[str, Json] = field(default_factory=dict)
    """References to care team members that were made before, by local id: each is asked for many times."""

    def id(self, type_: str, *parts: str) -> str:
        """Id of a resource that this case owns: HMAC of type, case key and local parts."""
        return resource_id(self.key, type_, self.case.key, *parts)

    def ref(self, type_: str, *parts: str) -> Json:
        """A reference to a resource that this case owns."""
        return {"reference": f"{type_}/{self.id(type_, *parts)}"}

    @property
    def patient(self) -> Json:
        """A reference to the Patient."""
        return {"reference": f"Patient/{self.patient_id}"}

    @property
    def manager(self) -> Json:
        """A reference to the organization that runs the programme."""
        organization = self.program.organization
        return organization_ref(self.key, organization.system, organization.value)


def local(system: str, code: str, display: str | None = None) -> Json:
    """A Coding of one of our own code systems."""
    return coding(f"{CANONICAL}/CodeSystem/{system}", code, display)


def coding(system: str, code: str, display: str | None = None) -> Json:
    """A Coding."""
    return {"system": system, "code": code} | ({"display": display} if display else {})


def program_concept(program: Program) -> Json:
    """The programme as a code."""
    return concept(local("icm-program", program.id, program.name))


def concept(*codings: Json, text: str | None = None) -> Json:
    """A CodeableConcept."""
    return compact({"coding": list(codings), "text": text})


def coded(value: Coded) -> Json:
    """A Coding from the case."""
    return coding(value.system, value.code, value.display)


def compact(resource: Json) -> Json:
    """Without what is absent: None, empty lists and empty objects, which FHIR does not allow."""
    return {name: value for name, value in resource.items() if value is not None and value not in ([], {}, "")}


SURVEY = concept(coding(f"{THO}observation-category", "survey", "Survey"))
FUNCTIONAL = concept(coding(f"{US_CORE_CODES}us-core-category", "functional-status", "Functional Status"))
SDOH = concept(coding(f"{US_CORE_CODES}us-core-category", "sdoh", "SDOH"))


def instant(value: date | datetime) -> str:
    """A FHIR date or dateTime; a dateTime keeps the offset it was stated with."""
    return value.isoformat()


def period(start: date | datetime | None, end: date | datetime | None) -> Json | None:
    """A Period; None where neither end is known."""
    return {name: instant(day) for name, day in (("start", start), ("end", end)) if day} or None


def noon(scope: Scope, day: date) -> datetime:
    """An instant for what the case states as a day: noon is in it in every zone nearby."""
    return datetime.combine(day, time(12), ZoneInfo(scope.program.zone))


def identifier(value: Identified) -> Json:
    """An Identifier."""
    return {"system": value.system, "value": value.value}


def human_name(name: HumanName) -> Json:
    """A HumanName."""
    return compact({"family": name.family, "given": list(name.given), "text": name.text})


def contact_point(telecom: Telecom) -> Json:
    """A ContactPoint."""
    return compact({"system": telecom.system, "value": telecom.value, "use": telecom.use})


def postal_address(address: Address) -> Json:
    """An Address."""
    return compact(
        {
            "extension": [] if address.fixed else [{"url": NO_FIXED_ADDRESS, "valueBoolean": True}],
            "use": address.use,
            "line": list(address.lines),
            "city": address.city,
            "state": address.state,
            "postalCode": address.postal_code,
            "country": address.country,
        }
    )


def organization_ref(key: bytes, system: str, value: str) -> Json:
    """A reference to an Organization by its first identifier."""
    return {"reference": f"Organization/{resource_id(key, 'Organization', system, value)}"}


def organization(key: bytes, value: Organization) -> Json:
    """Organization: identifier, name and telecom only, so that a case cannot say more about it than its name."""
    return compact(
        {
            "resourceType": "Organization",
            "id": resource_id(key, "Organization", value.identifier.system, value.identifier.value),
            "identifier": [identifier(value.identifier)],
            "active": True,
            "name": value.name,
            "telecom": [contact_point(telecom) for telecom in value.telecom],
        }
    )


def by_content(key: bytes, resource: Json) -> Json:
    """The resource with an id made of its whole content.

    The resource with an id made of its whole content: an id never changes its content, so that one member's
    case cannot alter what another member's reader sees.
    """
    content = json.dumps(resource, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {
        "resourceType": resource["resourceType"],
        "id": resource_id(key, resource["resourceType"], content),
        **{name: value for name, value in resource.items() if name != "resourceType"},
    }


def never_shared(resource: Json, *, codes: Iterable[str] = ()) -> Json:
    """The resource at the highest confidentiality: it tells of a consent, and no release covers that.

    See: the consent specification, §0 no. 12 (consents are themselves protected).
    """
    stated = [coding(CONFIDENTIALITY, "V"), *(coding(ACT_CODE, code) for code in codes)]
    return _with_meta(resource, {"security": stated})


def labelled(resource: Json, *texts: Classified, codes: Iterable[str] = ()) -> Json:
    """The resource with its sensitivity: the codes of its texts, and those that its structure brings with it.

    Cleared when every one of its texts was classified by a person (consent specification §2.3).
    """
    stated = sorted({code for text in texts for code in text.codes} | set(codes))
    meta = compact(
        {
            "security": [coding(ACT_CODE, code) for code in stated],
            "tag": [TEXT_REVIEW if all(text.cleared for text in texts) else UNREVIEWED] if texts else [],
        }
    )
    return _with_meta(resource, meta) if meta else resource


def labelled_inline(element: Json, codes: Iterable[str]) -> Json:
    """An element that reveals more than its resource does: with DS4P's inline labels it can be left out alone."""
    labels = [{"url": INLINE_LABEL, "valueCoding": coding(ACT_CODE, code)} for code in sorted(codes)]
    return {"extension": labels, **element} if labels else element


def _with_meta(resource: Json, meta: Json) -> Json:
    head = {name: resource[name] for name in ("resourceType", "id")}
    return {**head, "meta": meta, **{name: value for name, value in resource.items() if name not in head}}


def revealed(resource: Json) -> tuple[str, ...]:
    """What a resource says of what it reveals: its labels, and whether it has text that nobody has classified."""
    meta = resource.get("meta", {})
    return tuple(
        sorted(one["code"] for one in (*meta.get("security", []), *meta.get("tag", [])) if one != TEXT_REVIEW)
    )


def extension(name: str, **value: object) -> Json:
    """One of our own extensions."""
    return {"url": f"{CANONICAL}/StructureDefinition/{name}", **value}


def reference_to(resource: Json) -> Json:
    """A reference to a resource at hand."""
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def timing(cadence: Cadence, start: date | None = None) -> Json:
    """Timing.repeat from a cadence, of the plan or of the programme's tier."""
    repeat: Mapping[str, object] = {
        "boundsPeriod": period(start, None),
        "duration": cadence.minutes,
        "durationUnit": "min" if cadence.minutes else None,
        "frequency": cadence.frequency,
        "frequencyMax": cadence.frequency_max,
        "period": cadence.period,
        "periodMax": cadence.period_max,
        "periodUnit": cadence.unit,
    }
    return {"repeat": compact(dict(repeat))}
