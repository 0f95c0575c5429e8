"""What an upstream server lacks of a member's record, or has too much, as the next transaction to it.

A function of what the server may see and of what it was sent: nothing remembers an event, so what was missed,
interrupted or revoked comes right with the next look. (docs/decisions/0230, 0231)
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, select

from fhirgw.answer import Answer, Shown, show
from fhirgw.consent.model import Json
from fhirgw.consent.predicate import Visibility
from fhirgw.errors import Withheld
from fhirgw.profiles.expressions import literal
from fhirgw.store import copies, repository
from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.mirror import NOBODY, SEVERAL, Key
from fhirgw.store.schema import resource as table
from fhirgw.store.stored import content

MOST_ENTRIES = 200
MOST_BYTES = 1 << 19
"""A transaction takes no more when it has so much: a JPA server takes seconds for a hundred resources."""
UNKNOWN = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}


@dataclass(frozen=True, slots=True)
class Replica:
    """The next transaction that brings a member's record on an upstream server into step.

    Attributes:
        client: As which the server is registered.
        base: Base URL of its FHIR API.
        patient: Logical id; SEVERAL for what is about several, NOBODY for what nothing there refers to any more.
        refused: Digests of transactions that it refused, and is not to get again now.
    """

    client: str
    base: str
    patient: str
    refused: frozenset[bytes] = frozenset()


def next_transaction(
    connection: Connection, visibility: Visibility, ask: Replica, *, readable: Callable[[str], bool]
) -> Answer:
    """First what is new or changed, then the deletion of what is not to be there.

    What is refused keeps back the rest of what is new, but no deletion. What nothing refers to any more is nobody's
    (NOBODY): it goes because something that was visible went, and not because a member is looked at.

    Args:
        connection: To read from.
        visibility: What the server may see.
        ask: Whose record.
        readable: Whether the server takes this type of resource.

    Raises:
        Withheld: There is nothing to send.
    """
    record = _Record(connection, visibility, ask, readable)
    parts = ((record.unused(), []),) if ask.patient == NOBODY else (record.lacking(), (record.too_much(), []))
    for entries, shown in parts:
        body = orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
        if entries and digest_of(body) not in ask.refused:
            return Answer(body, shown, "transaction")
    raise Withheld


def digest_of(body: bytes) -> bytes:
    """By which a transaction, or a resource in it, is known."""
    return hashlib.sha256(body).digest()


def targets(element: Any) -> Iterator[Key]:
    """What a resource refers to on the same server."""
    if isinstance(element, dict):
        reference = element.get("reference")
        if isinstance(reference, str) and _is_here(reference) and (found := literal(reference)):
            yield found
        for part in element.values():
            yield from targets(part)
    elif isinstance(element, list):
        for part in element:
            yield from targets(part)


def _is_here(reference: str) -> bool:
    """Whether it is of this server, and not of the resource itself."""
    return "://" not in reference and not reference.startswith(("#", "urn:"))


class _Record:
    """A member's record as a server may see it, beside what it was sent."""

    def __init__(
        self, connection: Connection, visibility: Visibility, ask: Replica, readable: Callable[[str], bool]
    ) -> None:
        self._connection, self._visibility, self._ask, self._readable = connection, visibility, ask, readable
        self._shown: dict[Key, Shown | None] = {}
        self._bodies: dict[Key, bytes] = {}
        self._refers: dict[Key, frozenset[Key]] = {}

    def lacking(self) -> tuple[list[Json], list[Shown]]:
        """Entries of what is to be put there, each with all that it refers to and that is not there yet."""
        chosen: set[Key] = set()
        size = 0
        for start in self._keys():
            more = self._with_targets(start) - chosen
            larger = size + sum(len(self._body(key)) for key in more)
            if chosen and more and (larger > MOST_BYTES or len(chosen) + len(more) > MOST_ENTRIES):
                break
            chosen |= more
            size = larger
        keys = sorted(chosen)
        return [self._put(key) for key in keys], [one for key in keys if (one := self._seen(key))]

    def too_much(self) -> list[Json]:
        """Entries of what is there of this member and is not to be seen, or gone."""
        there = copies.copies(self._connection, self._ask.client, self._ask.patient)
        gone = [key for key, one in there.items() if one.digest is not None and self._seen(key) is None]
        return _deletions(gone)

    def unused(self) -> list[Json]:
        """Entries of what is about nobody, and nothing there refers to any more."""
        return _deletions(copies.unused(self._connection, self._ask.client))

    def _keys(self) -> Iterable[Key]:
        patient, of = self._ask.patient, table.c.patient
        whose = (table.c.standing == "several") if patient == SEVERAL else (of == patient)
        found = select(table.c.type, table.c.id).where(whose, table.c.deleted.is_(False))
        return sorted((row.type, row.id) for row in self._connection.execute(found))

    def _with_targets(self, start: Key) -> set[Key]:
        """What is lacking of a resource and what it refers to; what is about nobody, also behind what is there."""
        lacking: set[Key] = set()
        passed: set[Key] = set()
        front = [start]
        while front:
            key = front.pop()
            if key in passed or self._seen(key) is None:
                continue
            passed.add(key)
            if self._is_lacking(key):
                lacking.add(key)
                front += self._targets(key)
            elif key == start or key[0] in PATIENT_FREE:
                front += (target for target in self._targets(key) if target[0] in PATIENT_FREE)
        return lacking

    def _targets(self, key: Key) -> frozenset[Key]:
        if key not in self._refers:
            self._refers[key] = frozenset(targets(orjson.loads(self._body(key))))
        return self._refers[key]

    def _is_lacking(self, key: Key) -> bool:
        shown = self._seen(key)
        if shown is None:
            return False
        known = copies.copy(self._connection, self._ask.client, key)
        return known is None or (known.digest, known.patient) != (digest_of(self._body(key)), owner(shown))

    def _seen(self, key: Key) -> Shown | None:
        if key not in self._shown:
            stored = repository.read(self._connection, *key, self._visibility) if self._readable(key[0]) else None
            there = stored is not None and not stored.deleted
            self._shown[key] = show(stored, self._visibility) if stored and there else None
        return self._shown[key]

    def _body(self, key: Key) -> bytes:
        """As it goes: without version and time, which the server gives, and with references to what it gets alone.

        Outside, what care brought here refers to nothing else that care brought here: whether that is to be seen
        depends on other members (``store.predicate``: one step).
        """
        shown = self._seen(key)
        if key not in self._bodies and shown is not None:
            body = content(shown.body)
            one_step = not self._visibility.inside and shown.stored.standing == "derived"
            self._bodies[key] = orjson.dumps(self._alone(body, one_step=one_step))
        return self._bodies[key]

    def _alone(self, element: Any, *, one_step: bool) -> Any:
        if isinstance(element, list):
            return [self._alone(one, one_step=one_step) for one in element]
        if not isinstance(element, dict):
            return element
        body = {name: self._alone(value, one_step=one_step) for name, value in element.items()}
        reference = body.get("reference")
        if not isinstance(reference, str) or not _is_here(reference):
            return body
        target = literal(reference)
        shown = self._seen(target) if target is not None else None
        if target is not None and shown is not None and not (one_step and shown.stored.standing == "derived"):
            return {**body, "reference": "/".join(target)}
        return {name: value for name, value in body.items() if name != "reference"} or {"extension": [UNKNOWN]}

    def _put(self, key: Key) -> Json:
        request: Json = {"method": "PUT", "url": "/".join(key)}
        known = copies.copy(self._connection, self._ask.client, key)
        if known is not None and known.digest is not None and known.version is not None:
            request["ifMatch"] = f'W/"{known.version}"'
        full = f"{self._ask.base}/{key[0]}/{key[1]}"
        return {"fullUrl": full, "resource": orjson.loads(self._body(key)), "request": request}


def owner(shown: Shown) -> str | None:
    """Whose copy it is: a member's, of several, or nobody's."""
    if shown.stored.type in PATIENT_FREE:
        return None
    return shown.stored.patient or SEVERAL


def _deletions(keys: Iterable[Key]) -> list[Json]:
    return [{"request": {"method": "DELETE", "url": "/".join(key)}} for key in keys]
