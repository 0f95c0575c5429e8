"""The writer: durable before it answers, each unit for itself, and never silent."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from patience import PATIENCE
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from fhirgw.errors import DependencyDown, NotFound
from fhirgw.store import journal
from fhirgw.store.database import LOG_PAGES, PAGE_BYTES, Database, Transaction, migrate
from fhirgw.store.schema import metadata

MEMORY = 2


def keep(tx: Transaction, raw: bytes = b"MSH") -> int:
    (row,) = journal.keep(tx, [journal.New("mllp", "a", "1", "A01", raw, ack=b"ACK")])
    return row.id


def kept(database: Database) -> int:
    with database.read() as connection:
        return len(journal.list_(connection, limit=10_000))


def test_the_revisions_give_the_metadata(tmp_path, monkeypatch):
    """Migrating an empty database, from any directory, any number of times, gives exactly the schema's tables."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'new.db'}"
    migrate(url)
    migrate(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": metadata, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_commit_waits_for_the_disk(database):
    """Other tests wait for none; a connection in which nothing has begun is as the gateway has it."""
    writer = database._writers.raw_connection()
    assert writer.driver_connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    writer.close()


async def test_a_result_is_there_only_after_the_commit(database, url):
    """When write returns, another connection sees the row."""
    await database.write(keep, urgent=True)
    assert kept(database) == 1


async def test_a_failing_unit_fails_alone(database):
    """One unit's exception is its caller's alone, and leaves nothing of it behind."""

    def fail(tx: Transaction) -> None:
        keep(tx)
        raise NotFound

    first, failed, last = await asyncio.gather(
        database.write(keep), database.write(fail), database.write(keep), return_exceptions=True
    )
    assert isinstance(failed, NotFound)
    assert [isinstance(one, int) for one in (first, last)] == [True, True]
    assert kept(database) == 2


async def test_an_sql_error_is_a_dependency_down_for_its_unit_alone(database):
    """A statement that the database refuses tells nothing of its values, and harms no other unit."""
    bad, good = await asyncio.gather(
        database.write(lambda tx: tx.connection.execute(text("SELECT * FROM nowhere"))),
        database.write(keep),
        return_exceptions=True,
    )
    assert isinstance(bad, DependencyDown)
    assert isinstance(good, int)


async def test_urgent_units_go_first(database):
    """A journal row whose ACK is owed passes work that waits in the queue."""
    order: list[str] = []
    busy, go = threading.Event(), threading.Event()

    def hold(_: Transaction) -> None:
        busy.set()
        go.wait(PATIENCE)

    units = [asyncio.ensure_future(database.write(hold))]
    assert await asyncio.to_thread(busy.wait, PATIENCE)
    units += [asyncio.ensure_future(database.write(lambda _, n=n: order.append(f"later {n}"))) for n in range(3)]
    units.append(asyncio.ensure_future(database.write(lambda _: order.append("urgent"), urgent=True)))
    await asyncio.to_thread(lambda: None)
    go.set()
    await asyncio.gather(*units)
    assert order == ["urgent", "later 0", "later 1", "later 2"]


async def test_a_feed_without_a_pause_does_not_stop_the_processing(database, monkeypatch):
    """What nobody waits for has its turn between the ACKs."""
    monkeypatch.setattr("fhirgw.store.writer.URGENT_NS", 0)
    monkeypatch.setattr("fhirgw.store.writer.TURN_NS", 0)
    order: list[str] = []
    busy, go = threading.Event(), threading.Event()

    def hold(_: Transaction) -> None:
        busy.set()
        go.wait(PATIENCE)

    units = [asyncio.ensure_future(database.write(hold, urgent=True))]
    assert await asyncio.to_thread(busy.wait, PATIENCE)
    for name, urgent in (("later 0", False), ("later 1", False), ("urgent 0", True), ("urgent 1", True)):
        units.append(asyncio.ensure_future(database.write(lambda _, n=name: order.append(n), urgent=urgent)))
    await asyncio.to_thread(lambda: None)
    go.set()
    await asyncio.gather(*units)
    assert order == ["later 0", "urgent 0", "later 1", "urgent 1"]


async def test_who_finds_nobody_writing_writes_at_once(database):
    """There and then, in the caller's thread; and another connection sees it before anything is awaited."""
    await database.write(keep)
    _, thread = database.write_here(lambda tx: (keep(tx), threading.get_ident()))
    assert thread == threading.get_ident()
    assert kept(database) == 2


async def test_what_fails_at_once_leaves_nothing(database):
    """The failure is the caller's, and the next one writes as ever."""
    await database.write(keep)

    def fail(tx: Transaction) -> None:
        keep(tx)
        raise NotFound

    with pytest.raises(NotFound):
        database.write_here(fail)
    assert database.write_here(keep)
    assert kept(database) == 2


async def test_who_finds_somebody_writing_does_not_wait(database):
    """It is told so, nothing was done, and it can submit the unit."""
    busy, go = threading.Event(), threading.Event()

    def hold(_: Transaction) -> None:
        busy.set()
        go.wait(PATIENCE)

    holding = asyncio.ensure_future(database.write(hold))
    assert await asyncio.to_thread(busy.wait, PATIENCE)
    assert database.write_here(keep) is None
    written = database.submit(keep, urgent=True)
    go.set()
    await asyncio.gather(holding, written)
    assert kept(database) == 1


async def test_who_finds_another_process_writing_does_not_wait(database, tmp_path):
    """The writer's thread waits for it."""
    await database.write(keep)
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert database.write_here(keep) is None
        written = database.submit(keep, urgent=True)
        other.execute("ROLLBACK")
    await written
    assert kept(database) == 2


async def test_a_slow_disk_is_left_to_the_thread(database, monkeypatch):
    """Commits that take long are not waited for where everything else would wait too."""
    await database.write(keep)
    monkeypatch.setattr("fhirgw.store.writer.SLOW_NS", -1)
    monkeypatch.setattr("fhirgw.store.writer.SPARED", 1_000_000)
    assert [database.write_here(keep) is None for _ in range(3)] == [False, False, True]
    assert kept(database) == 3


async def test_nothing_is_put_aside_in_files(database):
    """What a statement may have to undo, and what is sorted, stays in memory: temporary files are elsewhere."""
    asked = "PRAGMA temp_store"
    with database.read() as connection:
        assert connection.exec_driver_sql(asked).scalar() == MEMORY
    assert await database.write(lambda tx: tx.connection.exec_driver_sql(asked).scalar()) == MEMORY


async def test_instants_strictly_increase(database):
    """No two units have the same instant, though the clock stands still."""
    instants = await asyncio.gather(*(database.write(lambda tx: tx.now) for _ in range(20)))
    assert sorted(set(instants)) == instants


def test_a_reader_cannot_write_and_sees_one_snapshot(database):
    """What is committed meanwhile is not seen, and a read connection refuses to write."""
    with database.read() as connection:
        before = len(journal.list_(connection))
        database.write_sync(keep)
        assert len(journal.list_(connection)) == before
    with pytest.raises(DependencyDown), database.read() as connection:
        connection.execute(text("DELETE FROM journal"))


def test_a_reserved_log_is_long_and_holds_nothing(database, tmp_path):
    """What is written to make the log long is not stored, and what is stored afterwards is."""
    database.write_sync(keep)
    database.reserve()
    (log,) = tmp_path.glob("*-wal")
    length = log.stat().st_size
    database.write_sync(keep)
    assert log.stat().st_size == length > LOG_PAGES * PAGE_BYTES
    assert kept(database) == 2
    with database.read() as connection:
        assert not connection.execute(text("SELECT name FROM sqlite_master WHERE name = 'reserve'")).all()


def test_a_closed_database_is_down(url):
    """What was submitted is committed at closing; afterwards everybody is told to come again."""
    database = Database(url)
    database.write_sync(keep)
    database.close()
    with pytest.raises(DependencyDown):
        database.write_sync(keep)


def test_another_process_may_write_to_the_same_file(database, url):
    """The command line writes while the gateway serves."""
    other = Database(url)
    for _ in range(5):
        other.write_sync(keep)
        database.write_sync(keep)
    other.close()
    assert kept(database) == 10


async def test_a_full_disk_is_told_and_passes(database):
    """Nothing is acknowledged that is not stored; when there is room again, writing goes on."""

    def limit(pages: int):
        return lambda tx: tx.connection.execute(text(f"PRAGMA max_page_count={pages}")).scalar()

    await database.write(limit(1))
    big = b"x" * 2_000_000
    outcomes = await asyncio.gather(
        *(database.write(lambda tx: keep(tx, big), urgent=True) for _ in range(8)), return_exceptions=True
    )
    assert {type(one) for one in outcomes} <= {DependencyDown, int}
    stored = [one for one in outcomes if isinstance(one, int)]  # once the writer has connected anew
    assert len(stored) < len(outcomes)
    assert kept(database) == len(stored)
    await database.write(keep)
    assert kept(database) == len(stored) + 1


async def test_a_lost_database_is_a_dependency_down(database, monkeypatch):
    """When no transaction can be begun, everybody who waits hears of it."""

    def refuse(*_: object) -> None:
        raise OperationalError("BEGIN", {}, sqlite3.OperationalError("gone"))

    monkeypatch.setattr(database._writers, "connect", refuse)
    with pytest.raises(DependencyDown):
        await database.write(keep)


CHILD = """
import asyncio, sys
from fhirgw.store import journal
from fhirgw.store.database import Database
database = Database(sys.argv[1])
async def feed(n):
    for at in range(100000):
        raw = f"{n}-{at}".encode()
        unit = lambda tx: journal.keep(tx, [journal.New("mllp", "a", None, None, raw)])
        await database.write(unit, urgent=True)
        print(raw.decode(), flush=True)
async def main():
    await asyncio.gather(*(feed(n) for n in range(8)))
asyncio.run(main())
"""


def test_what_was_acknowledged_survives_a_kill(url, tmp_path: Path):
    """After kill -9, every row whose write had returned is there, exactly once."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(400)]
    child.send_signal(signal.SIGKILL)
    with contextlib.closing(child.stdout):
        acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
    child.wait()
    database = Database(url)
    with database.read() as connection:
        raws = [row.raw.decode() for row in journal.due(connection, limit=100_000)]
    database.close()
    assert len(raws) == len(set(raws))
    assert set(acknowledged) <= set(raws)
