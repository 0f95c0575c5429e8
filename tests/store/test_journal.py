"""The journal, the outbox and identity keep what they are given, and say what became of it."""

import pytest

from fhirgw.errors import MissingElement, NotFound, ProfileViolation
from fhirgw.store import identity, journal, outbox


def keep(database, raw=b"MSH", **more):
    values = {"channel": "mllp", "sender": "a", "control_id": "1", "trigger": "A01", "ack": b"ACK", **more}
    (row,) = database.write_sync(lambda tx: journal.keep(tx, [journal.New(raw=raw, **values)]))
    return row


def look(database, function, *arguments, **more):
    with database.read() as connection:
        return function(connection, *arguments, **more)


def test_two_axes(database):
    """Processing and ACK are told apart: a parked message's ACK stays sent."""
    row = keep(database)
    assert (row.state, row.ack_state, row.attempts) == ("received", "owed", 0)
    database.write_sync(lambda tx: journal.mark_ack(tx, [row.id], "sent"))
    database.write_sync(
        lambda tx: journal.mark_parked(tx, row.id, MissingElement("No identifier.", location="PID-3"))
    )
    parked = look(database, journal.get, row.id)
    assert (parked.state, parked.ack_state, parked.attempts) == ("parked", "sent", 1)
    assert (parked.error_code, parked.error_location, parked.error_text) == ("101", "PID-3", "No identifier.")
    assert look(database, journal.due, 10) == []
    database.write_sync(lambda tx: journal.mark_processed(tx, row.id))
    done = look(database, journal.get, row.id)
    assert (done.state, done.error_code, done.raw) == ("processed", None, b"MSH")
    assert look(database, journal.due, 10) == []


def test_an_unexpected_error_tells_no_values(database):
    """Its text may hold a value of the message; its class does not."""
    row = keep(database)
    database.write_sync(lambda tx: journal.mark_parked(tx, row.id, ValueError("John Doe")))
    assert "Doe" not in look(database, journal.get, row.id).error_text


def test_duplicates_within_the_window(database, clock):
    """The sender's latest accepted message with this control id; rejected ones do not count."""
    start = clock.now
    first = keep(database)
    keep(database, sender="b")
    keep(database, state="rejected", ack_code="AE")
    assert look(database, journal.duplicate, "a", "1", since=start).id == first.id
    clock.tick(60)
    assert look(database, journal.duplicate, "a", "1", since=clock.now) is None
    second = keep(database)
    assert look(database, journal.duplicate, "a", "1", since=start).id == second.id


def test_lists_newest_first_by_any_filter(database, clock):
    """Filters narrow, pages follow ids, and bytes are not loaded."""
    rows = [keep(database, control_id=str(n), trigger="A01" if n % 2 else "A03") for n in range(6)]
    assert [one.control_id for one in look(database, journal.list_, limit=2)] == ["5", "4"]
    assert [one.control_id for one in look(database, journal.list_, before=rows[4].id, limit=2)] == ["3", "2"]
    assert [one.control_id for one in look(database, journal.list_, trigger="A03")] == ["4", "2", "0"]
    assert {one.raw for one in look(database, journal.list_)} == {b""}
    assert look(database, journal.list_, since=clock.tick()) == []
    assert len(look(database, journal.list_, until=clock.now, state="received", ack_state="owed", sender="a")) == 6
    with pytest.raises(NotFound):
        look(database, journal.get, 99)


def test_the_outbox_gives_what_is_due(database, clock):
    """A retry is due after its delay, and what is sent is not due again."""
    happened = [("notification-admit", "IMP", True)]
    wanted = {"c": frozenset({"notification-admit"})}
    told = {"patient": "p", "focus": "Encounter/e", "happened": happened, "wanted": wanted}
    database.write_sync(lambda tx: outbox.announce(tx, **told))
    database.write_sync(lambda tx: outbox.announce(tx, **told))
    (row,) = look(database, outbox.due, now=clock.tick())
    assert database.write_sync(lambda tx: outbox.claim(tx, [row], 1_000_000)) == [row]
    database.write_sync(lambda tx: outbox.mark(tx, row.id, "due", delay=5_000_000))
    assert look(database, outbox.due, now=clock.now) == []
    (again,) = look(database, outbox.due, now=clock.tick(10))
    assert again.attempts == 1
    database.write_sync(lambda tx: outbox.mark(tx, row.id, "sent"))
    assert look(database, outbox.due, now=clock.tick(100)) == []


def test_an_identifier_has_one_bearer(database):
    """Binding is idempotent; an identifier of somebody else is refused whole; the system is part of it."""
    database.write_sync(lambda tx: identity.bind(tx, [("s", "1"), ("s", "2"), ("s", "1")], "p"))
    database.write_sync(lambda tx: identity.bind(tx, [("s", "1")], "p"))
    database.write_sync(lambda tx: identity.bind(tx, [("t", "1")], "q"))
    with pytest.raises(ProfileViolation):
        database.write_sync(lambda tx: identity.bind(tx, [("s", "9"), ("s", "2")], "q"))
    assert look(database, identity.find, [("s", "1"), ("t", "1")]) == {"p", "q"}
    assert look(database, identity.find, [("s", "9")]) == set()
    assert look(database, identity.find, []) == set()


def known(digest):
    return identity.KnownCase(None, digest.encode(), b"{}", "p")


def test_pictures_and_cases_are_replaced(database):
    """The last picture of each source, the last digest of each case."""
    for family in ("a", "b"):
        database.write_sync(lambda tx, f=family: identity.picture(tx, "p", "icm", {"f": f}))
        database.write_sync(lambda tx, f=family: identity.note_case(tx, "k", known(f)))
    assert look(database, identity.pictures, "p") == {"icm": {"f": "b"}}
    assert look(database, identity.case, "k") == known("b")
    assert look(database, identity.case, "x") is None
