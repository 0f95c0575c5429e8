"""A store in which anything that decides changes, step by step: releases, parties, links and enrolments."""

from contextlib import contextmanager

from empty_store import empty_store
from sqlalchemy import delete, insert

from fhirgw.asks import Requester
from fhirgw.store import policy, repository
from fhirgw.store.database import Database
from fhirgw.store.schema import patient_link

PEOPLE = ("p", "q", "s")
ASKERS = [Requester(name, name, "TREAT", (), None, "x") for name in ("a", "b")]
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
START = 1_782_000_000_000_000  # 2026-06-21
NAMED = (
    *["Organization/a"] * 8, "Organization/net", "Organization/b", "Practitioner/bob", "CareTeam/t",
    "Group/g", "PractitionerRole/r",
)  # fmt: skip


def ref(reference):
    return {"reference": reference}


def release(random, name):
    roles = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]
    actors = [{"role": {"coding": roles}, "reference": ref(random.choice(NAMED))}]
    exception = {"type": "deny", "actor": [{"role": {"coding": roles}, "reference": ref(random.choice(NAMED))}]}
    provision = {
        "type": "permit", "actor": actors, "period": {"start": "2026-01-01", "end": random.choice(ENDS)},
        "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
        "securityLabel": [{"system": CONF, "code": "N"}],
    } | ({"provision": [exception]} if random.random() < 0.1 else {})  # fmt: skip
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    patient = ref(f"Patient/{random.choice(PEOPLE)}")
    return {
        "resourceType": "Consent", "id": name, "status": random.choice(("active", "active", "active", "inactive")),
        "scope": {"coding": [scope]}, "patient": patient,
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}], "dateTime": "2026-01-01",
        "performer": [patient], "organization": [ref("Organization/icm")],
        "sourceReference": ref("DocumentReference/d"), "provision": provision,
    }  # fmt: skip


ENDS = ("2026-06-22", "2026-06-23", "2026-12-31", "2026-12-31")
ORGANIZATIONS = ("Organization/a", "Organization/b", "Organization/net", "Organization/new")


def party(random):
    """Somebody whom Consents name, or through whom they reach somebody."""
    organization = random.choice(ORGANIZATIONS)
    return random.choice((
        lambda: {"resourceType": "Organization", "id": random.choice(("a", "b", "net", "new")),
                 "partOf": ref(organization)},
        lambda: {"resourceType": "Organization", "id": random.choice(("a", "b", "net", "new"))},
        lambda: {"resourceType": "PractitionerRole", "id": random.choice(("r", "r2")),
                 "practitioner": ref(random.choice(("Practitioner/bob", "Practitioner/ann"))),
                 "organization": ref(organization)},
        lambda: {"resourceType": "Practitioner", "id": "bob",
                 "identifier": [{"system": "npi", "value": random.choice("12")}]},
        lambda: {"resourceType": "CareTeam", "id": "t", "subject": ref("Patient/p"),
                 "participant": [{"member": ref(random.choice((organization, "Practitioner/bob"))),
                                  "period": {"end": random.choice(ENDS)}}]},
        lambda: {"resourceType": "Group", "id": "g", "type": "person", "actual": True,
                 "member": [{"entity": ref(random.choice(("Practitioner/bob", "CareTeam/t")))}]},
        lambda: {"resourceType": "OrganizationAffiliation", "id": "m",
                 "participatingOrganization": ref(organization), "network": [ref("Organization/net")],
                 "code": [{"coding": [{"system": "http://hl7.org/fhir/organization-role", "code": "member"}]}]},
    ))()  # fmt: skip


def join(tx, random):
    """Two records are linked, or parted, as ``identity.regraph`` leaves it."""
    one, other = random.sample(PEOPLE, 2)
    links = patient_link.c
    pairs = [
        {"patient": one, "other": other, "type": "seealso"},
        {"patient": other, "other": one, "type": "seealso"},
    ]
    both = (links.patient.in_((one, other))) & (links.other.in_((one, other)))
    tx.connection.execute(delete(patient_link).where(both))
    if random.random() < 0.5:
        tx.connection.execute(insert(patient_link), pairs)
    for each in PEOPLE:
        policy.bump(tx, each)


def step(tx, random):
    """Anything that may decide."""
    kinds = ("PractitionerRole/r", "Organization/net", "CareTeam/t", "OrganizationAffiliation/m", "Consent/c1")
    random.choice((
        *[lambda: repository.put(tx, release(random, f"c{random.randint(1, 6)}"))] * 6,
        *[lambda: repository.put(tx, party(random))] * 5,
        lambda: repository.delete(tx, *random.choice(kinds).split("/")),
        lambda: policy.enrol(tx, random.choice(PEOPLE), "ICM", "opted-out"),
        *[lambda: policy.enrol(tx, random.choice(PEOPLE), "ICM", "active")] * 4,
        lambda: join(tx, random),
    ))()  # fmt: skip


@contextmanager
def enrolled(folder):
    """A store of the people alone, all of them members."""
    opened = Database(empty_store(folder / "policies.db"), clock=lambda: START)
    opened.write_sync(
        lambda tx: (
            [repository.put(tx, {"resourceType": "Patient", "id": one}) for one in PEOPLE]
            + [policy.enrol(tx, one, "ICM", "active") for one in PEOPLE]
        )
    )
    yield opened
    opened.close()
