"""A gateway with small caps: one process serves all, and what one test leaves must not matter to the next."""

import pytest
from gateway_process import gateway_running
from small_caps import SETTINGS


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    with gateway_running(tmp_path_factory.mktemp("bad"), **SETTINGS) as running:
        yield running
