"""Codes that no map has are counted, of nobody, and words are not kept."""

import pytest

from fhirgw.store import unmapped
from fhirgw.store.database import Database
from fhirgw.store.schema import unmapped_code

CODE = ("PV1-4", "0007", "ZZ")


def note(database, *codes, sender="elm"):
    database.write_sync(lambda tx: unmapped.note(tx, sender, codes))


def listed(database, **which):
    with database.read() as connection:
        return unmapped.list_(connection, **which)


def test_what_is_met_again_is_counted_and_first_and_last_seen_are_kept(database: Database, clock):
    first = clock.now
    note(database, CODE, CODE, ("PV1-14", "0023", "9"))
    last = clock.tick(60)
    note(database, CODE)
    known = listed(database)
    assert [(one.field, one.code, one.seen) for one in known] == [("PV1-4", "ZZ", 3), ("PV1-14", "9", 1)]
    assert (known[0].first_at, known[0].last_at) == (first, last)


@pytest.mark.parametrize("words", ["TESTPERSON ALMA", "Testpersön", "X" * 33, "", "a^b", "A\n"])
def test_words_where_a_code_belongs_are_counted_and_not_kept(database: Database, words):
    note(database, ("PV1-4", "0007", words), ("DG1-3", words + " ", "E11.9"))
    assert {(one.system, one.code) for one in listed(database)} == {("0007", "(text)"), ("(text)", "E11.9")}


def test_what_fits_the_columns_is_what_is_kept():
    assert unmapped_code.c.code.type.length >= 32
    assert unmapped_code.c.system.type.length >= 128


def test_a_sender_s_codes_are_its_own_and_forgotten_by_all_that_is_said(database: Database):
    note(database, CODE, ("PV1-14", "0023", "9"))
    note(database, CODE, sender="oak")
    assert [one.sender for one in listed(database, sender="oak")] == ["oak"]
    assert database.write_sync(lambda tx: unmapped.forget(tx, sender="elm", code="ZZ")) == 1
    assert {(one.sender, one.code) for one in listed(database)} == {("elm", "9"), ("oak", "ZZ")}
    assert database.write_sync(unmapped.forget) == 2
