"""A message about somebody who may be a member waits until a person has said who it is."""

import asyncio
from dataclasses import replace

import orjson
import pytest
from composed_gateway import ALMA, FENN, case, composed, message
from sqlalchemy import func, select

from fhirgw.asks import History, Read, Search
from fhirgw.audit import verify
from fhirgw.errors import InvalidElement, NotFound, ProfileViolation
from fhirgw.ingest import records
from fhirgw.store import application_ack, candidates, identity, policy, repository, retention, reviews
from fhirgw.store.schema import block_key, ledger, match_subject, outbox, resource, visit_event

UNKNOWN = (("MRN-1001^^^ELMHOSP^MR~CT-TEST-0001^^^CTMEDICAID^MA", "MRN-7777^^^ELMHOSP^MR"),)
MRN = ("http://fhirgw.org/fhir/sid/elm-hospital-mrn", "MRN-7777")
NOBODY = (
    *UNKNOWN,
    ("TESTPERSON^ALMA^Q", "STRANGER^ZOE"),
    ("19840302", "20010909"),
    ("860)555-0101", "212)555-0177"),
)


def unknown(event, control, *changes):
    """A message about Alma by a record number that nobody here bears."""
    return message(f"{event}/{'update' if event == 'A08' else 'member'}.hl7", *UNKNOWN, *changes, control=control)


def asked(whole, state="open"):
    with whole.gateway.database.read() as connection:
        return reviews.list_(connection, state=state)


def states(whole):
    return [row.state for row in whole.rows()]


def tasks(whole):
    return [one for one in whole.bodies("Task") if one["code"]["coding"][0]["code"] == "match-review"]


def visits_of(whole, person):
    about = {"reference": f"Patient/{whole.patient(person)}"}
    found = [one for one in whole.bodies("Encounter") if one["subject"] == about and one["status"] != "planned"]
    numbers = [one["identifier"][0]["value"] for one in found if "identifier" in one]
    return sorted(number for number in numbers if number in ("V1", "V2"))


def count(whole, table):
    with whole.gateway.database.read() as connection:
        return connection.scalar(select(func.count()).select_from(table))


async def confirm(whole, review, patient):
    for _ in await whole.gateway.ingest.reviews.confirm(review, patient):
        pass
    await whole.process()


async def reject(whole, review, patient=None):
    await whole.gateway.ingest.reviews.reject(review, patient)
    await whole.process()


# --- waiting ------------------------------------------------------------------------------------------------------


async def test_whoever_was_nobody_a_message_ago_is_asked_about_once_the_picture_is_a_members(whole):
    """Messages under one number that are taken together."""
    nobody = [message("A01/member.hl7", *NOBODY, control=f"N{number}") for number in range(2)]
    await whole.take(*nobody, unknown("A08", "K1"), unknown("A08", "K2"))
    assert states(whole) == ["processed", "processed", "waiting", "waiting"]


async def test_what_may_be_about_a_member_waits_and_a_task_asks_who_it_is(whole):
    before = {kind: len(whole.stored(kind)) for kind in ("Encounter", "Condition", "Patient")}
    await whole.take(unknown("A01", "W1"), unknown("A03", "W2"))
    (review,) = asked(whole)
    alma = whole.patient(ALMA)
    assert [one.patient for one in review.candidates] == [alma]
    assert 0.5 < review.candidates[0].probability < 1
    assert states(whole) == ["waiting", "waiting"]
    assert list(review.messages) == [row.id for row in whole.rows()]
    (task,) = tasks(whole)
    assert (task["status"], task["input"][0]["valueReference"]) == ("requested", {"reference": f"Patient/{alma}"})
    assert {kind: len(whole.stored(kind)) for kind in before} == before
    assert count(whole, outbox) == count(whole, visit_event) == 0


async def test_a_message_about_nobody_here_leaves_its_row_and_nothing_else(whole):
    before = whole.everything()
    await whole.take(message("A01/member.hl7", *NOBODY, control="W1"))
    assert states(whole) == ["processed"]
    assert asked(whole, None) == []
    assert whole.everything() == before
    assert count(whole, match_subject) == 0


async def test_who_is_in_no_programmes_care_is_not_compared(whole):
    alma = whole.patient(ALMA)
    whole.gateway.database.write_sync(lambda tx: policy.enrol(tx, alma, "ct-bhp", "finished"))
    await whole.take(unknown("A01", "W1"))
    assert (states(whole), asked(whole)) == (["processed"], [])


async def test_a_replay_of_what_waits_asks_no_second_time(whole):
    await whole.take(unknown("A01", "W1"))
    before = whole.everything()
    for _ in range(2):
        assert await whole.gateway.ingest.messages.process(whole.row(whole.rows()[0].id)) == "waiting"
    assert len(asked(whole)) == 1
    assert whole.everything() == before


async def test_of_a_stranger_the_review_keeps_no_identifier(whole):
    await whole.take(unknown("A01", "W1"))
    with whole.gateway.database.read() as connection:
        kept = [digest for (digest,) in connection.execute(select(match_subject.c.digest))]
    assert kept
    assert not any("7777" in digest or "elm" in digest for digest in kept)
    assert "7777" not in str(tasks(whole))


def bed_swap(control, *parts):
    """An A17; each of its parts is a person, by PID, and the number of their visit."""
    lines = [
        f"MSH|^~\\&|ADTSYS|ELMHOSP|||20260318153100-0500||ADT^A17|{control}|P|2.5.1",
        "EVN|A17|20260318153000-0500",
    ]
    for at, (pid, visit) in enumerate(parts):
        lines += [f"PID|1||{pid}", f"PV1|1|I|4E^{at}^A^ELMHOSP||||||||||||||||{visit}^^^ELMHOSP^VN"]
    return ("\r".join(lines) + "\r").encode()


LIKE_ALMA = "MRN-7777^^^ELMHOSP^MR||TESTPERSON^ALMA^Q||19840302|F|||1 SAMPLE ST^^HARTFORD^CT^06103||(860)555-0101"
LIKE_FENN = "MRN-7778^^^ELMHOSP^MR||PLACEHOLDER^FENN||19951212|M|||||(860)555-0106"
KNOWN_FENN = "MRN-1006^^^ELMHOSP^MR~CT-TEST-0006^^^CTMEDICAID^MA||PLACEHOLDER^FENN"


@pytest.mark.parametrize("first", [0, 1])
async def test_of_a_message_about_two_the_one_nobody_knows_is_asked_about_and_the_other_is_taken(whole, first):
    parts = [(KNOWN_FENN, "V1"), (LIKE_ALMA, "V2")]
    await whole.take(bed_swap("W1", *parts[first:], *parts[:first]))
    assert states(whole) == ["waiting"]
    assert visits_of(whole, FENN) == ["V1"]
    (review,) = asked(whole)
    await confirm(whole, review.id, whole.patient(ALMA))
    assert (states(whole), visits_of(whole, FENN), visits_of(whole, ALMA)) == (["processed"], ["V1"], ["V2"])


async def test_two_that_nobody_knows_are_asked_about_one_after_the_other(whole):
    await whole.take(bed_swap("W1", (LIKE_ALMA, "V1"), (LIKE_FENN, "V2")))
    (review,) = asked(whole)
    await reject(whole, review.id)
    assert states(whole) == ["waiting"]
    (review,) = asked(whole)
    await confirm(whole, review.id, whole.patient(FENN))
    assert (states(whole), visits_of(whole, FENN), visits_of(whole, ALMA)) == (["processed"], ["V2"], [])


# --- no word of it outside ----------------------------------------------------------------------------------------


async def test_outside_a_waiting_review_changes_no_answer(whole):
    """The twin law, with a store in which the messages never came (consent specification §4)."""
    alma = whole.patient(ALMA)
    asks = [
        Read("Patient", alma),
        History("Patient", alma),
        *(
            Search(kind, ((name, f"Patient/{alma}"),))
            for kind, name in (("Encounter", "patient"), ("CarePlan", "patient"), ("Task", "patient"))
        ),
        Search("Task", ()),
        Search("Task", (("code", "match-review"),)),
        History("Task", None),
    ]

    async def answers():
        found = []
        for ask in asks:
            released = await whole.gateway.share.release(whole.requester("pcmh-elm"), ask)
            found.append((released.body, dict(released.headers)))
        return found

    before = await answers()
    await whole.take(unknown("A01", "W1"))
    (task,) = tasks(whole)
    assert await answers() == before
    with pytest.raises(NotFound):
        await whole.gateway.share.release(whole.requester("pcmh-elm"), Read("Task", task["id"]))
    released = await whole.gateway.share.release(whole.requester("icm-system"), Read("Task", task["id"]))
    assert orjson.loads(released.body)["status"] == "requested"


async def test_a_sender_is_told_the_same_of_a_member_of_who_may_be_one_and_of_a_stranger(whole, monkeypatch):
    """Leaks 22 and 24: not whether the programme knows the patient, in words or by silence."""

    def failing(*_):
        raise ProfileViolation("It would not be valid.", location="PID-3")

    def enhanced(raw):
        return raw.replace(b"|P|2.5.1", b"|P|2.5.1|||AL|AL")

    await whole.receive(enhanced(message("A01/member.hl7", control="member")))
    await whole.receive(enhanced(unknown("A01", "perhaps")))
    await whole.receive(enhanced(message("A01/member.hl7", *NOBODY, control="nobody")))
    await whole.process()
    monkeypatch.setattr(records.Records, "fold", failing)
    await whole.receive(enhanced(message("A03/member.hl7", control="contradicts")))
    await whole.process()
    assert states(whole) == ["processed", "waiting", "processed", "parked"]
    with whole.gateway.database.read() as connection:
        told = [application_ack.get(connection, row.id) for row in whole.rows()]
    assert {one and (one.code, b"ERR" in one.body) for one in told} == {("AA", False)}


async def test_the_task_stays_inside_whoever_writes_it(whole):
    await whole.take(unknown("A01", "W1"))
    (task,) = tasks(whole)
    task.pop("meta", None)
    changed = task | {"priority": "urgent"}
    await whole.gateway.ingest.resources.write(
        replace(whole.requester("icm-system")), changed, id=task["id"], if_match=None
    )
    with whole.gateway.database.read() as connection:
        assert connection.scalar(select(resource.c.standing).where(resource.c.id == task["id"])) == "several"
    with pytest.raises(NotFound):
        await whole.gateway.share.release(whole.requester("pcmh-elm"), Read("Task", task["id"]))


# --- confirmed ----------------------------------------------------------------------------------------------------


async def test_confirmed_the_store_is_as_if_the_record_number_had_been_known(tmp_path):
    with composed(tmp_path / "known") as known:
        alma = known.patient(ALMA)
        known.gateway.database.write_sync(lambda tx: identity.bind(tx, [MRN], alma))
        await known.take(unknown("A01", "W1"), unknown("A03", "W2"))
        expected = {name: body for name, body in known.everything().items() if name[0] != "Task"}
    with composed(tmp_path / "asked") as whole:
        await whole.take(unknown("A01", "W1"), unknown("A03", "W2"))
        (review,) = asked(whole)
        await confirm(whole, review.id, alma)
        assert states(whole) == ["processed", "processed"]
        assert whole.patient(MRN) == alma
        assert {name: body for name, body in whole.everything().items() if name[0] != "Task"} == expected
        (task,) = tasks(whole)
        assert (task["status"], len(task["output"])) == ("completed", 1)
        assert asked(whole) == []
        await whole.take(unknown("A08", "W3"))
        assert states(whole) == ["processed"] * 3


async def test_confirming_and_rejecting_are_accounted_for(whole):
    await whole.take(unknown("A01", "W1"))
    (review,) = asked(whole)
    alma = whole.patient(ALMA)
    await whole.gateway.ingest.reviews.confirm(review.id, alma)
    with whole.gateway.database.read() as connection:
        row = connection.execute(select(ledger).where(ledger.c.patient == alma)).one()
        assert list(verify(connection, whole.gateway.keys.audit)) == []
    event = orjson.loads(row.event)
    assert event["subtype"][0]["code"] == "match-confirm"
    assert (row.recipient, row.disclosure) == ("operator", False)
    assert {"reference": f"journal/{review.messages[0]}"} in [one["what"] for one in event["entity"]]


async def test_an_identifier_that_answers_the_question_ends_the_waiting(whole):
    await whole.take(unknown("A01", "W1"))
    both = ("MRN-1001^^^ELMHOSP^MR~", "MRN-7777^^^ELMHOSP^MR~")
    await whole.take(message("A08/update.hl7", both, control="W2"))
    await whole.process()
    assert states(whole) == ["processed", "processed"]
    assert asked(whole) == []
    assert [one.state for one in asked(whole, "confirmed")] == ["confirmed"]


# --- rejected -----------------------------------------------------------------------------------------------------


async def test_rejected_nothing_is_left_and_nobody_is_asked_again(whole):
    before = whole.everything()
    await whole.take(unknown("A01", "W1"))
    (review,) = asked(whole)
    await reject(whole, review.id)
    assert states(whole) == ["processed"]
    await whole.take(unknown("A03", "W2"))
    assert (states(whole), asked(whole)) == (["processed", "processed"], [])
    assert set(whole.everything()) - set(before) == {("Task", tasks(whole)[0]["id"])}
    assert count(whole, visit_event) == 0


async def test_one_of_two_rejected_leaves_the_question_of_the_other(whole):
    def twin(body):
        body["key"] = "ct-bhp:TWIN"
        body["member"]["identifiers"] = [{"system": "http://example.org/sid", "value": "TWIN"}]
        body["member"]["name"]["given"] = ["Amla"]

    await whole.gateway.ingest.cases.store(case("ct-bhp.json", twin))
    await whole.take(unknown("A01", "W1"))
    (review,) = asked(whole)
    alma, other = whole.patient(ALMA), whole.patient(("http://example.org/sid", "TWIN"))
    assert [one.patient for one in review.candidates] == [alma, other]
    await reject(whole, review.id, alma)
    assert states(whole) == ["waiting"]
    with pytest.raises(InvalidElement):
        await whole.gateway.ingest.reviews.confirm(review.id, alma)
    await confirm(whole, review.id, other)
    assert whole.patient(MRN) == other


async def test_a_review_that_is_closed_or_not_there_takes_no_answer(whole):
    await whole.take(unknown("A01", "W1"))
    (review,) = asked(whole)
    with pytest.raises(InvalidElement):
        await whole.gateway.ingest.reviews.confirm(review.id, "somebody-else")
    await reject(whole, review.id)
    with pytest.raises(InvalidElement):
        await whole.gateway.ingest.reviews.reject(review.id)
    with pytest.raises(NotFound):
        await whole.gateway.ingest.reviews.confirm(99, whole.patient(ALMA))


async def test_what_waited_too_long_is_gone_and_the_review_can_still_be_closed(whole):
    await whole.take(unknown("A01", "W1"))
    (review,) = asked(whole)
    whole.gateway.database.write_sync(lambda tx: retention.remove(tx, review.messages))
    (review,) = asked(whole)
    assert review.messages == ()
    assert await whole.gateway.ingest.reviews.reject(review.id) == []
    assert asked(whole) == []


async def test_two_who_decide_at_once_decide_once(whole):
    await whole.take(unknown("A01", "W1"))
    (review,) = asked(whole)
    ours = whole.gateway.ingest.reviews
    said = await asyncio.gather(
        ours.confirm(review.id, whole.patient(ALMA)), ours.reject(review.id), return_exceptions=True
    )
    assert [type(one) for one in said] == [list, InvalidElement]


# --- the index ----------------------------------------------------------------------------------------------------


def body(birth="1951-11-30", **more):
    return {"resourceType": "Patient", "id": "p", "birthDate": birth, "name": [{"family": "Roe"}], **more}


def test_the_index_follows_every_write_of_a_patient(whole):
    def kept():
        with whole.gateway.database.read() as connection:
            found = connection.scalars(select(block_key.c.key).where(block_key.c.patient == "p"))
            return set(found)

    write = whole.gateway.database.write_sync
    write(lambda tx: repository.put(tx, body()))
    first = kept()
    write(lambda tx: repository.put(tx, body("1952-01-02")))
    assert kept() != first
    write(lambda tx: repository.put(tx, body()))
    assert kept() == first
    with whole.gateway.database.read() as connection:
        assert candidates.sharing(connection, first) == ["p"]
    assert write(lambda tx: candidates.in_care(tx, first)) == []
    write(lambda tx: repository.delete(tx, "Patient", "p"))
    assert kept() == set()
