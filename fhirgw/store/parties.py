"""Who organizations, persons and teams are, and through whom: what a Consent that names one of them means."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, or_, select

from fhirgw.consent.closure import Supporting, members_of
from fhirgw.consent.elements import PERSONS, TEAMS
from fhirgw.consent.model import Json, Recipient
from fhirgw.consent.networks import AFFILIATION
from fhirgw.consent.rules import identified
from fhirgw.consent.standing import reading_of
from fhirgw.store import basis
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import resource, search_reference, search_token

ACTORS = frozenset(
    {"Organization", AFFILIATION, "PractitionerRole", "CareTeam", "Practitioner", "RelatedPerson", "Group"}
)
"""Types whose content decides whom a consent names."""
BEARERS = ("Organization", *sorted(PERSONS - {"Person"}))
"""Of whom a Consent may mean who has an identifier that it names: if one is a person, it may be that one."""
_PARTIES = ACTORS | PERSONS | {"Device", "HealthcareService"}
"""Types of whom a Consent may name, for whatever; not of a paper, nor of what a rule is about."""
DEPTH = 4  # CareTeam ► PractitionerRole ► Practitioner

_CURRENT = Prepared(
    select(resource.c.patient, resource.c.body).where(
        resource.c.type == bindparam("kind"),
        resource.c.id == bindparam("logical"),
        resource.c.deleted.is_(False),
    )
)
_AFFILIATIONS = Prepared(
    select(resource.c.body).where(resource.c.type == AFFILIATION, resource.c.deleted.is_(False))
)
_REFERRERS = Prepared(
    select(resource.c.type, resource.c.id)
    .join(search_reference, search_reference.c.resource == resource.c.pk)
    .where(search_reference.c.target_id == bindparam("logical"))
    .where(search_reference.c.target_type == bindparam("kind"))
    .where(or_(*(search_reference.c.type == one for one in sorted({*ACTORS, "Consent"}))))
)


def organization(connection: Connection, identifier: str) -> str | None:
    """The logical id of the Organization with this identifier (``system|value``)."""
    found = min(bearers(connection, "Organization", identifier), default=None)
    return found and found.removeprefix("Organization/")


def bearers(connection: Connection, kind: str, identifier: str) -> frozenset[str]:
    """References to the resources of a type with this identifier (``system|value``)."""
    system, _, value = identifier.rpartition("|")
    found = (
        select(resource.c.id)
        .join(search_token, search_token.c.resource == resource.c.pk)
        .where(search_token.c.type == kind, search_token.c.param == "identifier")
        .where(search_token.c.system == system, search_token.c.code == value)
    )
    return frozenset(f"{kind}/{logical}" for logical in connection.scalars(found))


def organization_tokens(connection: Connection, organization: str) -> frozenset[str]:
    """The closure of an organization: itself and its parents, each by reference and by identifiers."""
    tokens: set[str] = set()
    reference: str | None = f"Organization/{organization}"
    while reference is not None and reference not in tokens:
        tokens.add(reference)
        body = body_of(connection, reference)
        if body is None:
            break
        tokens |= _identifiers(body)
        reference = _literal(body.get("partOf"))
    return frozenset(tokens)


def recipient(connection: Connection, organization: str, classes: frozenset[str], at: datetime) -> Recipient:
    """An organization's system, as a decision knows it: what it is part of, and the networks it is in now."""
    own = organization_tokens(connection, organization)
    affiliations = _affiliations(connection)
    if not affiliations:
        return Recipient(own, classes)
    front = {f"Organization/{organization}"} | _ends(affiliations)
    met: dict[str, Json] = {}
    while front:
        met |= {reference: body for reference in front if (body := body_of(connection, reference)) is not None}
        parents = {literal for body in met.values() if (literal := _literal(body.get("partOf")))}
        front = parents - met.keys() - front
    return Supporting([*met.values(), *affiliations], basis.zone(connection)).recipient(own, classes, at)


def _affiliations(connection: Connection) -> list[Json]:
    """All of them: one may name who takes part by an identifier alone, and every one that is missed opens."""
    return [orjson.loads(body) for (body,) in _AFFILIATIONS.rows(connection)]


def _ends(affiliations: Iterable[Json]) -> set[str]:
    """Whom affiliations name literally."""
    named = (
        reference
        for one in affiliations
        for reference in (one.get("organization"), one.get("participatingOrganization"), *one.get("network", ()))
    )
    return {literal for reference in named if (literal := _literal(reference))}


def holder(role: Json | None) -> set[tuple[str, str]]:
    """Whose role it is."""
    if role is None or role["resourceType"] != "PractitionerRole":
        return set()
    kind, _, logical = (_literal(role.get("practitioner")) or "").partition("/")
    return {(kind, logical)} if logical else set()


def referrers(connection: Connection, kind: str, logical: str) -> set[tuple[str, str]]:
    """(type, id) of the Consents, and of those who may be named in one, that refer to a resource."""
    return {(of, one) for of, one in _REFERRERS.rows(connection, kind=kind, logical=logical)}


def supporting(
    connection: Connection, consents: Sequence[Json], known: dict[str, Json | None], zone: str
) -> Supporting:
    """Whom the consents name, the roles these persons hold, and the organizations they hold them in.

    Args:
        connection: To read from.
        consents: Of one patient.
        known: Resources met so far, by reference.
        zone: In which they are read.
    """
    borne = {token for consent in consents for token in identified(reading_of(consent, zone))}
    front = sorted(
        {reference for consent in consents for reference in _asked_of(consent)}.union(
            *(bearers(connection, kind, token) for token in borne for kind in BEARERS)
        )
    )
    seen: dict[str, Json] = {}
    for _ in range(DEPTH):
        behind: set[str] = set()
        for reference in front:
            if reference not in known:
                known[reference] = body_of(connection, reference)
            body = known[reference]
            if body is not None:
                seen[reference] = body
                behind |= _beside(connection, body)
        front = sorted(behind - seen.keys())
    persons = any(body["resourceType"] == "PractitionerRole" for body in seen.values())
    return Supporting([*seen.values(), *(_affiliations(connection) if persons else ())], zone)


def _beside(connection: Connection, body: Json) -> set[str]:
    """Whom somebody works for: a person's roles, a role's holder and organization, its parent; a team's members."""
    kind = body["resourceType"]
    if kind == "Practitioner":
        found = referrers(connection, kind, body["id"])
        return {f"{of}/{logical}" for of, logical in found if of == "PractitionerRole"}
    if kind in TEAMS:
        return {member.literal for member in members_of(body, UTC)} - {""}
    elements = {"PractitionerRole": ("practitioner", "organization"), "Organization": ("partOf",)}.get(kind, ())
    return {literal for name in elements if (literal := _literal(body.get(name)))}


def _asked_of(consent: Json) -> Iterator[str]:
    """Of whom a decision may ask who they are: actors, and whoever signed.

    The patient is known by reference; only who signed by an identifier alone is found by what the patient bears.
    """
    yield from _named([consent.get("provision"), consent.get("contained")])
    signed, patient = consent.get("performer"), consent.get("patient")
    literally = isinstance(signed, list) and all(isinstance(one, dict) and one.get("reference") for one in signed)
    yield from (name for name in _named([signed, patient]) if not literally or name != _literal(patient))


def _named(element: Any) -> Iterator[str]:
    """Whom anything in it refers to."""
    if isinstance(element, dict):
        if isinstance(reference := element.get("reference"), str) and reference.partition("/")[0] in _PARTIES:
            yield reference.partition("/_history/")[0]
        for part in element.values():
            yield from _named(part)
    elif isinstance(element, list):
        for part in element:
            yield from _named(part)


def tokens_behind(
    connection: Connection, reference: str, known: dict[str, frozenset[str] | None], depth: int
) -> frozenset[str] | None:
    """The tokens of the resource behind a reference; None when it is not here.

    A role stands for the practitioner in it, a team or a group for its members.
    """
    if reference in known or depth == 0:
        return known.get(reference, frozenset({reference}))
    known[reference] = frozenset({reference})  # a loop ends here
    body = body_of(connection, reference)
    if body is None:
        known[reference] = None
        return None
    tokens = {reference} | _identifiers(body)
    inner = [body.get("practitioner")] if body["resourceType"] == "PractitionerRole" else []
    inner += [one.get("member") for one in body.get("participant", ()) if body["resourceType"] == "CareTeam"]
    inner += [one.get("entity") for one in body.get("member", ()) if body["resourceType"] == "Group"]
    for part in inner:
        if literal := _literal(part):
            tokens |= {literal} | (tokens_behind(connection, literal, known, depth - 1) or frozenset())
    known[reference] = frozenset(tokens)
    return known[reference]


def _identifiers(body: Json) -> set[str]:
    return {f"{one.get('system', '')}|{one['value']}" for one in body.get("identifier", ()) if "value" in one}


def _literal(reference: Any) -> str | None:
    found = reference.get("reference") if isinstance(reference, dict) else None
    return found.split("/_history/")[0] if isinstance(found, str) else None


def body_of(connection: Connection, reference: str) -> Json | None:
    """The content of the resource behind a reference; None when it is not here."""
    kind, _, logical = reference.partition("/")
    found = current(connection, kind, logical)
    body: Json | None = orjson.loads(found[1]) if found is not None else None
    return body


def current(connection: Connection, kind: str, logical: str) -> tuple[Any, ...] | None:
    """Patient and body of a resource."""
    return _CURRENT.first(connection, kind=kind, logical=logical)
