"""What holds for every test: laws are about values, never about time; no test logs into another's closed stream."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

settings.register_profile("fhirgw", deadline=None)
settings.load_profile("fhirgw")


@pytest.fixture(autouse=True)
def _log_configuration() -> Iterator[None]:
    """A command that a test runs in its own process configures where logs go; that ends with the test."""
    yield
    structlog.reset_defaults()
