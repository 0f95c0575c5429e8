"""A gateway: every run of a harness has ids and numbers of its own, and one process stands for all of them."""

import pytest
from gateway_process import Gateway


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    running = Gateway(tmp_path_factory.mktemp("harness") / "data")
    try:
        running.start()
        yield running
    finally:
        running.stop()
