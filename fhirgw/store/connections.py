"""Connections whose transactions are the driver's, and those that snapshots are read through.

SQLAlchemy takes several times as long to begin and end a transaction as SQLite does, and to check a connection out
and in as SQLite takes for a read. (docs/decisions/0290, 0311)
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

IDLE = 8
"""Readers that are kept open when nobody reads."""


def connected(engine: Engine) -> Connection:
    """A connection in a transaction that SQLAlchemy never ends: in it, the driver's follow one another."""
    connection = engine.connect()
    connection.begin()
    end(connection, "ROLLBACK")
    return connection


def driver(connection: Connection) -> Any:
    """What the driver calls the connection."""
    return connection.connection.dbapi_connection


def begin(connection: Connection, how: Literal["BEGIN", "BEGIN IMMEDIATE"]) -> None:
    """Begin the driver's transaction; but for SQLite's, a driver does so by itself, with the first statement."""
    if is_embedded(connection.engine):
        driver(connection).execute(how).close()


def end(connection: Connection, how: Literal["COMMIT", "ROLLBACK"]) -> None:
    """End it; unlike SQLite's driver, it fails to commit where SQLite has undone everything by itself."""
    if is_embedded(connection.engine):
        driver(connection).execute(how).close()
    else:
        (driver(connection).commit if how == "COMMIT" else driver(connection).rollback)()


def lose(connection: Connection) -> None:
    """Close it, whatever has become of it."""
    with suppress(SQLAlchemyError):
        connection.invalidate()
    with suppress(SQLAlchemyError):
        connection.close()


def is_embedded(engine: Engine) -> bool:
    """Whether it is SQLite; elsewhere, to commit is to ask over a network."""
    return engine.dialect.name == "sqlite"


class Snapshots:
    """Connections for any thread, as many as read at once."""

    def __init__(self, engine: Engine) -> None:
        """None is open yet."""
        self._engine = engine
        self._idle: deque[Connection] = deque()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one snapshot.

        Raises:
            OperationalError: The database does not answer.
        """
        connection = self._taken()
        kept = False
        try:
            yield connection
            kept = True
        except Exception as error:
            kept = not isinstance(error, SQLAlchemyError)
            raise
        finally:
            if kept:
                self._put_back(connection)
            else:
                lose(connection)

    def close(self) -> None:
        """Close those that nobody reads with."""
        while self._idle:
            self._idle.pop().close()

    def _taken(self) -> Connection:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = connected(self._engine)
        try:
            begin(connection, "BEGIN")
        except connection.dialect.loaded_dbapi.OperationalError as error:
            lose(connection)
            raise OperationalError(None, None, error) from None
        return connection

    def _put_back(self, connection: Connection) -> None:
        try:
            end(connection, "ROLLBACK")
        except connection.dialect.loaded_dbapi.Error:
            lose(connection)
            return
        if len(self._idle) < IDLE:
            self._idle.append(connection)
        else:
            connection.close()
