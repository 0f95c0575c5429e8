"""The one writer: units of work one after the other, several to a commit, each undone alone if it fails.

A thread of its own takes what is submitted; who is in a hurry and finds nobody writing writes where it is, which
spares it two changes of thread (docs/decisions/0050, 0152, 0200).
"""

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from fhirgw.errors import DependencyDown
from fhirgw.store.connections import begin, connected, driver, end, is_embedded, lose

T = TypeVar("T")

URGENT_NS = 5_000_000  # an ACK waits at most this long for others to share its commit (DESIGN §4)
PATIENT_NS = 50_000_000  # a group in which no ACK waits
LULL_NS = 3_000_000  # behind an ACK, the next one is waited for so long before other work is taken
TURN_NS = 100_000_000  # but other work has its turn this often
GROUP = 256  # units in a group at most
SLOW_NS = 20_000_000  # a commit that takes longer keeps its thread from all else for too long
SPARED = 10  # after two of them, nobody commits where it is for so many times as long
BUSY_MS = 10_000  # how long the writer of another process is waited for
RETRY_SECONDS = 0.002  # and how often it is looked at
DOWN = "The database cannot store anything now."


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
class Work:
    """A unit that was submitted.

    Attributes:
        loop: Whose future it is; None: a thread waits.
    """

    unit: Callable[[Transaction], Any]
    future: "asyncio.Future[Any] | Future[Any]"
    urgent: bool
    loop: asyncio.AbstractEventLoop | None = None


Outcome = tuple[Work, Any, BaseException | None]
"""What became of a unit."""


class Writer:
    """Whatever is written goes through here.

    Args:
        engine: Makes the connection that is written through.
        clock: The time in microseconds.
    """

    def __init__(self, engine: Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._embedded = is_embedded(engine)
        self._clock = clock
        self._last = 0
        self._connection: Connection | None = None
        self._writing = threading.Lock()  # whoever has it uses the connection
        self._wake = threading.Condition()
        self._urgent: deque[Work] = deque()
        self._queue: deque[Work] = deque()
        self._lull = self._turn = 0  # from when on other work may, and must, have its turn
        self._slow = 0  # commits one after the other that took long
        self._spared = 0  # from when on the disk is trusted to be quick again
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> None:
        """Let the thread do it.

        Raises:
            DependencyDown: The writer is closed.
        """
        with self._wake:
            if self._closed:
                raise DependencyDown("The database is closed.")
            (self._urgent if work.urgent else self._queue).append(work)
            self._wake.notify()

    def do(self, unit: Callable[[Transaction], T]) -> T | None:
        """Do urgent work in this thread, now; None where it would have to wait for a writer, and nothing was done.

        It takes as long as a commit does, on a disk that has been quick.

        Raises:
            DependencyDown: It could not be committed.
        """
        began = time.monotonic_ns()
        if not self._embedded or began < self._spared or not self._writing.acquire(blocking=False):
            return None
        try:
            outcome = self._do(unit)
        finally:
            ended = time.monotonic_ns()
            self._lull = ended + LULL_NS
            self._writing.release()
            self._slow = self._slow + 1 if ended - began > SLOW_NS else 0
            if self._slow > 1:  # a lone one has copied the log into the file
                self._spared = ended + SPARED * (ended - began)
        return outcome

    def close(self) -> None:
        """Finish what was submitted, and stop."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _do(self, unit: Callable[[Transaction], T]) -> T | None:
        """What becomes of it; None where no transaction could be begun at once."""
        connection = self._connection
        if connection is None:
            return None
        begun = False
        try:
            begin(connection, "BEGIN IMMEDIATE")
            begun = True
            outcome: T
            outcome, error = self._perform(connection, unit)
            end(connection, "COMMIT" if error is None else "ROLLBACK")
        except Exception as broken:  # noqa: BLE001 -- see _run
            if not begun and _is_busy(broken):
                return None
            self._lose()
            raise DependencyDown(DOWN) from None
        if error is not None:
            raise error
        return outcome

    def _run(self) -> None:
        while self._wait():
            group: list[Outcome] = []
            with self._writing:
                try:
                    connection = self._connection = self._connection or self._connect()
                    self._begin_patiently(connection)
                    self._fill(connection, group)
                    end(connection, "COMMIT")
                except Exception:  # noqa: BLE001 -- whatever broke the commit, each waiting caller must hear of it
                    self._lose()
                    down = DependencyDown(DOWN)
                    group = [(work, None, down) for work, _, _ in group] or self._drain(down)
            _settle(group)
        with self._writing:
            self._lose()

    def _connect(self) -> Connection:
        connection = connected(self._engine)
        if self._embedded:  # who is in a hurry does not wait for another process; the thread does, by itself
            driver(connection).execute("PRAGMA busy_timeout=0").close()
        return connection

    def _begin_patiently(self, connection: Connection) -> None:
        """Begin, when the writer of another process has ended."""
        until = time.monotonic() + BUSY_MS / 1000
        while True:
            try:
                return begin(connection, "BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > until:
                    raise
                time.sleep(RETRY_SECONDS)

    def _lose(self) -> None:
        """Begin with another connection next time."""
        connection, self._connection = self._connection, None
        if connection is not None:
            lose(connection)

    def _wait(self) -> bool:
        with self._wake:
            while not (self._urgent or self._closed):
                lull = min(self._lull, self._turn) - time.monotonic_ns()
                if self._queue and lull <= 0:
                    break
                self._wake.wait(lull / 1_000_000_000 if self._queue else None)
            return bool(self._urgent or self._queue)

    def _fill(self, connection: Connection, group: list[Outcome]) -> None:
        """Run units until there are none, the group is full, or an ACK has waited long enough.

        A group with an ACK in it takes no more of what nobody waits for; but that has its turn, so that a feed
        without a pause does not stop the processing.
        """
        until, hurry = time.monotonic_ns() + PATIENT_NS, False
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
            group[-1] = (work, *self._attempt(connection, work))
            if work.urgent:
                self._lull = time.monotonic_ns() + LULL_NS
            else:
                self._turn = time.monotonic_ns() + TURN_NS

    def _attempt(self, connection: Connection, work: Work) -> tuple[Any, BaseException | None]:
        """Run one unit in a savepoint: its failure is its own, unless the transaction itself is lost."""
        execute = driver(connection).execute  # SQLAlchemy makes savepoints several times as dear
        execute("SAVEPOINT unit")
        outcome, error = self._perform(connection, work.unit)
        if error is not None:
            # Where the database has rolled everything back by itself (disk full), this raises and ends the group.
            execute("ROLLBACK TO SAVEPOINT unit")
        execute("RELEASE SAVEPOINT unit")
        return outcome, error

    def _perform(
        self, connection: Connection, unit: Callable[[Transaction], Any]
    ) -> tuple[Any, BaseException | None]:
        """Run one unit; what it raises belongs to its caller, who gets it."""
        self._last = max(self._clock(), self._last + 1)
        transaction = Transaction(connection, self._last, lambda: bool(self._urgent))
        try:
            outcome = unit(transaction)
            transaction.settle()
        except OperationalError:
            return None, DependencyDown("The database cannot do this now.")
        except StopIteration:  # no future takes one
            return None, RuntimeError("A unit of work ended early.")
        except BaseException as error:  # noqa: BLE001 -- see above
            return None, error
        return outcome, None

    def _drain(self, error: DependencyDown) -> list[Outcome]:
        """Everything that waits, to be told that no transaction could be begun."""
        with self._wake:
            waiting = [*self._urgent, *self._queue]
            self._urgent.clear()
            self._queue.clear()
        return [(work, None, error) for work in waiting]


def _is_busy(error: Exception) -> bool:
    """Whether another process is writing (SQLite)."""
    return str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY")


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
