"""A store of very many members: some are put by the real path, the others are their rows with other ids.

Ids, hashes and keys of a clone are its own; some clones are compared with what the real path would have written.
"""

import hashlib
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from practice import CLEARED, Json, coded, label, release, to

from fhirgw.matching import keys, traits
from fhirgw.store import index, policy, repository
from fhirgw.store.database import Database, Transaction, migrate
from fhirgw.store.guards import Guards
from fhirgw.store.stored import Row, labels_of

TEMPLATES = 100
INDEX = ("search_token", "search_string", "search_date", "search_reference")
HELD_BACK = 7  # of TEMPLATES, those whose release is not in force


def tag(number: int) -> str:
    """What all ids of a member have in them: always as long."""
    return f"m{number:07}"


def member(whose: str, like: int) -> list[Json]:
    """The resources of a member; which, and what is sensitive among them, follows from the template."""
    about = {"subject": to("Patient", whose)}
    codes = ("E11.9", "I10", "J45.909", "M54.5", "F11.20" if like % 10 == 3 else "N18.3")
    conditions: list[Json] = [
        {"resourceType": "Condition", "id": f"{whose}-c{at}", "meta": CLEARED, **about, "code": coded(code),
         "onsetDateTime": f"2025-{like % 12 + 1:02}-{at + 1:02}"} for at, code in enumerate(codes)
    ]  # fmt: skip
    goals: list[Json] = [
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
    return [person, released(whose, like), *conditions, *goals, *visits, *findings, plan, referral]


def released(whose: str, like: int, end: str = "2090-12-31") -> Json:
    """What the member of this template releases to the practice; some do not, and some not everything."""
    labels = [label("R"), label("SUD", "v3-ActCode")] if like % 4 == 3 else [label("R")]
    status = "inactive" if like < HELD_BACK else "active"
    return release(whose, f"{whose}-r", *labels, status=status, end=end)


def put(database: Database, whose: str, like: int) -> None:
    """By the real path."""

    def unit(tx: Transaction) -> None:
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
            return index.groups(orjson.loads(row.body), Guards(row.type, labels_of(row)))
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
