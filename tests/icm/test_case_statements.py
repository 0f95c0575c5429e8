"""What is stated of a case: whole, in records, in tables; and which of it is news."""

import orjson
import pytest
from composed_gateway import case

from fhirgw.errors import Forbidden, InvalidElement, ProfileViolation, VersionConflict
from fhirgw.icm.model import Case
from fhirgw.icm.statements import CASES, Records, columns, rows, statement

KEY = "ne-peer:NE-TEST-0003"
CONTACT = {
    "id": "c9", "at": "2025-04-01T10:00:00-05:00", "mode": "face-to-face", "setting": "office",
    "by": ["peer-novak"], "minutes": 45, "sensitivity": "none",
}  # fmt: skip


def stated(**changes):
    body = orjson.loads(case("ne-peer.json").model_dump_json(exclude_defaults=True)) | changes
    return statement(orjson.dumps(body))


def records(version, remove=None, **what):
    return statement(orjson.dumps({"case": KEY, "version": version, "records": what, "remove": remove or {}}))


async def take(whole, one, programs=None):
    return await whole.gateway.ingest.cases.take(one, programs)


async def test_records_of_a_case_make_the_case_that_they_say(whole):
    await take(whole, stated(version=1))
    before = len(whole.bodies("Encounter"))
    assert await take(whole, records(2, contacts=[CONTACT]))
    assert len(whole.bodies("Encounter")) == before + 1
    after = whole.everything()
    again = orjson.loads(case("ne-peer.json").model_dump_json(exclude_defaults=True))
    again["contacts"].append(CONTACT)
    assert await take(whole, statement(orjson.dumps(again | {"version": 3})))
    assert whole.everything() == after


async def test_a_record_takes_the_place_of_the_one_with_its_id(whole):
    await take(whole, stated(version=1))
    await take(whole, records(2, contacts=[CONTACT]))
    before = len(whole.bodies("Encounter"))
    await take(whole, records(3, contacts=[CONTACT | {"minutes": 20}]))
    assert len(whole.bodies("Encounter")) == before
    assert sum(b"20" in body for body, _ in whole.stored("Encounter").values()) > 0


async def test_what_is_removed_is_in_the_case_no_more(whole):
    await take(whole, stated(version=1))
    gone = records(2, remove={"care_plan.goals": ["bus"], "care_plan.sections": ["wellness"]})
    assert await take(whole, gone)
    plan = next(one for one in whole.bodies("CarePlan") if one["id"] and "goal" in one and len(one["goal"]) == 1)
    assert plan
    with pytest.raises(ExceptionGroup):
        await take(whole, records(3, remove={"care_plan.nothing": ["x"]}))


async def test_the_same_again_and_anything_older_change_nothing(whole):
    assert await take(whole, stated(version=4))
    before = whole.everything()
    assert not await take(whole, stated(version=4))
    assert not await take(whole, stated(version=3, status="active", low_contact_on="2025-03-01"))
    assert not await take(whole, records(2, contacts=[]))
    assert whole.everything() == before


async def test_two_things_are_not_one_version(whole):
    await take(whole, stated(version=4))
    with pytest.raises(VersionConflict):
        await take(whole, records(4, contacts=[CONTACT]))
    with pytest.raises(InvalidElement):
        await take(whole, stated(low_contact_on="2025-03-01"))


async def test_records_of_a_case_that_is_not_here_are_refused(whole):
    with pytest.raises(InvalidElement):
        await take(whole, statement(orjson.dumps({"case": "none", "version": 1, "records": {}})))


async def test_everything_wrong_is_told_at_its_place_and_nothing_is_stored(whole):
    await take(whole, stated(version=1))
    before = whole.everything()
    with pytest.raises(ExceptionGroup) as caught:
        await take(whole, records(2, contacts=[CONTACT | {"mode": "dream", "minutes": "long"}]))
    assert {one.location for one in caught.value.exceptions} == {"contacts.3.mode", "contacts.3.minutes"}
    assert whole.everything() == before


async def test_a_case_keeps_its_key_and_its_programme_decides_who_may_state_it(whole):
    await take(whole, stated(version=1))
    with pytest.raises(InvalidElement):
        await take(whole, records(2, key="ne-peer:other"))
    with pytest.raises(Forbidden):
        await take(whole, records(2, contacts=[CONTACT]), frozenset({"husky"}))
    assert await take(whole, records(2, contacts=[CONTACT]), frozenset({"ne-peer"}))


async def test_an_older_statement_does_not_widen_what_a_newer_one_narrowed(whole):
    wide = orjson.loads(case("ct-bhp.json").model_dump_json(exclude_defaults=True))
    narrow = wide | {"releases": [], "version": 2}
    await take(whole, statement(orjson.dumps(wide | {"version": 1})))
    with_release = whole.everything()
    await take(whole, statement(orjson.dumps(narrow)))
    narrowed = whole.everything()
    assert not await take(whole, statement(orjson.dumps(wide | {"version": 1})))
    assert whole.everything() == narrowed
    assert with_release.keys() >= narrowed.keys()


def test_the_order_of_keys_makes_no_other_statement():
    one = {"key": KEY, "version": 1, "program": "ne-peer"}
    assert statement(orjson.dumps(one)) == statement(orjson.dumps(dict(reversed(one.items()))))


def test_rows_that_follow_one_another_are_one_statement():
    table = ["case,version,id,by[],group.session,sensitivity[]", "k,2,a,x; y,s1,none", "k,2,b,,,MH;SUD", "k,3,c,,,"]
    first, second = rows("contacts", table)
    assert (first.key, first.version, second.version) == ("k", 2, 3)
    assert isinstance(first.content, Records)
    assert first.content.records == {
        "contacts": [
            {"id": "a", "by": ["x", "y"], "group": {"session": "s1"}, "sensitivity": "none"},
            {"id": "b", "sensitivity": ["MH", "SUD"]},
        ]
    }


def test_a_case_can_be_stated_in_a_row():
    head = "key,version,program,status,member.identifiers.0.system,member.identifiers.0.value,member.name.family"
    (one,) = rows(CASES, [head, "k,7,husky,candidate,http://example.org/id,1,Testperson"])
    assert one.version == 7
    assert one.content["member"]["identifiers"] == [{"system": "http://example.org/id", "value": "1"}]


@pytest.mark.parametrize("row", ["k,2.5,a", ",1,a", "k,,a"], ids=["version", "no case", "no version"])
def test_a_row_that_does_not_say_of_what_it_is_is_an_error_in_its_place(row):
    wrong, right = rows("contacts", ["case,version,id", row, "k,4,b"])
    assert isinstance(wrong, ExceptionGroup)
    assert right.version == 4


def test_every_list_of_records_has_its_columns():
    lists = [name for name, field in Case.model_fields.items() if "tuple" in str(field.annotation)]
    for name in lists:
        assert columns(name)[:2] == ["case", "version"]
        assert len(columns(name)) > 2
    assert {"key", "program", "member.name.family", "status"} <= set(columns(CASES))
    assert not {name.partition(".")[0] for name in columns(CASES)} & set(lists)
    for unknown in ("nothing", "contacts.nothing", "status"):
        with pytest.raises(InvalidElement):
            columns(unknown)


async def test_identifiers_of_two_people_are_for_a_person_to_look_at(whole):
    both = orjson.loads(case("ne-peer.json").model_dump_json(exclude_defaults=True))["member"]
    other = orjson.loads(case("husky.json").model_dump_json(exclude_defaults=True))["member"]
    both["identifiers"] = both["identifiers"] + other["identifiers"]
    with pytest.raises(ProfileViolation):
        await take(whole, stated(version=1, member=both))
