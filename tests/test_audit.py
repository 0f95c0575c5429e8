"""The ledger: what it tells, and that nobody changes it unseen."""

import dataclasses

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update

from fhirgw.audit import DAY, Entry, Ledger, audit_event, disclosures, verify
from fhirgw.profiles.validation import problems
from fhirgw.store.database import Database, migrate
from fhirgw.store.schema import ledger, ledger_root
from fhirgw.store.stored import instant

KEY = bytes(range(64))
START = 1_790_000_000_000_000
ENTRY = Entry(
    patient="alma",
    recipient="pcmh-elm",
    organization="Organization/elm",
    purpose="TREAT",
    disclosure=True,
    interaction="search-type",
    resources=("CarePlan/p1/_history/abc", "Goal/g1/_history/def"),
    consents=("Consent/roi/_history/1",),
    request_id="request-1",
)


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        self.now += 1_000
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def database(tmp_path, clock):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(url)
    opened = Database(url, clock=clock)
    yield opened
    opened.close()


def write(database, ledger_, *groups):
    for group in groups:
        database.write_sync(lambda tx, group=group: ledger_.append(tx, group))


def found(database):
    with database.read() as connection:
        return list(verify(connection, KEY))


def test_what_was_disclosed_is_told_with_recipient_purpose_what_and_consents(database):
    access = dataclasses.replace(ENTRY, recipient="icm", disclosure=False)
    write(database, Ledger("c1", KEY), [ENTRY, access], [dataclasses.replace(ENTRY, patient="bruno")])
    with database.read() as connection:
        [told] = disclosures(connection, "alma")
    assert (told.recipient, told.purpose, told.request_id) == ("pcmh-elm", "TREAT", "request-1")
    assert told.resources == ENTRY.resources
    assert told.consents == ENTRY.consents
    assert told.recorded.startswith("2026-")


def test_a_whole_ledger_of_several_chains_and_roots_verifies(database, clock):
    first, second = Ledger("c1", KEY), Ledger("c2", KEY)
    database.write_sync(first.sign)
    write(database, first, [ENTRY], [ENTRY, ENTRY])
    write(database, second, [ENTRY])
    clock.now += DAY
    write(database, first, [ENTRY])
    database.write_sync(second.sign)
    assert found(database) == []


@pytest.mark.parametrize(
    "tampering",
    [
        update(ledger).where(ledger.c.number == 1).values(recipient="somebody else"),
        update(ledger).where(ledger.c.number == 1).values(event=b"{}"),
        update(ledger).where(ledger.c.number == 1).values(disclosure=False),
        update(ledger).where(ledger.c.number == 1).values(recorded_at=START),
        delete(ledger).where(ledger.c.number == 1),
        delete(ledger).where(ledger.c.number == 0),
        delete(ledger).where(ledger.c.number == 2),  # the end of the chain: the root knows it
        delete(ledger),
        update(ledger_root).values(heads=b"{}"),
        update(ledger_root).values(signature=bytes(64)),
        delete(ledger_root).where(ledger_root.c.seq == 1),
    ],
)
def test_a_change_is_seen(database, tampering):
    one = Ledger("c1", KEY)
    database.write_sync(one.sign)
    write(database, one, [ENTRY], [ENTRY], [ENTRY])
    database.write_sync(one.sign)
    assert found(database) == []
    database.write_sync(lambda tx: tx.connection.execute(tampering))
    assert found(database)


def test_a_day_begins_with_a_root_over_the_day_before(database, clock):
    one = Ledger("c1", KEY)
    write(database, one, [ENTRY])
    clock.now += DAY
    write(database, one, [ENTRY])
    with database.read() as connection:
        [root] = connection.execute(ledger_root.select()).all()
    assert orjson.loads(root.heads)["c1"][0] == 0


def test_an_entry_that_fails_with_its_transaction_leaves_the_chain_whole(database):
    one = Ledger("c1", KEY)
    write(database, one, [ENTRY])

    def failing(tx):
        one.append(tx, [ENTRY])
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.write_sync(failing)
    write(database, one, [ENTRY])
    assert found(database) == []


def test_the_audit_event_is_valid_r4():
    assert problems({"id": "x", **audit_event(ENTRY, START)}) == []


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000))
def test_an_instant_never_rounds_up(microseconds):
    shown = instant(microseconds)
    assert len(shown) == len("2026-11-22T00:00:00.000Z")
    assert instant(microseconds // 1000 * 1000) == shown
