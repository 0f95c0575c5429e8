"""The ledger: everything released is accounted for, and nobody can change what it says unseen.

A row per patient and disclosure (or access) in a hash chain, one chain per process segment; the heads of all
chains go into signed roots, at start, at stop and with the first row of a day. What a cut at the end of a chain
removes since the last root is the part that only the database's own protection covers.
See: DESIGN §6; 45 CFR 164.528 (accounting: date, recipient, what, purpose); 42 CFR 2.25; FHIR R4 AuditEvent.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Row, bindparam, func, insert, select

from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import ledger, ledger_root
from fhirgw.store.stored import instant
from fhirgw.terminology import NUCC, US_NPI

GENESIS = bytes(32)
DAY = 86_400_000_000
AUDIT_TYPE = {
    "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
    "code": "rest",
    "display": "RESTful Operation",
}
OPERATOR_TYPE = {
    "system": "http://dicom.nema.org/resources/ontology/DCM",
    "code": "110100",
    "display": "Application Activity",
}
INTERACTION = "http://hl7.org/fhir/restful-interaction"
_ACTIONS = {"create": "C", "update": "U", "delete": "D"}
PART2_LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}
PURPOSE = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

_LAST = Prepared(
    select(ledger.c.number, ledger.c.hash, ledger.c.recorded_at)
    .where(ledger.c.chain == bindparam("of"))
    .order_by(ledger.c.number.desc())
    .limit(1)
)
_APPEND = Prepared(insert(ledger), tuple(column.name for column in ledger.c if column.name != "seq"))


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


def audit_event(entry: Entry, recorded_at: int) -> dict[str, Any]:
    """The FHIR R4 AuditEvent of an entry."""
    entities: list[dict[str, Any]] = [
        {"what": _what(reference), "role": {"system": _ROLE, "code": code}, **_labelled(entry, reference)}
        for code, references in (("1", _patient(entry)), ("4", entry.resources), ("13", entry.consents))
        for reference in references
    ]
    who = {"reference": entry.organization} if entry.organization else {}
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "type": OPERATOR_TYPE if entry.recipient == "operator" else AUDIT_TYPE,
        "subtype": [{"system": INTERACTION, "code": entry.interaction}],
        "action": _ACTIONS.get(entry.interaction, "R"),
        "recorded": instant(recorded_at),
        "outcome": "0",
        "purposeOfEvent": [{"coding": [{"system": PURPOSE, "code": entry.purpose}]}],
        "agent": [
            {"who": {**who, "identifier": {"value": entry.recipient}}, "requestor": entry.emergency is None},
            *_claimants(entry),
        ],
        "source": {"observer": {"display": "fhirgw"}},
    }
    entities += _emergencies(entry)
    entities.append({"what": {"identifier": {"value": entry.request_id}}, "name": "X-Request-Id"})
    return {**event, "entity": entities}


AGREEMENT = "urn:fhirgw:agreement:"
"""Before the name of an agreement under which the law has something disclosed: no resource, an identifier."""


EMERGENCY = "urn:fhirgw:emergency:"
"""Before the id of an emergency claim."""


def _claimants(entry: Entry) -> list[dict[str, Any]]:
    """The person for whom an emergency is claimed, and their affiliation."""
    claim = entry.emergency
    if claim is None:
        return []
    person = {"identifier": {"system": US_NPI, "value": claim["npi"]}, "display": claim["person"]}
    role = {"coding": [{"system": NUCC, "code": claim["role"]}], "text": claim["affiliation"]}
    return [{"role": [role], "who": person, "requestor": True}]


def _emergencies(entry: Entry) -> list[dict[str, Any]]:
    """The claim, as what something was released under; its reason."""
    claim = entry.emergency
    if claim is None:
        return []
    what = {"identifier": {"value": f"{EMERGENCY}{claim['id']}"}}
    role = {"system": _ROLE, "code": "13"}
    since = {"type": "since", "valueString": claim["since"]}
    return [{"what": what, "role": role, "description": claim["reason"], "detail": [since]}]


def _labelled(entry: Entry, reference: str) -> dict[str, Any]:
    """The security label of a resource that held records under Part 2: what an accounting asks (42 CFR 2.25)."""
    return {"securityLabel": [PART2_LABEL]} if reference in entry.part2 else {}


def _what(reference: str) -> dict[str, Any]:
    if reference.startswith(AGREEMENT):
        return {"identifier": {"value": reference}}
    return {"reference": reference}


_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"


def _patient(entry: Entry) -> tuple[str, ...]:
    return (f"Patient/{entry.patient}",) if entry.patient else ()


def _digest(previous: bytes, values: Sequence[object]) -> bytes:
    return hashlib.sha256(previous + orjson.dumps(values)).digest()


def _chained(row: Row[Any]) -> list[object]:
    """What the hash of a row covers: all of it but the hashes."""
    return [
        row.chain,
        row.number,
        row.recorded_at,
        row.patient,
        row.recipient,
        row.purpose,
        bool(row.disclosure),
        bytes(row.event).decode(),
    ]


class Ledger:
    """The chain of one process segment."""

    def __init__(self, chain: str, key: bytes) -> None:
        """Open a chain.

        Args:
            chain: A name no other process uses.
            key: 32 bytes or more; its first 32 are the seed of the Ed25519 key that signs roots.
        """
        self.chain = chain
        self._key = Ed25519PrivateKey.from_private_bytes(key[:32])

    def append(self, tx: Transaction, entries: Sequence[Entry]) -> None:
        """Add the entries in the caller's transaction: they are there exactly if what they tell of is."""
        if not entries:
            return
        number, previous, at = _LAST.first(tx.connection, of=self.chain) or (-1, GENESIS, tx.now)
        if at // DAY != tx.now // DAY:
            self.sign(tx)
        rows = []
        for following, entry in enumerate(entries, number + 1):
            event = orjson.dumps(audit_event(entry, tx.now))
            facts = [entry.patient, entry.recipient, entry.purpose, entry.disclosure]
            digest = _digest(previous, [self.chain, following, tx.now, *facts, event.decode()])
            rows.append(
                dict(zip(("patient", "recipient", "purpose", "disclosure"), facts, strict=True))
                | {"chain": self.chain, "number": following, "recorded_at": tx.now}
                | {"event": event, "previous": previous, "hash": digest}
            )
            previous = digest
        _APPEND.run(tx.connection, rows)

    def sign(self, tx: Transaction) -> None:
        """Put the heads of all chains under a signed root, which itself continues the previous root."""
        newest = (
            select(ledger.c.chain, func.max(ledger.c.number).label("number")).group_by(ledger.c.chain).subquery()
        )
        heads = tx.connection.execute(
            select(ledger.c.chain, ledger.c.number, ledger.c.hash)
            .join(newest, (ledger.c.chain == newest.c.chain) & (ledger.c.number == newest.c.number))
            .order_by(ledger.c.chain)
        ).all()
        body = orjson.dumps({row.chain: [row.number, bytes(row.hash).hex()] for row in heads})
        last = tx.connection.execute(
            select(ledger_root.c.signature).order_by(ledger_root.c.seq.desc()).limit(1)
        ).scalar_one_or_none()
        previous = hashlib.sha256(last).digest() if last else GENESIS
        signature = self._key.sign(_signed(tx.now, previous, body))
        tx.connection.execute(
            insert(ledger_root).values(recorded_at=tx.now, heads=body, previous=previous, signature=signature)
        )


def _signed(recorded_at: int, previous: bytes, heads: bytes) -> bytes:
    return recorded_at.to_bytes(8, "big") + previous + heads


def verify(connection: Connection, key: bytes) -> Iterator[str]:
    """What is wrong with the ledger, a sentence each; nothing when it is whole."""
    roots = connection.execute(select(ledger_root).order_by(ledger_root.c.seq)).all()
    anchored = {(chain, head[0]) for root in roots for chain, head in orjson.loads(root.heads).items()}
    seen: dict[tuple[str, int], str] = {}
    expected: dict[str, tuple[int, bytes]] = {}
    rows = connection.execution_options(yield_per=1000).execute(
        select(ledger).order_by(ledger.c.chain, ledger.c.number)
    )
    for row in rows:
        number, previous = expected.get(row.chain, (0, GENESIS))
        if row.number != number or bytes(row.previous) != previous:
            yield f"chain {row.chain}: entry {number} is missing or out of place"
        if _digest(bytes(row.previous), _chained(row)) != bytes(row.hash):
            yield f"chain {row.chain}: entry {row.number} was changed"
        expected[row.chain] = (row.number + 1, bytes(row.hash))
        if (row.chain, row.number) in anchored:
            seen[row.chain, row.number] = bytes(row.hash).hex()
    yield from _verify_roots(roots, key, seen)


def _verify_roots(roots: Sequence[Row[Any]], key: bytes, seen: dict[tuple[str, int], str]) -> Iterator[str]:
    public = Ed25519PrivateKey.from_private_bytes(key[:32]).public_key()
    previous = GENESIS
    for root in roots:
        if bytes(root.previous) != previous:
            yield f"root {root.seq}: the root before it is missing"
        try:
            public.verify(bytes(root.signature), _signed(root.recorded_at, bytes(root.previous), bytes(root.heads)))
        except InvalidSignature:
            yield f"root {root.seq}: the signature does not hold"
        for chain, (number, digest) in orjson.loads(root.heads).items():
            if seen.get((chain, number)) != digest:
                yield f"root {root.seq}: entry {number} of chain {chain} is gone or was changed"
        previous = hashlib.sha256(bytes(root.signature)).digest()


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


def events(connection: Connection, patient: str) -> list[tuple[str, dict[str, Any]]]:
    """What was disclosed about this member outside the programme, oldest first: hash of the entry, AuditEvent."""
    rows = connection.execute(
        select(ledger.c.hash, ledger.c.event)
        .where(ledger.c.patient == patient, ledger.c.disclosure)
        .order_by(ledger.c.recorded_at, ledger.c.seq)
    )
    return [(bytes(row.hash).hex(), orjson.loads(row.event)) for row in rows]


def disclosures(connection: Connection, patient: str) -> list[Disclosure]:
    """The same, as an accounting reads it (45 CFR 164.528)."""
    return [disclosure(event) for _, event in events(connection, patient)]


def disclosure(event: dict[str, Any]) -> Disclosure:
    """What an AuditEvent says of a release."""
    by_role: dict[str, list[str]] = {}
    request_id = ""
    for entity in event["entity"]:
        if "role" in entity:
            what = entity["what"]
            said = what["reference"] if "reference" in what else what["identifier"]["value"]
            by_role.setdefault(entity["role"]["code"], []).append(said)
        else:
            request_id = entity["what"]["identifier"]["value"]
    who = event["agent"][0]["who"]
    return Disclosure(
        recorded=event["recorded"],
        recipient=who["identifier"]["value"],
        organization=who.get("reference"),
        purpose=event["purposeOfEvent"][0]["coding"][0]["code"],
        resources=tuple(by_role.get("4", ())),
        consents=tuple(by_role.get("13", ())),
        request_id=request_id,
        part2=any(PART2_LABEL in entity.get("securityLabel", ()) for entity in event["entity"]),
    )
