"""The AuditEvent of what happened to one patient's data, and what an accounting reads from it.

A disclosure is in the profile PrivacyDisclosure.Source of IHE's Basic Audit Log Patterns (BALP 1.1.4), a read
inside the programme in PatientRead. BALP's profiles of searches want the search as it was asked, which would put
names and diagnoses into the ledger: searches inside the programme are in no profile (docs/decisions/0225).
See: https://profiles.ihe.net/ITI/BALP; FHIR R4 AuditEvent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fhirgw.consent.predicate import Visibility
from fhirgw.store.stored import instant
from fhirgw.terminology import NUCC, US_NPI

Json = dict[str, Any]

BALP: Final = "https://profiles.ihe.net/ITI/BALP"
DISCLOSED: Final = f"{BALP}/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Source"
READ: Final = f"{BALP}/StructureDefinition/IHE.BasicAudit.PatientRead"
AGREEMENT: Final = "urn:fhirgw:agreement:"
"""Before the name of an agreement under which the law has something disclosed: no resource, an identifier."""
EMERGENCY: Final = "urn:fhirgw:emergency:"
"""Before the id of an emergency claim."""
PART2_LABEL: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}

_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_REST: Final = {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"}
_EXPORT: Final = {"system": _DCM, "code": "110106", "display": "Export"}
_OPERATOR: Final = {"system": _DCM, "code": "110100", "display": "Application Activity"}
_DISCLOSE: Final = {"system": "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "code": "disclose"}
_SOURCE: Final = {"coding": [{"system": _DCM, "code": "110153", "display": "Source Role ID"}]}
_DESTINATION: Final = {"coding": [{"system": _DCM, "code": "110152", "display": "Destination Role ID"}]}
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_PERSON: Final = {"coding": [{"system": _PARTICIPATION, "code": "IRCP", "display": "information recipient"}]}
_INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
_ACTIONS: Final = {"create": "C", "update": "U", "delete": "D"}
_PURPOSE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_REQUEST: Final = {"system": f"{BALP}/CodeSystem/BasicAuditEntityType", "code": "XrequestId"}
_PATIENT_ROLE, _DATA_ROLE, _SECURITY_ROLE = "1", "4", "13"
_PERSON_TYPE, _OBJECT_TYPE, _OTHER_TYPE = "1", "2", "4"
BASES: Final = 1024
"""How many are kept as they are told."""
_URI: Final = "5"
"""AuditEvent.agent.network.type."""


class Basis(NamedTuple):
    """What a decision was made from and nothing else keeps, so that it can be made again (``replay``).

    Attributes:
        decided: Microseconds: the instant of the decision.
        channel: How it was asked.
        classes: What the recipient was registered as.
        enrolments: How the patient stood to programmes, which of them aside.
        others: Patients whose records were merged or linked with the patient's.
        consents: Each Consent that was read, ``Consent/x/_history/3``, and the digest of its content.
        settings: Digest of the switches of the specification.
        labels: Version of the label tables.
    """

    decided: int
    channel: str
    classes: tuple[str, ...]
    enrolments: tuple[str, ...]
    others: tuple[str, ...]
    consents: tuple[tuple[str, str], ...]
    settings: str
    labels: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened to one patient's data.

    Attributes:
        patient: Logical id; None when the event is about nobody in particular.
        recipient: Client id, or ``operator``.
        organization: Reference of the recipient's Organization, or None.
        purpose: v3-ActReason code.
        disclosure: Whether it left the programme.
        interaction: FHIR restful-interaction code, or an operator's command.
        resources: References with the version shown: ``CarePlan/x/_history/3``.
        consents: References of the Consents it was released under, or names of agreements after ``AGREEMENT``.
        request_id: The ``X-Request-Id`` of the answer.
        part2: Those of the resources that held records under 42 CFR Part 2 when they were disclosed.
        emergency: The facts of the emergency claim it was asked under (42 CFR 2.51(c)), or None.
        basis: What it was decided from; None where consent decided nothing.
    """

    patient: str | None
    recipient: str
    organization: str | None
    purpose: str
    disclosure: bool
    interaction: str
    resources: tuple[str, ...]
    consents: tuple[str, ...]
    request_id: str
    emergency: Mapping[str, str] | None = None
    part2: tuple[str, ...] = ()
    basis: Basis | None = None


def released_under(visibility: Visibility, patient: str) -> tuple[str, ...]:
    """The Consents and agreements that let anything of a patient be seen."""
    grant = visibility.grant_for(patient)
    if grant is None:
        return ()
    agreed = (f"{AGREEMENT}{name}" for name in sorted(grant.agreements))
    named = (f"Consent/{consent}/_history/{version}" for consent, version in sorted(grant.consents))
    return (*named, *agreed)


def audit_event(entry: Entry, recorded_at: int, site: str) -> Json:
    """The FHIR R4 AuditEvent of an entry; ``site``: base URL of the gateway that released it."""
    subtype = [{"system": _INTERACTION, "code": entry.interaction}]
    kind = _OPERATOR if entry.recipient == "operator" else _REST
    if entry.disclosure:
        kind, subtype = _EXPORT, [_DISCLOSE, *subtype]
    profile = _profile(entry)
    return {
        "resourceType": "AuditEvent",
        **({"meta": {"profile": [profile]}} if profile else {}),
        "type": kind,
        "subtype": subtype,
        "action": _ACTIONS.get(entry.interaction, "R"),
        "recorded": instant(recorded_at),
        "outcome": "0",
        "purposeOfEvent": [{"coding": [{"system": _PURPOSE, "code": entry.purpose}]}],
        "agent": [_recipient(entry), _gateway(site), *_claimants(entry)],
        "source": {"site": site, "observer": {"display": "fhirgw"}},
        "entity": [*_entities(entry), *_emergencies(entry), _request(entry)],
    }


def _profile(entry: Entry) -> str | None:
    """The BALP profile whose rules the event keeps."""
    if entry.patient is None or entry.recipient == "operator":
        return None
    if entry.disclosure:
        return DISCLOSED
    return READ if entry.interaction in ("read", "vread") and len(entry.resources) == 1 else None


def _recipient(entry: Entry) -> Json:
    """Who got it. Its network address is the name it is registered under, not where it happened to call from."""
    who: Json = {"reference": entry.organization} if entry.organization else {}
    who["identifier"] = {"value": entry.recipient}
    network = {"address": f"urn:fhirgw:client:{entry.recipient}", "type": _URI}
    return {"type": _DESTINATION, "who": who, "requestor": entry.emergency is None, "network": network}


def _gateway(site: str) -> Json:
    network = {"address": site, "type": _URI}
    return {"type": _SOURCE, "who": {"display": "fhirgw"}, "requestor": False, "network": network}


def _claimants(entry: Entry) -> list[Json]:
    """The person for whom an emergency is claimed, and their affiliation."""
    claim = entry.emergency
    if claim is None:
        return []
    person = {"identifier": {"system": US_NPI, "value": claim["npi"]}, "display": claim["person"]}
    role = {"coding": [{"system": NUCC, "code": claim["role"]}], "text": claim["affiliation"]}
    return [{"type": _PERSON, "role": [role], "who": person, "requestor": True}]


def _entities(entry: Entry) -> list[Json]:
    """The patient, what of them, and under which Consents."""
    about = (f"Patient/{entry.patient}",) if entry.patient else ()
    groups = (
        (about, _PERSON_TYPE, _PATIENT_ROLE),
        (entry.resources, _OBJECT_TYPE, _DATA_ROLE),
        (entry.consents, _OTHER_TYPE, _SECURITY_ROLE),
    )
    return [
        {
            "what": {"identifier": {"value": name}} if name.startswith(AGREEMENT) else {"reference": name},
            "type": {"system": _TYPE, "code": kind},
            "role": {"system": _ROLE, "code": role},
            **({"securityLabel": [PART2_LABEL]} if name in entry.part2 else {}),
        }
        for names, kind, role in groups
        for name in names
    ]


def _emergencies(entry: Entry) -> list[Json]:
    """The claim, as what something was released under; its reason."""
    claim = entry.emergency
    if claim is None:
        return []
    return [
        {
            "what": {"identifier": {"value": f"{EMERGENCY}{claim['id']}"}},
            "type": {"system": _TYPE, "code": _OTHER_TYPE},
            "role": {"system": _ROLE, "code": _SECURITY_ROLE},
            "description": claim["reason"],
            "detail": [{"type": "since", "valueString": claim["since"]}],
        }
    ]


def _request(entry: Entry) -> Json:
    """The request, and what it was decided from."""
    said = {"what": {"identifier": {"value": entry.request_id}}, "type": _REQUEST}
    if entry.basis is None:
        return said
    decided = {"type": "decided", "valueString": str(entry.basis.decided)}
    return said | {"detail": [decided, *_lasting(entry.basis._replace(decided=0))]}


@lru_cache(maxsize=BASES)
def _lasting(basis: Basis) -> tuple[Json, ...]:
    """All of it but the instant: what was decided from the same a moment ago is told in the same words."""
    said = [("channel", basis.channel), ("settings", basis.settings), ("labels", basis.labels)]
    for name in ("classes", "enrolments", "others"):
        said += [(name, value) for value in getattr(basis, name)]
    said += [("consents", f"{reference} {digest}") for reference, digest in basis.consents]
    return tuple({"type": name, "valueString": value} for name, value in said)


# What an accounting reads -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One release outside the programme, as the ledger has it.

    Attributes:
        recorded: When (FHIR instant).
        recipient: Client id.
        organization: Reference of the recipient's Organization, or None.
        purpose: v3-ActReason code.
        resources: References with the version shown.
        consents: What it was released under: Consents, agreements, an emergency.
        request_id: The ``X-Request-Id`` of the answer.
        part2: Whether records under 42 CFR Part 2 were among it.
    """

    recorded: str
    recipient: str
    organization: str | None
    purpose: str
    resources: tuple[str, ...]
    consents: tuple[str, ...]
    request_id: str
    part2: bool


def disclosure(event: Json) -> Disclosure:
    """What an AuditEvent says of a release."""
    by_role: dict[str, list[str]] = {}
    request_id = ""
    for entity in event["entity"]:
        what = entity["what"]
        said = what["reference"] if "reference" in what else what["identifier"]["value"]
        if entity["type"] == _REQUEST:
            request_id = said
        else:
            by_role.setdefault(entity["role"]["code"], []).append(said)
    who = event["agent"][0]["who"]
    return Disclosure(
        recorded=event["recorded"],
        recipient=who["identifier"]["value"],
        organization=who.get("reference"),
        purpose=event["purposeOfEvent"][0]["coding"][0]["code"],
        resources=tuple(by_role.get(_DATA_ROLE, ())),
        consents=tuple(by_role.get(_SECURITY_ROLE, ())),
        request_id=request_id,
        part2=any(PART2_LABEL in entity.get("securityLabel", ()) for entity in event["entity"]),
    )


def recorded(event: Json, patient: str | None) -> Entry:
    """The entry that an AuditEvent of the ledger is of."""
    told = disclosure(event)
    request = next(entity for entity in event["entity"] if entity["type"] == _REQUEST)
    subtypes = [subtype for subtype in event["subtype"] if subtype != _DISCLOSE]
    return Entry(
        patient=patient,
        recipient=told.recipient,
        organization=told.organization,
        purpose=told.purpose,
        disclosure=_DISCLOSE in event["subtype"],
        interaction=subtypes[0]["code"],
        resources=told.resources,
        consents=tuple(name for name in told.consents if not name.startswith(EMERGENCY)),
        request_id=told.request_id,
        emergency=_claim(event),
        part2=tuple(_named(entity) for entity in event["entity"] if PART2_LABEL in entity.get("securityLabel", ())),
        basis=_basis(request.get("detail", ())),
    )


def _named(entity: Json) -> str:
    what: Json = entity["what"]
    return str(what["reference"] if "reference" in what else what["identifier"]["value"])


def _claim(event: Json) -> Mapping[str, str] | None:
    """The facts of an emergency claim; None where none was made."""
    claims = [entity for entity in event["entity"] if _named(entity).startswith(EMERGENCY)]
    if not claims:
        return None
    [person] = [agent for agent in event["agent"] if agent["type"] == _PERSON]
    return {
        "id": _named(claims[0]).removeprefix(EMERGENCY),
        "person": person["who"]["display"],
        "npi": person["who"]["identifier"]["value"],
        "role": person["role"][0]["coding"][0]["code"],
        "affiliation": person["role"][0]["text"],
        "reason": claims[0]["description"],
        "since": claims[0]["detail"][0]["valueString"],
    }


def _basis(details: Sequence[Json]) -> Basis | None:
    said: dict[str, list[str]] = {}
    for detail in details:
        said.setdefault(detail["type"], []).append(detail["valueString"])
    if not said:
        return None
    consents = [value.split(" ", 1) for value in said.get("consents", ())]
    return Basis(
        decided=int(said["decided"][0]),
        channel=said["channel"][0],
        classes=tuple(said.get("classes", ())),
        enrolments=tuple(said.get("enrolments", ())),
        others=tuple(said.get("others", ())),
        consents=tuple((reference, digest) for reference, digest in consents),
        settings=said["settings"][0],
        labels=said["labels"][0],
    )
