"""The promise of an AA, held through ``kill -9``: the bench's own functions at a size for every check."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress

import pytest
from composed_gateway import message
from gateway_process import ROOT, gateway_running
from patience import PATIENCE

sys.path.insert(0, str(ROOT / "bench"))
import kill

from fhirgw.v2.framing import frame


@pytest.mark.slow
def test_every_acknowledged_message_outlives_the_process_and_is_one_visit():
    counts = asyncio.run(kill.run(messages=400, kills=5, connections=4, people=20, seed=7))
    assert counts == {
        "kills": 5,
        "messages": 400,
        "acknowledged AA": 400,
        "acknowledged and not in the journal": 0,
        "in the journal more than once": 0,
        "not processed": 0,
        "visits": 134,
        "encounters": 134,
        "encounter status": {"finished": 133, "in-progress": 1},
        "integrity": "ok",
    }


@pytest.mark.slow
def test_a_second_signal_while_mllp_drains_ends_the_process_and_loses_nothing(tmp_path):
    """docs/decisions/0326: a database that somebody else writes keeps the drain waiting."""
    code = None
    with gateway_running(tmp_path) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.mllp)) as hospital:
            hospital.sendall(frame(message("A01/member.hl7", control="LAST")))
            assert b"MSA|AA|LAST" in hospital.recv(65_536)
        with closing(
            sqlite3.connect(tmp_path / "data" / "fhirgw.db", isolation_level=None, timeout=PATIENCE)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            while code is None:
                os.kill(gateway.process.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    code = gateway.process.wait(timeout=0.3)
    assert code == -signal.SIGTERM
    with closing(sqlite3.connect(tmp_path / "data" / "fhirgw.db")) as connection:
        wanted = "SELECT state FROM journal WHERE control_id = 'LAST'"
        assert connection.execute(wanted).fetchall() in ([("received",)], [("processed",)])
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
