"""A decision can be made again from the ledger and the history, and whoever changed either is found (§2.8 h)."""

import dataclasses

import orjson
import pytest
from composed_gateway import ALMA, FENN, composed, message
from signed_hospital import Hospital
from sqlalchemy import delete, select, update

from fhirgw import audit
from fhirgw.alerts import ADMIT
from fhirgw.asks import History, Notification, Read, Search
from fhirgw.audit_event import Basis, Entry, audit_event, recorded
from fhirgw.consent.model import ConsentSettings
from fhirgw.demo import CLIENTS
from fhirgw.errors import InvalidElement, NotFound
from fhirgw.replay import replay
from fhirgw.store import policy, repository
from fhirgw.store.schema import history, ledger


@pytest.fixture
def whole(tmp_path):
    with composed(tmp_path) as gateway:
        gateway.clock.tick(seconds=1)
        yield gateway


def newest(whole, patient=None):
    """The name of the last entry about somebody."""
    with whole.gateway.database.read() as connection:
        about = ledger.c.patient == (patient or whole.patient(ALMA))
        row = connection.execute(select(ledger).where(about).order_by(ledger.c.seq.desc())).first()
    return f"{row.chain}/{row.number}"


def again(whole, name, settings=None):
    with whole.gateway.database.read() as connection:
        return replay(connection, audit.find(connection, name), settings or whole.gateway.share.consent)


def write(whole, *statements):
    def unit(tx):
        for statement in statements:
            assert tx.connection.execute(statement).rowcount > 0

    whole.gateway.database.write_sync(unit)


async def ask(whole, asked, client="pcmh-elm"):
    await whole.gateway.share.release(whole.requester(client), asked)
    return newest(whole)


def everything_moves(whole, alma):
    """What decided is another thing afterwards."""
    database = whole.gateway.database
    for one in whole.bodies("Consent"):
        database.write_sync(lambda tx, one=one: repository.put(tx, {**one, "status": "inactive"}))
    for one in whole.bodies("Condition"):
        database.write_sync(lambda tx, one=one: repository.delete(tx, "Condition", one["id"]))
    for one in whole.bodies("Organization"):
        database.write_sync(lambda tx, one=one: repository.put(tx, {**one, "identifier": [{"value": "another"}]}))
    database.write_sync(lambda tx: policy.enrol(tx, alma, "ct-bhp", "opted-out"))


ASKS = {
    "a read": lambda alma: Read("Patient", alma),
    "a search": lambda alma: Search("Condition", (("patient", alma), ("_include", "Condition:encounter"))),
    "a history": lambda alma: History("Patient", alma),
}


@pytest.mark.parametrize("name", ASKS)
async def test_what_was_decided_is_decided_again_whatever_has_happened_since(whole, name):
    alma = whole.patient(ALMA)
    entry = await ask(whole, ASKS[name](alma))
    with whole.gateway.database.read() as connection:
        assert audit.find(connection, entry).entry.resources
    assert again(whole, entry).differences == ()
    everything_moves(whole, alma)
    assert again(whole, entry).differences == ()
    assert again(whole, entry).since == ()


async def test_what_a_notification_told_is_decided_again(whole):
    """A push discloses, and its channel is part of what is decided."""
    before = {one["id"] for one in whole.bodies("Encounter")}
    await whole.take(message("A01/member.hl7"))
    [seen] = {one["id"] for one in whole.bodies("Encounter")} - before
    pushed = dataclasses.replace(whole.requester("pcmh-elm"), channel="notification", scopes=())
    await whole.gateway.share.release(
        pushed, Notification(f"Encounter/{seen}", ADMIT, "IMP", False, "https://elm.example.org", "note")
    )
    entry = newest(whole)
    with whole.gateway.database.read() as connection:
        said = audit.find(connection, entry).entry
    assert (said.basis.channel, f"Encounter/{seen}" in str(said.resources)) == ("notification", True)
    everything_moves(whole, whole.patient(ALMA))
    assert again(whole, entry).differences == ()


def provide(whole):
    """Anna, whose release names a network, and Elm, which is in it."""
    elm = {"reference": f"Organization/{whole.requester('pcmh-elm').organization}"}
    anna, network = {"reference": "Patient/anna"}, {"reference": "Organization/net"}
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    conf = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
    purpose = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}
    ircp = {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}
    provision = {
        "type": "permit", "period": {"start": "2026-01-01", "end": "2027-12-31"}, "purpose": [purpose],
        "securityLabel": [conf], "actor": [{"role": {"coding": [ircp]}, "reference": network}],
    }  # fmt: skip
    resources = [
        {"resourceType": "Patient", "id": "anna"},
        {"resourceType": "Organization", "id": "net"},
        {"resourceType": "OrganizationAffiliation", "id": "m", "participatingOrganization": elm,
         "network": [network],
         "code": [{"coding": [{"system": "http://hl7.org/fhir/organization-role", "code": "member"}]}]},
        {"resourceType": "Consent", "id": "c", "status": "active", "scope": {"coding": [scope]}, "patient": anna,
         "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}], "dateTime": "2026-01-01",
         "performer": [anna], "organization": [elm], "sourceReference": {"reference": "DocumentReference/d"},
         "provision": provision},
    ]  # fmt: skip

    def unit(tx):
        policy.enrol(tx, "anna", "ct-bhp", "active")
        for one in resources:
            repository.put(tx, one)

    whole.gateway.database.write_sync(unit)


async def test_a_network_is_as_it_was_and_an_affiliation_that_was_altered_is_noticed(whole):
    """A clinic that has left the network since was in it then; one that was never plainly in it was not."""
    provide(whole)
    await whole.gateway.share.release(whole.requester("pcmh-elm"), Read("Patient", "anna"))
    entry = newest(whole, "anna")
    whole.gateway.database.write_sync(lambda tx: repository.delete(tx, "OrganizationAffiliation", "m"))
    with pytest.raises(NotFound):
        await whole.gateway.share.release(whole.requester("pcmh-elm"), Read("Patient", "anna"))
    assert again(whole, entry).differences == ()
    mine = (history.c.type == "OrganizationAffiliation", history.c.version == 1)
    bare = {"resourceType": "OrganizationAffiliation", "id": "m"}
    write(whole, update(history).where(*mine).values(body=orjson.dumps(bare)))
    assert again(whole, entry).differences[-1] == "it would be released under nothing"


async def test_what_was_released_in_an_emergency_is_decided_again(whole, tmp_path):
    hospital = Hospital(whole, tmp_path)
    headers = await hospital.bearer("|".join(ALMA))
    assert (await hospital.ask("GET", "/fhir/Condition", headers)).status_code == 200
    entry = newest(whole)
    everything_moves(whole, whole.patient(ALMA))
    assert again(whole, entry).differences == ()


async def test_what_the_law_had_disclosed_is_decided_again_by_the_agreements_of_then(tmp_path):
    """Of members who released nothing; without the agreement's file nothing would be, and that is told."""
    file = tmp_path / "agreements.toml"
    system, value = next(one.organization for one in CLIENTS if one.id == "pcmh-elm")
    file.write_text(
        f"""[[agreement]]
        name = "state audit"
        recipient.identifiers = [{{system = "{system}", value = "{value}"}}]
        purposes = ["HOPERAT"]
        classes = ["Patient"]
        securityLabels = ["N"]
        period = {{start = "2026-01-01", end = "2027-12-31"}}
        """,
        "utf-8",
    )
    with composed(tmp_path, agreements_file=file) as whole:
        whole.clock.tick(seconds=1)
        asking = whole.requester("pcmh-elm", "HOPERAT")
        await whole.gateway.share.release(asking, Read("Patient", whole.patient(ALMA)))
        entry = newest(whole)
        with whole.gateway.database.read() as connection:
            said = audit.find(connection, entry).entry
        assert said.consents == ("urn:fhirgw:agreement:state audit",)
        everything_moves(whole, whole.patient(ALMA))
        assert again(whole, entry).differences == ()
        without = again(whole, entry, ConsentSettings())
        assert without.since == ("settings",)
        assert without.differences[-1] == "it would be released under nothing"


async def test_what_was_said_under_a_joined_record_is_decided_again_after_the_two_were_parted(whole):
    """A refusal of the other record counts while they are joined; the ledger says that they were."""
    alma, fenn = whole.patient(ALMA), whole.patient(FENN)
    persons, oak = whole.gateway.ingest.persons, whole.requester("pcmh-oak").organization
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    provision = {"type": "deny", "actor": [{"reference": {"reference": f"Organization/{oak}"}}]}
    refusal = {"resourceType": "Consent", "id": "never", "status": "active", "scope": {"coding": [scope]},
               "patient": {"reference": f"Patient/{fenn}"}, "provision": provision}  # fmt: skip
    whole.gateway.database.write_sync(lambda tx: repository.put(tx, refusal))
    apart = await ask(whole, Read("Patient", alma))
    await persons.merge(alma, fenn)
    whole.clock.tick(seconds=1)
    joined = await ask(whole, Read("Patient", alma))
    with whole.gateway.database.read() as connection:
        read = {name: audit.find(connection, name).entry.basis.others for name in (apart, joined)}
    assert read == {apart: (), joined: (fenn,)}
    whole.clock.tick(seconds=1)
    await persons.unmerge(alma, fenn)
    everything_moves(whole, alma)
    assert again(whole, apart).differences == again(whole, joined).differences == ()
    write(whole, delete(history).where(history.c.type == "Consent", history.c.id == "never"))
    assert again(whole, joined).differences == ("Consent/never/_history/1 was read, and is not in the history",)
    assert again(whole, apart).differences == ()


async def test_a_consent_that_was_altered_or_taken_away_is_found(whole):
    alma = whole.patient(ALMA)
    entry = await ask(whole, Read("Patient", alma))
    with whole.gateway.database.read() as connection:
        said = audit.find(connection, entry).entry
    [under] = said.consents
    logical = under.split("/")[1]
    mine = (history.c.type == "Consent", history.c.id == logical)
    with whole.gateway.database.read() as connection:
        body = orjson.loads(connection.scalar(select(history.c.body).where(*mine)))
    write(whole, update(history).where(*mine).values(body=orjson.dumps({**body, "language": "en"})))
    assert again(whole, entry).differences == (f"{under} was changed",)
    write(whole, delete(history).where(*mine))
    assert set(again(whole, entry).differences) == {
        f"{under} was read, and is not in the history",
        f"{said.resources[0]} would not be released",
        "it would be released under nothing",
    }


async def test_a_record_that_was_altered_is_found_where_it_would_not_be_released(whole):
    """What a version says now carries what the release does not cover."""
    alma = whole.patient(ALMA)
    entry = await ask(whole, Search("Condition", (("patient", alma),)))
    with whole.gateway.database.read() as connection:
        [first, *_] = audit.find(connection, entry).entry.resources
    kind, logical = first.split("/")[:2]
    mine = (history.c.type == kind, history.c.id == logical)
    coded = {"resourceType": kind, "id": logical, "subject": {"reference": f"Patient/{alma}"}, "code": {
        "coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "B20"}]}}  # fmt: skip
    write(whole, update(history).where(*mine).values(body=orjson.dumps(coded)))
    assert f"{first} would not be released" in again(whole, entry).differences


async def test_an_entry_that_was_altered_is_found(whole):
    entry = await ask(whole, Read("Patient", whole.patient(ALMA)))
    chain, _, number = entry.partition("/")
    mine = (ledger.c.chain == chain, ledger.c.number == int(number))
    write(whole, update(ledger).where(*mine).values(purpose="HPAYMT"))
    assert again(whole, entry).differences == ("the entry was changed",)


async def test_what_of_the_gateway_is_another_thing_today_is_told(whole):
    entry = await ask(whole, Read("Patient", whole.patient(ALMA)))
    assert again(whole, entry, ConsentSettings(zone="America/New_York")).since == ("settings",)


async def test_where_consent_decided_nothing_there_is_nothing_to_decide_again(whole):
    entry = await ask(whole, Read("Patient", whole.patient(ALMA)), "icm-system")
    with pytest.raises(InvalidElement):
        again(whole, entry)
    for name in ("nobody/1", "x", f"{entry}0"):
        with pytest.raises(InvalidElement):
            again(whole, name)


ENTRY = Entry("p", "elm", "Organization/o", "TREAT", True, "read", ("Goal/g/_history/a",),
              ("Consent/c/_history/1",), "r", part2=("Goal/g/_history/a",), basis=Basis(
                  1_790_000_000_000_001, "api", ("covered-entity",), ("active", "finished"), ("q",),
                  (("Consent/c/_history/1", "00ff"), ("Consent/d/_history/2", "11")), "s", "l"))  # fmt: skip
CLAIM = {"id": "i", "person": "Dr. Ada Moss", "npi": "1234567893", "role": "207P00000X", "affiliation": "Elm",
         "reason": "unconscious", "since": "2026-06-15T12:00:00.000Z"}  # fmt: skip


@pytest.mark.parametrize("changes", [
    {}, {"emergency": CLAIM}, {"basis": None}, {"disclosure": False}, {"part2": (), "resources": ()},
    {"consents": ("Consent/c/_history/1", "urn:fhirgw:agreement:audit")}, {"organization": None},
])  # fmt: skip
def test_an_entry_is_read_back_as_it_was_written(changes):
    entry = dataclasses.replace(ENTRY, **changes)
    event = orjson.loads(orjson.dumps(audit_event(entry, 1_790_000_000_000_000, "urn:x")))
    assert recorded(event, "p") == entry
