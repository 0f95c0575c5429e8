"""Closures over resources at hand: who a recipient is, who an actor is, who may sign for whom.

The store answers the same questions from its tables; this serves the ``consent decide`` command.
See: the consent specification, §2.3 (A: person, roles held now, organization, parents).
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from fhirgw.consent.content import Content
from fhirgw.consent.elements import PERSONS, TEAMS, bare, identifier_tokens, objects, reference_type
from fhirgw.consent.instants import Span, period_span, within
from fhirgw.consent.labels import LabelContext, label
from fhirgw.consent.model import Json, Member, PatientPolicy, Recipient
from fhirgw.consent.networks import AFFILIATION, beyond, links_of, reach
from fhirgw.settings import ZONE

AUTHORITY: Final = frozenset({"GUARD", "HPOWATT", "DPOWATT", "POWATT"})
"""v3-RoleCode relationships that record an authority to sign for the patient; not a guardian for one lawsuit
(``GUADLTM``), nor a power of attorney for special acts (``SPOWATT``): which, nobody could say."""


_TEAM_STATUS: Final = {"active": True, "inactive": False, "entered-in-error": False}
"""CareTeam.status, and whether its members are in it; of a proposed or suspended one nobody can say."""


class Supporting:
    """Resources to resolve references with. Never changed after it was made."""

    def __init__(self, resources: Iterable[Json], zone: str = ZONE) -> None:
        """Have them at hand.

        Args:
            resources: All of them.
            zone: Of their dates.
        """
        self._zone = ZoneInfo(zone)
        self.by_reference = {f"{each['resourceType']}/{each.get('id')}": each for each in resources}
        self.roles = [each for each in self.by_reference.values() if each["resourceType"] == "PractitionerRole"]
        self._open: set[str] = set()
        stated = [each for each in self.by_reference.values() if each["resourceType"] == AFFILIATION]
        self._links = tuple(link for each in stated for link in links_of(each, self._same, self._zone))

    def tokens(self, reference: str) -> frozenset[str]:
        """The reference, and the identifiers of the resource behind it."""
        resource = self.by_reference.get(reference)
        return frozenset({reference, *(identifier_tokens(resource) if resource else ())})

    def references_of(self, reference: str) -> frozenset[str] | None:
        """What a resource at hand refers to; None when it is not at hand."""
        resource = self.by_reference.get(reference)
        return None if resource is None else Content(resource, cleared=True).references

    def tokens_of(self, reference: str) -> frozenset[str] | None:
        """Who is behind a reference: a role stands for its holder and the organization; None when unknown."""
        resource = self.by_reference.get(reference)
        if resource is None:
            return None
        return self.tokens(reference).union(*(self.tokens(each) for each in holders_of(resource)))

    def patient(self, identifier: object) -> str:
        """``Patient/x`` with this identifier; '' when none at hand has it, or several."""
        tokens = set(identifier_tokens({"identifier": [identifier]}))
        found = [name for name in self.by_reference if name.startswith("Patient/") and tokens & self.tokens(name)]
        return found[0] if len(found) == 1 else ""

    def with_parents(self, reference: str) -> frozenset[str]:
        """Tokens of an organization and of all it is part of; a loop ends where it closes."""
        seen: list[str] = []
        while reference and reference not in seen:
            seen.append(reference)
            reference = _target(self.by_reference.get(reference, {}), "partOf")
        return frozenset(token for each in seen for token in self.tokens(each))

    def _bearers(self, tokens: frozenset[str]) -> list[str]:
        """The organizations that these are tokens of."""
        names = (name for name in self.by_reference if name.startswith("Organization/"))
        return [name for name in names if self.tokens(name) & tokens]

    def _same(self, tokens: frozenset[str]) -> frozenset[str]:
        """All tokens of whoever bears one of these."""
        return tokens.union(*(self.tokens(name) for name in self._bearers(tokens)))

    def _closed(self, tokens: frozenset[str]) -> frozenset[str]:
        """The same, with what they are part of."""
        return tokens.union(*(self.with_parents(name) for name in self._bearers(tokens)))

    def recipient(self, stated: frozenset[str], roles: frozenset[str], at: datetime) -> Recipient:
        """The closure of what was stated; a person's organizations count where none was stated."""
        behind = [name for name in self.by_reference if self.tokens(name) & stated]
        tokens = set(stated).union(*(self.tokens(name) for name in behind))
        organizations = {name for name in (*behind, *stated) if name.startswith("Organization/")}
        for role in self.roles:
            name = f"PractitionerRole/{role.get('id')}"
            holder, where = _target(role, "practitioner"), _target(role, "organization")
            if not _current(role, at, self._zone):
                continue
            if name in tokens:
                tokens |= self.tokens(holder) if holder else set()
                organizations |= {where} - {""}
            elif holder in tokens and (where in organizations or not organizations):
                tokens |= self.tokens(name) | (self.with_parents(where) if where else set())
        for organization in organizations:
            tokens |= self.with_parents(organization)
        person = any(token.split("/")[0] in PERSONS for token in tokens if "/" in token and "|" not in token)
        around = reach(frozenset(tokens), self._links, at, self._closed)
        return Recipient(frozenset(tokens), roles, person or None, around.networks, around.partners, around.until)

    def policy(self, patient: str, consents: tuple[Json, ...]) -> PatientPolicy:
        """The patient's policy; enrolment is not judged."""
        return PatientPolicy(
            patient,
            consents,
            enrolments=None,
            actors={name: self.tokens(name) for name in self.by_reference if name not in self._vacant},
            affiliations=self._affiliations(),
            authorities=self._authorities(patient),
            members={
                name: members_of(each, self._zone)
                for name, each in self.by_reference.items()
                if each["resourceType"] in TEAMS
            },
        )

    @property
    def _vacant(self) -> set[str]:
        """Roles that name nobody: whoever holds one there may be meant."""
        return {f"PractitionerRole/{role.get('id')}" for role in self.roles if not _target(role, "practitioner")}

    def _affiliations(self) -> dict[str, frozenset[str]]:
        """Known where a PractitionerRole tells; ended roles count, for nobody told us they left the building.

        So do the networks these organizations are in, or were: through whose system a person reads is not known.
        """
        found: dict[str, frozenset[str]] = {}
        for role in self.roles:
            holder, where = _target(role, "practitioner"), _target(role, "organization")
            if where:
                own = self.with_parents(where)
                for name in {holder, f"PractitionerRole/{role.get('id')}"} - {""}:
                    found[name] = found.get(name, frozenset()) | own | beyond(own, self._links, self._closed)
        return found

    def _authorities(self, patient: str) -> dict[str, Span]:
        related = {
            name: authority(each, patient, self._zone)
            for name, each in self.by_reference.items()
            if each["resourceType"] == "RelatedPerson"
        }
        return {name: when for name, when in related.items() if when is not None}

    def target_labels(self, reference: str) -> tuple[int, int] | None:
        """Labels of a resource at hand; None when it is not. A loop of references adds nothing to itself."""
        resource = self.by_reference.get(reference)
        if resource is None:
            return None
        if reference in self._open:
            return 0, 0
        self._open.add(reference)
        try:
            found = label(resource, LabelContext(self.target_labels, text_cleared=True))
        finally:
            self._open.discard(reference)
        return found.labels, found.conf


def holders_of(resource: Json) -> set[str]:
    """Of a role: who holds it, and where."""
    if resource["resourceType"] != "PractitionerRole":
        return set()
    return {_target(resource, name) for name in ("practitioner", "organization")} - {""}


def members_of(team: Json, zone: tzinfo) -> tuple[Member, ...]:
    """Who is in a CareTeam or a Group, when, and whether that holds."""
    if team["resourceType"] == "CareTeam":
        element, who, held = "participant", "member", _TEAM_STATUS.get(str(team.get("status", "active")))
    else:
        element, who = "member", "entity"
        held = False if team.get("active") is False else None if team.get("actual") is False else True
    entries = objects(team.get(element, []))
    unknown: list[Json] = [{}]  # a list that cannot be read: somebody
    return tuple(
        _member(entry, who, held, _both(*(period_span(each.get("period", {}), zone) for each in (team, entry))))
        for entry in (unknown if entries is None else entries)
    )


def _member(entry: Json, who: str, held: bool | None, when: Span | None) -> Member:
    reference = entry.get(who)
    named: Json = reference if isinstance(reference, dict) else {}
    return Member(
        literal=bare(named.get("reference")),
        kind=reference_type(named),
        tokens=frozenset(identifier_tokens({"identifier": [named.get("identifier")]})),
        when=when,
        held=False if entry.get("inactive") is True else held,
    )


def _both(one: Span | None, other: Span | None) -> Span | None:
    """When both hold."""
    if one is None or other is None:
        return None
    starts = [start for start, _ in (one, other) if start is not None]
    ends = [end for _, end in (one, other) if end is not None]
    return max(starts, default=None), min(ends, default=None)


def authority(related: Json, patient: str, zone: tzinfo) -> Span | None:
    """From when to when a RelatedPerson may sign for the patient; None without a recorded authority."""
    codes = {
        coding.get("code")
        for concept in objects(related.get("relationship")) or []
        for coding in objects(concept.get("coding")) or []
    }
    named = _target(related, "patient") == f"Patient/{patient}"
    if not named or related.get("active") is False or not codes & AUTHORITY:
        return None
    return period_span(related.get("period", {}), zone)


def _target(resource: Json, element: str) -> str:
    reference = resource.get(element)
    return bare(reference.get("reference")) if isinstance(reference, dict) else ""


def _current(role: Json, at: datetime, zone: tzinfo) -> bool:
    return role.get("active") is not False and within(at, period_span(role.get("period", {}), zone)) is True
