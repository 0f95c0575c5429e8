"""What a harness is pointed at: a gateway, and a server that is none."""

import pytest
from gateway_process import gateway_running
from plain_server import plain_server

from fhirgw.harness.synthetic import RUN

FOREIGN = {"resourceType": "Patient", "id": "foreign", "meta": {"tag": [{"system": RUN, "code": "another"}]}}


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """Every run of a harness has ids and numbers of its own, and one process stands for all of them."""
    with gateway_running(tmp_path_factory.mktemp("harness")) as running:
        yield running


@pytest.fixture
def plain():
    """A server that is no gateway, and holds what somebody else's run has written."""
    with plain_server() as (server, base):
        server.base = base
        server.put("Patient/foreign", FOREIGN)
        yield server
