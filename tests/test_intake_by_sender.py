"""What a sender's registration says of its messages: its codes, its words, its caps, its rate."""

import pytest
from composed_gateway import err, msa
from intake_messages import GOOD, UNACCEPTABLE, WRONG, in_mode, with_msh

from fhirgw.admission import Peer
from fhirgw.store import journal


async def test_an_aa_only_sender_is_told_aa_for_whatever_is_on_disk_and_the_operator_what_is_wrong(
    whole, monkeypatch
):
    whole.register(ack="aa-only")
    for raw in (in_mode(GOOD, "AL", "AL"), WRONG, UNACCEPTABLE.replace(b"GOOD", b"OTHER")):
        assert msa(await whole.receive(raw))[0] == "AA"
    assert [(row.state, row.error_code) for row in whole.rows()] == [
        ("received", None),
        ("parked", "103"),
        ("parked", "203"),
    ]
    monkeypatch.setattr(journal, "keep_sound", lambda *_, **__: 1 / 0)
    assert msa(await whole.receive(with_msh(10, "NEW")))[0] == "AR"


@pytest.mark.parametrize(("ack", "code"), [("original", "AA"), ("AL/NE", "CA"), ("NE/AL", None), ("ER/NE", None)])
async def test_a_registration_overrides_what_the_message_asks_for(whole, ack, code):
    whole.register(ack=ack)
    answer = await whole.receive(in_mode(GOOD, "AL", "AL"))
    assert (msa(answer)[0] if answer else None) == code


async def test_a_message_over_its_senders_cap_is_refused_and_its_head_kept(whole):
    whole.register(max_message_bytes=len(GOOD))
    assert msa(await whole.receive(GOOD))[0] == "AA"
    large = with_msh(10, "LARGE") + b"NTE|1||" + b"x" * 20_000 + b"\r"
    assert msa(await whole.receive(large))[0] == "AE"
    assert len(whole.row(2).raw) < 5000


async def test_a_sender_that_did_not_prove_who_it_is_is_refused_and_kept(whole):
    assert msa(await whole.receive(GOOD))[0] == "AA"
    whole.register(certificates=["CN=elm"])
    answer = await whole.receive(GOOD)
    assert (msa(answer), err(answer)) == (("AR", "GOOD"), ("MSH^1^4", "207"))
    assert [(row.state, row.ack_code) for row in whole.rows()] == [("received", "AA"), ("rejected", "AR")]
    known = Peer("elm", "127.0.0.1", certificate=frozenset({"CN=elm"}))
    received = await whole.gateway.intake.receive(GOOD, "mllp", known)
    assert msa(received.answer.body) == ("AA", "GOOD")
    assert len(whole.rows()) == 2


async def test_a_sender_over_its_caps_is_told_to_come_again_and_nothing_is_kept(whole):
    whole.register(max_connections=1, messages_per_second=0.001)
    first, second = Peer("1", "127.0.0.1"), Peer("2", "127.0.0.1")
    intake = whole.gateway.intake
    assert msa((await intake.receive(GOOD, "mllp", first)).answer.body)[0] == "AA"
    for peer in (first, second):
        received = await intake.receive(with_msh(10, "NEXT"), "mllp", peer)
        assert (msa(received.answer.body)[0], received.row, received.last) == ("AR", None, True)
    assert len(whole.rows()) == 1


async def test_a_sender_over_its_rate_is_made_to_wait(whole):
    whole.register(messages_per_second=1)
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    whole.gateway.intake._sleep = sleep
    for number in range(4):
        assert msa(await whole.receive(with_msh(10, f"R{number}")))[0] == "AA"
    assert len(waited) in (2, 3)
    assert waited == sorted(waited)
