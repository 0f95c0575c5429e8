"""Makers of Consents, requests and policies, for the tests of consent; drawn at random: ``drawn_consents``."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from fhirgw.consent.closure import Supporting, members_of
from fhirgw.consent.content import Content
from fhirgw.consent.criteria import Surroundings
from fhirgw.consent.labels import Labels
from fhirgw.consent.marks import marks_of, of_consents
from fhirgw.consent.model import Agreement, PatientPolicy, Profile, Recipient, Request
from fhirgw.consent.vocabulary import BITS
from fhirgw.settings import ZONE

AT = datetime(2026, 6, 15, 12, tzinfo=UTC)
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CATEGORY = "http://fhirgw.org/fhir/CodeSystem/icm-consent-category"

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC = "http://loinc.org"
SUPERSEDES = "http://fhirgw.org/fhir/StructureDefinition/consent-supersedes"
PROFILE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-careplan"

ORGANIZATION_A = frozenset({"Organization/a", "npi|A"})


def actor(reference, role="IRCP"):
    return {"role": {"coding": [{"system": PARTICIPATION, "code": role}]}, "reference": {"reference": reference}}


def ref(reference):
    return {"reference": reference}


def concept(system, code):
    return {"coding": [{"system": system, "code": code}]}


def datum(meaning, reference):
    return {"meaning": meaning, "reference": ref(reference)}


RECORD = (
    {"resourceType": "Condition", "id": "x", "code": concept(ICD, "E11.9"), "onsetDateTime": "2026-03-01",
     "recorder": ref("Practitioner/bob"), "encounter": ref("Encounter/e")},
    {"resourceType": "Condition", "id": "y", "code": concept("http://hl7.org/fhir/sid/icd-10", "e119 "),
     "recordedDate": "2025-06-01", "asserter": ref("PractitionerRole/r")},
    {"resourceType": "Observation", "id": "o", "code": concept(LOINC, "4548-4"),
     "effectivePeriod": {"start": "2026-02-01", "end": "2026-05-01"},
     "performer": [{"identifier": {"system": "npi", "value": "bob"}}]},
    {"resourceType": "CarePlan", "id": "k", "meta": {"profile": [PROFILE]}, "addresses": [ref("Condition/x")],
     "author": ref("Practitioner/alice")},
    {"resourceType": "DocumentReference", "id": "d", "type": concept(LOINC, "34133-9"), "date": "2026-06-01",
     "content": [{"attachment": {"contentType": "application/pdf"}}], "author": [ref("Organization/a")]},
    {"resourceType": "Encounter", "id": "e", "period": {"start": "2026-01-10"},
     "diagnosis": [{"condition": ref("Condition/y")}]},
    {"resourceType": "Goal", "id": "g", "description": {"text": "walk"}},
    {"resourceType": "Consent", "id": "c"},
    {"resourceType": "Observation", "id": "i", "code": concept(LOINC, "1-1"),
     "effectiveDateTime": "2026-04-30T23:30:00-04:00"},
    {"resourceType": "Appointment", "id": "both", "participant": [
        {"actor": ref("Patient/p")}, {"actor": ref("Patient/q")}, {"actor": ref("Practitioner/bob")}]},
)  # fmt: skip
"""Resources that differ in what rules about content ask."""
PARTIES = (
    {"resourceType": "Organization", "id": "a", "identifier": [{"system": "npi", "value": "A"}]},
    {"resourceType": "Organization", "id": "b", "identifier": [{"system": "npi", "value": "B"}]},
    {"resourceType": "Practitioner", "id": "bob", "identifier": [{"system": "npi", "value": "bob"}]},
    {"resourceType": "PractitionerRole", "id": "r", "practitioner": ref("Practitioner/bob"),
     "organization": ref("Organization/b")},
    {"resourceType": "CareTeam", "id": "t", "participant": [{"member": ref("Practitioner/bob")}, {
        "member": ref("Organization/a"), "period": {"start": "2026-01-01", "end": "2026-06-15"}}]},
    {"resourceType": "CareTeam", "id": "over", "status": "active", "period": {"end": "2026-06-14"},
     "participant": [{"member": ref("Organization/a")}]},
    {"resourceType": "CareTeam", "id": "suspended", "status": "suspended",
     "participant": [{"member": ref("Organization/a")}]},
    {"resourceType": "CareTeam", "id": "inactive", "status": "inactive",
     "participant": [{"member": ref("Organization/a")}]},
    {"resourceType": "CareTeam", "id": "loop", "participant": [{"member": ref("CareTeam/loop")},
     {"member": ref("Group/g")}]},
    {"resourceType": "Group", "id": "g", "actual": True, "member": [
        {"entity": ref("Organization/b"), "inactive": True}, {"entity": ref("Practitioner/bob")},
        {"entity": ref("CareTeam/t")}]},
)  # fmt: skip


def affiliation(name, part, *, code=None, network=None, **more):
    """An OrganizationAffiliation of an organization, in a network if one is named."""
    codes = [concept("http://hl7.org/fhir/organization-role", code)] if code else None
    made = {"resourceType": "OrganizationAffiliation", "id": name, "participatingOrganization": ref(part),
            "code": codes, "network": network and [ref(f"Organization/{network}")]}  # fmt: skip
    return {key: value for key, value in (made | more).items() if value is not None}


NETWORKS = ("net", "over", "later", "off", "coded", "place", "hie", "supplied", "exchange", "outer", "sub")
"""Organizations that the affiliations are about."""
AFFILIATED = (
    {"resourceType": "Organization", "id": "owner"},
    {"resourceType": "Organization", "id": "net", "partOf": ref("Organization/owner"),
     "identifier": [{"system": "npi", "value": "NET"}]},
    *({"resourceType": "Organization", "id": name} for name in NETWORKS[1:]),
    affiliation("now", "Organization/a", code="provider", network="net", period={"end": "2026-06-15"}),
    affiliation("over", "Organization/a", code="provider", network="over", period={"end": "2026-06-14"}),
    affiliation("later", "Organization/a", code="member", network="later", period={"start": "2026-06-16"}),
    affiliation("off", "Organization/a", code="member", network="off", active=False),
    affiliation("coded", "Organization/a", code="payer", network="coded"),
    affiliation("place", "Organization/a", code="member", network="place", location=[ref("Location/l")]),
    affiliation("member", "Organization/a", code="member", organization=ref("Organization/hie")),
    affiliation("supplier", "Organization/a", code="provider", organization=ref("Organization/supplied")),
    affiliation("exchange", "Organization/exchange", code="HIE/HIO", organization=ref("Organization/a")),
    affiliation("nested", "Organization/net", code="member", organization=ref("Organization/outer")),
    affiliation("backwards", "Organization/sub", code="member", organization=ref("Organization/a")),
)  # fmt: skip
WORLD = {f"{one['resourceType']}/{one['id']}": one for one in (*RECORD, *PARTIES, *AFFILIATED)}
SUPPORTING = Supporting(WORLD.values())
ORGANIZATIONS = {f"Organization/{one}": SUPPORTING.tokens(f"Organization/{one}") for one in ("owner", *NETWORKS)}
MEMBERS = {
    name: members_of(one, ZoneInfo(ZONE)) for name, one in WORLD.items() if "Team" in name or "Group" in name
}
KNOWN = Surroundings(SUPPORTING.references_of, SUPPORTING.tokens_of)


def in_networks(recipient):
    """The recipient with what it belongs to in this world."""
    around = SUPPORTING.recipient(recipient.tokens, recipient.roles, AT)
    return replace(recipient, networks=around.networks, partners=around.partners)


def purpose(*codes):
    return [{"system": REASON, "code": code} for code in codes]


def security(*codes):
    return [{"system": CONF if code in set("ULMNRV") else ACT, "code": code} for code in codes]


def types(*codes):
    return [{"system": "http://hl7.org/fhir/resource-types", "code": code} for code in codes]


def action(*codes):
    system = "http://terminology.hl7.org/CodeSystem/consentaction"
    return [{"coding": [{"system": system, "code": code}]} for code in codes]


def consent(provision, *, name="c1", **changes):
    """A complete, signed ROI; a change to None takes the element out."""
    made = {
        "resourceType": "Consent",
        "id": name,
        "meta": {"versionId": "1"},
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}],
        "patient": {"reference": "Patient/p"},
        "dateTime": "2026-01-01",
        "performer": [{"reference": "Patient/p"}],
        "organization": [{"reference": "Organization/icm"}],
        "sourceReference": {"reference": "DocumentReference/d"},
        "provision": provision,
    } | changes
    return {name: value for name, value in made.items() if value is not None}


def roi(*codes, to="Organization/a", **provision):
    """An ordinary ROI for treatment, to one organization, for the labels named."""
    return consent(
        {
            "type": "permit",
            "period": {"start": "2026-01-01", "end": "2026-12-31"},
            "actor": [actor(to)],
            "purpose": purpose("TREAT"),
            "securityLabel": security(*(codes or ("N",))),
        }
        | provision
    )


def refusal(kind, reference, **changes):
    return consent(
        {"type": "deny", "actor": [actor(reference)]},
        name="refusal",
        **({"category": [{"coding": [{"system": CATEGORY, "code": kind}]}], "sourceReference": None} | changes),
    )


def request(**changes):
    made = {
        "recipient": Recipient(ORGANIZATION_A),
        "purpose": "TREAT",
        "action": "disclose",
        "channel": "api",
        "at": AT,
    } | changes
    return Request(**made)


def policy(*consents, **changes):
    made = {
        "actors": {
            "Organization/a": ORGANIZATION_A,
            "Organization/b": frozenset({"Organization/b", "npi|B"}),
            "Practitioner/bob": frozenset({"Practitioner/bob", "npi|bob"}),
            **ORGANIZATIONS,
        },
        "members": MEMBERS,
    } | changes
    return PatientPolicy("p", tuple(consents), made.pop("enrolments", None), **made)


def labels(*codes, conf=None, of=None, held=None, zone=ZONE):
    """Labels as stated; of a resource under a policy also the marks that its rules give it."""
    mask = sum(BITS[code] for code in codes)
    conf = conf if conf is not None else 4 if mask else 3
    if held is not None:
        content = Content(of, cleared=True)
        mask |= marks_of(of_consents(held.consents, zone), content, content, KNOWN)
    return Labels(mask, conf)


CLAIM = {"patient": "Patient/p", "person": "Dr. Ada Moss", "affiliation": "Elm", "reason": "unconscious"}
PERSONNEL = frozenset({"medical-personnel"})
AUDIT = Agreement(
    "audit", frozenset({"npi|A"}), frozenset({"HOPERAT", "HPAYMT"}), frozenset({"Condition", "CarePlan"}),
    BITS["SUD"] | BITS["BH"], 4, (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)),
)  # fmt: skip
LEAST = (
    Profile("a", frozenset({"payer"}), frozenset({"TREAT", "HPAYMT"}),
            (("Condition", frozenset({"subject", "code"})), ("Encounter", None), ("Goal", None))),
    Profile("b", frozenset({"agency"}), frozenset({"PurposeOfUse"}),
            (("Condition", frozenset({"subject", "onset"})), ("CarePlan", None), ("Encounter", None))),
)  # fmt: skip
