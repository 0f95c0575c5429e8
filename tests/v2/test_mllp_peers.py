"""Who is let in over MLLP, by address and by certificate, and how long they stay."""

import pytest
from cryptography import x509
from mllp_certificates import Authority
from mllp_peer import connected
from mllp_receiver import Receiver, ack, adt, closed, serving

from fhirgw.errors import DependencyDown, InvalidElement
from fhirgw.v2.client import MllpClient
from fhirgw.v2.framing import frame
from fhirgw.v2.tls import client_context, server_context


async def test_an_address_that_nobody_sends_from_is_not_listened_to():
    receiver = Receiver(welcome=False)
    async with serving(receiver) as server, connected(server) as (reader, _):
        assert await closed(reader)
    assert receiver.peers == []


async def test_a_connection_that_is_not_worth_keeping_is_closed_after_its_answer():
    receiver = Receiver(last=True)
    async with serving(receiver) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1")) + frame(adt("2")))
        assert await ack(reader) == ("AA", "1")
        assert await closed(reader)


async def test_a_senders_own_silence_counts_once_it_is_known():
    receiver = Receiver(idle=0.01)
    async with serving(receiver, idle_timeout_seconds=600) as server, connected(server) as (reader, writer):
        writer.write(frame(adt("1")))
        assert await ack(reader) == ("AA", "1")
        assert await closed(reader)


async def test_each_connection_is_a_peer_of_its_own_and_its_end_is_told():
    receiver = Receiver()
    async with serving(receiver) as server:
        for control in ("1", "2"):
            async with MllpClient("127.0.0.1", server.port) as client:
                await client.send(adt(control))
    assert receiver.peers[0] is not receiver.peers[1]
    assert {peer.address for peer in receiver.peers} == {"127.0.0.1"}
    assert set(receiver.gone) == set(receiver.peers)


async def test_over_tls_the_same_messages_get_the_same_answers(tmp_path):
    authority, receiver = Authority(tmp_path / "ca"), Receiver()
    async with serving(receiver, tls=server_context(*authority.server(), None)) as server:
        async with MllpClient("127.0.0.1", server.port, tls=client_context(authority.ca)) as client:
            assert b"MSA|AA|1" in await client.send(adt("1"))
        async with connected(server) as (reader, writer):  # in the clear
            writer.write(frame(adt("2")))
            assert await closed(reader)
    assert receiver.kept == [(adt("1"), False)]
    assert receiver.peers[0].certificate == frozenset()


async def test_mutual_tls_names_the_peer_by_subject_and_alternative_names(tmp_path):
    authority, receiver = Authority(tmp_path / "ca"), Receiver()
    names = [
        x509.DNSName("adt.elm.example"),
        x509.UniformResourceIdentifier("urn:elm"),
        x509.RFC822Name("a@elm.example"),
    ]
    elm = authority.issue("elm", organization="Elm Hospital", alternative=names)
    plain = authority.issue("plain")
    tls = server_context(*authority.server(), authority.ca)
    async with serving(receiver, tls=tls) as server:
        for pair in (elm, plain):
            async with MllpClient("127.0.0.1", server.port, tls=client_context(authority.ca, *pair)) as client:
                await client.send(adt("1"))
    assert [peer.certificate for peer in receiver.peers] == [
        {"O=Elm Hospital,CN=elm", "DNS:adt.elm.example", "URI:urn:elm", "email:a@elm.example"},
        {"CN=plain"},
    ]


async def test_mutual_tls_takes_no_certificate_of_another_authority_and_none_without(tmp_path):
    authority, other, receiver = Authority(tmp_path / "ca"), Authority(tmp_path / "other"), Receiver()
    tls = server_context(*authority.server(), authority.ca)
    async with serving(receiver, tls=tls) as server:
        for pair in (other.issue("elm"), ()):
            with pytest.raises(DependencyDown):
                async with MllpClient("127.0.0.1", server.port, tls=client_context(authority.ca, *pair)) as client:
                    await client.send(adt("1"))
        with pytest.raises(DependencyDown):  # ours is not of the authority that the client believes
            await MllpClient("127.0.0.1", server.port, tls=client_context(other.ca)).__aenter__()
    assert receiver.kept == []


def test_certificates_that_cannot_be_read_are_told_without_their_content(tmp_path):
    (tmp_path / "bad.pem").write_text("nothing")
    for make in (
        lambda: server_context(tmp_path / "bad.pem", None, None),
        lambda: server_context(tmp_path / "none.pem", None, None),
        lambda: client_context(tmp_path / "none.pem"),
    ):
        with pytest.raises(InvalidElement):
            make()
