"""How well and how fast people are matched: ``python bench/match.py --people 100000``.

A town is made (``panel``), half of it are the members in the store. Then people come to hospitals: members, written
down with the errors of that trade, and others of the town, among them the members' own twins, parents and children.
Everybody who comes is looked up as the feed does it. Reported: how many members are found by blocking at all; at
each threshold, precision (of the best candidates at or above it, those that are the person) and recall (of the
members who came, those whose best candidate is they themselves, at or above it); and the time of one look-up.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from figures import p50_p99
from panel import Json, Person, Town

from fhirgw import matching
from fhirgw.matching.compare import FIELDS
from fhirgw.store import candidates, policy, repository
from fhirgw.store.database import Database, Transaction, migrate

THRESHOLDS = (0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


def loaded(town: Town, members: Sequence[Person], folder: Path) -> Database:
    """A store with the members in it."""
    url = f"sqlite:///{folder}/match.db"
    migrate(url)
    database = Database(url)

    def unit(tx: Transaction, some: Sequence[Person]) -> None:
        for one in some:
            logical = f"p{one.key}"
            repository.put(tx, town.patient(one) | {"id": logical})
            policy.enrol(tx, logical, "bench", "active")

    for start in range(0, len(members), 500):
        database.write_sync(partial(unit, some=members[start : start + 500]))
    return database


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100_000, help="members in the store")
    parser.add_argument("--visits", type=int, default=20_000, help="people who come")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    town = Town(asked.people * 2, asked.seed)
    chance = random.Random(asked.seed)
    members = sorted(chance.sample(town.people, asked.people), key=lambda one: one.key)
    inside = {one.key for one in members}
    houses = {one.household for one in members}
    beside = [one for one in town.people if one.key not in inside]
    near = [one for one in beside if one.household in houses]
    twins = [one for one in near if one.twin in inside]
    # One in three who come is a member; of the others, every fourth lives with one, and all twins of members come.
    third = asked.visits // 3
    come = [(one, town.written(one)) for one in chance.choices(members, k=third)]
    come += [(one, town.written(one)) for one in chance.choices(near, k=(asked.visits - third) // 4)]
    come += [(one, town.written(one)) for one in twins]
    come += [(one, town.written(one)) for one in chance.choices(beside, k=max(0, asked.visits - len(come)))]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        database = loaded(town, members, Path(folder))
        print(f"{len(members):,} members stored in {time.perf_counter() - started:.0f} s", flush=True)
        database.write_sync(lambda tx: report(town, inside, come, tx))
        database.close()


def report(town: Town, inside: set[int], come: Sequence[tuple[Person, Json]], tx: Transaction) -> None:
    model = matching.load()
    work, best, blocked, sizes, times = 0.0, [], 0, [], []
    met: Counter[tuple[str, str]] = Counter()
    for one, written in come:
        started, worked = time.perf_counter(), time.process_time()
        wanted = matching.traits(written)
        people = candidates.in_care(tx, matching.sought(wanted))
        ranked = model.rank(wanted, people)
        times.append(time.perf_counter() - started)
        work += time.process_time() - worked
        sizes.append(len(people))
        logical = f"p{one.key}" if one.key in inside else None
        blocked += logical in {patient for patient, _ in people}
        patient, found = ranked[0] if ranked else (None, None)
        best.append((found.probability if found else 0.0, patient == logical if logical else False, logical))
        if logical:
            levels = matching.levels(wanted, matching.traits(town.patient(one)))
            met.update(levels.items())
    came = sum(logical is not None for *_, logical in best)
    print(f"{len(come):,} come, {came:,} of them members; blocking finds {blocked / came:.4%} of these")
    print(f"candidates compared: median {statistics.median(sizes):.0f}, most {max(sizes)}")
    median, late = (seconds * 1e3 for seconds in p50_p99(times))
    print(f"a look-up: median {median:.2f} ms, 99 of 100 within {late:.2f} ms; {len(times) / sum(times):.0f}/s")
    print(f"CPU time of one: {work / len(times) * 1e3:.2f} ms")
    print("threshold  precision  recall    wrong")
    for least in THRESHOLDS:
        above = [right for probability, right, _ in best if probability >= least]
        right = sum(above)
        precision = right / len(above) if above else 1.0
        print(f"{least:9}  {precision:9.5f}  {right / came:.5f}  {len(above) - right:5}")
    print("levels met with members:")
    for field, known in FIELDS.items():
        total = sum(met[field, level] for level in known)
        print(f"  {field}: " + ", ".join(f"{level} {met[field, level] / total:.4f}" for level in known))


if __name__ == "__main__":
    main()
