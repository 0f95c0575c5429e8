"""A gateway that has run for a minute."""

import pytest


@pytest.fixture
def whole(whole):
    whole.clock.tick(seconds=60)
    return whole
