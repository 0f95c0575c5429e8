"""``Patient/$match``: graded candidates, of those whom the asker may see, by what the asker may see of them."""

import asyncio

import orjson
import pytest
from composed_gateway import ALMA, FIXTURES, MEDICAID, case, composed
from typer.testing import CliRunner

from fhirgw.api.operations import match_asked
from fhirgw.audit import disclosures
from fhirgw.cli import app
from fhirgw.errors import InvalidElement
from fhirgw.lookup import MATCH_GRADE, Match
from fhirgw.store import identity, repository
from fhirgw.store.database import Database

NAME = [{"family": "Testperson", "given": ["Alma"]}]
SEEN = {"resourceType": "Patient", "name": NAME, "birthDate": "1984-03-02", "gender": "female"}
PLACE = [{"line": ["1 Example St"], "postalCode": "06101"}]
PHONE = [{"system": "phone", "value": "(860) 555-0101"}]
KNOWN = SEEN | {"address": PLACE, "telecom": PHONE}
MEMBER = {"resourceType": "Patient", "identifier": [{"system": MEDICAID, "value": ALMA[1]}]}


async def match(whole, client, patient, **how):
    released = await whole.gateway.share.release(whole.requester(client), Match(patient, **how))
    return orjson.loads(released.body)


def graded(bundle):
    return [
        (one["resource"]["id"], one["search"]["extension"][0]["valueCode"], one["search"]["score"])
        for one in bundle.get("entry", ())
    ]


async def test_inside_a_person_is_found_by_traits_and_is_certain_by_identifier(whole):
    alma = whole.patient(ALMA)
    [(found, grade, score)] = graded(await match(whole, "icm-system", KNOWN))
    assert (found, grade) == (alma, "probable")
    assert 0.95 <= score < 1
    assert graded(await match(whole, "icm-system", MEMBER)) == [(alma, "certain", 1)]
    assert graded(await match(whole, "icm-system", SEEN | {"birthDate": "2001-09-09", "name": []})) == []


async def test_only_a_certain_match_comes_where_only_that_is_asked_for(whole):
    assert graded(await match(whole, "icm-system", KNOWN, only_certain=True)) == []
    assert len(graded(await match(whole, "icm-system", MEMBER, only_certain=True))) == 1


async def test_count_cuts_the_answer_and_not_the_total(whole):
    def unit(tx):
        for at in range(3):
            repository.put(tx, KNOWN | {"id": f"again{at}"})

    whole.gateway.database.write_sync(unit)
    bundle = await match(whole, "icm-system", KNOWN, count=2)
    assert (bundle["type"], bundle["total"], len(bundle["entry"])) == ("searchset", 4, 2)
    assert bundle["entry"][0]["search"]["extension"][0]["url"] == MATCH_GRADE
    assert {one["search"]["mode"] for one in bundle["entry"]} == {"match"}


async def test_outside_a_match_is_as_a_read_shows_it_and_is_accounted_for(whole):
    bundle = await match(whole, "pcmh-elm", KNOWN)
    [(found, _, _)] = graded(bundle)
    assert found == whole.patient(ALMA)
    with whole.gateway.database.read() as connection:
        [told] = disclosures(connection, found)
    assert (told.recipient, len(told.resources)) == ("pcmh-elm", 1)


async def test_somebody_whom_no_consent_shows_is_not_there(whole):
    nobody = SEEN | {"name": [{"family": "Nemo"}], "birthDate": "1901-02-03"}
    hidden, absent = await match(whole, "pcmh-oak", KNOWN), await match(whole, "pcmh-oak", nobody)
    assert hidden == absent == {"resourceType": "Bundle", "type": "searchset", "total": 0}


async def test_what_is_hidden_neither_finds_nor_scores(tmp_path):
    """The twin law: a store with a hidden address, name and identifier answers as one without (leak 43)."""
    sud = {"url": "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"}
    code = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}
    inline = {"extension": [{**sud, "valueCoding": code}]}
    hidden = {
        "name": [{"family": "Harborside", "given": ["Zoe"], **inline}],
        "address": [{"line": ["9 Quiet Rd"], "postalCode": "06999", **inline}],
        "telecom": [{"system": "phone", "value": "860-555-7654", **inline}],
        "identifier": [{"system": "http://example.org/clinic", "value": "C9", **inline}],
    }
    asked = [
        KNOWN,
        KNOWN | {"address": [{"line": ["9 Quiet Rd"], "postalCode": "06999"}]},
        {"resourceType": "Patient", "identifier": [{"system": "http://example.org/clinic", "value": "C9"}]},
        {"resourceType": "Patient", "telecom": [{"value": "860-555-7654"}]},
        SEEN | {"name": [{"family": "Harborside", "given": ["Zoe"]}], "telecom": [{"value": "860-555-7654"}]},
    ]

    async def answers(folder, extra):
        with composed(folder) as whole:
            alma = whole.patient(ALMA)

            def unit(tx):
                body = repository.current(tx.connection, "Patient", alma).body
                more = {name: [*body.get(name, ()), *values] for name, values in extra.items()}
                repository.put(tx, body | more)

            whole.gateway.database.write_sync(unit)
            inside = [graded(await match(whole, "icm-system", one)) for one in asked]
            return inside, [await match(whole, "pcmh-elm", one) for one in asked]

    inside, outside = await answers(tmp_path / "whole", hidden)
    plain_inside, plain_outside = await answers(tmp_path / "twin", {})
    assert outside == plain_outside
    assert inside != plain_inside
    assert [bool(one.get("entry")) for one in outside][:1] == [True]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"parameter": "x"},
        {"parameter": [{"name": "resource", "resource": {"resourceType": "Goal"}}]},
        {"parameter": [{"name": "resource", "resource": {"resourceType": "Patient"}}] * 2},
        {"parameter": [{"name": "resource", "resource": {"resourceType": "Patient"}}, {"name": "odd"}]},
        {
            "parameter": [
                {"name": "resource", "resource": {"resourceType": "Patient"}},
                {"name": "count", "valueInteger": 0},
            ]
        },
        {
            "parameter": [
                {"name": "resource", "resource": {"resourceType": "Patient"}},
                {"name": "count", "valueString": "x"},
            ]
        },
        {
            "parameter": [
                {"name": "resource", "resource": {"resourceType": "Patient"}},
                {"name": "onlyCertainMatches", "valueBoolean": "yes"},
            ]
        },
    ],
)
def test_parameters_that_are_no_question_are_refused(parameters):
    with pytest.raises(InvalidElement):
        match_asked(parameters)


def test_a_patient_that_is_none_is_refused_before_anybody_is_looked_up():
    wrong = {"name": "resource", "resource": {"resourceType": "Patient", "birthDate": "yesterday"}}
    with pytest.raises(ExceptionGroup):
        match_asked({"parameter": [wrong]})


def test_a_question_is_read():
    asked = [{"name": "resource", "resource": MEMBER}, {"name": "onlyCertainMatches", "valueBoolean": True}]
    assert match_asked({"parameter": [*asked, {"name": "count", "valueInteger": 3}]}) == Match(MEMBER, True, 3)


# --- the commands -------------------------------------------------------------------------------------------------


def command(data, *words):
    done = CliRunner().invoke(app, ["match", *words], env={"FHIRGW_DATA_DIR": str(data)})
    return done.exit_code, [orjson.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_an_operator_sees_a_review_confirms_it_and_merges_and_parts_two_people(tmp_path):
    raw = (FIXTURES / "v2/A01/member.hl7").read_bytes()
    raw = raw.replace(b"MRN-1001^^^ELMHOSP^MR~CT-TEST-0001^^^CTMEDICAID^MA", b"MRN-7777^^^ELMHOSP^MR")

    def sister(body):
        body["key"] = "ct-bhp:OTHER"
        body["member"]["identifiers"] = [{"system": "http://example.org/sid", "value": "OTHER"}]
        body["member"]["name"]["given"] = ["Zoe"]

    with composed(tmp_path) as whole:
        asyncio.run(whole.gateway.ingest.cases.store(case("ct-bhp.json", sister)))
        asyncio.run(whole.take(raw))
        alma, data = whole.patient(ALMA), whole.gateway.settings.data_dir
    status, [listed], _ = command(data, "list")
    assert (status, listed["state"], listed["candidates"][0]["patient"]) == (0, "open", alma)
    assert "Testperson" not in str(listed)
    status, [shown], _ = command(data, "show", str(listed["review"]))
    assert (status, shown["person"]["birthDate"], shown["candidates"][0]["person"]["birthDate"]) == (
        0,
        "1984-03-02",
        "1984-03-02",
    )
    assert shown["candidates"][0]["alike"]["birth"] == "exact"
    status, [done], _ = command(data, "confirm", str(listed["review"]), f"{MEDICAID}|{ALMA[1]}")
    assert (status, [one["state"] for one in done["messages"]]) == (0, ["processed"])
    assert command(data, "list")[1] == []
    assert command(data, "reject", str(listed["review"]))[0] == 1
    other = "http://example.org/sid|OTHER"
    assert command(data, "merge", alma, other)[0] == 0
    assert command(data, "unmerge", alma, alma)[0] == 1
    database = Database(f"sqlite:///{data}/fhirgw.db")
    with database.read() as connection:
        assert identity.find(connection, [("http://example.org/sid", "OTHER")]) == {alma}
    database.close()
