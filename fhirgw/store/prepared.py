"""Statements of the hot paths, compiled once and handed to the driver.

SQLAlchemy's work per execution is several times that of SQLite for statements this small (docs/decisions/0051).
The statements themselves are SQLAlchemy Core, so that they suit every dialect.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection


class Prepared:
    """One statement; parameters are named as in Core.

    Args:
        statement: Without expanding parameters.
        columns: For an INSERT, the columns it sets.
    """

    def __init__(self, statement: ClauseElement, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, tuple[str, Sequence[str] | None, Mapping[str, Any]]] = {}

    def rows(self, connection: Connection, **parameters: Any) -> list[tuple[Any, ...]]:
        """Execute, and give all rows."""
        cursor = connection.connection.cursor()
        try:
            sql, arguments = self._call(connection, parameters)
            cursor.execute(sql, arguments)
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def first(self, connection: Connection, **parameters: Any) -> tuple[Any, ...] | None:
        """Execute, and give the first row."""
        found = self.rows(connection, **parameters)
        return found[0] if found else None

    def run(self, connection: Connection, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Execute once for each of the parameter sets."""
        if not parameters:
            return
        cursor = connection.connection.cursor()
        try:
            calls = [self._call(connection, one) for one in parameters]
            if len(calls) == 1:
                cursor.execute(*calls[0])
            else:
                cursor.executemany(calls[0][0], [arguments for _, arguments in calls])
        finally:
            cursor.close()

    def _call(self, connection: Connection, parameters: Mapping[str, Any]) -> tuple[str, Any]:
        known = self._compiled.get(connection.dialect.name)
        if known is None:
            compiled = self._statement.compile(dialect=connection.dialect, column_keys=self._columns)
            positions: Sequence[str] | None = getattr(compiled, "positiontup", None)
            known = (str(compiled), positions, {k: v for k, v in compiled.params.items() if v is not None})
            self._compiled[connection.dialect.name] = known
        sql, positions, fixed = known
        if positions is None:
            return sql, {**fixed, **parameters}
        return sql, tuple(parameters[name] if name in parameters else fixed[name] for name in positions)
