"""What consent costs a read and a search, and what a policy that moves costs the next, by the number of members.

    python bench/members.py [--members 10000 100000]

A store of that many members is made under ``build/`` (``clones``), with 20 resources each. Then, by turns, an
outside practice whom nearly everybody's release names, and the programme's own system, ask the same of members at
random, both with a durable account; and a member's release changes before some of the asks. Told: p50 and p99 in
ms, CPU included, and their ratio.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from clones import HELD_BACK, TEMPLATES, build, released, tag
from figures import p50_p99
from practice import ELM, share_of

from fhirgw.asks import Ask, Read, Requester, Search
from fhirgw.errors import NotFound
from fhirgw.share import Share
from fhirgw.store import repository
from fhirgw.store.database import Database

INSIDE = Requester("icm", "icm", "TREAT", ("system/*.rs",), frozenset({"*"}), "bench")
ASKS: dict[str, Callable[[str], Ask]] = {
    "read Condition": lambda who: Read("Condition", f"{who}-c0"),
    "read Patient": lambda who: Read("Patient", who),
    "search Condition?patient=": lambda who: Search("Condition", (("patient", f"Patient/{who}"),)),
    "search CarePlan?patient=&_include=goal": lambda who: Search(
        "CarePlan", (("patient", who), ("_include", "CarePlan:goal"))
    ),
    "search Encounter?patient=&date=": lambda who: Search(
        "Encounter", (("patient", who), ("date", "ge2026-02-01"))
    ),
}
POPULATION: dict[str, Callable[[str], Ask]] = {
    "search Condition?code=E11.9&_count=20": lambda _: Search("Condition", (("code", "E11.9"), ("_count", "20"))),
    "search Patient?_id=": lambda who: Search("Patient", (("_id", who),)),
    "read Practitioner": lambda _: Read("Practitioner", "doctor-7"),
}
Times = list[tuple[float, float]]
"""Wall and CPU time of each answer, in ms."""


async def timed(share: Share, who: Requester, ask: Ask) -> tuple[float, float]:
    """Wall and CPU time of an answer, in ms."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        await share.release(who, ask)
    except NotFound:
        raise SystemExit("nothing is shown") from None
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


def told(name: str, ours: Times, theirs: Times) -> None:
    (a, a99), (b, b99) = (p50_p99(wall for wall, _ in times) for times in (ours, theirs))
    (cpu, _), (plain, _) = (p50_p99(spent for _, spent in times) for times in (ours, theirs))
    print(f"{name:42} {a:8.2f} {a99:8.2f}  {b:8.2f} {b99:8.2f}  {a / b:5.2f} {a99 / b99:5.2f}  "
          f"{cpu:8.2f} {plain:8.2f} {cpu / plain:5.2f}")  # fmt: skip


class Population:
    """The members of a store who are asked about: those whose release is in force."""

    def __init__(self, database: Database, members: int) -> None:
        self.database, self.share = database, share_of(database)
        self._draw, self._members = random.Random(7), members

    def _number(self) -> int:
        like = self._draw.randrange(HELD_BACK, TEMPLATES)
        return self._draw.randrange(self._members // TEMPLATES) * TEMPLATES + like

    def somebody(self) -> str:
        return tag(self._number())

    def moved(self, end: str) -> str:
        """Somebody whose release ends otherwise from now on."""
        number = self._number()
        changed = released(tag(number), number % TEMPLATES, end)
        self.database.write_sync(lambda tx: repository.put(tx, changed))
        return tag(number)

    async def both(self, ask: Ask) -> tuple[tuple[float, float], tuple[float, float]]:
        """What an answer costs the practice, and the programme's own system."""
        return await timed(self.share, ELM, ask), await timed(self.share, INSIDE, ask)


async def measured(database: Database, members: int, repeat: int, whole: int) -> None:
    people = Population(database, members)
    print(f"{'ms':42} {'consent p50, p99':>17}  {'unfiltered':>17}  {'ratio':>11}  {'CPU p50, ratio':>17}")
    known = [people.somebody() for _ in range(repeat // 2)]
    first, plain = [], []
    for who in known:
        one = ASKS["search Condition?patient="](who)
        plain.append(await timed(people.share, INSIDE, one))
        first.append(await timed(people.share, ELM, one))
    told("first ask about a member (a search)", first, plain)
    for name, ask in ASKS.items():
        both = [await people.both(ask(known[at % len(known)])) for at in range(repeat)]
        ours, theirs = ([one[side] for one in both[len(known) // 4 :]] for side in (0, 1))
        told(name, ours, theirs)
    await after_a_move(people, known, repeat // 4)
    await of_everybody(people, whole)


async def after_a_move(people: Population, known: list[str], repeat: int) -> None:
    """The first reads after somebody's release has changed: of others, and of whose it is."""
    another, the_same, unfiltered = [], [], []
    read, chance = ASKS["read Condition"], random.Random(8)
    for at in range(repeat):
        who = people.moved(f"2089-12-{at % 28 + 1:02}")
        another.append(await timed(people.share, ELM, read(chance.choice(known))))
        the_same.append(await timed(people.share, ELM, read(who)))
        unfiltered.append(await timed(people.share, INSIDE, read(chance.choice(known))))
    told("first read of another, a release has moved", another, unfiltered)
    told("first read of whose release has moved", the_same, unfiltered)


async def of_everybody(people: Population, repeat: int) -> None:
    """What is asked of all members at once, also when a release has just changed."""
    wall, _ = await timed(people.share, ELM, POPULATION["search Condition?code=E11.9&_count=20"](""))
    print(f"{'first search of everybody: all compiled':42} {wall:8.0f}")
    for name, ask in POPULATION.items():
        ours, theirs, after = [], [], []
        for at in range(repeat):
            one = ask(people.somebody())
            with_consent, without = await people.both(one)
            ours.append(with_consent)
            theirs.append(without)
            people.moved(f"2088-12-{at % 28 + 1:02}")
            after.append(await timed(people.share, ELM, one))
        told(name, ours, theirs)
        told("  after a release has moved", after, theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repeat", type=int, default=400)
    parser.add_argument("--whole", type=int, default=20, help="repetitions of what is about everybody")
    parser.add_argument("--keep", type=Path, help="folder in which the stores are kept, and found again")
    asked = parser.parse_args()
    folder = asked.keep or Path(tempfile.mkdtemp(dir=Path(__file__).parent.parent / "build"))
    folder.mkdir(exist_ok=True)
    try:
        for members in asked.members:
            path = folder / f"{members}.db"
            if not path.exists():
                build(folder, members)
            database = Database(f"sqlite:///{path}")
            asyncio.run(measured(database, members, asked.repeat, asked.whole))
            database.close()
    finally:
        if not asked.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
