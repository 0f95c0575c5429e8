"""What is due when: a table of a key and an instant (``due_at``, microseconds since the epoch)."""

from sqlalchemy import Connection, Integer, Table, bindparam, delete, select, text

from fhirgw.store.database import Transaction
from fhirgw.store.prepared import Prepared


class DueTable:
    """A table whose primary key is what is due."""

    def __init__(self, table: Table) -> None:
        """Prepare its statements."""
        [key] = table.primary_key
        self._set = Prepared(
            text(
                f"INSERT INTO {table.name} ({key.name}, due_at) VALUES (:of, :due_at) "  # noqa: S608 - names of the schema
                f"ON CONFLICT ({key.name}) DO UPDATE SET due_at = excluded.due_at"
            )
        )
        self._unset = Prepared(delete(table).where(key == bindparam("of")))
        self._due = Prepared(
            select(key)
            .where(table.c.due_at < bindparam("before"))
            .order_by(table.c.due_at, key)
            .limit(bindparam("most", type_=Integer))
        )

    def note(self, tx: Transaction, of: str, due_at: int | None) -> None:
        """When it is due from now on; None: not at all."""
        if due_at is None:
            self._unset.run(tx.direct, [{"of": of}])
        else:
            self._set.run(tx.direct, [{"of": of, "due_at": due_at}])

    def due(self, connection: Connection, before: int, limit: int) -> list[str]:
        """What is due before an instant, the longest due first."""
        return [of for (of,) in self._due.rows(connection, before=before, most=limit)]
