"""A gateway with small caps: one process serves all, and what one test leaves must not matter to the next."""

import pytest
from gateway_process import Gateway
from small_caps import SETTINGS


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    running = Gateway(tmp_path_factory.mktemp("bad") / "data", settings=dict(SETTINGS))
    try:
        running.start()
        yield running
    finally:
        running.stop()
