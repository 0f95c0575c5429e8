"""The whole gateway composed in the test's own process: real store, real keys, a clock that the test moves."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import orjson
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import select

from fhirgw import app, configuration
from fhirgw.admission import Peer
from fhirgw.asks import Requester, Search
from fhirgw.demo import CASES, CLIENTS, SENDERS
from fhirgw.icm.statements import read_case, statement
from fhirgw.ingest import register_organization
from fhirgw.settings import Settings
from fhirgw.store import clients, identity, journal
from fhirgw.store.clients import Client
from fhirgw.store.database import migrate
from fhirgw.store.schema import resource
from fhirgw.v2.codec import parse

FIXTURES = Path(__file__).parent.parent / "fixtures"
PEER = Peer("test", "127.0.0.1")
configuration.LOOK_SECONDS = 0.0  # a test that changes the senders file has it looked at
START = 1_790_000_000_000_000
MEDICAID = "http://fhirgw.org/fhir/sid/ct-medicaid"
ALMA = (MEDICAID, "CT-TEST-0001")
FENN = (MEDICAID, "CT-TEST-0006")


class Clock:
    """Microseconds that stand still until they are moved."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def tick(self, *, seconds=0, days=0):
        self.now += (seconds + days * 86_400) * 1_000_000


def message(name, *changes, control=None):
    """A fixture's bytes, with texts replaced; each must be there."""
    raw = (FIXTURES / "v2" / name).read_bytes()
    if control is not None:
        changes = (*changes, (parse(raw).header.get(10), control))
    for old, new in changes:
        assert old.encode() in raw, old
        raw = raw.replace(old.encode(), new.encode())
    return raw


def case(name, change: Callable[[dict], None] = lambda _: None):
    """A fixture's case, changed."""
    body = orjson.loads((FIXTURES / "icm" / name).read_bytes())
    change(body)
    return read_case(orjson.dumps(body))


class Composed:
    """A gateway, and what its tests ask of it."""

    def __init__(self, gateway: app.Gateway, clock: Clock):
        self.gateway = gateway
        self.clock = clock

    async def receive(self, raw, **how):
        """The answer's bytes; None when there is none."""
        received = await self.gateway.intake.receive(raw, "mllp", PEER, **how)
        return received.answer.body if received.answer else None

    async def process(self):
        while await self.gateway.ingest.messages.process_due():
            pass

    async def take(self, *messages):
        """Receive messages that must be taken, and process them."""
        for raw in messages:
            assert msa(await self.receive(raw))[0] in ("AA", "CA")
        await self.process()

    def rows(self, **which):
        """Journal rows, oldest first."""
        with self.gateway.database.read() as connection:
            return journal.list_(connection, limit=1000, **which)[::-1]

    def row(self, key):
        with self.gateway.database.read() as connection:
            return journal.get(connection, key)

    def stored(self, kind):
        """Current resources of a type by id: their bytes and source labels."""
        with self.gateway.database.read() as connection:
            where = (resource.c.type == kind, resource.c.deleted.is_(False))
            found = connection.execute(select(resource).where(*where))
            return {row.id: (bytes(row.body), row.labels) for row in found}

    def bodies(self, kind):
        return [orjson.loads(body) for body, _ in self.stored(kind).values()]

    def everything(self):
        with self.gateway.database.read() as connection:
            found = connection.execute(select(resource).where(resource.c.deleted.is_(False)))
            return {(row.type, row.id): (bytes(row.body), row.labels) for row in found}

    def patient(self, identifier):
        with self.gateway.database.read() as connection:
            (found,) = identity.find(connection, [identifier])
        return found

    def requester(self, client, purpose=None):
        """A registered client that is signed in."""
        with self.gateway.database.read() as connection:
            known = clients.find(connection, client)
        return Requester(
            known.id, known.organization, purpose or known.purposes[0], known.scopes, known.inside, "test"
        )

    async def search(self, client, kind, *parameters):
        """The Bundle that a registered client is given."""
        released = await self.gateway.share.release(self.requester(client), Search(kind, tuple(parameters)))
        return orjson.loads(released.body)

    def register(self, codes=None, **keys):
        """Say more of the demo's hospital in the senders file: keys of its own, and tables of its codes."""
        path = self.gateway.settings.data_dir / "senders.toml"
        lines = path.read_text("utf-8").split("\n")
        at = lines.index("[senders.elm-hospital]") + 1
        lines[at:at] = [f"{name} = {orjson.dumps(value).decode()}" for name, value in keys.items()]
        for table, pairs in (codes or {}).items():
            lines += [
                f"[senders.elm-hospital.codes.{table}]",
                *(f'"{one}" = "{other}"' for one, other in pairs.items()),
            ]
        path.write_text("\n".join(lines), "utf-8")


def msa(answer):
    """MSA-1, MSA-2."""
    found = parse(answer).first("MSA")
    return found.get(1), found.get(2)


def err(answer):
    """ERR-2 as written, ERR-3 code, of the first error."""
    found = parse(answer).first("ERR")
    return found.field(2), found.get(3)


@cache
def _template():
    """The demo's people and partners, loaded once for all tests of the process."""
    folder = Path(tempfile.mkdtemp(prefix="fhirgw-template-"))
    settings = Settings(data_dir=folder)
    (folder / "senders.toml").write_text(SENDERS, "utf-8")
    migrate(settings.database)
    gateway = app.build(settings, clock=Clock())
    key = ECKey.generate_key("P-384", private=True, auto_kid=True)
    jwks = orjson.dumps(KeySet([key]).as_dict(private=False)).decode()

    def load(tx):
        for name in CASES:
            stated = case(name)
            gateway.ingest.cases._take(tx, statement(stated.model_dump_json().encode()), stated, None)
        for one in CLIENTS:
            logical = register_organization(tx, gateway.keys.ids, *one.organization, one.name)
            known = Client(one.id, one.name, logical, jwks, one.scopes, one.purposes, one.inside)
            clients.register(tx, replace(known, notify_url=None))

    gateway.database.write_sync(load)
    gateway.database.close()
    return folder


@contextmanager
def composed(folder, **settings):
    """A gateway over its own copy of the demo."""
    data = folder / "data"
    shutil.copytree(_template(), data)
    clock = Clock()
    gateway = app.build(Settings(data_dir=data, mllp_port=0, **settings), clock=clock)
    try:
        yield Composed(gateway, clock)
    finally:
        gateway.database.close()
