"""A server upstream of the gateway."""

import pytest
from upstream_server import upstream_server


@pytest.fixture
def upstream():
    with upstream_server() as server:
        yield server
