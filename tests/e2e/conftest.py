"""One gateway process a test."""

import pytest
from gateway_process import Gateway


@pytest.fixture
def gateway(tmp_path):
    running = Gateway(tmp_path / "data")
    try:
        running.start()
        yield running
    finally:
        running.stop()
