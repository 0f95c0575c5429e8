"""Days of the hospital at the gateway itself: a real process, real sockets, and what came of it as FHIR."""

import time
from datetime import UTC, datetime

from wrong_gateway import loses, mllp_server

from fhirgw.app import new_id
from fhirgw.harness.hospital import Course, Plan, run
from fhirgw.harness.hospital.sending import Engine
from fhirgw.harness.target import Target
from fhirgw.send import Credentials, token

SEED = 2
"""Of a hospital where members go home from a bed."""
START = datetime(2026, 11, 16, tzinfo=UTC)


def feed(gateway, plan, *, port=None, scope="system/*.cruds system/icm", settle=20.0):
    key = (gateway.data / "demo" / "icm-system.jwk").read_text()
    signed_in = token(gateway.base, Credentials("icm-system", key, scope=scope), now=int(time.time()), jti=new_id())
    target = Target(gateway.base, token=lambda: signed_in)
    try:
        return run(Engine("127.0.0.1", port or gateway.mllp), target, plan, Course(settle=settle))
    finally:
        target.close()


def failed(report):
    return {(one.capability, one.subject): list(one.notes) for one in report.results if one.status == "failed"}


def test_the_gateway_answers_and_keeps_what_the_hospital_has(gateway):
    report = feed(gateway, Plan("T", START, 2, 40, seed=1))
    assert failed(report) == {}
    held = [one.capability for one in report.results]
    assert held.count("visit") > 50
    assert held.count("person") > 20


def test_a_gateway_that_loses_messages_is_told_of_visit_by_visit(gateway):
    """What was lost is missing, in words, of the visits it was about, and of no others."""
    lost = set()

    def is_lost(message):
        if message.header.get(9, 2) not in ("A02", "A03"):
            return False
        lost.add(message.first("PV1").get(19))
        return True

    with mllp_server(loses(is_lost), behind=gateway.mllp) as port:
        report = feed(gateway, Plan("L", START, 2, 20, seed=SEED), port=port, settle=3.0)
    wrong = {subject: notes for (capability, subject), notes in failed(report).items() if capability == "visit"}
    assert set(wrong) <= lost
    assert {capability for capability, _ in failed(report)} <= {"visit", "acknowledgment"}
    told = {note for notes in wrong.values() for note in notes}
    assert "its status is in-progress, and should be finished" in told
    assert any(note.startswith("it does not say that the patient was in ") for note in told)
    assert "its Task follow-up is missing, and should be requested" in told
    assert any(one.capability == "visit" and one.status == "passed" for one in report.results)


def test_who_may_not_state_cases_is_told_so_before_anything_is_sent(gateway):
    report = feed(gateway, Plan("N", START, 1, 5), scope="system/*.rs")
    ((what, notes),) = failed(report).items()
    assert what == ("cases", "")
    assert "403" in notes[0]
    assert [one.capability for one in report.results] == ["cases"]
