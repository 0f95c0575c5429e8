"""Every edge of bad HL7 v2 on the real process; after each, process, journal and the next message are well."""

import contextlib
import socket
import sqlite3
import struct
from collections import Counter

import pytest
from gateway_process import ROOT
from patience import PATIENCE, wait_until
from small_caps import CAP

FIXTURES = ROOT / "fixtures" / "v2"
GOOD = (FIXTURES / "A01/member.hl7").read_bytes().decode()


class Hospital:
    """A scripted peer on a plain socket."""

    def __init__(self, gateway):
        self.socket = socket.create_connection(("127.0.0.1", gateway.mllp), timeout=PATIENCE)
        self.stream = self.socket.makefile("rb")

    def send(self, *contents):
        self.socket.sendall(b"".join(b"\x0b" + content + b"\x1c\r" for content in contents))

    def ack(self):
        """MSA-1, MSA-2, ERR-3 code of the next answer, and its bytes."""
        frame = b""
        while not frame.endswith(b"\x1c\r"):
            byte = self.stream.read(1)
            assert byte, "the connection ended"
            frame += byte
        lines = {line[:3]: line.split("|") for line in frame[1:-2].decode("latin-1").split("\r")}
        err = lines["ERR"][3].split("^")[0] if "ERR" in lines else None
        return lines["MSA"][1], lines["MSA"][2], err, frame

    def closed(self):
        try:
            return self.stream.read(1) == b""
        except ConnectionError:
            return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()


COUNT = iter(range(10_000))


def good(**msh):
    """A good message with a fresh control id; ``msh_12="9.9"`` puts another text into MSH-12."""
    fields = GOOD.split("\r")[0].split("|")
    fields += [""] * (20 - len(fields))
    fields[9] = f"E2E-{next(COUNT)}"
    for name, value in msh.items():
        fields[int(name[4:]) - 1] = value
    return "\r".join(["|".join(fields), *GOOD.split("\r")[1:]]).encode()


def control(raw):
    return raw.split(b"|")[9].decode()


def rows(gateway, **which):
    """Journal rows without a process of their own: the command is played where it is the matter."""
    where = " AND ".join(f"{name} = ?" for name in which) or "1"
    with contextlib.closing(sqlite3.connect(gateway.data / "fhirgw.db")) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(f"SELECT * FROM journal WHERE {where} ORDER BY id", [*which.values()]).fetchall()


def settled(gateway):
    """Journal rows once every delivery is noted: the note of the last one follows its ACK."""
    wait_until(lambda: not rows(gateway, ack_state="owed"), "a delivery is not noted")
    return rows(gateway)


@pytest.fixture
def unharmed(gateway):
    """Afterwards: a good message on a new connection is taken and processed, nothing that was good is parked."""
    yield
    after = good()
    with Hospital(gateway) as hospital:
        hospital.send(after)
        assert hospital.ack()[:2] == ("AA", control(after))
    states = gateway.processed()
    assert states["parked"] == 0
    assert gateway.process.poll() is None


def fixture(name):
    return (FIXTURES / name).read_bytes()


BAD = {
    "truncated": (GOOD.split("PV1|")[0].encode(), "AE", "100"),
    "unknown character set": (good(msh_18="KLINGON").replace(b"ALMA", b"\xc9"), "AE", "103"),
    "wrong character set": (good(msh_18="UNICODE UTF-8").replace(b"ALMA", b"\xc9"), "AE", "102"),
    "unknown version": (good(msh_12="9.9"), "AR", "203"),
    "unknown event": (fixture("A20/unknown-event.hl7"), "AR", "201"),
    "unknown type": (good(msh_9="ORU^R01"), "AR", "200"),
    "unknown processing id": (good(msh_11="X"), "AR", "202"),
    "missing PID-3": (fixture("A01/missing-identifier.hl7"), "AE", "101"),
    "missing PID": (fixture("A01/no-patient.hl7"), "AE", "100"),
    "unknown code": (fixture("A01/unmapped-class.hl7"), "AE", "103"),
    "oversized": (good() + b"ZZZ|" + b"x" * CAP + b"\r", "AE", "207"),
}


def test_each_bad_message_gets_its_answer_on_a_connection_that_goes_on(gateway, unharmed):
    before = {row["id"] for row in rows(gateway)}
    with Hospital(gateway) as hospital:
        for name, (raw, code, error) in BAD.items():
            hospital.send(raw)
            assert (name, *hospital.ack()[:3]) == (name, code, control(raw), error)
            after = good()
            hospital.send(after)
            assert hospital.ack()[:2] == ("AA", control(after))
    new = [row for row in settled(gateway) if row["id"] not in before]
    assert Counter(row["state"] for row in new)["rejected"] == len(BAD)
    assert all(row["error_text"] and row["ack_code"] in ("AE", "AR") for row in new if row["state"] == "rejected")
    assert all(row["ack_state"] == "sent" for row in new if row["state"] == "rejected")


def test_an_empty_frame_and_one_without_a_header_are_kept_unanswered_and_the_next_is_served(gateway, unharmed):
    before = len(rows(gateway, state="rejected"))
    with Hospital(gateway) as hospital:
        after = good()
        hospital.send(b"", b"not HL7", after)
        assert hospital.ack()[:2] == ("AA", control(after))
    assert len(rows(gateway, state="rejected")) == before + 2


def test_a_duplicate_gets_the_stored_ack_and_other_bytes_are_refused_and_kept(gateway, unharmed):
    raw = good()
    other = raw.replace(b"ALMA", b"ALMINA")
    with Hospital(gateway) as hospital:
        hospital.send(raw)
        first = hospital.ack()[3]
        hospital.send(other)
        assert hospital.ack()[:3] == ("AE", control(raw), "205")
    with Hospital(gateway) as hospital:
        hospital.send(raw)
        assert hospital.ack()[3] == first
    states = [row["state"] for row in rows(gateway) if row["control_id"] == control(raw)]
    assert sorted(states) in (["processed", "rejected"], ["received", "rejected"])


def test_a_corrected_message_after_a_rejection_is_taken_under_the_same_control_id(gateway, unharmed):
    wrong = good(msh_11="X")
    corrected = wrong.replace(b"|X|2.5.1", b"|P|2.5.1")
    with Hospital(gateway) as hospital:
        hospital.send(wrong, corrected)
        assert [hospital.ack()[0], hospital.ack()[0]] == ["AR", "AA"]


def test_half_a_frame_then_silence_is_kept_as_refused_and_the_connection_closed(gateway, unharmed):
    half = good()[:100]
    with Hospital(gateway) as hospital:
        hospital.socket.sendall(b"\x0b" + half)
        assert hospital.closed()
    assert any(row["state"] == "rejected" and row["control_id"] is None for row in rows(gateway))


def test_two_frames_in_one_packet_are_answered_in_order_and_junk_between_frames_is_kept(gateway, unharmed):
    before = len(rows(gateway, state="rejected"))
    first, second = good(), good()
    with Hospital(gateway) as hospital:
        hospital.send(first, second)
        assert [hospital.ack()[:2], hospital.ack()[:2]] == [("AA", control(first)), ("AA", control(second))]
        third, fourth = good(), good()
        hospital.socket.sendall(b"\x0b" + third + b"\x1c\rjunk\x0b" + fourth + b"\x1c\r")
        assert [hospital.ack()[:2], hospital.ack()[:2]] == [("AA", control(third)), ("AA", control(fourth))]
    assert len(rows(gateway, state="rejected")) == before + 1


def test_a_connection_dropped_before_the_ack_leaves_the_message_kept_and_sent_again_it_is_one(gateway, unharmed):
    raw = good()
    hospital = Hospital(gateway)
    hospital.send(raw)
    hospital.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, as in a crash
    hospital.__exit__()
    with Hospital(gateway) as again:
        again.send(raw)
        assert again.ack()[:2] == ("AA", control(raw))
    assert len([row for row in rows(gateway) if row["control_id"] == control(raw)]) == 1


def test_enhanced_mode_is_answered_as_asked(gateway, unharmed):
    with Hospital(gateway) as hospital:
        for accept, bad_version, sent in (
            ("AL", False, "CA"),
            ("AL", True, "CR"),
            ("SU", False, "CA"),
            ("SU", True, None),
            ("ER", False, None),
            ("ER", True, "CR"),
            ("NE", False, None),
        ):
            raw = good(msh_15=accept, msh_16="NE", msh_12="9.9" if bad_version else "2.5.1")
            after = good()
            hospital.send(raw, after)
            if sent:
                assert hospital.ack()[:2] == (sent, control(raw))
            assert hospital.ack()[:2] == ("AA", control(after))
        wrong = (
            fixture("A01/unmapped-class.hl7").replace(b"|P|2.5.1", b"|P|2.5.1|||AL|NE").replace(b"ELM-", b"ENH-")
        )
        hospital.send(wrong)
        assert hospital.ack()[0] == "CE"


def test_a_parked_message_is_counted_listed_and_replayed_after_the_fix(gateway):
    both = good().replace(b"MRN-1001^^^ELMHOSP^MR", b"CT-TEST-0006^^^CTMEDICAID^MA")
    with Hospital(gateway) as hospital:
        hospital.send(both, after := good())
        assert [hospital.ack()[0], hospital.ack()[0]] == ["AA", "AA"]
    assert gateway.processed()["parked"] == 1
    (parked,) = gateway.command("journal", "list", "--state", "parked")
    assert (parked["control_id"], parked["location"], parked["ack"]) == (control(both), "PID-3", "AA")
    assert "different people" in parked["text"]
    assert [row["state"] for row in rows(gateway) if row["control_id"] == control(after)] == ["processed"]
    senders = gateway.data / "senders.toml"
    text = senders.read_text("utf-8")
    fixed = text.replace("CTMEDICAID =", 'CTMEDICAID = "http://fhirgw.org/fhir/sid/elsewhere"\nWAS =')
    senders.write_text(
        fixed.replace("ELMHOSP =", 'ELMHOSP = "http://fhirgw.org/fhir/sid/elm-hospital-mrn"\nWAS2 ='), "utf-8"
    )
    try:
        (replayed,) = gateway.command("journal", "replay", str(parked["id"]))
    finally:
        senders.write_text(text, "utf-8")
    assert replayed["state"] == "waiting"  # no number of hers is known any more: a person says whose it is
    assert gateway.processed()["parked"] == 0
