"""Who is meant when a Consent names a network: consent specification §2.3 and §0.4."""

from datetime import timedelta

import pytest
from consent_cases import (
    AFFILIATED,
    AT,
    NETWORKS,
    ORGANIZATION_A,
    PARTIES,
    actor,
    affiliation,
    consent,
    policy,
    ref,
    roi,
)
from consent_cases import labels as labelled
from consent_cases import request as asked

from fhirgw.consent.closure import Supporting
from fhirgw.consent.decide import Case, decide
from fhirgw.consent.model import ConsentSettings, Recipient

CONDITION = {"resourceType": "Condition", "id": "x", "subject": ref("Patient/p")}
SWITCHES = ConsentSettings()
A = frozenset({"Organization/a"})
ALONE = [one for one in AFFILIATED if one["resourceType"] == "Organization"]
HIE = "http://terminology.hl7.org/CodeSystem/organization-affiliation-role-for-hie"


def effect(held, recipient, **changes):
    return decide(asked(recipient=recipient, **changes), CONDITION, labelled(), held, SWITCHES).effect


def of(*affiliations, tokens=A, at=AT):
    return Supporting([*PARTIES, *ALONE, *affiliations]).recipient(tokens, frozenset(), at)


def reads(recipient, *, named, **changes):
    """Whether a permit reaches who asks, and whether a deny does."""
    known = policy(roi(to=named), **changes)
    refused = consent({"type": "deny", "actor": [actor(named)]}, name="no")
    return (
        effect(known, recipient) == "PERMIT",
        effect(policy(roi(), refused, **changes), recipient) == "DENY",
    )


WHO = [
    ("net", (True, True)), ("hie", (True, True)),
    ("over", (False, False)), ("later", (False, False)), ("off", (False, False)), ("sub", (False, False)),
    ("coded", (False, True)), ("place", (False, True)), ("supplied", (False, True)), ("exchange", (False, True)),
    ("outer", (False, True)), ("owner", (False, True)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), WHO)
def test_a_permit_for_a_network_needs_plain_membership_and_a_deny_does_not(name, expected):
    """Active, now, in this direction, with a role that makes a member; of all of the organization."""
    recipient = Supporting([*PARTIES, *AFFILIATED]).recipient(ORGANIZATION_A, frozenset(), AT)
    assert reads(recipient, named=f"Organization/{name}") == expected
    assert {one for one, _ in WHO} == {*NETWORKS, "owner"}


MADE = [
    ({"code": "member", "network": "net", "period": {"start": "soon"}}, (False, True)),
    ({"code": "member", "network": "net", "modifierExtension": [{"url": "urn:x"}]}, (False, True)),
    ({"network": "net"}, (False, True)),
    ({"code": "member", "network": "net", "part": "Organization/b"}, (False, False)),
]  # fmt: skip


@pytest.mark.parametrize(("stated", "expected"), MADE)
def test_what_cannot_be_read_is_a_perhaps(stated, expected):
    """A period nobody can read, an extension that may turn it round, a role that is not told."""
    made = affiliation("one", stated.pop("part", "Organization/a"), **stated)
    assert reads(of(made), named="Organization/net") == expected


def test_an_affiliation_may_name_by_identifier():
    """As directories do that are imported; the exchange roles say who is a member."""
    role = [{"coding": [{"system": HIE, "code": "HieInitiator"}]}]
    part, whole = ({"identifier": {"system": "npi", "value": value}} for value in ("A", "NET"))
    made = {"resourceType": "OrganizationAffiliation", "id": "i", "code": role, "participatingOrganization": part,
            "organization": whole}  # fmt: skip
    assert reads(of(made), named="Organization/net") == (True, True)


def test_who_is_part_of_a_participant_takes_part():
    """A department of a member is a member; what a network is part of is not joined with it."""
    parties = [{"resourceType": "Organization", "id": "ward", "partOf": ref("Organization/a")}]
    made = affiliation("one", "Organization/a", code="member", network="net")
    assert reads(of(*parties, made, tokens=frozenset({"Organization/ward"})), named="Organization/net") == (
        True,
        True,
    )


def test_affiliations_in_a_circle_end():
    """Networks that are in one another."""
    round_about = [
        affiliation("one", "Organization/a", code="member", network="net"),
        affiliation("two", "Organization/net", code="member", network="outer"),
        affiliation("three", "Organization/outer", code="member", network="net"),
    ]
    assert reads(of(*round_about), named="Organization/outer") == (False, True)


def test_a_decision_ends_with_a_membership_of_a_network():
    """What was compiled holds until a period begins or ends, and no longer."""
    made = affiliation("one", "Organization/a", code="member", network="net", period={"end": "2026-06-15"})
    held, recipient = policy(roi(to="Organization/net")), of(made)
    until = Case(asked(recipient=recipient), held, SWITCHES).next_change
    assert effect(held, recipient) == "PERMIT"
    assert effect(held, of(made, at=until)) == "DENY"
    assert effect(held, of(made, at=until - timedelta(microseconds=1))) == "PERMIT"
    later = affiliation("one", "Organization/a", code="member", network="net", period={"start": "2026-07-01"})
    assert of(later).until is not None


def test_a_person_of_a_participant_may_read_through_its_network():
    """A refusal of Dr Bob stops the system of the network that his practice is in, or was; of no other."""
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": ref("Practitioner/bob"),
            "organization": ref("Organization/b")}  # fmt: skip
    ended = affiliation("one", "Organization/b", code="provider", network="net", period={"end": "2020"})
    known = Supporting([*PARTIES, *ALONE, role, ended]).policy("p", ())
    held = policy(
        roi(to="Organization/net"), roi(to="Organization/hie") | {"id": "h"},
        consent({"type": "deny", "actor": [actor("Practitioner/bob")]}, name="bob"),
        affiliations=known.affiliations,
    )  # fmt: skip
    assert effect(held, Recipient(frozenset({"Organization/net"}))) == "DENY"
    assert effect(held, Recipient(frozenset({"Organization/hie"}))) == "PERMIT"
