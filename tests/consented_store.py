"""A share over a store, and what its tests put there: records of a member and what the member released."""

import asyncio

import orjson
from empty_store import empty_store
from sqlalchemy import func, select

from fhirgw.answer import PageSeal
from fhirgw.asks import Requester
from fhirgw.audit import Ledger
from fhirgw.consent.model import ConsentSettings
from fhirgw.settings import Keys
from fhirgw.share import Share
from fhirgw.store import repository
from fhirgw.store.database import Database
from fhirgw.store.schema import ledger

START = 1_782_000_000_000_000  # 2026-06-21
BASE = "https://gw.example.org/fhir"
KEYS = Keys.derive(b"share")
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
CLEARED = {"tag": [{"system": "http://fhirgw.org/fhir/CodeSystem/icm-text-review", "code": "cleared"}]}
NORMAL, SUBSTANCE = (CONF, "N"), ((CONF, "R"), (ACT, "SUD"))


class Gateway:
    """A share over a store."""

    def __init__(self, path):
        self.now = START
        self.database = Database(empty_store(path), clock=lambda: self.now)
        self.told()

    def told(self, **switches):
        """Share by these switches from now on."""
        self.share = Share(
            self.database, Ledger("t", KEYS.audit), base=BASE, pages=PageSeal(KEYS.cursor, 900),
            consent=ConsentSettings(**switches), clock=lambda: self.now,
        )  # fmt: skip

    def put(self, *resources, **options):
        self.now += 60_000_000
        self.database.write_sync(lambda tx: [repository.put(tx, one, **options) for one in resources])

    def delete(self, kind, logical):
        self.now += 60_000_000
        self.database.write_sync(lambda tx: repository.delete(tx, kind, logical))

    def ask(self, ask, who=None):
        return asyncio.run(self.share.release(who or elm(), ask))

    def body(self, ask, who=None):
        return orjson.loads(self.ask(ask, who).body)

    def accounted(self):
        with self.database.read() as connection:
            return connection.scalar(select(func.count()).select_from(ledger))


def elm(purpose="TREAT", scopes=("system/*.rs",), inside=None, client="elm", channel="api"):
    return Requester(client, f"org-{client}", purpose, scopes, inside, "req-1", channel)


def ref(reference):
    return {"reference": reference}


def concept(code):
    return {"coding": [{"system": ICD, "code": code}]}


def about(kind, logical, who="p", **more):
    return {"resourceType": kind, "id": logical, "meta": CLEARED, "subject": ref(f"Patient/{who}"), **more}


def goal(logical, code="E11.9", who="p", **more):
    return about("Goal", logical, who, lifecycleStatus="active", description=concept(code), **more)


def plan(logical="k", who="p", **more):
    return about("CarePlan", logical, who, status="active", intent="plan", **more)


def encounter(logical, code="I10", who="p", **more):
    more = {"status": "finished", "class": {"system": ACT, "code": "IMP"}, "type": [concept(code)]} | more
    return about("Encounter", logical, who, **more)


def release(who="p", labels=(NORMAL,), status="active", types=()):
    """An ROI for treatment, to Elm."""
    provision = {
        "type": "permit",
        "period": {"start": "2026-01-01", "end": "2026-12-31"},
        "actor": [
            {
                "role": {
                    "coding": [
                        {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}
                    ]
                },
                "reference": ref("Organization/org-elm"),
            }
        ],
        "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
        "securityLabel": [{"system": system, "code": code} for system, code in labels],
    }
    if types:
        provision["class"] = [{"system": "http://hl7.org/fhir/resource-types", "code": one} for one in types]
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    return {
        "resourceType": "Consent",
        "id": f"roi-{who}",
        "status": status,
        "scope": {"coding": [scope]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}],
        "patient": ref(f"Patient/{who}"),
        "dateTime": "2026-01-01",
        "performer": [ref(f"Patient/{who}")],
        "organization": [ref("Organization/icm")],
        "sourceReference": ref("DocumentReference/form"),
        "provision": provision,
    }
