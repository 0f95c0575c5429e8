"""A migrated, empty database for each test; the suite is a contract that every kind of database must keep."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from empty_store import empty_store

from fhirgw.store.database import Database


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


@pytest.fixture(params=[empty_store], ids=["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    create: Callable[[Path], str] = request.param
    return create(tmp_path / "store.db")


@pytest.fixture
def database(url: str, clock: Clock) -> Iterator[Database]:
    opened = Database(url, clock=clock)
    yield opened
    opened.close()
