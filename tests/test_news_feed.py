"""What a person is folded from is kept beside what was folded: it changes no byte, and stands in nobody's way."""

import itertools
from collections import OrderedDict

import orjson
from composed_gateway import ALMA, composed, message
from sqlalchemy import func, select
from told_record import TOLD

from fhirgw.mappers.visit import fold_visit
from fhirgw.store import visits
from fhirgw.store.schema import folded_from, history, resource

UPDATED = TOLD.replace(b"ADT^A01^ADT_A01", b"ADT^A08^ADT_A01").replace(b"EVN|A01", b"EVN|A08")
AGAIN = UPDATED.replace(b"ELM-000101", b"ELM-000901").replace(b"20260305143000", b"20260305153000")
MARRIED = AGAIN.replace(b"TESTPERSON^BEA", b"TESTPERSON^DORA").replace(b"ELM-000901", b"ELM-000902")
LEFT = message("A03/member.hl7")
OF_THE_RECORD = ("RelatedPerson", "Coverage", "Account", "CareTeam", "Patient")


def versions(whole, *kinds):
    with whole.gateway.database.read() as connection:
        return connection.scalar(select(func.count()).select_from(history).where(history.c.type.in_(kinds)))


def scopes(whole):
    with whole.gateway.database.read() as connection:
        return [*connection.scalars(select(folded_from.c.scope))]


async def test_folding_always_anew_gives_the_same_bytes_and_versions(tmp_path):
    for number, order in enumerate(itertools.permutations([TOLD, AGAIN, MARRIED, LEFT], 4)):
        stores = []
        for anew in (False, True):
            with composed(tmp_path / f"{number}-{anew}") as whole:
                for raw in order:
                    await whole.take(raw)
                    if anew:
                        known = scopes(whole)
                        await whole.gateway.database.write(lambda tx, known=known: visits.fold_anew(tx, known))
                stores.append((whole.everything(), versions(whole, *OF_THE_RECORD)))
        assert stores[0] == stores[1]


async def test_what_is_stored_of_a_visit_is_what_its_kept_facts_make_to_the_byte(tmp_path, monkeypatch):
    with composed(tmp_path) as whole:
        await whole.take(TOLD)
        alma, keys = whole.patient(ALMA), whole.gateway.keys
        monkeypatch.setattr(visits, "_READ", OrderedDict())  # as after a restart
        with whole.gateway.database.read() as connection:
            told = visits.of_people(connection, [alma])
            stored = {row.id: row.body for row in connection.execute(select(resource.c.id, resource.c.body))}
        (number,) = {one.visit for one in told}
        made = fold_visit([one.event for one in told], alma, keys.ids, visits.key(number))
        assert {one["id"]: orjson.dumps(one) for one in made}.items() <= stored.items()


async def test_a_message_that_says_nothing_new_writes_nothing_of_the_person(tmp_path):
    with composed(tmp_path) as whole:
        await whole.take(TOLD)
        before = versions(whole, *OF_THE_RECORD)
        await whole.take(AGAIN)
        assert versions(whole, *OF_THE_RECORD) == before
        await whole.take(MARRIED)
        assert versions(whole, *OF_THE_RECORD) > before


async def test_what_was_written_over_is_what_the_hospital_says_again_with_its_next_message(tmp_path):
    with composed(tmp_path) as whole:
        await whole.take(TOLD)
        told = whole.bodies("Account")
        icm = whole.requester("icm-system")
        for one in told:
            changed = {**one, "status": "on-hold"}
            await whole.gateway.ingest.resources.write(icm, changed, id=one["id"], if_match=None)
        assert {one["status"] for one in whole.bodies("Account")} == {"on-hold"}
        await whole.take(AGAIN)
        assert whole.bodies("Account") == told


async def test_a_replay_folds_with_the_maps_of_now(tmp_path):
    with composed(tmp_path) as whole:
        await whole.take(TOLD)
        (scope,) = scopes(whole)
        (row,) = whole.rows()
        await whole.gateway.database.write(lambda tx: visits.note_folded(tx, scope, b"of older maps"))
        await whole.gateway.ingest.messages.replay(row.id)
        with whole.gateway.database.read() as connection:
            assert not visits.is_folded_from(connection, scope, b"of older maps")
            assert scope == visits.scope_of(whole.patient(ALMA), "elm-hospital")
