"""Mutated messages and streams, some thousands; ``bench/fuzz.py`` takes as many as it is told to."""

import sys
from pathlib import Path

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from fuzz import fuzz
from mutate import CORPUS, MUTATIONS, mutated


@pytest.fixture(autouse=True)
def logging_as_before():
    yield
    structlog.reset_defaults()


def test_no_mutated_message_breaks_the_codec_or_the_mapper():
    counts, failures = fuzz(2026, 0, 2000, edge=False)
    assert failures == []
    assert counts["codec: read"] > 500
    assert counts["mapper: mapped"] > 200


def test_every_frame_gets_its_one_ack_and_every_positive_ack_has_its_row():
    counts, failures = fuzz(2027, 0, 500)
    assert failures == []
    assert counts["mllp: frames counted exactly"] > 100
    assert counts["mllp: streams without exact count"] > 0
    assert counts["mllp: AA"] > 20


@pytest.mark.slow
def test_twenty_thousand_mutations_break_nothing():
    _, failures = fuzz(2028, 0, 20_000)
    assert failures == []


def test_a_mutation_is_reproduced_by_its_seed_and_number():
    assert [mutated(7, number) for number in range(50)] == [mutated(7, number) for number in range(50)]
    assert mutated(7, 1) != mutated(8, 1)
    made = {name for number in range(2000) for name in mutated(7, number)[1]}
    assert made == {mutation.__name__ for mutation in MUTATIONS}
    assert CORPUS
