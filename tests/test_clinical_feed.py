"""What an ADT message says was found, done and observed is stored with the member, labelled by what it tells."""

import orjson
from composed_gateway import ALMA, message

from fhirgw.asks import Search
from fhirgw.consent.units import FREE_TEXT
from fhirgw.consent.vocabulary import BITS, HIGH, NORMAL
from fhirgw.store import repository

SEGMENTS = (
    "AL1|1|DA|7980^Penicillin G^RXNORM|MO",
    "AL1|2|DA|^Something unnamed",
    "PR1|1||HZ2ZZZZ^Detoxification^I10P||20260305",
    "PR1|2||93306^Echocardiography^C4||20260305",
    "PR1|3||DETOX^Detoxification^99ELM||20260305",
    "OBX|1|NM|29463-7^Body weight^LN||82|kg^^UCUM|||||F",
    "OBX|2|ST|8693-4^Mental status^LN||Says that he drinks||||||F",
)
CLINICAL = message("A01/member.hl7", ("DG1|1", "\r".join((*SEGMENTS, "DG1|1"))))


def stored(whole, kind: str) -> list[repository.Stored]:
    with whole.gateway.database.read() as connection:
        found = [repository.current(connection, *key) for key in whole.everything() if key[0] == kind]
    return [one for one in found if one is not None]


def coded(stored: repository.Stored) -> str:
    return stored.body["code"].get("coding", [{"code": "words"}])[0]["code"]


async def test_each_is_in_the_compartment_of_the_member(whole):
    before = set(whole.everything())
    await whole.take(CLINICAL)
    for kind, number in (("AllergyIntolerance", 2), ("Procedure", 3), ("Observation", 2)):
        told = [one for one in stored(whole, kind) if (kind, one.id) not in before]
        assert [one.patient for one in told] == [whole.patient(ALMA)] * number


async def test_a_procedure_is_labelled_by_its_code_and_a_senders_own_code_as_words(whole):
    await whole.take(CLINICAL)
    labels = {coded(one): (one.labels.labels, one.labels.conf) for one in stored(whole, "Procedure")}
    assert labels == {"HZ2ZZZZ": (BITS["SUD"], HIGH), "93306": (0, NORMAL), "DETOX": (FREE_TEXT, HIGH)}


async def test_an_allergy_in_words_and_an_observation_in_words_are_unreviewed(whole):
    await whole.take(CLINICAL)
    allergies = {coded(one): one.labels.labels for one in stored(whole, "AllergyIntolerance")}
    assert allergies == {"7980": 0, "words": FREE_TEXT}
    observed = {coded(one): one.labels.labels for one in stored(whole, "Observation")}
    assert observed["29463-7"] == 0
    assert observed["8693-4"] == FREE_TEXT


async def test_the_same_message_again_changes_nothing(whole):
    await whole.take(CLINICAL)
    before = whole.everything()
    await whole.take(CLINICAL)
    assert whole.everything() == before


async def test_the_digits_that_were_sent_are_told_in_the_answer(whole):
    """72.50 is no 72.5: a JSON number is read and written without them, their number is not (0144)."""
    weighed = SEGMENTS[5].replace("||82|", "||72.50|")
    await whole.take(message("A01/member.hl7", ("DG1|1", f"{weighed}\rDG1|1")))
    wanted = Search("Observation", (("patient", whole.patient(ALMA)), ("code", "29463-7")))
    for client in ("icm-system", "pcmh-elm"):
        released = await whole.gateway.share.release(whole.requester(client), wanted)
        (found,) = orjson.loads(released.body)["entry"]
        told = found["resource"]["valueQuantity"]
        assert (told["value"], told["_value"]["extension"][0]["valueInteger"]) == (72.5, 2)
