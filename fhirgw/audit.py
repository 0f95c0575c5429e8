"""The ledger: everything released is accounted for, and nobody can change what it says unseen.

A row per patient and disclosure (or access) in a hash chain, one chain per process segment; the heads of all
chains go into signed roots, at start, at stop and with the first row of a day. Roots that were kept elsewhere find
a cut that took the end of a chain together with the roots over it; what a cut removes since the last root is the
part that only the database's own protection covers.
See: DESIGN §6; 45 CFR 164.528 (accounting: date, recipient, what, purpose); 42 CFR 2.25.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Row, bindparam, func, insert, select

from fhirgw.audit_event import AGREEMENT, EMERGENCY, Disclosure, Entry, audit_event, disclosure, recorded
from fhirgw.errors import InvalidElement
from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import ledger, ledger_root

__all__ = [
    "AGREEMENT", "DAY", "EMERGENCY", "Disclosure", "Entry", "KeptRoot", "Ledger", "Recorded", "audit_event",
    "disclosure", "disclosures", "events", "find", "read_root", "roots", "verify",
]  # fmt: skip

GENESIS = bytes(32)
DAY = 86_400_000_000

_LAST = Prepared(
    select(ledger.c.number, ledger.c.hash, ledger.c.recorded_at)
    .where(ledger.c.chain == bindparam("of"))
    .order_by(ledger.c.number.desc())
    .limit(1)
)
_APPEND = Prepared(insert(ledger), tuple(column.name for column in ledger.c if column.name != "seq"))


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

    def __init__(self, chain: str, key: bytes, *, site: str = "urn:fhirgw") -> None:
        """Open a chain.

        Args:
            chain: A name no other process uses.
            key: 32 bytes or more; its first 32 are the seed of the Ed25519 key that signs roots.
            site: Base URL of the gateway, for the AuditEvents.
        """
        self.chain = chain
        self._site = site
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
            event = orjson.dumps(audit_event(entry, tx.now, self._site))
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


@dataclass(frozen=True, slots=True)
class KeptRoot:
    """A signed root, as it is kept outside the database.

    Attributes:
        recorded_at: Microseconds.
        heads: What was signed: JSON, chain to (number, hash in hex) of its last entry.
        previous: Hash of the signature before it, in hex.
        signature: Ed25519, in hex.
    """

    recorded_at: int
    heads: str
    previous: str
    signature: str


def roots(connection: Connection) -> list[KeptRoot]:
    """All signed roots, oldest first, to be kept where nobody who can change the database can change them."""
    rows = connection.execute(select(ledger_root).order_by(ledger_root.c.seq))
    return [
        KeptRoot(row.recorded_at, bytes(row.heads).decode(), bytes(row.previous).hex(), bytes(row.signature).hex())
        for row in rows
    ]


def read_root(stated: Any) -> KeptRoot:
    """A root that was kept, from JSON.

    Raises:
        InvalidElement: It is none.
    """
    try:
        root = KeptRoot(**stated)
        _signed(root.recorded_at, bytes.fromhex(root.previous), root.heads.encode())
        bytes.fromhex(root.signature)
        _heads(root)
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise InvalidElement("This is no root as audit roots writes it.", location="roots") from None
    return root


def verify(connection: Connection, key: bytes, kept: Sequence[KeptRoot] = ()) -> Iterator[str]:
    """What is wrong with the ledger, a sentence each; nothing when it is whole.

    Args:
        connection: The database.
        key: The audit key.
        kept: Roots that were kept elsewhere: each must still be there, and hold.
    """
    rows = connection.execute(select(ledger_root).order_by(ledger_root.c.seq)).all()
    stored = [(f"root {row.seq}", root) for row, root in zip(rows, roots(connection), strict=True)]
    there = {root.signature for _, root in stored}
    beside = [(f"kept root {number}", root) for number, root in enumerate(kept, 1)]
    seen: dict[tuple[str, int], str] = {}
    yield from _verify_chains(connection, {head for _, root in (*stored, *beside) for head in _heads(root)}, seen)
    yield from _verify_roots(stored, key, seen)
    for name, root in beside:
        if root.signature not in there:
            yield f"{name}: it is gone from the database"
        yield from _verify_root(name, root, key, seen)


def _heads(root: KeptRoot) -> set[tuple[str, int]]:
    """Which entries a root is over."""
    return {(chain, number) for chain, (number, _) in orjson.loads(root.heads).items()}


def _verify_chains(
    connection: Connection, anchored: set[tuple[str, int]], seen: dict[tuple[str, int], str]
) -> Iterator[str]:
    """Walk the chains; ``seen`` gets the hashes of the anchored entries."""
    expected: dict[str, tuple[int, bytes]] = {}
    rows = connection.execute(
        select(ledger).order_by(ledger.c.chain, ledger.c.number), execution_options={"yield_per": 1000}
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


def _verify_roots(
    stored: Sequence[tuple[str, KeptRoot]], key: bytes, seen: dict[tuple[str, int], str]
) -> Iterator[str]:
    """The roots of the database: each continues the one before it."""
    previous = GENESIS.hex()
    for name, root in stored:
        if root.previous != previous:
            yield f"{name}: the root before it is missing"
        yield from _verify_root(name, root, key, seen)
        previous = hashlib.sha256(bytes.fromhex(root.signature)).hexdigest()


def _verify_root(name: str, root: KeptRoot, key: bytes, seen: dict[tuple[str, int], str]) -> Iterator[str]:
    """Its signature holds, and what it is over is there."""
    public = Ed25519PrivateKey.from_private_bytes(key[:32]).public_key()
    signed = _signed(root.recorded_at, bytes.fromhex(root.previous), root.heads.encode())
    try:
        public.verify(bytes.fromhex(root.signature), signed)
    except InvalidSignature:
        yield f"{name}: the signature does not hold"
    for chain, (number, digest) in orjson.loads(root.heads).items():
        if seen.get((chain, number)) != digest:
            yield f"{name}: entry {number} of chain {chain} is gone or was changed"


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry as the ledger has it.

    Attributes:
        entry: What it says.
        at: Microseconds: when it was recorded.
        intact: Whether its hash covers it; the chain around it is ``verify``'s.
    """

    entry: Entry
    at: int
    intact: bool


def find(connection: Connection, name: str) -> Recorded:
    """The entry with a name, chain and number: ``3f2a9c01d4e5b687/12``.

    Raises:
        InvalidElement: There is none.
    """
    chain, _, number = name.rpartition("/")
    where = (ledger.c.chain == chain, ledger.c.number == (int(number) if number.isdecimal() else -1))
    row = connection.execute(select(ledger).where(*where)).first()
    if row is None:
        raise InvalidElement("The ledger has no such entry.", location="ENTRY")
    intact = _digest(bytes(row.previous), _chained(row)) == bytes(row.hash)
    return Recorded(recorded(orjson.loads(row.event), row.patient), row.recorded_at, intact)


def events(connection: Connection, patient: str) -> list[tuple[str, str, dict[str, Any]]]:
    """What was disclosed about this member outside the programme, oldest first: name and hash, AuditEvent."""
    rows = connection.execute(
        select(ledger.c.chain, ledger.c.number, ledger.c.hash, ledger.c.event)
        .where(ledger.c.patient == patient, ledger.c.disclosure)
        .order_by(ledger.c.recorded_at, ledger.c.seq)
    )
    return [(f"{row.chain}/{row.number}", bytes(row.hash).hex(), orjson.loads(row.event)) for row in rows]


def disclosures(connection: Connection, patient: str) -> list[Disclosure]:
    """The same, as an accounting reads it (45 CFR 164.528)."""
    return [disclosure(event) for _, _, event in events(connection, patient)]
