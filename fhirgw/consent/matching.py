"""Matching the dimensions that are constant within one request, three-valued: None is unknown.

See: the consent specification, §2.5 step 3. A permit fires on TRUE alone, a deny on anything but FALSE.
"""

from datetime import datetime
from typing import Final

from fhirgw.consent import vocabulary
from fhirgw.consent.elements import PERSONS
from fhirgw.consent.instants import within
from fhirgw.consent.kleene import Kleene, conjunction, disjunction
from fhirgw.consent.model import ConsentSettings, Member, PatientPolicy, Recipient, Request
from fhirgw.consent.rules import ACTIONS, Actor, Rule

PRACTITIONERS: Final = frozenset({"Practitioner", "PractitionerRole"})
RELATIVES: Final = PERSONS - PRACTITIONERS


def actor(rule: Rule, request: Request, policy: PatientPolicy, settings: ConsentSettings) -> Kleene:
    """The recipient is named, and the discloser is; a role that no table knows leaves it open."""
    if rule.actors is None:
        return True
    gets = [each for each in rule.actors if each.role != "discloser"]
    gives = [each for each in rule.actors if each.role == "discloser"]
    recipients = [
        conjunction(
            [names(each, request.recipient, policy, request.at), True if each.role == "recipient" else None]
        )
        for each in gets
    ]
    us = Recipient(settings.disclosers)
    return conjunction(
        [
            disjunction(recipients) if gets else True,
            disjunction(names(each, us, policy, request.at) for each in gives) if gives else True,
        ]
    )


def names(
    named: Actor, recipient: Recipient, policy: PatientPolicy, at: datetime, inside: frozenset[str] = frozenset()
) -> Kleene:
    """Whether the actor is the recipient. No known recipient, or an actor nobody can resolve: unknown.

    Args:
        named: By the Consent, or as a member of a team that it names.
        recipient: Who asks.
        policy: Who is behind references.
        at: When; who was a member once is none now.
        inside: Teams that this one is a member of: a loop has no more members.
    """
    if not recipient.tokens:
        return None
    if named.team:
        return _names_member(named, recipient, policy, at, inside)
    kind, known = _behind(named, policy)
    if is_person(named, policy):
        return _names_person(named, known, recipient, policy)
    own = named.tokens | (known or frozenset())
    if own & recipient.named_by:
        return True
    told_apart = known is not None or _comparable(named.tokens, recipient)
    return False if kind == "Organization" and told_apart and not own & recipient.partners else None


def _behind(named: Actor, policy: PatientPolicy) -> tuple[str, frozenset[str] | None]:
    """Of what type somebody is, and all tokens of theirs; '' of whom it is not said, who may be a person.

    Who is named by an identifier alone is whoever bears it here.
    """
    if named.literal:
        return named.kind, policy.actors.get(named.literal)
    bearers = {name: tokens for name, tokens in policy.actors.items() if tokens & named.tokens}
    kinds = {_kind(name) for name in bearers} | ({named.kind} - {""})
    known = frozenset().union(*bearers.values()) if bearers else None
    if kinds == {"Organization"}:
        return "Organization", known
    return named.kind, known if kinds <= PERSONS else None


def is_person(named: Actor, policy: PatientPolicy) -> bool:
    """Whether a single person is named, or may be."""
    kind, _ = _behind(named, policy)
    return kind in PERSONS or not kind


def _names_person(
    named: Actor, known: frozenset[str] | None, recipient: Recipient, policy: PatientPolicy
) -> Kleene:
    """A person is named by their own tokens. A system asks for persons unknown: it may be theirs, or not.

    Tokens of the person's organizations never make a permit for the person one for the organization.
    """
    mixed = {token for token in known or () if token.startswith("Organization/")}
    own = named.tokens | (known if known is not None and not mixed else frozenset())
    if own & (recipient.tokens if named.kind else recipient.named_by):
        return True
    if recipient.person:
        told_apart = known is not None or any("|" in token for token in named.tokens)
        persons = own | {token for token in known or () if "|" not in token}
        perhaps = named.tokens & recipient.partners or not _comparable(persons, recipient)
        return False if told_apart and not perhaps else None
    where = policy.affiliations.get(named.literal, known if mixed else None)
    return False if where is not None and not where & recipient.tokens else None


def _comparable(named: frozenset[str], recipient: Recipient) -> bool:
    """Whether two that share no token are two.

    Two who are known by identifiers of different systems may be one. A relative of the patient is known by nothing
    that practitioners are known by, and is another.
    """
    kinds = {_kind(token) for token in named} - {"Organization"}
    return bool(kinds & RELATIVES and not kinds & PRACTITIONERS) or bool(
        kinds & {_kind(token) for token in recipient.tokens}
    )


def _kind(token: str) -> str:
    """What it is a token of: the identifier's system, or the type of the resource."""
    return token.rpartition("|")[0] if "|" in token else token.partition("/")[0]


def _names_member(
    team: Actor, recipient: Recipient, policy: PatientPolicy, at: datetime, inside: frozenset[str]
) -> Kleene:
    """A team is named by itself and by everybody who is in it now."""
    if team.tokens & recipient.tokens:
        return True
    members = policy.members.get(team.literal)
    if members is None:
        return None
    around = inside | {team.literal}
    return disjunction(
        conjunction([member.held, within(at, member.when), names(_as_actor(member), recipient, policy, at, around)])
        for member in members
        if member.literal not in around
    )


def _as_actor(member: Member) -> Actor:
    return Actor(member.literal, member.tokens | ({member.literal} - {""}), member.kind, "recipient")


def purpose(rule: Rule, request: Request) -> Kleene:
    """The purpose or one that it is a kind of is listed; some purposes must be named themselves (§2.7 row 2)."""
    line = vocabulary.purpose_line(request.purpose)
    own = vocabulary.own_authorization(request.purpose)
    if not line and (rule.purposes is not None or rule.effect == "permit"):
        return None
    if rule.purposes is None:
        return not (own and rule.effect == "permit")
    wanted = own if own and rule.effect == "permit" else frozenset(line)
    return bool(wanted & rule.purposes)


def action(rule: Rule, request: Request) -> Kleene:
    """The action is listed; for an outside recipient ``access`` and ``disclose`` are one."""
    if rule.actions is None:
        return True
    if request.action not in ACTIONS:
        return None
    outward = {"access", "disclose"}
    return bool(rule.actions & (outward if request.action in outward else {request.action}))
