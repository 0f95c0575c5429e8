"""A gateway, and a server upstream of it."""

import pytest
from composed_gateway import composed
from upstream_server import upstream_server


@pytest.fixture
def whole(tmp_path):
    with composed(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def upstream():
    with upstream_server() as server:
        yield server
