"""Who is who through the real store: merges and links, made and taken back, and what contradicts itself."""

import pytest
from composed_gateway import ALMA, FENN
from person_messages import MRN, OLD, TWO, adt, body, home, mrg, pv1, second, visit_of
from sqlalchemy import select

from fhirgw.store import identity, visits
from fhirgw.store.schema import ledger
from fhirgw.store.visits import of_visit


async def test_what_came_under_an_earlier_number_is_the_members_after_the_merge(whole):
    await whole.take(adt("A01", 1, pv1("V-1"), person=OLD))
    assert visit_of(whole, "V-1") is None
    await whole.take(adt("A40", 3, mrg(OLD)))
    assert visit_of(whole, "V-1")["subject"] == {"reference": f"Patient/{whole.patient(ALMA)}"}
    assert "link" not in body(whole, "Patient", whole.patient(ALMA))


async def test_a_stranger_is_known_from_the_message_on_that_says_who_it_is(whole):
    """Messages of one person that are taken together: whoever was nobody in two of them is Alma in the third."""
    zoe = {"person": OLD, "name": "STRANGER^ZOE"}
    alma = mrg("CT-TEST-0001^^^CTMEDICAID^MA")
    visit = pv1("V-1")
    before = [adt("A01", 1, visit, **zoe), adt("A08", 2, visit, **zoe)]
    await whole.take(*before, adt("A40", 3, alma, **zoe), adt("A03", 4, visit, **zoe))
    assert {row.state for row in whole.rows()} == {"processed"}
    assert visit_of(whole, "V-1")["subject"] == {"reference": f"Patient/{whole.patient(ALMA)}"}
    assert visit_of(whole, "V-1")["status"] == "finished"


async def test_of_a_stranger_nothing_is_left_when_the_link_is_taken_back(whole):
    before = whole.everything()
    second_pid = f"PID|2||{OLD}||TESTPERSON^ALMA"
    await whole.take(adt("A24", 2, second_pid), adt("A01", 1, pv1("V-1"), person=OLD))
    assert visit_of(whole, "V-1")
    await whole.take(adt("A37", 3, second_pid))
    assert visit_of(whole, "V-1") is None
    assert {key[0] for key in whole.everything().keys() - before.keys()} <= {"Organization", "Location", "Task"}
    with whole.gateway.database.read() as connection:
        assert not identity.find(connection, [home("MRN-0777")])


async def test_two_members_that_are_merged_are_linked_and_parted_again(whole):
    two, alma = await second(whole), whole.patient(ALMA)
    await whole.take(adt("A01", 1, pv1("V-1"), person=TWO), adt("A40", 2, mrg("MRN-2002^^^ELMHOSP^MR")))
    merged, survivor = body(whole, "Patient", two), body(whole, "Patient", alma)
    assert merged["active"] is False
    assert merged["link"] == [{"other": {"reference": f"Patient/{alma}"}, "type": "replaced-by"}]
    assert survivor["link"] == [{"other": {"reference": f"Patient/{two}"}, "type": "replaces"}]
    assert visit_of(whole, "V-1")["subject"] == {"reference": f"Patient/{alma}"}
    await whole.gateway.ingest.persons.unmerge(alma, two)
    assert visit_of(whole, "V-1")["subject"] == {"reference": f"Patient/{two}"}
    assert "link" not in body(whole, "Patient", alma)
    assert body(whole, "Patient", two).get("active") is not False


async def test_a_person_can_merge_and_take_it_back(whole):
    fenn, alma = whole.patient(FENN), whole.patient(ALMA)
    before = whole.everything()
    await whole.gateway.ingest.persons.merge(alma, fenn)
    assert whole.patient(FENN) == alma
    await whole.gateway.ingest.persons.unmerge(alma, fenn)
    assert whole.patient(FENN) == fenn
    assert {k: v for k, v in whole.everything().items() if k[0] == "Patient"} == {
        k: v for k, v in before.items() if k[0] == "Patient"
    }
    await whole.gateway.ingest.persons.link(alma, fenn)
    assert body(whole, "Patient", alma)["link"][0]["type"] == "seealso"
    assert whole.patient(FENN) == fenn


async def test_what_a_person_says_and_its_account_are_one_unit_of_work(whole, monkeypatch):
    fenn, alma = whole.patient(FENN), whole.patient(ALMA)

    def accounted():
        with whole.gateway.database.read() as connection:
            found = connection.execute(select(ledger.c.patient).where(ledger.c.patient.in_([alma, fenn])))
            return sorted(found.scalars())

    with monkeypatch.context() as patch:
        patch.setattr(whole.gateway.ledger, "append", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await whole.gateway.ingest.persons.merge(alma, fenn)
    assert (whole.patient(FENN), accounted()) == (fenn, [])
    await whole.gateway.ingest.persons.merge(alma, fenn)
    assert whole.patient(FENN) == alma
    assert accounted() == sorted([alma, fenn])


# --- what contradicts itself --------------------------------------------------------------------------------------


async def test_a_visit_of_two_people_is_parked_until_a_move_explains_it(whole):
    await second(whole)
    late = adt("A03", 5, pv1("V-1"))
    await whole.take(adt("A01", 1, pv1("V-1"), person=TWO), late)
    assert [(row.state, row.error_location) for row in whole.rows()][1] == ("parked", "PV1-19")
    move = adt("A45", 3, mrg("MRN-2002^^^ELMHOSP^MR", visit="V-1^^^ELMHOSP^VN"), pv1("V-1"))
    await whole.take(move)
    assert {row.state for row in whole.rows()} == {"processed"}
    assert visit_of(whole, "V-1")["status"] == "finished"


async def test_a_replay_that_reads_another_visit_number_folds_the_old_visit_too(whole):
    """The sender's registration was corrected: its visit numbers have an authority of their own."""
    senders = whole.gateway.settings.data_dir / "senders.toml"
    text = senders.read_text("utf-8")
    await whole.take(adt("A01", 1, pv1("V-1")), adt("A01", 2, pv1("V-2")))
    count = len(whole.stored("Encounter"))
    old = visit_of(whole, "V-1")
    senders.write_text(
        text.replace(
            "[senders.elm-hospital.authorities]", '[senders.elm-hospital.authorities]\n"X" = "urn:x"'
        ).replace('"http://fhirgw.org/fhir/sid/elm-hospital-mrn"', '"http://fhirgw.org/fhir/sid/elm-hospital-new"'),
        "utf-8",
    )
    for row in whole.rows():
        assert await whole.gateway.ingest.messages.process(whole.row(row.id)) == "processed"
    assert len(whole.stored("Encounter")) == count
    assert visit_of(whole, "V-1")["id"] != old["id"]
    with whole.gateway.database.read() as connection:
        assert of_visit(connection, visits.text((MRN, "V-1"))) == []
