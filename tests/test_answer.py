"""Page tokens: bound, expiring, and silent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirgw.answer import PageSeal, Place, http_date
from fhirgw.errors import InvalidElement

SEAL = PageSeal(bytes(range(64)), life_seconds=900)
NOW = 1_790_000_000_000_000
PLACE = Place("CarePlan", (("patient", "p1"), ("_count", "10")), strict=False, by_post=True, after=("2026", "id1"))
ELM = ("pcmh-elm", "TREAT")


def test_a_token_opens_for_whom_it_was_made():
    assert SEAL.open(SEAL.seal(PLACE, ELM, NOW), ELM, NOW + 1) == PLACE


@pytest.mark.parametrize("other", [("pcmh-oak", "TREAT"), ("pcmh-elm", "COC"), ("pcmh-elmT", "REAT")])
def test_a_token_opens_for_nobody_else(other):
    with pytest.raises(InvalidElement):
        SEAL.open(SEAL.seal(PLACE, ELM, NOW), other, NOW)


def test_a_token_expires():
    with pytest.raises(InvalidElement, match="expired"):
        SEAL.open(SEAL.seal(PLACE, ELM, NOW), ELM, NOW + 961_000_000)


@given(st.text(max_size=200))
def test_anything_else_is_refused(token):
    with pytest.raises(InvalidElement):
        SEAL.open(token, ELM, NOW)


@given(st.integers(min_value=0, max_value=40), st.integers(min_value=1, max_value=255))
def test_a_changed_token_is_refused(position, change):
    token = bytearray(SEAL.seal(PLACE, ELM, NOW).encode())
    token[position] = ord("A") + (token[position] - ord("A") + change) % 26
    if bytes(token).decode() != SEAL.seal(PLACE, ELM, NOW):
        with pytest.raises(InvalidElement):
            SEAL.open(bytes(token).decode(), ELM, NOW)


def test_the_same_place_gives_the_same_token_and_shows_nothing_of_it():
    token = SEAL.seal(PLACE, ELM, NOW)
    assert token == SEAL.seal(PLACE, ELM, NOW)
    assert "CarePlan" not in token


def test_an_http_date_is_what_rfc_9110_writes():
    assert http_date("2026-11-22T03:08:10.123Z") == "Sun, 22 Nov 2026 03:08:10 GMT"
