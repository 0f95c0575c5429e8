"""What is told of a visit, to whom, and what is taken back when it holds no more."""

from composed_gateway import message
from told_partners import (
    ADMIT,
    ADMITTED,
    DISCHARGE,
    LEFT,
    TRANSFER,
    deliver,
    put,
    states,
    subscribe,
    told,
    visit,
)

from fhirgw.store import repository


async def test_an_admission_a_transfer_and_a_discharge_are_each_told_once(whole, endpoint):
    subscribe(whole, endpoint.url)
    for one in (
        visit(whole),
        visit(whole),
        visit(whole, places=("ward-a", "ward-b")),
        visit(whole, "finished", ("ward-a", "ward-b"), "2026-03-09T10:00:00-05:00"),
    ):
        put(whole, one)
        await deliver(whole)
    assert told(endpoint) == [(ADMIT, "in-progress"), (TRANSFER, "in-progress"), (DISCHARGE, "finished")]


async def test_a_trip_is_no_transfer_of_the_visit(whole, endpoint):
    """PV1-11, a temporary location: there and elsewhere and back, and home from it; the next bed is a transfer."""
    subscribe(whole, endpoint.url)

    def told_of(event, day, bed="4E^412^A^ELMHOSP", trip=""):
        at = f"EVN|{event}|202603{day:02}120000-0500"
        changes = [
            ("ADT^A01^ADT_A01", f"ADT^{event}"),
            ("EVN|A01|20260305143000-0500||||20260305141500-0500", at),
            ("4E^412^A^ELMHOSP", bed),
            ("PSY||||7", f"PSY|{trip}|||7"),
        ]
        return message("A01/member.hl7", *changes, control=f"ELM-{day}")

    for one in (
        told_of("A01", 5),
        told_of("A09", 6, trip="XRAY^R2^^ELMHOSP"),
        told_of("A09", 7, trip="MRI^R1^^ELMHOSP"),
        told_of("A10", 8),
        told_of("A02", 9, bed="ICU^1^1^ELMHOSP"),
        told_of("A09", 10, bed="ICU^1^1^ELMHOSP", trip="XRAY^R2^^ELMHOSP"),
        told_of("A03", 11, bed="ICU^1^1^ELMHOSP", trip="MRI^R1^^ELMHOSP"),
    ):
        await whole.take(one)
        await deliver(whole)
    (stays,) = (
        one["location"]
        for one in whole.bodies("Encounter")
        if one.get("period", {}).get("end", "")[:10] == "2026-03-11"
    )
    assert len(stays) == 6
    assert told(endpoint) == [(ADMIT, "in-progress"), (TRANSFER, "in-progress"), (DISCHARGE, "finished")]


async def test_what_is_heard_of_at_once_is_told_one_after_the_other(whole, endpoint):
    subscribe(whole, endpoint.url)
    put(whole, visit(whole, "finished", ("ward-a", "ward-b"), "2026-03-09T10:00:00-05:00"))
    await deliver(whole)
    assert told(endpoint) == [(ADMIT, "finished"), (TRANSFER, "finished"), (DISCHARGE, "finished")]
    assert states(whole) == {"sent": 3}


async def test_a_move_to_another_bed_of_a_ward_is_no_transfer(whole, endpoint):
    """Da Vinci notification-event: to another facility, or to another department."""
    subscribe(whole, endpoint.url)
    beds = ("4E^412^A^ELMHOSP", "4E^412^B^ELMHOSP", "4E^414^A^ELMHOSP", "ICU^1^1^ELMHOSP")
    for day, bed in enumerate(beds, 5):
        event = "A01" if day == 5 else "A02"
        changes = [
            ("ADT^A01^ADT_A01", f"ADT^{event}"),
            ("EVN|A01|20260305143000-0500||||20260305141500-0500", f"EVN|{event}|202603{day:02}150000-0500"),
            ("4E^412^A^ELMHOSP", bed),
        ]
        await whole.take(message("A01/member.hl7", *changes, control=f"ELM-{day}"))
        await deliver(whole)
    assert told(endpoint) == [(ADMIT, "in-progress"), (TRANSFER, "in-progress")]
    assert states(whole) == {"sent": 2, "withheld": 2}


async def test_what_was_told_and_holds_no_more_is_taken_back_and_told_anew_when_it_holds_again(whole, endpoint):
    subscribe(whole, endpoint.url)
    ended = visit(whole, "finished", end="2026-03-09T10:00:00-05:00")
    for one in (visit(whole), ended, visit(whole), ended):
        put(whole, one)
        await deliver(whole)
    assert told(endpoint) == [
        (ADMIT, "in-progress"),
        (DISCHARGE, "finished"),
        (DISCHARGE, "in-progress"),
        (DISCHARGE, "finished"),
    ]


async def test_what_was_cancelled_before_it_was_told_is_told_to_nobody(whole, endpoint):
    subscribe(whole, endpoint.url)
    put(whole, visit(whole))
    put(whole, visit(whole, "cancelled"))
    await deliver(whole)
    assert (told(endpoint), states(whole)) == ([], {"moot": 2})


async def test_a_cancelled_admission_is_taken_back_from_those_who_were_told(whole, endpoint):
    subscribe(whole, endpoint.url)
    await whole.take(ADMITTED)
    await deliver(whole)
    await whole.take(message("A01/member.hl7", ("ADT^A01^ADT_A01", "ADT^A11^ADT_A09"), control="ELM-UNDO"))
    await deliver(whole)
    assert told(endpoint) == [(ADMIT, "in-progress"), (ADMIT, "cancelled")]


async def test_a_transfer_that_the_recipient_may_not_see_is_not_told(whole, endpoint):
    subscribe(whole, endpoint.url)
    put(whole, visit(whole))
    await deliver(whole)
    moved = visit(whole, places=("ward-a", "ward-b"))
    sud = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}
    unit = {"resourceType": "Location", "id": "ward-b", "name": "Unit", "meta": {"security": [sud]}}
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, unit))
    put(whole, moved)
    await deliver(whole)
    assert told(endpoint) == [(ADMIT, "in-progress")]
    assert states(whole) == {"sent": 1, "withheld": 1}


async def test_what_may_not_be_seen_keeps_nothing_else_from_being_told(whole, endpoint):
    """Also where both are heard of at once: an admission that is not told would tell of the unit."""
    subscribe(whole, endpoint.url)
    sud = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}
    unit = {"resourceType": "Location", "id": "ward-b", "name": "Unit", "meta": {"security": [sud]}}
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, unit))
    put(whole, visit(whole, places=("ward-a", "ward-b")))
    await deliver(whole)
    assert told(endpoint) == [(ADMIT, "in-progress")]


async def test_a_client_takes_what_it_asked_for(whole, endpoint):
    subscribe(whole, endpoint.url, notify_on=frozenset({DISCHARGE}), notify_header="Authorization: Bearer of-elm")
    await whole.take(ADMITTED, LEFT)
    await deliver(whole)
    assert told(endpoint) == [(DISCHARGE, "finished")]
    assert endpoint.headers[0]["Authorization"] == "Bearer of-elm"


async def test_what_happened_before_the_gateway_was_to_tell_of_it_is_not_told(whole, endpoint):
    subscribe(whole, endpoint.url)
    march = 1_772_000_000_000_000
    put(whole, visit(whole), at=march + 90 * 86_400_000_000)
    await deliver(whole)
    assert (told(endpoint), states(whole)) == ([], {"moot": 1})
