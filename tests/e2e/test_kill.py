"""The promise of an AA, held through ``kill -9``: the bench's own functions at a size for every check."""

import asyncio
import sys

import pytest
from gateway_process import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import kill


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
