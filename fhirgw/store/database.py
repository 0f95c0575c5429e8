"""The database: pooled readers, one writer thread with group commit, migration.

Everything that differs between SQLite and PostgreSQL in connecting is here; in queries, it is in
``predicate.among``.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from fhirgw.errors import DependencyDown
from fhirgw.settings import ZONE
from fhirgw.store import basis
from fhirgw.store.connections import Snapshots
from fhirgw.store.writer import BUSY_MS, Transaction, Work, Writer

__all__ = ["Database", "Transaction", "configuration", "microseconds", "migrate"]

T = TypeVar("T")

SCRUB_MS = 250  # how long an ACK may wait while the write-ahead log is emptied
LOG_PAGES = 10_000  # the write-ahead log is copied into the file when it has so many, and begun again
PAGE_BYTES = 4096
IN_MEMORY = "temp_store=MEMORY"  # not in files that the system keeps elsewhere (0291)


def microseconds() -> int:
    """The system clock."""
    return time.time_ns() // 1000


class Database:
    """A database at a URL.

    Reads take pooled connections and may run in any thread. All writes of the process go through one thread,
    which commits several units at once; a unit's result is there only after its COMMIT. Other processes may
    write to the same file.

    Args:
        url: SQLAlchemy URL. An in-memory SQLite database is not one database for several connections.
        clock: The time in microseconds.
    """

    def __init__(self, url: str, *, clock: Callable[[], int] = microseconds) -> None:
        self._readers = _engine(url, writer=False)
        self._snapshots = Snapshots(self._readers)
        self._writers = _engine(url, writer=True)
        self._writer = Writer(self._writers, clock)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one snapshot and cannot write.

        Raises:
            DependencyDown: The database does not answer.
        """
        try:
            with self._snapshots.read() as connection:
                yield connection
        except OperationalError:
            raise DependencyDown("The database does not answer.") from None

    async def write(self, unit: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        """Run the unit in the writer thread; its result after the COMMIT. See ``submit``."""
        return await self.submit(unit, urgent=urgent)

    def submit(self, unit: Callable[[Transaction], T], *, urgent: bool = False) -> "asyncio.Future[T]":
        """The same without waiting: what comes of it is there after the COMMIT.

        Whatever the unit raises undoes the unit alone and is raised here. A unit that was submitted runs even
        if the waiting task is cancelled.

        Args:
            unit: What to do; may be run once only, must not block on anything but the database.
            urgent: Somebody waits for an ACK or an answer: such units go first.

        Raises:
            DependencyDown: It could not be committed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._writer.submit(Work(unit, future, urgent, loop))
        return future

    def write_here(self, unit: Callable[[Transaction], T]) -> T | None:
        """Run a short unit in this thread, which is blocked for a commit; its result after the COMMIT.

        None where it would have to wait for another writer: nothing was done then. Otherwise as ``submit``, urgent.
        """
        return self._writer.do(unit)

    def write_sync(self, unit: Callable[[Transaction], T]) -> T:
        """The same for a caller without an event loop."""
        future: Future[T] = Future()
        self._writer.submit(Work(unit, future, urgent=True))
        return future.result()

    def scrub(self) -> bool:
        """Empty the write-ahead log, which still holds what was removed; False when readers are in the way.

        Blocks for as long as the log takes to be copied; the next call finishes what this one could not.
        """
        if self._writers.url.get_backend_name() != "sqlite":
            return True
        connection = self._writers.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={SCRUB_MS}")
            busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            cursor.close()
        finally:
            connection.close()
        return not busy

    def reserve(self) -> None:
        """Write the write-ahead log to its full length once, at start.

        A commit that overwrites a file waits for its own bytes alone; one that makes the file longer waits for the
        file system's journal as well, several times as long. What is written here is rolled back: SQLite spills it
        into the log, and writes over it from then on.
        """
        if self._writers.url.get_backend_name() != "sqlite":
            return
        connection = self._writers.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA cache_size=10")  # all but ten pages are spilled
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("CREATE TABLE reserve (bytes BLOB)")
            cursor.execute("INSERT INTO reserve VALUES (zeroblob(?))", (LOG_PAGES * PAGE_BYTES,))
            cursor.execute("ROLLBACK")
            cursor.close()
        finally:
            connection.close()

    def close(self) -> None:
        """Finish what was submitted, stop the writer, close the connections."""
        self._writer.close()
        self._writers.dispose()
        self._snapshots.close()
        self._readers.dispose()


def _engine(url: str, *, writer: bool) -> Engine:
    # hide_parameters: no member data in the text of a database error.
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True)
    engine = create_engine(url, hide_parameters=True, poolclass=NullPool)
    event.listen(engine, "connect", _writer_pragmas if writer else _reader_pragmas)
    # The driver's own BEGIN comes too late for a snapshot and takes no write lock.
    event.listen(engine, "begin", partial(_begin, statement="BEGIN IMMEDIATE" if writer else "BEGIN"))
    return engine


def _begin(connection: Connection, *, statement: str) -> None:
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.execute(statement).close()  # by SQLAlchemy it would take ten times as long
    except connection.dialect.loaded_dbapi.OperationalError as error:
        raise OperationalError(None, None, error) from None


def _reader_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", f"busy_timeout={BUSY_MS}", "query_only=ON", "cache_size=-16000", IN_MEMORY):
        connection.execute(f"PRAGMA {pragma}").close()


def _writer_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",  # WAL with NORMAL may lose acknowledged commits on power loss (SQLite, pragma.html)
        "foreign_keys=ON",
        "secure_delete=ON",  # what retention removes is overwritten, in the file and on its free pages (0113)
        f"wal_autocheckpoint={LOG_PAGES}",
        "cache_size=-64000",
        IN_MEMORY,
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def migrate(url: str, zone: str = ZONE) -> None:
    """Bring the database at the URL to the newest revision; creates it, in this zone, when it does not exist.

    Raises:
        DependencyDown: The database does not answer.
    """
    engine = _engine(url, writer=True)
    try:
        with engine.begin() as connection:
            command.upgrade(configuration(connection), "head")
            basis.begin(connection, zone)
    except OperationalError:
        raise DependencyDown("The database cannot be migrated now.") from None
    finally:
        engine.dispose()


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for this connection; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
