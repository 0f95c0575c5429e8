"""Two gateways over two stores, the same clock and keys, and the asks that are put to both."""

import asyncio
import itertools
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey
from twin_consents import consents
from twin_surroundings import PEOPLE, REGISTRY
from twin_worlds import World, twin, whole

from fhirgw import consent_tasks
from fhirgw.answer import PageSeal
from fhirgw.api import create_api
from fhirgw.asks import Requester
from fhirgw.audit import Ledger
from fhirgw.consent.model import ConsentSettings, Profile
from fhirgw.emergency import Claim
from fhirgw.errors import GatewayError
from fhirgw.settings import Keys, Settings
from fhirgw.share import Share
from fhirgw.store import clients, policy, repository
from fhirgw.store.clients import Client
from fhirgw.store.database import Database

START = 1_782_000_000_000_000  # 2026-06-21
MINUTE = 60_000_000
ORIGIN = "https://gw.example.org"
BASE = f"{ORIGIN}/fhir"
KEYS = Keys.derive(b"twins")
SCOPES = ("system/*.rs", "system/consent-decision")
KEY = ECKey.generate_key("P-384", {"kid": "ec"})
JWKS = orjson.dumps(KeySet([KEY]).as_dict(private=False)).decode()


PRACTICE = frozenset({"covered-entity"})
LEAST = Profile(
    "least", frozenset({"payer"}), frozenset({"TREAT"}),
    (
        ("CarePlan", frozenset({"status", "intent", "subject", "category", "goal"})),
        ("Condition", frozenset({"subject", "code", "recorder"})),
        ("Encounter", frozenset({"status", "class", "type", "subject", "diagnosis", "location"})),
        ("Goal", None),
        ("Patient", frozenset({"identifier", "generalPractitioner"})),
    ),
)  # fmt: skip
"""What the payer is given: neither names nor dates, of people those who diagnose, of types five."""


class Gateway:
    """A share and an API over one store."""

    def __init__(self, path: Path, template: Path) -> None:
        shutil.copy(template, path)
        self.now = START
        self.database = Database(f"sqlite:///{path}", clock=lambda: self.now)
        self.share = Share(
            self.database, Ledger("twin", KEYS.audit), base=BASE, pages=PageSeal(KEYS.cursor, 900),
            consent=ConsentSettings(minimum=(LEAST,)), clock=lambda: self.now,
        )  # fmt: skip
        numbers = itertools.count()
        self.api = create_api(
            self.share, None, self.database, Settings(base_url=ORIGIN, data_dir=path.parent), KEYS,
            lambda: self.now, lambda: f"id-{next(numbers)}", feeds=None,
        )  # fmt: skip

    def set_up(self, world: World) -> None:
        def unit(tx: Any) -> None:
            for one in REGISTRY:
                repository.put(tx, one, standing="registry")
            for one in PEOPLE:
                repository.put(tx, one)
            for patient, allowed in world.allowed.items():
                status = "opted-out" if allowed.name == "opted-out" else "active"
                policy.enrol(tx, patient, "adv", status)
                for one in consents(patient, allowed):
                    repository.put(tx, one)
            for name, inside in (("elm", None), ("staff", frozenset({"*"}))):
                registered = Client(
                    name, name, f"org-{name}", JWKS, SCOPES, ("TREAT", "HMARKT"), inside, classes=PRACTICE
                )
                clients.register(tx, registered)
            for name, of, more in (("oak", "oak", {"emergency": True}), ("payer", "elm", {})):
                classes = frozenset({"payer"}) if name == "payer" else PRACTICE
                purposes = ("TREAT", "BTG")
                known = Client(name, name, f"org-{of}", JWKS, SCOPES, purposes, classes=classes, **more)
                clients.register(tx, known)

        self.database.write_sync(unit)

    def raise_tasks(self) -> None:
        """The staff's work about Consents: nobody outside may notice that there is any."""
        consent = self.share.consent
        raised = self.database.write_sync(lambda tx: consent_tasks.review(tx, settings=consent, id_key=KEYS.ids))
        assert raised is not None

    def play(self, script: Iterable[tuple[int, list[Any], str | None]]) -> None:
        for at, resources, gone in script:
            self.now = START + (at + 1) * MINUTE

            def unit(tx: Any, resources=resources, gone=gone) -> None:
                for one in resources:
                    if one["resourceType"] not in BESIDE or not repository.exists(
                        tx.connection, one["resourceType"], one["id"]
                    ):
                        repository.put(tx, one)
                if gone:
                    repository.delete(tx, *gone.split("/"))

            self.database.write_sync(unit)


BESIDE = {"Practitioner", "Location", "Organization", "PractitionerRole"}


class Twins:
    """The store with everything, and the store without what is hidden."""

    def __init__(self, world: World, folder: Path, template: Path, other: World | None = None) -> None:
        """Both stores; ``other``: the world as the recipient may know it, before what consent hides of it."""
        self.world, self._folder = world, folder
        self.whole, self.twin = Gateway(folder / "whole.db", template), Gateway(folder / "twin.db", template)
        for gateway, script in ((self.whole, whole(world)), (self.twin, twin(other or world))):
            gateway.set_up(world)
            gateway.play(script)
        self.whole.raise_tasks()
        for gateway in (self.whole, self.twin):
            gateway.now = START + 10_000 * MINUTE

    def close(self) -> None:
        self.whole.database.close()
        self.twin.database.close()
        shutil.rmtree(self._folder)

    async def ask(self, requester: Requester, ask: Any) -> tuple[Any, Any]:
        """Both answers, each as what would go over the wire."""
        return await asyncio.gather(
            outcome(self.whole.share, requester, ask), outcome(self.twin.share, requester, ask)
        )


async def outcome(share: Share, requester: Requester, ask: Any) -> Any:
    try:
        released = await share.release(requester, ask)
    except GatewayError as error:
        return type(error).__name__, error.http, error.issue, error.text, error.location
    return released.body, dict(released.headers)


def requester(
    name: str = "elm", purpose: str = "TREAT", channel: str = "api", scopes=SCOPES, claim: Claim | None = None
) -> Requester:
    inside = frozenset({"*"}) if name == "staff" else None
    organization = "org-elm" if name == "payer" else f"org-{name}"
    return Requester(name, organization, purpose, scopes, inside, "req-1", channel, claim)


def claim(patient: str, npi: str = "npi-bob", *, now: int) -> Claim:
    """An emergency that a person claims about a patient."""
    return Claim("claim", "Dr Barker", npi, "207P00000X", "Oak", f"Patient/{patient}", "A fall", now)


def claim_signed(name: str, patient: str, now: int) -> dict[str, str]:
    """The form that a client claims an emergency with, at the token endpoint."""
    who = {"subject_name": "Dr Adler", "subject_id": "1720000006", "subject_role": "207P00000X",
           "organization_name": "Oak", "purpose_of_use": ["BTG"] if name == "oak" else ["TREAT"]}  # fmt: skip
    about = {"patient": f"Patient/{patient}", "reason": "A fall"}
    claims = {"iss": name, "sub": name, "aud": f"{ORIGIN}/auth/token", "exp": now // 1_000_000 + 200,
              "jti": f"{name}{patient}", "extensions": {"hl7-b2b": who, "fhirgw-emergency": about}}  # fmt: skip
    return {
        "grant_type": "client_credentials", "scope": "system/*.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode({"alg": "ES384", "kid": "ec"}, claims, KEY, algorithms=["ES384"]),
    }  # fmt: skip


def bearer(name: str, purpose: str, now: int) -> dict[str, str]:
    """A token as the token endpoint gives it."""
    claims = {"iss": BASE, "aud": BASE, "sub": name, "purpose": purpose, "scope": " ".join(SCOPES),
              "exp": now // 1_000_000 + 200}  # fmt: skip
    header = {"alg": "HS384", "typ": "at+jwt"}
    token = jwt.encode(header, claims, OctKey.import_key(KEYS.token), algorithms=["HS384"])
    return {"Authorization": f"Bearer {token}", "X-Request-Id": "req-1"}


async def over_http(gateway: Gateway, method: str, url: str, headers: dict[str, str], **more: Any) -> Any:
    transport = httpx.ASGITransport(gateway.api)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        reply = await http.request(method, url, headers=headers, **more)
    return reply.status_code, list(reply.headers.multi_items()), reply.content
