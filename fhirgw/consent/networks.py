"""Who takes part in which network: OrganizationAffiliations, closed over (consent specification §2.3: A).

An affiliation has a direction: the participating organization takes part in the network, or is a member of the
organization. A permit that names a network needs certainty, a deny does not (§0.4): what is not plainly membership,
and membership of networks in networks, is a perhaps.
See: FHIR R4, OrganizationAffiliation; organization-role; HL7 Terminology, Organization Affiliation Role for HIE.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from fhirgw.consent.elements import bare, identifier_tokens, objects
from fhirgw.consent.instants import Span, changes, period_span, within
from fhirgw.consent.kleene import Kleene, conjunction
from fhirgw.consent.model import Json
from fhirgw.consent.vocabulary import canonical_system

AFFILIATION: Final = "OrganizationAffiliation"
_ROLE: Final = canonical_system("http://hl7.org/fhir/organization-role")
_HIE: Final = canonical_system("http://terminology.hl7.org/CodeSystem/organization-affiliation-role-for-hie")
_MEMBER: Final = frozenset({(_ROLE, "member"), (_HIE, "HieInitiator"), (_HIE, "HieResponder")})
"""Roles by which the participating organization is a member of ``organization``, and of each ``network``."""
_PROVIDER: Final = (_ROLE, "provider")
"""Who provides services in a network is of it; who provides them to an organization is not of that."""
_EXCHANGE: Final = (_ROLE, "HIE/HIO")
"""The participating organization is the network, perhaps, and the other one its member."""
_UNSURE: Final = ("location", "healthcareService", "specialty", "modifierExtension")
"""With one of these an affiliation is of a part of the organization, and which part asks is not known."""


@dataclass(frozen=True, slots=True)
class Link:
    """Who belongs to what, each by its reference and its identifiers.

    Attributes:
        part: The participant.
        whole: The network, or the organization.
        held: Whether it is plainly a member, its period aside.
        when: From when to when; None where that cannot be read.
    """

    part: frozenset[str]
    whole: frozenset[str]
    held: Kleene
    when: Span | None

    def holds(self, at: datetime) -> Kleene:
        """Whether it is a member at the instant."""
        return conjunction([self.held, within(at, self.when)])


@dataclass(frozen=True, slots=True)
class Reach:
    """What an organization belongs to: for certain, perhaps, and when that changes by itself."""

    networks: frozenset[str]
    partners: frozenset[str]
    until: datetime | None


def links_of(affiliation: Json, same: Callable[[frozenset[str]], frozenset[str]], zone: tzinfo) -> Iterator[Link]:
    """What one OrganizationAffiliation says; nothing, where it is not in use.

    Args:
        affiliation: The resource.
        same: Of some tokens, all tokens of whoever bears one of them.
        zone: Of its dates.
    """
    if affiliation.get("active") is False:
        return
    codes = {
        (canonical_system(coding.get("system")), str(coding.get("code")))
        for concept in objects(affiliation.get("code")) or []
        for coding in objects(concept.get("coding")) or []
    }
    plain = not any(name in affiliation for name in _UNSURE)
    member = True if plain and codes & _MEMBER else None
    provider = True if plain and codes & {*_MEMBER, _PROVIDER} else None
    when = period_span(affiliation.get("period", {}), zone)
    part, organization = (
        same(_tokens(affiliation.get(name))) for name in ("participatingOrganization", "organization")
    )
    yield Link(part, organization, member, when)
    for network in objects(affiliation.get("network")) or []:
        yield Link(part, same(_tokens(network)), provider, when)
    if _EXCHANGE in codes:
        yield Link(organization, part, None, when)


def reach(
    own: frozenset[str], links: Sequence[Link], at: datetime, closure: Callable[[frozenset[str]], frozenset[str]]
) -> Reach:
    """What an organization belongs to at an instant.

    Args:
        own: Tokens of the organization and of all it is part of: who is part of a participant takes part.
        links: All that are known.
        at: The instant.
        closure: Of some tokens, all tokens of whoever bears one of them, and of what these are part of.
    """
    networks = frozenset(token for link in links if link.holds(at) and link.part & own for token in link.whole)
    partners = beyond(own, [link for link in links if link.holds(at) is not False], closure)
    around = beyond(own, links, closure) | own  # what begins later counts for when this changes
    moments = (moment for link in links if link.part & around for moment in changes(link.when) if moment > at)
    return Reach(networks, partners, min(moments, default=None))


def beyond(
    own: frozenset[str], links: Sequence[Link], closure: Callable[[frozenset[str]], frozenset[str]]
) -> frozenset[str]:
    """Whatever the links lead to, over any number of them; a loop ends where it closes."""
    seen: frozenset[str] = frozenset()
    front = own
    while front:
        met = frozenset(token for link in links if link.part & front for token in link.whole)
        front = closure(met) - seen - own
        seen |= front
    return seen


def _tokens(reference: Any) -> frozenset[str]:
    """Whom a reference names: literally, by an identifier, or both."""
    if not isinstance(reference, dict):
        return frozenset()
    literal = bare(reference.get("reference"))
    return frozenset({literal, *identifier_tokens({"identifier": [reference.get("identifier")]})} - {""})
