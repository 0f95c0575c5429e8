"""An outside practice, what a member releases to it, and the share that decides what it gets of a store."""

import time
from typing import Any

from fhirgw.answer import PageSeal
from fhirgw.asks import Requester
from fhirgw.audit import Ledger
from fhirgw.consent.model import ConsentSettings
from fhirgw.settings import Keys
from fhirgw.share import Share
from fhirgw.store.database import Database

Json = dict[str, Any]
KEYS = Keys.derive(b"bench")
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
CLEARED = {"tag": [{"system": "http://fhirgw.org/fhir/CodeSystem/icm-text-review", "code": "cleared"}]}
ELM = Requester("elm", "elm", "TREAT", ("system/*.rs",), None, "bench")


def coded(code: str, system: str = ICD) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def to(kind: str, logical: str) -> Json:
    return {"reference": f"{kind}/{logical}"}


def label(code: str, of: str = "v3-Confidentiality") -> Json:
    """A security label of HL7's."""
    return {"system": f"http://terminology.hl7.org/CodeSystem/{of}", "code": code}


def release(patient: str, logical: str, *labels: Json, status: str = "active", end: str = "2090-12-31") -> Json:
    """A Consent by which a member releases what has these labels to the practice."""
    role = coded("IRCP", "http://terminology.hl7.org/CodeSystem/v3-ParticipationType")
    provision = {
        "type": "permit",
        "period": {"start": "2020-01-01", "end": end},
        "actor": [{"role": role, "reference": to("Organization", "elm")}],
        "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
        "securityLabel": list(labels),
    }
    return {
        "resourceType": "Consent",
        "id": logical,
        "status": status,
        "scope": coded("patient-privacy", "http://terminology.hl7.org/CodeSystem/consentscope"),
        "category": [coded("64292-6", "http://loinc.org")],
        "patient": to("Patient", patient),
        "dateTime": "2020-01-01",
        "performer": [to("Patient", patient)],
        "organization": [to("Organization", "icm")],
        "sourceReference": to("DocumentReference", "d"),
        "provision": provision,
    }


def share_of(database: Database) -> Share:
    """What decides over a store, as a gateway has it."""
    return Share(
        database,
        Ledger("bench", KEYS.audit),
        base="https://gw.example.org/fhir",
        pages=PageSeal(KEYS.cursor, 900),
        consent=ConsentSettings(),
        clock=lambda: time.time_ns() // 1000,
    )
