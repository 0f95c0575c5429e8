"""What holds for every test.

Laws are about values, never about time; no commit waits for the disk, for no test turns the power off; no test logs
into another's closed stream.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from composed_gateway import Composed, composed
from gateway_process import Gateway, gateway_running
from hypothesis import HealthCheck, settings
from sqlalchemy import Connection, Engine, event
from told_partners import Endpoint, listening

for name, examples in (("thorough", 100), ("quick", 25)):
    settings.register_profile(
        name, deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("quick")


@event.listens_for(Engine, "begin")
def _no_power_failure(connection: Connection) -> None:
    """Before the gateway's own listener begins a transaction, in which it could not be said any more."""
    connection.connection.driver_connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(autouse=True)
def _log_configuration() -> Iterator[None]:
    """A command that a test runs in its own process configures where logs go; that ends with the test."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A process with the demo's data, for this test alone."""
    with gateway_running(tmp_path) as running:
        yield running


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Composed]:
    """A gateway in this process with the demo's people, for this test alone."""
    with composed(tmp_path) as made:
        yield made


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A partner's server that takes notifications."""
    with listening() as server:
        yield server
