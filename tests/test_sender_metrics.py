"""What the operator's monitors are told of each sender; nothing of a name that the senders file does not have."""

import asyncio
import re

import pytest
from composed_gateway import PEER, message

from fhirgw import metrics
from fhirgw.api.health import Health
from fhirgw.configuration import SendersFile
from fhirgw.doors import Doors, HttpDoor

ADMITTED = message("A01/member.hl7")
REFUSED = message("A01/member.hl7", ("1|I|4E", "1|ZZ|4E"), control="ELM-REFUSED")
UNKNOWN = message("A01/member.hl7", ("ELMHOSP|FHIRGW", "OTHERHOSP|FHIRGW"), control="OTHER-1")


def told(whole, senders=None):
    """The exposition as /metrics gives it: name and labels to value."""
    known = senders or SendersFile(whole.gateway.settings)
    text = Health(whole.gateway.database, known, whole.clock)._exposition().decode()
    return {name: float(value) for name, value in re.findall(r"^(fhirgw_\S+) (\S+)$", text, re.MULTILINE)}


def of(name, sender="elm-hospital", **labels):
    pairs = ",".join(f'{key}="{value}"' for key, value in sorted({"sender": sender, **labels}.items()))
    return f"{name}{{{pairs}}}"


async def test_the_journal_of_each_sender_is_told_with_the_age_of_what_waits(whole):
    for raw in (ADMITTED, REFUSED, UNKNOWN):
        await whole.receive(raw)
    whole.clock.tick(seconds=90)
    seen = told(whole)
    assert seen[of("fhirgw_journal_open", state="received")] == 1
    assert seen[of("fhirgw_journal_open", state="rejected")] == 1
    assert seen[of("fhirgw_journal_oldest_seconds")] == pytest.approx(90, abs=0.1)
    assert of("fhirgw_journal_open", "OTHERHOSP", state="received") not in seen
    assert seen[of("fhirgw_journal_open", "default", state="parked")] == 0
    await whole.process()
    seen = told(whole)
    assert (seen[of("fhirgw_journal_open", state="received")], seen[of("fhirgw_journal_oldest_seconds")]) == (0, 0)
    # The unknown hospital's patient has the name and birth date of somebody who is here.
    waiting = of("fhirgw_journal_open", "default", state="waiting")
    assert (seen["fhirgw_match_reviews_open"], seen[waiting], seen["fhirgw_outbox_oldest_seconds"]) == (1, 1, 0)


async def test_a_sender_that_is_registered_no_more_is_told_as_default(whole):
    await whole.receive(ADMITTED)
    whole.gateway.settings.data_dir.joinpath("senders.toml").write_text("")
    seen = told(whole)
    assert seen[of("fhirgw_journal_open", "default", state="received")] == 1
    assert not [name for name in seen if name.startswith("fhirgw_journal_o") and "elm-hospital" in name]


async def replied(doors, raw):
    """What the door says over MLLP."""
    told = asyncio.get_running_loop().create_future()
    doors.receive(raw, PEER, told.set_result, truncated=False)
    return await told


async def test_messages_are_counted_by_sender_and_answer_and_every_ack_that_left_is_timed(whole):
    gateway = whole.gateway
    at = iter([0.0, 0.004, 10.0, 10.5])
    doors = Doors(gateway.intake, gateway.doors.replies, gateway.settings, new_id=str, seconds=lambda: next(at))
    before = told(whole)
    reply = await replied(doors, ADMITTED)
    reply.delivered(True)
    reply = await HttpDoor(doors).receive(REFUSED, PEER, truncated=False)
    reply.delivered(True)
    await doors.drained()
    await whole.process()
    seen = told(whole)

    def more(name):
        return seen[name] - before.get(name, 0)

    assert more(of("fhirgw_v2_messages_total", code="AA")) == 1
    assert more(of("fhirgw_v2_messages_total", code="AE")) == 1
    assert more(of("fhirgw_v2_processed_total", state="processed")) == 1
    assert more(of("fhirgw_v2_ack_seconds_bucket", le="0.005")) == 1
    assert more(of("fhirgw_v2_ack_seconds_bucket", le="0.5")) == 2
    assert more(of("fhirgw_v2_ack_seconds_count")) == 2


async def test_an_ack_that_could_not_be_handed_over_is_not_timed(whole):
    doors = whole.gateway.doors
    before = metrics.ack_seconds.labels("elm-hospital")._sum.get()
    reply = await replied(doors, ADMITTED)
    reply.delivered(False)
    await doors.drained()
    assert metrics.ack_seconds.labels("elm-hospital")._sum.get() == before
