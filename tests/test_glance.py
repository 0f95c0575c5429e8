"""Law: what is taken at a glance is what is taken when it is read in full, with the same answer."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from composed_gateway import PEER, composed

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

from feed import hospital
from mutate import CORPUS, mutated

NOW = datetime(2026, 4, 1, tzinfo=UTC)
REGISTERED = """
[senders.enhanced]
facility = "ENHANCED"
ack = "AL/AL"
max_message_bytes = 400
default_authority = "http://example.org/mrn"

[senders.elsewhere]
facility = "ELSEWHERE"
addresses = ["192.0.2.0/24"]
"""


def said(intake, judged):
    """What is known of a message that is taken, and its answer but for the answer's own control id."""
    keeper = intake._keeper
    keeper._control_ids = iter(["ID"] * 2)
    code, answer = keeper._answer(judged, (), NOW)
    known = (judged.raw, judged.sender, judged.mode, judged.control_id, judged.trigger, tuple(judged.errors))
    return known, code, answer


def test_what_is_taken_at_a_glance_is_taken_when_it_is_read_with_the_same_answer(tmp_path):
    with composed(tmp_path) as whole:
        file = whole.gateway.settings.data_dir / "senders.toml"
        file.write_text(file.read_text("utf-8") + REGISTERED, "utf-8")
        intake = whole.gateway.intake
        intake._senders = whole.gateway.settings.senders
        senders = intake._senders()
        intake._senders = lambda: senders
        glanced = 0
        feed = hospital(20, 200)
        feed += [raw.replace(b"|ELMHOSP|FHIRGW", b"|ENHANCED|FHIRGW", 1) for raw in feed[:50]]
        feed += [raw.replace(b"|ELMHOSP|FHIRGW", b"|ELSEWHERE|FHIRGW", 1) for raw in feed[:50]]
        for raw in [*feed, *CORPUS, *(mutated(7, number)[0] for number in range(1500)), *feed]:
            seen = intake._glance.look(raw, senders)
            judged = intake._judge(raw, PEER, truncated=False)
            intake._glance, learned = type(intake._glance)(), intake._glance
            full = intake._judge(raw, PEER, truncated=False)
            intake._glance = learned
            assert [str(error) for error in judged.errors] == [str(error) for error in full.errors]
            if seen and not full.errors:
                glanced += 1
                assert said(intake, seen) == said(intake, full)
        assert glanced > 500


def test_what_was_seen_of_a_sender_is_forgotten_when_the_senders_file_changes(tmp_path):
    with composed(tmp_path) as whole:
        intake = whole.gateway.intake
        (raw,) = hospital(1, 1)
        senders = whole.gateway.settings.senders()
        intake._senders = lambda: senders
        intake._judge(raw, PEER, truncated=False)
        assert intake._glance.look(raw, senders)
        assert intake._glance.look(raw, senders.model_copy()) is None


def test_a_message_in_another_dialect_is_read_in_full(tmp_path):
    with composed(tmp_path) as whole:
        intake = whole.gateway.intake
        (raw,) = hospital(1, 1)
        senders = whole.gateway.settings.senders()
        intake._senders = lambda: senders
        intake._judge(raw, PEER, truncated=False)
        for other in (
            raw.replace(b"\r", b"\n"),
            raw.replace(b"PAT", b"P\xc3\x84T"),
            raw.replace(b"\rPV1|", b"\r PV1|"),
            raw.replace(b"|H0000000|", b"|H^1|"),
            raw.replace(b"|M00000^", b"|\tM00000^"),
            b"\r" + raw,
            raw[:40],
            b"",
        ):
            assert intake._glance.look(other, senders) is None
