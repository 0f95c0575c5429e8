"""The label tables change: everything is labelled anew, and nothing is answered outside before that is done."""

import asyncio

import pytest
from consented_store import Gateway, elm, encounter, goal, plan, ref, release
from sqlalchemy import select

from fhirgw import metrics, relabelling
from fhirgw.asks import History, Read, Search
from fhirgw.consent import codes, units
from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import DependencyDown, NotFound
from fhirgw.settings import ZONE
from fhirgw.store import basis, held, policy, repository
from fhirgw.store import relabelling as stored_relabelling
from fhirgw.store.database import Database
from fhirgw.store.schema import policy_pattern

NEW = "tables of tomorrow"
GOALS = tuple(f"g{number}" for number in range(5))


@pytest.fixture
def gateway(tmp_path):
    made = Gateway(tmp_path / "store.db")
    made.put({"resourceType": "Organization", "id": "org-elm"}, standing="registry")
    made.database.write_sync(lambda tx: policy.enrol(tx, "p", "adv", "active"))
    made.put(release(), *(goal(one, "E11.9") for one in GOALS), goal("other", "I10"), encounter("e", "M54.5"))
    made.put(plan(goal=[ref("Goal/g0"), ref("Goal/other")]))
    yield made
    made.database.close()


@pytest.fixture
def tomorrow(monkeypatch):
    """A program whose tables have it that E11.9 tells of substance use."""
    monkeypatch.setitem(codes._PREFIX, "E119", BITS["SUD"])
    for module in (held, repository, basis):
        monkeypatch.setattr(module, "TABLE_VERSION", NEW)
    units._known_units.cache_clear()  # another program remembers nothing
    yield NEW
    units._known_units.cache_clear()


def shut(gateway):
    """Nobody outside is answered; the programme's own staff is."""
    for ask in (Read("Goal", "g0"), Read("Goal", "nothing"), Search("Goal", ()), History("Goal", "g0")):
        with pytest.raises(DependencyDown):
            gateway.ask(ask)
    assert gateway.body(Read("Goal", "g0"), elm(client="icm", inside=frozenset({"*"})))["id"] == "g0"


def run(gateway):
    return asyncio.run(relabelling.run(gateway.database, batch=3))


def test_what_the_new_tables_hide_is_never_shown_from_the_old_labels(gateway, tomorrow):
    shut(gateway)
    everything = run(gateway)
    assert everything == 10
    for one in GOALS:
        with pytest.raises(NotFound):
            gateway.body(Read("Goal", one))
    assert gateway.body(Read("CarePlan", "k"))["goal"] == [ref("Goal/other")]
    assert gateway.body(Search("Goal", (("patient", "p"),)))["total"] == 1
    assert run(gateway) == 0


def test_a_run_that_is_killed_between_batches_is_taken_up_where_it_was(gateway, tomorrow, monkeypatch):
    relabel = held.Held.relabel

    def killed(self, key, **more):
        if key == ("Goal", "g2"):  # in the middle of the second batch
            raise KeyError
        return relabel(self, key, **more)

    with monkeypatch.context() as patch:
        patch.setattr(held.Held, "relabel", killed)
        with pytest.raises(KeyError):
            run(gateway)
    shut(gateway)
    with gateway.database.read() as connection:
        left = stored_relabelling.left(connection)
    assert left == 7
    assert run(gateway) == left
    with pytest.raises(NotFound):
        gateway.body(Read("Goal", "g4"))


def test_an_older_program_beside_a_newer_one_answers_nobody_outside(gateway, monkeypatch):
    before = gateway.body(Read("Goal", "g0"))
    with monkeypatch.context() as newer:
        for module in (held, repository, basis):
            newer.setattr(module, "TABLE_VERSION", NEW)
        gateway.database.write_sync(lambda tx: stored_relabelling.relabel(tx, 1))
    shut(gateway)
    run(gateway)
    assert gateway.body(Read("Goal", "g0")) == before


def test_a_label_that_is_carried_stays_and_the_same_tables_change_nothing(gateway, tomorrow, monkeypatch):
    carried = {
        "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]}
    }
    gateway.put(goal("carried", "I10") | carried)
    run(gateway)
    with gateway.database.read() as connection:
        assert repository.levels(connection, "Goal", "carried")[0] & BITS["HIV"]
        assert repository.levels(connection, "Goal", "g0")[0] & BITS["SUD"]
        assert stored_relabelling.is_done(connection)
        revision = policy.revision(connection)
    assert run(gateway) == 0
    with gateway.database.read() as connection:
        assert policy.revision(connection) == revision


def test_the_worker_is_done_when_everything_is_labelled_and_tries_again_until_then(gateway, tomorrow, monkeypatch):
    waits, write = [], Database.write

    async def down_once(self, unit, **more):
        if not waits:
            raise DependencyDown("The database cannot store anything now.")
        return await write(self, unit, **more)

    async def wait(seconds):
        waits.append(seconds)

    monkeypatch.setattr(Database, "write", down_once)
    asyncio.run(relabelling.keep(gateway.database, wait=wait))
    assert waits == [relabelling.WAIT_SECONDS]
    assert metrics.relabelling_left._value.get() == 0
    with pytest.raises(NotFound):
        gateway.body(Read("Goal", "g0"))


def test_in_another_zone_every_policy_is_read_anew_before_anything_is_answered(gateway):
    """FHIRGW_ZONE: what is marked by a day, and who is decided alike, was told by the clock of the store's zone."""
    day = {"start": "2026-03-01", "end": "2026-03-31"}
    dated = release()
    dated["provision"]["provision"] = [{"type": "deny", "dataPeriod": day}]
    gateway.put(dated, encounter("late", "M54.5") | {"period": {"start": "2026-04-01T02:00:00Z"}})
    with pytest.raises(NotFound):  # it is still March in New York
        gateway.body(Read("Encounter", "late"))
    read_before = patterns_of(gateway)
    gateway.database.write_sync(lambda tx: stored_relabelling.adopt(tx, ZONE))
    with pytest.raises(NotFound):
        gateway.body(Read("Encounter", "late"))
    gateway.database.write_sync(lambda tx: stored_relabelling.adopt(tx, "UTC"))
    shut(gateway)
    assert run(gateway) == 11
    shut(gateway)  # this program was told another zone than its store
    gateway.told(zone="UTC")
    assert gateway.body(Read("Encounter", "late"))["id"] == "late"
    assert gateway.body(Search("Encounter", ()))["total"] == 1
    read_anew = patterns_of(gateway)
    assert read_anew != read_before
    gateway.put(dated)
    assert patterns_of(gateway) == read_anew


def patterns_of(gateway):
    """What is kept of who is decided alike, and when."""
    with gateway.database.read() as connection:
        return connection.execute(select(policy_pattern).order_by(policy_pattern.c.since)).all()
