"""A partner's hospital over the composed gateway's API: its registrations, its key, its tokens."""

import itertools
import json

import httpx
import orjson
from joserfc.jwk import ECKey, KeySet

from fhirgw.api import create_api
from fhirgw.ingest import register_organization
from fhirgw.send import Credentials, assertion
from fhirgw.settings import Settings
from fhirgw.store import clients
from fhirgw.store.clients import Client

NPI = "http://hl7.org/fhir/sid/us-npi"
ORIGIN = "https://gw.example.org"
ADA = {
    "version": "1", "subject_name": "Dr Ada Alvarez", "subject_id": "1720000006", "subject_role": "207P00000X",
    "organization_name": "Oak Hospital, Emergency",
}  # fmt: skip
REASON = "Unconscious after a fall"


class Hospital:
    """A hospital outside, which nobody released anything to, and its key."""

    def __init__(self, whole, tmp_path):
        self.whole = whole
        gateway, numbers, self.numbers = whole.gateway, itertools.count(), itertools.count()
        key = ECKey.generate_key("P-384", private=True, auto_kid=True)
        self.key = json.dumps(key.as_dict(private=True))
        self.jwks = orjson.dumps(KeySet([key]).as_dict(private=False)).decode()
        self.register("oak-hospital", None, emergency=True)
        self.register("elsewhere", None)
        settings = Settings(base_url=ORIGIN, data_dir=tmp_path / "api")
        self.api = create_api(
            gateway.share, gateway.ingest, gateway.database, settings, gateway.keys, whole.clock,
            lambda: f"claim-{next(numbers)}", feeds=None,
        )  # fmt: skip

    def register(self, name, inside, npi="1999999900", scopes=("system/*.rs",), **how):
        def unit(tx):
            logical = register_organization(tx, self.whole.gateway.keys.ids, NPI, npi, name)
            clients.register(tx, Client(name, name, logical, self.jwks, scopes, ("TREAT", "BTG"), inside, **how))

        self.whole.gateway.database.write_sync(unit)

    async def ask(self, method, path, headers=None, **more):
        transport = httpx.ASGITransport(self.api)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            return await http.request(method, path, headers=headers, **more)

    async def token(self, patient, client="oak-hospital", purpose="BTG", *, person=ADA, scopes="system/*.rs"):
        """The answer of the token endpoint to a claim; without a patient, to an ordinary assertion."""
        about = {"version": "1", "patient": patient, "reason": REASON}
        extensions = {"hl7-b2b": person, "fhirgw-emergency": about} if patient else {}
        credentials = Credentials(client, self.key, purpose=purpose, extensions=extensions)
        now = self.whole.clock.now // 1_000_000
        form = {
            "grant_type": "client_credentials",
            "scope": scopes,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion(
                credentials, f"{ORIGIN}/auth/token", now=now, jti=f"assertion-{next(self.numbers)}"
            ),
        }
        return await self.ask("POST", "/auth/token", data=form)

    async def bearer(self, patient, **how):
        reply = await self.token(patient, **how)
        assert reply.status_code == 200, reply.text
        return {"Authorization": f"Bearer {reply.json()['access_token']}"}
