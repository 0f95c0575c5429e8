"""Two gateways over two stores, the same clock and keys, and the asks that are put to both."""

import asyncio
import itertools
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import orjson
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey
from twin_worlds import PEOPLE, REGISTRY, World, consents, twin, whole

from fhirgw import consent_tasks
from fhirgw.answer import PageSeal
from fhirgw.api import create_api
from fhirgw.asks import History, NextPage, Notification, Read, Requester, Search, VRead
from fhirgw.audit import Ledger
from fhirgw.consent.model import ConsentSettings, Profile
from fhirgw.consult import Consult
from fhirgw.document import Disclosures, Document, Presentation
from fhirgw.emergency import Claim
from fhirgw.errors import GatewayError
from fhirgw.lookup import Match
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


# -- asks ----------------------------------------------------------------------------------------------------------

MEMBER = ("Patient", "Goal", "Condition", "CarePlan", "Encounter", "Observation", "Task", "ServiceRequest",
          "CareTeam", "RelatedPerson", "Provenance", "Coverage", "Account")  # fmt: skip
OTHER = ("Practitioner", "PractitionerRole", "Location", "Organization", "PlanDefinition", "Consent", "AuditEvent")
LETTERS = dict(zip(MEMBER, "pgckeotsmfqva", strict=True))
DATES = ("2026-05-01", "2026-06-02", "2026-07", "2026", "2027", "2026-06-20T21:20:00Z", "2026-06-21")

IDS = {
    kind: [f"{letter}{which}{who}" for which in "0123" for who in ("p1", "p2", "p3")]
    for kind, letter in LETTERS.items() if kind != "Patient"
} | {
    "Patient": ["p1", "p2", "p3", "p4"], "Practitioner": ["d0", "d1", "d2", "bob", "nobody"],
    "PractitionerRole": ["r0", "r1", "r2"], "Location": ["l0", "l1", "l2"],
    "Organization": ["o0", "o1", "org-elm", "org-oak", "o2"], "PlanDefinition": ["pd"],
    "Consent": ["ap1", "xp2", "bp3", "ap2"], "AuditEvent": ["1"],
}  # fmt: skip

_busy = st.sampled_from(("CarePlan", "CarePlan", "Encounter", "Condition", "Goal", "Task", *MEMBER, *OTHER))


def _ids(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from(IDS[kind])


def _references(*kinds: str) -> st.SearchStrategy[str]:
    def one(kind: str) -> st.SearchStrategy[str]:
        return st.tuples(_ids(kind), st.booleans()).map(lambda pair: f"{kind}/{pair[0]}" if pair[1] else pair[0])

    return st.one_of(*(one(kind) for kind in kinds))


CODE = st.sampled_from(["E11.9", "I10", "F11.20", "F10.10", "F33.1", "F20.9", "B20", "Z21", "A00",
                        "http://hl7.org/fhir/sid/icd-10-cm|F11.20", "http://hl7.org/fhir/sid/icd-10-cm|",
                        "|F11.20", "F11.20,E11.9"])  # fmt: skip
DATE = st.builds(
    lambda prefix, day: prefix + day,
    st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]),
    st.sampled_from(DATES),
)
WHO = _references("Patient")
PERSON = _references("Practitioner", "PractitionerRole")
PARAMS: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "Patient": {
        "family": st.sampled_from(["doe", "DOEP2", "x"]),
        "identifier": st.sampled_from(["p1", "http://hospital.example.org/mrn|p2", "p9"]),
        "birthdate": DATE,
        "general-practitioner": PERSON,
        "address-city": st.sampled_from(["alb", "Troy"]),
        "address": st.sampled_from(["a", "troy"]),
    },
    "Goal": {"patient": WHO, "start-date": DATE, "lifecycle-status": st.just("active")},
    "Condition": {
        "code": CODE,
        "patient": WHO,
        "subject": WHO,
        "encounter": _references("Encounter"),
        "asserter": PERSON,
        "onset-date": DATE,
    },
    "CarePlan": {
        "patient": WHO,
        "goal": _references("Goal"),
        "condition": _references("Condition"),
        "category": CODE,
        "activity-reference": _references("ServiceRequest"),
        "date": DATE,
        "performer": PERSON,
    },
    "Encounter": {
        "patient": WHO,
        "type": CODE,
        "reason-code": CODE,
        "diagnosis": _references("Condition"),
        "date": DATE,
        "location": _references("Location"),
        "participant": PERSON,
        "practitioner": PERSON,
        "service-provider": _references("Organization"),
        "class": st.sampled_from(["IMP", "AMB"]),
    },
    "Observation": {
        "code": CODE,
        "patient": WHO,
        "performer": PERSON,
        "encounter": _references("Encounter"),
        "date": DATE,
        "combo-code": CODE,
    },
    "Task": {
        "patient": WHO,
        "focus": _references("Goal", "Encounter", "Condition"),
        "based-on": _references("CarePlan"),
        "owner": _references("Organization"),
        "authored-on": DATE,
    },
    "ServiceRequest": {"patient": WHO, "code": CODE, "requester": PERSON, "authored": DATE},
    "CareTeam": {"patient": WHO, "participant": st.one_of(PERSON, _references("RelatedPerson")), "date": DATE},
    "RelatedPerson": {"patient": WHO, "name": st.sampled_from(["roe", "x"]), "birthdate": DATE},
    "Coverage": {
        "patient": WHO,
        "type": CODE,
        "subscriber": _references("RelatedPerson"),
        "policy-holder": _references("Organization"),
    },
    "Account": {"patient": WHO, "type": CODE, "owner": _references("Organization"), "period": DATE},
    "Provenance": {
        "patient": WHO,
        "target": _references("Goal", "Encounter", "Condition"),
        "agent": PERSON,
        "recorded": DATE,
    },
    "Practitioner": {
        "name": st.sampled_from(["a", "b", "c", "barker"]),
        "identifier": st.sampled_from(["npi-d0", "npi-bob"]),
    },
    "PractitionerRole": {"practitioner": _references("Practitioner"), "organization": _references("Organization")},
    "Location": {"name": st.sampled_from(["ward", "e"])},
    "Organization": {"name": st.sampled_from(["g", "r", "elm"]), "identifier": st.sampled_from(["elm", "x"])},
    "PlanDefinition": {"name": st.just("plan"), "status": st.just("active")},
    "Consent": {"patient": WHO, "status": st.just("active"), "actor": _references("Organization")},
    "AuditEvent": {"patient": WHO},
}
MODIFIERS = st.sampled_from(["", "", "", "", "", ":missing", ":not", ":exact", ":contains", ":Patient", ":odd"])
SORTABLE = {kind: (*names, "_lastUpdated", "_id") for kind, names in PARAMS.items()}
INCLUDES = {
    "CarePlan": ("goal", "condition", "activity-reference", "patient", "performer"),
    "Patient": ("general-practitioner",),
    "Encounter": ("diagnosis", "location", "participant", "service-provider", "patient"),
    "Task": ("focus", "based-on", "owner", "patient"),
    "Goal": ("patient", "subject"),
    "Condition": ("encounter", "asserter"),
    "Observation": ("performer", "encounter"),
    "Provenance": ("target", "agent"),
    "ServiceRequest": ("requester",),
    "CareTeam": ("participant",),
    "Coverage": ("subscriber", "policy-holder", "patient"),
    "Account": ("owner", "patient"),
    "PractitionerRole": ("practitioner", "organization"),
}
BAD = (
    ("_sort", "nothing"),
    ("_count", "-1"),
    ("_count", "x"),
    ("_include", "Goal:nothing"),
    ("_lastUpdated", "never"),
    ("_total", "all"),
    ("_security", "SUD"),
    ("_tag", "cleared"),
    ("nothing", "1"),
    ("_text", "x"),
    ("_filter", "x"),
    ("_has:Task:focus:code", "x"),
    ("subject:Patient.name", "x"),
    ("_id", ""),
    ("date", ""),
    ("_revinclude", "Task:focus"),
)


@st.composite
def searches(draw: st.DrawFn) -> Search:
    kind = draw(_busy)
    pairs: list[tuple[str, str]] = []
    for name in draw(st.lists(st.sampled_from(sorted(PARAMS[kind])), max_size=2)):
        modifier = draw(MODIFIERS)
        value = draw(st.sampled_from(["true", "false"])) if modifier == ":missing" else draw(PARAMS[kind][name])
        pairs.append((name + modifier, value))
    if draw(st.integers(0, 3)) == 0:
        pairs.append(("_lastUpdated", draw(DATE)))
    if draw(st.integers(0, 5)) == 0:
        pairs.append(("_id", draw(_ids(kind))))
    if draw(st.booleans()):
        pairs.append(("_count", str(draw(st.sampled_from([0, 1, 1, 2, 3, 50])))))
    if draw(st.booleans()):
        keys = draw(st.lists(st.sampled_from(SORTABLE[kind]), min_size=1, max_size=2, unique=True))
        pairs.append(("_sort", ",".join(draw(st.sampled_from(["", "-"])) + key for key in keys)))
    if kind in INCLUDES and draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(INCLUDES[kind]), min_size=1, max_size=2))
        pairs += [("_include", f"{kind}:{name}") for name in names]
    if draw(st.integers(0, 15)) == 0:
        pairs.append(draw(st.sampled_from(BAD)))
    if draw(st.integers(0, 9)) == 0:
        pairs.append(("_total", draw(st.sampled_from(["none", "accurate"]))))
    return Search(kind, tuple(pairs), strict=draw(st.booleans()), by_post=draw(st.integers(0, 3)) == 0)


_reads = _busy.flatmap(lambda kind: st.builds(Read, st.just(kind), _ids(kind)))
_histories = _busy.flatmap(lambda kind: st.builds(History, st.just(kind), st.one_of(st.none(), _ids(kind))))
_vreads = _busy.flatmap(lambda kind: st.builds(VRead, st.just(kind), _ids(kind), st.sampled_from("123")))
_pages = st.builds(NextPage, st.sampled_from(["", "x", "AAAA"]))
_notices = st.builds(
    Notification,
    _ids("Encounter").map("Encounter/{}".format),
    st.sampled_from(["notification-admit", "notification-discharge"]),
    st.just("https://x"),
)
MRN = "http://hospital.example.org/mrn"
_somebody = st.fixed_dictionaries(
    {"resourceType": st.just("Patient")},
    optional={
        "name": st.sampled_from([[{"family": "Doep1"}], [{"family": "doep2", "given": ["Ann"]}]]),
        "birthDate": st.sampled_from([day for day in DATES if len(day) == 10]),
        "address": st.sampled_from([[{"city": "Troy"}], [{"city": "Albany", "postalCode": "12201"}]]),
        "identifier": st.sampled_from(["p1", "p2", "p9"]).map(lambda value: [{"system": MRN, "value": value}]),
    },
)
_documents = st.builds(
    Document, _ids("CarePlan"), st.sampled_from(Presentation), st.sampled_from(["en", "es"]), st.booleans()
)
_accountings = st.builds(Disclosures, _ids("Patient"), st.sampled_from(Presentation))
_consults = st.builds(
    Consult,
    st.one_of(_ids("Patient").map("Patient/{}".format), st.sampled_from([f"{MRN}|p1", f"{MRN}|p9"])),
    kinds=st.lists(st.sampled_from(MEMBER + OTHER), max_size=2).map(tuple),
    resource=st.one_of(st.none(), _busy.flatmap(lambda kind: _ids(kind).map(f"{kind}/{{}}".format))),
    cards=st.booleans(),
)
_matches = st.builds(Match, _somebody, st.booleans(), st.sampled_from([1, 50]))
asks = st.one_of(
    searches(),
    searches(),
    searches(),
    searches(),
    _reads,
    _histories,
    _vreads,
    _notices,
    _pages,
    _matches,
    _documents,
    _consults,
    _accountings,
)
requesters = st.sampled_from(
    [requester()] * 8
    + [requester(purpose="HMARKT"), requester("oak"), requester(channel="notification"), requester("unknown"),
       requester(scopes=("system/CarePlan.rs", "system/Goal.r"))]
)  # fmt: skip


def sweep() -> list[Any]:
    """Every type and every id, asked plainly."""
    asks: list[Any] = []
    for kind in MEMBER + OTHER:
        asks += [Search(kind, (("_count", "2"),)), Search(kind, (("_sort", "-_lastUpdated"),)), History(kind, None)]
        asks += [ask for logical in IDS[kind] for ask in (Read(kind, logical), History(kind, logical))]
    asks += [Document(logical, form) for logical in IDS["CarePlan"] for form in Presentation]
    asks += [Disclosures(logical) for logical in IDS["Patient"]]
    return asks


def follow(body: bytes) -> str | None:
    """The token of the next page, if there is one."""
    bundle = orjson.loads(body)
    urls = [link["url"] for link in bundle.get("link", ()) if link["relation"] == "next"]
    return urls[0].partition("_page=")[2] if urls else None
