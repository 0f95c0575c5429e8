"""Registered clients: whose they are, what they may ask, and which of their assertions were used.

A client is registered by an operator, never by itself. Its id is never used again, not even after revocation, so
that a token of a revoked client cannot come back to life under a namesake.
See: SMART App Launch 2.2, client-confidential-asymmetric (keys, jti) and scopes v2.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey
from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from fhirgw.consent.vocabulary import RECIPIENT_CLASSES, purpose_line
from fhirgw.errors import InvalidElement
from fhirgw.store import policy
from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import client as table
from fhirgw.store.schema import used_assertion

CLIENT_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}", re.ASCII)
PURPOSE = re.compile(r"[A-Z][A-Z0-9]{0,31}", re.ASCII)
SCOPE = re.compile(r"system/(\*|[A-Z][A-Za-z]{1,63})\.(?=[cruds])(c?r?u?d?s?)", re.ASCII)
FEED = "system/hl7v2"
"""Scope of a system that may send HL7 v2 messages; it reads nothing."""
ICM = "system/icm"
"""Scope of a programme's own system that may state cases."""
CONSULT = "system/consent-decision"
"""Scope of a system that may ask for consent decisions."""
BESIDE = (FEED, ICM, CONSULT)
"""Scopes beside those of FHIR resources."""
RSA_BITS = 2048
NOTIFICATIONS = frozenset({"notification-admit", "notification-transfer", "notification-discharge"})
"""What a client may take notifications of: Da Vinci Unsolicited Notifications 1.1.0, notification-event."""
EMERGENCY = "emergency-claimed"
NOTICES = frozenset({EMERGENCY})
"""What a system of the programme's own may take notices of besides: that somebody claimed an emergency."""
HEADER = re.compile(r"([!#$%&'*+.^_`|~A-Za-z0-9-]+): ?([\x21-\x7e][\x20-\x7e]*)", re.ASCII)

_FIND = Prepared(select(table).where(table.c.id == bindparam("client")))
_ALL = Prepared(select(table).order_by(table.c.id))
_NOTIFIED = Prepared(
    select(table).where(table.c.notify_url.is_not(None), table.c.revoked_at.is_(None)).order_by(table.c.id)
)
_NAMES = tuple(column.name for column in table.c)


@dataclass(frozen=True, slots=True)
class Client:
    """A system of a partner, or of the programme itself.

    Attributes:
        id: Client id; ``iss`` and ``sub`` of its assertions.
        name: For people.
        organization: Logical id of the Organization it speaks for.
        jwks: Its public keys, a JSON Web Key Set.
        scopes: SMART scopes v2 it may be granted.
        purposes: v3-ActReason codes it may ask for; one alone is also the default.
        inside: Programmes whose own staff it serves, ``{"*"}`` for all; None: outside.
        notify_url: Where notifications about its members go; None: none are sent.
        notify_on: Which of NOTIFICATIONS and NOTICES it takes.
        notify_header: ``Name: value`` that its endpoint asks for, such as an Authorization.
        classes: What its organization is registered as (vocabulary.toml, [recipients]).
        emergency: Whether it may claim an emergency, for persons that it names.
        revoked: Whether its registration has ended.
    """

    id: str
    name: str
    organization: str
    jwks: str
    scopes: tuple[str, ...]
    purposes: tuple[str, ...]
    inside: frozenset[str] | None = None
    notify_url: str | None = None
    notify_on: frozenset[str] = NOTIFICATIONS
    notify_header: str | None = None
    classes: frozenset[str] = frozenset()
    emergency: bool = False
    revoked: bool = False

    def keys(self) -> KeySet:
        """Its public keys."""
        return KeySet.import_key_set(orjson.loads(self.jwks))


# --- the registry -------------------------------------------------------------------------------------------------


def register(tx: Transaction, client: Client) -> None:
    """Add a client.

    Raises:
        InvalidElement: The id was used before, or a key, scope or purpose is not one we take.
    """
    _require_valid(client)
    row = {
        "id": client.id,
        "name": client.name,
        "organization": client.organization,
        "jwks": client.jwks,
        "scopes": " ".join(client.scopes),
        "purposes": " ".join(client.purposes),
        "inside": None if client.inside is None else " ".join(sorted(client.inside)),
        "notify_url": client.notify_url,
        "notify_on": " ".join(sorted(client.notify_on)),
        "notify_header": client.notify_header,
        "classes": " ".join(sorted(client.classes)),
        "emergency": client.emergency,
        "created_at": tx.now,
        "revoked_at": None,
    }
    try:
        tx.connection.execute(insert(table).values(row))
    except IntegrityError:
        raise InvalidElement("This client id was registered before.", location="client") from None
    policy.asker_changed(tx)


def revoke(tx: Transaction, client: str) -> bool:
    """End a registration: its tokens stop with this commit. False when there is no such client in force."""
    ended = tx.connection.execute(
        update(table).where(table.c.id == client, table.c.revoked_at.is_(None)).values(revoked_at=tx.now)
    )
    return ended.rowcount > 0


def allow_emergencies(tx: Transaction, client: str, *, allowed: bool) -> bool:
    """Say whether a client may claim emergencies, from this commit on; False when no such client is in force.

    Raises:
        InvalidElement: It has no purpose for it, or is the programme's own.
    """
    known = find(tx.connection, client)
    if known is None or known.revoked:
        return False
    if allowed:
        _require_emergency_purpose(known)
    tx.connection.execute(update(table).where(table.c.id == client).values(emergency=allowed))
    return True


def find(connection: Connection, client: str) -> Client | None:
    """The client with this id, revoked or not."""
    row = _FIND.first(connection, client=client)
    return _client(row) if row else None


def registered(connection: Connection) -> list[Client]:
    """All clients, by id."""
    return [_client(row) for row in _ALL.rows(connection)]


def notified(connection: Connection) -> list[Client]:
    """The clients in force that take notifications."""
    return [_client(row) for row in _NOTIFIED.rows(connection)]


def use_assertion(tx: Transaction, client: str, jti: str, expires_at: int) -> bool:
    """Mark an assertion as used, durably; False when it was used before, or has expired.

    Those that have expired are forgotten: that alone refuses them.

    Args:
        tx: The transaction; its outcome counts after the COMMIT only.
        client: Client id: one client's ``jti`` says nothing about another's.
        jti: From the assertion.
        expires_at: Microseconds; no assertion is taken after it.
    """
    if expires_at <= tx.now:
        return False
    tx.connection.execute(delete(used_assertion).where(used_assertion.c.expires_at <= tx.now))
    try:
        with tx.connection.begin_nested():
            tx.connection.execute(insert(used_assertion).values(client=client, jti=jti, expires_at=expires_at))
    except IntegrityError:
        return False
    return True


def _client(values: tuple[Any, ...]) -> Client:
    row = dict(zip(_NAMES, values, strict=True))
    return Client(
        id=row["id"],
        name=row["name"],
        organization=row["organization"],
        jwks=row["jwks"],
        scopes=tuple(row["scopes"].split()),
        purposes=tuple(row["purposes"].split()),
        inside=None if row["inside"] is None else frozenset(row["inside"].split()),
        notify_url=row["notify_url"],
        notify_on=frozenset(row["notify_on"].split()),
        notify_header=row["notify_header"],
        classes=frozenset(row["classes"].split()),
        emergency=bool(row["emergency"]),
        revoked=row["revoked_at"] is not None,
    )


def _require_valid(client: Client) -> None:
    if not CLIENT_ID.fullmatch(client.id):
        raise InvalidElement("A client id is 1 to 128 letters, digits and ._~-", location="client")
    if not client.scopes or not all(scope in BESIDE or SCOPE.fullmatch(scope) for scope in client.scopes):
        raise InvalidElement("Scopes are written system/Patient.rs, with cruds in this order.", location="scopes")
    if not client.purposes or not all(PURPOSE.fullmatch(purpose) for purpose in client.purposes):
        raise InvalidElement("Purposes are v3-ActReason codes, at least one.", location="purposes")
    if not client.notify_on <= (NOTIFICATIONS if client.inside is None else NOTIFICATIONS | NOTICES):
        raise InvalidElement(
            f"Notifications are {', '.join(sorted(NOTIFICATIONS))}; and, for a programme's own system, "
            f"{', '.join(sorted(NOTICES))}.", location="notify-on",
        )  # fmt: skip
    if not client.classes <= RECIPIENT_CLASSES:
        raise InvalidElement(f"Classes are {', '.join(sorted(RECIPIENT_CLASSES))}.", location="class")
    if client.emergency:
        _require_emergency_purpose(client)
    if client.notify_header is not None and not HEADER.fullmatch(client.notify_header):
        raise InvalidElement("A header is written Name: value.", location="notify-header")
    _require_public_keys(client.jwks)


def _require_emergency_purpose(client: Client) -> None:
    """An emergency is claimed from outside the programme, for emergency treatment."""
    if client.inside is not None or not any("ETREAT" in purpose_line(one) for one in client.purposes):
        raise InvalidElement(
            "A client that may claim emergencies is outside, and has the purpose ETREAT or BTG.",
            location="emergency",
        )


def _require_public_keys(jwks: str) -> None:
    """Only public keys that can verify RS384 or ES384, each with a ``kid`` of its own."""
    try:
        document = orjson.loads(jwks)
        keys = KeySet.import_key_set(document).keys
        kids = [key["kid"] for key in document["keys"]]
    except (JoseError, KeyError, TypeError, ValueError, AttributeError):
        raise InvalidElement("This is no JSON Web Key Set whose keys have a kid.", location="jwks") from None
    if not keys or len(set(kids)) != len(kids):
        raise InvalidElement("The key set needs a key, and each key a kid of its own.", location="jwks")
    for key in keys:
        if key.is_private or not isinstance(key, RSAKey | ECKey):
            raise InvalidElement("Only public RSA and EC keys may be registered.", location="jwks")
        if isinstance(key, RSAKey) and key.raw_value.key_size < RSA_BITS:
            raise InvalidElement(f"An RSA key has {RSA_BITS} bits or more.", location="jwks")
        if isinstance(key, ECKey) and key.curve_name != "P-384":
            raise InvalidElement("An EC key is on curve P-384.", location="jwks")


# --- scopes -------------------------------------------------------------------------------------------------------


def scope_allows(scopes: Iterable[str], kind: str, action: str) -> bool:
    """Whether one of the scopes lets a client do this to this type of resource.

    Args:
        scopes: SMART scopes v2; anything else allows nothing.
        kind: Resource type.
        action: ``c`` create, ``r`` read, vread and instance history, ``u`` update, ``d`` delete, ``s`` search and
            type history.

    See: SMART App Launch 2.2, Scopes for requesting FHIR Resources.
    """
    return any(
        match[1] in ("*", kind) and action in match[2] for scope in scopes if (match := SCOPE.fullmatch(scope))
    )


def scopes_meet(asked: Iterable[str], registered_scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes that both sides have, one for each type, in order of type; what is no scope v2 is left out."""
    granted: dict[str, set[str]] = {}
    held_scopes, asked_scopes = set(registered_scopes), set(asked)
    mine = [match for scope in held_scopes if (match := SCOPE.fullmatch(scope))]
    for wanted in (match for scope in asked_scopes if (match := SCOPE.fullmatch(scope))):
        for held in mine:
            actions = set(wanted[2]) & set(held[2])
            if actions and (wanted[1] == held[1] or "*" in (wanted[1], held[1])):
                kind = held[1] if wanted[1] == "*" else wanted[1]
                granted.setdefault(kind, set()).update(actions)
    everywhere = granted.get("*", set())
    fhir = tuple(
        f"system/{kind}.{''.join(letter for letter in 'cruds' if letter in actions)}"
        for kind, actions in sorted(granted.items())
        if kind == "*" or not actions <= everywhere
    )
    return (*fhir, *(scope for scope in BESIDE if scope in held_scopes & asked_scopes))
