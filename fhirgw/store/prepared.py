"""Statements of the hot paths, compiled once and handed to the driver.

SQLAlchemy's work per execution is several times that of SQLite for statements this small (docs/decisions/0051).
The statements themselves are SQLAlchemy Core, so that they suit every dialect.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ClauseElement, Connection, Table, bindparam, insert
from sqlalchemy.exc import OperationalError

Parameters = Mapping[str, Any]

# Statements share parts, and a part notes on itself what was found of it. Python 3.11 can break the namespace of an
# object that two threads ask for at once, if it collects garbage just then.
_COMPILING = threading.RLock()

MOST = 16
"""Rows in one INSERT: few statements, that stay compiled."""


class _Compiled(NamedTuple):
    """A statement for one dialect.

    Attributes:
        sql: As the driver takes it.
        arguments: Named parameters to what the driver takes beside the text.
        literals: Values that are part of the statement.
        positions: The names of what it takes by position; None where it takes it by name.
    """

    sql: str
    arguments: Callable[[Parameters], Any]
    literals: Parameters
    positions: tuple[str, ...] | None


class Prepared:
    """One statement; parameters are named as in Core.

    INVARIANT: a named parameter is given with every execution; a value that the statement was built with is never
    taken for it.

    Args:
        statement: Without expanding parameters.
        columns: For an INSERT, the columns it sets.
    """

    def __init__(self, statement: ClauseElement, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, **parameters: Any) -> list[tuple[Any, ...]]:
        """Execute, and give all rows."""
        driver: Any = connection.connection.dbapi_connection
        try:
            return driver.execute(*self._call(connection, parameters)).fetchall()  # type: ignore[no-any-return]
        except connection.dialect.loaded_dbapi.OperationalError as error:
            raise OperationalError(None, None, error) from None

    def rows_of(
        self, connection: Connection, names: tuple[str, ...], values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        """The same, of values in the order of these names, which most drivers take as they are."""
        if self._for(connection).positions != names:
            return self.rows(connection, **dict(zip(names, values, strict=True)))
        driver: Any = connection.connection.dbapi_connection
        try:
            return driver.execute(self._for(connection).sql, values).fetchall()  # type: ignore[no-any-return]
        except connection.dialect.loaded_dbapi.OperationalError as error:
            raise OperationalError(None, None, error) from None

    def last_key(self, connection: Connection, names: tuple[str, ...], values: Sequence[Any]) -> int:
        """Execute an INSERT, and give the last key that it counted (SQLite)."""
        known = self._for(connection)
        given = values if known.positions == names else known.arguments(dict(zip(names, values, strict=True)))
        driver: Any = connection.connection.dbapi_connection
        try:
            return int(driver.execute(known.sql, given).lastrowid)
        except connection.dialect.loaded_dbapi.OperationalError as error:
            raise OperationalError(None, None, error) from None

    def first(self, connection: Connection, **parameters: Any) -> tuple[Any, ...] | None:
        """Execute, and give the first row."""
        found = self.rows(connection, **parameters)
        return found[0] if found else None

    def scalar(self, connection: Connection, **parameters: Any) -> Any:
        """Execute, and give the first value of the first row; None when there is no row."""
        found = self.rows(connection, **parameters)
        return found[0][0] if found else None

    def change(self, connection: Connection, **parameters: Any) -> int:
        """Execute, and give how many rows it changed."""
        with _cursor(connection) as cursor:
            cursor.execute(*self._call(connection, parameters))
            return int(cursor.rowcount)

    def run(self, connection: Connection, parameters: Sequence[Parameters]) -> None:
        """Execute once for each of the parameter sets."""
        if not parameters:
            return
        calls = [self._call(connection, one) for one in parameters]
        with _cursor(connection) as cursor:
            if len(calls) == 1:
                cursor.execute(*calls[0])
            else:
                cursor.executemany(calls[0][0], [arguments for _, arguments in calls])

    def run_rows(self, connection: Connection, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute once for each of the rows: values of the parameters of these names, in their order."""
        if not rows:
            return
        known = self._for(connection)
        calls: Sequence[Any] = rows
        if known.positions != names:
            calls = [known.arguments(dict(zip(names, row, strict=True))) for row in rows]
        with _cursor(connection) as cursor:
            cursor.executemany(known.sql, calls)

    def _call(self, connection: Connection, parameters: Parameters) -> tuple[str, Any]:
        known = self._for(connection)
        return known.sql, known.arguments({**known.literals, **parameters} if known.literals else parameters)

    def _for(self, connection: Connection) -> _Compiled:
        return self._compiled.get(connection.dialect.name) or self._compile(connection)

    def _compile(self, connection: Connection) -> _Compiled:
        with _COMPILING:
            compiled: Any = self._statement.compile(dialect=connection.dialect, column_keys=self._columns)
        literals = {name: bound.value for bound, name in compiled.bind_names.items() if bound.unique}
        positions = getattr(compiled, "positiontup", None)
        named = None if positions is None else tuple(positions)
        known = _Compiled(str(compiled), _arguments(positions), literals, named)
        self._compiled[connection.dialect.name] = known
        return known


class PreparedInsert:
    """An INSERT that gives the keys of its rows, in their order; several rows go in one statement.

    One statement for many rows is a fraction of the driver's work for each, and of the times that it gives away
    the interpreter's lock and has to wait for it. SQLite counts keys up row by row, so that the last one tells them
    all; to return them takes it as long as a third of the INSERT.

    Args:
        table: Whose key is one column that the database counts up.
        columns: What is set, in this order; the others are NULL.
    """

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        (key,) = table.primary_key.columns
        self._statements: dict[int, tuple[Prepared, Prepared, tuple[str, ...]]] = {}
        for size in range(1, MOST + 1):
            values: list[dict[str, Any]] = [
                {column: bindparam(f"{column}_{at}") for column in columns} for at in range(size)
            ]
            names = tuple(f"{column}_{at}" for at in range(size) for column in columns)
            statement = insert(table).values(values)
            self._statements[size] = (Prepared(statement), Prepared(statement.returning(key)), names)

    def keys(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Execute; a row is its values in the order of the columns."""
        keys: list[int] = []
        while len(keys) < len(rows):
            size = min(len(rows) - len(keys), MOST)
            silent, telling, names = self._statements[size]
            values = list(chain.from_iterable(rows[len(keys) : len(keys) + size]))
            if connection.dialect.name == "sqlite":
                last = silent.last_key(connection, names, values)
                keys += range(last - size + 1, last + 1)
            else:
                keys += sorted(key for (key,) in telling.rows_of(connection, names, values))  # told in any order
        return keys


@contextmanager
def _cursor(connection: Connection) -> Iterator[Any]:
    """The driver's cursor; that the database cannot go on is said as SQLAlchemy says it."""
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except connection.dialect.loaded_dbapi.OperationalError as error:
        raise OperationalError(None, None, error) from None
    finally:
        cursor.close()


def _arguments(positions: Sequence[str] | None) -> Callable[[Parameters], Any]:
    """What the driver wants: by position, or by name."""
    if positions is None:
        return dict
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda parameters: tuple(parameters[name] for name in positions)
