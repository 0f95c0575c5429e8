"""A gateway with a mirror, and what tests of it ask."""

import itertools

import orjson
from composed_gateway import ALMA
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import select
from upstream_server import targets, without_meta

from fhirgw.asks import Read
from fhirgw.errors import NotFound
from fhirgw.ingest import register_organization
from fhirgw.mirror import Access, Mirror, Server
from fhirgw.store import clients, parties, repository
from fhirgw.store import mirror as store
from fhirgw.store.clients import Client
from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.schema import resource

NPI = "http://hl7.org/fhir/sid/us-npi"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
ELM = "1234567893"
UNKNOWN = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}


def mirrored(whole, upstream, *, inside=None, name="upstream"):
    """The mirror of a server that is registered for the Elm practice, or as the programme's own."""
    gateway, numbers = whole.gateway, itertools.count()
    key = ECKey.generate_key("P-384", private=True, auto_kid=True)
    jwks = orjson.dumps(KeySet([key]).as_dict(private=False)).decode()

    def unit(tx):
        if clients.find(tx.connection, name) is None:
            logical = register_organization(tx, gateway.keys.ids, NPI, ELM, "Elm Street Family Practice")
            clients.register(tx, Client(name, name, logical, jwks, ("system/*.rs",), ("TREAT",), inside))

    gateway.database.write_sync(unit)
    return Mirror(
        gateway.database,
        gateway.share,
        Server(upstream.base, Access("a-token")),
        client=name,
        new_id=lambda: f"mirror-{next(numbers)}",
        clock=lambda: whole.clock.now + 1_000_000,
    )


async def in_step(mirror):
    while await mirror.deliver_due():
        pass


async def allowed(whole, mirror):
    """What the server may have, asked for resource by resource."""
    found = {}
    for kind, logical in whole.everything():
        try:
            released = await whole.gateway.share.release(mirror.requester(), Read(kind, logical))
        except NotFound:
            continue
        found[f"{kind}/{logical}"] = without_meta(orjson.loads(released.body))
    return found


async def require_in_step(whole, mirror, upstream):
    """It has what it may have of every member, with what that refers to, and nothing else; how many that are."""
    may = await allowed(whole, mirror)
    about = {name for name in may if name.partition("/")[0] not in PATIENT_FREE}
    beside = {target for name in upstream.current for target in targets(upstream.current[name])}
    assert set(upstream.current) == about | {name for name in may if name in beside}
    brought = {name for name, standing in standings(whole).items() if standing == "derived"}
    outside = mirror.requester().inside is None
    for name, there in upstream.current.items():
        known = set(upstream.current) - (brought if outside and name in brought else set())
        assert without_meta(there) == cut(may[name], known), name
    with whole.gateway.database.read() as connection:
        assert store.waiting(connection, mirror.client) == 0
        assert store.stuck(connection, mirror.client) == []
    return len(upstream.current)


def standings(whole):
    with whole.gateway.database.read() as connection:
        found = connection.execute(select(resource.c.type, resource.c.id, resource.c.standing))
        return {f"{row.type}/{row.id}": row.standing for row in found}


def cut(element, there):
    """Without references to what is not there."""
    if isinstance(element, list):
        return [cut(one, there) for one in element]
    if not isinstance(element, dict):
        return element
    body = {name: cut(value, there) for name, value in element.items()}
    if any(target not in there for target in targets({"reference": body.get("reference")})):
        del body["reference"]
        return body or {"extension": [UNKNOWN]}
    return body


def change(whole, kind, logical, **elements):
    def unit(tx):
        stored = repository.current(tx.connection, kind, logical)
        repository.put(tx, {**stored.body, **elements})

    whole.gateway.database.write_sync(unit)


def add(whole, *resources):
    whole.gateway.database.write_sync(lambda tx: [repository.put(tx, one) for one in resources] and None)


def plain(whole, logical, value="E11.9", **more):
    """A condition of Alma's that hides nothing by itself."""
    coding = [{"system": ICD, "code": value}]
    subject = {"reference": f"Patient/{whole.patient(ALMA)}"}
    return {"resourceType": "Condition", "id": logical, "code": {"coding": coding}, "subject": subject, **more}


def state(whole, of):
    with whole.gateway.database.read() as connection:
        return of(connection, "upstream")


async def revoke(whole, mirror):
    """Alma revokes what she released to the practice."""
    with whole.gateway.database.read() as connection:
        tokens = parties.organization_tokens(connection, mirror.requester().organization)
    assert await whole.gateway.ingest.resources.revoke(whole.patient(ALMA), tokens, written=False)
