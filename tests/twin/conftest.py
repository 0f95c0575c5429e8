"""Where two stores begin: an empty one, and a folder for each pair."""

from itertools import count

import pytest
from empty_store import empty_store


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    path = tmp_path_factory.mktemp("twin") / "empty.db"
    empty_store(path)
    return path


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    return (tmp_path_factory.mktemp("world") for _ in count())
