"""Messages that are due about one person are taken together: less is written, and the same comes of them."""

from composed_gateway import composed, message
from sqlalchemy import func, select

from fhirgw.ingest import due
from fhirgw.store.schema import history
from fhirgw.store.writer import Transaction

ADMITTED, LEFT = message("A01/member.hl7"), message("A03/member.hl7")
CANDIDATE = message("A01/candidate.hl7")


def versions(whole, kind):
    with whole.gateway.database.read() as connection:
        return connection.scalar(select(func.count()).select_from(history).where(history.c.type == kind))


def due_rows(whole, most=due.MOST):
    with whole.gateway.database.read() as connection:
        return due.look_ahead(connection, most)


def by_person(whole, rows):
    return due.by_person(rows)


async def test_what_is_due_of_one_visit_is_folded_once_and_is_as_if_each_had_come_alone(whole, tmp_path):
    with composed(tmp_path / "alone") as alone:
        before = versions(whole, "Encounter")
        for raw in (ADMITTED, CANDIDATE, LEFT):
            await alone.take(raw)
        await whole.take(ADMITTED, CANDIDATE, LEFT)
        assert whole.everything() == alone.everything()
        assert (versions(alone, "Encounter") - before, versions(whole, "Encounter") - before) == (3, 2)


async def test_the_person_of_the_oldest_message_comes_first_and_theirs_as_they_came(whole):
    for raw in (ADMITTED, CANDIDATE, LEFT):
        await whole.receive(raw)
    (alma, first), (again, second), (other, third) = by_person(whole, due_rows(whole))
    assert (first.trigger, second.trigger, third.trigger) == ("A01", "A03", "A01")
    assert alma == again != other


async def test_messages_that_name_nobody_plainly_are_taken_one_by_one(whole):
    for raw in (ADMITTED, LEFT):
        await whole.receive(raw)
    nameless = [
        row._replace(raw=row.raw.replace(b"PID|1||MRN-1001^^^ELMHOSP^MR~", b"PID|1||~")) for row in due_rows(whole)
    ]
    unreadable = [row._replace(raw=b"MSH") for row in due_rows(whole)]
    for rows in (nameless, unreadable):
        assert [who for who, _ in by_person(whole, rows)] == [row.id for row in rows]


async def test_messages_are_looked_for_no_further_than_memory_allows(whole, monkeypatch):
    monkeypatch.setattr(due, "_PAGE", 1)
    for raw in (ADMITTED, CANDIDATE, LEFT):
        await whole.receive(raw)
    assert len(due_rows(whole)) == 3
    monkeypatch.setattr(due, "MOST_BYTES", len(ADMITTED) + 1)
    assert [row.trigger for row in due_rows(whole)] == ["A01", "A01"]


async def test_what_another_process_has_seen_to_meanwhile_is_not_taken_again(whole, monkeypatch):
    await whole.receive(ADMITTED)
    seen = due_rows(whole)
    await whole.process()
    monkeypatch.setattr(due, "look_ahead", lambda *_: seen)
    assert await whole.gateway.ingest.messages.process_due() == 1
    assert [row.attempts for row in whole.rows()] == [1]


async def test_the_more_is_due_the_further_it_is_looked_through_unless_an_ack_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(due, "LEAST", 1)
    with composed(tmp_path) as whole:
        for number in range(11):
            await whole.receive(message("A01/candidate.hl7", control=f"C{number}"))
        process = whole.gateway.ingest.messages.process_due
        assert await process() == 1
        with monkeypatch.context() as hurry:
            hurry.setattr(Transaction, "awaited", property(lambda _: lambda: True, lambda *_: None))
            assert await process() == 8
        assert [await process() for _ in range(3)] == [1, 1, 0]
