"""A migrated, empty database: migrated once in each process of tests, and copied for each test that wants one."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from fhirgw.store.database import migrate


@cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fhirgw-empty-"))
    atexit.register(shutil.rmtree, folder)
    path = folder / "store.db"
    migrate(f"sqlite:///{path}")
    return path


def empty_store(path: Path) -> str:
    """The URL of a new database at the path, as ``migrate`` leaves it."""
    shutil.copyfile(_template(), path)
    return f"sqlite:///{path}"
