"""``CarePlan/$document`` through the whole gateway: what a practice may see, what the member takes home."""

import orjson
import pytest
from composed_gateway import ALMA, composed

from fhirgw.asks import Read, Search
from fhirgw.document import Document, Presentation
from fhirgw.errors import NotFound
from fhirgw.profiles.validation import require_valid
from fhirgw.r4 import validate

SUD_GOAL = "I am staying sober one day at a time, with my home group."
HOME = "I have a safe place of my own to live in."


@pytest.fixture
def whole(tmp_path):
    with composed(tmp_path) as gateway:
        gateway.clock.tick(seconds=60)
        yield gateway


async def released(whole, client, **how):
    (plan,) = [one for one in whole.bodies("CarePlan") if "partOf" not in one and of(whole, one)]
    return await whole.gateway.share.release(whole.requester(client), Document(plan["id"], **how))


def of(whole, plan):
    return plan["subject"]["reference"] == f"Patient/{whole.patient(ALMA)}"


async def bundle(whole, client, **how):
    return orjson.loads((await released(whole, client, **how)).body)


def texts(document):
    return orjson.dumps(document).decode()


async def test_a_document_is_a_valid_bundle_that_holds_all_it_refers_to(whole):
    document = await bundle(whole, "icm-system")
    require_valid(document)
    validate(document)
    urls = {one["fullUrl"] for one in document["entry"]}
    composition = document["entry"][0]["resource"]
    assert composition["resourceType"] == "Composition"
    base = document["entry"][0]["fullUrl"].partition("/Composition/")[0]
    named = [one["reference"] for section in composition["section"] for one in section.get("entry", ())]
    named += [composition["subject"]["reference"], composition["custodian"]["reference"]]
    named += [one["reference"] for event in composition["event"] for one in event["detail"]]
    assert {f"{base}/{one}" for one in named} <= urls
    assert len(urls) == len(document["entry"])


async def test_every_resource_of_it_is_as_a_read_shows_it(whole):
    for client in ("icm-system", "pcmh-elm"):
        document = await bundle(whole, client)
        for entry in document["entry"][1:]:
            one = entry["resource"]
            read = await whole.gateway.share.release(whole.requester(client), Read(one["resourceType"], one["id"]))
            assert orjson.loads(read.body) == one


async def test_what_a_release_does_not_name_is_in_no_form_of_it(whole):
    assert SUD_GOAL in texts(await bundle(whole, "icm-system"))
    for form in Presentation:
        released_ = await released(whole, "pcmh-elm", presentation=form)
        assert released_.media_type == form
        assert b"sober" not in released_.body
        assert "X-42CFR-Part-2" not in released_.headers
    assert HOME in texts(await bundle(whole, "pcmh-elm"))


async def test_without_a_release_there_is_no_document(whole):
    with pytest.raises(NotFound):
        await released(whole, "pcmh-oak")


async def test_the_member_reads_what_was_shared_and_the_practice_does_not(whole):
    await whole.gateway.share.release(whole.requester("pcmh-elm"), Search("Goal", ()))
    told = (await released(whole, "icm-system", presentation=Presentation.HTML)).body.decode()
    assert "What was shared, and with whom" in told
    assert "saw goals" in told
    assert (
        "What was shared" not in (await released(whole, "pcmh-elm", presentation=Presentation.HTML)).body.decode()
    )


async def test_it_is_accounted_for_like_the_reads_that_it_is(whole):
    await released(whole, "pcmh-elm", presentation=Presentation.PDF)
    told = (await released(whole, "icm-system", presentation=Presentation.HTML)).body.decode()
    assert "name and contact details" in told
    assert "the care plan" in told


async def test_spanish_says_the_frame_and_keeps_the_members_words(whole):
    told = (await released(whole, "icm-system", presentation=Presentation.HTML, language="es")).body.decode()
    assert '<html lang="es">' in told
    assert HOME in told
    assert "Hasta el 31 de diciembre de 2025" in told
    assert "una vez por semana" in told
    assert "988" in told


async def test_the_same_plan_gives_the_same_pages(whole):
    for form in (Presentation.HTML, Presentation.PDF):
        first = await released(whole, "pcmh-elm", presentation=form)
        again = await released(whole, "pcmh-elm", presentation=form)
        assert first.body == again.body
    assert first.body.startswith(b"%PDF-")


async def test_large_print_is_larger_in_both_forms(whole):
    for form in (Presentation.HTML, Presentation.PDF):
        usual = await released(whole, "icm-system", presentation=form)
        large = await released(whole, "icm-system", presentation=form, large=True)
        assert usual.body != large.body
    assert b"1.7rem" in (await released(whole, "icm-system", presentation=Presentation.HTML, large=True)).body
