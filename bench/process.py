"""How many kept messages a second become resources, on one core, in a store that is not empty.

``python bench/process.py``: a gateway fills a store with 100,000 processed messages (kept under ``build/`` for the
next run), then processes the next ones on one core: mapped, labelled, validated, indexed, referred, stored.
``--profile`` prints where the time goes, function by function; ``--fill N`` and ``--next N`` change the sizes.
``--known 0.1``: one in ten of the hospital's patients is a candidate, the others are strangers here.
"""

import argparse
import asyncio
import contextlib
import cProfile
import hashlib
import logging
import os
import platform
import pstats
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent))
import structlog
from feed import ROOT, SENDERS, cases, hospital

import fhirgw.store.schema
from fhirgw.admission import Peer
from fhirgw.app import Gateway, build, collect_rarely
from fhirgw.icm.statements import read_case
from fhirgw.settings import Settings
from fhirgw.store.database import Transaction, migrate

T = TypeVar("T")
OPERATOR = Peer("bench", local=True)
CHUNK = 2048
"""Messages are kept and processed in turns of so many, as long as the store is filled."""


def gateway_at(folder: Path) -> Gateway:
    """A gateway over a store in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "senders.toml").write_text(SENDERS)
    settings = Settings(data_dir=folder)
    migrate(settings.database)
    return build(settings)


async def keep(gateway: Gateway, feed: Sequence[bytes]) -> None:
    """Receive messages as a channel does."""
    for start in range(0, len(feed), 256):
        await asyncio.gather(*(gateway.intake.receive(raw, "file", OPERATOR) for raw in feed[start : start + 256]))


async def process(gateway: Gateway) -> tuple[float, float]:
    """Everything that is due; (wall seconds, CPU seconds)."""
    wall, cpu = time.perf_counter(), time.process_time()
    while await gateway.ingest.messages.process_due():
        pass
    return time.perf_counter() - wall, time.process_time() - cpu


async def fill(gateway: Gateway, people: int, feed: Sequence[bytes]) -> None:
    """Members, and the messages that the store holds before anything is measured."""
    for case in cases(people):
        await gateway.ingest.cases.store(read_case(case))
    started = time.perf_counter()
    for start in range(0, len(feed), CHUNK):
        await keep(gateway, feed[start : start + CHUNK])
        await process(gateway)
        done = start + len(feed[start : start + CHUNK])
        print(f"{done} messages, {time.perf_counter() - started:.0f} s", file=sys.stderr)


def filled(people: int, known: int, feed: Sequence[bytes]) -> Path:
    """The folder of a store that took this feed of so many people: of an earlier run of this schema, or new."""
    schema = hashlib.sha256(Path(fhirgw.store.schema.__file__).read_bytes()).hexdigest()[:8]
    folder = ROOT / "build" / "bench" / f"process-{people}-{known}-{len(feed)}-{schema}"
    if not (folder / "full").exists():
        shutil.rmtree(folder, ignore_errors=True)
        gateway = gateway_at(folder)
        collect_rarely()
        asyncio.run(fill(gateway, known, feed))
        gateway.database.close()
        (folder / "full").touch()
    return folder


def counts(folder: Path, *tables: str) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(folder / "fhirgw.db")) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def states(folder: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(folder / "fhirgw.db")) as connection:
        return dict(connection.execute("SELECT state, count(*) FROM journal GROUP BY state").fetchall())


STAGES = {
    "parse": [("intake.py", "read")],
    "extract": [("adt.py", "extract_all")],
    "fold": [("visit.py", "fold_visit"), ("record.py", "fold_record"), ("person.py", "fold_person")],
    "validate": [("validation.py", "require_valid")],
    "label": [("labels.py", "label")],
    "index": [("index.py", "add"), ("index.py", "targets")],
    "referral": [("settling.py", "settle")],
    "SQL": [("~", "<method 'execute' of 'sqlite3.Cursor' objects>"),
            ("~", "<method 'executemany' of 'sqlite3.Cursor' objects>"),
            ("~", "<method 'fetchall' of 'sqlite3.Cursor' objects>")],
}  # fmt: skip
"""Functions whose cumulative time is a stage's; SQL is inside the others. The rest is what carries them."""


def profile(gateway: Gateway, profiler: cProfile.Profile) -> None:
    """Profile every unit of work with what it holds back until its end; the COMMIT is not in it."""
    write = gateway.database.write

    def whole(unit: Callable[[Transaction], T], tx: Transaction) -> T:
        outcome = unit(tx)
        tx.settle()
        return outcome

    async def profiled(unit: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        return await write(lambda tx: profiler.runcall(whole, unit, tx), urgent=urgent)

    gateway.database.write = profiled  # type: ignore[method-assign]  # the profiler stands before it


def stages(statistics: pstats.Stats) -> dict[str, float]:
    """Each stage's share of the time of the units."""
    known = vars(statistics)  # its public attributes, which its stubs do not declare
    taken = {(Path(file).name, name): row[3] for (file, _, name), row in known["stats"].items()}
    return {
        stage: sum(taken.get(function, 0) for function in functions) / known["total_tt"]
        for stage, functions in STAGES.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=5000)
    parser.add_argument("--fill", type=int, default=100_000)
    parser.add_argument("--next", type=int, default=5000, dest="more")
    parser.add_argument("--known", type=float, default=1.0)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    feed = hospital(arguments.people, arguments.fill + arguments.more)
    folder = filled(arguments.people, round(arguments.people * arguments.known), feed[: arguments.fill])
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as copied:
        store = Path(copied) / "store"
        shutil.copytree(folder, store)
        before = counts(store, "journal", "resource", "history")
        gateway = gateway_at(store)
        collect_rarely()
        asyncio.run(keep(gateway, feed[arguments.fill :]))
        profiler = cProfile.Profile()
        if arguments.profile:
            profile(gateway, profiler)
        wall, cpu = asyncio.run(process(gateway))
        gateway.database.close()
        after = counts(store, "journal", "resource", "history")
        print(states(store))
    print(f"{os.cpu_count()} cores, one used; Python {platform.python_version()}")
    print("store:", before, "size MB:", (folder / "fhirgw.db").stat().st_size // 1_000_000)
    print("message bytes, mean:", sum(map(len, feed)) // len(feed))
    print("versions a message:", round((after["history"] - before["history"]) / arguments.more, 2))
    print(f"{arguments.more / wall:.0f} messages/s, {wall / arguments.more * 1e3:.3f} ms a message", end="")
    print(f", CPU {cpu / arguments.more * 1e3:.3f} ms")
    if arguments.profile:
        statistics = pstats.Stats(profiler)
        for stage, share in stages(statistics).items():
            print(f"{share:6.1%}  {stage}")
        statistics.sort_stats("tottime").print_stats(40)
        statistics.sort_stats("cumtime").print_stats(60)


if __name__ == "__main__":
    main()
