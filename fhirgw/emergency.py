"""Break-glass: who claims which emergency about whom, and what a claim brings about.

A claim comes in the signed assertion of a client that is registered for it, and is good for the one token that the
assertion gets: one person, one patient, one hour. It is documented when it is made, whatever it opens then: in the
ledger, as a Task of the programme's staff, and as a notice to those who asked for one. What it opens is decided as
everything is (``consent.authority``). The answer to a claim is the same whoever the patient is.
See: 42 CFR 2.51(c); the consent specification, §2.7 row 4; UDAP Security 1.0, B2B Authorization Extension Object.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from fhirgw import alerts
from fhirgw.answer import Shown
from fhirgw.audit import Entry
from fhirgw.consent.model import Json, Recipient
from fhirgw.consent.vocabulary import MEDICAL_PERSONNEL, is_medical, purpose_line
from fhirgw.errors import Forbidden, InvalidElement
from fhirgw.profiles.validation import require_valid
from fhirgw.store import clients, identity, outbox, parties, repository
from fhirgw.store.database import Transaction
from fhirgw.store.stored import instant
from fhirgw.terminology import BASE, US_NPI

EXTENSION = "fhirgw-emergency"
"""Beside UDAP's ``hl7-b2b``, which says who asks and for what: about whom, and what the emergency is."""
B2B = "hl7-b2b"
TASK = "emergency-review"
STAFF = {"system": f"{BASE}/CodeSystem/icm-audience", "code": "staff", "display": "Staff of the programme"}
"""A security label that no table maps: nothing releases what carries it."""
MOST = 500
"""Characters of a fact."""
_NPI = re.compile(r"\d{10}", re.ASCII)
_PATIENT = re.compile(r"Patient/[A-Za-z0-9.-]{1,64}|[^|\s]{1,200}\|\S{1,200}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claim:
    """What 42 CFR 2.51(c) wants documented, as the client has signed it.

    Attributes:
        id: Of the token it is good for.
        person: Name of whom the data is for.
        npi: Their National Provider Identifier.
        role: What they are: a code of the NUCC Health Care Provider Taxonomy.
        affiliation: With which facility.
        patient: ``Patient/x``, or ``system|value``.
        reason: The nature of the emergency.
        since: Microseconds: when it was made.
    """

    id: str
    person: str
    npi: str
    role: str
    affiliation: str
    patient: str
    reason: str
    since: int


def read(extensions: Mapping[str, Any], *, id: str, now: int) -> Claim | None:
    """The claim that the extensions of an assertion make; None: they make none.

    Raises:
        InvalidElement: It cannot be read, or lacks a fact.
        Forbidden: It is by somebody who is not of the medical personnel.
    """
    if EXTENSION not in extensions:
        return None
    about, who = extensions[EXTENSION], extensions.get(B2B)
    if not isinstance(about, dict) or not isinstance(who, dict):
        raise InvalidElement(f"An emergency is claimed with the extensions {B2B} and {EXTENSION}.")
    claim = Claim(
        id=id,
        person=_fact(who, "subject_name"),
        npi=_fact(who, "subject_id"),
        role=_fact(who, "subject_role"),
        affiliation=_fact(who, "organization_name"),
        patient=_fact(about, "patient"),
        reason=_fact(about, "reason"),
        since=now,
    )
    if not _NPI.fullmatch(claim.npi):
        raise InvalidElement("The subject_id of a person is their NPI, ten digits.", location="subject_id")
    if not _PATIENT.fullmatch(claim.patient):
        raise InvalidElement("A patient is named as Patient/id, or as system|value.", location="patient")
    if not is_medical(claim.role):
        raise Forbidden("Emergencies are claimed for medical personnel, by a code of the NUCC taxonomy.")
    return claim


def _fact(stated: Json, name: str) -> str:
    value = stated.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidElement(f"An emergency claim states {name}.", location=name)
    if len(value) > MOST:
        raise InvalidElement(f"This has {MOST} characters at most.", location=name)
    return value.strip()


def is_purpose(code: str) -> bool:
    """Whether a purpose of use is that of an emergency."""
    return "ETREAT" in purpose_line(code)


def patient(connection: Connection, claim: Claim) -> str | None:
    """Whom it is about, by logical id; None where nobody is, or several are: then it opens nothing."""
    if not claim.patient.startswith("Patient/"):
        system, _, value = claim.patient.rpartition("|")
        found = identity.find(connection, [(system, value)])
        return found.pop() if len(found) == 1 else None
    logical = claim.patient.removeprefix("Patient/")
    return logical if repository.exists(connection, "Patient", logical) else None


def as_asked(claim: Claim, patient: str) -> Json:
    """The claim as a decision reads it."""
    return {
        "patient": f"Patient/{patient}",
        "person": claim.person,
        "affiliation": claim.affiliation,
        "reason": claim.reason,
        "since": instant(claim.since),
    }


def recipient(connection: Connection, claim: Claim, system: Recipient) -> Recipient:
    """The person of the claim, in the organization of the client; as whom the store knows them, too."""
    npi = f"{US_NPI}|{claim.npi}"
    known = parties.bearers(connection, "Practitioner", npi)
    tokens, roles = system.tokens | known | {npi}, system.roles | MEDICAL_PERSONNEL
    return replace(system, tokens=tokens, roles=roles, person=True)


# --- what a claim brings about ------------------------------------------------------------------------------------


def documented(tx: Transaction, claim: Claim, entry: Entry) -> Entry:
    """Raise the Task, and the notices; the entry of the ledger that says so.

    Args:
        tx: The transaction: the claim counts after its commit.
        claim: As it was made.
        entry: Who made it; the patient and the Task are put in.
    """
    about = patient(tx.connection, claim)
    if about is None:
        return entry
    task = review(claim, about, entry)
    require_valid(task)
    stored = repository.put(tx, task)
    wanted = {
        one.id: one.notify_on & clients.NOTICES for one in clients.notified(tx.direct) if one.inside is not None
    }
    focus, happened = f"Task/{stored.id}", [(clients.EMERGENCY, claim.id, True)]
    outbox.announce(tx, patient=about, focus=focus, happened=happened, wanted=wanted)
    return replace(entry, patient=about, resources=(f"{focus}/_history/{stored.version}",))


def review(claim: Claim, patient: str, entry: Entry) -> Json:
    """The Task to review a claim, with its facts, for the staff of the member's programme and nobody else."""
    code = {"system": f"{BASE}/CodeSystem/icm-task", "code": TASK, "display": "Review access in an emergency"}
    said = {**asdict(claim), "client": entry.recipient, "purpose": entry.purpose}
    facts = ("client", "purpose", "person", "npi", "role", "affiliation", "reason")
    return {
        "resourceType": "Task",
        "id": claim.id,
        "meta": {"security": [STAFF]},
        "status": "requested",
        "intent": "order",
        "priority": "asap",
        "code": {"coding": [code]},
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": instant(claim.since),
        "requester": {"reference": entry.organization},
        "input": [{"type": {"text": name}, "valueString": said[name]} for name in facts],
    }


def account(claim: Claim) -> Json:
    """What the ledger keeps of a claim with everything released under it."""
    return {
        "id": claim.id,
        "person": claim.person,
        "npi": claim.npi,
        "role": claim.role,
        "affiliation": claim.affiliation,
        "reason": claim.reason,
        "since": instant(claim.since),
    }


def as_claimed(facts: Mapping[str, str], patient: str) -> Claim:
    """The claim that the ledger keeps the facts of."""
    made = datetime.fromisoformat(facts["since"]).timestamp()
    said = {name: facts[name] for name in ("id", "person", "npi", "role", "affiliation", "reason")}
    return Claim(**said, patient=patient, since=round(made * 1000) * 1000)


def notice(base: str, endpoint: str, receiver: str, task: Shown, *, id: str, timestamp: int) -> Json:
    """The message that tells the programme's own system of a claim."""
    header: Json = {
        "resourceType": "MessageHeader",
        "id": f"{id}-header",
        "eventCoding": {"system": f"{BASE}/CodeSystem/icm-notice", "code": clients.EMERGENCY},
        "destination": [{"endpoint": endpoint, "receiver": {"reference": receiver}}],
        "source": {"name": "fhirgw", "endpoint": base},
        "focus": [{"reference": f"Task/{task.stored.id}"}],
    }  # fmt: skip
    return alerts.bundle(base, header, [task], id=id, timestamp=timestamp)
