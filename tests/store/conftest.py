"""A migrated, empty database for each test; the suite is a contract that every kind of database must keep."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhirgw.store.database import Database, migrate


class Clock:
    """Microseconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = 1_790_000_000_000_000

    def __call__(self) -> int:
        return self.now

    def tick(self, seconds: int = 1) -> int:
        self.now += seconds * 1_000_000
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    address = f"{request.param}:///{tmp_path / 'store.db'}"
    migrate(address)
    return address


@pytest.fixture
def database(url: str, clock: Clock) -> Iterator[Database]:
    opened = Database(url, clock=clock)
    yield opened
    opened.close()
