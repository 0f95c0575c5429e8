"""The way out, law by law: one store, one outside practice, one clock that the test moves."""

import asyncio
from datetime import UTC, datetime

import orjson
import pytest
from consented_store import (
    ACT,
    BASE,
    CLEARED,
    KEYS,
    START,
    SUBSTANCE,
    Gateway,
    about,
    concept,
    elm,
    encounter,
    goal,
    plan,
    ref,
    release,
)

from fhirgw.alerts import ADMIT
from fhirgw.answer import PageSeal
from fhirgw.asks import History, NextPage, Notification, Read, Search, VRead
from fhirgw.audit import Ledger, disclosures, verify
from fhirgw.consent.model import Agreement, ConsentSettings
from fhirgw.errors import DependencyDown, Forbidden, InvalidElement, NotFound
from fhirgw.share import ATTEMPTS, PART2_HEADER, Share
from fhirgw.store import policy, repository


@pytest.fixture
def gateway(tmp_path):
    made = Gateway(tmp_path / "store.db")
    organization = {"resourceType": "Organization", "id": "org-elm", "name": "Elm"}
    made.put(organization, standing="registry")
    made.database.write_sync(lambda tx: [policy.enrol(tx, who, "adv", "active") for who in ("p", "q")])
    made.put(
        {"resourceType": "Patient", "id": "p", "meta": CLEARED, "name": [{"family": "Doe"}]},
        {"resourceType": "Patient", "id": "q", "meta": CLEARED, "name": [{"family": "Roe"}]},
        release(),
    )
    yield made
    made.database.close()


# -- who asks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "who", [elm(purpose="HMARKT"), elm(client="oak"), elm(inside=frozenset()), elm(inside=frozenset({"sud"}))]
)
def test_whoever_was_permitted_nothing_gets_what_a_stranger_gets(gateway, who):
    """A purpose nobody permitted, another organization, a programme without the member: as if it were empty."""
    gateway.put(plan())
    for ask in (Read("Patient", "p"), Read("CarePlan", "k"), History("CarePlan", "k")):
        with pytest.raises(NotFound):
            gateway.ask(ask, who)
    assert gateway.body(Search("CarePlan", ()), who)["total"] == 0


def test_consents_and_audit_events_are_for_nobody_outside(gateway):
    """Not even the recipient that a Consent names reads it, or counts it."""
    with pytest.raises(NotFound):
        gateway.ask(Read("Consent", "roi-p"))
    assert gateway.body(Search("Consent", (("patient", "p"),)))["total"] == 0
    assert gateway.body(Search("AuditEvent", ()))["total"] == 0


def test_a_search_needs_the_scope_and_an_include_too(gateway):
    gateway.put(goal("g"), plan(goal=[ref("Goal/g")]))
    narrow = elm(scopes=("system/CarePlan.rs",))
    found = gateway.body(Search("CarePlan", (("_include", "CarePlan:goal"),)), narrow)
    assert [one["search"]["mode"] for one in found["entry"]] == ["match"]
    with pytest.raises(Forbidden):
        gateway.ask(Search("Goal", ()), narrow)


# -- pages ---------------------------------------------------------------------------------------------------------


def page_of(gateway):
    links = gateway.body(Search("Goal", (("_count", "1"),)))["link"]
    return next(link["url"] for link in links if link["relation"] == "next").partition("_page=")[2]


def test_a_page_begun_before_a_revocation_shows_nothing_after_it(gateway):
    gateway.put(goal("a"), goal("b"), goal("c"))
    token = page_of(gateway)
    assert gateway.body(NextPage(token))["total"] == 3
    gateway.put(release(status="inactive"))
    after = gateway.body(NextPage(token))
    assert after["total"] == 0
    assert "entry" not in after


@pytest.mark.parametrize("who", [elm(client="oak"), elm(purpose="HMARKT")])
def test_a_page_serves_whom_and_what_it_was_made_for(gateway, who):
    gateway.put(goal("a"), goal("b"))
    with pytest.raises(InvalidElement):
        gateway.ask(NextPage(page_of(gateway)), who)


def test_what_came_in_a_body_does_not_come_back_in_a_link(gateway):
    found = gateway.body(Search("Patient", (("family", "Doe"),), by_post=True))
    assert b"Doe" not in orjson.dumps(found["link"])
    assert found["total"] == 1


# -- versions and times --------------------------------------------------------------------------------------------


def etag(released):
    return released.headers["ETag"].removeprefix("W/").strip('"')


def test_the_version_that_a_read_shows_is_in_the_history(gateway):
    """Also when what a reference points at became visible without a new version of what refers (leak 23)."""
    gateway.put(goal("g", "F11.20"), plan(goal=[ref("Goal/g")]))
    before = gateway.ask(Read("CarePlan", "k"))
    assert "goal" not in orjson.loads(before.body)
    gateway.put(goal("g", "I10"))
    after = gateway.ask(Read("CarePlan", "k"))
    assert orjson.loads(after.body)["goal"] == [ref("Goal/g")]
    assert gateway.ask(VRead("CarePlan", "k", etag(after))).body == after.body
    newest = gateway.body(History("CarePlan", "k"))["entry"][0]["resource"]
    assert newest == orjson.loads(after.body)


def test_a_hidden_edit_is_no_version_and_moves_no_instant(gateway):
    gateway.put(plan())
    before = gateway.ask(Read("CarePlan", "k"))
    gateway.put(goal("g", "F11.20"), plan(goal=[ref("Goal/g")]))
    gateway.put(goal("g", "F10.10"))
    gateway.delete("Goal", "g")
    after = gateway.ask(Read("CarePlan", "k"))
    assert (after.body, after.headers) == (before.body, before.headers)
    assert gateway.body(History("CarePlan", "k"))["total"] == 1
    assert gateway.body(History("CarePlan", None))["total"] == 1


def test_outside_nothing_was_ever_deleted(gateway):
    """A deletion while a resource was hidden is no entry of its history, when it comes back (leak 21, 23)."""
    gateway.put(plan(), goal("g", "F11.20"))
    for kind, logical in (("CarePlan", "k"), ("Goal", "g")):
        gateway.delete(kind, logical)
        with pytest.raises(NotFound):
            gateway.ask(History(kind, logical))
    gateway.put(goal("g", "I10"), plan(period={"start": "2026-06-01"}))
    assert [one["request"]["method"] for one in gateway.body(History("Goal", "g"))["entry"]] == ["PUT"]
    assert [one["request"]["method"] for one in gateway.body(History("CarePlan", "k"))["entry"]] == ["PUT", "PUT"]


def test_inside_the_history_tells_everything(gateway):
    gateway.put(plan(), goal("g", "F11.20"))
    gateway.delete("Goal", "g")
    found = gateway.body(History("Goal", "g"), elm(inside=frozenset({"*"})))
    assert [one["request"]["method"] for one in found["entry"]] == ["DELETE", "PUT"]


# -- what is derived from care -------------------------------------------------------------------------------------

WARD = {"resourceType": "Location", "id": "ward", "name": "Ward 3"}


def test_a_place_shows_no_time_and_no_earlier_version(gateway):
    """When a hidden stay brought a ward here is nobody's to know: no instant, no null, no version (leak 24)."""
    stay = [{"location": ref("Location/ward")}]
    gateway.put({**WARD, "name": "Ward three"}, encounter("hidden", "F11.20", location=stay))
    with pytest.raises(NotFound):
        gateway.ask(Read("Location", "ward"))
    gateway.put(WARD, encounter("seen", location=stay))
    released = gateway.ask(Read("Location", "ward"))
    assert "Last-Modified" not in released.headers
    entries = gateway.body(History("Location", "ward"))["entry"]
    assert [set(one["response"]) for one in entries] == [{"status", "etag"}]


def test_what_is_registered_is_new_from_then_on(gateway):
    hospital = {"resourceType": "Organization", "id": "o", "name": "General"}
    gateway.put(hospital, encounter("hidden", "F11.20", serviceProvider=ref("Organization/o")))
    gateway.put(hospital, standing="registry")
    found = gateway.body(Read("Organization", "o"))
    assert found["meta"]["lastUpdated"] == repository.instant(gateway.now)
    assert gateway.body(History("Organization", "o"))["total"] == 1


def test_a_second_visible_reference_counts_where_the_first_is_hidden(gateway):
    """The ward is there for whoever sees one of two references to it, in whatever elements they stand."""
    stay = {"location": ref("Location/ward"), "physicalType": concept("F11.20")}
    gateway.put(WARD, encounter("e", location=[stay], hospitalization={"destination": ref("Location/ward")}))
    assert "location" not in gateway.body(Read("Encounter", "e"))
    assert gateway.body(Read("Location", "ward"))["name"] == "Ward 3"


def test_of_a_role_only_what_it_says_by_itself_is_shown(gateway):
    """A role visible through a care team does not tell that it is one in a Part 2 programme."""
    riverside = {"resourceType": "Organization", "id": "o", "name": "Riverside Recovery"}
    riverside["meta"] = {"security": [{"system": ACT, "code": "SUD"}]}
    role = {"resourceType": "PractitionerRole", "id": "r", "active": True, "organization": ref("Organization/o")}
    team = about("CareTeam", "m", status="active", participant=[{"member": ref("PractitionerRole/r")}])
    gateway.put(riverside, role, team)
    assert "organization" not in gateway.body(Read("PractitionerRole", "r"))
    assert gateway.body(Search("PractitionerRole", (("organization", "o"),)))["total"] == 0
    assert gateway.body(Search("PractitionerRole", ()))["total"] == 1


# -- the rest of a resource ----------------------------------------------------------------------------------------


def test_a_reference_to_somebody_elses_record_is_hidden(gateway):
    """What one patient allows says nothing of another's record (leak 25)."""
    gateway.put(goal("theirs", who="q"), goal("mine"), plan(goal=[ref("Goal/mine"), ref("Goal/theirs")]))
    assert gateway.body(Read("CarePlan", "k"))["goal"] == [ref("Goal/mine")]
    assert gateway.body(Search("CarePlan", (("goal", "Goal/theirs"),)))["total"] == 0


def test_the_part_2_notice_is_there_only_with_such_records(gateway):
    """The notice itself reveals them: not for a reference whose target is hidden (consent specification §5.1)."""
    gateway.put(release(labels=SUBSTANCE, types=("CarePlan",)))
    gateway.put(goal("g", "F11.20"), plan("k", goal=[ref("Goal/g")]), plan("sud", category=[concept("F11.20")]))
    hidden, seen = gateway.ask(Read("CarePlan", "k")), gateway.ask(Read("CarePlan", "sud"))
    assert "goal" not in orjson.loads(hidden.body)
    assert PART2_HEADER not in hidden.headers
    assert PART2_HEADER in seen.headers


def test_the_part_2_notice_goes_with_an_element_of_such_records(gateway):
    gateway.put(release(labels=SUBSTANCE))
    gateway.put(goal("g", "F11.20"), plan(goal=[ref("Goal/g")]))
    assert PART2_HEADER in gateway.ask(Read("CarePlan", "k")).headers


def test_a_notice_of_a_hidden_visit_is_withheld(gateway):
    gateway.put(encounter("hidden", "F11.20"), encounter("seen"))
    who = elm(channel="notification")
    assert (
        gateway.body(Notification("Encounter/seen", ADMIT, "IMP", False, "https://x", "note"), who)["type"]
        == "message"
    )
    for encounter_id in ("hidden", "never"):
        with pytest.raises(NotFound):
            gateway.ask(Notification(f"Encounter/{encounter_id}", ADMIT, "IMP", False, "https://x", "note"), who)


# -- the account ---------------------------------------------------------------------------------------------------


def test_the_ledger_tells_releases_that_held_part_2_records_from_others(gateway):
    """What 42 CFR 2.25 has listed is known long after the labels may have changed."""
    gateway.put(release(labels=SUBSTANCE))
    gateway.put(plan("k"), plan("sud", category=[concept("F11.20")]))
    for logical in ("k", "sud"):
        gateway.ask(Read("CarePlan", logical))
    with gateway.database.read() as connection:
        assert [one.part2 for one in disclosures(connection, "p")] == [False, True]


def test_what_was_released_outside_holds_until_the_policy_moves(gateway):
    gateway.put(release())
    gateway.put(plan())
    released = gateway.ask(Read("CarePlan", "k"))
    assert asyncio.run(released.still())
    gateway.put(plan("another"))
    assert asyncio.run(released.still())
    gateway.put(release(status="inactive"))
    assert not asyncio.run(released.still())
    assert gateway.ask(Read("CarePlan", "k"), elm(inside=frozenset({"*"}))).still is None


def test_what_was_released_ends_with_the_policy_of_those_in_it_and_with_no_other(gateway):
    """Another member's revocation breaks off nobody's answer, but where a place says that somebody was there."""
    gateway.put(release(), release(who="q"), plan(), plan("other", who="q"))
    gateway.put({"resourceType": "Organization", "id": "o", "name": "General"})
    gateway.put(encounter("made", serviceProvider=ref("Organization/o")))
    one = gateway.ask(Search("CarePlan", (("patient", "p"), ("_id", "k"))))
    both = gateway.ask(Search("CarePlan", ()))
    place = gateway.ask(Search("Encounter", (("_include", "Encounter:service-provider"),)))
    assert b'"Organization"' in place.body
    gateway.put(release(who="q", status="inactive"))
    assert [asyncio.run(each.still()) for each in (one, both, place)] == [True, False, False]
    gateway.put(release(status="inactive"))
    assert not asyncio.run(one.still())


def test_what_cannot_be_accounted_for_is_not_released(gateway, monkeypatch):
    gateway.put(release())
    gateway.put(plan())
    monkeypatch.setattr(Ledger, "append", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gateway.ask(Read("CarePlan", "k"))
    monkeypatch.undo()
    assert (gateway.accounted(), gateway.body(Read("CarePlan", "k"))["id"]) == (0, "k")


def test_what_is_released_is_accounted_for_and_what_is_not_is_not(gateway):
    gateway.put(plan())
    gateway.ask(Read("CarePlan", "k"))
    gateway.ask(Search("CarePlan", ()))
    assert gateway.accounted() == 2
    gateway.ask(Search("Goal", ()))
    with pytest.raises(NotFound):
        gateway.ask(Read("Goal", "g"))
    assert gateway.accounted() == 2
    with gateway.database.read() as connection:
        told = disclosures(connection, "p")
        assert list(verify(connection, KEYS.audit)) == []
    assert {one.consents for one in told} == {("Consent/roi-p/_history/1",)}
    assert all(one.recipient == "elm" and one.purpose == "TREAT" for one in told)


def test_a_policy_that_moves_between_decision_and_account_is_decided_anew(gateway, monkeypatch):
    """The revocation that commits in between wins: nothing is released under the old policy."""
    gateway.put(plan())
    select_, moved = gateway.share._select, []

    def overtaken(*asked):
        answer = select_(*asked)
        if not moved:
            moved.append(gateway.put(release(status="inactive")))
        return answer

    monkeypatch.setattr(gateway.share, "_select", overtaken)
    with pytest.raises(NotFound):
        gateway.ask(Read("CarePlan", "k"))
    assert gateway.accounted() == 0


def test_a_policy_that_never_rests_is_asked_again_later(gateway, monkeypatch):
    gateway.put(plan())
    select_, tries = gateway.share._select, []

    def overtaken(*asked):
        tries.append(select_(*asked))
        gateway.database.write_sync(policy.bump)
        return tries[-1]

    monkeypatch.setattr(gateway.share, "_select", overtaken)
    with pytest.raises(DependencyDown):
        gateway.ask(Read("CarePlan", "k"))
    assert len(tries) == ATTEMPTS


def test_a_release_ends_with_its_day(gateway):
    """No write ends it: the kept projection expires with the Consent (2026-12-31, the whole day)."""
    gateway.put(plan())
    gateway.now = START
    assert gateway.body(Read("CarePlan", "k"))["id"] == "k"
    gateway.now = 1_798_779_599_000_000  # 2026-12-31T23:59:59-05:00
    assert gateway.body(Read("CarePlan", "k"))["id"] == "k"
    gateway.now += 1_000_000
    with pytest.raises(NotFound):
        gateway.ask(Read("CarePlan", "k"))


def test_an_agreement_releases_what_no_member_did_and_is_named_in_the_account(gateway):
    """Required by law (§2.7 row 5): within its scope, of members only, from its first day on."""
    gateway.put(goal("g1"), goal("g2", "F11.20"))
    agreed = Agreement(
        "state audit", frozenset({"Organization/org-oak"}), frozenset({"HOPERAT"}), frozenset({"Goal"}), 0, 3,
        (datetime(2026, 6, 22, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)),
    )  # fmt: skip
    gateway.share = Share(
        gateway.database, Ledger("a", KEYS.audit), base=BASE, pages=PageSeal(KEYS.cursor, 900),
        consent=ConsentSettings(agreements=(agreed,)), clock=lambda: gateway.now,
    )  # fmt: skip
    oak = elm(client="oak", purpose="HOPERAT")
    assert gateway.body(Search("Goal", ()), oak)["total"] == 0
    gateway.now += 2 * 86_400_000_000
    assert [one["resource"]["id"] for one in gateway.body(Search("Goal", ()), oak)["entry"]] == ["g1"]
    assert gateway.body(Search("Goal", ()), elm(client="oak", purpose="TREAT"))["total"] == 0
    assert gateway.body(Search("CarePlan", ()), oak)["total"] == 0
    with gateway.database.read() as connection:
        [told] = [one for one in disclosures(connection, "p") if one.recipient == "oak"]
    assert told.consents == ("urn:fhirgw:agreement:state audit",)
    with pytest.raises(NotFound):
        gateway.ask(Read("Goal", "g2"), oak)
