"""What an entry says it was decided from is what a decision reads at that moment, whatever was told before."""

from dataclasses import replace
from random import Random

import orjson
import pytest
from drawn_policies import ASKERS, PEOPLE, START, enrolled, step
from sqlalchemy import select

from fhirgw.answer import Answer
from fhirgw.audit import Ledger
from fhirgw.audit_event import recorded
from fhirgw.bookkeeping import Books
from fhirgw.consent.model import ConsentSettings
from fhirgw.store import past, policy
from fhirgw.store.schema import ledger
from fhirgw.visibility import PolicyMovedError, Visibilities


def entered(opened):
    with opened.read() as connection:
        row = connection.execute(select(ledger).order_by(ledger.c.seq.desc()).limit(1)).one()
        return recorded(orjson.loads(row.event), row.patient)


@pytest.fixture
def database(tmp_path):
    with enrolled(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("seed", range(2))
def test_an_entry_says_what_its_decision_read(database, seed):
    random, visibilities, books = Random(seed), Visibilities(ConsentSettings()), Books(Ledger("c", bytes(32)), "s")
    said, now = set(), START
    for _ in range(30):
        if random.random() < 0.7:
            database.write_sync(lambda tx: step(tx, random))
        for _ in range(4):
            now += 1
            who, patient = random.choice(ASKERS), random.choice(PEOPLE)
            with database.read() as connection:
                visibility = visibilities.of(connection, who, now, frozenset({patient}))
                read = past.read(connection, patient)
            unit = books.account(who, visibility, Answer({}, (), "read", about=patient), now)
            database.write_sync(unit)
            entry = entered(database)
            assert (entry.recipient, entry.patient, entry.basis.decided) == (who.client, patient, now)
            assert (entry.basis.enrolments, entry.basis.others, entry.basis.consents) == read
            said.add(read)
    assert len(said) > len(PEOPLE)


def test_what_was_told_of_somebody_is_not_told_when_they_moved(database):
    visibilities, books, who = Visibilities(ConsentSettings()), Books(Ledger("c", bytes(32)), "s"), ASKERS[0]
    with database.read() as connection:
        visibility = visibilities.of(connection, who, START, frozenset("p"))
        assert visibilities.of(connection, replace(who, request_id="y"), START + 1, frozenset("p")) is visibility
    answer = Answer({}, (), "read", about="p")
    database.write_sync(books.account(who, visibility, answer, START))
    database.write_sync(lambda tx: policy.bump(tx, "p"))
    with pytest.raises(PolicyMovedError):
        database.write_sync(books.account(who, visibility, answer, START))
