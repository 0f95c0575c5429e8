"""The application over a real store with real keys; share and ingest are recorded, their own tests play them."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
from empty_store import empty_store
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from fhirgw.api import create_api
from fhirgw.consent.model import ConsentSettings
from fhirgw.ingest import Written
from fhirgw.released import Released
from fhirgw.settings import Keys, Settings
from fhirgw.store import clients
from fhirgw.store.clients import Client
from fhirgw.store.database import Database

NOW = 1_790_000_000
ORIGIN = "https://gw.example.org"
TOKEN_URL = f"{ORIGIN}/auth/token"
CAP = 4096


class RecordedShare:
    """Answers every ask with the same bytes, or raises."""

    def __init__(self):
        self.asked = []
        self.claims = []
        self.error = None
        self.consent = ConsentSettings()

    async def claimed(self, requester):
        self.claims.append(requester)

    async def release(self, requester, ask):
        self.asked.append((requester, ask))
        if self.error:
            raise self.error
        headers = {"ETag": 'W/"3"', "Last-Modified": "Mon, 21 Sep 2026 14:13:20 GMT"}
        return Released(b'{"resourceType":"Released"}', headers=headers)


class RecordedIngest:
    """Takes every resource, or raises."""

    def __init__(self):
        self.written = []
        self.deleted = []
        self.error = None
        self.created = True

    @property
    def resources(self):
        return self

    @property
    def cases(self):
        return self

    async def take(self, stated, programs=None):
        self.written.append((stated, programs))
        if self.error:
            raise self.error
        return self.created

    async def write(self, requester, resource, *, id, if_match):
        self.written.append((requester, resource, id, if_match))
        if self.error:
            raise self.error
        return Written(resource["resourceType"], id or "new-id", created=self.created)

    async def delete(self, requester, kind, logical, *, if_match):
        self.deleted.append((requester, kind, logical, if_match))
        if self.error:
            raise self.error
        return 4


@dataclass
class Api:
    """One gateway and what a test turns on it."""

    http: httpx.AsyncClient
    app: Any
    database: Database
    share: RecordedShare
    ingest: RecordedIngest
    private: dict[str, Any]
    keys: Keys
    time: list[int]
    jti: Any = field(default_factory=itertools.count)

    def sign(self, key="ec", *, header=None, algorithm=None, **claims):
        """A client assertion; a claim given as None is left out."""
        private = self.private[key]
        algorithm = algorithm or ("ES384" if key == "ec" else "RS384")
        whole = {
            "iss": "pcmh",
            "sub": "pcmh",
            "aud": TOKEN_URL,
            "exp": self.time[0] + 240,
            "jti": f"{next(self.jti)}",
        }
        whole = {name: value for name, value in (whole | claims).items() if value is not None}
        named = {"alg": algorithm, "kid": private.kid} | (header or {})
        return jwt.encode(named, whole, private, algorithms=[algorithm])

    async def ask_token(self, assertion=None, **fields):
        form = {
            "grant_type": "client_credentials",
            "scope": "system/*.rs",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion or self.sign(),
        } | fields
        return await self.http.post("/auth/token", data={name: value for name, value in form.items() if value})

    async def bearer(self, client="pcmh", scope="system/*.cruds"):
        reply = await self.ask_token(self.sign(iss=client, sub=client), scope=scope)
        assert reply.status_code == 200, reply.text
        return {"Authorization": f"Bearer {reply.json()['access_token']}"}


@pytest.fixture(scope="session")
def private():
    """Key pairs: both kinds that count, one nobody registered, one secret that must not pass for a key."""
    return {
        "ec": ECKey.generate_key("P-384", {"kid": "ec"}),
        "rsa": RSAKey.generate_key(2048, {"kid": "rsa"}),
        "stranger": RSAKey.generate_key(2048, {"kid": "rsa"}),
        "secret": OctKey.generate_key(512, {"kid": "ec"}),
    }


@pytest.fixture(scope="session")
def registered(private):
    """The clients of a gateway: a practice, one with several purposes, the programme's own."""
    jwks = orjson.dumps(KeySet([private["ec"], private["rsa"]]).as_dict(private=False)).decode()

    def client(name, scopes="system/*.rs", purposes="TREAT", inside=None, **more):
        return Client(
            name, name, f"org-{name}", jwks, tuple(scopes.split()), tuple(purposes.split()), inside, **more
        )

    return {
        "pcmh": client("pcmh"),
        "hospital": client("hospital", purposes="TREAT BTG", emergency=True),
        "agency": client("agency", purposes="HOPERAT COC"),
        "narrow": client("narrow", "system/Patient.r system/CarePlan.rs"),
        "icm": client("icm", "system/*.cruds system/icm system/consent-decision", inside=frozenset({"*"})),
        "nebraska": client("nebraska", "system/icm", inside=frozenset({"ne-peer"})),
        "writer": client("writer", "system/Patient.cu", inside=frozenset({"adv"})),
    }


@pytest.fixture
async def api(tmp_path, private, registered):
    time = [NOW]
    database = Database(empty_store(tmp_path / "store.db"), clock=lambda: time[0] * 1_000_000)
    for client in registered.values():
        database.write_sync(lambda tx, client=client: clients.register(tx, client))
    settings = Settings(base_url=ORIGIN, max_message_bytes=CAP, data_dir=tmp_path)
    keys = Keys.derive(b"a test key")
    share, ingest, numbers = RecordedShare(), RecordedIngest(), itertools.count(1)
    app = create_api(
        share,
        ingest,
        database,
        settings,
        keys,
        lambda: time[0] * 1_000_000,
        lambda: f"id-{next(numbers)}",
        feeds=None,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as http:
        yield Api(http, app, database, share, ingest, private, keys, time)
    database.close()
