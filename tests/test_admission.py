"""Who may send for whom, and how much."""

from contextlib import suppress

import pytest

from fhirgw.admission import BURST_SECONDS, PATIENCE_SECONDS, Admission, Peer
from fhirgw.errors import DependencyDown, Forbidden
from fhirgw.settings import Senders

SENDERS = Senders.model_validate(
    {
        "senders": {
            "elm": {"facility": "ELM", "certificates": ["CN=elm", "DNS:adt.elm.example"], "clients": ["elm-http"]},
            "oak": {"facility": "OAK", "certificates": ["CN=engine"], "addresses": ["10.1.0.0/16"]},
            "fir": {"facility": "FIR", "certificates": ["CN=engine"]},
            "ash": {"facility": "ASH"},
        }
    }
)
ELM, ENGINE = frozenset({"CN=elm", "DNS:x"}), frozenset({"CN=engine"})
OTHER = frozenset({"CN=nobody-registered"})


def admission(seconds=lambda: 0.0, *, refuse_unknown=False):
    return Admission(refuse_unknown=refuse_unknown, seconds=seconds)


def may(name, *, certificate=frozenset(), client=None, address="10.1.2.3", refuse_unknown=False):
    refused = admission(refuse_unknown=refuse_unknown).refusal(
        Peer("p", address, certificate, client), name, SENDERS
    )
    assert refused is None or (
        isinstance(refused, Forbidden) and refused.location == "MSH-4" and refused.msa == "AR"
    )
    return refused is None


@pytest.mark.parametrize(
    ("name", "given", "allowed"),
    [
        ("elm", {"certificate": ELM}, True),
        ("elm", {"certificate": ENGINE}, False),
        ("elm", {"certificate": OTHER}, False),
        ("elm", {}, False),
        ("elm", {"client": "elm-http"}, True),
        ("elm", {"client": "another"}, False),
        ("oak", {"certificate": ENGINE}, True),
        ("fir", {"certificate": ENGINE}, True),
        ("ash", {"certificate": ENGINE}, False),
        ("default", {"certificate": ENGINE}, False),
        ("ash", {"certificate": OTHER}, True),
        ("ash", {}, True),
        ("ash", {"client": "another"}, True),
        ("ash", {"client": "elm-http"}, False),
        ("default", {}, True),
        ("default", {"certificate": OTHER}, True),
    ],
)
def test_a_proof_speaks_for_the_senders_it_is_registered_for_and_for_no_other(name, given, allowed):
    assert may(name, **given) is allowed


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("10.2.0.1", False),
        ("fe80::1%eth0", False),
        (None, False),
        ("?", False),
    ],
)
def test_a_sender_with_addresses_sends_from_them_alone(address, allowed):
    assert may("oak", certificate=ENGINE, address=address) is allowed


def test_an_unregistered_facility_is_the_defaults_or_nobodys():
    assert may("default")
    assert not may("default", refuse_unknown=True)
    assert may("ash", refuse_unknown=True)


def test_an_operator_brings_messages_of_anybody():
    assert admission(refuse_unknown=True).refusal(Peer("file", local=True), "elm", SENDERS) is None


def test_an_address_is_listened_to_if_anybody_could_send_from_it():
    narrow = Senders.model_validate({"senders": {"oak": {"facility": "OAK", "addresses": ["10.1.0.0/16"]}}})
    assert admission(refuse_unknown=True).welcomes("10.1.2.3", narrow)
    assert not admission(refuse_unknown=True).welcomes("10.2.2.3", narrow)
    assert admission().welcomes("10.2.2.3", narrow)


def until_refused(door, sender):
    with suppress(DependencyDown):
        while True:
            yield door.wait("a", sender)


def test_a_sender_over_its_rate_waits_longer_and_longer_and_then_is_told_to_come_again():
    now = [100.0]
    paced = Senders.model_validate({"senders": {"a": {"messages_per_second": 10}}}).senders["a"]
    door = admission(lambda: now[0])
    waits = list(until_refused(door, paced))
    assert waits[: int(10 * BURST_SECONDS)] == [0.0] * 10
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(PATIENCE_SECONDS, abs=0.11)
    assert door.wait("b", paced) == 0.0
    now[0] += 60
    assert door.wait("a", paced) == 0.0


def test_a_sender_without_a_rate_never_waits():
    assert {admission().wait("ash", SENDERS.senders["ash"]) for _ in range(1000)} == {0.0}


def test_a_sender_has_so_many_connections_until_one_ends():
    capped = Senders.model_validate({"senders": {"a": {"max_connections": 2}}}).senders["a"]
    door, peers = admission(), [Peer(str(n)) for n in range(3)]
    for peer in (*peers[:2], *peers[:2]):
        door.join(peer, "a", capped)
    with pytest.raises(DependencyDown):
        door.join(peers[2], "a", capped)
    door.join(peers[2], "b", capped)
    door.leave(peers[0])
    door.join(peers[2], "a", capped)
