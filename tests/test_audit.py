"""The ledger: what it tells, and that nobody changes it unseen."""

import dataclasses

import orjson
import pytest
from empty_store import empty_store
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update

from fhirgw.audit import (
    AGREEMENT,
    DAY,
    EMERGENCY,
    Entry,
    Ledger,
    audit_event,
    disclosure,
    disclosures,
    read_root,
    roots,
    verify,
)
from fhirgw.audit_event import DISCLOSED, READ
from fhirgw.errors import InvalidElement
from fhirgw.profiles.validation import problems
from fhirgw.store.database import Database
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
    opened = Database(empty_store(tmp_path / "ledger.db"), clock=clock)
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


# --- what was kept elsewhere --------------------------------------------------------------------------------------


def kept(database):
    with database.read() as connection:
        return roots(connection)


def found_with(database, others):
    with database.read() as connection:
        return list(verify(connection, KEY, others))


def tamper(database, *statements):
    def unit(tx):
        for statement in statements:
            tx.connection.execute(statement)

    database.write_sync(unit)


@pytest.fixture
def signed(database):
    """Three entries, each under a root."""
    one = Ledger("c1", KEY)
    for _ in range(3):
        write(database, one, [ENTRY])
        database.write_sync(one.sign)
    return database


def test_an_end_that_is_cut_with_its_roots_is_found_by_those_that_were_kept(signed):
    """A truncation leaves a shorter chain that is whole: only what is kept elsewhere knows of the rest."""
    others = kept(signed)
    tamper(signed, delete(ledger).where(ledger.c.number == 2), delete(ledger_root).where(ledger_root.c.seq == 3))
    assert found(signed) == []
    assert found_with(signed, others) == [
        "kept root 3: it is gone from the database",
        "kept root 3: entry 2 of chain c1 is gone or was changed",
    ]


def test_an_empty_ledger_is_no_whole_ledger_to_whoever_kept_a_root(signed):
    others = kept(signed)
    tamper(signed, delete(ledger), delete(ledger_root))
    assert found(signed) == []
    assert len(found_with(signed, others)) == 6


def test_entries_that_changed_places_are_found(signed):
    tamper(
        signed,
        update(ledger).where(ledger.c.number == 0).values(number=99),
        update(ledger).where(ledger.c.number == 1).values(number=0),
        update(ledger).where(ledger.c.number == 99).values(number=1),
    )
    assert "chain c1: entry 0 is missing or out of place" in found(signed)


def test_a_ledger_that_only_grew_holds_to_what_was_kept(signed):
    others = kept(signed)
    write(signed, Ledger("c2", KEY), [ENTRY])
    assert found_with(signed, others) == []


def test_a_root_of_another_key_holds_for_nothing(signed):
    forged = dataclasses.replace(kept(signed)[0], signature="00" * 64)
    assert "kept root 1: the signature does not hold" in found_with(signed, [forged])


def test_what_is_kept_is_read_as_it_was_written(signed):
    for root in kept(signed):
        assert read_root(orjson.loads(orjson.dumps(root))) == root


@pytest.mark.parametrize(
    "change",
    [{"signature": "x"}, {"previous": None}, {"heads": "[]"}, {"heads": '{"c1": 1}'}, {"heads": "{"},
     {"recorded_at": "now"}, {"recorded_at": -1}, {"more": 1}],
)  # fmt: skip
def test_what_is_no_root_is_refused(signed, change):
    with pytest.raises(InvalidElement):
        read_root(dataclasses.asdict(kept(signed)[0]) | change)


@pytest.mark.parametrize("stated", [None, [], "root", 1])
def test_what_is_no_object_is_no_root(stated):
    with pytest.raises(InvalidElement):
        read_root(stated)


# --- the AuditEvent -----------------------------------------------------------------------------------------------


SITE = "https://gw.example.org/fhir"
CLAIM = {"id": "c", "person": "Dr Ada", "npi": "1234567893", "role": "207P00000X", "affiliation": "Elm Hospital",
         "reason": "found unconscious", "since": "2026-06-21T00:00:00.000Z"}  # fmt: skip
EVENTS = {
    "disclosure": ENTRY,
    "part 2": dataclasses.replace(ENTRY, part2=ENTRY.resources[:1]),
    "agreement": dataclasses.replace(ENTRY, consents=(f"{AGREEMENT}audit",)),
    "emergency": dataclasses.replace(ENTRY, emergency=CLAIM, purpose="ETREAT"),
    "notice": dataclasses.replace(ENTRY, resources=(), consents=()),
    "access": dataclasses.replace(ENTRY, disclosure=False, interaction="read", resources=("Goal/g/_history/1",)),
    "search": dataclasses.replace(ENTRY, disclosure=False),
    "operator": dataclasses.replace(ENTRY, recipient="operator", organization=None, disclosure=False),
}


def event(name):
    return audit_event(EVENTS[name], START, SITE)


def coded(concept):
    return {coding["code"] for coding in concept.get("coding", ())}


@pytest.mark.parametrize("name", EVENTS)
def test_the_audit_event_is_valid_r4(name):
    assert problems({"id": "x", **event(name)}) == []


@pytest.mark.parametrize("name", ["disclosure", "part 2", "agreement", "emergency", "notice"])
def test_a_disclosure_keeps_the_rules_of_its_balp_profile(name):
    """PrivacyDisclosure.Source of BALP 1.1.4, rule by rule."""
    made = event(name)
    assert made["meta"]["profile"] == [DISCLOSED]
    assert (made["type"]["code"], made["action"], made["outcome"]) == ("110106", "R", "0")
    assert "disclose" in {one["code"] for one in made["subtype"]}
    assert "modifierExtension" not in made
    assert len(made["agent"]) >= 2
    (source,) = [one for one in made["agent"] if "110153" in coded(one["type"])]
    (recipient,) = [one for one in made["agent"] if "110152" in coded(one["type"])]
    assert source["who"] == made["source"]["observer"]  # val-audit-source
    assert source["network"]
    assert recipient["who"]
    assert recipient["network"]
    assert len(made["entity"]) >= 2
    (patient,) = [one for one in made["entity"] if one["type"]["code"] == "1"]
    assert (patient["role"]["code"], patient["what"]) == ("1", {"reference": "Patient/alma"})


def test_an_access_keeps_the_rules_of_its_balp_profile():
    """PatientRead of BALP 1.1.4, rule by rule."""
    made = event("access")
    assert made["meta"]["profile"] == [READ]
    assert (made["type"]["code"], made["action"], made["outcome"]) == ("rest", "R", "0")
    (client,) = [one for one in made["agent"] if "110152" in coded(one["type"])]
    (server,) = [one for one in made["agent"] if "110153" in coded(one["type"])]
    assert all(one["who"] and one["network"] and "media" not in one for one in (client, server))
    (data,) = [one for one in made["entity"] if one["type"]["code"] == "2"]
    assert data["role"]["code"] in {"3", "4", "20"}
    (patient,) = [one for one in made["entity"] if one["type"]["code"] == "1"]
    assert patient["role"]["code"] == "1"
    (request,) = [one for one in made["entity"] if one["type"]["code"] == "XrequestId"]
    assert request["what"]["identifier"]["value"] == ENTRY.request_id


@pytest.mark.parametrize("name", ["search", "operator"])
def test_what_keeps_no_profile_claims_none(name):
    assert "meta" not in event(name)


@pytest.mark.parametrize("name", ["disclosure", "part 2", "agreement", "emergency", "notice"])
def test_an_accounting_reads_what_the_event_says(name):
    entry, told = EVENTS[name], disclosure(event(name))
    assert (told.recipient, told.organization, told.purpose) == (entry.recipient, entry.organization, entry.purpose)
    assert (told.resources, told.request_id, told.part2) == (entry.resources, entry.request_id, bool(entry.part2))
    assert set(entry.consents) <= set(told.consents)
    assert any(one.startswith(EMERGENCY) for one in told.consents) is (name == "emergency")


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000))
def test_an_instant_never_rounds_up(microseconds):
    shown = instant(microseconds)
    assert len(shown) == len("2026-11-22T00:00:00.000Z")
    assert instant(microseconds // 1000 * 1000) == shown
