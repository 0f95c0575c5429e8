"""The database: pooled readers, one writer thread with group commit, migration.

Everything that differs between SQLite and PostgreSQL in connecting is here; in queries, it is in
``predicate.among``.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from fhirgw.errors import DependencyDown

T = TypeVar("T")

URGENT_NS = 5_000_000  # an ACK waits at most this long for others to share its commit (DESIGN §4)
PATIENT_NS = 50_000_000  # a group in which no ACK waits
LULL_NS = 3_000_000  # behind an ACK, the next one is waited for so long before other work is taken
TURN_NS = 50_000_000  # but other work has its turn this often
GROUP = 256  # units in a group at most
SCRUB_MS = 250  # how long an ACK may wait while the write-ahead log is emptied
LOG_PAGES = 10_000  # the write-ahead log is copied into the file when it has so many, and begun again
PAGE_BYTES = 4096
BUSY_MS = 10_000  # how long the writer of another process is waited for


class Unwritten(Protocol):
    """What a part of the store holds back in a unit of work, to write it at once."""

    def write(self) -> None:
        """Write it."""


class Transaction:
    """One unit of work: a connection inside a transaction, and its instant.

    Attributes:
        direct: The connection, for tables of which nothing is held back. Never commit it.
        now: Microseconds since the epoch, UTC; strictly greater than that of the unit before.
        awaited: Whether somebody waits for an ACK or an answer: a unit that can be cut short should be.
        unwritten: What the repository holds back (``held.Held``).
    """

    __slots__ = ("awaited", "direct", "now", "unwritten")

    def __init__(self, connection: Connection, now: int, awaited: Callable[[], bool]) -> None:
        """Begin."""
        self.direct = connection
        self.now = now
        self.awaited = awaited
        self.unwritten: Unwritten | None = None

    @property
    def connection(self) -> Connection:
        """Open, writable, with everything written that this unit has put; never commit it."""
        self.settle()
        return self.direct

    def settle(self) -> None:
        """Write what is held back."""
        if self.unwritten is not None:
            self.unwritten.write()


@dataclass(slots=True)
class _Work:
    """A unit that was submitted.

    Attributes:
        loop: Whose future it is; None: a thread waits.
    """

    unit: Callable[[Transaction], Any]
    future: "asyncio.Future[Any] | Future[Any]"
    urgent: bool
    loop: asyncio.AbstractEventLoop | None = None


Outcome = tuple[_Work, Any, BaseException | None]
"""What became of a unit."""


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
        self._clock = clock
        self._last = 0
        self._readers = _engine(url, writer=False)
        self._writers = _engine(url, writer=True)
        self._wake = threading.Condition()
        self._urgent: deque[_Work] = deque()
        self._queue: deque[_Work] = deque()
        self._lull = self._turn = 0  # from when on other work may, and must, have its turn
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one snapshot and cannot write.

        Raises:
            DependencyDown: The database does not answer.
        """
        try:
            with self._readers.connect() as connection, connection.begin():
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
        self._submit(_Work(unit, future, urgent, loop))
        return future

    def write_sync(self, unit: Callable[[Transaction], T]) -> T:
        """The same for a caller without an event loop."""
        future: Future[T] = Future()
        self._submit(_Work(unit, future, urgent=True))
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
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        self._writers.dispose()
        self._readers.dispose()

    def _submit(self, work: _Work) -> None:
        with self._wake:
            if self._closed:
                raise DependencyDown("The database is closed.")
            (self._urgent if work.urgent else self._queue).append(work)
            self._wake.notify()

    def _run(self) -> None:
        connection: Connection | None = None
        while self._wait():
            group: list[Outcome] = []
            try:
                connection = connection or self._writers.connect()
                with connection.begin():
                    self._fill(connection, group)
            except Exception:  # noqa: BLE001 -- whatever broke the commit, each waiting caller must hear of it
                _discard(connection)
                connection = None
                down = DependencyDown("The database cannot store anything now.")
                group = [(work, None, down) for work, _, _ in group] or self._drain(down)
            _settle(group)
        _discard(connection)

    def _wait(self) -> bool:
        with self._wake:
            while not (self._urgent or self._queue or self._closed):
                self._wake.wait()
            lull = min(self._lull, self._turn) - time.monotonic_ns()
            if lull > 0 and not (self._urgent or self._closed):
                self._wake.wait_for(lambda: self._urgent or self._closed, lull / 1_000_000_000)
            return bool(self._urgent or self._queue)

    def _fill(self, connection: Connection, group: list[Outcome]) -> None:
        """Run units until there are none, the group is full, or an ACK has waited long enough.

        A group with an ACK in it takes no more of what nobody waits for; but that has its turn, so that a feed
        without a pause does not stop the processing.
        """
        until, hurry = time.monotonic_ns() + PATIENT_NS, False
        driver = connection.connection.cursor()  # for savepoints, which SQLAlchemy makes several times as dear
        while len(group) < GROUP:
            with self._wake:
                now = time.monotonic_ns()
                if group and (now > until or (hurry and not self._urgent)):
                    break
                queue = (not group and now > self._turn and self._queue) or self._urgent or self._queue
                if not queue:
                    break
                work = queue.popleft()
            if work.urgent and not hurry:
                until, hurry = now + URGENT_NS, True
            group.append((work, None, None))
            group[-1] = (work, *self._attempt(connection, driver.execute, work))
            if work.urgent:
                self._lull = time.monotonic_ns() + LULL_NS
            else:
                self._turn = time.monotonic_ns() + TURN_NS

    def _attempt(
        self, connection: Connection, execute: Callable[[str], object], work: _Work
    ) -> tuple[Any, BaseException | None]:
        """Run one unit in a savepoint: its failure is its own, unless the transaction itself is lost."""
        self._last = max(self._clock(), self._last + 1)
        execute("SAVEPOINT unit")
        try:
            transaction = Transaction(connection, self._last, lambda: bool(self._urgent))
            outcome = work.unit(transaction)
            transaction.settle()
        except BaseException as error:  # noqa: BLE001 -- it belongs to the unit's caller, who gets it
            # Where the database has rolled everything back by itself (disk full), this raises and ends the group.
            execute("ROLLBACK TO SAVEPOINT unit")
            execute("RELEASE SAVEPOINT unit")
            if isinstance(error, OperationalError):
                error = DependencyDown("The database cannot do this now.")
            if isinstance(error, StopIteration):  # no future takes one
                error = RuntimeError("A unit of work ended early.")
            return None, error
        execute("RELEASE SAVEPOINT unit")
        return outcome, None

    def _drain(self, error: DependencyDown) -> list[Outcome]:
        """Everything that waits, to be told that no transaction could be begun."""
        with self._wake:
            waiting = [*self._urgent, *self._queue]
            self._urgent.clear()
            self._queue.clear()
        return [(work, None, error) for work in waiting]


def _settle(group: list[Outcome]) -> None:
    """Tell everybody who waits; each event loop is woken once for all of a group."""
    loops: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for told in group:
        if told[0].loop is None:
            _tell([told])
        else:
            loops.setdefault(told[0].loop, []).append(told)
    for loop, mine in loops.items():
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(_tell, mine)


def _tell(group: list[Outcome]) -> None:
    for work, outcome, error in group:
        if work.future.done():  # cancelled: nobody to tell; the unit is committed all the same
            continue
        if error is None:
            work.future.set_result(outcome)
        else:
            work.future.set_exception(error)


def _discard(connection: Connection | None) -> None:
    if connection is not None:
        with suppress(SQLAlchemyError):
            connection.invalidate()
        with suppress(SQLAlchemyError):
            connection.close()


def _engine(url: str, *, writer: bool) -> Engine:
    # hide_parameters: no member data in the text of a database error.
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True)
    engine = (
        create_engine(url, hide_parameters=True, poolclass=NullPool)
        if writer
        else create_engine(url, hide_parameters=True, pool_size=8, max_overflow=32)
    )
    event.listen(engine, "connect", _writer_pragmas if writer else _reader_pragmas)
    # The driver's own BEGIN comes too late for a snapshot and takes no write lock.
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin) and None)
    return engine


def _reader_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", f"busy_timeout={BUSY_MS}", "query_only=ON", "cache_size=-16000"):
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
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def migrate(url: str) -> None:
    """Bring the database at the URL to the newest revision; creates it when it does not exist.

    Raises:
        DependencyDown: The database does not answer.
    """
    engine = _engine(url, writer=True)
    try:
        with engine.begin() as connection:
            command.upgrade(configuration(connection), "head")
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
