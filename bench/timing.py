"""What time tells of what is hidden (leak 37): ``python bench/timing.py --hidden 20000``.

Two stores have the same visible resources; one has as many hidden ones as asked for, of the same members. The same
asks go to both by turns, so that both meet the same machine. Reported for each ask: median and 99th percentile of
both, and the difference of the medians, also with the hidden and the absent in one store. Nothing is asserted.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from figures import p50_p99
from practice import CLEARED, ELM, Json, coded, label, release, share_of, to

from fhirgw.asks import Ask, Read, Search
from fhirgw.errors import NotFound
from fhirgw.share import Share
from fhirgw.store import policy, repository
from fhirgw.store.database import Database, Transaction, migrate


def condition(logical: str, member: int, code: str) -> Json:
    return {
        "resourceType": "Condition",
        "id": logical,
        "meta": CLEARED,
        "subject": to("Patient", f"p{member}"),
        "code": coded(code),
    }


def stored(folder: Path, name: str, members: int, visible: int, hidden: int) -> Share:
    """A share over a store: visible conditions, then hidden ones, spread over the members."""
    url = f"sqlite:///{folder}/{name}.db"
    migrate(url)
    database = Database(url)

    def people(tx: Transaction) -> None:
        for member in range(members):
            policy.enrol(tx, f"p{member}", "bench", "active")
            repository.put(tx, {"resourceType": "Patient", "id": f"p{member}"})
            repository.put(tx, release(f"p{member}", f"c{member}", label("N")))

    database.write_sync(people)
    conditions = [condition(f"v{number}", number % members, "E11.9") for number in range(visible)]
    conditions += [condition(f"h{number}", number % members, "F11.20") for number in range(hidden)]
    for start in range(0, len(conditions), 500):
        database.write_sync(partial(repository.put_all, resources=conditions[start : start + 500]))
    return share_of(database)


ASKS: dict[str, tuple[Ask, Ask]] = {
    "read of what is hidden, of what never was": (Read("Condition", "h7"), Read("Condition", "x7")),
    "search of a member": (Search("Condition", (("patient", "Patient/p1"), ("_count", "20"))),) * 2,
    "search by a hidden code": (Search("Condition", (("code", "F11.20"),)),) * 2,
    "search by a visible code": (Search("Condition", (("code", "E11.9"), ("_count", "20"))),) * 2,
    "all, by the last change": (Search("Condition", (("_sort", "-_lastUpdated"), ("_count", "20"))),) * 2,
}


async def milliseconds(share: Share, ask: Ask) -> float:
    started = time.perf_counter()
    with contextlib.suppress(NotFound):
        await share.release(ELM, ask)
    return (time.perf_counter() - started) * 1000


async def measured(whole: Share, twin: Share, repeat: int) -> None:
    print(f"{'':45} with hidden      without          difference of medians")
    for name, (ours, theirs) in ASKS.items():
        hidden, without = [], []
        for _ in range(repeat):
            hidden.append(await milliseconds(whole, ours))
            without.append(await milliseconds(whole if ours != theirs else twin, theirs))
        (a, a99), (b, b99) = p50_p99(hidden), p50_p99(without)
        print(f"{name:45} {a:6.2f} ({a99:6.2f})  {b:6.2f} ({b99:6.2f})  {a - b:+.2f} ms ({(a - b) / b:+.0%})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--visible", type=int, default=2_000, help="conditions that the practice may see")
    parser.add_argument("--hidden", type=int, default=20_000, help="conditions that it may not see, in one store")
    parser.add_argument("--repeat", type=int, default=300)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        whole = stored(path, "whole", asked.members, asked.visible, asked.hidden)
        twin = stored(path, "twin", asked.members, asked.visible, 0)
        asyncio.run(measured(whole, twin, asked.repeat))


if __name__ == "__main__":
    main()
