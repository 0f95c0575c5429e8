"""What consent costs a read and a search, and what a policy that moves costs the next, by the number of members.

    python bench/members.py [--members 10000 100000]

A store of that many members is made under ``build/``, with 20 resources each: some members are put by the real
path, the others are those rows with other ids, hashes and keys; some of these are compared with what the real path
would have written. Then, by turns, an outside practice whom nearly everybody's release names, and the programme's
own system, ask the same of members at random, both with a durable account; and a member's release changes before
some of the asks. Told: p50 and p99 in ms, CPU included, and their ratio.
"""

import argparse
import asyncio
import hashlib
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from fhirgw.answer import PageSeal
from fhirgw.asks import Ask, Read, Requester, Search
from fhirgw.audit import Ledger
from fhirgw.consent.model import ConsentSettings
from fhirgw.errors import NotFound
from fhirgw.matching import keys, traits
from fhirgw.settings import Keys
from fhirgw.share import Share
from fhirgw.store import index, policy, repository
from fhirgw.store.database import Database, migrate
from fhirgw.store.stored import Row, labels_of

Json = dict[str, Any]
KEYS = Keys.derive(b"members")
TEMPLATES = 100
RESOURCES = 20
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
CLEARED = {"tag": [{"system": "http://fhirgw.org/fhir/CodeSystem/icm-text-review", "code": "cleared"}]}
ELM = Requester("elm", "elm", "TREAT", ("system/*.rs",), None, "bench")
INSIDE = Requester("icm", "icm", "TREAT", ("system/*.rs",), frozenset({"*"}), "bench")
INDEX = ("search_token", "search_string", "search_date", "search_reference")
HELD_BACK = 7  # of TEMPLATES, those whose release is not in force


def tag(number: int) -> str:
    """What all ids of a member have in them: always as long."""
    return f"m{number:07}"


def coded(code: str, system: str = ICD) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def to(kind: str, logical: str) -> Json:
    return {"reference": f"{kind}/{logical}"}


def member(whose: str, like: int) -> list[Json]:
    """The resources of a member; which, and what is sensitive among them, follows from the template."""
    about = {"subject": to("Patient", whose)}
    codes = ("E11.9", "I10", "J45.909", "M54.5", "F11.20" if like % 10 == 3 else "N18.3")
    conditions = [
        {"resourceType": "Condition", "id": f"{whose}-c{at}", "meta": CLEARED, **about, "code": coded(code),
         "onsetDateTime": f"2025-{like % 12 + 1:02}-{at + 1:02}"} for at, code in enumerate(codes)
    ]  # fmt: skip
    goals = [
        {"resourceType": "Goal", "id": f"{whose}-g{at}", "meta": CLEARED, **about, "lifecycleStatus": "active",
         "description": {"text": "walk"}, "addresses": [to("Condition", f"{whose}-c{at + 2}")]} for at in range(3)
    ]  # fmt: skip
    visits = [
        {"resourceType": "Encounter", "id": f"{whose}-e{at}", "meta": CLEARED, **about, "status": "finished",
         "class": {"code": "EMER"}, "period": {"start": f"2026-0{at + 1}-{like % 28 + 1:02}"},
         "serviceProvider": to("Organization", f"hospital-{like % 20}"),
         "participant": [{"individual": to("Practitioner", f"doctor-{(like + at) % 50}")}]} for at in range(4)
    ]  # fmt: skip
    findings = [
        {"resourceType": "Observation", "id": f"{whose}-o{at}", "meta": CLEARED, **about, "status": "final",
         "code": coded("4548-4", "http://loinc.org"), "effectiveDateTime": f"2026-0{at + 1}-10",
         "encounter": to("Encounter", f"{whose}-e{at}"), "valueQuantity": {"value": like + at, "unit": "%"}}
        for at in range(4)
    ]  # fmt: skip
    plan = {"resourceType": "CarePlan", "id": f"{whose}-k", "meta": CLEARED, **about, "status": "active",
            "intent": "plan", "goal": [to("Goal", one["id"]) for one in goals],
            "addresses": [to("Condition", one["id"]) for one in conditions]}  # fmt: skip
    referral = {"resourceType": "ServiceRequest", "id": f"{whose}-s", "meta": CLEARED, **about, "status": "active",
                "intent": "order", "code": coded("referral", "http://example.org/order")}  # fmt: skip
    person = {"resourceType": "Patient", "id": whose, "birthDate": f"19{like % 60 + 30}-0{like % 9 + 1}-11",
              "name": [{"family": f"Sample {whose}", "given": ["Ada"]}]}  # fmt: skip
    return [person, release(whose, like), *conditions, *goals, *visits, *findings, plan, referral]


def release(whose: str, like: int, end: str = "2090-12-31") -> Json:
    role = coded("IRCP", "http://terminology.hl7.org/CodeSystem/v3-ParticipationType")
    conf = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    sud = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}
    provision = {
        "type": "permit", "period": {"start": "2020-01-01", "end": end},
        "actor": [{"role": role, "reference": to("Organization", "elm")}],
        "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
        "securityLabel": [conf, sud] if like % 4 == 3 else [conf],
    }  # fmt: skip
    return {
        "resourceType": "Consent", "id": f"{whose}-r", "status": "inactive" if like < HELD_BACK else "active",
        "scope": coded("patient-privacy", "http://terminology.hl7.org/CodeSystem/consentscope"),
        "category": [coded("64292-6", "http://loinc.org")], "patient": to("Patient", whose),
        "dateTime": "2020-01-01", "performer": [to("Patient", whose)], "provision": provision,
        "organization": [to("Organization", "icm")], "sourceReference": to("DocumentReference", "d"),
    }  # fmt: skip


def put(database: Database, whose: str, like: int) -> None:
    """By the real path."""

    def unit(tx: Any) -> None:
        repository.put_all(tx, member(whose, like))
        policy.enrol(tx, whose, "bench", "active")

    database.write_sync(unit)


def prepared(path: Path) -> Database:
    """A store with everybody who is no member."""
    migrate(f"sqlite:///{path}")
    database = Database(f"sqlite:///{path}")
    parties = [{"resourceType": "Organization", "id": one} for one in ("elm", "icm")]
    brought = [{"resourceType": "Organization", "id": f"hospital-{one}"} for one in range(20)]
    brought += [{"resourceType": "Practitioner", "id": f"doctor-{one}"} for one in range(50)]
    database.write_sync(lambda tx: [repository.put(tx, one, standing="registry") for one in parties])
    database.write_sync(lambda tx: [repository.put(tx, one) for one in brought])
    return database


# --- clones -------------------------------------------------------------------------------------------------------


class Template:
    """What the real path has written of a member, to be written of others."""

    def __init__(self, driver: sqlite3.Connection, number: int) -> None:
        self.tag = tag(number).encode()
        whose, mine = tag(number), f"{tag(number)}%"
        self.rows = [Row(*row) for row in driver.execute("SELECT * FROM resource WHERE patient = ?", (whose,))]
        owned = {row.pk: at for at, row in enumerate(self.rows)}
        among = f"({','.join('?' * len(owned))})"
        self.first = [orjson.dumps(orjson.loads(row.body), option=orjson.OPT_SORT_KEYS) for row in self.rows]
        self.groups = [self._groups(row) for row in self.rows]
        self.group_rows = [
            (owned[owner], guard, at)
            for owner, guard, at in driver.execute(
                f"SELECT resource, guard, changed_at FROM label_group WHERE resource IN {among}", tuple(owned)
            )
        ]
        self.history = driver.execute("SELECT * FROM history WHERE id LIKE ?", (mine,)).fetchall()
        self.index = {
            table: [
                (owned[row[1]], row[2:])
                for row in driver.execute(f"SELECT * FROM {table} WHERE resource IN {among}", tuple(owned))
            ]
            for table in INDEX
        }
        self.plain = {
            table: driver.execute(f"SELECT * FROM {table} WHERE patient = ?", (whose,)).fetchall()
            for table in ("consent_actor", "enrolment", "policy_pattern", "policy_revision")
        }

    @staticmethod
    def _groups(row: Row) -> dict[int, bytes]:
        """What each group's hash is made of."""
        kept, index._hash = index._hash, lambda content: orjson.dumps(content, option=orjson.OPT_SORT_KEYS)  # noqa: SLF001
        try:
            return index.groups(orjson.loads(row.body), index.Guards(row.type, labels_of(row)))
        finally:
            index._hash = kept  # noqa: SLF001

    def clone(self, number: int, pk: int, revision: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """(table, row) of another member."""
        new = tag(number).encode()
        old_text, new_text = self.tag.decode(), new.decode()

        def told(value: Any) -> Any:
            if isinstance(value, str):
                return value.replace(old_text, new_text)
            return value.replace(self.tag, new) if isinstance(value, bytes) else value

        for at, row in enumerate(self.rows):
            digest = hashlib.sha256(self.first[at].replace(self.tag, new)).digest()
            body = row.body.replace(self.tag, new)
            changed = row._replace(pk=pk + at, id=told(row.id), patient=new_text, hash=digest, body=body)
            yield "resource", changed
            if row.type == "Patient":
                yield from (("block_key", (key, new_text)) for key in sorted(keys(traits(orjson.loads(body)))))
        for at, guard, changed_at in self.group_rows:
            digest = hashlib.sha256(self.groups[at][guard].replace(self.tag, new)).digest()[:16]
            yield "label_group", (pk + at, guard, digest, changed_at)
        for row in self.history:
            yield "history", tuple(map(told, row))
        for table, rows in self.index.items():
            yield from ((table, (None, pk + at, *map(told, rest))) for at, rest in rows)
        for table in ("consent_actor", "enrolment", "policy_pattern"):
            yield from ((table, tuple(map(told, row))) for row in self.plain[table])
        yield "policy_revision", (new_text, self.plain["policy_revision"][0][1], revision)


def fill(path: Path, members: int) -> None:
    """Write all members but the templates; keys of the tables are made when all is there."""
    driver = sqlite3.connect(path, isolation_level=None)
    for pragma in (
        "wal_checkpoint(TRUNCATE)",
        "journal_mode=DELETE",
        "journal_mode=OFF",
        "synchronous=OFF",
        "cache_size=-500000",
    ):
        driver.execute(f"PRAGMA {pragma}").close()
    made = driver.execute("SELECT name, sql FROM sqlite_master WHERE type='index' AND sql IS NOT NULL").fetchall()
    templates = [Template(driver, number) for number in range(TEMPLATES)]
    for name, _ in made:
        driver.execute(f"DROP INDEX {name}")
    pk = driver.execute("SELECT max(pk) + 1 FROM resource").fetchone()[0]
    revision = driver.execute("SELECT revision FROM policy_revision WHERE patient = ''").fetchone()[0]
    driver.execute("BEGIN")
    for start in range(TEMPLATES, members, 500):
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for number in range(start, min(start + 500, members)):
            template = templates[number % TEMPLATES]
            revision += 2
            for table, row in template.clone(number, pk, revision):
                rows.setdefault(table, []).append(row)
            pk += len(template.rows)
        for table, some in rows.items():
            driver.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(some[0]))})", some)
        if start % 10_000 < 500:
            print(f"{start} members", file=sys.stderr)
    driver.execute("UPDATE policy_revision SET revision = ? WHERE patient = ''", (revision,))
    driver.execute("COMMIT")
    for _, sql in made:
        driver.execute(sql)
    driver.close()


def content(driver: sqlite3.Connection, whose: str) -> dict[str, set[tuple[Any, ...]]]:
    """All rows of a member, without keys, instants and revisions."""

    def of_patient(columns: str, table: str) -> sqlite3.Cursor:
        return driver.execute(f"SELECT {columns} FROM {table} WHERE patient = ?", (whose,))

    owners = dict(of_patient("pk, type || '/' || id", "resource"))
    among = f"({','.join(map(str, owners))})"
    found = {
        "resource": {(*row[1:4], *row[5:]) for row in of_patient("*", "resource")},
        "history": {(*row[:3], *row[4:]) for row in of_patient("*", "history")},
        "label_group": {
            (owners[row[0]], *row[1:3])
            for row in driver.execute(f"SELECT * FROM label_group WHERE resource IN {among}")
        },
        "block_key": {*of_patient("key", "block_key")},
        "consent_actor": {*of_patient("*", "consent_actor")},
        "enrolment": {*of_patient("patient, program, status", "enrolment")},
        "policy_pattern": {*of_patient("*", "policy_pattern")},
        "policy_revision": {*of_patient("patient, revision", "policy_revision")},
    }
    for table in INDEX:
        rows = driver.execute(f"SELECT * FROM {table} WHERE resource IN {among}")
        found[table] = {(owners[row[1]], *row[2:]) for row in rows}
    return found


def compare(path: Path, folder: Path, numbers: list[int]) -> int:
    """How many rows of clones are as the real path writes them; none may be otherwise."""
    other = folder / "compared.db"
    database = prepared(other)
    for number in numbers:
        put(database, tag(number), number % TEMPLATES)
    database.close()
    same = 0
    with sqlite3.connect(path) as ours, sqlite3.connect(other) as theirs:
        for number in numbers:
            made, real = content(ours, tag(number)), content(theirs, tag(number))
            for table, rows in real.items():
                if rows != made[table]:
                    raise SystemExit(f"{table} of a clone is not as the real path writes it")
                same += len(rows)
    return same


def build(folder: Path, members: int) -> Path:
    """The store."""
    path = folder / f"{members}.db"
    database = prepared(path)
    for number in range(TEMPLATES):
        put(database, tag(number), number)
    database.close()
    begun = time.perf_counter()
    fill(path, members)
    driver = sqlite3.connect(path)
    driver.execute("PRAGMA journal_mode=WAL").close()
    count = driver.execute("SELECT count(*) FROM resource").fetchone()[0]
    driver.close()
    some = random.Random(1).sample(range(TEMPLATES, members), 5)
    same = compare(path, folder, some)
    gigabytes, seconds = path.stat().st_size / 1e9, time.perf_counter() - begun
    print(f"\n{members} members, {count} resources, {gigabytes:.1f} GB, made in {seconds:.0f} s;")
    print(f"{same} rows of 5 clones are as the real path writes them")
    return path


# --- asks ---------------------------------------------------------------------------------------------------------

ASKS = {
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
POPULATION = {
    "search Condition?code=E11.9&_count=20": lambda _: Search("Condition", (("code", "E11.9"), ("_count", "20"))),
    "search Patient?_id=": lambda who: Search("Patient", (("_id", who),)),
    "read Practitioner": lambda _: Read("Practitioner", "doctor-7"),
}


async def timed(share: Share, who: Requester, ask: Ask) -> tuple[float, float]:
    """Wall and CPU time of an answer, in ms."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        await share.release(who, ask)
    except NotFound:
        raise SystemExit("nothing is shown") from None
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


def told(name: str, ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> None:
    def shares(times: list[tuple[float, float]], which: int) -> tuple[float, float]:
        ordered = sorted(one[which] for one in times)
        return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]

    (a, a99), (b, b99) = shares(ours, 0), shares(theirs, 0)
    cpu, plain = shares(ours, 1)[0], shares(theirs, 1)[0]
    print(f"{name:42} {a:8.2f} {a99:8.2f}  {b:8.2f} {b99:8.2f}  {a / b:5.2f} {a99 / b99:5.2f}  "
          f"{cpu:8.2f} {plain:8.2f} {cpu / plain:5.2f}")  # fmt: skip


async def measured(share: Share, database: Database, members: int, repeat: int, whole: int) -> None:
    draw = random.Random(7)
    open_ = list(range(HELD_BACK, TEMPLATES))

    def somebody() -> str:
        return tag(draw.randrange(members // TEMPLATES) * TEMPLATES + draw.choice(open_))

    print(f"{'ms':42} {'consent p50, p99':>17}  {'unfiltered':>17}  {'ratio':>11}  {'CPU p50, ratio':>17}")
    known = [somebody() for _ in range(repeat // 2)]
    first, plain = [], []
    for who in known:
        one = ASKS["search Condition?patient="](who)
        plain.append(await timed(share, INSIDE, one))
        first.append(await timed(share, ELM, one))
    told("first ask about a member (a search)", first, plain)
    for name, ask in ASKS.items():
        ours, theirs = [], []
        for at in range(repeat):
            one = ask(known[at % len(known)])
            ours.append(await timed(share, ELM, one))
            theirs.append(await timed(share, INSIDE, one))
        told(name, ours[len(known) // 4 :], theirs[len(known) // 4 :])
    moved: dict[str, list[tuple[float, float]]] = {"another": [], "the same": [], "unfiltered": []}
    for at in range(repeat // 4):
        number = draw.randrange(members // TEMPLATES) * TEMPLATES + draw.choice(open_)
        changed = release(tag(number), number % TEMPLATES, f"2089-12-{at % 28 + 1:02}")
        database.write_sync(lambda tx, changed=changed: repository.put(tx, changed))
        moved["another"].append(await timed(share, ELM, Read("Condition", f"{draw.choice(known)}-c0")))
        moved["the same"].append(await timed(share, ELM, Read("Condition", f"{tag(number)}-c0")))
        moved["unfiltered"].append(await timed(share, INSIDE, Read("Condition", f"{draw.choice(known)}-c0")))
    told("first read of another, a release has moved", moved["another"], moved["unfiltered"])
    told("first read of whose release has moved", moved["the same"], moved["unfiltered"])
    first = await timed(share, ELM, POPULATION["search Condition?code=E11.9&_count=20"](""))
    print(f"{'first search of everybody: all compiled':42} {first[0]:8.0f}")
    for name, ask in POPULATION.items():
        ours, theirs, after = [], [], []
        for at in range(whole):
            one = ask(somebody())
            ours.append(await timed(share, ELM, one))
            theirs.append(await timed(share, INSIDE, one))
            number = draw.randrange(members // TEMPLATES) * TEMPLATES + draw.choice(open_)
            changed = release(tag(number), number % TEMPLATES, f"2088-12-{at % 28 + 1:02}")
            database.write_sync(lambda tx, changed=changed: repository.put(tx, changed))
            after.append(await timed(share, ELM, one))
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
            share = Share(
                database, Ledger("bench", KEYS.audit), base="https://gw.example.org/fhir",
                pages=PageSeal(KEYS.cursor, 900), consent=ConsentSettings(), clock=lambda: time.time_ns() // 1000,
            )  # fmt: skip
            asyncio.run(measured(share, database, members, asked.repeat, asked.whole))
            database.close()
    finally:
        if not asked.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
